"""The names of scikit-learn that are not public API, imported here and nowhere else.

scikit-learn may rename them in any release. A linter keeps the rest of the package out
of its private modules, so that such a release is answered in this file alone.
"""

from sklearn.base import _fit_context as fit_context
from sklearn.neighbors._base import NeighborsBase
from sklearn.utils._array_api import _convert_to_numpy as convert_to_numpy
from sklearn.utils._array_api import device, get_namespace
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_parameter_constraints,
    validate_params,
)
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = [
    "HasMethods",
    "Interval",
    "NeighborsBase",
    "StrOptions",
    "check_sample_weight",
    "convert_to_numpy",
    "device",
    "fit_context",
    "get_namespace",
    "validate_parameter_constraints",
    "validate_params",
]
