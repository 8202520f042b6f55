"""Names of a package that are loaded when they are asked for (PEP 562)."""

from importlib import import_module


def lazy(package, rooms, submodules=()):
    """Make the ``__getattr__`` and the ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    rooms : dict of str to str
        Public name to the module that it lives in.
    submodules : sequence of str, default=()
        Modules of the package that are found without being imported first.

    Returns
    -------
    load, names : callable

    Examples
    --------
    >>> load, names = lazy("metriclearn", {"LMNN": "metriclearn.mahalanobis._lmnn._lmnn"})
    >>> load("LMNN").__name__, names()
    ('LMNN', ['LMNN'])
    """

    def load(name):
        if name in rooms:
            return getattr(import_module(rooms[name]), name)
        if name in submodules:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names():
        return sorted([*rooms, *submodules])

    return load, names
