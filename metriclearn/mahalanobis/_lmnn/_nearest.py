"""Nearest rows of other classes, searched for some anchors in blocks.

Rows are expected sorted by class, so that the classes are slices.
"""

import numpy as np

from metriclearn._arrays import (
    device,
    moved_to,
    namespace,
    on_host,
    rows_of,
    squared_norms,
    to_numpy,
)
from metriclearn._threads import map_blocks

_BLOCK_ROWS = 256
_TILE_BYTES = 2**20  # a tile of distances stays in a core's cache
_TENSOR_BLOCK_BYTES = 2**28
# The bound that screens a row is its sixth nearest of one row in k, or thereabouts:
# some 6 k rows are nearer, and fewer than k once in a thousand rows.
_SAMPLE_RANK = 6


def nearest_of_others(Z, starts, anchors, k):
    """Find the nearest rows of other classes.

    Parameters
    ----------
    Z : ndarray or tensor of shape (n, r)
        Rows sorted by class; distances are computed in its dtype.
    starts : ndarray of shape (n_classes + 1,)
        Where each class begins, and ``n``.
    anchors : ndarray of shape (n_anchors,)
        Row numbers, rising.
    k : int

    Returns
    -------
    nearest : ndarray of shape (n_anchors, k), dtype int32
        Row numbers by distance; -1 where other classes have no more rows.
    sq_distances : ndarray of shape (n_anchors, k)
        Infinite where there is no row.
    """
    classes = np.searchsorted(starts, anchors, side="right") - 1
    search = _Others(Z, starts, k) if on_host(Z) else _TensorOthers(Z, starts, k)
    blocks = [slice(begin, begin + search.step) for begin in range(0, len(anchors), search.step)]
    nearest = np.full((len(anchors), k), -1, dtype=np.int32)
    sq_distances = np.full((len(anchors), k), np.inf, dtype=np.float64)
    found = map_blocks(lambda block: search(anchors[block], classes[block]), blocks)
    for block, (columns, d2) in zip(blocks, found, strict=True):
        nearest[block, : columns.shape[1]] = np.where(np.isfinite(d2), columns, -1)
        sq_distances[block, : columns.shape[1]] = d2
    return nearest, sq_distances


class _Others:
    """Nearest rows of other classes for a block of anchors, in numpy.

    One product of ``[-2a, 1, |a|²]`` and ``[z, |z|², 1]`` is a tile of squared distances.
    """

    step = _BLOCK_ROWS

    def __init__(self, Z, starts, k):
        self._starts, self._k = starts, k
        squared = squared_norms(Z)
        self._rows = np.column_stack([Z, squared, np.ones_like(squared)])
        self._tile = max(k, _TILE_BYTES // (Z.itemsize * self.step))
        n = len(Z)
        # Of few rows all are the sample: the k-th of them is the bound, and nothing else is sorted.
        is_many = n > 8 * _SAMPLE_RANK * k
        self._rank = _SAMPLE_RANK if is_many else k
        self._sample = np.arange(0, n, max(1, k) if is_many else 1)

    def __call__(self, anchors, classes):
        left = self._rows[anchors]
        left[:, :-2] *= -2
        left[:, -2:] = left[:, :-3:-1]
        columns, d2, missed = self._below(left, classes, self._limits(left, classes))
        if len(missed):
            limits = np.full(len(missed), np.inf, dtype=left.dtype)
            columns[missed], d2[missed], _ = self._below(left[missed], classes[missed], limits)
        return columns, np.maximum(d2, 0)

    def _limits(self, left, classes):
        """Bound of the k-th nearest of each anchor, from a sample of the rows."""
        sample = self._sample
        d2 = left @ self._rows[sample].T
        begins, ends = np.searchsorted(sample, self._starts[[classes, classes + 1]])
        for row, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            d2[row, begin:end] = np.inf
        rank = min(self._rank, len(sample)) - 1
        return np.nextafter(np.partition(d2, rank, axis=1)[:, rank], np.inf, dtype=d2.dtype)

    def _below(self, left, classes, limits):
        """Find the k nearest below the limits, and anchors that have fewer than there are."""
        n, n_rows = len(self._rows), len(left)
        begins, ends = self._starts[classes], self._starts[classes + 1]
        one_class = classes[0] == classes[-1]
        # Filled again and again: fresh memory would cost a fifth of the product.
        product, near = (np.empty(n_rows * self._tile, kind) for kind in (left.dtype, bool))
        parts = []
        for first in range(0, n, self._tile):
            stop = min(first + self._tile, n)
            d2, below = (
                memory[: n_rows * (stop - first)].reshape(n_rows, -1) for memory in (product, near)
            )
            np.matmul(left, self._rows[first:stop].T, out=d2)
            if one_class:
                d2[:, max(begins[0] - first, 0) : max(ends[0] - first, 0)] = np.inf
            elif begins[0] < stop and ends[-1] > first:
                for row in np.flatnonzero((begins < stop) & (ends > first)):
                    d2[row, max(begins[row] - first, 0) : ends[row] - first] = np.inf
            flat = np.flatnonzero(np.less(d2, limits[:, None], out=below))
            row, column = np.divmod(flat, stop - first)
            parts.append((row.astype(np.uint16), column + first, d2.ravel()[flat]))
        row, column, d2 = (np.concatenate(part) for part in zip(*parts, strict=True))
        # A line of each anchor, by column: the stable sort of a line keeps that where two are
        # equally far, and many short sorts take less than a long one.
        order = np.argsort(row, kind="stable")
        row = row[order]
        counts = np.bincount(row, minlength=n_rows)
        place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        shape = (n_rows, max(self._k, counts.max()))
        columns, distances = np.full(shape, -1, np.int32), np.full(shape, np.inf, d2.dtype)
        columns[row, place], distances[row, place] = column[order], d2[order]
        nearest = np.argsort(distances, axis=1, kind="stable")[:, : self._k]
        columns, distances = (np.take_along_axis(a, nearest, axis=1) for a in (columns, distances))
        missed = np.flatnonzero(counts < np.minimum(self._k, n - (ends - begins)))
        return columns, distances, missed


class _TensorOthers:
    """The same in the array API's functions."""

    def __init__(self, Z, starts, k):
        self._Z, self._starts, self._k = Z, starts, min(k, Z.shape[0])
        self._squared = squared_norms(Z)
        self._numbers = namespace(Z).arange(Z.shape[0], device=device(Z))
        self.step = max(1, _TENSOR_BLOCK_BYTES // (8 * Z.shape[0]))

    def __call__(self, anchors, classes):
        xp, Z = namespace(self._Z), self._Z
        left = rows_of(Z, anchors)
        d2 = -2 * (left @ Z.T) + self._squared + squared_norms(left)[:, None]
        begins, ends = (
            moved_to(Z, self._starts[of], xp.int64)[:, None] for of in (classes, classes + 1)
        )
        own = (self._numbers >= begins) & (self._numbers < ends)
        d2 = xp.where(own, xp.inf, d2)
        nearest = xp.argsort(d2, axis=1, stable=True)[:, : self._k]
        return to_numpy(nearest), to_numpy(xp.take_along_axis(d2, nearest, axis=1))
