"""Labels of pairs, and the probabilities that a score of pairs is turned into."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_consistent_length, column_or_1d

from metriclearn._validation import check_label_kinds
from metriclearn.verification._tuples import check_weights


def check_labels(pairs, y, sample_weight=None):
    """Check labels and weights of pairs; those of weight zero count for nothing.

    Parameters
    ----------
    pairs : ndarray of shape (n, ...)
    y : array-like of shape (n,)
    sample_weight : array-like of shape (n,), default=None

    Returns
    -------
    pairs, y, weights : ndarray
        Of the pairs that count; weights are None where none were given.

    Raises
    ------
    ValueError
        If ``y`` does not hold two values.
    """
    check_label_kinds(y)
    y = column_or_1d(y)
    check_consistent_length(pairs, y)
    weights = check_weights(sample_weight, pairs)
    if weights is not None:
        kept = weights > 0
        pairs, y, weights = pairs[kept], y[kept], weights[kept]
    classes = np.unique(y)
    if len(classes) != 2:
        raise ValueError(
            f"y must hold two values, one for pairs that are the same and one for others, got "
            f"{len(classes)}: {classes[:5].tolist()}"
        )
    return pairs, y, weights


def probabilities(logit, same_is_second):
    """Return the probabilities of both labels, (n, 2), from log odds of the same."""
    same = 1 / (1 + np.exp(-np.clip(logit, -700, 700)))
    return np.column_stack([1 - same, same] if same_is_second else [same, 1 - same])


def logistic(distances, same, weights=None):
    """Slope and intercept of P(same) by distance, with Platt's targets inside (0, 1)."""
    weights = np.ones(len(same)) if weights is None else weights
    n_same, n_different = weights[same].sum(), weights[~same].sum()
    target = np.where(same, (n_same + 1) / (n_same + 2), 1 / (n_different + 2))
    mean = np.average(distances, weights=weights)
    scale = np.sqrt(np.average((distances - mean) ** 2, weights=weights))
    scale = scale if scale > 0 else 1.0
    model = LogisticRegression(C=1e6).fit(
        np.concatenate([distances, distances])[:, None] / scale,
        np.repeat([1, 0], len(distances)),
        sample_weight=np.concatenate([weights * target, weights * (1 - target)]),
    )
    return float(model.coef_[0, 0]) / scale, float(model.intercept_[0])
