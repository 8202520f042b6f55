"""MMC: optimal by the certificate, by cvxpy, and by the eigenproblem."""

import numpy as np
import pytest
from scipy import linalg
from scipy.optimize import approx_fprime
from sklearn.exceptions import ConvergenceWarning

from metriclearn import MMC
from metriclearn.constraints import Pairs, Triplets, pairs_from_labels
from metriclearn.mahalanobis._mmc import _root_loss

VARIANTS = ("full", "diagonal", "linear")


@pytest.fixture
def problem(iris):
    X, y = iris
    pairs = pairs_from_labels(y, n_pairs=60, random_state=0)
    weights = np.random.RandomState(1).uniform(0.5, 2, len(pairs))
    return X, Pairs(pairs.indices, pairs.similar, weights)


def budget_and_gain(learner, X, pairs, power):
    """The two sums of the problem, by the learner's own distances."""
    first, second = pairs.indices.T
    d = learner.paired_distances(X[first], X[second])
    weighted = pairs.weights * d**power, pairs.weights * d**2
    return weighted[1][pairs.similar].sum(), weighted[0][~pairs.similar].sum()


@pytest.mark.parametrize("variant", VARIANTS)
def test_first_order_agrees_with_the_semidefinite_program(problem, variant):
    X, pairs = problem
    first_order = MMC(variant).fit(X, constraints=pairs)
    sdp = MMC(variant, solver="sdp").fit(X, constraints=pairs)
    assert first_order.objective_ == pytest.approx(sdp.objective_, rel=1e-6)
    assert first_order.duality_gap_ <= 1e-6
    np.testing.assert_allclose(
        first_order.get_mahalanobis_matrix(),
        sdp.get_mahalanobis_matrix(),
        atol=1e-4 * np.abs(sdp.get_mahalanobis_matrix()).max(),
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_objective_and_budget_are_those_of_the_paper(problem, variant):
    X, pairs = problem
    learner = MMC(variant).fit(X, constraints=pairs)
    budget, gain = budget_and_gain(learner, X, pairs, 2 if variant == "linear" else 1)
    assert budget == pytest.approx(1, rel=1e-4)  # the ridge takes its share
    assert budget <= 1
    assert gain == pytest.approx(learner.objective_)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_feasible_matrix_is_better(problem, variant):
    X, pairs = problem
    learner = MMC(variant, ridge=1e-12).fit(X, constraints=pairs)
    rng = np.random.RandomState(0)
    for _ in range(50):
        other = MMC(variant).fit(X, constraints=pairs)
        L = rng.randn(4, 4) * rng.uniform(0, 2, 4)
        other.components_ = np.diag(np.diag(L)) if variant == "diagonal" else L
        budget, gain = budget_and_gain(other, X, pairs, 2 if variant == "linear" else 1)
        reached = gain / budget if variant == "linear" else gain / np.sqrt(budget)
        assert reached <= learner.objective_ * (1 + 1e-6)


def test_linear_variant_is_the_top_generalized_eigenvector(problem):
    X, pairs = problem
    first, second = pairs.indices.T
    outer = np.einsum("i,ij,ik->ijk", pairs.weights, X[first] - X[second], X[first] - X[second])
    S, D = outer[pairs.similar].sum(axis=0), outer[~pairs.similar].sum(axis=0)
    values, vectors = linalg.eigh(D, S)
    learner = MMC("linear", ridge=1e-12).fit(X, constraints=pairs)
    assert learner.components_.shape == (1, 4)
    assert learner.objective_ == pytest.approx(values[-1])
    assert abs(learner.components_[0] @ S @ vectors[:, -1]) == pytest.approx(1)


@pytest.mark.parametrize("balance", [0.0, 0.3, 0.5, 0.9])
def test_difference_is_the_best_matrix_of_unit_trace(problem, balance):
    X, pairs = problem
    S, D = np.zeros((4, 4)), np.zeros((4, 4))
    for (i, j), similar, weight in zip(pairs.indices, pairs.similar, pairs.weights, strict=True):
        scatter = weight * np.outer(X[i] - X[j], X[i] - X[j])
        if similar:
            S += scatter
        else:
            D += scatter
    wanted = (1 - balance) * D - balance * S
    learner = MMC("difference", balance=balance).fit(X, constraints=pairs)
    M = learner.get_mahalanobis_matrix()
    values, vectors = linalg.eigh(wanted)
    np.testing.assert_allclose(M, np.outer(vectors[:, -1], vectors[:, -1]), atol=1e-10)
    assert learner.objective_ == pytest.approx(values[-1], rel=1e-10)
    assert np.trace(M) == pytest.approx(1, abs=1e-12)
    d2 = learner.paired_distances(*X[pairs.indices.T]) ** 2 * pairs.weights
    by_distances = (1 - balance) * d2[~pairs.similar].sum() - balance * d2[pairs.similar].sum()
    assert learner.objective_ == pytest.approx(by_distances, rel=1e-10)
    rng = np.random.RandomState(0)
    for _ in range(50):
        L = rng.randn(4, 4) * rng.uniform(0, 2, 4)
        assert np.trace(wanted @ L.T @ L) / np.sum(L * L) <= learner.objective_


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_difference_keeps_its_direction_in_any_one_unit(iris, unit):
    X, y = iris
    plain, scaled = (
        MMC("difference", random_state=0).fit(rows, y).components_ for rows in (X, X * unit)
    )
    np.testing.assert_allclose(scaled, plain, atol=1e-10)


def test_difference_by_cvxpy(problem):
    cp = pytest.importorskip("cvxpy")
    X, pairs = problem
    sign = np.where(pairs.similar, -0.4, 0.6) * pairs.weights
    V = X[pairs.indices[:, 0]] - X[pairs.indices[:, 1]]
    M = cp.Variable((4, 4), PSD=True)
    cp.Problem(cp.Maximize(cp.trace((V.T * sign) @ V @ M)), [cp.trace(M) == 1]).solve("CLARABEL")
    learner = MMC("difference", balance=0.4).fit(X, constraints=pairs)
    np.testing.assert_allclose(learner.get_mahalanobis_matrix(), M.value, atol=1e-6)


def test_difference_in_more_features_than_rows_and_where_one_does_not_vary(rng):
    wide, y = rng.randn(12, 30), np.repeat([0, 1, 2], 4)
    wide[:, 7] = 5.0
    for X, balance in ((wide, 0.5), (wide, 0.95), (np.delete(wide, slice(8, 30), 1), 0.99)):
        pairs = pairs_from_labels(y, n_pairs=30, random_state=0)
        V = X[pairs.indices[:, 0]] - X[pairs.indices[:, 1]]
        wanted = (V.T * np.where(pairs.similar, -balance, 1 - balance)) @ V
        Q = linalg.orth(V.T)
        learner = MMC("difference", balance=balance).fit(X, constraints=pairs)
        value = linalg.eigvalsh(Q.T @ wanted @ Q)[-1]
        v = learner.components_[0]
        assert learner.objective_ == pytest.approx(value, rel=1e-10)
        assert v @ wanted @ v == pytest.approx(value, rel=1e-10)
        assert v[7] == pytest.approx(0, abs=1e-10)
    with pytest.raises(ValueError, match="not for variant='difference'"):
        MMC("difference", solver="sdp").fit(wide, y)
    with pytest.raises(ValueError, match="every dissimilar pair are equal"):
        MMC("difference").fit([[0.0], [0.0], [1.0]], constraints=Pairs([[0, 1], [0, 2]], [-1, 1]))


def test_certificate_at_fifty_features_and_a_thousand_pairs(rng):
    X, y = rng.randn(400, 50), rng.randint(4, size=400)
    X[:, :4] += np.eye(4)[y] * 2
    learner = MMC(n_pairs=1000, random_state=0).fit(X, y)
    assert learner.duality_gap_ <= 1e-6


@pytest.mark.parametrize("shape", [(4, 4), (4,)], ids=["full", "diagonal"])
def test_gradient_by_finite_differences(rng, shape):
    U, weights, F = rng.randn(20, 4), rng.uniform(size=20), rng.randn(*shape)
    _, gradient = _root_loss(U, weights, F)
    numeric = approx_fprime(F.ravel(), lambda f: _root_loss(U, weights, f.reshape(shape))[0])
    np.testing.assert_allclose(gradient.ravel(), numeric, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_units_of_the_features_do_not_matter(small, variant):
    X, y = small
    units = np.array([1e6, 1e-6, 1, 30])
    plain = MMC(variant, random_state=0).fit(X, y)
    scaled = MMC(variant, random_state=0).fit(X * units, y)
    np.testing.assert_allclose(
        scaled.get_mahalanobis_matrix() * np.outer(units, units),
        plain.get_mahalanobis_matrix(),
        atol=1e-5 * np.abs(plain.get_mahalanobis_matrix()).max(),
    )


def test_diagonal_is_diagonal_and_ignores_a_constant_feature(small):
    X, y = small
    M = MMC("diagonal", random_state=0).fit(np.c_[X, np.ones(len(X))], y).get_mahalanobis_matrix()
    np.testing.assert_array_equal(M, np.diag(np.diag(M)))
    assert M[4, 4] == 0


def test_weights_count_as_repetitions(small):
    X, y = small
    pairs = pairs_from_labels(y, n_pairs=40, random_state=0)
    weights = np.random.RandomState(0).randint(1, 4, len(pairs))
    repeated = Pairs(np.repeat(pairs.indices, weights, axis=0), np.repeat(pairs.similar, weights))
    weighted = MMC().fit(X, constraints=Pairs(pairs.indices, pairs.similar, weights))
    assert weighted.objective_ == pytest.approx(MMC().fit(X, constraints=repeated).objective_)


def test_warns_where_the_certificate_is_not_reached(small):
    with pytest.warns(ConvergenceWarning, match="relative duality gap"):
        MMC(max_iter=1, random_state=0).fit(*small)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "requires y"),
        ({"y": np.arange(45) % 2, "constraints": Pairs([[0, 1]], [1])}, "give one of them"),
        ({"constraints": Triplets([[0, 1, 2]])}, "MMC takes Pairs, got Triplets"),
        ({"constraints": Pairs([[0, 45], [0, 1]], [1, 0])}, "names row 45, but X has 45 rows"),
        ({"constraints": Pairs([[0, 1]], [1])}, "none of the 1 pairs is dissimilar"),
        ({"constraints": Pairs([[0, 1]], [0])}, "none of the 1 pairs is similar"),
        ({"constraints": Pairs([[0, 1], [2, 2]], [1, 0])}, "nothing tells them apart"),
    ],
)
def test_bad_constraints_are_one_clear_error(small, arguments, message):
    with pytest.raises(ValueError, match=message):
        MMC().fit(small[0], **arguments)


def test_sdp_says_how_large_it_goes(rng):
    X, y = rng.randn(60, 21), np.repeat([0, 1], 30)
    with pytest.raises(ValueError, match=r"practical up to 20 features .*solver='lbfgs'"):
        MMC(solver="sdp").fit(X, y)
    with pytest.raises(ValueError, match="1000 dissimilar pairs, got 5 and 1200"):
        MMC(solver="sdp", n_pairs=1200).fit(np.tile(X[:, :5], (2, 1)), np.tile(y, 2))
