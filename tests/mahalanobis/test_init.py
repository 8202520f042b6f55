"""First guesses of L."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from metriclearn.mahalanobis._init import INIT_OPTIONS, initial_components


@pytest.mark.parametrize("init", INIT_OPTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shape_dtype_and_repeatability(init, dtype, iris):
    X, y = iris
    X = X.astype(dtype)
    L = initial_components(init, X, y, 2, 0)
    assert L.shape == (2, 4)
    assert L.dtype == dtype
    np.testing.assert_array_equal(L, initial_components(init, X, y, 2, 0))


@pytest.mark.parametrize(
    ("n_components", "codes", "same_as"),
    [(None, True, "identity"), (4, True, "identity"), (3, True, "pca"), (2, True, "lda"),
     (2, False, "pca"), (4, False, "identity")],
)  # fmt: skip
def test_auto_is_lda_then_pca_then_identity(n_components, codes, same_as, iris):
    X, y = iris
    y = y if codes else None
    np.testing.assert_array_equal(
        initial_components("auto", X, y, n_components, 0),
        initial_components(same_as, X, y, n_components, 0),
    )


def test_pca_axes_are_scikit_learns(iris):
    X, y = iris
    np.testing.assert_allclose(
        initial_components("pca", X, y, 3, 0), PCA(3).fit(X).components_, atol=1e-12
    )


def test_pca_beyond_the_number_of_rows_has_zero_rows(rng):
    X = rng.randn(5, 9)
    L = initial_components("pca", X, None, 8, 0)
    np.testing.assert_allclose(L[:4] @ L[:4].T, np.eye(4), atol=1e-12)
    assert np.all(L[5:] == 0)


def test_lda_spans_scikit_learns_axes_with_unit_variance_within(iris):
    X, y = iris
    L = initial_components("lda", X, y, 2, 0)
    expected = LinearDiscriminantAnalysis().fit(X, y).scalings_[:, :2]
    cosine = np.abs(np.sum(L.T * expected, axis=0)) / np.linalg.norm(L, axis=1)
    np.testing.assert_allclose(cosine, np.linalg.norm(expected, axis=0), rtol=1e-5)
    Z = X @ L.T
    within = np.mean([Z[y == c].var(axis=0) for c in range(3)], axis=0)
    np.testing.assert_allclose(within, 1, rtol=1e-5)


def test_lda_does_not_depend_on_units_and_bears_constant_features(iris):
    X, y = iris
    X = np.c_[X, np.ones(len(X))]
    L = initial_components("lda", X, y, 2, 0)
    units = np.array([1e8, 1, 1e-8, 1, 1])
    np.testing.assert_allclose(
        X @ L.T - (X @ L.T).mean(axis=0),
        (X - X.mean(axis=0)) * units @ initial_components("lda", X * units, y, 2, 0).T,
        atol=1e-6,
    )


def test_random_keeps_squared_distances_in_expectation(rng):
    X = rng.randn(2, 50)
    lengths = [np.sum((X @ initial_components("random", X, None, 30, seed).T) ** 2)
               for seed in range(200)]  # fmt: skip
    assert np.mean(lengths) == pytest.approx(np.sum(X**2), rel=0.05)


def test_an_array_is_copied(iris):
    X, y = iris
    given = np.eye(2, 4)
    L = initial_components(given, X, y, None, 0)
    L += 1
    np.testing.assert_array_equal(given, np.eye(2, 4))


@pytest.mark.parametrize(
    ("init", "n_components", "message"),
    [
        ("lda", 3, "init=.lda. has at most 2 components for 3 classes, got n_components=3"),
        ("pca", 5, "n_components=5 is larger than the number of features"),
        (np.eye(3), None, "init: an array must be of shape"),
        (np.ones((5, 4)), None, "init: an array must be of shape"),
        (np.ones(4), None, "init: an array must be of shape"),
        (np.eye(3, 4), 2, "init has 3 rows but n_components=2"),
        (np.full((2, 4), np.nan), 2, "init holds NaN"),
    ],
)
def test_what_does_not_fit_is_refused(init, n_components, message, iris):
    with pytest.raises(ValueError, match=message):
        initial_components(init, *iris, n_components, 0)


def test_lda_without_labels_is_refused(iris):
    with pytest.raises(ValueError, match="needs class labels"):
        initial_components("lda", iris[0], None, 2, 0)
