"""Retrieval measures one by one, as functions of embeddings and labels."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from metriclearn._validation import as_count
from metriclearn.metrics._retrieval import retrieval_scores


def _one(name, embeddings, labels, average, search):
    return retrieval_scores(embeddings, labels, (name,), average=average, **search)[name]


def _one_at(name, embeddings, labels, k, average, search):
    return _one(f"{name}_at_{as_count(k, 'k')}", embeddings, labels, average, search)


def recall_at_k(
    embeddings: ArrayLike,
    labels: ArrayLike | None = None,
    k: int = 1,
    *,
    average: bool = True,
    **search: Any,
) -> float | np.ndarray:
    """Compute Recall@k: the fraction of queries with a relevant row among the ``k`` nearest.

    This is the reading of recall in metric learning [1]_, the hit rate or CMC rank-k of
    other fields; with ``k=1`` it is precision at 1, the accuracy of the nearest neighbor.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Queries, in a space where distance is what was learned.
    labels : array-like of shape (n_queries,), default=None
        Classes; not needed with a ``relevance`` matrix.
    k : int, default=1
        Answers that count, at least 1.
    average : bool, default=True
        False gives one value for each query, NaN for those with nothing to find.
    **search
        Keyword arguments of :func:`retrieval_scores`: ``gallery``, ``gallery_labels``,
        ``queries_in_gallery``, ``ignore``, ``metric``, ``relevance``.

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``
        From 0 to 1.

    See Also
    --------
    retrieval_scores : Several measures from one search.
    share_found_at_k : The share of all relevant rows, which information retrieval calls recall.

    References
    ----------
    .. [1] Jégou, H., Douze, M. & Schmid, C. "Product quantization for nearest neighbor
       search", IEEE TPAMI 33(1), 2011. :doi:`10.1109/TPAMI.2010.57`

    Examples
    --------
    >>> from metriclearn.metrics import recall_at_k
    >>> recall_at_k([[0.0], [1.0], [1.5], [4.0]], [0, 0, 1, 1], k=1)
    0.5
    """
    return _one_at("recall", embeddings, labels, k, average, search)


def precision_at_k(
    embeddings: ArrayLike,
    labels: ArrayLike | None = None,
    k: int = 1,
    *,
    average: bool = True,
    **search: Any,
) -> float | np.ndarray:
    """Compute Precision@k: the mean fraction of relevant rows among the ``k`` nearest [1]_.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Queries, in a space where distance is what was learned.
    labels : array-like of shape (n_queries,), default=None
        Classes; not needed with a ``relevance`` matrix.
    k : int, default=1
        Answers that count, at least 1.
    average : bool, default=True
        False gives one value for each query, NaN for those with nothing to find.
    **search
        Keyword arguments of :func:`retrieval_scores`: ``gallery``, ``gallery_labels``,
        ``queries_in_gallery``, ``ignore``, ``metric``, ``relevance``.

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``
        From 0 to 1.

    See Also
    --------
    retrieval_scores : Several measures from one search.
    r_precision : With ``k`` the number of relevant rows of each query.

    References
    ----------
    .. [1] Manning, C. D., Raghavan, P. & Schütze, H. "Introduction to information retrieval",
       Cambridge University Press, 2008. :doi:`10.1017/CBO9780511809071`

    Examples
    --------
    >>> from metriclearn.metrics import precision_at_k
    >>> precision_at_k([[0.0], [1.0], [3.0], [4.1]], [0, 0, 1, 1], k=2)
    0.5
    """
    return _one_at("precision", embeddings, labels, k, average, search)


def share_found_at_k(
    embeddings: ArrayLike,
    labels: ArrayLike | None = None,
    k: int = 10,
    *,
    average: bool = True,
    **search: Any,
) -> float | np.ndarray:
    """Compute the mean share of all relevant rows that is among the ``k`` nearest.

    Information retrieval calls this recall at k. It cannot reach 1 where there are more
    than ``k`` relevant rows.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Queries, in a space where distance is what was learned.
    labels : array-like of shape (n_queries,), default=None
        Classes; not needed with a ``relevance`` matrix.
    k : int, default=10
        Answers that count, at least 1.
    average : bool, default=True
        False gives one value for each query, NaN for those with nothing to find.
    **search
        Keyword arguments of :func:`retrieval_scores`: ``gallery``, ``gallery_labels``,
        ``queries_in_gallery``, ``ignore``, ``metric``, ``relevance``.

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``
        From 0 to 1.

    See Also
    --------
    retrieval_scores : Several measures from one search.
    recall_at_k : Whether any relevant row is among the ``k`` nearest.

    Examples
    --------
    >>> from metriclearn.metrics import share_found_at_k
    >>> share_found_at_k([[0.0], [1.0], [1.5], [4.0], [5.0]], [0, 0, 0, 1, 1], k=1)
    0.7
    """
    return _one_at("share_found", embeddings, labels, k, average, search)


def r_precision(
    embeddings: ArrayLike, labels: ArrayLike | None = None, *, average: bool = True, **search: Any
) -> float | np.ndarray:
    """Compute R-precision: the precision of the ``R`` nearest, ``R`` the number of relevant rows.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Queries, in a space where distance is what was learned.
    labels : array-like of shape (n_queries,), default=None
        Classes; not needed with a ``relevance`` matrix.
    average : bool, default=True
        False gives one value for each query, NaN for those with nothing to find.
    **search
        Keyword arguments of :func:`retrieval_scores`: ``gallery``, ``gallery_labels``,
        ``queries_in_gallery``, ``ignore``, ``metric``, ``relevance``.

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``
        From 0 to 1.

    See Also
    --------
    retrieval_scores : Several measures from one search.
    map_at_r : The order among the ``R`` nearest counts, too.

    References
    ----------
    .. [1] Musgrave, K., Belongie, S. & Lim, S.-N. "A metric learning reality check",
       ECCV 2020. :doi:`10.1007/978-3-030-58595-2_41`

    Examples
    --------
    >>> from metriclearn.metrics import r_precision
    >>> r_precision([[0.0], [1.0], [3.0], [4.1]], [0, 0, 1, 1])
    1.0
    """
    return _one("r_precision", embeddings, labels, average, search)


def map_at_r(
    embeddings: ArrayLike, labels: ArrayLike | None = None, *, average: bool = True, **search: Any
) -> float | np.ndarray:
    """Compute MAP@R, a rank-aware R-precision [1]_.

    ::

        MAP@R = mean over queries of 1/R Σ_{i≤R} P(i) rel(i)

    where ``P(i)`` is the precision of the first ``i`` answers, ``rel(i)`` is one where answer
    ``i`` is relevant, and ``R`` is the number of relevant rows.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Queries, in a space where distance is what was learned.
    labels : array-like of shape (n_queries,), default=None
        Classes; not needed with a ``relevance`` matrix.
    average : bool, default=True
        False gives one value for each query, NaN for those with nothing to find.
    **search
        Keyword arguments of :func:`retrieval_scores`: ``gallery``, ``gallery_labels``,
        ``queries_in_gallery``, ``ignore``, ``metric``, ``relevance``.

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``
        From 0 to 1.

    See Also
    --------
    retrieval_scores : Several measures from one search.
    map_at_k : At a fixed depth.
    r_precision : Without regard to order.

    References
    ----------
    .. [1] Musgrave, K., Belongie, S. & Lim, S.-N. "A metric learning reality check",
       ECCV 2020. :doi:`10.1007/978-3-030-58595-2_41`

    Examples
    --------
    >>> from metriclearn.metrics import map_at_r
    >>> map_at_r([[0.0], [1.0], [3.0], [4.1]], [0, 0, 1, 1])
    1.0
    """
    return _one("map_at_r", embeddings, labels, average, search)


def map_at_k(
    embeddings: ArrayLike,
    labels: ArrayLike | None = None,
    k: int = 10,
    *,
    average: bool = True,
    **search: Any,
) -> float | np.ndarray:
    """Compute MAP@k: ``1/min(k, R) Σ_{i≤k} P(i) rel(i)``, the mean over queries [1]_.

    With ``k`` the whole gallery it is mean average precision.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Queries, in a space where distance is what was learned.
    labels : array-like of shape (n_queries,), default=None
        Classes; not needed with a ``relevance`` matrix.
    k : int, default=10
        Answers that count, at least 1.
    average : bool, default=True
        False gives one value for each query, NaN for those with nothing to find.
    **search
        Keyword arguments of :func:`retrieval_scores`: ``gallery``, ``gallery_labels``,
        ``queries_in_gallery``, ``ignore``, ``metric``, ``relevance``.

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``
        From 0 to 1.

    See Also
    --------
    retrieval_scores : Several measures from one search.
    map_at_r : At the depth of each query's number of relevant rows.

    Notes
    -----
    There are three conventions of what the sum is divided by. This is the one of Kaggle and of
    landmark retrieval, ``min(k, R)``; ``R`` for trec_eval's ``map_cut``, which is smaller where
    ``R > k``; the number of relevant answers found, for torchmetrics, which is larger.

    References
    ----------
    .. [1] Manning, C. D., Raghavan, P. & Schütze, H. "Introduction to information retrieval",
       Cambridge University Press, 2008. :doi:`10.1017/CBO9780511809071`

    Examples
    --------
    >>> from metriclearn.metrics import map_at_k
    >>> map_at_k([[0.0], [1.0], [3.0], [4.1]], [0, 0, 1, 1], k=3)
    1.0
    """
    return _one_at("map", embeddings, labels, k, average, search)


def mrr(
    embeddings: ArrayLike, labels: ArrayLike | None = None, *, average: bool = True, **search: Any
) -> float | np.ndarray:
    """Compute the mean reciprocal rank: the mean of one over the first relevant rank [1]_.

    The whole gallery is ranked, as far as a query needs it.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Queries, in a space where distance is what was learned.
    labels : array-like of shape (n_queries,), default=None
        Classes; not needed with a ``relevance`` matrix.
    average : bool, default=True
        False gives one value for each query, NaN for those with nothing to find.
    **search
        Keyword arguments of :func:`retrieval_scores`: ``gallery``, ``gallery_labels``,
        ``queries_in_gallery``, ``ignore``, ``metric``, ``relevance``.

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``
        From 0 to 1.

    See Also
    --------
    retrieval_scores : Several measures from one search.
    recall_at_k : Whether the first relevant rank is at most ``k``.

    References
    ----------
    .. [1] Manning, C. D., Raghavan, P. & Schütze, H. "Introduction to information retrieval",
       Cambridge University Press, 2008. :doi:`10.1017/CBO9780511809071`

    Examples
    --------
    >>> from metriclearn.metrics import mrr
    >>> mrr([[0.0], [1.0], [1.5], [4.0]], [0, 0, 1, 1])
    0.7083333333333333
    """
    return _one("mrr", embeddings, labels, average, search)


def ndcg_at_k(
    embeddings: ArrayLike,
    labels: ArrayLike | None = None,
    k: int = 10,
    *,
    average: bool = True,
    **search: Any,
) -> float | np.ndarray:
    """Compute the normalized discounted cumulative gain of the ``k`` nearest [1]_.

    ::

        DCG@k = Σ_{i≤k} gain(i) / log₂(i + 1),    nDCG@k = DCG@k / best possible DCG@k

    Gains are graded with a ``relevance`` matrix, else 0 or 1.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Queries, in a space where distance is what was learned.
    labels : array-like of shape (n_queries,), default=None
        Classes; not needed with a ``relevance`` matrix.
    k : int, default=10
        Answers that count, at least 1.
    average : bool, default=True
        False gives one value for each query, NaN for those with nothing to find.
    **search
        Keyword arguments of :func:`retrieval_scores`: ``gallery``, ``gallery_labels``,
        ``queries_in_gallery``, ``ignore``, ``metric``, ``relevance``.

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``
        From 0 to 1.

    See Also
    --------
    retrieval_scores : Several measures from one search.
    sklearn.metrics.ndcg_score : Of given scores; averages over ties.

    References
    ----------
    .. [1] Järvelin, K. & Kekäläinen, J. "Cumulated gain-based evaluation of IR techniques",
       ACM TOIS 20(4), 2002. :doi:`10.1145/582415.582418`

    Examples
    --------
    >>> from metriclearn.metrics import ndcg_at_k
    >>> ndcg_at_k([[0.0], [1.0], [3.0], [4.1]], [0, 0, 1, 1], k=2)
    1.0
    """
    return _one_at("ndcg", embeddings, labels, k, average, search)
