"""What no metric may depend on: a rotation, a unit, the order of rows."""

import numpy as np
import pytest
from helpers.estimators import ALL, LINEAR
from scipy.spatial.distance import pdist, squareform
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.preprocessing import StandardScaler

from metriclearn import LFDA, POLA, RCA, SCML
from metriclearn.mahalanobis._scatter._span import Span

all_estimators = pytest.mark.parametrize("estimator", ALL, ids=lambda e: type(e).__name__)
linear_estimators = pytest.mark.parametrize("estimator", LINEAR, ids=lambda e: type(e).__name__)

# Of these the metric depends on the basis: on which features are scaled, or entangled.
OF_FEATURES = ("MMC", "SDML", "SCML")
of_any_basis = pytest.mark.parametrize(
    "estimator",
    [e for e in LINEAR if type(e).__name__ not in OF_FEATURES],
    ids=lambda e: type(e).__name__,
)


@pytest.fixture(scope="module")
def wide():
    """Thirty rows of three classes in sixty features, and one of them once more as another class.

    Without it the classes separate, and MCML has its optimum at infinity.
    """
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], 10)
    X = rng.randn(30, 60) * rng.uniform(0.5, 2, 60)
    X[:, :3] += 4 * np.eye(3)[y]
    return np.vstack([X, X[:1]]), np.append(y, 1)


def relative_difference(Z, other):
    d, e = (np.linalg.norm(A[:, None] - A, axis=2) for A in (Z, other))
    return np.linalg.norm(d - e) / np.linalg.norm(e)


@of_any_basis
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_rotation_of_the_features_turns_the_metric_with_them(estimator, small):
    X, y = small
    Q = np.linalg.qr(np.random.RandomState(1).randn(4, 4))[0]
    plain, turned = clone(estimator).fit(X, y), clone(estimator).fit(X @ Q, y)
    assert relative_difference(turned.transform(X @ Q), plain.transform(X)) < 2e-3


@linear_estimators
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_more_features_than_rows_are_learned_on_the_span_of_the_rows(estimator, wide, monkeypatch):
    """The metric of the rows is that of the fit to all features, its rows far fewer."""
    name = type(estimator).__name__
    X, y = wide
    if name == "ITML":  # no metric tells a row from itself: what it gives for that is flat
        X, y = X[:-1], y[:-1]
    on_span = clone(estimator).fit(X, y)
    if name not in ("SDML", "SCML"):
        assert on_span.components_.shape == (29, 60)
    if name in ("NCA", "MLKR"):  # they begin by the number of directions
        rotated = (X - X.mean(axis=0)) @ np.linalg.svd(X - X.mean(axis=0))[2][:29].T
        raw = clone(estimator).fit(rotated, y)
        assert relative_difference(on_span.transform(X), raw.transform(rotated)) < 2e-3
        return
    monkeypatch.setattr(Span, "_reduce", lambda span, weights: setattr(span, "reduced", False))
    raw = clone(estimator).fit(X, y)
    if name == "MCML":  # flat about its optimum: the value is the same, the metric only nearly
        assert on_span.objective_ == pytest.approx(raw.objective_, rel=1e-9)
    # LMNN ends at one of many optima, and which one depends on the coordinates.
    tol = {"LMNN": 0.5, "MCML": 3e-2}.get(name, 2e-3)
    assert relative_difference(on_span.transform(X), raw.transform(X)) < tol


@pytest.mark.parametrize("estimator", [RCA(shrinkage=0.3), LFDA(shrinkage=0.3)], ids=repr)
def test_shrinkage_towards_features_is_carried_to_the_span(estimator, wide, monkeypatch):
    X, y = wide
    on_span = clone(estimator).fit(X, y)
    monkeypatch.setattr(Span, "_reduce", lambda span, weights: setattr(span, "reduced", False))
    assert relative_difference(on_span.transform(X), clone(estimator).fit(X, y).transform(X)) < 1e-6


@linear_estimators
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_n_components_beyond_the_span_are_zero_rows(estimator, wide):
    if "n_components" not in estimator.get_params() or "diagonal" in str(estimator):
        return
    X, y = wide
    L = clone(estimator).set_params(n_components=40).fit(X, y).components_
    assert L.shape == (40, 60)
    assert not L[29:].any() or type(estimator).__name__ in ("SDML", "SCML")


@linear_estimators
@pytest.mark.parametrize("scale", [1e3, 1e-20, 1e150, 1e155, 1e-150, 1e-155])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_one_scale_for_all_features_changes_no_metric(estimator, scale, small):
    X, y = small
    Z = clone(estimator).fit(X, y).transform(X)
    scaled = clone(estimator).fit(X * scale, y)
    found = scaled.pairwise_distances(X * scale)
    assert np.all(np.isfinite(found))
    assert np.ptp(found) > 0
    if scale == 1e3:
        expected = np.linalg.norm(Z[:, None] - Z, axis=2)
        found, expected = found / found.mean(), expected / expected.mean()
        assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 1e-3


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def plain_iris():
    return load_iris(return_X_y=True)


def plain_wine():
    X, y = load_wine(return_X_y=True)
    return X[:, :8], y


def standardized_wine():
    X, y = load_wine(return_X_y=True)
    return StandardScaler().fit_transform(X), y


# Features of one size and of several; of iris many rows are equally far from each other.
data_sets = pytest.mark.parametrize("load", [plain_iris, plain_wine, standardized_wine])


@linear_estimators
@data_sets
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_one_unit_for_another_changes_no_distance(estimator, load):
    X, y = load()
    expected = clone(estimator).fit(X, y).transform(X)
    for scale in (1000, 0.37):
        found = clone(estimator).fit(X * scale, y).transform(X * scale)
        found *= pdist(expected).mean() / pdist(found).mean()  # some keep the unit of X
        assert relative_difference(found, expected) < 1e-3


@linear_estimators
@data_sets
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_order_of_the_rows_matters_little(estimator, load):
    """What is drawn from labels is enough of them, or drawn from sorted rows."""
    X, y = load()
    order = np.random.RandomState(1).permutation(len(y))
    found = clone(estimator).fit(X[order], y[order]).transform(X)
    expected = clone(estimator).fit(X, y).transform(X)
    assert relative_difference(found, expected) < 0.02


@pytest.mark.parametrize("estimator", [POLA(random_state=0), SCML(random_state=0)], ids=repr)
def test_names_of_classes_and_the_order_of_rows_draw_nothing_else(estimator, small):
    X, y = small
    order = np.random.RandomState(1).permutation(len(y))
    renamed = np.array(["c", "a", "b"])[y]
    found = clone(estimator).fit(X[order], renamed[order]).components_
    np.testing.assert_array_equal(found, clone(estimator).fit(X, y).components_)


@linear_estimators
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_tiny_numbers_in_float32_are_learned(estimator, small):
    X, y = small
    learner = clone(estimator).fit((X * 1e-30).astype(np.float32), y)
    assert np.all(np.isfinite(learner.transform((X * 1e-30).astype(np.float32))))
    assert np.all(np.isfinite(learner.get_mahalanobis_matrix()))


@linear_estimators
def test_an_offset_of_all_rows_costs_float32_no_digits_of_distances(estimator, small):
    X, y = small
    X = (X + 1e4).astype(np.float32)
    learner = clone(estimator).fit(X, y)
    exact = np.linalg.norm((X[:9].astype(float) - X[9:18]) @ learner.components_.T, axis=1)
    np.testing.assert_allclose(learner.paired_distances(X[:9], X[9:18]), exact, rtol=1e-5)
    np.testing.assert_allclose(
        learner.pairwise_distances(X[:9], X[9:18])[range(9), range(9)], exact, rtol=1e-4
    )


@all_estimators
def test_distances_within_a_set_are_symmetric_and_zero_for_equal_rows(estimator, small):
    X, y = small
    learner = clone(estimator).fit(X, y)
    rows = np.concatenate([X, X[::-1]])
    d = learner.pairwise_distances(rows)
    np.testing.assert_array_equal(d, d.T)
    squareform(d, checks=True)
    Z = learner.transform(rows)
    equal = np.all(Z[:, None] == Z, axis=2)
    assert equal.sum() >= len(rows)
    assert not d[equal].any()
