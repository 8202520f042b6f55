"""Fewer rows, drawn so that every class keeps its share."""

import numpy as np


def fit_capped(estimator, X, y, max_rows, seed):
    """Fit on at most ``max_rows`` rows, drawn evenly over the classes; return how many."""
    if max_rows is not None and len(X) > max_rows:
        rows = np.sort(stratified_order(y, seed)[:max_rows])
        X, y = X[rows], y[rows]
    estimator.fit(X, y)
    return len(X)


def width(X):
    """Return how many numbers a row has; one of an image file."""
    return X.shape[1] if X.ndim > 1 else 1


def stratified_order(y, seed):
    """Order rows at random so that every beginning has each class in its share.

    The first two rows of each class come before all others, so that even a short
    beginning has pairs of every class. A longer beginning holds every shorter one.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Classes; rows with amounts are in any order.
    seed : int

    Returns
    -------
    ndarray of shape (n,)
    """
    rng = np.random.RandomState(seed)
    if y.dtype.kind == "f":  # amounts: in any order
        return rng.permutation(len(y))
    place = np.empty(len(y))
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        place[rows] = (np.arange(len(rows)) + rng.uniform(size=len(rows))) / len(rows)
        place[rows[:2]] -= 1
    return np.argsort(place, kind="stable")
