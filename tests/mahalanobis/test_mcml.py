"""MCML: optimal by cvxpy, by its dual certificate, and by finite differences."""

import numpy as np
import pytest
from helpers.optional import cvxpy as cp
from scipy.optimize import approx_fprime
from sklearn.exceptions import ConvergenceWarning

from metriclearn import MCML
from metriclearn.mahalanobis._mcml import CollapseProblem
from metriclearn.mahalanobis._solvers._sampled import minimize_with_sample


@pytest.fixture(scope="module")
def noisy():
    """Forty rows of three overlapping classes of unequal size."""
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], [18, 12, 10])
    X = rng.randn(40, 4)
    X[:, 0] += y == 1
    X[:, 1] += 2.0 * (y == 2)
    return X, y


def divergences(X, y, d2):
    """``Σ KL(p⁰ ‖ p)`` in cvxpy, a row at a time; ``d2(D)`` the squared norms of rows."""
    total = 0
    for i in range(len(X)):
        same = np.flatnonzero(np.delete(y == y[i], i))
        distances = d2(X[i] - np.delete(X, i, axis=0))
        total += cp.sum(distances[same]) / len(same) + cp.log_sum_exp(-distances)
        total -= np.log(len(same))
    return total


@pytest.fixture(scope="module")
def optimum(noisy):
    M = cp.Variable((4, 4), PSD=True)
    total = divergences(*noisy, lambda D: cp.sum(cp.multiply(D @ M, D), axis=1))
    problem = cp.Problem(cp.Minimize(total))
    problem.solve(solver=cp.CLARABEL)
    assert problem.status == "optimal"
    return problem.value, M.value


def test_agrees_with_the_convex_program(noisy, optimum):
    learner = MCML(tol=1e-6).fit(*noisy)
    value, M = optimum
    assert learner.objective_ == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(learner.get_mahalanobis_matrix(), M, atol=1e-3 * np.abs(M).max())


def test_default_tolerance_is_within_one_in_ten_thousand(noisy, optimum):
    learner = MCML().fit(*noisy)
    assert 0 <= learner.objective_ / optimum[0] - 1 <= 1e-4


def test_objective_is_the_divergence(noisy):
    learner = MCML().fit(*noisy)
    total = divergences(*noisy, lambda D: np.sum((D @ learner.components_.T) ** 2, axis=1))
    assert learner.objective_ == pytest.approx(total.value)


@pytest.mark.parametrize("scale", [0.01, 0.3, 1, 2])
def test_certificate_bounds_the_distance_to_the_optimum(noisy, optimum, scale):
    X, y = noisy
    L = np.random.RandomState(0).randn(4, 4) * scale
    value, gap = CollapseProblem(X, y).certify(L)
    assert value * (1 - gap) <= optimum[0] * (1 + 1e-9)


@pytest.mark.parametrize("max_memory", [512, 0.005])
def test_slope_by_finite_differences(noisy, max_memory):
    X, y = noisy
    problem = CollapseProblem(X, y, max_memory)
    L = np.random.RandomState(1).randn(4, 4)
    _, gradient = problem.loss(L)
    numeric = approx_fprime(L.ravel(), lambda f: problem.loss(f.reshape(4, 4))[0])
    np.testing.assert_allclose(gradient.ravel(), numeric, rtol=1e-4, atol=1e-3)


def test_objective_of_no_metric_at_all(noisy):
    problem = CollapseProblem(*noisy)
    assert problem.certify(np.zeros((4, 4)))[0] == pytest.approx(problem.objective_at_zero)


def test_units_of_the_features_do_not_matter(noisy):
    X, y = noisy
    units = np.array([1e6, 1e-6, 1, 30])
    plain = MCML(tol=1e-6).fit(X, y).get_mahalanobis_matrix()
    scaled = MCML(tol=1e-6).fit(X * units, y).get_mahalanobis_matrix() * np.outer(units, units)
    np.testing.assert_allclose(scaled, plain, atol=1e-3 * np.abs(plain).max())


def test_classes_that_separate_collapse(small):
    X, y = small
    X = np.c_[X, 10.0 * y]
    learner = MCML().fit(X, y)
    Z = learner.transform(X)
    within = max(np.linalg.norm(Z[y == c] - Z[y == c].mean(axis=0), axis=1).max() for c in range(3))
    between = min(np.linalg.norm(Z[y == c].mean(axis=0) - Z[y == 0].mean(axis=0)) for c in (1, 2))
    assert between > 3 * within


def test_warns_where_the_certificate_is_not_reached(noisy):
    with pytest.warns(ConvergenceWarning, match="relative duality gap"):
        MCML(max_iter=2).fit(*noisy)


@pytest.fixture(scope="module")
def many():
    rng = np.random.RandomState(0)
    y = rng.randint(4, size=1200)
    X = rng.randn(1200, 4) @ rng.randn(4, 4)
    X[:, 0] += y
    return X, y


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_steps_on_a_sample_end_at_the_optimum_of_all_rows(many, seed, monkeypatch):
    X, y = many
    weights = None if seed is None else np.random.RandomState(seed).randint(1, 4, len(X))
    stepped = MCML().fit(X, y, sample_weight=weights)
    monkeypatch.setattr(CollapseProblem, "on_sample", lambda self: None)
    plain = MCML().fit(X, y, sample_weight=weights)
    assert stepped.duality_gap_ < 1e-4
    assert stepped.objective_ == pytest.approx(plain.objective_, rel=1e-4)
    assert stepped.n_iter_ < plain.n_iter_


def test_many_rows_whose_classes_separate_need_all_of_them(many):
    X, y = many
    learner = MCML().fit(np.c_[X, 20.0 * y + np.random.RandomState(2).randn(len(y))], y)
    assert learner.duality_gap_ < 1e-4


def test_rounding_of_the_value_undoes_no_step():
    """A value known to a few parts in a million, as a sum in float32 is."""
    rng = np.random.RandomState(0)
    A, B = (np.cov(rng.randn(3, 9)) + np.eye(3) for _ in range(2))
    of_all, of_sample = (W + W.T for W in rng.uniform(1, 3, (2, 3, 3)))

    def n_iterations(rounding, seed=0):
        rounded = np.random.RandomState(seed)

        def full(L):
            D = L.T @ L - A
            value = (1000 + np.sum(of_all * D**2)) * (1 + rounding * rounded.uniform(-1, 1))
            return value, 2 * of_all * D, np.linalg.norm(D)

        def sample(L):
            D = L.T @ L - B
            return np.sum(of_sample * D**2), 2 * of_sample * D

        settings = {"max_iter": 50, "tol": 1e-6, "advance": lambda status: None}
        _, n_iter, converged = minimize_with_sample(full, sample, np.eye(3), **settings)
        return n_iter if converged else None

    exact = n_iterations(0)
    assert exact
    assert [n_iterations(4e-6, seed) for seed in range(3)] == [exact] * 3


@pytest.mark.parametrize(("of_sample", "converges"), [(1.0, True), (0.4, True), (0.01, False)])
def test_steps_on_another_function_of_too_little_curvature(of_sample, converges):
    """``f = |M - A|²`` by steps on a part of ``|M - B|²``."""
    rng = np.random.RandomState(0)
    A, B = (np.cov(rng.randn(3, 9)) + np.eye(3) for _ in range(2))

    def full(L):
        M = L.T @ L
        gap = np.linalg.norm(M - A)
        return gap**2, 2 * (M - A), gap

    def sample(L):
        M = L.T @ L
        return of_sample * np.sum((M - B) ** 2), of_sample * 2 * (M - B)

    settings = {"max_iter": 50, "tol": 1e-8, "advance": lambda status: None}
    L, n_iter, converged = minimize_with_sample(full, sample, np.eye(3), **settings)
    assert converged == converges
    assert n_iter <= 50
    assert full(L)[0] <= full(np.eye(3))[0]
    if converges:
        np.testing.assert_allclose(L.T @ L, A, atol=1e-7)
