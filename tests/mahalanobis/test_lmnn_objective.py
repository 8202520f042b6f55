"""What LMNN minimizes, and the search for impostors: finite differences and dense searches."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers.lmnn_problems import by_class, gradient_error, some_triplets
from sklearn.neighbors import NearestNeighbors

from metriclearn.mahalanobis._lmnn import _impostors
from metriclearn.mahalanobis._lmnn._impostors import ImpostorList, pairs_within
from metriclearn.mahalanobis._lmnn._label_objective import LabelObjective
from metriclearn.mahalanobis._lmnn._objective import Hinge, SquaredHinge, TripletObjective
from metriclearn.mahalanobis._lmnn._pair_graph import PairGraph
from metriclearn.mahalanobis._lmnn._proof import Proof
from metriclearn.mahalanobis._lmnn._rows import Rows
from metriclearn.mahalanobis._lmnn._targets import target_neighbors


def as_given(X, scatter=None):
    """Rows in their own coordinates."""
    return SimpleNamespace(rows=Rows(X), scatter=np.eye(X.shape[1]) if scatter is None else scatter)


@pytest.mark.parametrize("loss", [Hinge(), Hinge(0.3), SquaredHinge()])
def test_slopes_are_derivatives_and_rounding_is_bounded(loss):
    h = np.linspace(-1, 1, 402)
    step = 1e-6
    values, slopes = loss.terms(h.copy())
    difference = (loss.terms(h + step)[0] - loss.terms(h - step)[0]) / (2 * step)
    np.testing.assert_allclose(slopes, difference, atol=1e-5)
    assert np.all(values[h < -loss.reach] == 0)
    if isinstance(loss, Hinge):
        excess = values - np.maximum(h, 0)
        assert excess.min() >= -1e-15
        assert excess.max() <= loss.width / 8 + 1e-15
    else:
        # The conjugate at a slope of its own loss.
        np.testing.assert_allclose(slopes * h - values, loss.conjugate_share * values, atol=1e-15)


@pytest.mark.parametrize("loss", [Hinge(0.5), SquaredHinge()], ids=["rounded", "squared"])
@pytest.mark.parametrize("listed", [False, True])
def test_gradient_from_labels_is_the_derivative(loss, listed, small, rng, monkeypatch):
    monkeypatch.setattr(
        "metriclearn.mahalanobis._lmnn._label_objective._SPARSE_SHARE", float(listed)
    )
    X, _, starts = by_class(*small)
    targets = target_neighbors(X, starts, 3)
    P = np.cov(X.T)
    objective = LabelObjective(as_given(X, P), 0.4, starts=starts, targets=targets, precise=True)
    L = rng.randn(3, 4) / 2
    assert not objective.refresh(L, loss)
    assert objective.lists_impostors == listed
    assert gradient_error(objective, L, loss) <= 1e-6


@pytest.mark.parametrize("loss", [Hinge(0.5), SquaredHinge()], ids=["rounded", "squared"])
def test_gradient_from_triplets_is_the_derivative(loss, small, rng):
    X, y = small
    given = {"triplets": some_triplets(X, y, 200, rng), "weights": rng.rand(200)}
    objective = TripletObjective(as_given(X, np.cov(X.T)), 0.4, precise=True, **given)
    L = rng.randn(3, 4) / 2
    assert gradient_error(objective, L, loss) <= 1e-6


def test_a_list_that_missed_impostors_says_so(small, rng, monkeypatch):
    monkeypatch.setattr("metriclearn.mahalanobis._lmnn._label_objective._SPARSE_SHARE", 1.0)
    X, _, starts = by_class(*small)
    given = {"starts": starts, "targets": target_neighbors(X, starts, 3)}
    listed = LabelObjective(as_given(X), 0.5, **given)
    fresh = LabelObjective(as_given(X), 0.5, **given)
    near, far = np.eye(4), np.diag([1e-2, 1, 1, 1])
    listed.refresh(near, Hinge())
    assert listed.value(far, Hinge()) < fresh.value(far, Hinge())
    assert listed.refresh(far, Hinge())
    assert listed.value(far, Hinge()) == pytest.approx(fresh.value(far, Hinge()), rel=1e-6)


def test_a_list_suffices_only_where_no_pair_is_missed(rng):
    X, starts = rng.randn(150, 4), np.array([0, 60, 110, 150])
    radii = 0.5 + rng.rand(150)

    def pairs_at(L):
        [(indptr, columns, _)] = pairs_within(X @ L.T, radii, starts)
        return set(zip(np.repeat(np.arange(150), np.diff(indptr)), columns, strict=True))

    [(indptr, columns, _)] = pairs_within(X, 1.3 * radii, starts)
    found = ImpostorList(np.eye(4), 1.3 * radii, Rows(X), 1e9)
    found.add(PairGraph(indptr, columns))
    listed = set(zip(np.repeat(np.arange(150), np.diff(indptr)), columns, strict=True))
    proven = []
    for _ in range(200):
        L = np.linalg.qr(rng.randn(4, 4))[0] * rng.uniform(0.85, 1.2, 4)
        proven.append(found.suffices(L, radii))
        assert pairs_at(L) <= listed or not proven[-1]
        # A turn and the lengths of four axes: the proof is exact.
        assert proven[-1] == (np.linalg.svd(L)[1][-1] ** 2 > 1 / 1.3)
    assert 20 < sum(proven) < 180


@pytest.mark.parametrize("shrunk", [[1, 1, 1, 1, 1], [1, 1, 1, 0.3, 0], [0.9, 1.1, 1, 1, 0.99]])
def test_no_row_that_is_not_listed_is_within_what_is_proven(shrunk, rng):
    X, anchors = rng.randn(200, 5) * [1, 1, 1, 1e-2, 1e-2], np.arange(0, 200, 2)

    def sq_distances(L):
        return np.square((X[anchors, None] - X) @ L.T).sum(axis=2)

    first = sq_distances(np.eye(5))
    nearest = np.argsort(first, axis=1)
    radii = np.take_along_axis(first, nearest[:, 20:21], axis=1)[:, 0]
    proof = Proof(np.eye(5), radii, Rows(X), anchors)
    L = np.linalg.qr(rng.randn(5, 5))[0] * shrunk
    now = sq_distances(L)
    unlisted = np.take_along_axis(now, nearest[:, 20:], axis=1).min(axis=1)
    needed = np.sort(now, axis=1)[:, 8]
    which, proven = proof.unproven(L, needed)
    assert np.all(proven <= unlisted + 1e-12)
    sure = np.setdiff1d(np.arange(100), which)
    assert np.all(needed[sure] <= proven[sure])
    assert len(sure) > 50  # directions in which rows hardly vary cost next to nothing
    # From there on, with some anchors searched anew.
    proven[which] = unlisted[which]
    further, again = proof.renewed(L, proven), L * [1, 0.95, 1, 1, 1]
    unlisted = np.take_along_axis(sq_distances(again), nearest[:, 20:], axis=1).min(axis=1)
    assert np.all(further.unproven(again, needed)[1] <= unlisted + 1e-12)


def test_a_list_is_used_only_where_it_suffices_until_it_is_trusted(rng, monkeypatch):
    searches = []

    def counted(*given):
        searches.append(given)
        return pairs_within(*given)

    monkeypatch.setattr("metriclearn.mahalanobis._lmnn._label_objective._SPARSE_SHARE", 1.0)
    monkeypatch.setattr("metriclearn.mahalanobis._lmnn._label_objective.pairs_within", counted)
    X, starts = rng.randn(150, 4), np.array([0, 60, 110, 150])
    given = {"starts": starts, "targets": target_neighbors(X, starts, 3), "precise": True}
    objective, L = LabelObjective(as_given(X), 0.5, **given), np.eye(4)
    # Steps in turn so small that the list of before suffices, and so large that it may not.
    steps = rng.uniform(-1, 1, (41, 4)) * np.where(np.arange(41) % 2, 1e-4, 0.2)[:, None]
    for growth in 1 + steps:
        L = L * growth
        fresh = LabelObjective(as_given(X), 0.5, **given).value(L, SquaredHinge())
        assert objective.value(L, SquaredHinge()) == pytest.approx(fresh, rel=1e-12)
        assert not objective.lists_impostors
    assert 41 + 1 < len(searches) < 41 + 40


@pytest.mark.parametrize("sizes", [(30, 20, 25), (2,) * 40, (3, 60, 2, 2, 40, 5)])
@pytest.mark.parametrize("block_bytes", [2**8, 2**12, 2**20])
def test_pairs_within_radii_are_those_of_a_dense_search(sizes, block_bytes, rng, monkeypatch):
    monkeypatch.setattr(_impostors, "_BLOCK_BYTES", block_bytes)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    y = np.repeat(range(len(sizes)), sizes)
    Z, radii = rng.randn(len(y), 3), rng.rand(len(y)) * 2
    [(indptr, columns, d2)] = pairs_within(Z, radii, starts)
    rows = np.repeat(np.arange(len(y)), np.diff(indptr))
    found = dict(zip(zip(rows, columns, strict=True), d2, strict=True))
    dense = np.sum((Z[:, None] - Z) ** 2, axis=2)
    wanted = (dense < np.maximum(radii[:, None], radii)) & (y[:, None] < y)
    assert set(found) == set(zip(*np.nonzero(wanted), strict=True))
    assert len(found) == len(d2)
    np.testing.assert_allclose(d2, [dense[pair] for pair in found], atol=1e-12)


def test_parts_of_the_search_are_the_whole(rng, monkeypatch):
    X, starts = rng.randn(150, 4), np.array([0, 60, 110, 150])
    given = {"starts": starts, "targets": target_neighbors(X, starts, 3)}
    loss = Hinge(0.1)
    whole = LabelObjective(as_given(X), 0.5, **given).value_and_gradient(np.eye(4), loss)
    monkeypatch.setattr("metriclearn.mahalanobis._lmnn._label_objective._MOST_PAIRS", 20)
    monkeypatch.setattr(_impostors, "_BLOCK_BYTES", 2**8)
    parts = LabelObjective(as_given(X), 0.5, **given).value_and_gradient(np.eye(4), loss)
    assert len(list(pairs_within(X, np.ones(150), starts, most=20))) > 3
    assert parts[0] == pytest.approx(whole[0], rel=1e-5)
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-4)


def test_target_neighbors_are_scikit_learns(rng):
    sizes = [40, 7, 4]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    X = rng.randn(51, 3) + 1e3
    targets = target_neighbors(X, starts, 4)
    for start, stop in [(0, 40), (40, 47)]:
        rows = X[start:stop]
        expected = start + NearestNeighbors(n_neighbors=4).fit(rows).kneighbors()[1]
        np.testing.assert_array_equal(np.sort(targets[start:stop]), np.sort(expected))
    # The class of four has three others for each row.
    assert [set(row) for row in targets[47:]] == [{47, 48, 49, 50, -1} - {i} for i in range(47, 51)]
