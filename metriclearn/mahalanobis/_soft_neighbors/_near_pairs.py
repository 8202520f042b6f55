"""Soft nearest neighbors from a list of the near pairs, while the rows move little."""

import numpy as np
from scipy import sparse

from metriclearn._linalg import without_denormals
from metriclearn._threads import map_blocks
from metriclearn.mahalanobis._soft_neighbors._gradient import Exponentials, soft_neighbor_gradient

# Below this many rows all pairs cost less than choosing among them.
_MIN_ROWS = 1000
# A pair is near if its squared distance is within this of the nearest neighbor's, ...
_MARGIN = 18
# ... or within this share: a row far from all others has others as far.
_RELATIVE_MARGIN = 0.1
# Beyond this share of all pairs, a list of them costs more than blocks of all.
_MAX_SHARE = 0.03
# Mean probability of the pairs not listed, on the rows that are looked at.
_MAX_MISSING = 1e-4
_MAX_USES = 20
# What it takes to find a pair, and to compute with it.
_BYTES_PER_PAIR = 100
# Rows that are looked at: one in 64, but 64 of them.
_SAMPLE = 64
_PARTS = 8  # in which threads look at them


class NearPairs:
    """The objective of :func:`soft_neighbor_gradient`, called again and again as ``Z`` moves.

    In a space worth learning a row has few likely neighbors: one pair in a
    hundred counts, and after some iterations one in a thousand. An exact
    evaluation lists them; those that follow use the list alone. Each of them
    also looks at all neighbors of one row in 64, other rows each time, and
    where what the list misses is no longer negligible there, or after 20 uses,
    the evaluation is exact and makes a new list.

    Parameters
    ----------
    targets : SameClass or Values
    row_terms : callable
    weights : ndarray of shape (n,), default=None
    max_memory : float, default=512
        As for :func:`soft_neighbor_gradient`.
    """

    def __init__(self, targets, row_terms, *, weights=None, max_memory=512):
        self._targets, self._row_terms, self._max_memory = targets, row_terms, max_memory
        self._weights = weights
        self._pairs, self._uses, self._looks = None, 0, 0

    def __call__(self, Z):
        """Value and gradient with respect to ``Z``, of shape (n, r)."""
        if self._pairs is not None and self._uses < _MAX_USES:
            self._uses += 1
            result = self._from_list(Z)
            if result is not None:
                return result
        return self.exact(Z)

    def exact(self, Z):
        """Return the same over all pairs; the next ones use a new list."""
        if len(Z) < _MIN_ROWS:
            return soft_neighbor_gradient(
                Z,
                self._targets,
                self._row_terms,
                weights=self._weights,
                max_memory=self._max_memory,
            )
        n = len(Z)
        found = []
        room = min(_MAX_SHARE * n * (n - 1) / 2, self._max_memory / 2 * 2**20 / _BYTES_PER_PAIR)

        def n_found():
            return sum(map(len, found))

        def list_pairs(rows, first_column, near):
            if n_found() <= room:
                i, j = np.divmod(np.flatnonzero(near), near.shape[1])
                i = i + rows.start if isinstance(rows, slice) else rows[i]
                j += first_column
                found.append(np.minimum(i, j) * n + np.maximum(i, j))

        result = soft_neighbor_gradient(
            Z,
            self._targets,
            self._row_terms,
            weights=self._weights,
            max_memory=self._max_memory / 2,
            see=list_pairs,
            margin=_margin,
        )
        self._pairs, self._uses = None, 0
        if n_found() <= room:
            # Sorted by the first row; a pair that a block and a single row gave, once. Not by
            # numpy's unique, which hashes integers and takes as long as all else.
            numbers = np.concatenate(found)
            numbers.sort()
            first, second = np.divmod(numbers[np.diff(numbers, prepend=-1) > 0], n)
            self._pairs = first.astype(np.int32), second.astype(np.int32)
        return result

    def _from_list(self, Z):
        """Value and gradient from the listed pairs; None where they do not suffice."""
        n, (first, second) = len(Z), self._pairs
        exponentials = Exponentials(Z, self._weights)
        scores = exponentials.of_pairs(first, second)
        own = exponentials.own_scores()
        largest = own.copy()
        np.maximum.at(largest, first, scores)
        np.maximum.at(largest, second, scores)
        P_first, P_second = map_blocks(
            lambda of: np.exp(np.maximum(scores - largest[of], exponentials.lowest)),
            (first, second),
        )
        P_own = np.exp(own - largest)
        sums = self._sum(P_first, P_second, n) + P_own
        P_own /= sums
        P_first /= sums[first]
        P_second /= sums[second]
        log_normalizers = exponentials.log_normalizers(slice(None), np.log(sums) + largest)

        self._looks += 1
        step = min(n // _SAMPLE, _SAMPLE)
        rows = np.arange(self._looks % step, n, step)
        parts = map_blocks(exponentials.softmax, np.array_split(rows, _PARTS))
        exact = np.concatenate([log_normalizers_of for _, log_normalizers_of in parts])
        if np.mean(1 - np.exp(log_normalizers[rows] - exact)) > _MAX_MISSING:
            return None

        t_first, t_second = self._targets.of_pairs(first, second)
        moments = self._sum(P_first * t_first, P_second * t_second, n)
        moments += P_own * self._targets.own()
        terms = self._row_terms(np.arange(n), moments, log_normalizers)
        values, alpha, beta = exponentials.weighted(slice(None), terms)
        P_first *= alpha[first] * t_first + beta[first]
        P_second *= alpha[second] * t_second + beta[second]
        weights, starts = (
            without_denormals(P_first + P_second),
            np.searchsorted(first, np.arange(n + 1)),
        )
        H = sparse.csr_array((weights, second, starts), shape=(n, n))
        Z = exponentials.Z
        of_rows, of_columns = map_blocks(lambda matrix: matrix @ Z, (H, H.T))
        degrees = self._sum(weights, weights, n)
        gradient = 2 * (degrees[:, None] * Z - of_rows - of_columns)
        return float(np.sum(values, dtype=np.float64)), gradient

    def _sum(self, of_first, of_second, n):
        """Return sums over the pairs: what a pair adds to its first row, and to its second."""
        first, second = self._pairs
        both = (first, of_first), (second, of_second)
        of_rows, of_columns = map_blocks(lambda of_one: np.bincount(*of_one, n), both)
        return (of_rows + of_columns).astype(of_first.dtype)


def _margin(log_normalizers):
    # Minus a log normalizer is about the squared distance of the nearest neighbor.
    return np.maximum(_MARGIN, -_RELATIVE_MARGIN * log_normalizers)
