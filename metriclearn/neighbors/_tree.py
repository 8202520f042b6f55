"""Candidates of few features: a kd-tree names them, and says how far it looked."""

import numpy as np
from scipy.spatial import cKDTree

# Features up to which a tree rules out more rows than a matrix product is faster.
MOST_FEATURES = 6
# Distances of the tree, and of rows in its frame, are off by so much at most, relative to the
# lengths of what they are between: some roundings of float64 and to spare.
_ROUNDING = 1e-13
# How many points are asked for, beside the wanted ones, and then again for those queries for
# which points at the same distance leave it open.
_MORE = (1, 24, 240)
# Beyond so many candidates of a query a matrix product is faster.
_MOST_CANDIDATES = 4096


class TreeScreen:
    """Candidates of Euclidean neighbors by a kd-tree [1]_.

    Rows that are equal are one point of the tree; of each point that is near, the first rows are
    candidates, since equal distances rank by row number.

    Parameters
    ----------
    rows : ndarray of shape (n, d), float64
        Of which equal ones are found.
    base : ndarray of shape (n, d), float64
        The same, centered and scaled so that the longest row has length 1.

    References
    ----------
    .. [1] J. L. Bentley, "Multidimensional binary search trees used for associative searching",
       Communications of the ACM 18(9), 1975. :doi:`10.1145/361002.361007`
    """

    def __init__(self, rows, base):
        self._rows, self._starts = None, None
        first = np.sort(rows[:, 0])
        if np.any(first[1:] == first[:-1]):  # else no rows are equal, and most often none are
            order = np.lexsort(rows.T)
            same = np.all(rows[order[1:]] == rows[order[:-1]], axis=1)
            if same.any():
                # lexsort is stable: equal rows are in the order of their numbers.
                self._rows = order
                self._starts = np.append(np.flatnonzero(np.append(True, ~same)), len(rows))
                base = base[order[self._starts[:-1]]]
        self._tree = cKDTree(base, leafsize=24, balanced_tree=False, compact_nodes=False)

    def nearest(self, queries, m, k):
        """Find the rows at the ``m`` points nearest to each query, up to ``k`` at each.

        Parameters
        ----------
        queries : ndarray of shape (n_queries, d), float64
            In the frame of the base.
        m : int
            At most the number of points.
        k : int

        Returns
        -------
        candidates : ndarray of int, shape (n_queries, m) or (n_queries, m * k)
            -1 for none.
        reach : ndarray of shape (n_queries,)
            Of all points nearer than this the first ``k`` rows are candidates.
        """
        distances, points = self._tree.query(queries, np.arange(1, m + 1))
        reach = np.full(len(queries), np.inf)
        if m < self._tree.n:
            lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries))
            reach = distances[:, -1] - _ROUNDING * (1 + lengths + distances[:, -1])
        if self._rows is None:
            return points, reach
        place = self._starts[points][:, :, None] + np.arange(k)
        there = place < self._starts[points + 1][:, :, None]
        candidates = np.where(there, self._rows[np.minimum(place, len(self._rows) - 1)], -1)
        return candidates.reshape(len(queries), m * k), reach

    def rounds(self, k):
        """Yield how many points to ask for, and for those queries that are left open again."""
        rows_each = 1 if self._rows is None else k
        for more in _MORE:
            m = min(self._tree.n, k + more)
            if m * rows_each > _MOST_CANDIDATES:
                return
            yield m
            if m == self._tree.n:
                return
