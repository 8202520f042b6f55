"""ITML and LSML: one solver, held against cvxpy, finite differences and metric-learn."""

import numpy as np
import pytest
from helpers.optional import cvxpy
from scipy.optimize import approx_fprime
from sklearn.exceptions import ConvergenceWarning

from metriclearn import ITML, LSML
from metriclearn.constraints import Pairs, Quadruplets, Triplets
from metriclearn.mahalanobis._itml import BoundLoss
from metriclearn.mahalanobis._lsml import ResidualLoss
from metriclearn.mahalanobis._solvers._logdet import PairDifferences

# metric-learn 0.7.0 with force_all_finite renamed, X the standardized iris data, pairs of `pairs`:
# metric_learn.ITML(gamma=1.0, tol=1e-12, max_iter=100000).fit(X[indices], similar, bounds=[1, 6])
PEER_ITML = [
    [0.7686468106, -0.3437848603, -0.0986229089, -0.3389719065],
    [-0.3437848603, 0.3228774881, -0.0760456039, -0.0069928396],
    [-0.0986229089, -0.0760456039, 1.5196391735, 0.6534390579],
    [-0.3389719065, -0.0069928396, 0.6534390579, 2.2356636504],
]
# metric_learn.LSML(tol=1e-10, max_iter=100000).fit(X[[[0, 100, 1, 2]]])
PEER_LSML = [
    [0.9564227887, -0.1092263166, -0.1998608084, -0.2525375419],
    [-0.1092263166, 1.3207256012, 0.0861974161, 0.1489007826],
    [-0.1998608084, 0.0861974161, 0.6632531293, -0.3860122294],
    [-0.2525375419, 0.1489007826, -0.3860122294, 0.5648352124],
]


@pytest.fixture
def pairs(iris):
    y = iris[1]
    i = np.arange(60)
    indices = np.column_stack([2 * i % 150, (7 * i + 5) % 150])
    indices = indices[indices[:, 0] != indices[:, 1]]
    return Pairs(indices, y[indices[:, 0]] == y[indices[:, 1]])


@pytest.fixture
def quadruplets():
    i = np.arange(40)
    columns = [2 * i % 150, (7 * i + 5) % 150, (3 * i + 50) % 150, (11 * i + 90) % 150]
    return Quadruplets(np.column_stack(columns), weights=1 + i % 3)


@pytest.mark.parametrize("n_pairs", [5, 400])
@pytest.mark.parametrize("scaled", [False, True])
def test_differences_are_those_of_all_pairs_at_once(n_pairs, scaled, rng, monkeypatch):
    monkeypatch.setattr("metriclearn.mahalanobis._solvers._logdet._BLOCK_BYTES", 2**10)
    Z, A = rng.randn(60, 4), rng.randn(4, 4)
    first, second = rng.randint(60, size=(2, n_pairs))
    scales = rng.rand(n_pairs) if scaled else None
    V = (Z[first] - Z[second]) * (scales[:, None] if scaled else 1)
    differences, weights = PairDifferences(Z, first, second, scales), rng.randn(3, 4)
    differences.transform(A)
    differences.transform(A)
    V, some = V @ A @ A, np.array([4, 0, 2])
    np.testing.assert_allclose(differences.of(some), V[some], atol=1e-12)
    np.testing.assert_allclose(differences.squares(weights), weights @ (V**2).T, atol=1e-10)


def test_itml_agrees_with_metric_learn(iris, pairs):
    learner = ITML(1.0, bounds=(1.0, 6.0), tol=1e-14).fit(iris[0], constraints=pairs)
    np.testing.assert_allclose(learner.get_mahalanobis_matrix(), PEER_ITML, atol=1e-6)


def test_lsml_agrees_with_metric_learn_on_one_quadruplet(iris):
    learner = LSML(unit=1.0, tol=1e-12).fit(iris[0], constraints=Quadruplets([[0, 100, 1, 2]]))
    np.testing.assert_allclose(learner.get_mahalanobis_matrix(), PEER_LSML, atol=1e-5)


@pytest.mark.parametrize("gamma", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("prior", ["identity", np.diag([1.0, 2, 3, 4])], ids=["identity", "array"])
def test_itml_is_optimal(iris, pairs, gamma, prior):
    X, _ = iris
    weights = np.random.RandomState(0).uniform(0.5, 2, len(pairs))
    pairs = Pairs(pairs.indices, pairs.similar, weights)
    learner = ITML(gamma, bounds=(1.0, 6.0), prior=prior, tol=1e-9).fit(X, constraints=pairs)

    bounds = np.where(pairs.similar, 1.0, 6.0)
    M, slack = cvxpy.Variable((4, 4), PSD=True), cvxpy.Variable(len(pairs), pos=True)
    V = X[pairs.indices[:, 0]] - X[pairs.indices[:, 1]]
    d2 = cvxpy.sum(cvxpy.multiply(V @ M, V), axis=1)
    inverse = np.eye(4) if isinstance(prior, str) else np.linalg.inv(prior)
    divergence = cvxpy.trace(M @ inverse) - cvxpy.log_det(M) - np.linalg.slogdet(inverse)[1] - 4
    ratio = cvxpy.multiply(slack, 1 / bounds)
    slack_cost = gamma * cvxpy.sum(cvxpy.multiply(weights, ratio - cvxpy.log(ratio) - 1))
    similar = pairs.similar
    rules = [d2[similar] <= slack[similar], d2[~similar] >= slack[~similar]]
    problem = cvxpy.Problem(cvxpy.Minimize(divergence + slack_cost), rules)
    optimum = problem.solve(solver="CLARABEL")

    assert learner.objective_ == pytest.approx(optimum, rel=1e-5)
    assert 0 <= learner.duality_gap_ <= 1e-7 * max(learner.objective_, 4)
    np.testing.assert_allclose(learner.get_mahalanobis_matrix(), M.value, atol=1e-3)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_lsml_is_optimal(iris, quadruplets, scale):
    X = scale * iris[0]
    learner = LSML(unit=1.0, tol=1e-9).fit(X, constraints=quadruplets)

    i, j, k, l = quadruplets.indices.T
    near, far = X[i] - X[j], X[k] - X[l]
    M, raised = cvxpy.Variable((4, 4), PSD=True), cvxpy.Variable(len(i))
    a = cvxpy.sum(cvxpy.multiply(near @ M, near), axis=1)
    b = cvxpy.sum(cvxpy.multiply(far @ M, far), axis=1)
    # (√a - √b)₊² is the least of a' + b - 2√(a'b) over a' ≥ a.
    means = cvxpy.hstack([cvxpy.geo_mean(cvxpy.hstack([raised[q], b[q]])) for q in range(len(i))])
    loss = quadruplets.weights / quadruplets.weights.sum() @ (raised + b - 2 * means)
    objective = cvxpy.trace(M) - cvxpy.log_det(M) - 4 + loss
    optimum = cvxpy.Problem(cvxpy.Minimize(objective), [raised >= a]).solve(solver="CLARABEL")

    assert learner.objective_ == pytest.approx(optimum, rel=1e-5)
    assert 0 <= learner.duality_gap_ <= 1e-7 * max(learner.objective_, 4)


@pytest.mark.parametrize(
    "loss",
    [
        BoundLoss(np.array([True, False, True, False]), np.array([1.0, 2, 3, 4])),
        ResidualLoss(np.array([0.3, 0.7])),
    ],
    ids=["bounds", "residuals"],
)
def test_slopes_and_curvatures_are_derivatives(loss):
    q = np.array([2.0, 0.5, 0.7, 1.5])
    change = np.array([0.3, -0.2, 0.5, 0.1])
    slope = loss.value_and_slope(q)[1]
    np.testing.assert_allclose(
        slope, approx_fprime(q, lambda p: loss.value_and_slope(p)[0]), atol=1e-6
    )
    moved = [loss.value_and_slope(q + s * 1e-5 * change)[1] for s in (1, -1)]
    np.testing.assert_allclose(
        loss.curvature(q)(change), (moved[0] - moved[1]) / 2e-5, rtol=1e-6, atol=1e-9
    )


def test_itml_bounds_are_percentiles_of_squared_distances(iris):
    X, y = iris
    d2 = np.sum((X[:, None] - X) ** 2, axis=2)
    expected = np.percentile(d2[d2 > 0], (5, 95))
    np.testing.assert_allclose(ITML(random_state=0).fit(X, y).bounds_, expected, rtol=0.05)


def test_itml_leaves_equal_rows_alone(iris, pairs):
    X = np.r_[iris[0], iris[0][:2]]
    more = Pairs(np.r_[pairs.indices, [[0, 150], [1, 151]]], np.r_[pairs.similar, [True, False]])
    bounds = (1.0, 6.0)
    np.testing.assert_allclose(
        ITML(bounds=bounds).fit(X, constraints=more).components_,
        ITML(bounds=bounds).fit(X, constraints=pairs).components_,
        rtol=1e-4,
    )


def test_lsml_takes_quadruplets_of_equal_rows(iris):
    # d(0, 9) < d(5, 5) cannot hold, but the metric that comes nearest is finite.
    learner = LSML(unit=1.0, tol=1e-10).fit(iris[0], constraints=Quadruplets([[0, 9, 5, 5]]))
    v = iris[0][0] - iris[0][9]
    expected = np.linalg.inv(np.eye(4) + np.outer(v, v))
    np.testing.assert_allclose(learner.get_mahalanobis_matrix(), expected, rtol=1e-4)


@pytest.mark.parametrize("learner", [ITML, LSML], ids=lambda c: c.__name__)
def test_singular_priors_keep_their_range(learner, iris):
    X, y = iris
    prior = np.diag([1.0, 1, 0, 0])
    M = learner(prior=prior, random_state=0).fit(X, y).get_mahalanobis_matrix()
    assert np.linalg.matrix_rank(M[:2, :2]) == 2
    assert not M[2:].any()


@pytest.mark.parametrize("learner", [ITML, LSML], ids=lambda c: c.__name__)
def test_stopping_early_warns(learner, iris):
    with pytest.warns(ConvergenceWarning, match=f"{learner.__name__} did not converge"):
        fitted = learner(max_iter=1, tol=0, random_state=0).fit(*iris)
    assert fitted.n_iter_ == 1


def test_n_components_keeps_the_largest(iris):
    X, y = iris
    full = ITML(random_state=0).fit(X, y)
    low = ITML(n_components=2, random_state=0).fit(X, y)
    np.testing.assert_allclose(low.components_, full.components_[:2])


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (0.0, 1.0), (1.0,), (1.0, np.inf), (1.0, np.nan)])
def test_bad_bounds_are_one_clear_error(bounds, iris):
    with pytest.raises(ValueError, match="bounds must be two numbers"):
        ITML(bounds=bounds).fit(*iris)


def test_other_constraints_are_refused(iris):
    triplets = Triplets([[0, 1, 100]])
    with pytest.raises(ValueError, match="ITML takes Pairs, got Triplets"):
        ITML().fit(iris[0], constraints=triplets)
    with pytest.raises(ValueError, match="LSML takes Quadruplets, got Triplets"):
        LSML().fit(iris[0], constraints=triplets)
