"""Equal to pytorch-metric-learning's AccuracyCalculator, where it has the measure."""

import numpy as np
import pytest
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from metriclearn.metrics import retrieval_scores

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
