"""What the classifiers of pairs, triplets and quadruplets share: how tuples are given."""

from inspect import signature

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array

from metriclearn._sklearn import HasMethods, check_sample_weight
from metriclearn._validation import refuse_times
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
        tuples = np.asarray(tuples)
        refuse_times(tuples)
        if self.points is not None:
            refuse_times(self.points, "points")
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


def check_weights(sample_weight, tuples):
    """Return weights of tuples as an array, or None where none were given.

    Raises
    ------
    ValueError
        If they are not one finite number for each tuple, or not above zero for any.
    """
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
