"""LFDA: against the paper's double sums, written out."""

import numpy as np
import pytest
from scipy import linalg

from metriclearn import LFDA
from metriclearn.mahalanobis import _lfda
from metriclearn.mahalanobis._lfda import local_scatters


def scatters_by_loops(X, y, k):
    n, d = X.shape
    distance = np.linalg.norm(X[:, None] - X, axis=2)
    scale = [np.sort(distance[i, y == y[i]])[min(k, np.sum(y == y[i]) - 1)] for i in range(n)]
    within, between = np.zeros((d, d)), np.zeros((d, d))
    for i in range(n):
        for j in range(n):
            outer = np.outer(X[i] - X[j], X[i] - X[j]) / 2
            if y[i] != y[j]:
                between += outer / n
                continue
            affinity = np.exp(-(distance[i, j] ** 2) / (scale[i] * scale[j]))
            n_class = np.sum(y == y[i])
            within += affinity / n_class * outer
            between += affinity * (1 / n - 1 / n_class) * outer
    return within, between


@pytest.fixture
def problem(small):
    X, y = small
    keep = np.r_[0:15, 15:24, 30:35]  # classes of 15, 9 and 5 rows
    return X[keep], y[keep]


@pytest.mark.parametrize("block_bytes", [1, 1000, 2**20])
def test_scatters_are_the_papers_double_sums(problem, block_bytes, monkeypatch):
    monkeypatch.setattr(_lfda, "_BLOCK_BYTES", block_bytes)
    X, y = problem
    for found, expected in zip(local_scatters(X, y, 7), scatters_by_loops(X, y, 7), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_directions_solve_the_generalized_eigenproblem(problem):
    X, y = problem
    within, between = scatters_by_loops(X, y, 7)
    values = linalg.eigh(between, within)[0][::-1]
    learner = LFDA(embedding="plain").fit(X, y)
    L = learner.components_
    np.testing.assert_allclose(learner.ratios_, values, rtol=1e-7)
    np.testing.assert_allclose(L @ within @ L.T, np.eye(4), atol=1e-8)
    np.testing.assert_allclose(L @ between @ L.T, np.diag(values), atol=1e-6)


def test_embeddings(problem):
    X, y = problem
    plain = LFDA(2, embedding="plain").fit(X, y)
    weighted = LFDA(2).fit(X, y)
    np.testing.assert_allclose(
        weighted.components_, plain.components_ * np.sqrt(plain.ratios_)[:, None]
    )
    L = LFDA(2, embedding="orthonormalized").fit(X, y).components_
    np.testing.assert_allclose(L @ L.T, np.eye(2), atol=1e-10)
    assert np.linalg.matrix_rank(np.r_[L, plain.components_], tol=1e-8) == 2


def test_keeps_clusters_of_a_class_apart(rng):
    # One class on both sides of the other: Fisher's means coincide, the local scatters see it.
    y = np.repeat([0, 0, 1], 20)
    X = 0.3 * rng.randn(60, 2) + np.repeat([[-4.0, 0], [4, 0], [0, 0]], 20, axis=0)
    direction = LFDA(1).fit(X, y).components_[0]
    assert abs(direction[0]) > 5 * abs(direction[1])


def test_equal_rows_have_a_finite_answer(iris):
    X, y = iris
    doubled = LFDA().fit(np.repeat(X, 9, axis=0), np.repeat(y, 9))
    assert np.all(np.isfinite(doubled.components_))
    assert doubled.ratios_[0] > 1


def test_features_that_say_nothing_get_no_weight(iris):
    X, y = iris
    learner = LFDA().fit(np.c_[X, np.full(150, 7.0)], y)
    np.testing.assert_allclose(learner.components_[:4, :4], LFDA().fit(X, y).components_)
    assert not learner.components_[4:].any()
    assert not learner.components_[:, 4].any()


def test_constraints_are_not_taken(iris):
    with pytest.raises(TypeError, match="constraints"):
        LFDA().fit(iris[0], constraints=None)


@pytest.mark.parametrize("weighted", [False, True])
def test_classes_of_one_size_together_are_each_by_itself(weighted, rng, monkeypatch):
    y = np.repeat(np.arange(12), [2, 3, 2, 5, 5, 9, 2, 3, 40, 2, 33, 5])
    X = rng.randn(len(y), 3)
    weights = rng.uniform(0.5, 2, len(y)) if weighted else None
    together = local_scatters(X, y, 4, weights)
    monkeypatch.setattr(_lfda, "_SMALL_CLASS", 0)
    for found, expected in zip(together, local_scatters(X, y, 4, weights), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_large_classes_in_single_precision_are_as_near(rng, monkeypatch):
    y = np.repeat([0, 1], [400, 300])
    X = rng.randn(700, 5) * [1, 2, 3, 4, 5] + 1e3
    exact = local_scatters(X, y, 7)
    monkeypatch.setattr(_lfda, "_MANY_ROWS", 100)
    monkeypatch.setattr(_lfda, "_TILE_ROWS", 32)
    monkeypatch.setattr(_lfda, "_TILE_COLUMNS", 64)
    for found, expected in zip(local_scatters(X, y, 7), exact, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
        assert np.any(found != expected)
