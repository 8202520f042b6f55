"""GMML: the closed form against the equation it solves and the objective it minimizes."""

import numpy as np
import pytest
from scipy.linalg import eigvalsh, fractional_matrix_power, inv
from scipy.optimize import minimize

from metriclearn import GMML
from metriclearn.constraints import Pairs, pairs_from_labels
from metriclearn.mahalanobis._gmml import _geometric_mean


@pytest.fixture
def scatters(rng):
    A, B = rng.randn(8, 3), rng.randn(8, 3) * [1, 3, 0.2]
    return A.T @ A, B.T @ B


def distance(A, B):
    return np.linalg.norm(np.log(eigvalsh(B, A)))


@pytest.mark.parametrize("t", [0.0, 0.3, 0.5, 1.0])
def test_the_mean_is_the_point_on_the_geodesic(scatters, t):
    S, D = scatters
    M, objective = _geometric_mean(S, D, t)
    np.testing.assert_allclose(M, inv(S) @ fractional_matrix_power(S @ D, t), rtol=1e-8)
    assert distance(M, inv(S)) == pytest.approx(t * distance(inv(S), D), abs=1e-6)
    expected = (1 - t) * distance(M, inv(S)) ** 2 + t * distance(M, D) ** 2
    assert objective == pytest.approx(expected, abs=1e-9)


def test_the_half_way_mean_minimizes_the_traces(scatters):
    S, D = scatters
    M = _geometric_mean(S, D, 0.5)[0]
    np.testing.assert_allclose(M @ S @ M, D)

    def traces(factor):
        candidate = factor.reshape(3, 3).T @ factor.reshape(3, 3) + 1e-9 * np.eye(3)
        return np.trace(candidate @ S) + np.trace(inv(candidate) @ D)

    best = minimize(traces, np.eye(3).ravel(), method="BFGS").fun
    assert traces(np.linalg.cholesky(M).T) == pytest.approx(best, rel=1e-5)


def test_default_is_every_pair(small):
    X, y = small
    every = pairs_from_labels(y, n_pairs=10_000)
    assert len(every) == 45 * 44 // 2
    by_labels = GMML().fit(X, y).get_mahalanobis_matrix()
    by_pairs = GMML().fit(X, constraints=every).get_mahalanobis_matrix()
    # Of the similar pairs that labels give, 45 are of a row with itself.
    scale = np.sqrt((3 * 15 * 14 / 2) / (3 * 15 * 15 / 2))
    np.testing.assert_allclose(by_labels * scale, by_pairs)


def test_weights_count_pairs(small):
    X, y = small
    pairs = pairs_from_labels(y, n_pairs=20, random_state=0)
    twice = np.r_[0 : len(pairs), 0:5]
    weights = np.r_[np.full(5, 2.0), np.ones(len(pairs) - 5)]
    repeated = Pairs(pairs.indices[twice], pairs.similar[twice])
    weighted = Pairs(pairs.indices, pairs.similar, weights)
    np.testing.assert_allclose(
        GMML().fit(X, constraints=repeated).get_mahalanobis_matrix(),
        GMML().fit(X, constraints=weighted).get_mahalanobis_matrix(),
    )


def test_units_scale_nothing(small):
    X, y = small
    M = GMML().fit(X, y).get_mahalanobis_matrix()
    np.testing.assert_allclose(GMML().fit(1e6 * X, y).get_mahalanobis_matrix(), M, rtol=1e-6)


def test_strong_regularization_ends_at_the_prior(small):
    X, y = small
    prior = np.diag([1.0, 2, 3, 4])
    M = GMML(prior=prior, regularization=1e9).fit(X, y).get_mahalanobis_matrix()
    np.testing.assert_allclose(M / M[0, 0], prior, atol=1e-6)


def test_draws_pairs_reproducibly(small):
    X, y = small
    drawn = [GMML(n_pairs=20, random_state=seed).fit(X, y).components_ for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.allclose(drawn[0], drawn[2])


def test_bad_input_is_one_clear_error(small):
    X, y = small
    with pytest.raises(ValueError, match="GMML needs pairs of both kinds, got no dissimilar"):
        GMML().fit(X, constraints=Pairs([[0, 1]], [True]))
    with pytest.raises(ValueError, match="prior has rank 1 of 4"):
        GMML(prior=np.ones((4, 4))).fit(X, y)
