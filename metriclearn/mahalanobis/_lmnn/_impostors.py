"""Target neighbors and impostors, found in blocks: nothing n × n is ever kept.

Rows are expected sorted by class, so that the classes are slices and every
unordered pair of rows of two classes is looked at once.
"""

import itertools

import numpy as np

from metriclearn._arrays import (
    device,
    mean_row,
    moved_to,
    namespace,
    on_host,
    squared_norms,
    to_numpy,
)
from metriclearn._pairs import paired_sq_distances

_BLOCK_BYTES = 2**20  # a block of distances that stays in a core's cache
_TENSOR_BLOCK_BYTES = 2**28  # or that keeps a device busy


def target_neighbors(X, starts, n_neighbors):
    """Nearest rows of the same class.

    Parameters
    ----------
    X : ndarray or tensor of shape (n, d)
        Rows sorted by class.
    starts : ndarray of shape (n_classes + 1,)
        Where each class begins, and ``n``.
    n_neighbors : int
        Wanted for each row. A class with exactly that many rows has one fewer.

    Returns
    -------
    ndarray of shape (n, n_neighbors), dtype int32
        Row numbers in no particular order; -1 where a class has no more rows.
    """
    targets = np.full((X.shape[0], n_neighbors), -1, dtype=np.int32)
    for start, stop in itertools.pairwise(starts):
        rows = X[start:stop, :] - mean_row(X[start:stop, :])
        squared = squared_norms(rows)
        k = min(n_neighbors, int(stop - start) - 1)
        bytes_at_a_time = 4 * _BLOCK_BYTES if on_host(X) else _TENSOR_BLOCK_BYTES
        step = max(1, bytes_at_a_time // (8 * rows.shape[0]))
        for begin in range(0, rows.shape[0] if k else 0, step):
            block = rows[begin : min(begin + step, rows.shape[0]), :]
            d2 = block @ rows.T
            d2 *= -2
            d2 += squared
            nearest = _smallest(d2, k, begin)
            targets[start + begin : start + begin + block.shape[0], :k] = start + nearest
    return targets


def _smallest(d2, k, begin):
    """Columns of the smallest ``k`` of each row, but for row ``i`` the column ``begin + i``."""
    if on_host(d2):
        d2[np.arange(len(d2)), np.arange(begin, begin + len(d2))] = np.inf
        return np.argpartition(d2, k - 1, axis=1)[:, :k]
    xp = namespace(d2)
    columns = xp.arange(d2.shape[1], device=device(d2))
    own = columns[begin : begin + d2.shape[0]][:, None] == columns
    return to_numpy(xp.argsort(xp.where(own, xp.inf, d2), axis=1)[:, :k])


def weighted_targets(X, targets, weights, n_neighbors):
    """Target neighbors where a row of weight ``w`` is as ``w`` equal rows.

    Copies of a row are its own first targets; the nearest rows of its class follow,
    until ``n_neighbors`` are found.

    Parameters
    ----------
    X : ndarray or tensor of shape (n, d)
    targets : ndarray of shape (n, k)
        By ``target_neighbors``.
    weights : ndarray of shape (n,)
    n_neighbors : int

    Returns
    -------
    targets : ndarray of shape (n, k + 1), dtype int32
        Row numbers, the row itself among them; -1 for none.
    shares : ndarray of shape (n, k + 1)
        How often each is a target.
    """
    n, k = targets.shape
    itself = np.arange(n, dtype=targets.dtype)
    d2 = paired_sq_distances(X, np.repeat(itself, k), targets.ravel() % n).reshape(n, k)
    d2[targets < 0] = np.inf
    targets = np.take_along_axis(targets, np.argsort(d2, axis=1, kind="stable"), axis=1)
    present = np.where(targets < 0, 0, weights[targets])
    shares = np.column_stack([np.maximum(weights - 1, 0), present])
    shares = np.clip(n_neighbors - np.cumsum(shares, axis=1) + shares, 0, shares)
    targets = np.column_stack([itself, targets])
    return np.where(shares > 0, targets, -1).astype(np.int32), shares


def pairs_within(Z, radii, starts, most=np.inf):
    """Pairs of rows of two classes closer than the larger of their radii.

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
