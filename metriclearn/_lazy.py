"""Lazy loading of the public names of a package (PEP 562)."""

from importlib import import_module


def lazy(package, exports, submodules=()):
    """Make the ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        ``__name__`` of the package.
    exports : dict of str to str
        Public name to the module that defines it.
    submodules : sequence of str, default=()
        Modules of the package that can be accessed without importing them first.

    Returns
    -------
    load : callable
        The ``__getattr__`` of the package.
    names : callable
        The ``__dir__`` of the package.

    Examples
    --------
    >>> load, names = lazy("metriclearn", {"LMNN": "metriclearn.mahalanobis._lmnn._lmnn"})
    >>> load("LMNN").__name__, names()
    ('LMNN', ['LMNN'])
    """

    def load(name):
        if name in exports:
            return getattr(import_module(exports[name]), name)
        if name in submodules:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names():
        return sorted([*exports, *submodules])

    return load, names
