"""The rows of a fit, in numpy or another library, and the few operations LMNN needs."""

import numpy as np
from sklearn.utils import gen_batches

from metriclearn._arrays import (
    is_double,
    mean_row,
    moved_to,
    namespace,
    on_host,
    rows_of,
    squared_norms,
    to_numpy,
    with_dtype,
    with_dtype_of,
)
from metriclearn._pairs import pair_scatter
from metriclearn._threads import map_blocks

ROWS = 2**11  # that a thread computes at a time


class Rows:
    """Rows where they are: what is small (means, matrices of the features) is numpy's.

    Parameters
    ----------
    array : ndarray or tensor of shape (n, d), float32 or float64
    """

    def __init__(self, array):
        self.array = array

    def __len__(self):
        return self.array.shape[0]

    @property
    def n_features(self):
        """Number of columns."""
        return self.array.shape[1]

    @property
    def is_double(self):
        """Whether the rows are float64."""
        return is_double(self.array)

    @property
    def on_host(self):
        """Whether the rows are numpy's."""
        return on_host(self.array)

    @property
    def double(self):
        """The same rows in float64."""
        return Rows(with_dtype(self.array, "float64"))

    @property
    def single(self):
        """The same rows in float32."""
        return Rows(with_dtype(self.array, "float32"))

    def like(self, other):
        """Return the same rows in the dtype of ``other``."""
        return Rows(with_dtype_of(other.array, self.array))

    def take(self, indices):
        """Return the rows of the given numbers."""
        return Rows(rows_of(self.array, indices))

    def mean(self, weights=None):
        """Compute the weighted mean of the rows: ndarray of shape (d,)."""
        return to_numpy(mean_row(self.array, weights))

    def mean_squares(self, weights=None):
        """Compute the weighted mean of the squares of each feature: ndarray of shape (d,)."""
        return to_numpy(mean_row(self.array * self.array, weights))

    def gram(self):
        """Sum of ``x xᵀ`` over the rows: ndarray of shape (d, d)."""
        return to_numpy(self.array.T @ self.array)

    def scatter(self, weights, first, second):
        """Sum of ``w (x_i - x_j)(x_i - x_j)ᵀ`` over listed pairs, in float64."""
        return pair_scatter(with_dtype(self.array, "float64"), weights, first, second)

    def minus(self, row):
        """Return the rows less a row of numbers, one for each feature."""
        return Rows(self.array - moved_to(self.array, row))

    def times(self, factors):
        """Return the rows times numbers, one for each feature or one for all."""
        return Rows(self.array * moved_to(self.array, factors))

    def over(self, divisors):
        """Return the rows divided by numbers, one for each feature or one for all."""
        return Rows(self.array / moved_to(self.array, divisors))

    def weighted(self, weights):
        """Return the rows times the root of their weights."""
        return Rows(moved_to(self.array, np.sqrt(weights))[:, None] * self.array)

    def mapped(self, L):
        """Compute the rows ``L x``, as an array: they are searched and paired next."""
        if not self.on_host:
            return self.array @ moved_to(self.array, L.T)
        L = L.astype(self.array.dtype, copy=False)
        Z = np.empty((len(self), len(L)), L.dtype)

        def embed(block):
            np.matmul(self.array[block], L.T, out=Z[block])

        for _ in map_blocks(embed, gen_batches(len(self), ROWS)):
            pass
        return Z

    def mean_sq_norm(self):
        """Compute the mean squared length of the rows."""
        return float(namespace(self.array).mean(squared_norms(self.array)))
