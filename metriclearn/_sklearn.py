"""The names of scikit-learn that are not public API, imported here and nowhere else.

scikit-learn may rename them in any release. A linter keeps the rest of the package out
of its private modules, so that such a release is answered in this file alone.
"""

from collections.abc import Callable
from functools import wraps
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.neighbors._base import NeighborsBase
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._array_api import _convert_to_numpy as convert_to_numpy
from sklearn.utils._array_api import device, get_namespace
from sklearn.utils._param_validation import (
    HasMethods,
    Options,
    StrOptions,
    validate_parameter_constraints,
    validate_params,
)
from sklearn.utils._param_validation import Interval as _Interval
from sklearn.utils.validation import _check_n_features as check_n_features
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = [
    "SAVED_HELPERS",
    "HasMethods",
    "Interval",
    "NeighborsBase",
    "Options",
    "StrOptions",
    "at_least",
    "between",
    "check_n_features",
    "check_sample_weight",
    "convert_to_numpy",
    "device",
    "fit_context",
    "get_namespace",
    "one_of",
    "safe_indexing",
    "validate_parameter_constraints",
    "validate_params",
]

# What fitted estimators hold beside public classes, by its name in saved models: plain Python that
# computes nothing until it is called. Compiled trees are not among them.
SAVED_HELPERS = frozenset(
    (
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.compose._column_transformer._RemainderColsList",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.impute._iterative._ImputerTriplet",
        "sklearn.metrics._scorer._CurveScorer",
        "sklearn.metrics._scorer._MultimetricScorer",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.metrics._scorer._Scorer",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
    )
)


class Interval(_Interval):
    """An interval of numbers; True and False, which Python counts among them, are not in it."""

    def is_satisfied_by(self, val):
        """Whether a value is a number inside the interval."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)


def between(low, high, closed="both"):
    """Allow real numbers; ``closed`` is "both", "left", "right" or "neither"."""
    return Interval(Real, low, high, closed=closed)


def at_least(low):
    """Allow whole numbers from ``low`` on."""
    return Interval(Integral, low, None, closed="left")


def one_of(*names):
    """Allow one of some names."""
    return StrOptions(set(names))


POSITIVE = between(0, None, "neither")
NOT_NEGATIVE = between(0, None, "left")
SHARE = between(0, 1)
BELOW_ONE = between(0, 1, "left")

_Method = TypeVar("_Method", bound=Callable[..., Any])


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[_Method], _Method]:
    """Check the parameters before ``fit``, and compute with Python's integers inside it.

    A parameter given as ``np.int8(100)`` would overflow as soon as it is multiplied. It is
    put back as it was given.
    """

    def decorate(fit):
        checked = _fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)(fit)

        @wraps(fit)
        def fit_with_python_integers(estimator, *args, **kwargs):
            given = {k: v for k, v in vars(estimator).items() if isinstance(v, np.integer)}
            parameters = given.keys() & estimator.get_params(deep=False) if given else ()
            for name in parameters:
                setattr(estimator, name, int(given[name]))
            try:
                return checked(estimator, *args, **kwargs)
            finally:
                for name in parameters:
                    setattr(estimator, name, given[name])

        return fit_with_python_integers

    return decorate
