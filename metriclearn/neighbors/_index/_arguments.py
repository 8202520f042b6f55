"""Checks of what a retrieval index is given: settings, rows, and arguments of a search."""

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array

from metriclearn._types import is_whole
from metriclearn._validation import as_count, check_numeric
from metriclearn.neighbors._search._ranker import check_metric_name, is_checked, row_norms

#: Candidates whose distances are computed exactly.
DEFAULT_RERANK = 1000
#: A condition on the payload: values of columns, or a function of all of it.
Condition = dict[str, Any] | Callable[..., Any]
#: Columns of what is kept beside the vectors, by name.
Payload = dict[str, ArrayLike]


def check_settings(learner, index, metric):
    """Raise for arguments that :class:`RetrievalIndex` does not take."""
    check_metric_name(metric)
    if not isinstance(index, str):
        raise TypeError(
            f"index must be a string, 'auto', 'flat', 'hnsw', 'ivf', 'ivfpq' or one for "
            f"faiss's index_factory, got {type(index).__name__}"
        )
    if learner is not None and not hasattr(learner, "transform"):
        raise TypeError(f"learner must have transform, got {type(learner).__name__}")


def check_question(k, rerank, max_distance):
    """Check the arguments of a search.

    Returns
    -------
    rerank : int
        Candidates of the coarse search.
    scorer : callable or None
        Orders what was found.
    """
    scorer = None
    if callable(rerank):
        rerank, scorer = DEFAULT_RERANK, rerank
    as_count(k, "k")
    if not is_whole(rerank) or rerank < 1:
        raise ValueError(
            f"rerank={rerank!r} must be an integer of at least 1, or a function of queries and ids"
        )
    if max_distance is not None and not (
        isinstance(max_distance, Real) and max_distance == max_distance
    ):
        raise ValueError(f"max_distance={max_distance!r} must be a number")
    return rerank, scorer


def embedded(X, learner, metric, d=None):
    """Return the vectors of rows, finite and of the width of an index.

    Parameters
    ----------
    X : array-like of shape (n, n_features)
    learner : estimator with ``transform``, or None
    metric : {"euclidean", "cosine", "inner_product"}
        Vectors of ``"cosine"`` are brought to length one.
    d : int, default=None
        Width of the vectors in the index, None where there are none.

    Returns
    -------
    ndarray of shape (n, d)
    """
    vectors = X if learner is None else learner.transform(X)
    if d is None or not is_checked(vectors, d):
        check_numeric(vectors)
        vectors = check_array(vectors, dtype=[np.float64, np.float32], input_name="X")
    if d is not None and vectors.shape[1] != d:
        raise ValueError(
            f"X has {vectors.shape[1]} dimensions after embedding, but the index holds vectors "
            f"of {d}; it was made with another learner"
        )
    return vectors / row_norms(vectors, "X")[:, None] if metric == "cosine" else vectors
