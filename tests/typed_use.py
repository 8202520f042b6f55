"""The public surface as users meet it: checked by mypy, never run."""

from typing import assert_type

import numpy as np

import metriclearn
from metriclearn import LMNN, NCA, Covariance
from metriclearn.compare import ComparisonResult, compare
from metriclearn.constraints import Pairs, pairs_from_labels
from metriclearn.deep import DeepEmbedder
from metriclearn.metrics import map_at_r, recall_at_k, retrieval_scores
from metriclearn.model_selection import ClassDisjointKFold
from metriclearn.neighbors import FaissKNeighborsClassifier, RetrievalIndex


def use(X: np.ndarray, y: np.ndarray) -> None:
    lmnn = assert_type(LMNN(n_neighbors=5).fit(X, y), LMNN)
    Z = assert_type(lmnn.transform(X), np.ndarray)
    assert_type(lmnn.get_mahalanobis_matrix(), np.ndarray)
    assert_type(NCA(max_iter=10, random_state=0).fit(X.tolist(), y.tolist()), NCA)
    assert_type(Covariance().fit(X).pairwise_distances(X), np.ndarray)
    assert_type(DeepEmbedder(loss="proxy_anchor", n_components=8).fit(X, y), DeepEmbedder)
    assert_type(recall_at_k(Z, y, k=1, average=True), float | np.ndarray)
    assert_type(map_at_r(Z, y), float | np.ndarray)
    retrieval_scores(Z, y, ["recall_at_1"])
    pairs = assert_type(pairs_from_labels(y, random_state=0), Pairs)
    metriclearn.ITML().fit(X, constraints=pairs)
    for train, test in ClassDisjointKFold(3).split(X, y):
        FaissKNeighborsClassifier(3).fit(X[train], y[train]).predict(X[test])
    index = RetrievalIndex()
    index.add(Z)
    index.search(Z, 5)
    metriclearn.save(lmnn, "model")
    result = compare(X, y, learners=["euclidean", "lmnn"])
    if isinstance(result, ComparisonResult):
        result.to_html("report.html")
        result.fit_best(X, y)


def misuse(X: np.ndarray, y: np.ndarray) -> None:
    """Each ignored error is one that a user is shown: an unused ignore is an error itself."""
    LMNN(n_neighbors="three")  # type: ignore[arg-type]
    LMNN(k=3)  # type: ignore[call-arg]
    DeepEmbedder(batch_size="large")  # type: ignore[arg-type]
    compare(X, y, folds=3)  # type: ignore[call-arg]
