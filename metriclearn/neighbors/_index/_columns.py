"""Columns of a payload: numbers, text, dates, each with entries that may be missing."""

import numpy as np

from metriclearn._validation import check_unmasked, is_missing
from metriclearn.neighbors._index._ids import as_given, check_text, grown, whole_numbers

_KINDS = "biufUM"


class Column:
    """Values of one kind that grow in place; missing ones are marked beside them.

    Parameters
    ----------
    values : ndarray of shape (n,)
    missing : ndarray of bool, shape (n,), default=None
        None where nothing is missing.
    """

    def __init__(self, values, missing=None):
        self._store = values
        self._missing = missing
        self.n = len(values)

    @property
    def values(self):
        """The values, with something of the same dtype where one is missing."""
        return self._store[: self.n]

    @property
    def missing(self):
        """Where values are missing, or None."""
        return None if self._missing is None else self._missing[: self.n]

    def take(self, rows):
        """Return values of rows; of dtype object, with None, where one of them is missing."""
        values = self.values[rows]
        if self._missing is None:
            return values
        missing = self.missing[rows]
        if not np.any(missing):
            return values
        values = values.astype(object)
        values[missing] = None
        return values

    def append(self, other):
        """Add the values of another column, of a kind that :meth:`joined` accepts."""
        dtype = self.joined(other)
        n, more = self.n, other.n
        self._store = grown(self._store, n, more, dtype)
        self._store[n : n + more] = other.values
        if self._missing is not None or other.missing is not None:
            mask = np.zeros(n, bool) if self._missing is None else self._missing
            self._missing = grown(mask, n, more, np.dtype(bool))
            self._missing[n : n + more] = False if other.missing is None else other.missing
        self.n += more

    def joined(self, other):
        """Return the dtype that holds both columns, None where none does without loss."""
        mine, theirs = self._store.dtype, other.values.dtype
        if self.all_missing:
            return theirs
        if other.all_missing:
            return mine
        groups = ("b", "iuf", "U", "M")
        if not any(mine.kind in group and theirs.kind in group for group in groups):
            return None
        dtype = np.result_type(mine, theirs)
        # Of int64 and uint64 numpy makes float64, which holds neither.
        return None if dtype.kind == "f" and "f" not in mine.kind + theirs.kind else dtype

    @property
    def all_missing(self):
        """Whether there is no value, so that the dtype means nothing."""
        return self.n == 0 or (self._missing is not None and bool(self.missing.all()))

    def kept(self, mask):
        """Return a column of some of the rows."""
        missing = None if self._missing is None else self.missing[mask]
        return Column(self.values[mask], missing)


def as_column(values, name, n):
    """Read a column of ``n`` values.

    Parameters
    ----------
    values : array-like of shape (n,)
        Numbers, text, dates; None, NaN among text, and what pandas calls missing may be
        among them.
    name, n
        Of the column, for the error.

    Returns
    -------
    Column
    """
    check_unmasked(values, f"payload: column {name!r}")
    try:
        array = as_given(values)
    except ValueError:  # lists of different lengths
        array = np.empty(0, dtype=object)
    missing = None
    if array.dtype.kind in "OT" and array.shape == (n,):
        array, missing = _from_objects(array, name)
    if array.shape != (n,) or array.dtype.kind not in _KINDS:
        raise ValueError(
            f"payload: column {name!r} must hold {n} numbers or strings, got {array.dtype} of "
            f"shape {array.shape}"
        )
    return Column(array, missing)


def _from_objects(array, name):
    values = array.tolist()
    missing = np.array([is_missing(value) for value in values], dtype=bool)
    there = [value for value, gone in zip(values, missing, strict=True) if not gone]
    kinds = {_kind(value) for value in there}
    if len(kinds) > 1 or None in kinds:
        found = sorted({type(value).__name__ for value in there})
        raise ValueError(
            f"payload: column {name!r} must hold numbers or strings of one kind, got "
            f"{' and '.join(found)}"
        )
    if kinds == {"number"} and all(isinstance(value, int | np.integer) for value in there):
        filled = whole_numbers(there)
        if filled is None:
            raise ValueError(f"payload: column {name!r} holds numbers that do not fit 64 bits")
    else:
        check_text(there, f"payload: column {name!r}")
        filled = np.array(there if there else [""])
    whole = np.zeros(len(values), filled.dtype)
    if there:
        whole[~missing] = filled
    return whole, missing if missing.any() else None


def _kind(value):
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool | np.bool_):
        return "truth"
    if isinstance(value, int | float | np.integer | np.floating):
        return "number"
    if isinstance(value, np.datetime64):
        return "date"
    return None
