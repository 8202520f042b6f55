"""Copies of one point in a gallery: rows that no distance tells apart."""

from itertools import pairwise

import numpy as np

# Fewer copies of a point are duplicates in the data; their order does little.
_FEW = 8
_ROWS = 4096


class Copies:
    """Groups of many equal rows of a gallery.

    Equal distances rank by row number. Where an embedding has collapsed, so that more
    copies of a point tie than there are right answers, that order is the order of the
    classes in the file: a constant embedding of sorted classes would have a larger
    MAP@R than chance. Such copies rank by chance instead, with a fixed seed.

    Parameters
    ----------
    gallery : ndarray of shape (n, d)
    """

    def __init__(self, gallery):
        codes = np.concatenate([_row_hashes(gallery[i : i + _ROWS]) for i in _starts(gallery)])
        _, codes, counts = np.unique(codes, return_inverse=True, return_counts=True)
        large = np.flatnonzero(counts > _FEW)
        self.any = len(large) > 0
        if self.any:
            number = np.full(len(counts), -1)
            number[large] = np.arange(len(large))
            self._group = number[codes.reshape(-1)]
            order = np.argsort(self._group, kind="stable")
            starts = np.searchsorted(self._group[order], np.arange(len(large) + 1))
            self._members = [order[a:b] for a, b in pairwise(starts)]
            for members in self._members:  # equal hashes are no proof
                others = members[(gallery[members] != gallery[members[0]]).any(axis=1)]
                self._group[others] = -1
            self._members = [members[self._group[members] >= 0] for members in self._members]

    def shuffle(self, indices, queries, n_relevant, own):
        """Replace found copies, in place, by ones drawn at random from all of their group.

        Parameters
        ----------
        indices : ndarray of int, shape (n, k)
            Gallery rows found.
        queries : ndarray of int, shape (n,)
            Row numbers of the queries.
        n_relevant : ndarray of int
            Right answers of every query; smaller groups of copies are left in order.
        own : ndarray of int or None
            The gallery row that every query is.
        """
        found = self._group[indices]
        for row in np.flatnonzero((found >= 0).any(axis=1)):
            query = queries[row]
            for group in np.unique(found[row][found[row] >= 0]):
                members = self._members[group]
                if own is not None:
                    members = members[members != own[query]]
                if len(members) > max(_FEW, n_relevant[query]):
                    places = np.flatnonzero(found[row] == group)
                    drawn = np.random.default_rng([query, group]).permutation(members)
                    indices[row, places] = drawn[: len(places)]


def _starts(X):
    return range(0, len(X), _ROWS)


def _row_hashes(X):
    """Return an integer for each row, the same for equal rows."""
    X = np.ascontiguousarray(X) + X.dtype.type(0)  # -0.0 becomes 0.0
    bits = X.view(np.uint64 if X.dtype == np.float64 else np.uint32)
    factors = np.random.default_rng(0).integers(2**63, size=X.shape[1], dtype=np.uint64) | 1
    hashes = np.zeros(len(X), dtype=np.uint64)
    half = np.uint64(4 * X.dtype.itemsize)
    for column, factor in zip(bits.T.astype(np.uint64, copy=False), factors, strict=True):
        # The low bits of round numbers are 0, and a product carries nothing downwards.
        mixed = (column ^ (column >> half)) * factor
        hashes += mixed ^ (mixed >> np.uint64(29))
    return hashes
