"""Which classes and functions a saved model may name.

A file is a list of names and plain values. Each name is looked up here before anything is
made of it: public estimators of this package, and parts of skrub that clean tables, which were
read for what they do with values that a stranger chose. What scikit-learn's own classes may be
is decided by skops.
"""

import re
from importlib import import_module

from sklearn.base import BaseEstimator

from metriclearn._sklearn import REMAINDER_COLUMNS

# Helpers of estimators: plain holders of arrays.
_HELPERS = frozenset(
    (
        "metriclearn.mahalanobis._general._solvers.MinibatchState",
        "metriclearn.neighbors._exact.ExactSearch",
        "metriclearn.persistence._parts.Part",
    )
)
# Of skrub: what `Cleaner` and `TableVectorizer` are made of.
_SKRUB = frozenset(
    (
        *("_apply_to_cols", "_apply_to_each_col", "_apply_to_frame", "_on_each_column"),
        *("_check_input", "_clean_categories", "_clean_null_strings", "_cleaner"),
        *("_datetime_encoder", "_datetime_utils", "_drop_uninformative", "_drop_if_too_many_nulls"),
        *("_duration_to_float", "_gap_encoder", "_minhash_encoder", "_select_cols"),
        *("_single_column_transformer", "_string_encoder", "_table_vectorizer", "_to_categorical"),
        *("_to_datetime", "_to_float", "_to_float32", "_to_str", "_wrap_transformer"),
        *("_dataframe._common", "selectors._base", "selectors._selectors"),
    )
)
_OTHERS = frozenset(("numpy.dtype", REMAINDER_COLUMNS))
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+")


def untrusted(names):
    """Return those of the names that a saved model may not have.

    Parameters
    ----------
    names : iterable of str
        Dotted names of classes and functions.

    Returns
    -------
    list of str

    Examples
    --------
    >>> untrusted(["metriclearn.mahalanobis._rca.RCA", "os.system", "metriclearn._files.Lock"])
    ['metriclearn._files.Lock', 'os.system']
    """
    return sorted(name for name in names if not _is_trusted(name))


def _is_trusted(name):
    if name in _OTHERS or name in _HELPERS:
        return True
    package, _, rest = name.partition(".")
    if package == "skrub":
        return rest.rpartition(".")[0] in _SKRUB
    return package == "metriclearn" and _NAME.fullmatch(name) is not None and _is_estimator(name)


def _is_estimator(name):
    """Whether a name is that of an estimator of ours; only modules of ours are imported."""
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module), attribute, None)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, BaseEstimator)
