"""What the classifiers of pairs and tuples share: how these are given, labels, probabilities."""

from inspect import signature

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from metriclearn._sklearn import HasMethods, check_sample_weight
from metriclearn._text import counted
from metriclearn._validation import as_labels, check_classes, check_numeric
from metriclearn.constraints import constraints_from_tuples


class TupleEstimator(MetaEstimatorMixin, BaseEstimator):
    """Tuples of points, given as points or as row numbers of ``points``."""

    _width = None

    _parameter_constraints: dict = {
        "learner": [HasMethods(["fit", "transform"])],
        "points": ["array-like", None],
    }

    def _check_tuples(self, tuples, reset=False):
        """Return a float array of shape (n, width, n_features)."""
        width, name = self._width, type(self).__name__
        tuples = as_tuples(tuples)
        if self.points is not None:
            check_numeric(self.points, "points")
            points = check_array(self.points, dtype=[np.float64, np.float32], input_name="points")
            check_row_numbers(tuples, width)
            check_rows_exist(tuples, len(points))
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

    def _fit_learner(self, tuples, similar=None, weights=None):
        learner = clone(self.learner)
        last, name = learner, "constraints"
        if isinstance(learner, Pipeline):
            step, last = learner.steps[-1]
            name = f"{step}__{name}"
        if not _takes(last, "constraints"):
            raise ValueError(
                f"learner: {type(last).__name__} learns from labels only; take one that learns "
                f"from constraints, or give FrozenEstimator(learner) of one that was fitted"
            )
        rows, constraints = constraints_from_tuples(tuples, similar, weights)
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


def as_tuples(X):
    """Return tuples as a dense array."""
    if sparse.issparse(X):
        raise TypeError(
            "X is sparse, but tuples of points are dense arrays; keep sparse points dense, "
            "X.toarray(), and give pairs as row numbers of them with points=..."
        )
    check_numeric(X)
    return np.asarray(X)


def check_row_numbers(X, width):
    """Raise a ``ValueError`` for what is no row numbers of ``points``, ``width`` a tuple."""
    if X.shape[1:] != (width,) or not np.issubdtype(X.dtype, np.integer):
        raise ValueError(
            f"X must hold row numbers of points, integers of shape (n, {width}), got {X.dtype} "
            f"of shape {X.shape}"
        )


def check_rows_exist(X, n_points):
    """Raise a ``ValueError`` for row numbers that ``points`` does not have."""
    if X.size and not (X.min() >= 0 and X.max() < n_points):
        raise ValueError(
            f"X names row {X.max() if X.min() >= 0 else X.min()}, but points has rows 0 to "
            f"{n_points - 1}"
        )


def check_weights(sample_weight, tuples):
    """Return weights of tuples as an array, or None where none were given."""
    if sample_weight is None:
        return None
    weights = check_sample_weight(sample_weight, tuples, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("sample_weight is zero for every tuple; give some a weight above zero")
    return weights


def _takes(estimator, argument):
    """Whether ``fit`` takes an argument, by its name or by taking any."""
    parameters = signature(estimator.fit).parameters.values()
    return any(p.name == argument or p.kind == p.VAR_KEYWORD for p in parameters)


def check_labels(pairs, y, sample_weight=None):
    """Check labels and weights of pairs; those of weight zero count for nothing.

    Parameters
    ----------
    pairs : ndarray of shape (n, ...)
    y : array-like of shape (n,)
    sample_weight : array-like of shape (n,), default=None

    Returns
    -------
    pairs, y, weights : ndarray
        Of the pairs that count; weights are None where none were given.
    """
    y = column_or_1d(as_labels(y))
    check_classes(y)
    check_consistent_length(pairs, y)
    weights = check_weights(sample_weight, pairs)
    if weights is not None:
        kept = weights > 0
        pairs, y, weights = pairs[kept], y[kept], weights[kept]
    classes = np.unique(y)
    if len(classes) != 2:
        kind = "Only binary classification is supported. The type of the target is multiclass: "
        raise ValueError(
            f"{kind if len(classes) > 2 else ''}y must hold two values, one for pairs that are the "
            f"same and one for others, got {counted(len(classes), 'class', 'classes')}: "
            f"{classes[:5].tolist()}"
        )
    return pairs, y, weights


def probabilities(logit, same_is_second):
    """Return the probabilities of both labels, (n, 2), from log odds of the same."""
    same = 1 / (1 + np.exp(-np.clip(logit, -700, 700)))
    return np.column_stack([1 - same, same] if same_is_second else [same, 1 - same])


def logistic(distances, same, weights=None):
    """Slope and intercept of P(same) by distance, with Platt's targets inside (0, 1)."""
    weights = np.ones(len(same)) if weights is None else weights
    n_same, n_different = weights[same].sum(), weights[~same].sum()
    target = np.where(same, (n_same + 1) / (n_same + 2), 1 / (n_different + 2))
    mean = np.average(distances, weights=weights)
    scale = np.sqrt(np.average((distances - mean) ** 2, weights=weights))
    scale = scale if scale > 0 else 1.0
    model = LogisticRegression(C=1e6).fit(
        np.concatenate([distances, distances])[:, None] / scale,
        np.repeat([1, 0], len(distances)),
        sample_weight=np.concatenate([weights * target, weights * (1 - target)]),
    )
    return float(model.coef_[0, 0]) / scale, float(model.intercept_[0])
