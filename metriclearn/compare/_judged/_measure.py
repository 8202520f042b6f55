"""How well a metric agrees with judgments that it has not seen."""

import numpy as np
from sklearn.metrics import roc_auc_score

from metriclearn.metrics._verification import best_threshold

#: The measure that settles a winner, by the kind of the constraints; where items are new, "new_".
HEADLINES = {"pairs": "pair_auc", "triplets": "agreement"}


def measure_name(measure, protocol):
    """Return what a measure is called in a protocol."""
    return measure if protocol == "closed" else f"new_{measure}"


def judged_scores(Z, constraints, protocol, threshold=None):
    """Score an embedding by judgments.

    Parameters
    ----------
    Z : ndarray of shape (n_items, d)
    constraints : Pairs or Triplets
    protocol : {"closed", "open"}
    threshold : float, default=None
        Of pairs, the largest distance that counts as similar; without it there is no accuracy.

    Returns
    -------
    dict of str to float
        Of triplets the share of those whose nearer item is nearer, equal distances counting half.
        Of pairs the area under the ROC curve, and the share that the threshold gets right.

    Examples
    --------
    >>> from metriclearn.constraints import Pairs, Triplets
    >>> Z = np.array([[0.0], [1.0], [3.0]])
    >>> judged_scores(Z, Triplets([[0, 1, 2], [2, 0, 1]]), "closed")
    {'agreement': 0.5}
    >>> judged_scores(Z, Pairs([[0, 1], [1, 2]], [True, False]), "open", threshold=2.5)
    {'new_pair_auc': 1.0, 'new_pair_accuracy': 0.5}
    """
    weights = constraints.weights
    if not hasattr(constraints, "similar"):
        near, far = (item_distances(Z, constraints.indices[:, [0, j]]) for j in (1, 2))
        # What rounding alone tells apart is equal, as distances of binary columns often are.
        equal = np.abs(near - far) <= 1e-9 * np.maximum(near, far)
        right = np.where(equal, 0.5, near < far)
        scores = {"agreement": float(np.average(right, weights=weights))}
    else:
        distances = item_distances(Z, constraints.indices)
        rounded = np.round(distances / (distances.max() or 1.0), 9)
        auc = roc_auc_score(constraints.similar, -rounded, sample_weight=weights)
        scores = {"pair_auc": float(auc)}
        if threshold is not None:
            right = (distances <= threshold) == constraints.similar
            scores["pair_accuracy"] = float(np.average(right, weights=weights))
    return {measure_name(name, protocol): score for name, score in scores.items()}


def item_distances(Z, pairs):
    """Return the distance of the two items of each pair."""
    return np.linalg.norm(Z[pairs[:, 0]] - Z[pairs[:, 1]], axis=1)


def pair_threshold(Z, constraints):
    """Return the largest distance that counts as similar; None of triplets."""
    if not hasattr(constraints, "similar"):
        return None
    distances = item_distances(Z, constraints.indices)
    return best_threshold(constraints.similar, distances, sample_weight=constraints.weights)
