"""Judgements as a scikit-learn problem: pairs, triplets and quadruplets to be decided."""

from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, _fit_context, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from metriclearn.constraints import constraints_from_tuples
from metriclearn.metrics._verification import CRITERIA, best_threshold


class _TupleEstimator(MetaEstimatorMixin, BaseEstimator):
    """Tuples of points, given as points or as row numbers of ``points``."""

    _width = None

    _parameter_constraints: dict = {
        "learner": [HasMethods(["fit", "transform"])],
        "points": ["array-like", None],
    }

    def _check_tuples(self, tuples, reset=False):
        """Return a float array of shape (n, width, n_features)."""
        width, name = self._width, type(self).__name__
        tuples = np.asarray(tuples)
        if self.points is not None:
            points = check_array(self.points, dtype=[np.float64, np.float32], input_name="points")
            if tuples.shape[1:] != (width,) or not np.issubdtype(tuples.dtype, np.integer):
                raise ValueError(
                    f"X must hold row numbers of points, integers of shape (n, {width}), got "
                    f"{tuples.dtype} of shape {tuples.shape}"
                )
            if tuples.size and not (tuples.min() >= 0 and tuples.max() < len(points)):
                raise ValueError(
                    f"X names row {tuples.max() if tuples.min() >= 0 else tuples.min()}, but "
                    f"points has rows 0 to {len(points) - 1}"
                )
            tuples = points[tuples]
        elif tuples.ndim != 3 or tuples.shape[1] != width:
            raise ValueError(
                f"X must be of shape (n, {width}, n_features) for {name} (or row numbers of "
                f"shape (n, {width}) with points=...), got {tuples.shape}"
            )
        tuples = check_array(tuples, dtype=[np.float64, np.float32], allow_nd=True, input_name="X")
        if reset:
            self.n_features_in_ = tuples.shape[2]
        elif tuples.shape[2] != self.n_features_in_:
            raise ValueError(
                f"X has {tuples.shape[2]} features, but {name} was fitted with "
                f"{self.n_features_in_}"
            )
        return tuples

    def _fit_learner(self, tuples, similar=None):
        rows, constraints = constraints_from_tuples(tuples, similar)
        learner = clone(self.learner)
        name = "constraints"
        if isinstance(learner, Pipeline):
            name = f"{learner.steps[-1][0]}__{name}"
        return learner.fit(rows, None, **{name: constraints})

    def _distance(self, learner, tuples, first, second):
        embedded = learner.transform(tuples[:, [first, second]].reshape(-1, tuples.shape[2]))
        embedded = np.asarray(embedded, dtype=np.float64).reshape(len(tuples), 2, -1)
        return np.linalg.norm(embedded[:, 0] - embedded[:, 1], axis=1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.points is not None
        tags.input_tags.three_d_array = self.points is None
        return tags


class PairClassifier(ClassifierMixin, _TupleEstimator):
    """Decide whether two rows are the same: a threshold on a learned distance.

    ::

        same  if  d(a, b) <= τ

    The learner learns from the pairs, then τ is chosen on their distances, and a
    logistic curve of the distance (Platt, 1999) gives probabilities. As a
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
        Largest false accept rate on the calibration pairs, for ``"max_tpr"``.
    cv : int, splitter or None, default=None
        Calibrate on distances from learners fitted without the pair, in folds: a
        flexible learner makes its own training pairs look too easy. None calibrates
        on the training pairs.
    points : array-like of shape (n_points, n_features), default=None
        With points, pairs are given as row numbers of it, shape (n, 2).

    Attributes
    ----------
    learner_ : estimator
        Fitted on all pairs.
    threshold_ : float
        τ.
    classes_ : ndarray of shape (2,)
        The labels given to ``fit``; the larger means the same.
    n_features_in_ : int

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
        **_TupleEstimator._parameter_constraints,
        "threshold": [StrOptions(set(CRITERIA)), Interval(Real, 0, None, closed="left")],
        "max_fpr": [Interval(Real, 0, 1, closed="both")],
        "cv": ["cv_object"],
    }

    def __init__(self, learner, *, threshold="accuracy", max_fpr=0.01, cv=None, points=None):
        self.learner = learner
        self.threshold = threshold
        self.max_fpr = max_fpr
        self.cv = cv
        self.points = points

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y):
        """Fit the learner on the pairs and calibrate the threshold.

        Parameters
        ----------
        X : array-like of shape (n, 2, n_features), or of int, shape (n, 2)
            Pairs of points, or row numbers of ``points``.
        y : array-like of shape (n,)
            Two values, the larger for pairs that are the same: 1 and -1, 1 and 0,
            True and False.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For other shapes, NaN, or pairs of one kind only.
        """
        pairs = self._check_tuples(X, reset=True)
        y = np.asarray(y)
        check_consistent_length(pairs, y)
        self.classes_ = np.unique(y)
        if len(self.classes_) != 2:
            raise ValueError(
                f"y must hold two values, one for pairs that are the same and one for others, got "
                f"{len(self.classes_)}: {self.classes_[:5].tolist()}"
            )
        same = y == self.classes_[1]
        distances = None
        if self.cv is not None:
            distances = np.empty(len(pairs))
            for train, test in check_cv(self.cv, y, classifier=True).split(pairs, y):
                learner = self._fit_learner(pairs[train], same[train])
                distances[test] = self._distance(learner, pairs[test], 0, 1)
        self.learner_ = self._fit_learner(pairs, same)
        if distances is None:
            distances = self._distance(self.learner_, pairs, 0, 1)
        self.threshold_ = (
            best_threshold(same, distances, self.threshold, max_fpr=self.max_fpr)
            if isinstance(self.threshold, str)
            else float(self.threshold)
        )
        self._slope, self._intercept = _logistic(distances, same)
        return self

    def paired_distances(self, X):
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

    def decision_function(self, X):
        """How far below the threshold each pair's distance is; not negative for the same.

        Parameters
        ----------
        X : array-like of shape (n, 2, n_features), or of int, shape (n, 2)

        Returns
        -------
        ndarray of shape (n,)
            ``τ - d``.
        """
        return self.threshold_ - self.paired_distances(X)

    def predict(self, X):
        """Decide each pair: ``classes_[1]`` for the same, ``classes_[0]`` for different.

        Parameters
        ----------
        X : array-like of shape (n, 2, n_features), or of int, shape (n, 2)

        Returns
        -------
        ndarray of shape (n,)
        """
        check_is_fitted(self)
        return self.classes_[(self.decision_function(X) >= 0).astype(int)]

    def predict_proba(self, X):
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
        logit = self._slope * self.paired_distances(X) + self._intercept
        same = 1 / (1 + np.exp(-np.clip(logit, -700, 700)))
        return np.column_stack([1 - same, same])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


def _logistic(distances, same):
    """Slope and intercept of P(same) by distance, with Platt's targets inside (0, 1)."""
    n_same, n_different = same.sum(), (~same).sum()
    target = np.where(same, (n_same + 1) / (n_same + 2), 1 / (n_different + 2))
    scale = distances.std()
    scale = scale if scale > 0 else 1.0
    model = LogisticRegression(C=1e6).fit(
        np.concatenate([distances, distances])[:, None] / scale,
        np.repeat([1, 0], len(distances)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    return float(model.coef_[0, 0]) / scale, float(model.intercept_[0])


class _OrderClassifier(_TupleEstimator):
    """Which of two distances is smaller."""

    _near, _far = None, None

    def __init__(self, learner, *, points=None):
        self.learner = learner
        self.points = points

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Fit the learner on the judgements.

        Parameters
        ----------
        X : array-like of shape (n, n_points, n_features), or of int, shape (n, n_points)
            Tuples of points, or row numbers of ``points``, each in the order that says
            who is closer.
        y : None
            Ignored: the order within a tuple is the judgement.

        Returns
        -------
        self
        """
        self.learner_ = self._fit_learner(self._check_tuples(X, reset=True))
        self.classes_ = np.array([-1, 1])
        return self

    def decision_function(self, X):
        """How much larger the distance said to be larger is.

        Parameters
        ----------
        X : array-like of shape (n, n_points, n_features), or of int, shape (n, n_points)

        Returns
        -------
        ndarray of shape (n,)
            Positive where the learned metric agrees with the judgement.
        """
        check_is_fitted(self)
        tuples = self._check_tuples(X)
        near, far = (
            self._distance(self.learner_, tuples, *pair) for pair in (self._near, self._far)
        )
        return far - near

    def predict(self, X):
        """Predict 1 where the learned metric agrees with the judgement, -1 where not.

        Parameters
        ----------
        X : array-like of shape (n, n_points, n_features), or of int, shape (n, n_points)

        Returns
        -------
        ndarray of shape (n,)
        """
        return np.where(self.decision_function(X) > 0, 1, -1)

    def score(self, X, y=None):
        """Fraction of judgements that the learned metric agrees with.

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
