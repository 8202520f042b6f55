"""Labels with parts of different units: a position and an angle."""

from numbers import Integral, Real

import numpy as np


def columns_of_parts(parts, width=None):
    """Return the columns of each part, checked against the ``width`` of the labels."""
    try:
        columns = [list(part) for part in parts]
        named = [column for part in columns for column in part]
        whole = all(columns) and all(isinstance(column, Integral) for column in named)
    except TypeError:
        whole = False
    if not whole or sorted(named) != list(range(width or max(len(named), 1))):
        every = "each column of the labels" if width is None else f"each of {width} label columns"
        raise ValueError(
            f"parts must name {every} once, as ((0, 1), (2,)) does of three columns, got {parts}"
        )
    return columns


def value_of_each_part(value, parts, name, allowed, missing=True):
    """Return the value of an argument for each part, given as one for all or one for each.

    Parameters
    ----------
    value : number, None or a sequence of them
    parts : sequence or None
        None where labels have one part.
    name : str
    allowed : Interval
        Of the numbers of a sequence.
    missing : bool, default=True
        Whether a part may have None.
    """
    n_parts = 1 if parts is None else len(parts)
    if value is None or isinstance(value, Real):
        return [value] * n_parts
    values = list(value)
    if parts is None:
        raise ValueError(f"{name} must be one number where parts is None, got {value}")
    if len(values) != n_parts:
        raise ValueError(f"{name} must have a value for each of {n_parts} parts, got {value}")
    for one in values:
        known = isinstance(one, Real) and not isinstance(one, bool | np.bool_)
        if not (missing and one is None) and not (known and one in allowed):
            raise ValueError(f"{name} must have values that are {allowed}, got {value}")
    return values
