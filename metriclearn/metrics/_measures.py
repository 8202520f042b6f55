"""Retrieval measures one by one, as functions of embeddings and labels."""

from numbers import Integral

from metriclearn.metrics._retrieval import retrieval_scores


def _one(name, embeddings, labels, gallery, gallery_labels, metric, relevance, average):
    return retrieval_scores(
        embeddings,
        labels,
        (name,),
        gallery=gallery,
        gallery_labels=gallery_labels,
        metric=metric,
        relevance=relevance,
        average=average,
    )[name]


def _at(name, k):
    if not isinstance(k, Integral) or k < 1:
        raise ValueError(f"k must be an integer of at least 1, got {k!r}")
    return f"{name}_at_{k}"


def recall_at_k(
    embeddings,
    labels=None,
    k=1,
    *,
    gallery=None,
    gallery_labels=None,
    metric="euclidean",
    relevance=None,
    average=True,
):
    """Recall@k: the fraction of queries with a right answer among their ``k`` nearest.

    This is the field's reading of recall (Jégou et al., 2011); with ``k=1`` it is
    precision at 1, the accuracy of the nearest neighbor.

    Parameters
    ----------
    embeddings, labels, gallery, gallery_labels, metric, relevance, average
        As of :func:`retrieval_scores`.
    k : int, default=1

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``

    Examples
    --------
    >>> from metriclearn.metrics import recall_at_k
    >>> recall_at_k([[0.0], [1.0], [1.5], [4.0]], [0, 0, 1, 1], k=1)
    0.5
    """
    name = _at("recall", k)
    return _one(name, embeddings, labels, gallery, gallery_labels, metric, relevance, average)


def precision_at_k(
    embeddings,
    labels=None,
    k=1,
    *,
    gallery=None,
    gallery_labels=None,
    metric="euclidean",
    relevance=None,
    average=True,
):
    """Precision@k: the mean fraction of right answers among the ``k`` nearest.

    Parameters
    ----------
    embeddings, labels, gallery, gallery_labels, metric, relevance, average
        As of :func:`retrieval_scores`.
    k : int, default=1

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``

    Examples
    --------
    >>> from metriclearn.metrics import precision_at_k
    >>> precision_at_k([[0.0], [1.0], [3.0], [4.1]], [0, 0, 1, 1], k=2)
    0.5
    """
    name = _at("precision", k)
    return _one(name, embeddings, labels, gallery, gallery_labels, metric, relevance, average)


def r_precision(
    embeddings,
    labels=None,
    *,
    gallery=None,
    gallery_labels=None,
    metric="euclidean",
    relevance=None,
    average=True,
):
    """R-precision: precision of the ``R`` nearest, ``R`` the number of right answers there are.

    Parameters
    ----------
    embeddings, labels, gallery, gallery_labels, metric, relevance, average
        As of :func:`retrieval_scores`.

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``

    Examples
    --------
    >>> from metriclearn.metrics import r_precision
    >>> r_precision([[0.0], [1.0], [3.0], [4.1]], [0, 0, 1, 1])
    1.0
    """
    return _one(
        "r_precision", embeddings, labels, gallery, gallery_labels, metric, relevance, average
    )


def map_at_r(
    embeddings,
    labels=None,
    *,
    gallery=None,
    gallery_labels=None,
    metric="euclidean",
    relevance=None,
    average=True,
):
    """Compute MAP@R, R-precision that heeds the order (Musgrave, Belongie & Lim, 2020).

    ::

        MAP@R = mean over queries of 1/R Σ_{i≤R} P(i) rel(i)

    ``P(i)`` the precision of the first ``i`` answers, ``rel(i)`` one where answer ``i`` is
    right, ``R`` the number of right answers there are.

    Parameters
    ----------
    embeddings, labels, gallery, gallery_labels, metric, relevance, average
        As of :func:`retrieval_scores`.

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``

    Examples
    --------
    >>> from metriclearn.metrics import map_at_r
    >>> map_at_r([[0.0], [1.0], [3.0], [4.1]], [0, 0, 1, 1])
    1.0
    """
    return _one("map_at_r", embeddings, labels, gallery, gallery_labels, metric, relevance, average)


def map_at_k(
    embeddings,
    labels=None,
    k=10,
    *,
    gallery=None,
    gallery_labels=None,
    metric="euclidean",
    relevance=None,
    average=True,
):
    """Compute MAP@k: ``1/min(k, R) Σ_{i≤k} P(i) rel(i)``, the mean over queries.

    With ``k`` the whole gallery it is mean average precision.

    Parameters
    ----------
    embeddings, labels, gallery, gallery_labels, metric, relevance, average
        As of :func:`retrieval_scores`.
    k : int, default=10

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``

    Examples
    --------
    >>> from metriclearn.metrics import map_at_k
    >>> map_at_k([[0.0], [1.0], [3.0], [4.1]], [0, 0, 1, 1], k=3)
    1.0
    """
    name = _at("map", k)
    return _one(name, embeddings, labels, gallery, gallery_labels, metric, relevance, average)


def mrr(
    embeddings,
    labels=None,
    *,
    gallery=None,
    gallery_labels=None,
    metric="euclidean",
    relevance=None,
    average=True,
):
    """Mean reciprocal rank: the mean of one over the rank of the first right answer.

    The whole gallery is ranked, as far as a query needs it.

    Parameters
    ----------
    embeddings, labels, gallery, gallery_labels, metric, relevance, average
        As of :func:`retrieval_scores`.

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``

    Examples
    --------
    >>> from metriclearn.metrics import mrr
    >>> mrr([[0.0], [1.0], [1.5], [4.0]], [0, 0, 1, 1])
    0.7083333333333333
    """
    return _one("mrr", embeddings, labels, gallery, gallery_labels, metric, relevance, average)


def ndcg_at_k(
    embeddings,
    labels=None,
    k=10,
    *,
    gallery=None,
    gallery_labels=None,
    metric="euclidean",
    relevance=None,
    average=True,
):
    """Normalized discounted cumulative gain of the ``k`` nearest (Järvelin & Kekäläinen, 2002).

    ::

        DCG@k = Σ_{i≤k} gain(i) / log₂(i + 1),    nDCG@k = DCG@k / best possible DCG@k

    Parameters
    ----------
    embeddings, labels, gallery, gallery_labels, metric, relevance, average
        As of :func:`retrieval_scores`; gains are graded with a ``relevance`` matrix, else
        0 or 1.
    k : int, default=10

    Returns
    -------
    float, or ndarray of shape (n_queries,) with ``average=False``

    Examples
    --------
    >>> from metriclearn.metrics import ndcg_at_k
    >>> ndcg_at_k([[0.0], [1.0], [3.0], [4.1]], [0, 0, 1, 1], k=2)
    1.0
    """
    name = _at("ndcg", k)
    return _one(name, embeddings, labels, gallery, gallery_labels, metric, relevance, average)
