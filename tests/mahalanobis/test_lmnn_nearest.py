"""LMNN with the nearest impostors only: loops, finite differences, cvxpy, dense searches."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.lmnn_problems import by_class, gradient_error, label_triplets
from helpers.optional import cvxpy as cp
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning

from metriclearn import LMNN
from metriclearn.mahalanobis._lmnn import _lmnn, _nearest, _passes
from metriclearn.mahalanobis._lmnn._nearest import nearest_of_others
from metriclearn.mahalanobis._lmnn._nearest_objective import NearestObjective
from metriclearn.mahalanobis._lmnn._objective import Hinge, SquaredHinge
from metriclearn.mahalanobis._lmnn._rows import Rows
from metriclearn.mahalanobis._lmnn._targets import target_neighbors

losses = pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])


def nearest_sum(Z, X, y, m, loss, mu=0.5, weights=None):
    """The objective by loops; a row of weight w counts as w impostors, m of which count."""
    weights = np.ones(len(X)) if weights is None else weights
    pull = push = 0.0
    targets, _ = label_triplets(X, y)
    for i, j in targets:
        d2 = np.sum((Z[i] - Z[j]) ** 2)
        pull += d2
        others = np.flatnonzero(y != y[i])
        away = np.sum((Z[others] - Z[i]) ** 2, axis=1)
        left = m
        for l in np.argsort(away, kind="stable"):
            counted = min(left, weights[others[l]])
            left -= counted
            h = max(0, 1 + d2 - away[l])
            push += counted * (h if loss == "hinge" else h**2)
    return mu * pull + (1 - mu) * push


@pytest.mark.parametrize("sizes", [(30, 20, 25), (2,) * 40, (3, 60, 2, 2, 40, 5), (70, 5)])
@pytest.mark.parametrize("block_rows", [7, 256])
@pytest.mark.parametrize("k", [1, 10])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nearest_of_others_are_those_of_a_dense_search(
    sizes, block_rows, k, dtype, rng, monkeypatch
):
    monkeypatch.setattr(_nearest._Others, "step", block_rows)
    monkeypatch.setattr(_nearest, "_TILE_BYTES", 2**10)
    monkeypatch.setattr(_nearest, "_SAMPLE_RANK", 2)  # bounds that often miss
    starts = np.concatenate([[0], np.cumsum(sizes)])
    y = np.repeat(range(len(sizes)), sizes)
    Z = rng.randn(len(y), 3).astype(dtype)
    anchors = np.sort(rng.choice(len(y), 20, replace=False))
    nearest, d2 = nearest_of_others(Z, starts, anchors, k)
    dense = np.sum((Z[anchors, None].astype(float) - Z) ** 2, axis=2)
    dense[y[anchors, None] == y] = np.inf
    expected = np.sort(dense, axis=1)[:, :k]
    np.testing.assert_allclose(d2, expected, rtol=1e-4, atol=1e-5)
    for row, found in enumerate(nearest):
        kept = found >= 0
        np.testing.assert_array_equal(kept, np.isfinite(expected[row]))
        np.testing.assert_allclose(dense[row, found[kept]], d2[row, kept], rtol=1e-4, atol=1e-5)


@losses
@pytest.mark.parametrize("m", [4, 10, 100])
def test_objective_is_the_sum_over_the_nearest(loss, m, small):
    X, y = small
    model = LMNN(loss=loss, n_impostors=m, n_passes=1, mu=0.1).fit(X, y)
    expected = nearest_sum(model.transform(X), X, y, m, loss, mu=0.1)
    assert model.objective_ == pytest.approx(expected, rel=1e-6)


@losses
def test_as_many_impostors_as_there_are_is_the_published_sum(loss, small):
    X, y = small
    nearest = LMNN(loss=loss, n_impostors=30, n_passes=1).fit(X, y)
    published = LMNN(loss=loss, n_impostors=None, n_passes=1).fit(X, y)
    assert nearest.objective_ == pytest.approx(published.objective_, rel=1e-4)


def objective_of(X, y, m, weights=None, anchors=None):
    X, _, starts = by_class(X, y)
    anchors = np.arange(len(X)) if anchors is None else anchors
    targets = target_neighbors(X, starts, 3, anchors)
    return NearestObjective(
        SimpleNamespace(rows=Rows(X), scatter=np.cov(X.T)),
        0.4,
        n_impostors=m,
        starts=starts,
        anchors=anchors,
        targets=targets,
        shares=(targets >= 0).astype(float),
        weights=weights,
        precise=True,
    )


@pytest.mark.parametrize("loss", [Hinge(0.5), SquaredHinge()], ids=["rounded", "squared"])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_the_derivative(loss, weighted, small, rng):
    weights = rng.uniform(0.2, 3, 45) if weighted else None
    objective = objective_of(*small, 4, weights, anchors=np.arange(0, 45, 2))
    L = rng.randn(3, 4) / 2
    assert gradient_error(objective, L, loss) <= 1e-6


@pytest.mark.parametrize("width", [0.01, 0.5, 5.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_rounding_is_above_and_by_no_more_than_an_eighth_a_row(width, weighted, small, rng):
    weights = rng.uniform(0.2, 3, 45) if weighted else None
    objective = objective_of(*small, 4, weights)
    for _ in range(5):
        L = rng.randn(4, 4) / 2
        excess = objective.value(L, Hinge(width)) - objective.value(L, Hinge())
        most = width / 8 * 0.6 * 45 * 3 * 8 * (1 if weights is None else weights.max())
        assert -1e-9 <= excess <= most


def optimum(X, y, m, loss):
    """The convex program as it stands, by cvxpy."""
    targets, _ = label_triplets(X, y)
    d = X.shape[1]
    M = cp.Variable((d, d), PSD=True)

    def sq_distances(D):
        return np.einsum("ti,tj->tij", D, D).reshape(len(D), -1) @ cp.vec(M, order="C")

    pull = cp.sum(sq_distances(X[targets[:, 0]] - X[targets[:, 1]]))
    push = 0
    for i, j in targets:
        others = np.flatnonzero(y != y[i])
        to_target = sq_distances((X[i] - X[j])[None])
        h = cp.pos(1 + to_target - sq_distances(X[i] - X[others]))
        push += cp.sum_largest(h if loss == "hinge" else cp.square(h), m)
    problem = cp.Problem(cp.Minimize(0.1 * pull + 0.9 * push))
    with warnings.catch_warnings():
        # Of sums of squares clarabel finds seven digits, and says that it wanted eight.
        warnings.filterwarnings("ignore", "Solution may be inaccurate", UserWarning)
        return problem.solve(solver=cp.CLARABEL)


@losses
def test_certificate_holds_and_the_optimum_is_reached(loss, small):
    X, y = small
    X, y = X[::2] / X.std(axis=0), y[::2]
    best = optimum(X, y, 6, loss)
    learner = LMNN(loss=loss, mu=0.1, n_impostors=6, n_passes=1).fit(X, y)
    assert best * (1 - 1e-5) <= learner.objective_ <= best * (1 + 2e-3)
    assert learner.objective_ * (1 - learner.duality_gap_) <= best * (1 + 1e-5)
    if loss == "hinge":
        assert learner.duality_gap_ <= 1e-3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        early = LMNN(loss=loss, mu=0.1, n_impostors=6, n_passes=1, max_iter=3).fit(X, y)
    assert early.objective_ * (1 - early.duality_gap_) <= best * (1 + 1e-5)


def test_a_list_that_missed_impostors_says_so(small):
    objective = objective_of(*small, 2)
    near, far = np.eye(4), np.diag([1e-2, 1, 1, 1])
    assert not objective.refresh(near, Hinge())
    expected = objective_of(*small, 2).value(far, Hinge())
    assert objective.value(far, Hinge()) < expected * (1 - 1e-3)
    assert objective.refresh(far, Hinge())
    assert objective.value(far, Hinge()) == pytest.approx(expected, rel=1e-9)
    assert not objective.refresh(far, Hinge())


def test_drawn_anchors_repeat_with_the_seed_and_learn_alike(monkeypatch):
    X, y = make_classification(600, 6, n_informative=4, n_classes=3, random_state=0)
    draws = LMNN(n_anchors=200, random_state=3)
    first = draws.fit(X, y).components_
    np.testing.assert_array_equal(first, draws.fit(X, y).components_)
    assert np.any(first != draws.set_params(random_state=4).fit(X, y).components_)
    everything = LMNN().fit(X, y).get_mahalanobis_matrix()
    M = draws.get_mahalanobis_matrix()
    assert np.sum(M * everything) > 0.95 * np.linalg.norm(M) * np.linalg.norm(everything)
    monkeypatch.setattr(_passes, "_MOST_OTHERS", 300)
    M = draws.fit(X, y).get_mahalanobis_matrix()
    assert np.sum(M * everything) > 0.9 * np.linalg.norm(M) * np.linalg.norm(everything)


def test_by_default_as_many_anchors_as_rows_up_to_a_number(small, monkeypatch):
    X, y = small
    everything = LMNN(n_anchors=None).fit(X, y).components_
    np.testing.assert_array_equal(LMNN().fit(X, y).components_, everything)
    monkeypatch.setattr(_lmnn, "_MOST_ANCHORS", 30)
    assert np.any(LMNN(random_state=0).fit(X, y).components_ != everything)


def test_mu_by_validation_is_one_of_the_path_and_no_worse(monkeypatch):
    # One of ten features matters: the pull must be strong to see it.
    rng = np.random.RandomState(0)
    y = rng.randint(4, size=400)
    X = np.c_[y + 0.3 * rng.randn(400), 2 * rng.randn(400, 9)]
    learner = LMNN(mu="auto", random_state=0).fit(X, y)
    assert learner.mu_ in _passes._PATH
    scores = []
    score = _passes._Trial.score
    monkeypatch.setattr(
        _passes._Trial,
        "score",
        lambda trial, L: scores.append(score(trial, L)) or scores[-1],
    )
    LMNN(mu="auto", random_state=0).fit(X, y)
    assert learner.mu_ == _passes._PATH[int(np.argmax(scores))]


def test_mu_without_rows_to_spare_is_one_half(rng):
    y = np.repeat([0, 1], 4)
    assert LMNN(mu="auto").fit(rng.randn(8, 2), y).mu_ == 0.5


def test_many_classes_of_two_rows(rng):
    y = np.repeat(np.arange(300), 2)
    X = rng.randn(300, 5)[y] + 0.1 * rng.randn(600, 5)
    learner = LMNN(n_neighbors=1, n_anchors=200, random_state=0).fit(X, y)
    Z = learner.transform(X)
    within = np.linalg.norm(Z[::2] - Z[1::2], axis=1).mean()
    assert within < 0.2 * np.linalg.norm(Z - Z.mean(axis=0), axis=1).mean()


def test_a_pull_that_wins_is_warned_of(small):
    X, y = small
    with pytest.warns(ConvergenceWarning, match="the pull of mu=0.99 outweighs 1 impostors"):
        LMNN(mu=0.99, n_impostors=1).fit(X, y)
