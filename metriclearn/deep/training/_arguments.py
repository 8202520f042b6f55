"""Arguments of an estimator: what each may be, kept, and compared."""

import numbers
from numbers import Integral, Real
from os import PathLike

import numpy as np
import torch

from metriclearn._sklearn import HasMethods, Interval, StrOptions
from metriclearn.deep.losses import LOSSES, WRAPPERS
from metriclearn.deep.miners import MINERS
from metriclearn.deep.modules import MODULES, Head
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
    "n_components": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), None],
    "module_params": [dict, None],
    "head_params": [dict, None],
    "loss_params": [dict, None],
    "miner_params": [dict, None],
    "sampler_params": [dict, None],
    "optimizer": [str, callable],
    "optimizer_params": [dict, None],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "backbone_lr": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"}), None],
    "proxy_lr": [Interval(Real, 0, None, closed="left"), None],
    "schedule": [str, callable],
    "schedule_params": [dict, None],
    "warmup_epochs": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
    "freeze_batch_norm": ["boolean", StrOptions({"auto"})],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "chunk_size": [Interval(Integral, 1, None, closed="left"), None],
    "ema_decay": [Interval(Real, 0, 1, closed="neither"), None],
    "max_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "validation": [StrOptions({"auto", "class_disjoint", "stratified"}), "array-like", None],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "patience": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), None],
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
    "loss": LOSSES | WRAPPERS,
    "miner": MINERS,
    "sampler": SAMPLERS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}
