"""RCA: the inverse of the scatter inside chunks, whatever is singular."""

import numpy as np
import pytest
from scipy import linalg

from metriclearn import RCA
from metriclearn.constraints import Chunks, Pairs

# metric_learn.RCA().fit(X, chunks).get_mahalanobis_matrix(), metric-learn 0.7.0 with
# force_all_finite renamed, X the standardized iris data and the chunks of `problem`.
PEER = [
    [9.3367229384, -2.1744557647, -17.7793191244, 2.7697956468],
    [-2.1744557647, 2.9857603181, 3.0552995226, -3.6312316582],
    [-17.7793191244, 3.0552995226, 60.1665828674, -15.6726640968],
    [2.7697956468, -3.6312316582, -15.6726640968, 24.7569434718],
]


@pytest.fixture
def problem(iris):
    rows = np.arange(150)
    return iris[0], Chunks(np.where(rows % 3 == 0, -1, rows // 10))


def within_chunks(X, labels):
    parts = [X[labels == c] - X[labels == c].mean(axis=0) for c in np.unique(labels[labels >= 0])]
    return np.cov(np.concatenate(parts), rowvar=False, bias=True)


def test_agrees_with_metric_learn(problem):
    X, chunks = problem
    np.testing.assert_allclose(
        RCA().fit(X, constraints=chunks).get_mahalanobis_matrix(), PEER, rtol=1e-8
    )


def test_chunks_are_whitened(problem):
    X, chunks = problem
    learner = RCA(n_components=2).fit(X, constraints=chunks)
    np.testing.assert_allclose(
        within_chunks(learner.transform(X), chunks.labels), np.eye(2), atol=1e-10
    )


def test_fewer_components_are_fisher_directions(problem):
    X, chunks = problem
    learner = RCA(n_components=2).fit(X, constraints=chunks)
    ratios = linalg.eigh(np.cov(X.T, bias=True), within_chunks(X, chunks.labels))[0][::-1]
    np.testing.assert_allclose(learner.ratios_, ratios[:2])
    full = RCA().fit(X, constraints=chunks)
    np.testing.assert_allclose(learner.components_, full.components_[:2])


def test_each_class_is_a_chunk_by_default(iris):
    X, y = iris
    by_chunks = RCA().fit(X, constraints=Chunks(y))
    np.testing.assert_allclose(RCA().fit(X, y).components_, by_chunks.components_)


def test_shrunk_to_the_diagonal(iris):
    X, y = iris
    M = RCA(shrinkage=1).fit(X, y).get_mahalanobis_matrix()
    expected = np.diag(1 / np.diag(within_chunks(X, y)))
    np.testing.assert_allclose(M, expected, atol=1e-8)


def test_units_do_not_matter(iris):
    X, y = iris
    units = np.array([1e8, 1e-8, 1, 1e3])
    distances = RCA().fit(X, y).pairwise_distances(X)
    np.testing.assert_allclose(
        RCA().fit(X * units, y).pairwise_distances(X * units), distances, rtol=1e-5, atol=1e-6
    )


def test_features_that_say_nothing_get_no_weight(iris):
    X, y = iris
    plain = RCA().fit(X, y)
    padded = np.c_[X, np.full(150, 1e8), X[:, :1]]
    learner = RCA().fit(padded, y)
    np.testing.assert_allclose(
        learner.pairwise_distances(padded), plain.pairwise_distances(X), rtol=1e-5, atol=1e-4
    )
    assert np.all(learner.components_[:, 4] == 0)
    assert np.all(learner.components_[4:] == 0)


def test_draws_chunks_reproducibly(iris):
    X, y = iris
    first = RCA(n_chunks=20, random_state=0).fit(X, y).components_
    np.testing.assert_array_equal(RCA(n_chunks=20, random_state=0).fit(X, y).components_, first)
    assert not np.allclose(RCA(n_chunks=20, random_state=1).fit(X, y).components_, first)


def test_bad_input_is_one_clear_error(iris):
    X, y = iris
    with pytest.raises(ValueError, match="each of the 150 chunks has one row"):
        RCA().fit(X, constraints=Chunks(np.arange(150)))
    with pytest.raises(ValueError, match="RCA takes Chunks, got Pairs"):
        RCA().fit(X, constraints=Pairs([[0, 1]], [True]))
    with pytest.raises(ValueError, match="n_components=5 is larger"):
        RCA(n_components=5).fit(X, y)
    with pytest.raises(ValueError, match="both given"):
        RCA().fit(X, y, constraints=Chunks(y))
