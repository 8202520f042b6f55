"""Cluster agreement and shape of embeddings, against loops and closed forms."""

from itertools import combinations

import numpy as np
import pytest

from metriclearn import metrics


@pytest.fixture
def embedded(rng):
    y = rng.randint(4, size=50)
    return rng.randn(50, 3) + y[:, None], y


def unit(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


@pytest.mark.parametrize("alpha", [1.0, 2.0, 3.0])
def test_alignment_is_the_mean_over_pairs_of_a_class(embedded, alpha, monkeypatch):
    monkeypatch.setattr("metriclearn.metrics._embedding._BLOCK_ROWS", 7)
    X, y = embedded
    Z = unit(X)
    pairs = [
        np.linalg.norm(Z[i] - Z[j]) ** alpha for i, j in combinations(range(50), 2) if y[i] == y[j]
    ]
    assert metrics.alignment(X, y, alpha=alpha) == pytest.approx(np.mean(pairs), rel=1e-9)


@pytest.mark.parametrize("t", [0.5, 2.0])
def test_uniformity_is_the_log_mean_over_pairs(embedded, t, monkeypatch):
    monkeypatch.setattr("metriclearn.metrics._embedding._BLOCK_ROWS", 7)
    Z = unit(embedded[0])
    pairs = [np.exp(-t * np.sum((Z[i] - Z[j]) ** 2)) for i, j in combinations(range(50), 2)]
    assert metrics.uniformity(embedded[0], t=t) == pytest.approx(np.log(np.mean(pairs)), rel=1e-9)


def test_intra_inter_ratio_is_that_of_means(embedded, monkeypatch):
    monkeypatch.setattr("metriclearn.metrics._embedding._BLOCK_ROWS", 7)
    X, y = embedded
    distances = {True: [], False: []}
    for i, j in combinations(range(50), 2):
        distances[bool(y[i] == y[j])].append(np.linalg.norm(X[i] - X[j]))
    expected = np.mean(distances[True]) / np.mean(distances[False])
    assert metrics.intra_inter_ratio(X, y) == pytest.approx(expected, rel=1e-9)
    assert metrics.intra_inter_ratio(X, y, max_rows=40) == pytest.approx(expected, rel=0.2)


def test_effective_rank_counts_directions(rng):
    line = np.outer(rng.randn(30), [1.0, 2.0, 3.0])
    assert metrics.effective_rank(line + 5) == pytest.approx(1, abs=1e-6)
    assert metrics.effective_rank(np.ones((5, 3))) == 0
    assert metrics.effective_rank(np.r_[np.eye(4), -np.eye(4)]) == pytest.approx(4)
    assert 2 < metrics.effective_rank(rng.randn(500, 3) * [1, 1, 0.3]) < 3


def test_pairwise_f1_counts_pairs(rng):
    y, clusters = rng.randint(4, size=40), rng.randint(5, size=40)
    same = [(y[i] == y[j], clusters[i] == clusters[j]) for i, j in combinations(range(40), 2)]
    right = sum(a and b for a, b in same)
    precision, recall = right / sum(b for _, b in same), right / sum(a for a, _ in same)
    expected = 2 * precision * recall / (precision + recall)
    assert metrics.pairwise_f1(y, clusters) == pytest.approx(expected)
    assert metrics.pairwise_f1(y, clusters + 0.5) == pytest.approx(expected)  # numbers are names
    assert metrics.pairwise_f1([0, 1], [0, 1]) == 0
    assert metrics.pairwise_f1(y, y) == 1


def test_clusters_of_separate_classes_are_the_classes(rng):
    y = np.repeat(list("abc"), 10)
    X = rng.randn(30, 2) + 50 * np.eye(3)[np.repeat([0, 1, 2], 10), :2]
    scores = metrics.cluster_scores(X, y, random_state=0)
    assert scores == pytest.approx({"nmi": 1, "ami": 1, "pairwise_f1": 1})
    X = rng.randn(30, 2)
    mixed = metrics.cluster_scores(X, y, random_state=0)
    assert mixed["ami"] < mixed["nmi"] < 0.5
    assert mixed == metrics.cluster_scores(X, y, random_state=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda X: metrics.alignment(X, range(50)), "no class with two rows"),
        (lambda X: metrics.alignment(X, [0] * 50, alpha=0), "alpha must be more than 0"),
        (lambda X: metrics.alignment(X * 0, [0] * 50), "row 0 is all zeros"),
        (lambda X: metrics.uniformity(X, t=-1), "t must be a number more than 0"),
        (lambda X: metrics.uniformity(X[:1]), "minimum of 2 is required"),
        (lambda X: metrics.intra_inter_ratio(X, [0] * 50), "at least two classes"),
        (lambda X: metrics.intra_inter_ratio(X, [0] * 50, max_rows=1), "max_rows must be at least"),
        (lambda X: metrics.effective_rank(X * np.nan), "embeddings contains NaN"),
        (lambda X: metrics.cluster_scores(X, [0]), "labels has 1 entries for 50 rows"),
    ],
)
def test_bad_input_is_one_clear_error(embedded, call, message):
    with pytest.raises(ValueError, match=message):
        call(embedded[0])


@pytest.mark.parametrize("scale", [1e-155, 1e155])
@pytest.mark.parametrize(
    "measure",
    [
        metrics.intra_inter_ratio,
        lambda X, y: metrics.cluster_scores(X, y, random_state=0),
        lambda X, y: metrics.retrieval_scores(X, y, ["map_at_r"], metric="inner_product"),
        lambda X, y: metrics.k_occurrence(X, k=2, metric="inner_product").tolist(),
    ],
    ids=["intra_inter_ratio", "cluster_scores", "retrieval_scores", "k_occurrence"],
)
def test_scale_does_not_matter(measure, scale):
    rng = np.random.RandomState(0)
    X, y = rng.randn(30, 3), np.repeat([0, 1, 2], 10)
    assert measure(X * scale, y) == pytest.approx(measure(X, y))


@pytest.mark.parametrize("t", [0, -1.0, np.inf, np.nan])
def test_uniformity_names_a_t_out_of_range(t):
    with pytest.raises(ValueError, match="t must be a number more than 0"):
        metrics.uniformity([[1.0, 0.0], [0.0, 1.0]], t=t)
