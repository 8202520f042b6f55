"""NCA: scikit-learn's objective and gradient, in blocks; and its accuracy."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier, NeighborhoodComponentsAnalysis
from sklearn.preprocessing import StandardScaler

from metriclearn import NCA
from metriclearn.mahalanobis._soft_neighbors import _soft_fit
from metriclearn.mahalanobis._soft_neighbors._gradient import soft_neighbor_gradient
from metriclearn.mahalanobis._soft_neighbors._nca import nca_terms
from metriclearn.mahalanobis._soft_neighbors._targets import SameClass


def nca_objective(L, X, codes, max_memory=512):
    value, gradient = soft_neighbor_gradient(
        X @ L.T, SameClass(codes), nca_terms, max_memory=max_memory
    )
    return value, gradient.T @ X


def peer_objective(L, X, codes):
    peer = NeighborhoodComponentsAnalysis()
    peer.n_iter_ = 1
    value, gradient = peer._loss_grad_lbfgs(L.ravel(), X, codes[:, None] == codes, -1.0)
    return value, gradient.reshape(L.shape)


def problem(n=60, n_classes=4, scale=1.0, seed=0):
    rng = np.random.RandomState(seed)
    codes = np.sort(np.r_[np.arange(n_classes), rng.randint(n_classes, size=n - n_classes)])
    X = rng.randn(n, 5) * scale
    return rng.randn(3, 5), X - X.mean(axis=0), codes


# Four rows in a block where the memory allows no more; all of them otherwise.
@pytest.mark.parametrize("max_memory", [512, 0.007], ids=["one block", "small blocks"])
@pytest.mark.parametrize("scale", [1e-3, 0.3, 1, 10, 1e3])
@pytest.mark.parametrize("n_classes", [2, 4, 30])
def test_objective_and_gradient_are_scikit_learns(n_classes, scale, max_memory):
    L, X, codes = problem(n_classes=n_classes, scale=scale)
    value, gradient = nca_objective(L, X, codes, max_memory)
    expected_value, expected_gradient = peer_objective(L, X, codes)
    assert value == pytest.approx(expected_value, rel=1e-10)
    # Where all rows are far apart scikit-learn's underflows to zero, ours to 1e-250.
    atol = 1e-10 * np.abs(expected_gradient).max() + 1e-200
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-10, atol=atol)


@pytest.mark.parametrize("max_memory", [512, 0.007])
def test_rows_far_out_and_rows_repeated(max_memory):
    L, X, codes = problem()
    X[::7] *= np.linspace(1, 80, len(X[::7]))[:, None]
    X[1:4] = X[0]
    value, gradient = nca_objective(L, X, codes, max_memory)
    expected_value, expected_gradient = peer_objective(L, X, codes)
    assert value == pytest.approx(expected_value, rel=1e-10)
    np.testing.assert_allclose(
        gradient, expected_gradient, atol=1e-10 * np.abs(expected_gradient).max()
    )


def test_gradient_by_finite_differences():
    L, X, codes = problem(n=20)
    _, gradient = nca_objective(L, X, codes)
    numeric = approx_fprime(L.ravel(), lambda f: nca_objective(f.reshape(L.shape), X, codes)[0])
    np.testing.assert_allclose(gradient.ravel(), numeric, atol=1e-5)


def test_single_precision_agrees_with_double():
    L, X, codes = problem(n=200)
    single = nca_objective(L.astype("f4"), X.astype("f4"), codes, 0.1)
    double = nca_objective(L, X, codes)
    assert single[1].dtype == np.float32
    assert single[0] == pytest.approx(double[0], rel=1e-5)
    np.testing.assert_allclose(single[1], double[1], atol=1e-4 * np.abs(double[1]).max())


@pytest.mark.parametrize("init", ["auto", "identity", "pca"])
def test_ends_at_least_as_high_as_scikit_learn(iris, init):
    X, y = iris
    ours = NCA(2, init=init, max_iter=200).fit(X, y)
    peer = NeighborhoodComponentsAnalysis(2, init=init, max_iter=200).fit(X, y)
    value, _ = peer_objective(peer.components_, X, y)
    assert ours.objective_ >= -value * (1 - 1e-3)
    own_value, _ = peer_objective(ours.components_, X, y)
    assert ours.objective_ == pytest.approx(-own_value, rel=1e-5)


def test_order_of_the_rows_does_not_matter(iris):
    X, y = iris
    order = np.random.RandomState(0).permutation(len(X))
    plain = NCA(2).fit(X, y)
    shuffled = NCA(2).fit(X[order], y[order])
    assert shuffled.objective_ == pytest.approx(plain.objective_, rel=1e-3)


def test_digits_three_nearest_neighbors():
    X, y = load_digits(return_X_y=True)
    train, test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    nca = NCA(random_state=0).fit(train, y_train)
    knn = KNeighborsClassifier(3).fit(nca.transform(train), y_train)
    assert knn.score(nca.transform(test), y_test) >= 0.978


@pytest.mark.parametrize("factor", [1e-8, 1e-3, 1e3, 1e8])
def test_learns_whatever_the_unit(small, factor):
    X, y = small
    start, _ = peer_objective(np.eye(4), X, y)
    assert NCA(max_iter=100).fit(X * factor, y).objective_ > 1 - start


def test_warm_start_goes_on(iris):
    X, y = iris
    nca = NCA(2, warm_start=True).fit(X, y)
    first = nca.objective_
    nca.fit(X, y)
    assert nca.objective_ >= first - 1e-3
    assert nca.n_iter_ < NCA(2).fit(X, y).n_iter_


def test_batches_learn_as_well(iris):
    X, y = iris
    nca = NCA(batch_size=50, max_iter=100, learning_rate=0.1, random_state=0).fit(X, y)
    assert nca.n_iter_ == 100
    value, _ = nca_objective(nca.components_, *sorted_by_class(X, y))
    start, _ = nca_objective(np.eye(4), *sorted_by_class(X, y))
    assert -value > -start + 5


def sorted_by_class(X, y):
    order = np.argsort(y, kind="stable")
    return X[order] - X.mean(axis=0), y[order]


def test_one_batch_of_all_rows_has_the_same_objective(iris):
    X, y = iris
    nca = NCA(batch_size=1000, max_iter=1, learning_rate=1e-12, random_state=0).fit(X, y)
    value, _ = nca_objective(np.eye(4), *sorted_by_class(X, y))
    assert nca.objective_ == pytest.approx(-value)


def test_batches_repeat_with_the_seed(iris):
    X, y = iris
    batches = NCA(batch_size=50, max_iter=3, random_state=7)
    first = batches.fit(X, y).components_
    np.testing.assert_array_equal(first, batches.fit(X, y).components_)
    assert np.any(first != batches.set_params(random_state=8).fit(X, y).components_)


def test_warns_where_iterations_run_out(iris):
    with pytest.warns(ConvergenceWarning, match="NCA did not converge in max_iter=2"):
        NCA(max_iter=2).fit(*iris)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 5}, "n_components=5 is larger than the number of features, 4"),
        ({"init": np.full((2, 4), np.nan)}, "init holds NaN"),
        ({"init": np.eye(3)}, r"init: an array must be of shape"),
        ({"init": np.eye(4), "n_components": 2}, "init has 4 rows but n_components=2"),
        ({"max_memory": 0}, "max_memory"),
    ],
)
def test_bad_parameters_are_one_clear_error(iris, parameters, message):
    with pytest.raises(ValueError, match=message):
        NCA(**parameters).fit(*iris)


def test_batches_are_drawn_by_default_where_rows_are_many(iris, monkeypatch):
    X, y = iris
    assert_same = np.testing.assert_array_equal
    assert_same(NCA().fit(X, y).components_, NCA(batch_size=None).fit(X, y).components_)
    monkeypatch.setattr(_soft_fit, "_MANY_ROWS", 100)
    monkeypatch.setattr(_soft_fit, "_AUTO_BATCH", 50)
    monkeypatch.setattr(_soft_fit, "_ROWS_DRAWN", 1000)
    drawn = NCA(random_state=0).fit(X, y)
    assert drawn.n_iter_ == 7  # passes over 150 rows that draw 1,000
    by_hand = NCA(batch_size=50, max_iter=7, random_state=0).fit(X, y)
    assert_same(drawn.components_, by_hand.components_)
    monkeypatch.setattr(_soft_fit, "_ROWS_DRAWN", 10)
    assert NCA(random_state=0).fit(X, y).n_iter_ == 2
    assert NCA(max_iter=1, random_state=0).fit(X, y).n_iter_ == 1
