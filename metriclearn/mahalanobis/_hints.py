"""Errors that name the remedy, for what learners of other libraries accept."""

import functools
import inspect

from scipy import sparse

from metriclearn._validation import check_numeric

_PARTIAL = (
    "Covariance, RCA, GMML, POLA and MahalanobisLearner(solver='minibatch') have it; NCA and "
    "MLKR learn from batches of many rows by batch_size"
)

#: Methods of metric-learn's learners, and what to use here.
_METHODS = {
    "score_pairs": "paired_distances(pairs[:, 0], pairs[:, 1])",
    "pair_distance": "paired_distances(pairs[:, 0], pairs[:, 1])",
    "pair_score": "-paired_distances(pairs[:, 0], pairs[:, 1])",
    "predict": "metriclearn.PairClassifier, or KNeighborsClassifier after transform",
    "decision_function": "metriclearn.PairClassifier",
    "calibrate_threshold": "metriclearn.PairClassifier(threshold=...)",
    "set_threshold": "metriclearn.PairClassifier(threshold=...)",
}


def missing_method(learner, name):
    """Return the message of the ``AttributeError`` for a method that a learner does not have."""
    message = f"{type(learner).__name__!r} object has no attribute {name!r}"
    if name == "partial_fit":
        if hasattr(type(learner), "partial_fit"):
            return f"{message}: it needs solver='minibatch', got solver={learner.solver!r}"
        return f"{message}: {_PARTIAL}"
    return f"{message}: use {_METHODS[name]}" if name in _METHODS else message


class Hints:
    """Errors that name the remedy, where Python would only name what is missing."""

    def __new__(cls, *args, **parameters):
        if "preprocessor" in parameters:
            raise TypeError(
                f"{cls.__name__} has no preprocessor: constraints are row numbers of X, given as "
                f"{cls.__name__}().fit(X, constraints=Pairs(indices, similar))"
            )
        return super().__new__(cls)

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if "fit" in vars(cls) and "sample_weight" not in inspect.signature(cls.fit).parameters:
            cls.fit = _without_weights(cls.fit)

    def __getattr__(self, name):
        # Asked only for what is not there.
        raise AttributeError(missing_method(self, name), name=name, obj=self)


def _without_weights(fit):
    """Make a ``fit`` that takes no weights say what to do instead of passing them."""

    @functools.wraps(fit)  # whose signature scikit-learn asks for sample_weight
    def fit_or_hint(self, *args, **arguments):
        if "sample_weight" in arguments:
            kinds = [kind.__name__ for kind in self._constraint_kinds]
            remedy = (
                f": it draws constraints, and a row repeated would change the draw. Draw them "
                f"first and give them weights, fit(X, constraints={kinds[0]}(..., weights=...))"
                if kinds
                else "; repeat rows instead"
            )
            raise TypeError(f"sample_weight is not taken by {type(self).__name__}{remedy}")
        return fit(self, *args, **arguments)

    return fit_or_hint


def check_kind_of_rows(X, learner, fits_sparse):
    """Raise for times, for tuples of points, and for sparse rows where these are not taken."""
    check_numeric(X)
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) == 3:
        raise ValueError(
            f"X: found array with dim 3, shape {tuple(shape)}, while dim <= 2 is required by "
            f"{learner}. Tuples of points become rows and constraints by metriclearn.constraints: "
            f"X, constraints = constraints_from_tuples(tuples, similar), then "
            f"fit(X, constraints=constraints); distances of pairs are "
            f"paired_distances(pairs[:, 0], pairs[:, 1])"
        )
    if sparse.issparse(X) and not fits_sparse:
        raise TypeError(
            f"X: sparse data was passed, but {learner} learns from dense rows. In the step before "
            f"set OneHotEncoder(sparse_output=False) or ColumnTransformer(sparse_threshold=0); "
            f"outside a pipeline use X.toarray()"
        )
