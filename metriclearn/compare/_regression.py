"""Amounts: what is predicted by the nearest neighbors, and what is scored.

An array of amounts is known by its kind: classes are integer codes.
"""

from sklearn.metrics import median_absolute_error, r2_score


def are_amounts(y):
    """Whether a target holds amounts, not codes of classes."""
    return y.dtype.kind == "f"


def amount_scores(predicted, y):
    """Return R², and the median absolute error in units of the target.

    Examples
    --------
    >>> import numpy as np
    >>> scores = amount_scores(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    >>> {name: float(score) for name, score in scores.items()}
    {'r2': 0.5, 'median_error': 0.0}
    """
    return {
        "r2": float(r2_score(y, predicted)),
        "median_error": float(median_absolute_error(y, predicted)),
    }


def mean_of_nearest(amounts, ks):
    """Predict the mean amount of the k nearest rows.

    Parameters
    ----------
    amounts : ndarray of shape (n, most)
        Of the nearest rows, nearest first.
    ks : list of int

    Returns
    -------
    list of ndarray of shape (n,)
        For each k; the mean of all where there are fewer.
    """
    return [amounts[:, :k].mean(axis=1) for k in ks]
