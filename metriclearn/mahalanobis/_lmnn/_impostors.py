"""All impostors within a radius, found in blocks or listed once: nothing n × n is ever kept.

Rows are expected sorted by class, so that the classes are slices and every
unordered pair of rows of two classes is looked at once.
"""

import numpy as np

from metriclearn._arrays import moved_to, namespace, on_host, squared_norms, to_numpy
from metriclearn.mahalanobis._lmnn._proof import Proof

_BLOCK_BYTES = 2**20  # a block of distances that stays in a core's cache
_TENSOR_BLOCK_BYTES = 2**28  # or that keeps a device busy


def pairs_within(Z, radii, starts, most=np.inf):
    """Find the pairs of rows of two classes closer than the larger of their radii.

    One matrix product of ``[z, |z|², 1]`` and ``[-2z, 1, |z|²]`` gives a block
    of squared distances.

    Parameters
    ----------
    Z : ndarray or tensor of shape (n, r)
        Rows sorted by class. Distances are computed in its dtype.
    radii : ndarray of shape (n,)
        Squared radii, in the dtype of ``Z``.
    starts : ndarray of shape (n_classes + 1,)
    most : int, default=inf
        Pairs after which a part is yielded and let go; by default all come in one.

    Yields
    ------
    indptr : ndarray of shape (n + 1,), dtype int32 or int64
    columns : ndarray of shape (n_pairs,), dtype int32
        Pairs of this part as rows of a compressed sparse matrix; the class of
        the column is the later one. At least one part comes, if empty.
    d2 : ndarray of shape (n_pairs,)
        Their squared distances.
    """
    n, itemsize = Z.shape[0], radii.itemsize
    classes = np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts))
    block_bytes = _BLOCK_BYTES if on_host(Z) else _TENSOR_BLOCK_BYTES
    blocks = list(_row_blocks(starts, n, block_bytes // itemsize))
    search = _search if on_host(Z) else _search_tensor
    n_found, rows, columns, distances = 0, [], [], []
    for (begin, _, first), flat, d2 in search(Z, radii, classes, blocks):
        row, column = np.divmod(flat, n - first)
        rows.append((row + begin).astype(np.int32))
        columns.append((column + first).astype(np.int32))
        distances.append(d2)
        n_found += len(d2)
        if n_found >= most:
            yield _compressed(n, rows, columns, distances)
            n_found, rows, columns, distances = 0, [], [], []
    empty = np.empty(0, dtype=np.int32)
    rows, columns = [empty, *rows], [empty, *columns]
    yield _compressed(n, rows, columns, [np.empty(0, dtype=radii.dtype), *distances])


def _search(Z, radii, classes, blocks):
    """Of each block: itself, flat numbers of the pairs within a radius, their distances."""
    n, r = Z.shape
    squared = squared_norms(Z)
    left = np.column_stack([Z, squared, np.ones_like(squared)])
    right = np.empty((r + 2, n), dtype=Z.dtype)
    np.multiply(Z.T, -2, out=right[:r])
    right[r], right[r + 1] = 1, squared
    # Filled again and again: fresh memory would cost as much as the product.
    largest = max(((stop - begin) * (n - first) for begin, stop, first in blocks), default=0)
    product, near, near_column = (np.empty(largest, kind) for kind in (Z.dtype, bool, bool))
    for begin, stop, first in blocks:
        width = n - first
        d2, within, within_column = (
            memory[: (stop - begin) * width].reshape(-1, width)
            for memory in (product, near, near_column)
        )
        np.matmul(left[begin:stop], right[:, first:], out=d2)
        np.less(d2, radii[begin:stop, None], out=within)
        np.less(d2, radii[first:], out=within_column)
        within |= within_column
        if classes[begin] != classes[stop - 1]:
            within &= classes[begin:stop, None] < classes[first:]
        flat = np.flatnonzero(within)
        yield (begin, stop, first), flat.astype(np.int32), d2.ravel()[flat]


def _search_tensor(Z, radii, classes, blocks):
    """Return the same in the array API's functions: only pairs within a radius leave the device."""
    xp = namespace(Z)
    radii, classes = moved_to(Z, radii), moved_to(Z, classes, xp.int32)
    squared = squared_norms(Z)
    for begin, stop, first in blocks:
        d2 = -2 * (Z[begin:stop, :] @ Z[first:, :].T)
        d2 += squared[begin:stop][:, None]
        d2 += squared[first:]
        within = (d2 < radii[begin:stop][:, None]) | (d2 < radii[first:])
        within = within & (classes[begin:stop][:, None] < classes[first:])
        flat = xp.nonzero(xp.reshape(within, (-1,)))[0]
        found = xp.take(xp.reshape(d2, (-1,)), flat)
        yield (begin, stop, first), to_numpy(flat), to_numpy(found)


def _compressed(n, rows, columns, distances):
    counts = np.bincount(np.concatenate(rows), minlength=n)
    indptr = np.zeros(n + 1, dtype=np.int32 if counts.sum() < 2**31 else np.int64)
    np.cumsum(counts, out=indptr[1:])
    return indptr, np.concatenate(columns), np.concatenate(distances)


def _row_blocks(starts, n, block_numbers):
    """Row ranges, each with the first column that can be of a later class.

    A block stays inside one class where the class is large; small classes share one.
    """
    smallest = 32
    n_classes = len(starts) - 1
    c = 0
    while c < n_classes - 1:
        first = int(starts[c + 1])
        step = max(smallest, block_numbers // (n - first))
        last = c + 1
        while last < n_classes - 1 and starts[last + 1] - starts[c] <= smallest:
            last += 1
        for begin in range(int(starts[c]), int(starts[last]), step):
            yield begin, min(begin + step, int(starts[last])), first
        c = last


class ImpostorList:
    """All pairs of rows that were closer than radii at one ``L``.

    At another it suffices, too, where the `Proof` of all rows as anchors holds.

    Parameters
    ----------
    L : ndarray of shape (r, d)
    radii : ndarray of shape (n,)
        Squared; a pair counts within the larger of its two. The list serves longer if
        they are larger than need be.
    rows : Rows
        That ``L`` embeds, in float64.
    most : float
        Pairs beyond which the list is given up.
    """

    def __init__(self, L, radii, rows, most):
        self.radii, self._proof = radii, Proof(L, radii, rows, np.arange(len(radii)))
        self._room, self._parts = most, []

    @property
    def full(self):
        """Whether there were too many pairs: the list is then useless."""
        return self._room < 0

    def add(self, graph):
        """List the pairs of a ``PairGraph``."""
        self._room -= len(graph)
        self._parts = [] if self.full else [*self._parts, graph]

    def closer(self, Z, radii):
        """Yield the listed pairs closer than radii at ``Z``: their graphs and squared distances."""
        for part in self._parts:
            yield part.closer(part.sq_distances(Z), radii)

    def suffices(self, L, radii):
        """Whether it is proven that no pair not listed is closer than ``radii`` at ``L``."""
        return self._proof.holds(L, radii)
