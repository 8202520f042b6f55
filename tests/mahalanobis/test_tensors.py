"""Learners on tensors, within scikit-learn's array API dispatch: numpy's results, kept there."""

import importlib.util

import numpy as np
import pytest
from helpers.optional import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from metriclearn import LMNN, MLKR, NCA, Covariance, MahalanobisLearner
from metriclearn._arrays import to_numpy
from metriclearn.constraints import Pairs, Triplets
from metriclearn.mahalanobis._lmnn import _impostors, _targets
from metriclearn.mahalanobis._lmnn._impostors import pairs_within
from metriclearn.mahalanobis._lmnn._targets import target_neighbors
from metriclearn.mahalanobis._soft_neighbors._gradient import (
    soft_neighbor_gradient,
    tensor_soft_neighbor_gradient,
)
from metriclearn.mahalanobis._soft_neighbors._nca import nca_terms
from metriclearn.mahalanobis._soft_neighbors._near_pairs import NearPairs
from metriclearn.mahalanobis._soft_neighbors._targets import SameClass, Values

LIBRARIES = ["torch"]
if importlib.util.find_spec("array_api_strict"):  # refuses what the standard does not promise
    LIBRARIES.append("array_api_strict")
libraries = pytest.mark.parametrize("library", LIBRARIES)

LEARNERS = [
    LMNN(),
    LMNN(loss="squared_hinge"),
    LMNN(2, init="pca", n_passes=2, n_impostors=None),
    MLKR(),
    MLKR(2, batch_size=20, random_state=0),
    NCA(),
    NCA(2),
    NCA(2, batch_size=20, init="pca", random_state=0),
    MahalanobisLearner(random_state=0),
    MahalanobisLearner("logistic", "trace", "proximal", constraint_type="triplets", random_state=0),
    MahalanobisLearner(solver="minibatch", max_iter=20, random_state=0),
    MahalanobisLearner(regularizer="logdet", prior="covariance", random_state=0),
]
learners = pytest.mark.parametrize("learner", LEARNERS, ids=repr)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def dispatched():
    with config_context(array_api_dispatch=True):
        yield


def tensor(library, array):
    return importlib.import_module(library).asarray(array)


@libraries
@learners
def test_components_are_those_of_numpy(library, learner, small):
    X, y = small
    expected = clone(learner).fit(X, y)
    found = clone(learner).fit(tensor(library, X), tensor(library, y))
    scale = np.abs(expected.components_).max()
    np.testing.assert_allclose(to_numpy(found.components_), expected.components_, atol=1e-6 * scale)
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-6)


@learners
def test_single_precision_is_as_near(learner, small):
    X, y = small[0].astype(np.float32), small[1]
    # After a few iterations, before flat objectives make much of rounding; then at the end.
    for max_iter in (3, learner.max_iter):
        learner = clone(learner).set_params(max_iter=max_iter)
        expected = clone(learner).fit(X, y)
        found = learner.fit(torch.asarray(X), torch.asarray(y))
        assert found.components_.dtype == torch.float32
        assert found.objective_ == pytest.approx(expected.objective_, rel=1e-3, abs=1e-4)
        if max_iter == 3:
            M, other = found.get_mahalanobis_matrix().numpy(), expected.get_mahalanobis_matrix()
            np.testing.assert_allclose(M, other, atol=1e-3 * np.abs(other).max())


@libraries
@learners
def test_results_are_tensors(library, learner, small):
    X, y = small
    there = tensor(library, X)
    found = clone(learner).fit(there, y)
    expected = found.transform(there)
    results = {
        "components": found.components_,
        "transform": expected,
        "paired_distances": found.paired_distances(there[:9, :], there[9:18, :]),
        "pairwise_distances": found.pairwise_distances(there[:9, :], there[:4, :]),
        "matrix": found.get_mahalanobis_matrix(),
    }
    for name, result in results.items():
        assert type(result) is type(there), name
        assert result.dtype == there.dtype, name
    Z = to_numpy(expected)
    own = to_numpy(found.pairwise_distances(there))
    np.testing.assert_allclose(own, np.linalg.norm(Z[:, None] - Z, axis=2), atol=1e-6)
    assert np.all(np.diag(own) == 0)
    assert found.get_metric()(X[0], X[1]) == pytest.approx(own[0, 1])


@libraries
def test_constraints_of_tensors(library, small, rng):
    X, y = small
    indices = rng.randint(45, size=(80, 3))
    indices = indices[
        (y[indices[:, 0]] == y[indices[:, 1]]) & (y[indices[:, 0]] != y[indices[:, 2]])
    ]
    pairs = Pairs(
        np.concatenate([indices[:, :2], indices[:, ::2]]),
        np.arange(2 * len(indices)) < len(indices),
    )
    for learner, constraints in (
        (LMNN(), Triplets(indices)),
        (MahalanobisLearner(), Triplets(indices)),
        (MahalanobisLearner("logistic", "scatter"), pairs),
    ):
        expected = clone(learner).fit(X, constraints=constraints).get_mahalanobis_matrix()
        found = learner.fit(tensor(library, X), constraints=constraints).get_mahalanobis_matrix()
        np.testing.assert_allclose(to_numpy(found), expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("learner", [LMNN(), NCA(2), MLKR()], ids=repr)
def test_weights_of_tensors(learner, small, rng):
    X, y = small
    weights = rng.randint(3, size=len(X)).astype(float)
    expected = clone(learner).fit(X, y, sample_weight=weights).get_mahalanobis_matrix()
    found = clone(learner).fit(
        torch.asarray(X), torch.asarray(y), sample_weight=torch.asarray(weights)
    )
    np.testing.assert_allclose(
        found.get_mahalanobis_matrix().numpy(), expected, atol=1e-6 * np.abs(expected).max()
    )


def test_partial_fit_of_tensors(small):
    X, y = small
    learner = MahalanobisLearner(solver="minibatch", random_state=0)
    expected = clone(learner).partial_fit(X, y).partial_fit(X, y)
    found = clone(learner)
    for _ in range(2):
        found.partial_fit(torch.asarray(X), torch.asarray(y))
    np.testing.assert_allclose(found.components_.numpy(), expected.components_, atol=1e-9)


@pytest.mark.parametrize(
    "learner", [LMNN(max_iter=3, n_passes=1), NCA(max_iter=3), MLKR(max_iter=3)], ids=repr
)
def test_tensors_start_warm(learner, small):
    X, y = torch.asarray(small[0]), small[1]
    learner = clone(learner).set_params(warm_start=True).fit(X, y)
    first = learner.objective_
    better = learner.fit(X, y).objective_ - first
    assert better > 0 if isinstance(learner, NCA) else better < 0


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("max_memory", [0.002, 512])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_soft_neighbors_of_tensors(weighted, max_memory, scale, rng):
    codes, y = np.repeat([0, 1, 2], 15), rng.randn(45)
    Z = scale * rng.randn(45, 3)
    weights = rng.rand(45) * 3 if weighted else None

    def squared_error(rows, predicted, log_normalizers):
        residual = (y if isinstance(predicted, np.ndarray) else torch.asarray(y))[rows] - predicted
        return residual**2, 2 * residual, -2 * residual * predicted

    for targets, terms in ((SameClass(codes), nca_terms), (Values(y), squared_error)):
        given = {"weights": weights, "max_memory": max_memory}
        value, gradient = soft_neighbor_gradient(Z, targets, terms, **given)
        found = tensor_soft_neighbor_gradient(torch.asarray(Z), targets, terms, **given)
        assert found[0] == pytest.approx(value, rel=1e-9)
        np.testing.assert_allclose(found[1].numpy(), gradient, atol=1e-9)


@pytest.mark.parametrize("sizes", [(30, 20, 25), (2,) * 40])
@pytest.mark.parametrize("block_bytes", [2**8, 2**20])
def test_searches_among_tensors(sizes, block_bytes, rng, monkeypatch):
    for module in (_impostors, _targets):
        monkeypatch.setattr(module, "_TENSOR_BLOCK_BYTES", block_bytes)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    Z, radii = rng.randn(starts[-1], 3), rng.rand(starts[-1]) * 2
    [expected] = pairs_within(Z, radii, starts)
    [found] = pairs_within(torch.asarray(Z), radii, starts)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    np.testing.assert_array_equal(
        np.sort(target_neighbors(torch.asarray(Z), starts, 3), axis=1),
        np.sort(target_neighbors(Z, starts, 3), axis=1),
    )


def test_lists_of_weighted_pairs(rng):
    n = 1200
    codes = np.repeat(np.arange(3), 400)
    Z = 20 * rng.randn(n, 4)
    weights = rng.rand(n) * 3
    listed = NearPairs(SameClass(codes), nca_terms, weights=weights)
    listed(Z)
    moved = Z + 0.01 * rng.randn(n, 4)
    value, gradient = listed(moved)
    expected = soft_neighbor_gradient(moved, SameClass(codes), nca_terms, weights=weights)
    assert listed._uses == 1
    assert value == pytest.approx(expected[0], rel=1e-5)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-3 * np.abs(expected[1]).max())


def test_rows_of_another_library_are_one_clear_error(small):
    X, y = small
    fitted = LMNN().fit(torch.asarray(X), y)
    with pytest.raises(ValueError, match="X is a ndarray, but LMNN was fitted to a Tensor"):
        fitted.transform(X)
    with pytest.raises(ValueError, match="Covariance computes with numpy alone, got a Tensor"):
        Covariance().fit(torch.asarray(X))


def test_outside_the_dispatch_tensors_are_read_as_arrays(small):
    X, y = small
    with config_context(array_api_dispatch=False):
        found = NCA().fit(torch.asarray(X), y)
        assert isinstance(found.transform(torch.asarray(X)), np.ndarray)
        np.testing.assert_array_equal(found.components_, NCA().fit(X, y).components_)


def test_not_converged_on_tensors_warns(small):
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        LMNN(max_iter=2).fit(torch.asarray(small[0]), small[1])
