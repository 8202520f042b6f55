"""SCML: its linear program against an exact solver, its bases, its memory."""

import tracemalloc

import numpy as np
import pytest
from scipy.optimize import linprog
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning

from metriclearn import SCML
from metriclearn.constraints import Pairs, Triplets, triplets_from_labels
from metriclearn.mahalanobis._scml._basis_weights import TripletMargins, compose


def optimum(X, bases, triplets, weights, beta):
    """The program, written out for HiGHS."""
    anchor, near, far = (X @ bases.T)[triplets.T]
    A = (anchor - near) ** 2 - (anchor - far) ** 2
    m, K = A.shape
    cost = np.r_[np.full(K, beta), weights]
    return linprog(cost, A_ub=np.c_[A, -np.eye(m)], b_ub=-np.ones(m)).fun


@pytest.fixture(params=[0, 1, 2])
def problem(request):
    rng = np.random.RandomState(request.param)
    X = rng.randn(40, 5)
    bases = rng.randn(30, 5)
    bases /= np.linalg.norm(bases, axis=1)[:, None]
    # The first feature agrees with the triplets, if not with each of them.
    triplets = np.array([rng.choice(40, 3, replace=False) for _ in range(150)])
    swap = np.abs(np.diff(X[triplets, 0][:, [0, 1]])) > np.abs(np.diff(X[triplets, 0][:, [0, 2]]))
    swap = swap.ravel() & (rng.rand(150) < 0.8)
    triplets[swap] = triplets[swap][:, [0, 2, 1]]
    weights = rng.uniform(0.2, 1, 150)
    return X, bases, triplets, weights / weights.sum()


@pytest.mark.parametrize("beta", [1e-4, 1e-2, 1.0])
def test_program_is_solved(problem, beta):
    X, bases, triplets, weights = problem
    margins = TripletMargins(X, triplets, weights)
    w, objective, gap, _ = compose(
        margins, bases, beta, max_iter=500, tol=1e-7, advance=lambda status: None
    )
    expected = optimum(X, bases, triplets, weights, beta)
    assert objective == pytest.approx(expected, rel=1e-6)
    assert 0 <= gap <= 1e-7 * objective
    L = bases * np.sqrt(w)[:, None]
    assert objective == pytest.approx(weights @ np.maximum(margins.margins(L), 0) + beta * w.sum())


@pytest.mark.parametrize("tol", [1.0, 0.3, 0.1])
def test_a_loose_tolerance_is_certified_too(problem, tol):
    X, bases, triplets, weights = problem
    margins, beta = TripletMargins(X, triplets, weights), 1e-3
    _, objective, gap, _ = compose(
        margins, bases, beta, max_iter=500, tol=tol, advance=lambda status: None
    )
    excess = objective - optimum(X, bases, triplets, weights, beta)
    assert -1e-9 <= excess <= gap + 1e-9
    assert gap <= tol * objective


@pytest.mark.parametrize("basis", ["lda", "differences"])
def test_default_is_optimal_over_its_bases(iris, basis):
    X, y = iris
    triplets = triplets_from_labels(y, X, n_positives=2, n_negatives=3)
    if basis == "lda":
        learner = SCML(n_basis=40, n_positives=2, n_negatives=3, random_state=0).fit(X, y)
    else:
        learner = SCML(n_basis=40, random_state=0).fit(X, constraints=triplets)
    weights = np.full(len(triplets), 1 / len(triplets))
    expected = optimum(X, learner.bases_, triplets.indices, weights, learner.beta)
    assert learner.objective_ == pytest.approx(expected, rel=1e-4)
    assert learner.duality_gap_ <= 1e-4 * learner.objective_


def test_metric_is_the_composition_of_its_bases(small):
    learner = SCML(random_state=0).fit(*small)
    M = (learner.bases_.T * learner.weights_) @ learner.bases_
    np.testing.assert_allclose(learner.get_mahalanobis_matrix(), M, atol=1e-10)
    assert np.all(learner.weights_ >= 0)
    assert np.mean(learner.weights_ > 0) < 0.5


def test_margins_are_distances_written_out(problem):
    X, bases, triplets, weights = problem
    M = bases.T @ bases
    anchor, near, far = X[triplets.T]
    expected = [
        1 + (a - p) @ M @ (a - p) - (a - n) @ M @ (a - n)
        for a, p, n in zip(anchor, near, far, strict=True)
    ]
    margins = TripletMargins(X, triplets, weights)
    np.testing.assert_allclose(margins.margins(bases), expected)
    expected = (anchor - near).T @ (weights[:, None] * (anchor - near))
    expected -= (anchor - far).T @ (weights[:, None] * (anchor - far))
    np.testing.assert_allclose(margins.scatter(weights), expected, atol=1e-12)


def test_given_bases(small):
    X, y = small
    axes = np.diag([1.0, 5, 1, 1])
    learner = SCML(basis=axes).fit(X, y)
    M = learner.get_mahalanobis_matrix()
    np.testing.assert_allclose(M, np.diag(np.diag(M)), atol=1e-12)
    # The last two features are noise, whatever the lengths of the bases.
    weights = np.diag(M) * X.var(axis=0)
    assert weights[:2].min() > weights[2:].max()


def test_units_do_not_matter(small):
    X, y = small
    units = np.array([1e6, 1e-3, 1, 10])
    plain = SCML(random_state=0).fit(X, y).pairwise_distances(X)
    scaled = SCML(random_state=0).fit(X * units, y).pairwise_distances(X * units)
    np.testing.assert_allclose(scaled, plain, rtol=1e-3, atol=1e-3 * plain.max())


def test_weights_count_triplets(small):
    X, y = small
    indices = triplets_from_labels(y, X).indices[::7]
    weights = np.arange(len(indices)) % 3
    repeated = Triplets(np.repeat(indices, weights, axis=0))
    learner = SCML(basis=np.eye(4), tol=1e-8)
    np.testing.assert_allclose(
        learner.fit(X, constraints=Triplets(indices, weights)).weights_,
        SCML(basis=np.eye(4), tol=1e-8).fit(X, constraints=repeated).weights_,
        rtol=1e-3,
        atol=1e-5,
    )


def test_memory_is_not_triplets_times_bases():
    X, y = make_classification(400, 20, n_informative=8, n_classes=4, class_sep=3, random_state=0)
    tracemalloc.start()
    SCML(n_basis=1000, random_state=0).fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400 * 30 * 1000 * 8 / 3


def test_stopping_early_warns(small):
    with pytest.warns(ConvergenceWarning, match="SCML did not converge in max_iter=2"):
        SCML(max_iter=2, random_state=0).fit(*small)


@pytest.mark.parametrize(
    ("basis", "message"),
    [
        (np.eye(3), r"basis must be of shape \(n_basis, n_features=4\), got \(3, 3\)"),
        (np.zeros((2, 4)), "basis must hold finite directions"),
        (np.full((2, 4), np.inf), "basis must hold finite directions"),
    ],
)
def test_bad_bases_are_one_clear_error(basis, message, small):
    with pytest.raises(ValueError, match=message):
        SCML(basis=basis).fit(*small)


def test_constraints_that_do_not_fit_are_refused(small):
    X, _ = small
    with pytest.raises(ValueError, match="SCML takes Triplets, got Pairs"):
        SCML().fit(X, constraints=Pairs([[0, 1]], [True]))
    with pytest.raises(ValueError, match="basis='lda' needs labels"):
        SCML(basis="lda").fit(X, constraints=Triplets([[0, 1, 20]]))
