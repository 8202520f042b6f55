"""What a run is recognized by: its settings and its data, the same in another process."""

import hashlib
import inspect
import zlib
from functools import partial

import numpy as np
import torch

# What may differ: a run goes on for more epochs than it was to have.
EPOCHS = "epochs"
# Of a text longer than this the digest is kept.
LONGEST = 60


def fingerprint(params, epochs, data):
    """Describe the settings and what is trained on, a word for each.

    Parameters
    ----------
    params : dict
        Of the estimator; those that do not change the result left out.
    epochs : int
        Most epochs of the run.
    data : LabeledData or ConstraintData

    Returns
    -------
    dict of str to str
        The value of each argument where it is short and plain, else a digest; "X" and "y" are
        digests of the rows and of what they are trained by.
    """
    found = {name: _word(_describe(value)) for name, value in params.items()}
    rows = [np.ascontiguousarray(data.rows.sample(1000))]
    facts = map(np.ascontiguousarray, data.facts())
    found["X"] = _word([len(data.rows), *map(_describe, rows)])
    found["y"] = _word([*map(_describe, facts)])
    return {**found, EPOCHS: str(epochs)}


def differences(before, now):
    """Say in what two fingerprints differ, more epochs excepted.

    Parameters
    ----------
    before, now : dict of str to str

    Returns
    -------
    list of str
    """
    if not isinstance(before, dict):
        return ["it was written by an earlier version of metriclearn"]
    found = []
    for name in sorted(before.keys() | now.keys()):
        a, b = before.get(name, "nothing"), now.get(name, "nothing")
        if name == EPOCHS and a.isdigit() and int(a) <= int(b):
            continue
        if name in ("X", "y") and a != b:
            found.append(f"{name} is not the same")
        elif a != b:
            found.append(f"{name} was {a}, now {b}")
    return found


def _word(described):
    text = repr(described)
    if len(text) <= LONGEST and not isinstance(described, tuple):
        return text
    return f"{text[:20]}... ({hashlib.sha256(text.encode()).hexdigest()[:16]})"


def _describe(value):
    """Return plain values that are the same in another process, unlike an object's address."""
    if isinstance(value, dict):
        return {key: _describe(entry) for key, entry in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_describe(entry) for entry in value]
    if isinstance(value, str | bool | int | float | None):
        return value
    if isinstance(value, torch.Tensor):  # as bytes: numpy does not know every dtype
        values = value.detach().cpu().contiguous().flatten().view(torch.uint8)
        return tuple(value.shape), str(value.dtype), zlib.crc32(values.numpy())
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), zlib.crc32(np.ascontiguousarray(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, partial):
        return "partial", _describe([value.func, value.args, value.keywords])
    if inspect.isfunction(value):
        code = value.__code__
        constants = [constant for constant in code.co_consts if not inspect.iscode(constant)]
        return value.__qualname__, zlib.crc32(code.co_code), repr(constants)
    if inspect.isclass(value) or inspect.isroutine(value):
        return value.__qualname__
    said = {k: v for k, v in _attributes(value).items() if not k.startswith("_")}
    if isinstance(value, torch.nn.Module):
        said |= {"parts": dict(value.named_children()), "state": value.state_dict()}
    return type(value).__qualname__, _describe(said)


def _attributes(value):
    try:
        return vars(value)
    except TypeError:  # one with slots only
        return {}
