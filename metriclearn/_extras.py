"""Optional dependencies: one line that says what to install."""

from importlib import import_module


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
