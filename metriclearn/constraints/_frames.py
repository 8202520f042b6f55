"""Tables of named rows, turned into row numbers."""

import numpy as np


def columns_of(frame, columns, width):
    """Return the columns that name rows, the first ``width`` by default, and all others."""
    every = list(frame.columns)
    if columns is None:
        columns = every[:width]
    columns = list(columns)
    if len(columns) != width:
        raise ValueError(f"columns must be {width} column names, got {columns}")
    missing = [column for column in columns if column not in every]
    if missing:
        raise ValueError(f"columns: {missing[0]!r} is not in the frame, which has {every}")
    return columns, [column for column in every if column not in columns]


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

    Raises
    ------
    ValueError
        For a name that is not there, or is there twice.
    """
    ids = np.asarray(ids).tolist()
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
