"""The ``index`` argument: which search answers, exact or approximate."""

from importlib.util import find_spec

from metriclearn.neighbors._exact import ExactSearch
from metriclearn.neighbors._faiss import FaissSearch, factory_string

# Rows up to which "auto" is exact, for every search there is.
LARGEST_EXACT = 1_000_000


def resolve_index(index, n, beyond="ivf"):
    """Turn ``"auto"`` into a choice: exact where that is quick, or all there is.

    Parameters
    ----------
    index : str
    n : int
        Number of rows.
    beyond : str, default="ivf"
        What ``"auto"`` is for more than a million rows.
    """
    if index != "auto":
        return index
    return beyond if n > LARGEST_EXACT and find_spec("faiss") is not None else "flat"


def build_search(X, metric, index="auto", search_params=None):
    """Build the search that ``index`` names.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    metric, index, search_params
        See the estimators.

    Returns
    -------
    ExactSearch or FaissSearch
        Both with ``search``, ``radius`` and ``X``.
    """
    index = resolve_index(index, len(X))
    if index == "flat":
        if search_params is not None:
            raise ValueError(
                f"search_params={search_params!r} was given, but index='flat' is exact and has "
                f"none; use index='hnsw' or 'ivf'"
            )
        return ExactSearch(X, metric)
    return FaissSearch(X, metric, factory_string(index, *X.shape), search_params)
