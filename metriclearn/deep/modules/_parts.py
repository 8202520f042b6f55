"""Modules, losses, miners and samplers by name, by class or ready-made."""

import copy
import difflib
import functools
import inspect


def resolve(kind, spec, table):
    """Return the class that a name stands for; a class or an instance comes back as it is.

    Parameters
    ----------
    kind : str
        Name of the argument, for the error.
    spec : str, type or object
    table : dict of str to type
    """
    if not isinstance(spec, str):
        return spec
    if spec not in table:
        raise ValueError(
            f"{kind}={spec!r} is not known{nearest(spec, table)}; known are: "
            f"{', '.join(sorted(table))}"
        )
    return table[spec]


def build(kind, component, params, offers=None):
    """Make an instance of a component class, or a copy of an instance.

    Parameters
    ----------
    kind : str
        Name of the argument; its parameters are ``{kind}_params``.
    component : type, callable or object
        A class is called with the parameters; an instance is copied, so that
        the caller's own is never trained in place.
    params : dict or None
        The user's parameters: each must be one that the class takes.
    offers : dict, default=None
        What fitting knows (sizes); each is passed where the class takes it and
        the user did not give it.
    """
    params = {} if params is None else params
    if not _is_maker(component):
        if params:
            raise ValueError(
                f"{kind}_params={params} cannot be set on a ready-made "
                f"{type(component).__name__}; set them on it, or give {kind} as a name or class"
            )
        return copy.deepcopy(component)
    offers = {} if offers is None else offers
    check_params(kind, component, params, offers)
    for name in _needed(component):
        if name not in params and name not in offers:
            raise ValueError(
                f"{kind}_params lacks {name!r}, which {_name(component)} needs: "
                f"{kind}_params={{{name!r}: ...}}"
            )
    takes = argument_names(component)
    offered = {name: value for name, value in offers.items() if name in takes}
    return component(**{**offered, **params})


def check_params(kind, component, params, offers=()):
    """Check that a class or function takes the parameters.

    Parameters
    ----------
    kind : str
        Name of the argument; its parameters are ``{kind}_params``.
    component : type or callable
    params : dict
    offers : iterable of str
        Names that are not the user's to give, and so are not proposed.
    """
    takes = argument_names(component)
    settable = [name for name in takes if name not in offers and name != "**"]
    for name in params:
        if name not in takes and "**" not in takes:
            raise ValueError(
                f"{kind}_params has {name!r}, which {_name(component)} does not take"
                f"{nearest(name, settable)}; it takes: {', '.join(settable) or 'nothing'}"
            )


def argument_names(component):
    """Names of the arguments of a class or function, "**" where it takes any."""
    if not _is_maker(component):
        return []
    parameters = inspect.signature(component).parameters.values()
    return [
        "**" if p.kind == p.VAR_KEYWORD else p.name
        for p in parameters
        if p.kind != p.VAR_POSITIONAL
    ]


def _needed(component):
    """Names of the arguments that have no default."""
    return [
        p.name
        for p in inspect.signature(component).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def _name(component):
    return str(component) if isinstance(component, functools.partial) else component.__name__


def _is_maker(component):
    """Whether this makes a component when called, rather than being one."""
    return (
        inspect.isclass(component)
        or inspect.isroutine(component)
        or isinstance(component, functools.partial)
    )


def nearest(name, names):
    """Say which of the names is meant, where one is near; else nothing."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
