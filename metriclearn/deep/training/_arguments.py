"""Arguments of an estimator, kept and compared."""

import numbers

import numpy as np
import torch


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
