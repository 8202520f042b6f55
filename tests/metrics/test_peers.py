"""Equal to pytorch-metric-learning's AccuracyCalculator, where it has the measure."""

import numpy as np
import pytest
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from sklearn.cluster import KMeans

from metriclearn.metrics import cluster_scores, retrieval_scores

NAMES = {
    "precision_at_1": "recall_at_1",
    "r_precision": "r_precision",
    "mean_average_precision_at_r": "map_at_r",
    "mean_average_precision": "map_at_59",
    "mean_reciprocal_rank": "mrr",
}


@pytest.fixture(params=["smooth", "grid"])
def data(request, rng):
    """Sixty float32 rows; on the grid many distances are equal, and rows repeat."""
    y = rng.permutation(np.repeat(np.arange(8), [1, 2, 3, 5, 10, 11, 13, 15]))
    if request.param == "grid":
        return rng.randint(4, size=(60, 3)).astype(np.float32), y
    return (rng.randn(60, 6) + y[:, None] / 4).astype(np.float32), y


@pytest.mark.filterwarnings("ignore:.* queries have no right answer")
def test_one_set(data):
    X, y = data
    theirs = AccuracyCalculator(include=tuple(NAMES)).get_accuracy(X, y)
    ours = retrieval_scores(X, y, list(NAMES.values()))
    # Their reciprocal ranks are float32.
    assert ours.pop("mrr") == pytest.approx(theirs.pop("mean_reciprocal_rank"), rel=1e-6)
    assert ours == pytest.approx({NAMES[name]: value for name, value in theirs.items()}, rel=1e-12)


@pytest.mark.filterwarnings("ignore:.* queries have no right answer")
def test_query_and_gallery(data):
    X, y = data
    include = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    theirs = AccuracyCalculator(include=include).get_accuracy(X[:20], y[:20], X[20:], y[20:])
    ours = retrieval_scores(
        X[:20], y[:20], [NAMES[n] for n in include], gallery=X[20:], gallery_labels=y[20:]
    )
    assert ours == pytest.approx({NAMES[name]: value for name, value in theirs.items()}, rel=1e-12)


def test_clusters(data):
    X, y = data

    def clusters(X, n_clusters, **options):
        return KMeans(n_clusters, n_init=10, random_state=0).fit_predict(np.asarray(X))

    theirs = AccuracyCalculator(include=("NMI", "AMI"), kmeans_func=clusters).get_accuracy(X, y)
    ours = cluster_scores(X, y, random_state=0)
    assert ours["nmi"] == pytest.approx(theirs["NMI"], rel=1e-12)
    assert ours["ami"] == pytest.approx(theirs["AMI"], rel=1e-12)
