"""Warnings of arguments that were set and do nothing."""

import inspect
import warnings


def warn_unused(estimator, unused):
    """Warn of each parameter of an estimator that was set and does nothing beside the others.

    Parameters
    ----------
    estimator : estimator
    unused : dict
        When each of the parameters that this fit does not use is used, by name.
    """
    for name, when in unused.items():
        warn_ignored(type(estimator), {name: getattr(estimator, name)}, when, stacklevel=6)


def warn_ignored(owner, given, when, stacklevel=4):
    """Warn of each argument of a function or a class that was given and does nothing.

    What is as by default, None or False asks for nothing.

    Parameters
    ----------
    owner : class or function
    given : dict
        Values by name.
    when : str
        When they are used.
    stacklevel : int, default=4
        As `warn_without_effect` is called here; 4 is who calls the function.
    """
    parameters = inspect.signature(owner).parameters
    name_of = owner.__qualname__.partition(".")[0]
    for name, value in given.items():
        default = parameters[name].default
        if value is None or value is False:
            continue
        if type(value) is not type(default) or value != default:
            warn_without_effect(name_of, name, value, when, stacklevel)


def warn_without_effect(owner, name, value, when, stacklevel=3):
    """Warn that an argument does nothing beside the others.

    Parameters
    ----------
    owner : str
        Whose argument it is.
    name : str
    value : object
        As given.
    when : str
        When it is used.
    stacklevel : int, default=3
    """
    shown = " ".join(repr(value).split())
    warnings.warn(
        f"{owner}: {name}={shown:.60} has no effect here, it is only used {when}",
        UserWarning,
        stacklevel=stacklevel,
    )
