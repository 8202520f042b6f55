"""LMNN against loops, finite differences and cvxpy."""

import tracemalloc

import numpy as np
import pytest
from helpers.lmnn_problems import (
    by_class,
    cvxpy_optimum,
    dense_objective,
    label_triplets,
    loop_objective,
    some_triplets,
)
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from metriclearn import LMNN
from metriclearn.constraints import Pairs, Triplets
from metriclearn.mahalanobis._lmnn._impostors import pairs_within
from metriclearn.mahalanobis._lmnn._problem import PullCoordinates
from metriclearn.mahalanobis._lmnn._rows import Rows
from metriclearn.mahalanobis._lmnn._targets import target_neighbors


def published(*args, **kwargs):
    """The sum over all impostors of the paper, in one pass."""
    return LMNN(*args, **{"n_impostors": None, "n_passes": 1} | kwargs)


losses = pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])


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
    coordinates = PullCoordinates(Rows(X), X[::2].T @ X[::2])
    inside = coordinates.enter(L)
    Z, expected = coordinates.rows.mapped(inside), X @ L.T
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
    model = published(n_components, loss=loss, mu=mu).fit(X, y)
    expected = loop_objective(model.components_, X, *label_triplets(X, y), loss, mu)
    assert model.objective_ == pytest.approx(expected, rel=1e-6)


@losses
def test_objective_from_weighted_triplets_is_a_sum_over_them(loss, small, rng):
    X, y = small
    triplets = some_triplets(X, y, 200, rng)
    weights = rng.randint(1, 4, 200)
    model = published(loss=loss).fit(X, constraints=Triplets(triplets, weights))
    pulled = np.repeat(triplets[:, :2], weights, axis=0)
    expected = loop_objective(model.components_, X, pulled, triplets, loss, weights=weights)
    assert model.objective_ == pytest.approx(expected, rel=1e-6)
    repeated = published(loss=loss).fit(
        X, constraints=Triplets(np.repeat(triplets, weights, axis=0))
    )
    assert repeated.objective_ == pytest.approx(model.objective_, rel=1e-4)


@losses
def test_solvers_agree_with_each_other_and_with_the_whole_program(loss, small):
    X, y = small
    X, y = X[::2], y[::2]
    first_order, sdp = published(loss=loss).fit(X, y), published(loss=loss, solver="sdp").fit(X, y)
    optimum = cvxpy_optimum(X, *label_triplets(X, y), loss)
    assert sdp.objective_ == pytest.approx(optimum, rel=1e-5)
    assert first_order.objective_ == pytest.approx(optimum, rel=1e-4)
    assert abs(sdp.duality_gap_) <= 1e-5
    assert 0 <= first_order.duality_gap_ <= 2e-4


@losses
def test_solvers_agree_on_iris_and_on_triplets(loss, iris, small, rng):
    first_order, sdp = (
        published(loss=loss).fit(*iris),
        published(loss=loss, solver="sdp").fit(*iris),
    )
    assert first_order.objective_ == pytest.approx(sdp.objective_, rel=1e-4)
    X, y = small
    triplets = Triplets(some_triplets(X, y, 300, rng), rng.rand(300))
    first_order = published(loss=loss).fit(X, constraints=triplets)
    sdp = published(loss=loss, solver="sdp").fit(X, constraints=triplets)
    assert first_order.objective_ == pytest.approx(sdp.objective_, rel=1e-4)
    assert abs(sdp.duality_gap_) <= 1e-5


@losses
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("max_iter", [1, 5, 20])
def test_the_gap_bounds_the_error_wherever_the_solver_stops(loss, max_iter, small):
    X, y = small
    optimum = published(loss=loss, solver="sdp").fit(X, y).objective_
    model = published(loss=loss, max_iter=max_iter).fit(X, y)
    assert model.objective_ * (1 - model.duality_gap_) <= optimum * (1 + 1e-6)
    assert model.objective_ >= optimum * (1 - 1e-6)


def test_gap_at_50_features_and_5000_triplets(rng):
    X, y = make_classification(500, 50, n_informative=25, n_classes=4, random_state=0)
    triplets = some_triplets(X, y, 5000, rng)
    assert published().fit(X, constraints=Triplets(triplets)).duality_gap_ <= 1e-4


def test_low_rank_bound_is_that_of_the_full_problem(small):
    X, y = small
    full, low = published().fit(X, y), published(2).fit(X, y)
    assert low.components_.shape == (2, 4)
    assert low.objective_ >= full.objective_ * (1 - 1e-4)
    assert low.objective_ * (1 - low.duality_gap_) <= full.objective_


@pytest.mark.parametrize("init", ["auto", "pca", "identity", "random", np.diag([3.0, 1, 1, 0.1])])
def test_every_start_ends_at_the_same_metric(init, small):
    X, y = small
    expected = published(loss="squared_hinge", tol=1e-12).fit(X, y).get_mahalanobis_matrix()
    model = published(loss="squared_hinge", tol=1e-12, init=init, random_state=0).fit(X, y)
    np.testing.assert_allclose(model.get_mahalanobis_matrix(), expected, atol=1e-3)


@pytest.mark.parametrize(("scale", "shift"), [(1e8, 0), (1e-8, 0), (1, 1e5)])
def test_units_and_offsets_do_not_matter(scale, shift, small):
    X, y = small
    plain, moved = published().fit(X, y), published().fit(X * scale + shift, y)
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
    wide = published().fit(X, y)
    centered = X - X.mean(axis=0)
    basis = np.linalg.svd(centered, full_matrices=False)[2][:20]
    narrow = published().fit(centered @ basis.T, y)
    assert wide.components_.shape == (20, 50)
    assert wide.objective_ == pytest.approx(narrow.objective_, rel=1e-3)
    assert wide.objective_ == pytest.approx(
        loop_objective(wide.components_, X, *label_triplets(X, y), "hinge"), rel=1e-6
    )


def test_float32_learns_the_same(small):
    X, y = small
    double, single = published().fit(X, y), published().fit(X.astype(np.float32), y)
    assert single.components_.dtype == np.float32
    assert single.objective_ == pytest.approx(double.objective_, rel=1e-4)


def test_a_class_as_small_as_n_neighbors_and_one_far_larger(rng):
    y = np.r_[np.zeros(40, int), np.ones(3, int)]
    X = rng.randn(43, 3) + 2 * y[:, None]
    model = published(n_neighbors=3).fit(X, y)
    targets, triplets = label_triplets(X, y)
    assert len(targets) == 40 * 3 + 3 * 2
    assert model.objective_ == pytest.approx(
        loop_objective(model.components_, X, targets, triplets, "hinge"), rel=1e-6
    )


def test_second_pass_pulls_the_neighbors_of_the_space_of_the_first_pass(small):
    X, y = small
    first, second = published().fit(X, y), published(n_passes=2).fit(X, y)
    targets, triplets = label_triplets(first.transform(X), y)
    expected = loop_objective(second.components_, X, targets, triplets, "hinge")
    assert second.objective_ == pytest.approx(expected, rel=1e-6)
    assert second.n_passes_ == 2


def test_auto_passes_help_where_noise_hides_the_neighbors():
    rng = np.random.RandomState(1)
    cluster = rng.randint(6, size=500)
    X = np.c_[2 * rng.randn(6, 3)[cluster] + rng.randn(500, 3), 2 * rng.randn(500, 12)]
    X_train, X_test, y_train, y_test = train_test_split(X, cluster % 3, random_state=0)

    def accuracy(learner):
        knn = KNeighborsClassifier(3).fit(learner.transform(X_train), y_train)
        return knn.score(learner.transform(X_test), y_test)

    one = published(tol=1e-4).fit(X_train, y_train)
    auto = published(tol=1e-4, n_passes="auto", random_state=0).fit(X_train, y_train)
    assert 1 < auto.n_passes_ <= 5
    assert accuracy(auto) > accuracy(one)


def test_auto_passes_without_rows_to_spare_is_one(rng):
    y = np.repeat([0, 1], 4)
    assert published(n_passes="auto").fit(rng.randn(8, 2), y).n_passes_ == 1


def test_digits():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.3, random_state=0, stratify=y
    )
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    model = published().fit(X_train, y_train)
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
    learner = published(loss=loss, n_neighbors=k)
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
        published(max_iter=2).fit(*small)


def test_progress(small, capsys):
    published(verbose=1).fit(*small)
    assert "LMNN" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("learner", "given", "message"),
    [
        (
            published(n_neighbors=16),
            {"y": True},
            "n_neighbors=16 is larger than the smallest class",
        ),
        (published(5), {"y": True}, "n_components=5 is larger than the number of features"),
        (published(2, solver="sdp"), {"y": True}, "learns at full dimension, got n_components=2"),
        (LMNN(mu="auto"), {"constraints": Triplets([[0, 1, 2]])}, 'mu="auto" is chosen by'),
        (LMNN(solver="sdp"), {"y": True}, 'sdp" sums over all impostors, got n_impostors=10'),
        (published(), {"constraints": Pairs([[0, 1]], [True])}, "LMNN takes Triplets, got Pairs"),
        (published(), {"constraints": Triplets([[0, 1, 45]])}, "names row 45"),
        (published(), {"y": True, "constraints": Triplets([[0, 1, 2]])}, "both given"),
        (published(init="lda"), {"constraints": Triplets([[0, 1, 2]])}, "needs class labels"),
        (published(init=np.eye(3)), {"y": True}, "init: an array must be of shape"),
        (
            published(),
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
    model = published(loss=loss).fit(X, y, sample_weight=weights)
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
    first_order = published(loss=loss).fit(X, y, sample_weight=weights)
    sdp = published(loss=loss, solver="sdp").fit(X, y, sample_weight=weights)
    assert first_order.objective_ == pytest.approx(sdp.objective_, rel=2e-4)
    assert abs(sdp.duality_gap_) <= 1e-5
    assert 0 <= first_order.duality_gap_ <= 2e-4


def test_warm_start_goes_on(small):
    X, y = small
    learner = published(warm_start=True).fit(X, y)
    first = learner.objective_, learner.n_iter_
    learner.fit(X, y)
    assert learner.n_iter_ < first[1]
    assert learner.objective_ == pytest.approx(first[0], rel=2e-4)


@pytest.mark.parametrize("value", [0.1, -1e5, 0])
def test_a_constant_feature_changes_nothing(value, small):
    X, y = small
    plain, more = published().fit(X, y), published().fit(np.c_[X, np.full(len(X), value)], y)
    # To the precision of the solver: the unit of the rows differs, so does its path.
    assert more.objective_ == pytest.approx(plain.objective_, rel=1e-4)
    expected = plain.get_mahalanobis_matrix()
    np.testing.assert_allclose(
        more.get_mahalanobis_matrix()[:4, :4], expected, atol=1e-2 * np.abs(expected).max()
    )


def test_rows_all_the_same_are_refused():
    with pytest.raises(ValueError, match="all rows of X are the same"):
        published().fit(np.ones((6, 2)), [0, 0, 0, 1, 1, 1])


def test_too_large_programs_are_refused(rng, small, monkeypatch):
    X = rng.randn(30, 21)
    with pytest.raises(ValueError, match="up to 20 features, X has 21"):
        published(solver="sdp").fit(X, np.repeat([0, 1], 15))
    monkeypatch.setattr("metriclearn.mahalanobis._lmnn._sdp._MAX_TRIPLETS", 10)
    with pytest.raises(ValueError, match="up to 10 triplets near the margin"):
        published(solver="sdp").fit(*small)
