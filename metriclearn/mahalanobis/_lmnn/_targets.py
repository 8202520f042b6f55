"""Target neighbors: the nearest rows of the own class.

Rows are expected sorted by class, so that the classes are slices.
"""

import numpy as np

from metriclearn._arrays import (
    device,
    mean_row,
    namespace,
    on_host,
    rows_of,
    squared_norms,
    to_numpy,
)
from metriclearn._pairs import paired_sq_distances
from metriclearn._threads import map_blocks

_BLOCK_BYTES = 4 * 2**20
_TENSOR_BLOCK_BYTES = 2**28
_SMALL_CLASS = 32  # classes of up to this many rows are searched together, by size


def target_neighbors(X, starts, n_neighbors, anchors=None):
    """Find the nearest rows of the same class.

    Parameters
    ----------
    X : ndarray or tensor of shape (n, d)
        Rows sorted by class.
    starts : ndarray of shape (n_classes + 1,)
        Where each class begins, and ``n``.
    n_neighbors : int
        Wanted for each row. A class with exactly that many rows has one fewer.
    anchors : ndarray of shape (n_anchors,), default=None
        Row numbers, rising, whose neighbors are wanted; all by default.

    Returns
    -------
    ndarray of shape (n_anchors, n_neighbors), dtype int32
        Row numbers in no particular order; -1 where a class has no more rows.
    """
    anchors = np.arange(X.shape[0]) if anchors is None else anchors
    targets = np.full((len(anchors), n_neighbors), -1, dtype=np.int32)
    sizes = np.diff(starts)
    large = np.flatnonzero((sizes > _SMALL_CLASS) | (not on_host(X)))
    blocks = [block for c in large for block in _blocks_of(X, starts[c : c + 2], anchors)]
    found = map_blocks(lambda block: _of_class(X, *block, n_neighbors), blocks)
    for (_, of_block, _), nearest in zip(blocks, found, strict=True):
        begin, stop = np.searchsorted(anchors, [of_block[0], of_block[-1] + 1])
        targets[begin:stop, : nearest.shape[1]] = nearest
    if on_host(X):
        classes = np.searchsorted(starts, anchors, side="right") - 1
        for size in np.unique(sizes[sizes <= _SMALL_CLASS]):
            wanted = np.flatnonzero(sizes[classes] == size)
            if len(wanted):
                k = min(n_neighbors, size - 1)
                targets[wanted, :k] = _of_small_classes(
                    X, starts[classes], anchors, wanted, size, k
                )
    return targets


def _blocks_of(X, bounds, anchors):
    """Blocks of anchors of one large class: its bounds, the anchors, and the centered rows."""
    start, stop = bounds
    of_class = anchors[slice(*np.searchsorted(anchors, bounds))]
    if not len(of_class) or stop - start < 2:
        return
    rows = X[start:stop, :] - mean_row(X[start:stop, :])
    prepared = rows, squared_norms(rows)
    bytes_at_a_time = _BLOCK_BYTES if on_host(X) else _TENSOR_BLOCK_BYTES
    step = max(1, int(bytes_at_a_time // (8 * (stop - start))))
    for begin in range(0, len(of_class), step):
        yield start, of_class[begin : begin + step], prepared


def _of_class(X, start, anchors, prepared, n_neighbors):
    rows, squared = prepared
    d2 = rows_of(rows, anchors - start) @ rows.T
    d2 *= -2
    d2 += squared
    return start + _smallest(d2, min(n_neighbors, rows.shape[0] - 1), anchors - start)


def _of_small_classes(X, class_starts, anchors, wanted, size, k):
    """Nearest of anchors in classes of one size: all these classes in one product."""
    starts, which = np.unique(class_starts[wanted], return_inverse=True)
    rows = X[starts[:, None] + np.arange(size)]
    rows = rows - rows.mean(axis=1, keepdims=True)
    d2 = -2 * (rows @ rows.transpose(0, 2, 1)) + np.einsum("cij,cij->ci", rows, rows)[:, None]
    own = anchors[wanted] - class_starts[wanted]
    return class_starts[wanted][:, None] + _smallest(d2[which, own], k, own)


def _smallest(d2, k, own):
    """Columns of the smallest ``k`` of each row, but for row ``i`` the column ``own[i]``."""
    if on_host(d2):
        d2[np.arange(len(d2)), own] = np.inf
        return np.argpartition(d2, k - 1, axis=1)[:, :k]
    xp = namespace(d2)
    columns = xp.arange(d2.shape[1], device=device(d2))
    own = xp.asarray(own, device=device(d2))[:, None] == columns
    return to_numpy(xp.argsort(xp.where(own, xp.inf, d2), axis=1)[:, :k])


def weighted_targets(X, targets, weights, n_neighbors, anchors=None):
    """Find target neighbors where a row of weight ``w`` is as ``w`` equal rows.

    Copies of a row are its own first targets; the nearest rows of its class follow,
    until ``n_neighbors`` are found.

    Parameters
    ----------
    X : ndarray or tensor of shape (n, d)
    targets : ndarray of shape (n_anchors, k)
        By ``target_neighbors``.
    weights : ndarray of shape (n,)
    n_neighbors : int
    anchors : ndarray of shape (n_anchors,), default=None
        Rows that the targets are of; all by default.

    Returns
    -------
    targets : ndarray of shape (n_anchors, k + 1), dtype int32
        Row numbers, the row itself among them; -1 for none.
    shares : ndarray of shape (n_anchors, k + 1)
        How often each is a target.
    """
    k = targets.shape[1]
    itself = np.arange(len(targets), dtype=np.int32) if anchors is None else anchors
    d2 = paired_sq_distances(X, np.repeat(itself, k), targets.ravel() % X.shape[0])
    d2 = d2.reshape(targets.shape)
    d2[targets < 0] = np.inf
    targets = np.take_along_axis(targets, np.argsort(d2, axis=1, kind="stable"), axis=1)
    present = np.where(targets < 0, 0, weights[targets])
    shares = np.column_stack([np.maximum(weights[itself] - 1, 0), present])
    shares = np.clip(n_neighbors - np.cumsum(shares, axis=1) + shares, 0, shares)
    targets = np.column_stack([itself, targets])
    return np.where(shares > 0, targets, -1).astype(np.int32), shares
