"""Open-set classification: the class of a row, or none."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from metriclearn._sklearn import HasMethods, between, fit_context
from metriclearn._types import Seed
from metriclearn._unused import warn_unused
from metriclearn._validation import as_labels, check_classes, is_labeled, validate_rows
from metriclearn.neighbors._exact import ExactSearch


class OpenSetClassifier(ClassifierMixin, BaseEstimator):
    """Tell which class a row belongs to, or that it belongs to none of them.

    A row is taken for the class of its nearest neighbor where it is nearer than strangers
    come: where the conformal p-value [1]_ ::

        p = (1 + u + Σ_c s_c) / (1 + C)

    is at most ``false_identification_rate``. Here s_c is the share of the rows of class c that
    come at least as near to other classes, and C the number of classes: each plays the stranger
    to the others once. u is 1 where rows are counted alone (every class has but one, or
    ``calibrated_by_`` is "rows"), else 0: the row nearest to a stranger may be nearer to it than to
    any known one, which its own s does not show. A stranger whose
    class is drawn as the known ones were is so taken for somebody with at most this probability,
    whatever the distribution of distances; where the several rows of a class are so tight that
    they are as good as one, with up to 1 / (1 + C) more.

    Parameters
    ----------
    learner : transformer, default=None
        Maps rows to the space that is searched. It is fitted on some of the classes, and the
        others play the strangers, as distances between classes that a metric was learned from
        are larger than those to new ones. None searches the rows as they are, and every class
        plays the stranger.
    false_identification_rate : float, default=0.05
        Bound on the share of strangers that are taken for somebody.
    calibration_size : float, default=0.3
        Only used with a ``learner``: share of the classes that it is not fitted on, at least 2.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
    unknown_label : int or str, default=None
        Predicted for strangers; None is -1, or "unknown" where labels are strings. Answers are
        of a type that holds it: with boolean labels they are 1, 0 and -1.
    random_state : int, RandomState instance or None, default=None
        Of the choice of calibration classes.

    Attributes
    ----------
    classes_ : ndarray
        The known classes; ``unknown_label`` is none of them.
    learner_ : transformer or None
    unknown_label_ : object
    calibrated_by_ : {"classes", "rows"}
        What was counted: rows where there are fewer classes than the rate needs, which is only
        right if rows of one class are as independent as those of several.
    offset_ : float
        Rows whose ``score_samples`` is below it are strangers, as of scikit-learn's outlier
        detectors.
    n_features_in_ : int

    See Also
    --------
    FaissKNeighborsClassifier : Always answers with a known class.
    RetrievalIndex : Searches with ``max_distance``.
    metriclearn.metrics.identification_rate_at_far : How good such a search can be.

    Notes
    -----
    ``decision_function`` and ``score_samples`` are those of scikit-learn's outlier detectors: one
    number for each row, which says whether it is somebody, not who. So they suit ROC curves of
    known against unknown, and not a scorer that takes them for the score of a class, such as
    ``scoring="roc_auc"`` with two classes.

    The bound holds for one stranger, averaged over draws of the known classes and of the
    stranger's; the rate among many strangers to one gallery varies around it, the more the
    fewer classes there are. Rows whose integer label is -1 are unlabeled and not used.

    References
    ----------
    .. [1] Y. Lee, R. F. Barber and R. Willett, "Distribution-free inference with hierarchical
       data", 2023. :doi:`10.48550/arXiv.2306.06342`

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from metriclearn.neighbors import OpenSetClassifier
    >>> X, y = make_blobs(1000, n_features=6, centers=50, random_state=0)
    >>> known, new = y < 40, y >= 40
    >>> model = OpenSetClassifier(false_identification_rate=0.1).fit(X[known][::2], y[known][::2])
    >>> bool((model.predict(X[known][1::2]) == y[known][1::2]).mean() > 0.9)
    True
    >>> bool((model.predict(X[new]) == -1).mean() > 0.8)
    True
    """

    _parameter_constraints = {
        "learner": [HasMethods(["fit", "transform"]), None],
        "false_identification_rate": [between(0, 1, "neither")],
        "calibration_size": [between(0, 1, "neither")],
        "metric": [str],
        "unknown_label": [Integral, str, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        learner: BaseEstimator | None = None,
        *,
        false_identification_rate: float = 0.05,
        calibration_size: float = 0.3,
        metric: str = "euclidean",
        unknown_label: int | str | None = None,
        random_state: Seed = None,
    ) -> None:
        self.learner = learner
        self.false_identification_rate = false_identification_rate
        self.calibration_size = calibration_size
        self.metric = metric
        self.unknown_label = unknown_label
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Keep the gallery, and find out how near strangers come to it.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,)
            At least two classes.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there are too few classes, or ``unknown_label`` is one of them.

        Warns
        -----
        UserWarning
            If there are too few rows for ``false_identification_rate``.
        """
        X, y = validate_rows(self, X, as_labels(y))
        check_classes(y)
        labeled = is_labeled(y)
        if not labeled.all():
            X, y = X[labeled], y[labeled]
        self.classes_, codes = np.unique(y, return_inverse=True)
        n_classes = len(self.classes_)
        if n_classes < 2:
            raise ValueError(
                f"y has {n_classes} class{'' if n_classes == 1 else 'es'}; at least 2 are needed, "
                f"one of which plays the stranger"
            )
        self.unknown_label_ = self._unknown(y)
        strangers = np.arange(n_classes)
        self.learner_ = None
        if self.learner is None:
            warn_unused(self, {"calibration_size": "with a learner"})
        else:
            strangers = self._held_out(n_classes)
            seen = ~np.isin(codes, strangers)
            self.learner_ = clone(self.learner).fit(X[seen], y[seen])
        Z = self._embed(X)
        self._search, self._codes = ExactSearch(Z, self.metric), codes
        rows = np.isin(codes, strangers)
        nearest = _nearest_of_others(Z, codes, np.flatnonzero(rows), self.metric)
        self._calibrate(nearest, codes[rows])
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict the class of rows, or ``unknown_label_``.

        Parameters
        ----------
        X : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,)
        """
        distances, nearest = self._nearest(X)
        answers = self.classes_[self._codes[nearest]]
        if answers.dtype != object:
            answers = answers.astype(_type_for(self.classes_, self.unknown_label_))
        answers[-distances < self.offset_] = self.unknown_label_
        return answers

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Compute how far each row is on the side of the known: negative for strangers.

        Parameters
        ----------
        X : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,)
            ``score_samples(X) - offset_``; :meth:`predict` gives ``unknown_label_`` where it is
            below 0, and only there.
        """
        return self.score_samples(X) - self.offset_

    def p_values(self, X: ArrayLike) -> np.ndarray:
        """Compute how likely a stranger comes as near as each row: small for known classes.

        Parameters
        ----------
        X : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,)
            From above 0 to 1.
        """
        return self._p_values(self._nearest(X)[0])

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Compute how near each row is to the gallery: the higher, the less it is a stranger.

        Parameters
        ----------
        X : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,)
            Minus the distance to the nearest row.
        """
        return -self._nearest(X)[0]

    def _nearest(self, X):
        check_is_fitted(self)
        X = validate_rows(self, X, reset=False)
        distances, nearest = self._search.search(self._embed(X), 1)
        return distances[:, 0], nearest[:, 0]

    def _embed(self, X):
        if self.learner_ is None:
            return X
        Z = self.learner_.transform(X)
        kind, Z = type(Z).__name__, Z if sparse.issparse(Z) else np.asarray(Z)
        if sparse.issparse(Z) or Z.ndim != 2 or len(Z) != len(X):
            raise ValueError(
                f"learner: {type(self.learner_).__name__}.transform must give a dense row for "
                f"each of the {len(X)} rows of X, got {kind} of shape {Z.shape}"
            )
        return Z

    def _unknown(self, y):
        if y.dtype.kind in "mM":
            raise ValueError(
                "y holds dates or durations, none of which can stand for a stranger; give it as "
                "strings"
            )
        label = self.unknown_label
        if label is None:
            label = -1 if y.dtype.kind in "iufb" else "unknown"
        if (label == self.classes_).any():
            raise ValueError(f"unknown_label={label!r} is a class of y; give another one")
        if isinstance(label, str) != (y.dtype.kind in "UO") and y.dtype.kind != "O":
            raise ValueError(f"unknown_label={label!r} is not of the kind of y, {y.dtype}")
        if y.dtype.kind in "iub" and _type_for(self.classes_, label).kind not in "iu":
            raise ValueError(
                f"unknown_label={label!r}: no integer type holds both it and labels of {y.dtype}; "
                f"give another one"
            )
        return label

    def _held_out(self, n_classes):
        n = max(2, round(self.calibration_size * n_classes))
        if n_classes - n < 2:
            raise ValueError(
                f"y has {n_classes} classes; with a learner at least 4 are needed, 2 to fit it on "
                f"and 2 that play the strangers"
            )
        return check_random_state(self.random_state).permutation(n_classes)[:n]

    def _calibrate(self, nearest, codes):
        """Sort the distances of strangers, each with its weight."""
        rate = self.false_identification_rate
        n_classes = len(np.unique(codes))
        self.calibrated_by_ = "classes" if rate * (n_classes + 1) >= 1 else "rows"
        if self.calibrated_by_ == "classes":
            weights, total = 1 / np.bincount(codes)[codes], n_classes
        else:
            weights, total = np.ones(len(nearest)), len(nearest)
        # A row alone does not know the stranger, which may be the nearest to it.
        self._least = 2 if weights.min() == 1 else 1
        unkept = rate * (total + 1) < self._least
        if unkept:
            least = int(np.ceil(self._least / rate)) - 1
            warnings.warn(
                f"false_identification_rate={rate} needs at least {least} "
                f"rows that play the strangers, there are {total}: every row will be taken for "
                f"one; raise the rate or add rows",
                stacklevel=2,
            )
        order = np.argsort(nearest, kind="stable")
        self._strangers, self._n_units = nearest[order], total
        self._below = np.concatenate([[0.0], np.cumsum(weights[order])])
        accepted = self._p_values(self._strangers) <= rate
        # The nearest stranger that is not accepted bounds what is.
        first = self._strangers[~accepted].min(initial=np.inf)
        self.offset_ = -float(np.nextafter(first, -np.inf))
        if unkept:  # nor is a row nearer than all of them; finite, as of scores
            self.offset_ = float(np.finfo(np.float64).max)

    def _p_values(self, distances):
        counted = np.searchsorted(self._strangers, distances, side="right")
        return np.minimum((self._least + self._below[counted]) / (1 + self._n_units), 1.0)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # some rows of known classes are rejected
        return tags


def _type_for(classes, label):
    """Return a type that holds both the classes and a label."""
    if isinstance(label, str):
        return np.result_type(classes, np.asarray(label))
    if classes.dtype == np.uint64 and classes.max() <= np.iinfo(np.int64).max:
        classes = classes.astype(np.int64)
    return np.result_type(classes.dtype, np.min_scalar_type(int(label)))


def _nearest_of_others(Z, codes, rows, metric):
    """Compute the distance of some rows to the nearest row of another class."""
    search = ExactSearch(Z, metric)
    found = np.full(len(rows), np.nan)
    k = min(8, len(Z))
    left = np.arange(len(rows))
    while len(left):
        distances, neighbors = search.search(Z[rows[left]], k)
        other = codes[neighbors] != codes[rows[left]][:, None]
        done = other.any(axis=1)
        first = other.argmax(axis=1)
        found[left[done]] = distances[np.arange(len(left)), first][done]
        left = left[~done]
        if k == len(Z):
            break
        k = min(4 * k, len(Z))
    return found
