"""Scores of a fitted learner, in each protocol."""

from dataclasses import dataclass, field

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from metriclearn.metrics._retrieval import retrieval_scores

N_NEIGHBORS = 3
RECALL_KS = (1, 2, 4, 8, 16, 32)
MEASURES = {"closed": ("accuracy",), "open": ("recall_at_1", "r_precision", "map_at_r")}
# The measure that settles a protocol's winner, and that settings are chosen by.
HEADLINE = {"closed": "accuracy", "open": "map_at_r"}
MEASURE_NAMES = {
    "accuracy": "3-NN accuracy",
    "recall_at_1": "Recall@1",
    "r_precision": "R-precision",
    "map_at_r": "MAP@R",
}


@dataclass(frozen=True)
class Measured:
    """Scores of a fitted learner; see ``FoldRecord``."""

    dimension: int
    scores: dict
    recall_at: dict = field(default_factory=dict)


def measure(estimator, X_train, y_train, X_test, y_test, protocol, *, curve=True):
    """Score a fitted learner on rows that it has not seen.

    Returns
    -------
    Measured
        With ``curve`` including Recall@k.
    """
    Z = _embed(estimator, X_test)
    gallery = None if protocol == "open" else _embed(estimator, X_train)
    n_gallery = len(Z) - 1 if gallery is None else len(gallery)
    ks = [k for k in RECALL_KS if k <= n_gallery] if curve else []
    curve_measures = [f"recall_at_{k}" for k in ks]
    scores = {}
    if protocol == "open":
        scores = retrieval_scores(Z, y_test, {*MEASURES["open"], *curve_measures})
    else:
        search = KNeighborsClassifier(N_NEIGHBORS).fit(gallery, y_train)
        scores["accuracy"] = float(search.score(Z, y_test))
        if curve:
            scores |= retrieval_scores(
                Z, y_test, curve_measures, gallery=gallery, gallery_labels=y_train
            )
    own = {measure: scores[measure] for measure in MEASURES[protocol]}
    return Measured(Z.shape[1], own, {str(k): scores[f"recall_at_{k}"] for k in ks})


def protocol_of(measure):
    """Return the protocol that a measure belongs to; a ``ValueError`` if it is unknown."""
    for protocol, measures in MEASURES.items():
        if measure in measures:
            return protocol
    known = ", ".join(MEASURE_NAMES)
    raise ValueError(f"measure={measure!r} is unknown; there are {known}")


def _embed(estimator, X):
    Z = np.asarray(estimator.transform(X))
    if not np.all(np.isfinite(Z)):
        raise ValueError("the embedding holds NaN or infinity")
    return Z
