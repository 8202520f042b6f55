"""Arguments of an estimator: what each may be, "auto", nested ones, kept, and compared."""

from __future__ import annotations

import inspect
import numbers
from numbers import Integral
from os import PathLike

import numpy as np
import torch

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, HasMethods, at_least, between, one_of
from metriclearn.deep.losses import LOSSES, REGULARIZERS, WRAPPERS
from metriclearn.deep.miners import CLASS_MINERS, MINERS
from metriclearn.deep.modules import MODULES, Head, Pretrained
from metriclearn.deep.modules._libraries import find_library
from metriclearn.deep.modules._parts import check_params
from metriclearn.deep.samplers import SAMPLERS
from metriclearn.deep.training._optimizer import OPTIMIZERS
from metriclearn.deep.training._recipe import SCHEDULES


def copied(arguments):
    """Copy arguments as far as a caller may change them in place: dicts and lists, not objects."""
    return {
        name: value.copy() if isinstance(value, dict | list) else value
        for name, value in arguments.items()
    }


def same(a, b):
    """Whether two arguments are the same: equal numbers, words and arrays, identical objects."""
    if a is b:
        return True
    if isinstance(a, numbers.Number) and isinstance(b, numbers.Number):
        return a == b
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    return bool(a == b)


#: As scikit-learn's estimators declare them.
CONSTRAINTS = {
    "module": [str, HasMethods("forward")],
    "loss": [str, HasMethods("forward")],
    "miner": [str, callable, None],
    "sampler": [str, HasMethods("epoch")],
    "n_components": [at_least(1), one_of("auto"), None],
    "module_params": [dict, None],
    "head_params": [dict, None],
    "loss_params": [dict, None],
    "miner_params": [dict, None],
    "sampler_params": [dict, None],
    "optimizer": [str, callable],
    "optimizer_params": [dict, None],
    "lr": [POSITIVE],
    "backbone_lr": [NOT_NEGATIVE, one_of("auto"), None],
    "proxy_lr": [NOT_NEGATIVE, None],
    "schedule": [str, callable],
    "schedule_params": [dict, None],
    "warmup_epochs": [at_least(0), one_of("auto")],
    "freeze_batch_norm": ["boolean", one_of("auto")],
    "batch_size": [at_least(1)],
    "chunk_size": [at_least(1), None],
    "ema_decay": [between(0, 1, "neither"), None],
    "max_epochs": [at_least(1), one_of("auto")],
    "validation": [one_of("auto", "class_disjoint", "stratified"), "array-like", None],
    "validation_fraction": [between(0, 1, "neither")],
    "patience": [at_least(1), one_of("auto"), None],
    "image_shape": [tuple, list, None],
    "image_size": [Integral, tuple, list, None],
    "augment": [str, callable, None],
    "precision": [str],
    "checkpoint": [str, PathLike, None],
    "compile": ["boolean"],
    "callbacks": [list, None],
    "device": [str, torch.device],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}
#: Table in which each part is found by name; the head has one class only.
COMPONENTS = {
    "module": MODULES,
    "head": Head,
    "loss": LOSSES | REGULARIZERS | WRAPPERS,
    "miner": MINERS | CLASS_MINERS,
    "sampler": SAMPLERS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}


#: Of the head's rate, that of layers which have learned to see already.
BACKBONE_SHARE = 0.1
#: Of networks that begin at random.
_FRESH = {"backbone_lr": None, "warmup_epochs": 0, "freeze_batch_norm": False}


def settled(arguments):
    """Return the arguments of an embedder with values in place of "auto".

    Parameters
    ----------
    arguments : dict
        Of the constructor.

    Returns
    -------
    dict
        A pretrained backbone gets a tenth of the head's rate, one epoch in which the head alone
        is trained, where it has weights, and statistics of batch normalization that stand still.
    """
    values = _FRESH
    if is_pretrained(arguments["module"], arguments["module_params"]):
        values = {
            "backbone_lr": BACKBONE_SHARE * arguments["lr"],
            "warmup_epochs": int(_has_linear_head(arguments)),
            "freeze_batch_norm": True,
        }
    autos = {name: value for name, value in values.items() if _is_auto(arguments[name])}
    return {**arguments, **autos}


def shown(arguments):
    """Say which of the photo defaults are in use; nothing where none is.

    Parameters
    ----------
    arguments : dict
        Of the constructor.

    Returns
    -------
    str
    """
    if not is_pretrained(arguments["module"], arguments["module_params"]):
        return ""
    values = settled(arguments)
    chosen = [f"{name}={values[name]:g}" for name in ("backbone_lr", "warmup_epochs")]
    chosen.append(f"freeze_batch_norm={values['freeze_batch_norm']}")
    asked = ("backbone_lr", "warmup_epochs", "freeze_batch_norm")
    named = [text for name, text in zip(asked, chosen, strict=True) if _is_auto(arguments[name])]
    return f"pretrained network: {', '.join(named)}" if named else ""


def is_pretrained(module, params):
    """Whether a module begins with weights that were trained elsewhere, as far as it can be known.

    Parameters
    ----------
    module : str, type or nn.Module
    params : dict or None
    """
    params = params or {}
    if isinstance(module, str):
        library = find_library(module)
        asked = params.get("weights" if library == "torchvision" else "pretrained", True)
        return bool(library is not None and asked)
    return isinstance(module, Pretrained) or module is Pretrained


def _has_linear_head(arguments):
    n_components = arguments["n_components"]
    if n_components == "auto":
        return isinstance(arguments["module"], str)
    return n_components is not None


def _is_auto(value):
    return isinstance(value, str) and value == "auto"


def check_nested(estimator, component, params):
    """Check that the part of an estimator of this name takes the parameters, where it is known.

    Parameters
    ----------
    estimator : estimator
    component : str
        One of `COMPONENTS`, or such a one of the documents.
    params : dict
    """
    taker = table = COMPONENTS[component.removeprefix("document_")]
    if isinstance(table, dict):
        given = estimator.get_params(deep=False)[component]
        known = table.get(given) if isinstance(given, str) else given
        taker = known if inspect.isclass(known) else None
    if taker is not None:
        check_params(component, taker, params)
