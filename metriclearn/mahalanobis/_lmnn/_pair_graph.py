"""Pairs of rows in compressed sparse form, and weighted sums over them."""

from functools import cached_property

import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches

from metriclearn._arrays import on_host
from metriclearn._pairs import pair_moment, paired_sq_distances
from metriclearn._threads import map_blocks
from metriclearn.mahalanobis._lmnn._rows import ROWS

_PAIRS = 2**15  # whose distances a thread computes at a time


class PairGraph:
    """Pairs of rows in compressed sparse form: ``i`` and ``columns[indptr[i]:indptr[i + 1]]``."""

    def __init__(self, indptr, columns):
        self._indptr, self._columns = indptr, columns
        self._counts = np.diff(indptr)
        self._some = np.flatnonzero(self._counts)  # rows that have pairs

    @cached_property
    def _bins(self):
        # What bincount and indexing would make of the columns each time; as large as two
        # of them, so that graphs that are only kept do without.
        return self._columns.astype(np.intp)

    def __len__(self):
        return len(self._columns)

    def sq_distances(self, Z):
        """Compute the squared distances of the pairs, in the dtype of ``Z``."""
        rows = self.of_rows(np.arange(Z.shape[0]))
        if len(rows) <= _PAIRS or not on_host(Z):
            return paired_sq_distances(Z, rows, self._columns)
        blocks = gen_batches(len(rows), _PAIRS)
        found = map_blocks(lambda b: paired_sq_distances(Z, rows[b], self._columns[b]), blocks)
        return np.concatenate([*found])

    def closer(self, d2, radii):
        """Return the pairs whose squared distance is below the larger radius of their rows.

        Returns
        -------
        graph : PairGraph
        d2 : ndarray of shape (n_pairs,)
            Their squared distances.
        """
        limits = np.maximum(self.of_rows(radii), radii[self._columns])
        kept = np.flatnonzero(d2 < limits)
        indptr = np.searchsorted(kept, self._indptr).astype(self._indptr.dtype)
        return PairGraph(indptr, self._columns[kept]), d2[kept]

    def of_rows(self, values):
        """Return the value of the row of each pair."""
        return np.repeat(values, self._counts)

    def of_columns(self, values):
        """Return the value of the column of each pair."""
        return values[self._bins]

    def sums(self, of_row, of_column):
        """Add up for each row its own ``of_row`` and, where it is the column, ``of_column``."""
        sums = np.bincount(self._bins, of_column, len(self._counts))
        if len(self._some):
            sums[self._some] += np.add.reduceat(of_row, self._indptr[self._some])
        return sums

    def moment(self, weights, B, X):
        """Compute ``Σ w (b_i - b_j)(x_i - x_j)ᵀ`` over the pairs, for tensors."""
        rows = self.of_rows(np.arange(len(self._counts)))
        return pair_moment(B, X, weights, rows, self._columns)

    def add_laplacian_product(self, weights, B, out):
        """Add ``Σ w (e_i - e_j)(e_i - e_j)ᵀ B`` over the pairs to ``out``, in its dtype."""
        weights = weights.astype(B.dtype, copy=False)
        degrees = self.sums(weights, weights).astype(B.dtype)[:, None]
        of_rows, (order, of_columns) = self._matrix, self._transposed
        of_rows.data, of_columns.data = weights, weights[order]

        def add(block):
            # In the cache: passing over all rows for each term takes longer than the products.
            part = degrees[block] * B[block]
            part -= of_rows[block] @ B
            part -= of_columns[block] @ B
            out[block] += part

        for _ in map_blocks(add, gen_batches(len(B), ROWS)):
            pass

    # scipy's checks take longer than a product: graphs that are kept make their matrices once.
    @cached_property
    def _matrix(self):
        return self._with_data(np.ones(len(self), np.float32))

    @cached_property
    def _transposed(self):
        """The order of the pairs by column, and the transposed matrix."""
        matrix = self._with_data(np.arange(len(self))).tocsc()
        parts, shape = (self._matrix.data, matrix.indices, matrix.indptr), self._matrix.shape
        return matrix.data, sparse.csr_array(parts, shape)

    def _with_data(self, data):
        n = len(self._counts)
        return sparse.csr_array((data, self._columns, self._indptr), (n, n))
