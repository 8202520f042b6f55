"""The order of what a search of an index found: by distance, or by a score of the user's."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from metriclearn.neighbors._index._ids import nobody

#: How many candidates have their distances computed, or a function of queries and ids found.
Rerank = int | Callable[[ArrayLike, np.ndarray], ArrayLike]


def in_order(distances, ids, scorer, X, max_distance=None):
    """Order what was found for each query by a score, and drop what is too far away.

    Parameters
    ----------
    distances, ids : ndarray of shape (n_queries, k)
        Rising distances; changed in place.
    scorer : callable or None
        From ``X`` and ``ids`` to scores of the shape of ``ids``, the higher the better; of equal
        scores the nearer row comes first. None leaves the order as it is.
    X : array-like of shape (n_queries, ...)
        Queries as they were given.
    max_distance : float, default=None
        Rows farther than this are nobody, and come last.

    Returns
    -------
    distances, ids : ndarray of shape (n_queries, k)
    """
    too_far = None if max_distance is None else distances > max_distance
    order = None if scorer is None else _order(scorer, X, ids, too_far)
    if too_far is not None:
        distances[too_far], ids[too_far] = np.inf, nobody(ids.dtype)
    if order is None:
        return distances, ids
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(ids, order, axis=1)


def _order(scorer, X, ids, too_far):
    scores = np.array(scorer(X, ids), dtype=float)
    if scores.shape != ids.shape:
        raise ValueError(
            f"rerank must return scores of shape {ids.shape}, one for each row that was found, "
            f"got {scores.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("rerank must return finite scores, got infinite values or NaN")
    if too_far is not None:
        scores[too_far] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")
