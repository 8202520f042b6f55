"""The target column to class labels, read as they are meant."""

import re
from dataclasses import dataclass

import numpy as np

from metriclearn._arrays import check_in_memory
from metriclearn._extras import require
from metriclearn._text import counted
from metriclearn._validation import UNLABELED, is_labeled
from metriclearn.compare._inspect._finding import Finding, make_finding
from metriclearn.compare._tables._numbers import find_decimal, is_missing, parse_numbers


@dataclass(frozen=True)
class Labels:
    """Class labels as read.

    Attributes
    ----------
    y : ndarray of shape (n_labeled,)
        Labels of the rows that have one: integers, floats or strings.
    rows : ndarray of int, shape (n_labeled,)
        Those rows, rising.
    n_given : int
        Rows with and without a label.
    notes : tuple of str
    findings : tuple of Finding
        Of the kind "unreadable", for rows without a label.
    """

    y: np.ndarray
    rows: np.ndarray
    n_given: int
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def check_rows(self, n_rows, name="y"):
        """Raise a ValueError where they are not one for each row."""
        if self.n_given != n_rows:
            raise ValueError(f"{name} has {self.n_given} labels for the {n_rows} rows of X")


def read_labels(values, *, name="y", target="y", lines=None):
    """Read class labels.

    The strings ``"None"`` and ``"NA"`` are labels; None, NaN, ``pandas.NA`` and an empty cell
    are none, nor is -1 among integers, unless there is one other label only:
    then both are read as text. Bytes are decoded. Whole numbers stay or become integers.

    Parameters
    ----------
    values : array-like of shape (n,)
        An array, a Series of pandas or polars, a list.
    name : str, default="y"
        What errors call the labels.
    target : str, default="y"
        Name of their column, for findings.
    lines : list of int, default=None
        Lines of the file, by which rows are named.

    Returns
    -------
    Labels
    """
    values = as_objects(values, name)
    strings = np.array([_as_label(value) for value in values], dtype=object)
    missing = np.array([value is None for value in strings], dtype=bool)
    findings = _without_label(np.flatnonzero(missing), len(values), target, lines)
    rows = np.flatnonzero(~missing)
    if len(rows) == 0:
        raise ValueError(f"{name} has no label in any of its {len(values)} rows")
    y, notes = _settled(strings[rows])
    unknown = np.flatnonzero(~is_labeled(y)) if y.dtype.kind == "i" else []
    if len(unknown) == 0:
        return Labels(y, rows, len(values), notes, findings)
    if len(np.unique(y)) <= 2:
        notes += (f"The label {UNLABELED} is a class beside one other; both are read as text.",)
        return Labels(y.astype(str), rows, len(values), notes, findings)
    findings += _without_label(rows[unknown], len(values), target, lines, UNLABELED)
    labeled = is_labeled(y)
    return Labels(y[labeled], rows[labeled], len(values), notes, findings)


def read_amounts(values, *, name="y", target="y", lines=None):
    """Read a target of amounts; of numbers as text, too.

    Parameters
    ----------
    values, name, target, lines
        See `read_labels`; -1 is an amount like any other.

    Returns
    -------
    Labels
        With ``y`` in float64.

    Examples
    --------
    >>> read_amounts(["1.5", None, "-1"]).y
    array([ 1.5, -1. ])
    """
    values = as_objects(values, name)
    cells = np.array([_as_label(value) for value in values], dtype=object)
    missing = np.array([cell is None for cell in cells], dtype=bool)
    rows = np.flatnonzero(~missing)
    if len(rows) == 0:
        raise ValueError(f"{name} has no amount in any of its {len(values)} rows")
    y, notes = _settled(cells[rows])
    if y.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} holds {str(y[0])!r}, which is no amount; task 'classes' takes text for classes"
        )
    if not np.isfinite(y.astype(np.float64)).all():
        raise ValueError(f"{name} has infinite amounts; leave these rows out")
    findings = _without_label(np.flatnonzero(missing), len(values), target, lines)
    return Labels(y.astype(np.float64), rows, len(values), notes, findings)


def as_objects(values, name="y"):
    """Return one label a row as an array of Python objects."""
    check_read(values, name)
    if hasattr(values, "to_numpy"):
        # Nullable and categorical columns keep their missing values this way.
        to_list = getattr(values, "to_list", None)
        array = np.empty(len(values), dtype=object)
        cells = to_list() if to_list is not None and getattr(values, "ndim", 1) == 1 else None
        if cells is None:
            array = np.asarray(values.to_numpy(), dtype=object)
        else:
            array[:] = cells
    else:
        try:
            array = np.asarray(values)
        except ValueError:  # of parts that differ in length
            array = np.asarray(None)
        if array.dtype.kind in "mM":
            array = array.astype("datetime64[ns]").astype(str) if array.dtype.kind == "M" else array
        array = array.astype(object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        given = f"shape {array.shape}" if array.ndim else type(values).__name__
        more = "; folds are drawn by n_folds and groups, not by a splitter" * (name == "split")
        raise ValueError(f"{name} must be one label per row, got {given}{more}")
    return array


def check_read(values, name):
    """Raise a ``ValueError`` for rows that are still to be read, such as those of a query."""
    try:
        check_in_memory(values, name)
    except TypeError as error:
        raise ValueError(str(error)) from None


def check_order(X, values, name):
    """Raise a ValueError where labels have the index of a frame in another order.

    Rows are matched by their place, as everywhere in scikit-learn.
    """
    index, other = getattr(X, "index", None), getattr(values, "index", None)
    if not (hasattr(index, "equals") and hasattr(other, "equals")) or index.equals(other):
        return
    if len(index) == len(other) and index.is_unique and index.isin(other).all():
        raise ValueError(f"{name} has the index of X in another order; give {name}.loc[X.index]")


def _as_label(value):
    """Return a label as a string, a number or a bool; None where there is none."""
    if value is None or value is _na():
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return None if np.isnan(value) else value
    if value != value:  # NaT
        return None
    return str(value)


def _na():
    import sys

    pandas = sys.modules.get("pandas")
    return None if pandas is None else pandas.NA


def _without_label(rows, n_rows, target, lines, label=None):
    if len(rows) == 0:
        return ()
    places = [f"line {lines[row]}" if lines is not None else f"row {row}" for row in rows[:5]]
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    verb = "has" if len(rows) == 1 else "have"
    known = "no label" if label is None else f"the label {label}, which marks an unknown class"
    text = f"{counted(len(rows), 'row')} of {n_rows:,} {verb} {known} ({', '.join(places)}{more})."
    columns = [] if target == "y" else [target]
    return (make_finding("unreadable", text, "Left out.", columns=columns, rows=rows),)


def _settled(labels):
    """Bring labels to one type."""
    if all(isinstance(label, bool) for label in labels):
        return labels.astype(bool), ()
    if all(isinstance(label, bool | int) for label in labels):
        return _as_whole(labels.astype(object)), ()
    if all(isinstance(label, bool | int | float) for label in labels):
        return _as_whole(labels.astype(np.float64)), ()
    if not all(isinstance(label, str) for label in labels):
        labels = np.array([str(label) for label in labels], dtype=object)
        notes = ("The labels are numbers and text; all were read as text.",)
    else:
        notes = ()
    return _from_text(labels, notes)


def _as_whole(labels):
    try:
        whole = labels.astype(np.int64)
    except (OverflowError, ValueError):
        return labels.astype(str) if labels.dtype == object else labels
    return whole if (whole == labels).all() else labels.astype(np.float64)


def _from_text(labels, notes):
    labels = labels.astype(str)
    distinct, codes = np.unique(labels, return_inverse=True)
    stripped = np.array([text.strip() for text in distinct])
    if len(np.unique(stripped)) == len(stripped):  # blanks that tell no classes apart
        distinct = stripped
    distinct = [str(text) for text in distinct]
    plain = all(_PLAIN.match(text) for text in distinct)  # no codes such as 007
    if plain or (len(distinct) > 30 and _no_codes(distinct)):
        numbers, remarks = parse_numbers(distinct, decimal=find_decimal(distinct))
        is_amount = len(distinct) > 30
        if not np.isnan(numbers).any() and (is_amount or len(set(numbers)) == len(numbers)):
            notes += tuple(f"The labels are numbers; {remark}." for remark in remarks)
            return _as_whole(numbers)[codes.reshape(-1)], notes
    looks_missing = [text for text in distinct if is_missing(text)]
    if looks_missing:
        counts = np.bincount(codes.reshape(-1))
        shown = ", ".join(
            f"{text!r} ({counted(int(counts[distinct.index(text)]), 'row')})"
            for text in looks_missing
        )
        notes += (f"{shown} {'is' if len(looks_missing) == 1 else 'are'} taken as a class.",)
    return np.array(distinct)[codes.reshape(-1)], notes


_PLAIN = re.compile(r"-?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d+)?$")


def _no_codes(distinct):
    return not any(text.strip()[:1] == "0" and text.strip().isdigit() for text in distinct)


def as_frame(X):
    """Return what a user gave as a DataFrame of pandas; None where it is no table with names.

    Frames of polars, pyarrow and dask, structured arrays and dicts of columns become frames.
    """
    if isinstance(X, np.ndarray):
        if X.dtype.names is None:
            return None
        pandas = require("pandas", "cli")
        return pandas.DataFrame({name: X[name] for name in X.dtype.names})
    if isinstance(X, dict):
        return require("pandas", "cli").DataFrame(X)
    if hasattr(X, "npartitions") and hasattr(X, "compute"):  # of dask: all rows are needed
        X = X.compute()
    check_read(X, "X")
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        return X
    if hasattr(X, "to_pandas"):
        frame = X.to_pandas()
        return frame if hasattr(frame, "columns") else None
    return None
