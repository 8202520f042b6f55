"""Lists of near pairs: the same objective as all pairs, for less; memory in bounds."""

import tracemalloc

import numpy as np
import pytest

from metriclearn import NCA
from metriclearn._linalg import without_denormals
from metriclearn.mahalanobis._soft_neighbors import _gradient, _near_pairs
from metriclearn.mahalanobis._soft_neighbors._mlkr import mlkr_terms
from metriclearn.mahalanobis._soft_neighbors._nca import nca_terms
from metriclearn.mahalanobis._soft_neighbors._near_pairs import NearPairs
from metriclearn.mahalanobis._soft_neighbors._targets import SameClass, Values


@pytest.fixture
def rows():
    """Twelve hundred rows in eight clusters of unequal width, one in ten of another class."""
    rng = np.random.RandomState(0)
    codes = np.sort(rng.randint(8, size=1200))
    cluster = np.where(rng.uniform(size=1200) < 0.9, codes, rng.randint(8, size=1200))
    width = rng.uniform(0.5, 6, size=(1200, 1))
    return rng.randn(8, 5)[cluster] * 20 + rng.randn(1200, 5) * width, codes


def objectives(codes):
    y = np.sin(np.arange(len(codes)) / 100)
    return [NearPairs(SameClass(codes), nca_terms), NearPairs(Values(y), mlkr_terms(y))]


@pytest.mark.parametrize("which", [0, 1], ids=["NCA", "MLKR"])
@pytest.mark.parametrize("scale", [1, 2, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_list_gives_what_all_pairs_give(rows, which, scale, dtype):
    X, codes = rows
    Z = (X * scale).astype(dtype)
    objective = objectives(codes)[which]
    objective(Z)
    value, gradient = objective(Z)
    assert objective._uses == 1
    expected_value, expected_gradient = objective.exact(Z)
    # A squared distance is rounded as the squared norms are; the list leaves out 1e-5.
    tol = float(4 * np.finfo(dtype).eps * np.sum(Z**2, axis=1).max()) + 1e-5
    assert value == pytest.approx(expected_value, rel=tol)
    assert gradient.dtype == dtype
    np.testing.assert_allclose(
        gradient, expected_gradient, atol=tol * np.abs(expected_gradient).max()
    )


def test_list_follows_rows_that_move(rows):
    X, codes = rows
    objective, reference = objectives(codes)[0], objectives(codes)[0]
    rng = np.random.RandomState(1)
    step = rng.randn(5, 5) * 0.002
    exact = 0
    for k in range(12):
        Z = X @ (np.eye(5) + k * step)
        value, _ = objective(Z)
        assert value == pytest.approx(reference.exact(Z)[0], rel=1e-3)
        exact += objective._uses == 0
    assert exact < 12


def test_list_that_misses_neighbors_is_renewed(rows):
    X, codes = rows
    objective = objectives(codes)[0]
    objective(X)
    elsewhere = np.random.RandomState(0).permutation(X)
    value, gradient = objective(elsewhere)
    assert objective._uses == 0
    expected_value, expected_gradient = objective.exact(elsewhere)
    assert value == expected_value
    np.testing.assert_array_equal(gradient, expected_gradient)


def test_no_list_where_every_pair_counts(rows):
    X, codes = rows
    objective = objectives(codes)[0]
    objective(X * 1e-3)
    assert objective._pairs is None
    assert objective(X * 1e-3)[0] == objective.exact(X * 1e-3)[0]


def test_learns_what_all_pairs_teach(rows, monkeypatch):
    X, codes = rows
    X = X / 30
    listed = NCA(max_iter=300).fit(X, codes)
    monkeypatch.setattr(_near_pairs, "_MIN_ROWS", 10**6)
    exact = NCA(max_iter=300).fit(X, codes)
    assert listed.objective_ == pytest.approx(exact.objective_, rel=5e-3)


@pytest.mark.parametrize("max_memory", [4, 16])
def test_memory_is_bounded(max_memory):
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(10), 400)
    X = (rng.randn(10, 5)[y] * 3 + rng.randn(4000, 5)).astype(np.float32)
    nca = NCA(max_iter=5, tol=0.1, max_memory=max_memory).fit(X, y)  # warm: imports, caches
    tracemalloc.start()
    nca.fit(X, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # One matrix of 4,000 x 4,000 float32 numbers is 61 MB.
    assert peak < (max_memory + 30 * X.nbytes / 2**20) * 2**20


@pytest.mark.parametrize("which", [0, 1], ids=["NCA", "MLKR"])
def test_no_product_meets_denormal_numbers(rows, which, monkeypatch):
    """They would make it fifty times slower on many processors."""
    X, codes = rows
    Z, met, left = (10 * X).astype(np.float32), [], []

    def count(A):
        return np.count_nonzero((A != 0) & (np.abs(A) < np.finfo(A.dtype).tiny))

    def counted(A):
        met.append(count(A))
        left.append(count(without_denormals(A)))
        return A

    monkeypatch.setattr(_gradient, "without_denormals", counted)
    objectives(codes)[which].exact(Z)
    assert sum(met) > 1000
    assert sum(left) == 0
