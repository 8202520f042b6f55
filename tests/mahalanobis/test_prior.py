"""``prior=``: what each word means, and what is refused."""

import numpy as np
import pytest

from metriclearn import GMML, ITML, LSML
from metriclearn.mahalanobis._prior import prior_inverse, prior_of
from metriclearn.mahalanobis._scatter._span import Span


def factor(prior, X, seed=None):
    """The prior's factor over the features."""
    span = Span(X, reduce=False)
    found = prior_of(prior, span, seed)
    return found.scale * span.leave(found.factor)


def matrix(*args):
    L = factor(*args)
    return L.T @ L


def test_words(rng):
    X = rng.randn(30, 3) @ rng.randn(3, 3)
    np.testing.assert_array_equal(matrix("identity", X), np.eye(3))
    np.testing.assert_allclose(matrix("covariance", X), np.linalg.inv(np.cov(X.T, bias=True)))
    np.testing.assert_array_equal(matrix("random", X, 0), matrix("random", X, 0))
    values = np.linalg.eigvalsh(matrix("random", X, 0))
    assert 0.05 <= values[0] <= values[-1] <= 1
    given = np.diag([1.0, 2, 3])
    np.testing.assert_allclose(matrix(given, X), given)


def test_singular_priors_keep_their_range(rng):
    X = rng.randn(30, 3)
    X = np.c_[X, X[:, 0], np.ones(30)]
    assert factor("covariance", X).shape == (3, 5)
    np.testing.assert_allclose(
        matrix("covariance", X * 1e8), matrix("covariance", X) * 1e-16, rtol=1e-6
    )
    np.testing.assert_allclose(matrix(np.ones((5, 5)), X), np.ones((5, 5)))


@pytest.mark.parametrize(
    "prior", ["identity", "random", np.diag([4.0, 0, 1e-3]) + 1, np.ones((3, 3))]
)
def test_inverses_are_those_of_the_range(prior, rng):
    X = rng.randn(30, 3)
    expected = np.linalg.pinv(matrix(prior, X, 0), hermitian=True)
    span = Span(X, reduce=False)
    inverse, scale = prior_inverse(prior, span, 0)
    inverse = inverse * (span.unit / scale) ** 2
    np.testing.assert_allclose(inverse, expected, atol=1e-10 * expected.max())


@pytest.mark.parametrize("learner", [GMML, ITML, LSML], ids=lambda c: c.__name__)
@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (np.eye(3), r"prior must be of shape \(n_features, n_features\) = \(4, 4\), got \(3, 3\)"),
        (np.diag([1.0, 1, 1, -1]), "prior must be symmetric positive semidefinite"),
        (np.triu(np.ones((4, 4))), "prior must be symmetric positive semidefinite"),
        (np.full((4, 4), np.nan), "prior must hold finite numbers"),
        (np.zeros((4, 4)), "prior must not be zero everywhere"),
    ],
    ids=["shape", "negative", "asymmetric", "nan", "zero"],
)
def test_bad_priors_are_one_clear_error(learner, prior, message, small):
    with pytest.raises(ValueError, match=message):
        learner(prior=prior).fit(*small)
