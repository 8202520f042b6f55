"""Columns by name: those dropped, those kept, and the one that names groups."""

import difflib

import numpy as np

from metriclearn.compare._tables._labels import as_objects


def choose_columns(frame, groups=None, split=None, *, drop=(), keep=()):
    """Drop columns and take out those that name groups and the parts of a split.

    Parameters
    ----------
    frame : DataFrame
    groups, split : array-like of shape (n,) or str, default=None
    drop, keep : iterable of str, default=()

    Returns
    -------
    frame : DataFrame
    groups, split : array-like or None
    faults : list of str
        Names that are no columns.
    """
    frame = frame.copy(deep=False)
    frame.columns = [str(column) for column in frame.columns]
    faults, out = [], [str(name) for name in drop]
    taken = {"groups": groups, "split": split}
    for argument, name in taken.items():
        if isinstance(name, str):
            there = name in frame.columns
            out += [name] if there else []
            faults += [] if there else [no_such_column(name, frame.columns, argument)]
            taken[argument] = frame[name] if there else None
    faults += [
        no_such_column(name, frame.columns, "drop") for name in drop if name not in frame.columns
    ]
    faults += [
        no_such_column(name, frame.columns, "keep") for name in keep if name not in frame.columns
    ]
    frame = frame.drop(columns=[name for name in out if name in frame.columns])
    return frame, taken["groups"], taken["split"], faults


def no_such_column(name, columns, argument=None, shown=None):
    """Say that there is no column of a name, and what there is."""
    columns = [str(column) for column in columns]
    lower = {column.lower(): column for column in columns}
    near = difflib.get_close_matches(str(name).lower(), lower, n=1)
    hint = f"; did you mean {lower[near[0]]!r}?" if near else "."
    before = f"{argument}: " if argument else ""
    return f"{before}no column {name!r}{hint} There are: {shown or shown_columns(columns)}"


def shown_columns(columns, most=30):
    """Return the names of columns for a message."""
    more = f", … ({len(columns)} in all)" if len(columns) > most else ""
    return ", ".join(columns[:most]) + more


def group_codes(groups, n_rows, rows):
    """Assign numbers to the groups of some rows; a row without a group is one of its own.

    Parameters
    ----------
    groups : array-like of shape (n_rows,) or None
    n_rows : int
    rows : ndarray of int
        The rows that are used.

    Returns
    -------
    ndarray of int, shape (len(rows),), or None
    """
    if groups is None:
        return None
    groups = as_objects(groups, "groups")
    if len(groups) != n_rows:
        raise ValueError(f"groups has {len(groups)} values for the {n_rows} rows of X")
    names = [
        f"row {i}" if group is None or group != group or str(group).strip() == "" else f"={group}"
        for i, group in enumerate(groups)
    ]
    codes = np.unique(np.array(names), return_inverse=True)[1].reshape(-1)[rows]
    if codes.min() == codes.max():
        raise ValueError("groups has one group only; at least 2 are needed to split between them")
    return codes
