"""MLKR: metric-learn's objective and gradient, in blocks; regression by neighbors."""

import numpy as np
import pytest
from helpers.optional import pandas
from scipy.optimize import approx_fprime
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline

from metriclearn import MLKR
from metriclearn.mahalanobis._soft_neighbors._gradient import soft_neighbor_gradient
from metriclearn.mahalanobis._soft_neighbors._mlkr import mlkr_terms
from metriclearn.mahalanobis._soft_neighbors._targets import Values


def mlkr_objective(L, X, y, max_memory=512):
    value, gradient = soft_neighbor_gradient(
        X @ L.T, Values(y), mlkr_terms(y), max_memory=max_memory
    )
    return value, gradient.T @ X


def slow_objective(L, X, y):
    """The formula of the paper, one row at a time, and the gradient pair by pair."""
    value, gradient = 0.0, np.zeros_like(L)
    for i in range(len(X)):
        others = np.delete(np.arange(len(X)), i)
        differences = X[i] - X[others]
        p = softmax(-np.sum((differences @ L.T) ** 2, axis=1))
        predicted = p @ y[others]
        value += (y[i] - predicted) ** 2
        weights = 2 * (y[i] - predicted) * p * (y[others] - predicted)
        gradient += 2 * L @ (differences.T * weights) @ differences
    return value, gradient


@pytest.fixture
def regression():
    """Sixty rows of which one feature in four matters, and not linearly."""
    rng = np.random.RandomState(0)
    X = rng.randn(60, 4)
    return X, np.sin(2 * X[:, 0]) + 0.05 * rng.randn(60)


@pytest.mark.parametrize("max_memory", [512, 0.007], ids=["one block", "small blocks"])
@pytest.mark.parametrize("scale", [1e-2, 1, 8])
def test_objective_and_gradient_are_the_papers(regression, scale, max_memory):
    X, y = regression
    X[::9] *= 20
    L = np.random.RandomState(1).randn(2, 4) * scale
    value, gradient = mlkr_objective(L, X, y, max_memory)
    expected_value, expected_gradient = slow_objective(L, X, y)
    assert value == pytest.approx(expected_value, rel=1e-10)
    np.testing.assert_allclose(
        gradient, expected_gradient, atol=1e-10 * np.abs(expected_gradient).max()
    )


def test_gradient_by_finite_differences(regression):
    X, y = regression
    L = np.random.RandomState(1).randn(2, 4)
    _, gradient = mlkr_objective(L, X, y)
    numeric = approx_fprime(L.ravel(), lambda f: mlkr_objective(f.reshape(2, 4), X, y)[0])
    np.testing.assert_allclose(gradient.ravel(), numeric, atol=1e-5)


def test_improves_regression_by_neighbors(regression):
    X, y = regression
    knn = KNeighborsRegressor(3)
    plain = cross_val_score(knn, X, y).mean()
    assert cross_val_score(make_pipeline(MLKR(1), knn), X, y).mean() > plain + 0.3


def test_objective_is_in_the_unit_of_the_targets(regression):
    X, y = regression
    learner = MLKR().fit(X, 1000 * y + 7)
    value, _ = slow_objective(learner.components_, X, 1000 * y + 7)
    assert learner.objective_ == pytest.approx(value, rel=1e-4)


def test_unit_and_offset_of_the_targets_do_not_matter(regression):
    X, y = regression
    plain, changed = MLKR().fit(X, y), MLKR().fit(X, 1e6 * y - 3e6)
    assert changed.objective_ == pytest.approx(1e12 * plain.objective_, rel=1e-2)


def test_warm_start_goes_on(regression):
    X, y = regression
    learner = MLKR(warm_start=True).fit(X, y)
    first = learner.objective_
    assert learner.fit(X, y).objective_ <= first * (1 + 1e-4)


def test_batches_learn_as_well(regression):
    X, y = regression
    start, _ = mlkr_objective(np.eye(4), X, y)
    batches = MLKR(batch_size=30, max_iter=100, learning_rate=0.1, random_state=0).fit(X, y)
    assert mlkr_objective(batches.components_, X, y)[0] < 0.5 * start


def test_warns_where_iterations_run_out(regression):
    with pytest.warns(ConvergenceWarning, match="MLKR did not converge in max_iter=1"):
        MLKR(max_iter=1).fit(*regression)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.repeat(["low", "high"], 30), "y holds text, 'low'; give numbers"),
        (np.ones(60), "y has one value only"),
        (np.full(60, np.nan), "NaN"),
        ([*range(59), None], "y contains None: each row needs a number"),
        (np.array([*range(59), float("nan")], dtype=object), "y contains NaN: each row needs"),
        (np.ones((60, 2)), "1d array"),
    ],
)
def test_bad_targets_are_one_clear_error(regression, y, message):
    with pytest.raises(ValueError, match=message):
        MLKR().fit(regression[0], y)


@pytest.mark.parametrize("dtype", ["Float64", "Int64", "string", "object"])
def test_missing_targets_of_pandas_are_one_clear_error(regression, dtype):
    values = [*map(str if dtype == "string" else float, range(59)), pandas.NA]
    with pytest.raises(ValueError, match="y contains <NA>: each row needs a number; drop the row"):
        MLKR().fit(regression[0], pandas.Series(values, dtype=dtype))


def test_no_discriminants_without_classes(regression):
    with pytest.raises(ValueError, match='init="lda" needs class labels'):
        MLKR(2, init="lda").fit(*regression)
