"""Soft nearest neighbours of every row, in blocks: the kernel of NCA, MLKR and MCML.

Each row chooses another at random, the nearer the likelier::

    p_ij = exp(-‖z_i - z_j‖²) / Σ_{k≠i} exp(-‖z_i - z_k‖²),   p_ii = 0

An objective is a function of these probabilities. It is computed a block of
rows against all rows at a time, with three matrix products for each block, so
that nothing n × n is ever held.
"""

import numpy as np

# A block about the size of a core's cache is the fastest, measured from 16 to
# 512 rows; a larger one only takes more memory.
_CACHE_BYTES = 4 * 2**20
_MIN_ROWS = 32
# exp(-35) is below float32's resolution of a sum that holds 1; beyond -87 come
# denormal numbers, which make the matrix products ten times slower.
_LOWEST_EXPONENT = {np.dtype(np.float32): -35.0, np.dtype(np.float64): -700.0}
# The block itself, and what a row objective may copy of it.
_ARRAYS_PER_BLOCK = 3


def soft_neighbor_gradient(Z, row_objective, *, max_memory=512):
    """Value and gradient of an objective of the soft-neighbour probabilities.

    Parameters
    ----------
    Z : ndarray of shape (n, r)
        Rows in the learned space.
    row_objective : callable
        ``row_objective(P, log_normalizer, rows) -> float``: the part of the
        objective that the rows of the slice ``rows`` contribute. ``P`` of shape
        (n_rows, n) holds their probabilities and is overwritten with the
        derivatives of that part by the squared distances, whose rows sum to
        zero: a shift of all distances of a row changes no probability.
        ``log_normalizer`` holds ``log Σ_k exp(-d²_ik)``.
    max_memory : float, default=512
        Bound in MB on the blocks, however many rows there are.

    Returns
    -------
    value : float
    gradient : ndarray of shape (n, r)
        With respect to ``Z``; in its dtype.
    """
    n, r = Z.shape
    # Distances do not see a shift, the expanded square loses digits to it.
    Z = Z - Z.mean(axis=0)
    # -d² in one product of two augmented matrices: 2 z_i z_j - |z_i|² - |z_j|².
    left, right, with_ones = (np.ones((n, r + k), dtype=Z.dtype) for k in (2, 2, 1))
    np.multiply(Z, 2, out=left[:, :r])
    right[:, :r] = with_ones[:, :r] = Z
    left[:, r] = right[:, r + 1] = -np.einsum("ij,ij->i", Z, Z)
    right = np.ascontiguousarray(right.T)

    value = 0.0
    forward, backward = np.empty_like(Z), np.zeros_like(with_ones)
    step = rows_per_block(n, Z.itemsize, max_memory)
    buffer = np.empty((step, n), dtype=Z.dtype)
    for start in range(0, n, step):
        rows = slice(start, min(n, start + step))
        P = np.matmul(left[rows], right, out=buffer[: rows.stop - start])
        log_normalizer = _softmax_of_others(P, start)
        value += row_objective(P, log_normalizer, rows)
        np.matmul(P, Z, out=forward[rows])
        backward += P.T @ with_ones[rows]
    # With W the derivatives: 2 (D - W - Wᵀ) Z, D the column sums of W.
    gradient = backward[:, r:] * Z
    gradient -= forward
    gradient -= backward[:, :r]
    gradient *= 2
    return value, gradient


def rows_per_block(n, itemsize, max_memory):
    """Rows of a block of ``n`` columns: as the cache likes it, within ``max_memory`` MB."""
    row_bytes = n * itemsize
    allowed = int(max_memory * 2**20 / _ARRAYS_PER_BLOCK // row_bytes)
    return int(np.clip(max(_CACHE_BYTES // row_bytes, _MIN_ROWS), 1, max(1, min(n, allowed))))


def _softmax_of_others(scores, start):
    """Softmax of each row without its own column, in place; returns the log normaliser."""
    own = np.arange(len(scores)), np.arange(start, start + len(scores))
    scores[own] = -np.inf
    largest = scores.max(axis=1)
    scores -= largest[:, None]
    np.maximum(scores, _LOWEST_EXPONENT[scores.dtype], out=scores)
    np.exp(scores, out=scores)
    scores[own] = 0
    total = scores.sum(axis=1)
    scores /= total[:, None]
    return largest + np.log(total)


class SameClass:
    """Which columns of a block are of the class of its rows, for rows sorted by class.

    Parameters
    ----------
    codes : ndarray of shape (n,)
        Class numbers 0, 1, ... in rising order.
    """

    def __init__(self, codes):
        self.codes = codes
        self._begin = np.searchsorted(codes, np.arange(codes[-1] + 2))

    def of_rows(self, rows):
        """Columns that hold all rows of the classes of ``rows``, and the mask within.

        Returns
        -------
        columns : slice
        same : ndarray of bool, shape (n_rows, n_columns)
        """
        first, last = self.codes[rows.start], self.codes[rows.stop - 1]
        columns = slice(self._begin[first], self._begin[last + 1])
        return columns, self.codes[rows, None] == self.codes[columns]
