"""Ids and payload of the rows of an index, and which rows are still there."""

import contextlib

import numpy as np

from metriclearn._validation import is_missing
from metriclearn.neighbors._index._columns import as_column
from metriclearn.neighbors._index._ids import IdTable, as_ids, grown


class Catalog:
    """Rows by number, each with an id and a payload; removed ones keep their number."""

    def __init__(self, ids=None, columns=None):
        self._ids = IdTable(np.empty(0, dtype=np.int64) if ids is None else ids)
        self.columns = {} if columns is None else columns
        self._alive = np.ones(self._ids.n, dtype=bool)
        self._n_alive = self._ids.n
        self._next = None

    def __len__(self):
        """Return the number of rows that are still there."""
        return self._n_alive

    @property
    def n(self):
        """Number of rows, removed ones included."""
        return self._ids.n

    @property
    def ids(self):
        """Ids of all rows, removed ones included."""
        return self._ids.values

    @property
    def alive(self):
        """Whether each row is still there."""
        return self._alive[: self.n]

    @property
    def whole(self):
        """Whether no row was removed."""
        return self._n_alive == self.n

    @property
    def rows(self):
        """Numbers of the rows that are still there."""
        return np.flatnonzero(self.alive)

    def checked(self, ids, payload, n, replace=False):
        """Read ids and payload of ``n`` new rows.

        Returns
        -------
        ids : ndarray of shape (n,)
        columns : dict of str to Column
        replaced : ndarray of int
            Rows whose ids are given again; empty but with ``replace``.
        """
        ids, replaced = self._new_ids(ids, n, replace)
        return ids, self._new_columns(payload, n), replaced

    def append(self, ids, columns):
        """Add rows, as ``checked`` gave them."""
        n = self.n
        if self.columns:
            for name, column in columns.items():
                self.columns[name].append(column)
        else:
            self.columns = columns
        if self._next is not None and ids.dtype.kind in "iu":
            self._next = max(self._next, _after(ids))
        self._ids.append(ids)
        self._alive = grown(self._alive, n, len(ids), np.dtype(bool))
        self._alive[n : self.n] = True
        self._n_alive += len(ids)

    def remove(self, rows):
        """Take rows out, by distinct numbers."""
        self._alive[rows] = False
        self._n_alive -= len(rows)

    def find(self, ids):
        """Find the row numbers of ids that are in the index; shape of ``ids``."""
        ids = as_ids(ids)
        rows = self._ids.find(ids.ravel(), self.alive)
        if np.any(rows < 0):
            raise ValueError(f"ids: {ids.ravel()[rows < 0][0]} is not in the index")
        return rows.reshape(ids.shape)

    def payload(self, rows):
        """Return the payload of rows, a column each."""
        return {name: column.take(rows) for name, column in self.columns.items()}

    def where(self, condition):
        """Whether each row is there and meets a condition.

        Parameters
        ----------
        condition : dict or callable
            See :meth:`RetrievalIndex.search`.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        if callable(condition):
            rows = self.rows
            met = np.asarray(condition(self.payload(rows)))
            if met.shape != rows.shape or met.dtype != bool:
                raise ValueError(
                    f"where must return {len(rows)} true or false values, one for each row of the "
                    f"payload it is given, got {met.dtype} of shape {met.shape}"
                )
            mask = np.zeros(self.n, dtype=bool)
            mask[rows[met]] = True
            return mask
        if not hasattr(condition, "items"):
            raise ValueError(
                f"where must be a dict of payload column to value, or a function of the payload, "
                f"got {condition!r:.60}"
            )
        mask = self.alive.copy()
        for name, wanted in condition.items():
            if name not in self.columns:
                raise ValueError(
                    f"where: there is no payload column {name!r}; there are {sorted(self.columns)}"
                )
            mask &= _equals(self.columns[name], wanted, name)
        return mask

    def remaining(self):
        """Return a catalog of the rows that are still there, with new numbers."""
        columns = {name: column.kept(self.alive) for name, column in self.columns.items()}
        return Catalog(self.ids[self.alive], columns)

    def _new_ids(self, ids, n, replace):
        nothing = np.empty(0, dtype=np.intp)
        if ids is None:
            return self._following(n), nothing
        ids = as_ids(ids)
        if ids.shape != (n,):
            raise ValueError(f"ids must be of shape ({n},), one for each row, got {ids.shape}")
        ids = self._ids.common(ids)[0]
        if n > 1:
            distinct, counts = np.unique(ids, return_counts=True)
            if counts.max() > 1:
                raise ValueError(f"ids: {distinct[counts > 1][0]} is given twice")
        rows = self._ids.find(ids, self.alive)
        if np.any(rows >= 0) and not replace:
            raise ValueError(
                f"ids: {ids[rows >= 0][0]} is in the index already; use upsert to replace it"
            )
        return ids, rows[rows >= 0]

    def _following(self, n):
        if self.n and self.ids.dtype.kind == "U":
            raise ValueError("ids is missing: the index holds ids that are strings")
        if self._next is None:
            self._next = _after(self.ids)
        stop = self._next + n
        if stop > 2 ** (64 if self.ids.dtype == np.uint64 else 63):
            raise ValueError("ids is missing: there are no whole numbers beyond those in the index")
        return np.arange(self._next, stop, dtype=self.ids.dtype)

    def _new_columns(self, payload, n):
        payload = {} if payload is None else payload
        if not hasattr(payload, "keys"):
            raise ValueError(
                f"payload must be columns by name, a dict or a DataFrame, got "
                f"{type(payload).__name__}; give {{'name': values}}"
            )
        columns = {str(name): as_column(payload[name], str(name), n) for name in payload}
        if self.n and set(columns) != set(self.columns):
            raise ValueError(
                f"payload has the columns {sorted(columns)}, but the index has "
                f"{sorted(self.columns)}; give the same at each call"
            )
        for name, column in self.columns.items():
            if column.joined(columns[name]) is None:
                raise ValueError(
                    f"payload: column {name!r} holds {columns[name].values.dtype}, but the index "
                    f"has {column.values.dtype} there"
                )
        return columns


def _after(ids):
    """Return the first whole number from 0 on beyond all ids."""
    return max(0, int(ids.max()) + 1) if len(ids) else 0


def _equals(column, wanted, name):
    alone = isinstance(wanted, str | bytes) or (np.ndim(wanted) == 0 and not np.iterable(wanted))
    mask = np.zeros(column.n, dtype=bool)
    gone, dtype = column.missing, column.values.dtype
    there = True if gone is None else ~gone
    for value in [wanted] if alone else wanted:
        if is_missing(value):
            mask |= False if gone is None else gone
            if dtype.kind in "fM":
                mask |= np.isnan(column.values)
            continue
        met = None  # where a text is compared with numbers numpy says that nothing is equal
        if dtype.kind == "M":
            with contextlib.suppress(ValueError):
                met = column.values == np.datetime64(value)
        elif isinstance(value, str) == (dtype.kind == "U"):
            met = column.values == value
        if np.shape(met) != mask.shape and not column.all_missing:
            raise ValueError(
                f"where: column {name!r} holds {column.values.dtype}, it cannot be compared with "
                f"{value!r:.40}"
            )
        if met is not None:
            mask |= met & there
    return mask
