"""Ids of the rows of an index: distinct, found fast, added to in place."""

import contextlib

import numpy as np

from metriclearn._validation import check_unmasked

_TEXT = "U"
_TEXT_STEP = 8


def as_ids(ids):
    """Read ids as whole numbers (int64, or uint64 where they need it) or text.

    Parameters
    ----------
    ids : array-like of int or str, any shape
        Also columns of pandas, whatever their dtype.

    Returns
    -------
    ndarray
    """
    check_unmasked(ids, "ids")
    ids = as_given(ids)
    if ids.dtype.kind == "O" or type(ids.dtype).__name__ == "StringDType":
        ids = _from_objects(ids)
    if ids.size == 0 and ids.dtype.kind == "f":
        return ids.astype(np.int64)
    if ids.dtype.kind == _TEXT:
        return ids
    if ids.dtype.kind not in "iu":
        raise ValueError(f"ids must be whole numbers or strings, got dtype {ids.dtype}")
    beyond = ids.dtype == np.uint64 and ids.size and ids.max() > np.iinfo(np.int64).max
    return ids if beyond else ids.astype(np.int64)


def _from_objects(ids):
    values = ids.ravel().tolist()
    kinds = {type(value) for value in values}
    if all(issubclass(kind, str) for kind in kinds):
        check_text(values, "ids")
        return ids.astype(str)
    if all(issubclass(kind, int | np.integer) and kind is not bool for kind in kinds):
        whole = whole_numbers(values)
        if whole is not None:
            return whole.reshape(ids.shape)
        raise ValueError("ids: whole numbers must fit 64 bits")
    if all(issubclass(kind, str | int | np.integer) for kind in kinds):
        raise ValueError("ids must be all numbers or all strings")
    wrong = next(value for value in values if not isinstance(value, str | int | np.integer))
    raise ValueError(
        f"ids must be whole numbers or strings, got {wrong!r:.40} of type {type(wrong).__name__}"
    )


def check_text(values, what):
    """Raise ValueError where numpy would cut a text: it takes NUL at the end for padding."""
    for value in values:
        if isinstance(value, str) and value.endswith("\0"):
            raise ValueError(f"{what}: {value!r:.40} ends in a NUL character, which is not kept")


def as_given(values):
    """Return the values of a list or a column as an array, none of them converted.

    numpy would turn numbers beside text into text and large whole numbers into floats, and
    missing values of pandas' own dtypes into NaN.
    """
    if isinstance(values, list | tuple):
        if not any(isinstance(value, list | tuple | np.ndarray) for value in values):
            array = np.empty(len(values), dtype=object)
            array[:] = values
            return array
        return np.array(values, dtype=object)
    if not hasattr(values, "to_numpy") or isinstance(getattr(values, "dtype", None), np.dtype):
        return np.asarray(values)
    # Columns of pyarrow, of pandas, and of polars.
    names = ("to_pylist", "tolist", "to_list")
    listed = next((getattr(values, name) for name in names if hasattr(values, name)), None)
    return np.asarray(values, dtype=object) if listed is None else as_given(listed())


def whole_numbers(values):
    """Return a list of whole numbers as int64 or uint64, None where neither holds them all."""
    for dtype in (np.int64, np.uint64):
        with contextlib.suppress(OverflowError):
            return np.array(values, dtype=dtype)
    return None


class IdTable:
    """Ids by row number; those of removed rows may be given again.

    Rows are sorted in runs, each at least twice as long as the next, so that one more row
    among a million costs little and a lookup is a few binary searches.

    Parameters
    ----------
    ids : ndarray of int64, uint64 or str, shape (n,)
    """

    def __init__(self, ids):
        self._store = ids
        self.n = len(ids)
        self._runs = []  # (first, stop, order or None where ascending)
        self._sorted_to = 0

    @property
    def values(self):
        """Ids of all rows, removed ones included."""
        return self._store[: self.n]

    def common(self, ids):
        """Return ids and the dtype that holds them beside those of the table."""
        mine = self._store.dtype
        if self.n == 0:
            return ids, ids.dtype
        if (ids.dtype.kind == _TEXT) != (mine.kind == _TEXT):
            raise ValueError("ids must be all numbers or all strings, as those in the index are")
        if ids.dtype.kind == _TEXT or ids.dtype == mine:
            return ids, max(mine, ids.dtype, key=lambda dtype: dtype.itemsize)
        if min(ids.min(initial=0), self.values.min(initial=0)) < 0:
            raise ValueError(
                "ids: negative numbers and numbers from 2**63 on do not fit one index; give them "
                "as strings"
            )
        return ids.astype(np.uint64), np.dtype(np.uint64)

    def append(self, ids):
        """Add rows, as :meth:`common` gave them."""
        ids, dtype = self.common(ids)
        self._store = grown(self._store, self.n, len(ids), dtype)
        self._store[self.n : self.n + len(ids)] = ids
        self.n += len(ids)
        self._sort()

    def find(self, ids, alive):
        """Return the row of each id that is there, -1 where it is not.

        Parameters
        ----------
        ids : ndarray of shape (m,)
        alive : ndarray of bool, shape (n,)
        """
        rows = np.full(len(ids), -1, dtype=np.intp)
        if not self.n or (ids.dtype.kind == _TEXT) != (self._store.dtype.kind == _TEXT):
            return rows
        asked = np.arange(len(ids))
        if ids.dtype != self._store.dtype and ids.dtype.kind != _TEXT:
            asked = asked[_fits(ids, self._store.dtype)]
            ids = ids.astype(self._store.dtype)
        self._sort()
        for first, stop, order in self._runs:
            if not len(asked):
                break
            run = self._store[first:stop]
            low = np.searchsorted(run, ids[asked], "left", sorter=order)
            place = np.minimum(low, stop - first - 1)
            found = first + (place if order is None else order[place])
            same = (low < stop - first) & (self._store[found] == ids[asked])
            hit = same & alive[found]
            for i in np.flatnonzero(same & ~hit):
                # The id was removed, and may have been given again in the same run.
                high = np.searchsorted(run, ids[asked[i]], "right", sorter=order)
                again = first + (np.arange(low[i], high) if order is None else order[low[i] : high])
                again = again[alive[again]]
                if len(again):
                    hit[i], found[i] = True, again[0]
            rows[asked[hit]] = found[hit]
            asked = asked[~hit]
        return rows

    def _sort(self):
        """Bring the runs up to date with the rows."""
        if self._sorted_to == self.n:
            return
        first = self._sorted_to
        ids = self._store[first : self.n]
        ascending = bool(np.all(ids[1:] > ids[:-1]))
        while self._runs:
            start, stop, order = self._runs[-1]
            goes_on = ascending and order is None and self._store[stop - 1] < self._store[first]
            if not goes_on and stop - start > 2 * (self.n - first):
                break
            first, ascending = start, goes_on
            self._runs.pop()
        order = None if ascending else np.argsort(self._store[first : self.n], kind="stable")
        self._runs.append((first, self.n, order))
        self._sorted_to = self.n


def grown(store, n, more, dtype):
    """Return an array with room for ``more`` entries behind the first ``n``, of a dtype.

    Where it has to be a new one, there is room for as many again, which takes no memory before
    it is used, and for text that is a little longer.
    """
    if n + more <= len(store) and store.dtype == dtype:
        return store
    if dtype.kind == _TEXT:
        dtype = np.dtype((str, -(-dtype.itemsize // (4 * _TEXT_STEP)) * _TEXT_STEP))
    larger = np.empty(2 * (n + more), dtype)
    larger[:n] = store[:n]
    return larger


def _fits(ids, dtype):
    """Whether whole numbers are the same in another dtype of whole numbers."""
    bounds = np.iinfo(dtype)
    if ids.dtype == np.uint64:
        return ids <= np.uint64(bounds.max)
    return ids >= bounds.min


def nobody(dtype):
    """Return the id that stands where nothing was found."""
    return "" if dtype.kind == "U" else np.array(-1).astype(dtype)
