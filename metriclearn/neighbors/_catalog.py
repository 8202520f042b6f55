"""Ids and payload of the rows of an index, and which rows are still there."""

import numpy as np


class Catalog:
    """Rows by number, each with an id and a payload; removed ones keep their number.

    Parameters
    ----------
    ids : ndarray of int or str, shape (n,)
    payload : dict of str to ndarray of shape (n,)
    """

    def __init__(self, ids=None, payload=None):
        self.ids = np.empty(0, dtype=np.int64) if ids is None else ids
        self.payload = {} if payload is None else payload
        self.alive = np.ones(len(self.ids), dtype=bool)

    def __len__(self):
        """Number of rows that are still there."""
        return int(self.alive.sum())

    @property
    def rows(self):
        """Numbers of the rows that are still there."""
        return np.flatnonzero(self.alive)

    def checked(self, ids, payload, n):
        """Ids and payload of ``n`` new rows as arrays.

        Raises
        ------
        ValueError
            For ids given twice or known already, mixed kinds, other columns than
            before, or columns that hold neither numbers nor strings.
        """
        return self._new_ids(ids, n), self._new_payload(payload, n)

    def append(self, ids, payload):
        """Add rows, as ``checked`` gave them."""
        self.payload = {
            name: np.concatenate([self.payload[name], column]) if self.payload else column
            for name, column in payload.items()
        }
        self.ids = np.concatenate([self.ids, ids]) if len(self.ids) else ids
        self.alive = np.concatenate([self.alive, np.ones(len(ids), dtype=bool)])

    def find(self, ids):
        """Row numbers of ids that are in the index; shape of ``ids``."""
        ids = np.asarray(ids)
        order = self.rows[np.argsort(self.ids[self.alive], kind="stable")]
        place = np.searchsorted(self.ids[order], ids.ravel())
        rows = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(0, int)
        unknown = np.ones(ids.size, bool) if not len(order) else self.ids[rows] != ids.ravel()
        if unknown.any():
            raise ValueError(f"ids: {ids.ravel()[unknown][0]} is not in the index")
        return rows.reshape(ids.shape)

    def remaining(self):
        """A catalog of the rows that are still there, numbered anew."""
        payload = {name: column[self.alive] for name, column in self.payload.items()}
        return Catalog(self.ids[self.alive], payload)

    def _new_ids(self, ids, n):
        if ids is None:
            if len(self.ids) and not np.issubdtype(self.ids.dtype, np.integer):
                raise ValueError("ids is missing: the index holds ids that are strings")
            start = int(self.ids.max()) + 1 if len(self.ids) else 0
            return np.arange(start, start + n)
        ids = np.asarray(ids)
        if ids.shape != (n,):
            raise ValueError(f"ids must be of shape ({n},), one for each row, got {ids.shape}")
        if ids.dtype.kind not in "iuU":
            raise ValueError(f"ids must be whole numbers or strings, got dtype {ids.dtype}")
        if ids.dtype.kind in "iu":
            ids = ids.astype(np.int64)
        if len(self.ids) and (ids.dtype.kind == "U") != (self.ids.dtype.kind == "U"):
            raise ValueError("ids must be all numbers or all strings, as those in the index are")
        distinct, counts = np.unique(ids, return_counts=True)
        if counts.max(initial=1) > 1:
            raise ValueError(f"ids: {distinct[counts > 1][0]} is given twice")
        known = np.isin(ids, self.ids[self.alive])
        if known.any():
            raise ValueError(
                f"ids: {ids[known][0]} is in the index already; remove it first to replace it"
            )
        return ids

    def _new_payload(self, payload, n):
        payload = {} if payload is None else payload
        if not hasattr(payload, "keys"):
            raise ValueError(
                f"payload must be columns by name, a dict or a DataFrame, got "
                f"{type(payload).__name__}; give {{'name': values}}"
            )
        payload = {str(name): payload[name] for name in payload}
        if len(self.ids) and set(payload) != set(self.payload):
            raise ValueError(
                f"payload has the columns {sorted(payload)}, but the index has "
                f"{sorted(self.payload)}; give the same at each call"
            )
        columns = {}
        for name, column in payload.items():
            column = np.asarray(column)
            if column.dtype == object:
                column = column.astype(str)
            if column.shape != (n,) or column.dtype.kind not in "biufUM":
                raise ValueError(
                    f"payload: column {name!r} must hold {n} numbers or strings, got "
                    f"{column.dtype} of shape {column.shape}"
                )
            columns[name] = column
        return columns
