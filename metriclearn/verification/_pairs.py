"""Pairs to be decided by a distance: the same, or not."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.model_selection import check_cv
from sklearn.utils.validation import check_is_fitted

from metriclearn._sklearn import NOT_NEGATIVE, SHARE, fit_context, one_of
from metriclearn._unused import warn_unused
from metriclearn.constraints._checks import as_similar
from metriclearn.metrics._verification import CRITERIA, best_threshold
from metriclearn.verification._tuples import TupleEstimator, check_labels, logistic, probabilities

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


class PairClassifier(ClassifierMixin, TupleEstimator):
    """Decide whether two rows are the same: a threshold on a learned distance.

    ::

        same  if  d(a, b) <= τ

    The learner learns from the pairs, then τ is chosen on their distances, and a
    logistic curve of the distance [1]_ gives probabilities. As a
    scikit-learn classifier of pairs it runs in ``cross_val_score`` and
    ``GridSearchCV``.

    Parameters
    ----------
    learner : estimator
        With ``fit(X, constraints=Pairs)`` and ``transform``, or a Pipeline ending in
        one. A learner fitted before, on labels say, is given as
        ``sklearn.frozen.FrozenEstimator(learner)``.
    threshold : {"accuracy", "f1", "max_tpr", "eer"} or float, default="accuracy"
        How τ is chosen, see :func:`~metriclearn.metrics.best_threshold`, or τ itself.
    max_fpr : float, default=0.01
        Largest false accept rate on the calibration pairs. Only used with ``"max_tpr"``.
    cv : int, splitter or None, default=None
        Calibrate on distances from learners fitted without the pair, in folds: a
        flexible learner makes its own training pairs look too easy. None calibrates
        on the training pairs.
    points : array-like of shape (n_points, n_features), default=None
        With points, pairs are given as row numbers of it, shape (n, 2).
    pos_label : int, str or bool, default=None
        The label of pairs that are the same, such as ``"match"``. By default the larger of
        0 and 1, of -1 and 1, or of False and True; with other labels it must be given.

    Attributes
    ----------
    learner_ : estimator
        Fitted on all pairs.
    threshold_ : float
        τ.
    classes_ : ndarray of shape (2,)
        The labels given to ``fit``, sorted.
    pos_label_ : int, str or bool
        Which of them means the same.
    n_features_in_ : int

    See Also
    --------
    PairNetwork : A symmetric network on two embeddings, in place of a threshold.
    TripletClassifier : Which of two rows is nearer to a third.
    metriclearn.metrics.equal_error_rate : How good the distances are at any threshold.

    References
    ----------
    .. [1] Lin, H.-T., Lin, C.-J. & Weng, R. C. "A note on Platt's probabilistic outputs for
       support vector machines", Machine Learning 68, 2007. :doi:`10.1007/s10994-007-5018-6`

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn import MMC
    >>> from metriclearn.verification import PairClassifier
    >>> rng = np.random.RandomState(0)
    >>> pairs, same = rng.randn(100, 2, 3), rng.rand(100) < 0.5
    >>> pairs[same, 1, 0] = pairs[same, 0, 0] + 0.1  # the same if alike in the first feature
    >>> model = PairClassifier(MMC(random_state=0)).fit(pairs, same)
    >>> bool(model.score(pairs, same) > 0.9)
    True
    """

    _width = 2
    _parameter_constraints: dict = {
        **TupleEstimator._parameter_constraints,
        "threshold": [one_of(*CRITERIA), NOT_NEGATIVE],
        "max_fpr": [SHARE],
        "cv": ["cv_object"],
        "pos_label": [Real, str, "boolean", None],
    }

    def __init__(
        self,
        learner: BaseEstimator,
        *,
        threshold: str | float = "accuracy",
        max_fpr: float = 0.01,
        cv: int | Any | None = None,
        points: ArrayLike | None = None,
        pos_label: int | str | bool | None = None,
    ) -> None:
        self.learner = learner
        self.threshold = threshold
        self.max_fpr = max_fpr
        self.cv = cv
        self.points = points
        self.pos_label = pos_label

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the learner on the pairs and calibrate the threshold.

        Parameters
        ----------
        X : array-like of shape (n, 2, n_features), or of int, shape (n, 2)
            Pairs of points, or row numbers of ``points``.
        y : array-like of shape (n,)
            Two values, one for pairs that are the same: 1 and -1, 1 and 0, True and
            False, or others of which ``pos_label`` names it.
        sample_weight : array-like of shape (n,), default=None
            Not negative; all one by default. Weights of the constraints that the learner
            learns from, of the threshold and of the probabilities.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For other shapes, NaN, pairs of one kind only, or labels such as words without
            ``pos_label``.
        """
        pairs = self._check_tuples(X, reset=True)
        pairs, y, weights = check_labels(pairs, y, sample_weight)
        same = as_similar(y, self.pos_label)
        self.classes_, self.pos_label_ = np.unique(y), y[np.argmax(same)]
        bound = {"max_fpr": self.max_fpr}
        if self.threshold != "max_tpr":
            warn_unused(self, {"max_fpr": "with threshold='max_tpr'"})
            bound = {}
        self.learner_ = self._fit_learner(pairs, same, weights)
        distances = self._calibration_distances(pairs, y, same, weights)
        self.threshold_ = (
            best_threshold(same, distances, self.threshold, **bound, sample_weight=weights)
            if isinstance(self.threshold, str)
            else float(self.threshold)
        )
        self._slope, self._intercept = logistic(distances, same, weights)
        return self

    def _calibration_distances(self, pairs, y, same, weights):
        """Distances of the pairs, with ``cv`` by learners that were fitted without them."""
        if self.cv is None:
            return self._distance(self.learner_, pairs, 0, 1)
        distances = np.empty(len(pairs))
        for train, test in check_cv(self.cv, y, classifier=True).split(pairs, y):
            of_train = None if weights is None else weights[train]
            learner = self._fit_learner(pairs[train], same[train], of_train)
            distances[test] = self._distance(learner, pairs[test], 0, 1)
        return distances

    def paired_distances(self, X: ArrayLike) -> np.ndarray:
        """Learned distance of each pair.

        Parameters
        ----------
        X : array-like of shape (n, 2, n_features), or of int, shape (n, 2)

        Returns
        -------
        ndarray of shape (n,)
        """
        check_is_fitted(self)
        return self._distance(self.learner_, self._check_tuples(X), 0, 1)

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """How far each pair's distance is from the threshold; positive towards ``classes_[1]``.

        Parameters
        ----------
        X : array-like of shape (n, 2, n_features), or of int, shape (n, 2)

        Returns
        -------
        ndarray of shape (n,)
            ``τ - d``, or ``d - τ`` where ``classes_[0]`` means the same.
        """
        check_is_fitted(self)
        below = self.threshold_ - self.paired_distances(X)
        return below if self._same_is_second() else -below

    def _same_is_second(self):
        return bool(self.classes_[1] == self.pos_label_)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Decide each pair: ``pos_label_`` for the same, the other label for different.

        Parameters
        ----------
        X : array-like of shape (n, 2, n_features), or of int, shape (n, 2)

        Returns
        -------
        ndarray of shape (n,)
        """
        check_is_fitted(self)
        same = self.paired_distances(X) <= self.threshold_
        return self.classes_[(same == self._same_is_second()).astype(int)]

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probability of being different and of being the same.

        A logistic curve of the distance, fitted on the calibration pairs. At τ it is
        near one half only for a threshold of most right decisions.

        Parameters
        ----------
        X : array-like of shape (n, 2, n_features), or of int, shape (n, 2)

        Returns
        -------
        ndarray of shape (n, 2)
            In the order of ``classes_``.
        """
        check_is_fitted(self)
        logit = self._slope * self.paired_distances(X) + self._intercept
        return probabilities(logit, self._same_is_second())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
