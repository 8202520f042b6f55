"""A screen of few features: most of each distance from the directions of most spread."""

import numpy as np
from scipy import linalg
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from metriclearn.neighbors._search._screen import Screen

# Rows, and queries among them, from which the work of a search is predicted ...
_SAMPLE = 4096
_SAMPLE_QUERIES = 32
# ... for these shares of all directions.
_SHARES = (1 / 2, 1 / 3, 1 / 4, 1 / 6, 1 / 8, 1 / 12, 1 / 16, 1 / 24, 1 / 32)
# It pays where the work falls below this share.
_WORTH_IT = 0.6
# Time of a product of two rows by themselves, over that of one within a matrix product.
_ALONE = 50
# How often, in passing over the base, the upper bounds of k rows are looked at.
_LOOKS = 6
_BLOCK_BYTES = 32 * 2**20


class ReducedScreen:
    """Lower bounds of Euclidean distances from a few features, upper ones from all.

    With ``V`` the ``m`` principal directions that hold most of the spread, a row
    ``x`` becomes ``(xV, |x - xVVᵀ|)``. By the triangle inequality in what is left out,
    the distance of two such rows is a lower bound of theirs, and a tight one where
    what is left out is little: a product of ``m + 1`` features instead of ``d`` rules
    out nearly as many rows, with upper bounds for ``k`` rows a query (multi-step
    search: Seidl & Kriegel, 1998).

    Parameters
    ----------
    directions : ndarray of shape (d, m), float64
        With orthonormal columns.
    base : callable
        ``base(rows)`` gives rows of the base in float64, centered and scaled.
    whole : Screen
        Of the same base, with all features.
    let_in : ndarray of shape (n_sample,)
        Share of a sample of the base that is let in for its k nearest, at each k.
    """

    def __init__(self, directions, base, whole, let_in):
        self._directions = directions
        self._whole = whole
        self._let_in = let_in
        n, (d, m) = len(whole.table), directions.shape
        step = max(1, _BLOCK_BYTES // (8 * d))
        blocks = (np.arange(start, min(start + step, n)) for start in range(0, n, step))
        reduced = (self._reduce(base(block)) for block in blocks)
        self._screen = Screen(reduced, n, m + 1, False, np.float32)

    @classmethod
    def where_it_pays(cls, base, whole, k):
        """Make one with the directions that make search fastest, or None where none do.

        ``base`` must be in an order without meaning: its first rows are the sample.
        """
        n = len(whole.table)
        sample = base(np.arange(min(n, _SAMPLE)))
        d = sample.shape[1]
        _, directions = linalg.eigh(sample.T @ sample)
        directions = directions[:, ::-1]
        sample = sample @ directions
        exact = cdist(sample[:_SAMPLE_QUERIES], sample, "sqeuclidean")
        best, least = None, np.inf
        for m in sorted({int(d * share) for share in _SHARES} - {0}):
            reduced = np.column_stack([sample[:, :m], np.linalg.norm(sample[:, m:], axis=1)])
            low = cdist(reduced[:_SAMPLE_QUERIES], reduced, "sqeuclidean")
            let_in = _let_in(low, exact)
            work = _work(m, d, n, k, let_in)
            if work < least:
                best, least = (np.ascontiguousarray(directions[:, :m]), let_in), work
        return cls(best[0], base, whole, best[1]) if least < _WORTH_IT * d else None

    def pays(self, k):
        """Whether a search for ``k`` rows is expected to be faster than by all features."""
        d, m = self._directions.shape
        return _work(m, d, len(self._whole.table), k, self._let_in) < _WORTH_IT * d

    def nearest(self, queries, k):
        """Return the base rows that can be among the ``k`` nearest; see :meth:`Screen.nearest`."""
        whole = self._whole.prepare(queries)
        candidates = self._screen.nearest(
            self._reduce(queries),
            k,
            upper=lambda low, rows: self._whole.upper(whole, rows),
            most=4 * k + len(self._whole.table) / _ALONE,
        )
        return None if candidates is None else self._whole.nearest_among(whole, candidates, k)

    def _reduce(self, rows):
        head = rows @ self._directions
        left = np.einsum("ij,ij->i", rows, rows) - np.einsum("ij,ij->i", head, head)
        return np.column_stack([head, np.sqrt(np.maximum(left, 0))])


def _let_in(low, exact):
    """Share of rows with a lower bound within the distances of the 1, 2, ... lowest."""
    order = np.argsort(low, axis=1)
    limits = np.maximum.accumulate(np.take_along_axis(exact, order, axis=1), axis=1)
    low = np.take_along_axis(low, order, axis=1)
    counts = [np.searchsorted(*pair, side="right") for pair in zip(low, limits, strict=True)]
    return np.mean(counts, axis=0) / low.shape[1]


def _work(m, d, n, k, let_in):
    """Work of a query for each row of the base, in products of two numbers."""
    # Among fewer rows the kth nearest is about as far as an earlier one.
    kth = min(1 + round(k * len(let_in) / n), len(let_in) - 1)
    return m + 1 + _ALONE * d * (let_in[kth] + _LOOKS * k / n)


# Features up to which a tree rules out more rows than a matrix product is faster.
MOST_FEATURES = 6
# Bound on the error of distances in the tree, relative to the lengths of the rows: a few
# roundings of float64, and room to spare.
_ROUNDING = 1e-13
# Points asked for beyond the wanted ones; the later numbers for queries that points at equal
# distances leave undecided.
_MORE = (1, 24, 240)
# With more candidates a query than this a matrix product is faster.
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
