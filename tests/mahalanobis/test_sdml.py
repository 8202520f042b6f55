"""SDML: its graphical lasso against cvxpy and scikit-learn, and bounded whatever the data."""

import numpy as np
import pytest
from helpers.optional import cvxpy
from sklearn.covariance import graphical_lasso as sklearn_graphical_lasso
from sklearn.exceptions import ConvergenceWarning

from metriclearn import SDML
from metriclearn.constraints import Pairs, Triplets, pairs_from_labels
from metriclearn.mahalanobis._sdml import graphical_lasso


def solve(P, sparsity, tol=1e-8):
    return graphical_lasso(P, sparsity, max_iter=5000, tol=tol, advance=lambda status: None)


@pytest.fixture
def covariance(rng):
    return np.cov((rng.randn(40, 6) @ rng.randn(6, 6)).T)


@pytest.mark.parametrize("sparsity", [0.0, 0.05, 0.5, 50.0])
def test_lasso_agrees_with_cvxpy(covariance, sparsity):
    M, objective, gap, _ = solve(covariance, sparsity)
    variable = cvxpy.Variable((6, 6), PSD=True)
    penalty = sparsity * cvxpy.sum(cvxpy.multiply(1 - np.eye(6), cvxpy.abs(variable)))
    problem = cvxpy.Problem(
        cvxpy.Minimize(cvxpy.trace(variable @ covariance) - cvxpy.log_det(variable) + penalty)
    )
    assert objective == pytest.approx(problem.solve(solver="CLARABEL"), rel=1e-6, abs=1e-6)
    assert 0 <= gap <= 6e-8
    np.testing.assert_allclose(M, variable.value, atol=1e-3 * np.abs(M).max())


def test_lasso_agrees_with_scikit_learn(covariance):
    scales = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scales, scales)
    expected = sklearn_graphical_lasso(correlation, alpha=0.1, enet_tol=1e-10)[1]
    np.testing.assert_allclose(solve(correlation, 0.1)[0], expected, atol=1e-3)


@pytest.mark.parametrize("sparsity", [1e-4, 1e-2])
def test_lasso_holds_where_features_nearly_depend_on_each_other(rng, sparsity):
    rows = rng.randn(60, 3) @ rng.randn(3, 8) + 1e-2 * rng.randn(60, 8)
    P = np.corrcoef(rows.T)
    assert np.linalg.cond(P) > 1e5
    M, _, gap, _ = solve(P, sparsity, tol=1e-6)
    assert 0 <= gap <= 8e-6
    # Slopes of the smooth part are within the penalty, as far as the gap says.
    slope = P - np.linalg.inv(M)
    np.testing.assert_allclose(np.diag(slope), 0, atol=np.sqrt(2 * gap))
    assert np.abs(slope).max() <= sparsity + np.sqrt(2 * gap)


def test_lasso_is_sparse_to_the_bit(covariance):
    M = solve(covariance, 50.0)[0]
    np.testing.assert_array_equal(M, np.diag(np.diag(M)))


def test_without_sparsity_it_is_the_inverse(small):
    X, y = small
    pairs = pairs_from_labels(y, n_pairs=30, random_state=0)
    learner = SDML(balance=0.5, sparsity=0).fit(X, constraints=pairs)

    def scatter(chosen):
        V = X[pairs.indices[chosen, 0]] - X[pairs.indices[chosen, 1]]
        return V.T @ V / len(V)

    difference = scatter(pairs.similar) - scatter(~pairs.similar)
    eta = 0.5 / np.abs(np.linalg.eigvalsh(difference)).max()
    assert learner.balance_ == pytest.approx(eta)
    expected = np.linalg.inv(np.eye(4) + eta * difference)
    np.testing.assert_allclose(learner.get_mahalanobis_matrix(), expected, rtol=1e-8)


def test_similar_pairs_come_nearer_than_dissimilar_ones(small):
    X, y = small
    similar = y[:, None] == y
    before = np.linalg.norm(X[:, None] - X, axis=2)
    after = SDML(random_state=0).fit(X, y).pairwise_distances(X)
    assert after[similar].mean() / after[~similar].mean() < (
        0.9 * before[similar].mean() / before[~similar].mean()
    )


@pytest.mark.parametrize("balance", [0.0, 0.9, 0.999999])
@pytest.mark.parametrize("prior", ["identity", "covariance", "random"])
@pytest.mark.parametrize("flip", [False, True])
def test_bounded_whatever_the_data(rng, balance, prior, flip):
    X = rng.randn(12, 20) * np.geomspace(1e-3, 1e3, 20)
    X[:, 3] = 1.0
    X[:, 5] = X[:, 4]
    first, second = np.triu_indices(12, 1)
    far = np.linalg.norm(X[first] - X[second], axis=1)
    pairs = Pairs(np.column_stack([first, second]), (far > np.median(far)) == flip)
    learner = SDML(balance, 0.1, prior=prior, random_state=0).fit(X, constraints=pairs)
    assert np.all(np.isfinite(learner.components_))
    assert learner.duality_gap_ <= 1e-5 * 20


def test_pairs_of_one_kind_and_equal_rows(small):
    X, _ = small
    M = SDML().fit(X, constraints=Pairs([[0, 1], [2, 3]], [True, True])).get_mahalanobis_matrix()
    assert np.linalg.eigvalsh(M)[0] > 0
    same = np.r_[X, X[:1]]
    M = SDML().fit(same, constraints=Pairs([[0, 45]], [False])).get_mahalanobis_matrix()
    np.testing.assert_allclose(M, np.eye(4))


def test_stopping_early_warns(small):
    with pytest.warns(ConvergenceWarning, match="SDML did not converge in max_iter=1"):
        SDML(sparsity=0.5, max_iter=1, tol=0, random_state=0).fit(*small)


def test_other_constraints_are_refused(small):
    with pytest.raises(ValueError, match="SDML takes Pairs, got Triplets"):
        SDML().fit(small[0], constraints=Triplets([[0, 1, 20]]))
