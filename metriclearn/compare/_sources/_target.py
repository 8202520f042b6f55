"""The target: labels that are classes, or amounts."""

import difflib

import numpy as np

from metriclearn._text import counted, option
from metriclearn.compare._arguments import is_one_of
from metriclearn.compare._inspect._labels import is_amount
from metriclearn.compare._tables._labels import as_frame, as_objects, read_amounts, read_labels

TASKS = ("classes", "amounts")
# Classes with fewer rows are not tested on, unless most rows are of such classes.
MIN_ROWS = 5
FEWEST_ROWS = 3
# Amounts: two folds, each with rows to fit on and rows to choose a setting by.
FEWEST_AMOUNTS = 20


def checked_target(y, n_rows, *, name, target, lines=None, min_rows=None, task=None):
    """Read the target, as classes or as amounts, and check that it can be compared on.

    Parameters
    ----------
    y : array-like of shape (n,)
    n_rows : int
        Rows of ``X``.
    name, target : str
        What errors call it, and its column in findings.
    lines : list of int, default=None
    min_rows : int, default=None
    task : {"classes", "amounts"}, default=None

    Returns
    -------
    checked : tuple or None
        Labels as read, their values, the fewest rows of a class that is tested on, and whether
        they are amounts; None where there are faults.
    faults : list of str
    """
    if task is not None and not is_one_of(task, TASKS):
        raise ValueError(f"task={task!r} must be 'classes' or 'amounts', or None to find out")
    try:
        labels = (
            read_labels(y, name=name, target=target, lines=lines) if task != "amounts" else None
        )
        amounts = task == "amounts" or (task is None and is_amount(labels.y))
        if amounts and min_rows is not None:
            raise ValueError(
                f"min_rows={min_rows} is of classes, and {name} holds amounts; leave it out, or "
                f"give {option('task', 'classes')}"
            )
        if amounts:
            labels = read_amounts(y, name=name, target=target, lines=lines)
        labels.check_rows(n_rows, name)
        n_empty = labels.n_given - len(labels.y)
        limit = (
            check_amounts(labels.y, name)
            if amounts
            else check_classes(labels.y, name, min_rows, n_empty=n_empty)
        )
        return (labels, labels.y, limit, amounts), []
    except ValueError as error:
        return None, [str(error)]


def check_amounts(y, target_name="y"):
    """Check that amounts vary and are enough; return 1, the rows that one of them needs."""
    if len(y) < FEWEST_AMOUNTS:
        raise ValueError(
            f"{target_name} has {counted(len(y), 'amount')}; at least {FEWEST_AMOUNTS} are needed"
        )
    if y.min() == y.max():
        raise ValueError(f"{target_name} is {y[0]:g} in every row: there is nothing to learn")
    return 1


def check_classes(y, target_name="y", min_rows=None, *, n_empty=0):
    """Check that labels are classes, and return the rows that one needs to be tested on.

    Parameters
    ----------
    y : ndarray of shape (n,)
    target_name : str, default="y"
    min_rows : int, default=None
    n_empty : int, default=0
        Rows beside them that have no label.

    Returns
    -------
    int
    """
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2:
        raise ValueError(
            f"{target_name} has one class only ({classes[:1].tolist()[0]!r}): a metric is learned "
            f"from rows of at least 2 classes"
        )
    if len(classes) == len(y) and n_empty > len(y):
        raise ValueError(
            f"{target_name} has {counted(len(y), 'label')}, each once, and {n_empty:,} rows have "
            f"none; if a label stands for the rows below it, write it into each of them"
        )
    if len(classes) == len(y):
        raise ValueError(
            f"{target_name} has a different label in every one of its {len(y)} rows: that is a "
            f"name or a measurement, not a class; choose a column whose labels repeat"
        )
    limit = min_rows
    if min_rows is None:
        enough = counts >= MIN_ROWS
        limit = MIN_ROWS
        if enough.sum() < 2 or counts[enough].sum() < 0.5 * counts.sum():
            limit = FEWEST_ROWS
    if (counts >= limit).sum() < 2:
        small = np.argsort(counts, kind="stable")
        names = ", ".join(f"{classes[i]} has {counted(int(counts[i]), 'row')}" for i in small[:5])
        asked = "" if min_rows is None else f"min_rows={min_rows}: "
        remedy = "add rows" if min_rows is None or min_rows <= FEWEST_ROWS else "lower min_rows"
        raise ValueError(
            f"{asked}{target_name}: fewer than 2 classes have the {limit} rows that are needed "
            f"(class {names}{', ...' if len(classes) > 5 else ''}); {remedy}"
        )
    return limit


def split_off(X, target):
    """Return the other columns of a table, and the column of labels.

    Parameters
    ----------
    X : DataFrame, or what ``as_frame`` makes one of
    target : str

    Returns
    -------
    X : DataFrame
    y : Series
    """
    X = as_frame(X)
    if X is None:
        raise ValueError(f"y={target!r}: X is no table with columns of names")
    columns = [str(column) for column in X.columns]
    if target not in columns:
        raise ValueError(f"y={target!r} is not a column of X; there are: {shown_columns(columns)}")
    at = columns.index(target)
    return X.iloc[:, [i for i in range(len(columns)) if i != at]], X.iloc[:, at]


def choose_columns(frame, groups=None, split=None, *, drop=(), keep=(), only=None):
    """Drop columns and take out those that name groups and the parts of a split.

    Parameters
    ----------
    frame : DataFrame
    groups, split : array-like of shape (n,) or str, default=None
    drop, keep : iterable of str, default=()
    only : iterable of str, default=None
        All that stay, in this order.

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
    for argument, names in (("drop", drop), ("keep", keep), (None, only or ())):
        absent = [name for name in names if name not in frame.columns]
        faults += [no_such_column(name, frame.columns, argument) for name in absent]
    if only is not None:
        frame = frame[[name for name in only if name in frame.columns]]
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


def shown_columns(columns):
    """Return the names of columns for a message, the first 30 of them."""
    more = f", … ({len(columns)} in all)" if len(columns) > 30 else ""
    return ", ".join(columns[:30]) + more


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
