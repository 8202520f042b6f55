"""The general model: every composition against the exact program, misfits refused."""

import itertools

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.exceptions import ConvergenceWarning

from metriclearn import MahalanobisLearner
from metriclearn.constraints import (
    Pairs,
    Triplets,
    pairs_from_labels,
    quadruplets_from_labels,
    triplets_from_labels,
)
from metriclearn.mahalanobis._general._terms import (
    SHAPES,
    Frobenius,
    Linear,
    LogDet,
    MarginExcess,
    Objective,
    PairExcess,
)

SMOOTH = ("squared_hinge", "squared", "logistic")
REGULARIZERS = ("frobenius", "trace", "scatter", "logdet")
CONSTRAINT_TYPES = ("pairs", "triplets")


def fit(problem, *terms, **arguments):
    return MahalanobisLearner(*terms, n_constraints=40, random_state=0, **arguments).fit(*problem)


@pytest.mark.parametrize("constraint_type", CONSTRAINT_TYPES)
@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("loss", SMOOTH)
def test_every_smooth_composition_reaches_the_exact_optimum(
    small, loss, regularizer, constraint_type
):
    exact = fit(small, loss, regularizer, "sdp", constraint_type=constraint_type)
    for solver in ("lbfgs",) if regularizer == "logdet" else ("lbfgs", "proximal"):
        found = fit(small, loss, regularizer, solver, constraint_type=constraint_type)
        assert found.objective_ == pytest.approx(exact.objective_, rel=2e-5)
        assert 0 <= found.duality_gap_ <= 1e-5 * found.objective_


@pytest.mark.parametrize("loss", ["squared_hinge", "logistic"])
@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_diagonal_compositions_reach_the_exact_optimum(small, loss, regularizer):
    exact = fit(small, loss, regularizer, "sdp", diagonal=True, constraint_type="triplets")
    M = exact.get_mahalanobis_matrix()
    np.testing.assert_allclose(M, np.diag(np.diag(M)), atol=1e-8)
    for solver in ("lbfgs",) if regularizer == "logdet" else ("lbfgs", "proximal"):
        found = fit(small, loss, regularizer, solver, diagonal=True, constraint_type="triplets")
        assert found.objective_ == pytest.approx(exact.objective_, rel=2e-5)
        M = found.get_mahalanobis_matrix()
        np.testing.assert_allclose(M, np.diag(np.diag(M)), atol=1e-12)


@pytest.mark.parametrize("loss", ["hinge", *SMOOTH])
@pytest.mark.parametrize("constraint_type", CONSTRAINT_TYPES)
def test_minibatches_come_near_the_optimum(small, loss, constraint_type):
    exact = fit(small, loss, "frobenius", "sdp", constraint_type=constraint_type)
    found = fit(
        small, loss, "frobenius", "minibatch", constraint_type=constraint_type, batch_size=32
    )
    assert exact.objective_ <= found.objective_ * (1 + 1e-6)
    assert found.objective_ == pytest.approx(exact.objective_, rel=1e-2)


def test_hinge_is_certified_by_the_program(small):
    """Schultz & Joachims: diagonal weights, hinge, relative constraints."""
    learner = fit(small, "hinge", "frobenius", "sdp", diagonal=True, constraint_type="quadruplets")
    M = learner.get_mahalanobis_matrix()
    np.testing.assert_allclose(M, np.diag(np.diag(M)), atol=1e-8)
    weights = np.diag(M) * small[0].var(axis=0)
    assert weights[:2].min() > weights[2:].max()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("excess", ["pairs", "margin"])
@pytest.mark.parametrize("regularizer", ["frobenius", "linear", "logdet"])
def test_gradients_are_derivatives(rng, shape, excess, regularizer):
    V, weights = rng.randn(12, 3), rng.uniform(0.5, 2, 12 if excess == "pairs" else 6)
    S = np.cov(rng.randn(3, 9))
    terms = {"frobenius": Frobenius(), "linear": Linear(S), "logdet": LogDet(S)}
    sign = np.where(np.arange(12) % 2, 1.0, -1.0)
    judged = PairExcess(sign, rng.uniform(1, 5, 12)) if excess == "pairs" else MarginExcess(0.7)
    objective = Objective(V, weights, judged, shape, terms[regularizer], diagonal=False)
    L = rng.randn(3, 3)
    numeric = approx_fprime(
        L.ravel(), lambda flat: objective.by_factor(flat.reshape(3, 3))[0], 1e-7
    )
    value, gradient, gap = objective.by_factor(L)
    np.testing.assert_allclose(gradient.ravel(), numeric, rtol=1e-4, atol=1e-4)
    by_matrix = objective.by_matrix(L.T @ L)
    assert by_matrix[0] == pytest.approx(value)
    assert by_matrix[2] == pytest.approx(gap)
    np.testing.assert_allclose(2 * L @ by_matrix[1], gradient)


def test_objective_is_the_formula(small):
    X, y = small
    pairs = pairs_from_labels(y, n_pairs=20, random_state=0)
    weights = np.random.RandomState(0).uniform(size=len(pairs))
    learner = MahalanobisLearner("squared_hinge", C=7, bounds=(2.0, 9.0))
    learner.fit(X, constraints=Pairs(pairs.indices, pairs.similar, weights))
    first, second = X[pairs.indices.T]
    unit = np.mean(np.sum((first - second) ** 2, axis=1))
    d2 = learner.paired_distances(first, second) ** 2
    excess = np.where(pairs.similar, d2 - 2 / unit, 9 / unit - d2)
    M = learner.get_mahalanobis_matrix() * unit
    expected = np.sum(M**2) / 2 + 7 * np.average(np.maximum(excess, 0) ** 2, weights=weights)
    assert learner.objective_ == pytest.approx(expected)


def test_triplets_are_quadruplets_with_a_common_row(small):
    X, y = small
    triplets = triplets_from_labels(y, n_triplets=50, random_state=0)
    a, p, n = triplets.indices.T
    quadruplets = quadruplets_from_labels(y, n_quadruplets=5, random_state=0)
    quadruplets = type(quadruplets)(np.column_stack([a, p, a, n]))
    np.testing.assert_allclose(
        MahalanobisLearner().fit(X, constraints=triplets).components_,
        MahalanobisLearner().fit(X, constraints=quadruplets).components_,
    )


def test_low_rank(small):
    full = fit(small, regularizer="trace")
    low = fit(small, regularizer="trace", n_components=2)
    assert low.components_.shape == (2, 4)
    assert low.objective_ >= full.objective_ - full.duality_gap_
    cut = fit(small, regularizer="trace", solver="proximal", n_components=2)
    whole = fit(small, regularizer="trace", solver="proximal")
    np.testing.assert_allclose(cut.components_, whole.components_[:2])


def test_units_do_not_matter(small):
    X, y = small
    for terms in itertools.product(["squared_hinge"], REGULARIZERS[:3]):
        plain = fit((X, y), *terms).pairwise_distances(X)
        scaled = fit((X * 1e6, y), *terms).pairwise_distances(X * 1e6)
        np.testing.assert_allclose(scaled, plain, atol=1e-6)


def test_partial_fit_goes_on(small):
    X, y = small
    learner = MahalanobisLearner(solver="minibatch", n_constraints=40, random_state=0)
    values = []
    for _ in range(60):
        learner.partial_fit(X, y)
        values.append(learner.objective_)
    exact = fit(small, solver="sdp")
    assert learner.n_iter_ == 60
    assert values[-1] < values[0]
    assert values[-1] == pytest.approx(exact.objective_, rel=0.02)
    fresh = MahalanobisLearner(solver="minibatch", n_constraints=40, random_state=0)
    np.testing.assert_array_equal(learner.fit(X, y).components_, fresh.fit(X, y).components_)


def test_partial_fit_is_for_minibatches(small):
    assert not hasattr(MahalanobisLearner(), "partial_fit")
    assert hasattr(MahalanobisLearner(solver="minibatch"), "partial_fit")
    learner = MahalanobisLearner(solver="minibatch").partial_fit(*small)
    with pytest.raises(ValueError, match="2 features, but MahalanobisLearner is expecting 4"):
        learner.partial_fit(small[0][:, :2], small[1])
    with pytest.raises(ValueError, match="both given"):
        learner.partial_fit(*small, constraints=Pairs([[0, 20]], [False]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "hinge"}, "loss='hinge' is not smooth, which solver='lbfgs' needs; use"),
        ({"loss": "hinge", "solver": "proximal"}, "loss='hinge' is not smooth"),
        ({"regularizer": "logdet", "solver": "proximal"}, "infinite on the edge of the cone"),
        ({"regularizer": "logdet", "solver": "minibatch"}, "infinite on the edge of the cone"),
        ({"regularizer": "logdet", "n_components": 2}, "infinite for low rank, n_components=2"),
        ({"diagonal": True, "n_components": 2}, "diagonal=True keeps all 4 features"),
        ({"bounds": (2.0, 1.0)}, "bounds must be two numbers"),
        ({"prior": np.eye(3)}, "prior must be of shape"),
        ({"regularizer": "logdet", "prior": np.ones((4, 4))}, "prior is singular"),
    ],
)
def test_terms_that_do_not_fit_are_refused(small, arguments, message):
    with pytest.raises(ValueError, match=message):
        MahalanobisLearner(**arguments).fit(*small)


def test_large_programs_are_refused(rng):
    with pytest.raises(ValueError, match="for up to 30 features and 5000 constraints"):
        MahalanobisLearner(solver="sdp").fit(rng.randn(20, 31), np.arange(20) % 2)


@pytest.mark.parametrize("solver", ["lbfgs", "proximal", "minibatch"])
def test_stopping_early_warns(small, solver):
    with pytest.warns(ConvergenceWarning, match="did not converge in max_iter=1"):
        MahalanobisLearner(solver=solver, max_iter=1, tol=0, random_state=0).fit(*small)


def test_every_kind_of_constraint_is_taken(small):
    X, _ = small
    for constraints in (Pairs([[0, 20], [0, 1]], [False, True]), Triplets([[0, 1, 20]])):
        learner = MahalanobisLearner().fit(X, constraints=constraints)
        near, far = learner.paired_distances(X[[0, 0]], X[[1, 20]])
        assert near < far


SLOW_START = "lbfgs", {"regularizer": "trace"}


@pytest.mark.parametrize("terms", [{}, {"regularizer": "trace"}, {"diagonal": True}], ids=str)
@pytest.mark.parametrize("solver", ["lbfgs", "proximal"])
def test_a_warm_start_takes_fewer_iterations_to_the_same_metric(small, solver, terms):
    X, y = small
    learner = MahalanobisLearner(solver=solver, warm_start=True, random_state=0, **terms)
    first = learner.fit(X, y).objective_, learner.n_iter_
    learner.fit(X, y)
    # Of lbfgs every fifth iteration is tested; one that starts where M loses rank is slow at first.
    assert learner.n_iter_ - first[1] < (5 if (solver, terms) == SLOW_START else 0)
    assert learner.objective_ == pytest.approx(first[0], rel=2e-5)


def test_a_warm_start_needs_the_features_of_before(small):
    X, y = small
    learner = MahalanobisLearner(warm_start=True, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="previous fit had 4 features, X has 3"):
        learner.fit(X[:, :3], y)


@pytest.mark.parametrize("n_components", [None, 2])
@pytest.mark.parametrize("tol", [1e-4, 1e-9])
def test_single_precision_is_searched_in_it_and_proven_in_double(
    small, n_components, tol, monkeypatch
):
    seen = []

    def recorded(self, pairs, blocks=Objective._blocks):
        for block, V in blocks(self, pairs):
            seen.append(V.dtype)
            yield block, V

    monkeypatch.setattr(Objective, "_blocks", recorded)
    X, y = small
    given = {"n_components": n_components, "tol": tol, "random_state": 0}
    exact = MahalanobisLearner(**given).fit(X, y)
    assert set(seen) == {np.dtype(np.float64)}
    seen.clear()
    single = MahalanobisLearner(**given).fit(X.astype(np.float32), y)
    in_double = seen.index(np.dtype(np.float64))
    assert in_double > 10
    if tol == 1e-4:
        assert len(seen) - in_double < in_double
    assert set(seen[in_double:]) == {np.dtype(np.float64)}
    assert single.components_.dtype == np.float32
    assert single.objective_ == pytest.approx(exact.objective_, rel=1e-4)
    if n_components is None:
        assert single.duality_gap_ <= tol * single.objective_
