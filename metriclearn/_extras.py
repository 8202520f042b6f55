"""What is imported when it is needed: optional dependencies, and public names; versions."""

import ast
import pkgutil
from importlib import import_module


def installed_version(package):
    """Return the version of an installed package, or None."""
    from importlib import metadata  # which takes longer than the rest of `import metriclearn`

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def require(module, extra):
    """Import an optional dependency, or say which extra brings it.

    Parameters
    ----------
    module : str
        Dotted name of the module to import.
    extra : str
        Name of the extra of metriclearn that installs it.

    Returns
    -------
    module
        The imported module.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        root = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != root:
            raise
        raise ImportError(
            f"{root} is not installed; it comes with: pip install 'metriclearn[{extra}]'",
            name=root,
        ) from None


def lazy(package):
    """Make a package load the names in its stub, ``__init__.pyi``, when they are asked for.

    Type checkers read the same stub, so that every public name is listed once.

    Parameters
    ----------
    package : str
        ``__name__`` of the package.

    Returns
    -------
    names : list of str
        The ``__all__`` of the package: the names in its stub that are no modules.
    load, directory : callable
        The ``__getattr__`` and ``__dir__`` of the package.

    Examples
    --------
    >>> names, load, _ = lazy("metriclearn.recommend")
    >>> names, load("ndcg").__name__
    (['CollaborativeMetric', 'hit_rate', 'ndcg'], 'ndcg')
    """
    stub = ast.parse(pkgutil.get_data(package, "__init__.pyi"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    modules = {alias.name: node.module for node in imports for alias in node.names}

    def load(name):
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if modules[name] == package:
            return import_module(f"{package}.{name}")
        return getattr(import_module(modules[name]), name)

    def directory():
        return sorted(modules)

    return [name for name, module in modules.items() if module != package], load, directory
