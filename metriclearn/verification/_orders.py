"""Triplets and quadruplets to be decided: which of two distances is smaller."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from metriclearn._sklearn import fit_context
from metriclearn.verification._tuples import TupleEstimator, check_weights


class _OrderClassifier(TupleEstimator):
    """Which of two distances is smaller."""

    _near, _far = None, None

    def __init__(self, learner: BaseEstimator, *, points: ArrayLike | None = None) -> None:
        self.learner = learner
        self.points = points

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the learner on the constraints.

        Parameters
        ----------
        X : array-like of shape (n, n_points, n_features), or of int, shape (n, n_points)
            Tuples of points, or row numbers of ``points``, each in the order that says
            who is closer.
        y : None
            Ignored: the order within a tuple is the constraint.
        sample_weight : array-like of shape (n,), default=None
            Not negative; all one by default. Weights of the constraints that the learner
            learns from.

        Returns
        -------
        self
        """
        tuples = self._check_tuples(X, reset=True)
        weights = check_weights(sample_weight, tuples)
        self.learner_ = self._fit_learner(tuples, weights=weights)
        self.classes_ = np.array([-1, 1])
        return self

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """How much larger the distance said to be larger is.

        Parameters
        ----------
        X : array-like of shape (n, n_points, n_features), or of int, shape (n, n_points)

        Returns
        -------
        ndarray of shape (n,)
            Positive where the learned metric agrees with the constraint.
        """
        check_is_fitted(self)
        tuples = self._check_tuples(X)
        near, far = (
            self._distance(self.learner_, tuples, *pair)  # type: ignore[misc]
            for pair in (self._near, self._far)
        )
        return far - near

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict 1 where the learned metric agrees with the constraint, -1 where not.

        Parameters
        ----------
        X : array-like of shape (n, n_points, n_features), or of int, shape (n, n_points)

        Returns
        -------
        ndarray of shape (n,)
        """
        return np.where(self.decision_function(X) > 0, 1, -1)

    def score(self, X: ArrayLike, y: ArrayLike | None = None) -> float:
        """Fraction of constraints that the learned metric agrees with.

        Parameters
        ----------
        X : array-like of shape (n, n_points, n_features), or of int, shape (n, n_points)
        y : array-like of shape (n,), default=None
            1 where the order given is right, -1 where it is the other way round; all
            right by default.

        Returns
        -------
        float
        """
        predicted = self.predict(X)
        return float(accuracy_score(np.ones_like(predicted) if y is None else y, predicted))


class TripletClassifier(_OrderClassifier):
    """Decide who is closer: ``d(anchor, positive) < d(anchor, negative)``.

    Parameters
    ----------
    learner : estimator
        With ``fit(X, constraints=Triplets)`` and ``transform``, or a Pipeline ending in
        one; ``sklearn.frozen.FrozenEstimator(learner)`` for one fitted before.
    points : array-like of shape (n_points, n_features), default=None
        With points, triplets are given as row numbers of it, shape (n, 3).

    Attributes
    ----------
    learner_ : estimator
    classes_ : ndarray of shape (2,)
        -1 and 1.
    n_features_in_ : int

    See Also
    --------
    QuadrupletClassifier : Which of two pairs is the nearer one.
    PairClassifier : Whether a pair is similar.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from metriclearn import Covariance
    >>> from metriclearn.verification import TripletClassifier
    >>> triplets = np.random.RandomState(0).randn(20, 3, 2)
    >>> learner = Covariance().fit(triplets.reshape(-1, 2))
    >>> TripletClassifier(FrozenEstimator(learner)).fit(triplets).predict(triplets[:3])
    array([-1,  1,  1])
    """

    _width, _near, _far = 3, (0, 1), (0, 2)


class QuadrupletClassifier(_OrderClassifier):
    """Decide which pair is closer: ``d(i, j) < d(k, l)``.

    Parameters
    ----------
    learner : estimator
        With ``fit(X, constraints=Quadruplets)`` and ``transform``, or a Pipeline ending
        in one; ``sklearn.frozen.FrozenEstimator(learner)`` for one fitted before.
    points : array-like of shape (n_points, n_features), default=None
        With points, quadruplets are given as row numbers of it, shape (n, 4).

    Attributes
    ----------
    learner_ : estimator
    classes_ : ndarray of shape (2,)
        -1 and 1.
    n_features_in_ : int

    See Also
    --------
    TripletClassifier : The case of a row that both pairs share.
    PairClassifier : Whether a pair is similar.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from metriclearn import Covariance
    >>> from metriclearn.verification import QuadrupletClassifier
    >>> quadruplets = np.random.RandomState(0).randn(20, 4, 2)
    >>> learner = Covariance().fit(quadruplets.reshape(-1, 2))
    >>> QuadrupletClassifier(FrozenEstimator(learner)).fit(quadruplets).predict(quadruplets[:3])
    array([-1, -1,  1])
    """

    _width, _near, _far = 4, (0, 1), (2, 3)
