"""What a saved model may name, and the parts of an estimator that go into files of their own.

Networks are written as safetensors by their own class. Trees of scikit-learn's neighbors are
left out and built again: their compiled code trusts the numbers that it is given.
"""

import io
import pickle
import re
import sys
from functools import cache
from importlib import import_module
from inspect import isclass, isfunction, signature
from typing import Any

from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_selector
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import BallTree, KDTree
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from metriclearn._sklearn import SAVED_HELPERS, NeighborsBase

_TREE = -1
_SPARSE = (sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.csc_matrix)
#: Format of a network's file to the module and name of its class.
NETWORKS = {
    "metriclearn.DeepEmbedder": ("metriclearn.deep._embedder", "DeepEmbedder"),
    "metriclearn.TwoTowerEmbedder": ("metriclearn.deep.pairs._two_towers", "TwoTowerEmbedder"),
    "metriclearn.PairNetwork": ("metriclearn.verification._network", "PairNetwork"),
}


class Part:
    """The place of a part, by the number of its file."""

    def __init__(self, number):
        self.number = number


def take_out(estimator):
    """Copy an estimator: each network in it is a `Part`, and trees of neighbors are None.

    The second that is returned are the networks, by the numbers of their parts.
    """
    networks = []

    class Taking(pickle.Pickler):
        def persistent_id(self, found):
            if isinstance(found, (KDTree, BallTree)):
                return _TREE
            if _is_network(found):
                networks.append(found)
                return len(networks) - 1
            return None

    class Placing(pickle.Unpickler):
        def persistent_load(self, number):
            return None if number == _TREE else Part(number)

    return _through(estimator, Taking, Placing), networks


def put_back(estimator, networks):
    """Copy what `take_out` returned, with networks in their places and trees built again."""

    class Taking(pickle.Pickler):
        def persistent_id(self, found):
            if isinstance(found, Part):
                return found.number
            if isinstance(found, NeighborsBase):
                _build_tree(found)
            if isinstance(found, BaseEstimator):
                _add_later_settings(found)
            _check_attributes(found)
            if isinstance(found, _SPARSE):
                found.check_format(full_check=True)  # compiled code trusts its indices
            return None

    class Placing(pickle.Unpickler):
        def persistent_load(self, number):
            if not isinstance(number, int) or not 0 <= number < len(networks):
                raise ValueError(f"its network number {number!r:.20} is not there")
            return networks[number]

    return _through(estimator, Taking, Placing)


def _through(estimator, taking, placing):
    """Copy by pickle within this process: nothing of it comes from, or goes to, a file."""
    stream = io.BytesIO()
    taking(stream, protocol=pickle.HIGHEST_PROTOCOL).dump(estimator)
    stream.seek(0)
    return placing(stream).load()


def _is_network(found):
    """Whether something is a fitted estimator that writes itself to a file of safetensors."""
    for name, kind in NETWORKS.values():
        module = sys.modules.get(name)
        if module is not None and isinstance(found, getattr(module, kind)):
            try:
                check_is_fitted(found)
            except NotFittedError:  # a setting, such as what a search copies: it has no network
                return False
            return True
    return False


def _build_tree(neighbors):
    """Build the tree that a fitted search of scikit-learn had."""
    kinds = {"kd_tree": KDTree, "ball_tree": BallTree}
    kind = kinds.get(getattr(neighbors, "_fit_method", None))
    if kind is not None and neighbors._tree is None:
        neighbors._tree = kind(
            neighbors._fit_X,
            neighbors.leaf_size,
            metric=neighbors.effective_metric_,
            **neighbors.effective_metric_params_,
        )


def _check_attributes(found):
    """Check that nothing of a file takes the place of a method by which pickle copies objects."""
    own = () if isinstance(found, type) else getattr(found, "__dict__", ())
    if taken := [name for name in _OF_PICKLE if name in own]:
        raise ValueError(f"a {type(found).__name__} in it brings a {taken[0]} of its own")


def _add_later_settings(estimator):
    """Give an estimator that an older version saved the settings that its class has by now."""
    for name, argument in signature(type(estimator)).parameters.items():
        if argument.kind is argument.VAR_KEYWORD or hasattr(estimator, name):
            continue
        if argument.default is argument.empty:
            kind = type(estimator).__name__
            raise ValueError(f"{kind} has no {name}; another version has saved it")
        setattr(estimator, name, argument.default)


# Helpers of estimators: plain holders of arrays and learners.
_HELPERS = frozenset(
    (
        "metriclearn._metric.EmbeddedDistance",
        "metriclearn._metric.LinearDistance",
        "metriclearn.mahalanobis._general._solvers.MinibatchState",
        "metriclearn.neighbors._exact.ExactSearch",
        "metriclearn.persistence._parts.Part",
    )
)
# What pickle asks an object for, not only its class.
_OF_PICKLE = (
    *("__reduce_ex__", "__reduce__", "__getstate__", "__setstate__"),
    *("__getnewargs__", "__getnewargs_ex__"),
)
# Kinds of entries of a file of skops; those left out call what the file names.
_ENTRIES = frozenset(
    f"{kind}Node"
    for kind in (
        *("Bytearray", "Bytes", "Cached", "ConstructorFromReduce", "DType", "DefaultDict", "Dict"),
        *("Function", "Json", "List", "MaskedArray", "NdArray", "Object", "Partial"),
        *("RandomGenerator", "RandomState", "Set", "Slice", "SparseMatrix", "Tuple", "Type"),
    )
)
# Of skrub: what `Cleaner` and `TableVectorizer` are made of.
_SKRUB = frozenset(
    (
        *("_apply_to_cols", "_apply_to_each_col", "_apply_to_frame", "_on_each_column"),
        *("_check_input", "_clean_categories", "_clean_null_strings", "_cleaner"),
        *("_datetime_encoder", "_datetime_utils", "_drop_uninformative", "_drop_if_too_many_nulls"),
        *("_duration_to_float", "_gap_encoder", "_minhash_encoder", "_select_cols"),
        *("_single_column_transformer", "_squashing_scaler", "_string_encoder"),
        *("_table_vectorizer", "_to_categorical"),
        *("_to_datetime", "_to_float", "_to_float32", "_to_str", "_wrap_transformer"),
        *("_dataframe._common", "selectors._base", "selectors._selectors"),
    )
)
_OTHERS = frozenset(
    ("numpy.dtype", "skrub._utils.LRUDict", "numpy.clip", "numpy.nan_to_num", "numpy.round")
)
# Modules of scikit-learn whose public functions, such as scores, are settings of its estimators.
_WITH_FUNCTIONS = ("sklearn.feature_selection", "sklearn.metrics")
# Those whose public classes are settings, though they are no estimators: splits, kernels.
_WITH_CLASSES = ("sklearn.gaussian_process.kernels", "sklearn.model_selection")
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


def unknown_entries(schema):
    """Return the kinds of entries of a file of skops that a saved model may not have.

    Parameters
    ----------
    schema : dict
        Its JSON, parsed.

    Returns
    -------
    list of str

    Examples
    --------
    >>> unknown_entries({"__loader__": "TupleNode", "content": [{"__loader__": "MethodNode"}]})
    ['MethodNode']
    """
    found, left = set(), [schema]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            found.add(str(part.get("__loader__", "JsonNode")))
            left += part.values()
        elif isinstance(part, list):
            left += part
    return sorted(found - _ENTRIES)


def _is_trusted(name):
    if name in _OTHERS or name in _HELPERS or name in SAVED_HELPERS:
        return True
    package, _, rest = name.partition(".")
    if package in ("sklearn", "scipy"):
        return name in _settings()
    if _NAME.fullmatch(name) is None:
        return False
    if package == "skrub":
        found = _find(name) if rest.rpartition(".")[0] in _SKRUB else None
        return (isclass(found) or isfunction(found)) and found.__module__.startswith("skrub.")
    found = _find(name) if package == "metriclearn" else None
    return isclass(found) and issubclass(found, BaseEstimator)


@cache
def _settings() -> frozenset[str]:
    """Return the names of public functions and classes that estimators refer to."""
    found: list[Any] = [Bunch, make_column_selector, sparse.csr_array, sparse.csc_array]
    for modules, is_kind in ((_WITH_FUNCTIONS, isfunction), (_WITH_CLASSES, isclass)):
        for module in map(import_module, modules):
            public = getattr(module, "__all__", None) or dir(module)
            # By getattr scikit-learn raises for what is experimental and not enabled.
            found += [value for name in public if is_kind(value := vars(module).get(name))]
    return frozenset(
        f"{value.__module__}.{value.__qualname__}"
        for value in found
        if value.__module__.startswith(("sklearn.", "scipy.sparse."))
    )


def _find(name):
    """Return what a name stands for, of a package whose modules may be imported."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute, None)
    except ImportError:
        return None
