"""LMNN against loops, finite differences and cvxpy."""

import tracemalloc

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import StandardScaler

from metriclearn import LMNN
from metriclearn.constraints import Pairs, Triplets
from metriclearn.mahalanobis import _impostors
from metriclearn.mahalanobis._hinge import Hinge, SquaredHinge
from metriclearn.mahalanobis._impostor_list import ImpostorList
from metriclearn.mahalanobis._impostors import pairs_within, target_neighbors
from metriclearn.mahalanobis._lmnn_coordinates import PullCoordinates
from metriclearn.mahalanobis._lmnn_labels import LabelObjective
from metriclearn.mahalanobis._lmnn_objective import TripletObjective
from metriclearn.mahalanobis._pair_graph import PairGraph

losses = pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])


def label_triplets(X, y, k=3):
    """Target pairs and triplets of labelled rows, by loops."""
    targets, triplets = [], []
    for i in range(len(X)):
        same = np.flatnonzero((y == y[i]) & (np.arange(len(X)) != i))
        nearest = same[np.argsort(np.sum((X[same] - X[i]) ** 2, axis=1))[:k]]
        targets += [(i, j) for j in nearest]
        triplets += [(i, j, l) for j in nearest for l in np.flatnonzero(y != y[i])]
    return np.array(targets), np.array(triplets)


def loop_objective(L, X, targets, triplets, loss, mu=0.5, weights=None):
    Z = X @ L.T
    weights = np.ones(len(triplets)) if weights is None else weights
    pull = sum(np.sum((Z[i] - Z[j]) ** 2) for i, j in targets)
    push = 0
    for w, (i, j, l) in zip(weights, triplets, strict=True):
        h = max(0, 1 + np.sum((Z[i] - Z[j]) ** 2) - np.sum((Z[i] - Z[l]) ** 2))
        push += w * (h if loss == "hinge" else h**2)
    return mu * pull + (1 - mu) * push


def cvxpy_optimum(X, targets, triplets, loss, mu=0.5):
    d = X.shape[1]
    M = cp.Variable((d, d), PSD=True)

    def sq_distances(first, second):
        difference = X[first] - X[second]
        products = np.einsum("ti,tj->tij", difference, difference).reshape(-1, d * d)
        return products @ cp.vec(M, order="C")

    i, j, l = triplets.T
    h = cp.pos(1 + sq_distances(i, j) - sq_distances(i, l))
    push = cp.sum(h) if loss == "hinge" else cp.sum_squares(h)
    pull = cp.sum(sq_distances(*targets.T))
    return cp.Problem(cp.Minimize(mu * pull + (1 - mu) * push)).solve(solver=cp.CLARABEL)


def dense_objective(L, X, y, k=3, mu=0.5):
    """The hinge objective from all n × n distances at once."""

    def all_distances(A):
        return np.sum(A**2, axis=1)[:, None] + np.sum(A**2, axis=1) - 2 * A @ A.T

    same = y[:, None] == y
    before, after = all_distances(X), all_distances(X @ L.T)
    nearest = np.argsort(np.where(same & ~np.eye(len(X), dtype=bool), before, np.inf))[:, :k]
    pulled = np.take_along_axis(after, nearest, axis=1)
    push = sum(np.sum(np.maximum(1 + d[:, None] - after, 0)[~same]) for d in pulled.T)
    return mu * pulled.sum() + (1 - mu) * push


def some_triplets(X, y, n, rng):
    _, triplets = label_triplets(X, y)
    return triplets[rng.choice(len(triplets), n, replace=False)]


def by_class(X, y):
    order = np.argsort(y, kind="stable")
    return X[order], y[order], np.concatenate([[0], np.cumsum(np.bincount(y))])


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


@pytest.mark.parametrize(
    "rows",
    [
        lambda X: X,
        lambda X: np.c_[X, X @ np.ones((4, 2)), np.zeros(len(X))],
        lambda X: X[:3],
        lambda X: X * [1e6, 1, 1e-6, 1],
    ],
    ids=["plain", "collinear and constant", "wide", "mixed scales"],
)
@pytest.mark.parametrize("r", [2, 4])
def test_coordinates_keep_distances_and_what_no_distance_feels(rows, r, small, rng):
    X = rows(small[0])
    X = X - X.mean(axis=0)
    L = rng.randn(r, X.shape[1])
    coordinates = PullCoordinates(X, X[::2].T @ X[::2])
    inside = coordinates.enter(L)
    Z, expected = coordinates.rows @ inside.T, X @ L.T
    np.testing.assert_allclose(
        np.linalg.norm(Z[:, None] - Z, axis=2),
        np.linalg.norm(expected[:, None] - expected, axis=2),
        rtol=1e-6,
        atol=1e-9 * np.abs(expected).max(),
    )
    np.testing.assert_allclose(coordinates.leave(inside), L, rtol=1e-6)
    pull = np.sum((inside @ coordinates.scatter) * inside)
    assert pull == pytest.approx(np.sum((X[::2] @ L.T) ** 2))


@losses
@pytest.mark.parametrize("mu", [0.2, 0.5])
@pytest.mark.parametrize("n_components", [None, 2])
def test_objective_is_the_papers_sum(loss, mu, n_components, small):
    X, y = small
    model = LMNN(n_components, loss=loss, mu=mu).fit(X, y)
    expected = loop_objective(model.components_, X, *label_triplets(X, y), loss, mu)
    assert model.objective_ == pytest.approx(expected, rel=1e-6)


@losses
def test_objective_from_weighted_triplets_is_a_sum_over_them(loss, small, rng):
    X, y = small
    triplets = some_triplets(X, y, 200, rng)
    weights = rng.randint(1, 4, 200)
    model = LMNN(loss=loss).fit(X, constraints=Triplets(triplets, weights))
    pulled = np.repeat(triplets[:, :2], weights, axis=0)
    expected = loop_objective(model.components_, X, pulled, triplets, loss, weights=weights)
    assert model.objective_ == pytest.approx(expected, rel=1e-6)
    repeated = LMNN(loss=loss).fit(X, constraints=Triplets(np.repeat(triplets, weights, axis=0)))
    assert repeated.objective_ == pytest.approx(model.objective_, rel=1e-4)


@pytest.mark.parametrize("loss", [Hinge(0.5), SquaredHinge()], ids=["rounded", "squared"])
@pytest.mark.parametrize("listed", [False, True])
def test_gradient_from_labels_is_the_derivative(loss, listed, small, rng, monkeypatch):
    monkeypatch.setattr("metriclearn.mahalanobis._lmnn_labels._SPARSE_SHARE", float(listed))
    X, _, starts = by_class(*small)
    targets = target_neighbors(X, starts, 3)
    P = np.cov(X.T)
    objective = LabelObjective(X, 0.4, P, starts=starts, targets=targets, precise=True)
    L = rng.randn(3, 4) / 2
    assert not objective.refresh(L, loss)
    assert objective.lists_impostors == listed
    error = check_grad(
        lambda flat: objective.value_and_gradient(flat.reshape(3, 4), loss)[0],
        lambda flat: objective.value_and_gradient(flat.reshape(3, 4), loss)[1].ravel(),
        L.ravel(),
    )
    assert error <= 1e-6 * np.linalg.norm(objective.value_and_gradient(L, loss)[1])


@pytest.mark.parametrize("loss", [Hinge(0.5), SquaredHinge()], ids=["rounded", "squared"])
def test_gradient_from_triplets_is_the_derivative(loss, small, rng):
    X, y = small
    given = {"triplets": some_triplets(X, y, 200, rng), "weights": rng.rand(200)}
    objective = TripletObjective(X, 0.4, np.cov(X.T), precise=True, **given)
    L = rng.randn(3, 4) / 2
    error = check_grad(
        lambda flat: objective.value_and_gradient(flat.reshape(3, 4), loss)[0],
        lambda flat: objective.value_and_gradient(flat.reshape(3, 4), loss)[1].ravel(),
        L.ravel(),
    )
    assert error <= 1e-6 * np.linalg.norm(objective.value_and_gradient(L, loss)[1])


def test_a_list_that_missed_impostors_says_so(small, rng, monkeypatch):
    monkeypatch.setattr("metriclearn.mahalanobis._lmnn_labels._SPARSE_SHARE", 1.0)
    X, _, starts = by_class(*small)
    given = {"starts": starts, "targets": target_neighbors(X, starts, 3)}
    listed = LabelObjective(X, 0.5, np.eye(4), **given)
    fresh = LabelObjective(X, 0.5, np.eye(4), **given)
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
    found = ImpostorList(np.eye(4), 1.3 * radii, np.sum(X**2, axis=1).max(), 1e9)
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


def test_a_list_is_used_only_where_it_suffices_until_it_is_trusted(rng, monkeypatch):
    searches = []

    def counted(*given):
        searches.append(given)
        return pairs_within(*given)

    monkeypatch.setattr("metriclearn.mahalanobis._lmnn_labels._SPARSE_SHARE", 1.0)
    monkeypatch.setattr("metriclearn.mahalanobis._lmnn_labels.pairs_within", counted)
    X, starts = rng.randn(150, 4), np.array([0, 60, 110, 150])
    given = {"starts": starts, "targets": target_neighbors(X, starts, 3), "precise": True}
    objective, L = LabelObjective(X, 0.5, np.eye(4), **given), np.eye(4)
    for growth in rng.uniform(0.9, 1.1, (41, 4)):
        L = L * growth
        fresh = LabelObjective(X, 0.5, np.eye(4), **given).value(L, SquaredHinge())
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
    whole = LabelObjective(X, 0.5, np.eye(4), **given).value_and_gradient(np.eye(4), loss)
    monkeypatch.setattr("metriclearn.mahalanobis._lmnn_labels._MOST_PAIRS", 20)
    monkeypatch.setattr(_impostors, "_BLOCK_BYTES", 2**8)
    parts = LabelObjective(X, 0.5, np.eye(4), **given).value_and_gradient(np.eye(4), loss)
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


@losses
def test_solvers_agree_with_each_other_and_with_the_whole_programme(loss, small):
    X, y = small
    X, y = X[::2], y[::2]
    first_order, sdp = LMNN(loss=loss).fit(X, y), LMNN(loss=loss, solver="sdp").fit(X, y)
    optimum = cvxpy_optimum(X, *label_triplets(X, y), loss)
    assert sdp.objective_ == pytest.approx(optimum, rel=1e-5)
    assert first_order.objective_ == pytest.approx(optimum, rel=1e-4)
    assert abs(sdp.duality_gap_) <= 1e-5
    assert 0 <= first_order.duality_gap_ <= 2e-4


@losses
def test_solvers_agree_on_iris_and_on_triplets(loss, iris, small, rng):
    first_order, sdp = LMNN(loss=loss).fit(*iris), LMNN(loss=loss, solver="sdp").fit(*iris)
    assert first_order.objective_ == pytest.approx(sdp.objective_, rel=1e-4)
    X, y = small
    triplets = Triplets(some_triplets(X, y, 300, rng), rng.rand(300))
    first_order = LMNN(loss=loss).fit(X, constraints=triplets)
    sdp = LMNN(loss=loss, solver="sdp").fit(X, constraints=triplets)
    assert first_order.objective_ == pytest.approx(sdp.objective_, rel=1e-4)
    assert abs(sdp.duality_gap_) <= 1e-5


@losses
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("max_iter", [1, 5, 20])
def test_the_gap_bounds_the_error_wherever_the_solver_stops(loss, max_iter, small):
    X, y = small
    optimum = LMNN(loss=loss, solver="sdp").fit(X, y).objective_
    model = LMNN(loss=loss, max_iter=max_iter).fit(X, y)
    assert model.objective_ * (1 - model.duality_gap_) <= optimum * (1 + 1e-6)
    assert model.objective_ >= optimum * (1 - 1e-6)


def test_gap_at_50_features_and_5000_triplets(rng):
    X, y = make_classification(500, 50, n_informative=25, n_classes=4, random_state=0)
    triplets = some_triplets(X, y, 5000, rng)
    assert LMNN().fit(X, constraints=Triplets(triplets)).duality_gap_ <= 1e-4


def test_low_rank_bound_is_that_of_the_full_problem(small):
    X, y = small
    full, low = LMNN().fit(X, y), LMNN(2).fit(X, y)
    assert low.components_.shape == (2, 4)
    assert low.objective_ >= full.objective_ * (1 - 1e-4)
    assert low.objective_ * (1 - low.duality_gap_) <= full.objective_


@pytest.mark.parametrize("init", ["auto", "pca", "identity", "random", np.diag([3.0, 1, 1, 0.1])])
def test_every_start_ends_at_the_same_metric(init, small):
    X, y = small
    expected = LMNN(loss="squared_hinge", tol=1e-12).fit(X, y).get_mahalanobis_matrix()
    model = LMNN(loss="squared_hinge", tol=1e-12, init=init, random_state=0).fit(X, y)
    np.testing.assert_allclose(model.get_mahalanobis_matrix(), expected, atol=1e-3)


@pytest.mark.parametrize(("scale", "shift"), [(1e8, 0), (1e-8, 0), (1, 1e5)])
def test_units_and_offsets_do_not_matter(scale, shift, small):
    X, y = small
    plain, moved = LMNN().fit(X, y), LMNN().fit(X * scale + shift, y)
    assert moved.objective_ == pytest.approx(plain.objective_, rel=1e-4)
    np.testing.assert_allclose(
        moved.get_mahalanobis_matrix() * scale**2,
        plain.get_mahalanobis_matrix(),
        atol=2e-2 * np.abs(plain.get_mahalanobis_matrix()).max(),
    )


def test_more_features_than_rows_is_learned_on_their_span(rng):
    y = np.repeat([0, 1, 2], 7)
    X = rng.randn(21, 50)
    X[:, 0] += 4 * y
    wide = LMNN().fit(X, y)
    centred = X - X.mean(axis=0)
    basis = np.linalg.svd(centred, full_matrices=False)[2][:20]
    narrow = LMNN().fit(centred @ basis.T, y)
    assert wide.components_.shape == (50, 50)
    assert wide.objective_ == pytest.approx(narrow.objective_, rel=1e-3)
    assert wide.objective_ == pytest.approx(
        loop_objective(wide.components_, X, *label_triplets(X, y), "hinge"), rel=1e-6
    )


def test_float32_learns_the_same(small):
    X, y = small
    double, single = LMNN().fit(X, y), LMNN().fit(X.astype(np.float32), y)
    assert single.components_.dtype == np.float32
    assert single.objective_ == pytest.approx(double.objective_, rel=1e-4)


def test_a_class_as_small_as_n_neighbors_and_one_far_larger(rng):
    y = np.r_[np.zeros(40, int), np.ones(3, int)]
    X = rng.randn(43, 3) + 2 * y[:, None]
    model = LMNN(n_neighbors=3).fit(X, y)
    targets, triplets = label_triplets(X, y)
    assert len(targets) == 40 * 3 + 3 * 2
    assert model.objective_ == pytest.approx(
        loop_objective(model.components_, X, targets, triplets, "hinge"), rel=1e-6
    )


def test_second_pass_pulls_the_neighbours_of_the_first_passs_space(small):
    X, y = small
    first, second = LMNN().fit(X, y), LMNN(n_passes=2).fit(X, y)
    targets, triplets = label_triplets(first.transform(X), y)
    expected = loop_objective(second.components_, X, targets, triplets, "hinge")
    assert second.objective_ == pytest.approx(expected, rel=1e-6)
    assert second.n_passes_ == 2


def test_auto_passes_help_where_noise_hides_the_neighbours():
    rng = np.random.RandomState(1)
    cluster = rng.randint(6, size=500)
    X = np.c_[2 * rng.randn(6, 3)[cluster] + rng.randn(500, 3), 2 * rng.randn(500, 12)]
    X_train, X_test, y_train, y_test = train_test_split(X, cluster % 3, random_state=0)

    def accuracy(learner):
        knn = KNeighborsClassifier(3).fit(learner.transform(X_train), y_train)
        return knn.score(learner.transform(X_test), y_test)

    one = LMNN(tol=1e-4).fit(X_train, y_train)
    auto = LMNN(tol=1e-4, n_passes="auto", random_state=0).fit(X_train, y_train)
    assert 1 < auto.n_passes_ <= 5
    assert accuracy(auto) > accuracy(one)


def test_auto_passes_without_rows_to_spare_is_one(rng):
    y = np.repeat([0, 1], 4)
    assert LMNN(n_passes="auto").fit(rng.randn(8, 2), y).n_passes_ == 1


def test_digits():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.3, random_state=0, stratify=y
    )
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    model = LMNN().fit(X_train, y_train)
    # Far too many rows for all distances in one evaluation: they were searched and listed.
    expected = dense_objective(model.components_, X_train, y_train)
    assert model.objective_ == pytest.approx(expected, rel=1e-5)
    knn = KNeighborsClassifier(3).fit(model.transform(X_train), y_train)
    assert knn.score(model.transform(X_test), y_test) >= 0.983


@losses
def test_memory_grows_with_data_and_active_pairs_not_with_their_square(loss):
    n, d, k = 6000, 8, 3
    X, y = make_classification(
        n, d, n_informative=8, n_redundant=0, n_classes=4, class_sep=3, random_state=0
    )
    learner = LMNN(loss=loss, n_neighbors=k)
    tracemalloc.start()
    learner.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    X, y, starts = by_class(X, y)
    Z, targets = learner.transform(X), target_neighbors(X, starts, k)
    radii = 1 + np.max(np.sum((Z[:, None] - Z[targets]) ** 2, axis=2), axis=1)
    active = sum(len(columns) for _, columns, _ in pairs_within(Z, radii, starts))
    # Blocks of fixed size, and some tens of bytes for each number that must be held.
    bound = 10e6 + 80 * (n * (d + k) + active)
    assert peak < bound < n * n


def test_not_converged_warns(small):
    with pytest.warns(ConvergenceWarning, match="LMNN did not converge in max_iter=2"):
        LMNN(max_iter=2).fit(*small)


def test_progress(small, capsys):
    LMNN(verbose=1).fit(*small)
    assert "LMNN" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("learner", "given", "message"),
    [
        (LMNN(n_neighbors=16), {"y": True}, "n_neighbors=16 is larger than the smallest class"),
        (LMNN(5), {"y": True}, "n_components=5 is larger than the number of features"),
        (LMNN(2, solver="sdp"), {"y": True}, "learns at full dimension, got n_components=2"),
        (LMNN(n_passes=2), {"constraints": Triplets([[0, 1, 2]])}, "n_passes=2 finds target"),
        (LMNN(), {"constraints": Pairs([[0, 1]], [True])}, "LMNN takes Triplets, got Pairs"),
        (LMNN(), {"constraints": Triplets([[0, 1, 45]])}, "names row 45"),
        (LMNN(), {"y": True, "constraints": Triplets([[0, 1, 2]])}, "both given"),
        (LMNN(init="lda"), {"constraints": Triplets([[0, 1, 2]])}, "needs class labels"),
        (LMNN(init=np.eye(3)), {"y": True}, "init: an array must be of shape"),
        (
            LMNN(),
            {"constraints": Triplets([[0, 1, 20]]), "sample_weight": np.ones(45)},
            "give Triplets weights of their own",
        ),
    ],
)
def test_what_cannot_be_learned_is_refused(learner, given, message, small):
    X, y = small
    given = given | ({"y": y} if "y" in given else {})
    with pytest.raises(ValueError, match=message):
        learner.fit(X, **given)


@losses
def test_weighted_objective_is_a_sum_over_rows(loss, small, rng):
    X, y = small
    weights = rng.uniform(0.2, 3, len(X))
    model = LMNN(loss=loss).fit(X, y, sample_weight=weights)
    Z = model.transform(X)
    pull = push = 0.0
    for i in range(len(X)):
        same = np.flatnonzero((y == y[i]) & (np.arange(len(X)) != i))
        nearest = same[np.argsort(np.sum((X[same] - X[i]) ** 2, axis=1))[:3]]
        left = 3.0
        for j, share in [(i, max(weights[i] - 1, 0)), *zip(nearest, weights[nearest], strict=True)]:
            share = min(share, left)
            left -= share
            d2 = np.sum((Z[i] - Z[j]) ** 2)
            pull += weights[i] * share * d2
            for l in np.flatnonzero(y != y[i]):
                h = max(0, 1 + d2 - np.sum((Z[i] - Z[l]) ** 2))
                push += weights[i] * share * weights[l] * (h if loss == "hinge" else h**2)
    assert model.objective_ == pytest.approx((pull + push) / 2, rel=1e-6)


@losses
def test_weighted_solvers_agree(loss, small, rng):
    X, y = small
    weights = rng.randint(0, 3, len(X))
    first_order = LMNN(loss=loss).fit(X, y, sample_weight=weights)
    sdp = LMNN(loss=loss, solver="sdp").fit(X, y, sample_weight=weights)
    assert first_order.objective_ == pytest.approx(sdp.objective_, rel=2e-4)
    assert abs(sdp.duality_gap_) <= 1e-5
    assert 0 <= first_order.duality_gap_ <= 2e-4


def test_warm_start_goes_on(small):
    X, y = small
    learner = LMNN(warm_start=True).fit(X, y)
    first = learner.objective_, learner.n_iter_
    learner.fit(X, y)
    assert learner.n_iter_ < first[1]
    assert learner.objective_ == pytest.approx(first[0], rel=2e-4)


@pytest.mark.parametrize("value", [0.1, -1e5, 0])
def test_a_constant_feature_changes_nothing(value, small):
    X, y = small
    plain, more = LMNN().fit(X, y), LMNN().fit(np.c_[X, np.full(len(X), value)], y)
    # To the precision of the solver: the unit of the rows differs, so does its path.
    assert more.objective_ == pytest.approx(plain.objective_, rel=1e-4)
    expected = plain.get_mahalanobis_matrix()
    np.testing.assert_allclose(
        more.get_mahalanobis_matrix()[:4, :4], expected, atol=1e-2 * np.abs(expected).max()
    )


def test_rows_all_the_same_are_refused():
    with pytest.raises(ValueError, match="X has one row only"):
        LMNN().fit(np.ones((6, 2)), [0, 0, 0, 1, 1, 1])


def test_too_large_programmes_are_refused(rng, small, monkeypatch):
    X = rng.randn(30, 21)
    with pytest.raises(ValueError, match="up to 20 features, X has 21"):
        LMNN(solver="sdp").fit(X, np.repeat([0, 1], 15))
    monkeypatch.setattr("metriclearn.mahalanobis._lmnn_sdp._MAX_TRIPLETS", 10)
    with pytest.raises(ValueError, match="up to 10 triplets near the margin"):
        LMNN(solver="sdp").fit(*small)
