"""Nearest rows of the same class, and of others."""

import numpy as np
from sklearn.utils import gen_batches

from metriclearn._pairs import paired_sq_distances, pairwise_sq_distances

_BLOCK_BYTES = 2**25


def nearest_by_class(X, codes, anchors, n_positives, n_negatives):
    """Find the nearest rows of the class of each anchor, and of all others.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    codes : ndarray of int, shape (n,)
        Classes.
    anchors : ndarray of int, shape (m,)
        Row numbers.
    n_positives, n_negatives : int
        At most.

    Returns
    -------
    positives, negatives : ndarray of int, shape (m, at most n_positives or n_negatives)
        Row numbers by growing distance, ties by number; -1 where there are fewer.
    """
    n = len(X)
    counts = np.bincount(codes)
    p = int(min(n_positives, counts.max() - 1))
    q = int(min(n_negatives, n - counts.min()))
    positives, negatives = (np.empty((len(anchors), k), np.intp) for k in (p, q))
    step = max(1, _BLOCK_BYTES // (X.itemsize * n))
    for block in gen_batches(len(anchors), step):
        rows = anchors[block]
        d2 = pairwise_sq_distances(X[rows], X)
        same = codes[rows, None] == codes
        other = np.where(same, np.inf, d2)
        np.copyto(d2, np.inf, where=~same)
        d2[np.arange(len(rows)), rows] = np.inf
        positives[block] = _smallest(d2, p, X, rows)
        negatives[block] = _smallest(other, q, X, rows)
    return positives, negatives


def _smallest(d2, k, X, rows):
    """Columns of the ``k`` smallest of each row in order, measured again without rounding."""
    few = min(2 * k + 4, d2.shape[1])
    columns = np.argpartition(d2, few - 1, axis=1)[:, :few]
    columns.sort(axis=1)
    first = np.repeat(np.arange(len(rows)), few)
    exact = paired_sq_distances(
        X.astype(np.float64, copy=False), rows[first], columns.ravel()
    ).reshape(columns.shape)
    exact[~np.isfinite(np.take_along_axis(d2, columns, axis=1))] = np.inf
    order = np.argsort(exact, axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(columns, order, axis=1)
    return np.where(np.isfinite(np.take_along_axis(exact, order, axis=1)), found, -1)
