"""Tables of named rows, turned into row numbers."""

import numpy as np

from metriclearn._validation import is_missing


def columns_of(frame, columns, width):
    """Return the columns that name rows, the first ``width`` by default, and all others."""
    if not hasattr(frame, "columns"):
        raise TypeError(f"frame must be a DataFrame, got a {type(frame).__name__}")
    every = list(frame.columns)
    if len(set(every)) < len(every):
        twice = next(name for name in every if every.count(name) > 1)
        raise ValueError(f"frame has the column {twice!r} twice; give each a name of its own")
    if columns is None:
        columns = every[:width]
    columns = list(columns)
    if len(columns) != width:
        raise ValueError(f"columns must be {width} column names, got {columns}")
    missing = [column for column in columns if column not in every]
    if missing:
        raise ValueError(f"columns: {missing[0]!r} is not in the frame, which has {every}")
    return columns, [column for column in every if column not in columns]


def column_of(frame, name, argument):
    """Return a column as an array; ``ValueError`` naming the argument where there is none."""
    if name not in list(frame.columns):
        raise ValueError(
            f"{argument}={name!r} is not a column of the frame, which has {list(frame.columns)}"
        )
    return np.asarray(frame[name])


def _names(ids):
    """Return the names of rows as a list; without an order they cannot be told apart."""
    if isinstance(ids, (str, bytes, dict, set, frozenset)):
        raise TypeError(
            f"ids must name the rows of X in their order, as a list or a column does, got a "
            f"{type(ids).__name__}"
        )
    if isinstance(ids, (list, tuple)):
        names = list(ids)
    else:
        names = np.asarray(ids)
        if names.ndim != 1:
            raise ValueError(f"ids must be of shape (n_rows,), got {names.shape}")
        names = names.tolist()
    for name in names:
        if is_missing(name):
            raise ValueError(f"ids: {name} is no name of a row; give each row one")
        try:
            hash(name)
        except TypeError:
            raise TypeError(f"ids: {name!r:.60} cannot name a row: it is not hashable") from None
    return names


def row_numbers(frame, columns, ids):
    """Look up names of rows.

    Parameters
    ----------
    frame : DataFrame
    columns : sequence of column names
    ids : array-like of shape (n_rows,)
        The name of each row of ``X``.

    Returns
    -------
    ndarray of int, shape (len(frame), len(columns))
    """
    ids = _names(ids)
    numbers = {name: number for number, name in enumerate(ids)}
    if len(numbers) < len(ids):
        seen = set()
        twice = next(name for name in ids if name in seen or seen.add(name))
        raise ValueError(f"ids: {twice!r} comes twice; each row of X needs a name of its own")
    named = [np.asarray(frame[column]).tolist() for column in columns]
    unknown = [
        (name, row) for names in named for row, name in enumerate(names) if name not in numbers
    ]
    if unknown:
        name, row = min(unknown, key=lambda found: found[1])
        more = f" (and {len(unknown) - 1} more such names)" if len(unknown) > 1 else ""
        raise ValueError(f"frame: row {row} names {name!r}, which is not in ids{more}")
    return np.array([[numbers[name] for name in names] for names in named], dtype=np.intp).T
