"""Open-set identification: which class of the gallery, if any."""

import numpy as np
from numpy.typing import ArrayLike

from metriclearn._validation import check_share
from metriclearn.metrics._checks import check_one_label_each, check_one_space, check_rows
from metriclearn.metrics._relevance import LabelRelevance
from metriclearn.neighbors._exact import ExactSearch


def identification_rate_at_far(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    gallery: ArrayLike,
    gallery_labels: ArrayLike,
    far: float = 0.01,
    rank: int = 1,
    metric: str = "euclidean",
) -> float:
    """Compute the detection and identification rate at a false alarm rate, DIR@FAR [1]_.

    A query whose class is in the gallery is identified if a row of its class is among the
    ``rank`` nearest and its distance is at most a threshold. A query whose class is not in
    the gallery, or whose label is -1, raises a false alarm if its nearest row is that near.
    The threshold is the largest distance of a nearest row at which at most ``far`` of these
    raise one.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Queries.
    labels : array-like of shape (n_queries,)
        Their classes, some of which are not in the gallery.
    gallery : array-like of shape (n_gallery, n_features)
        Enrolled rows.
    gallery_labels : array-like of shape (n_gallery,)
        Classes of the enrolled rows.
    far : float, default=0.01
        Largest share of unknown queries that may raise a false alarm, from 0 to 1.
    rank : int, default=1
        Nearest rows among which the right one must be.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        Distance of the search.

    Returns
    -------
    float
        Share of the known queries that are identified.

    Raises
    ------
    ValueError
        If all queries are known, or none is.

    See Also
    --------
    recall_at_k : Closed-set identification, where every query is known.
    oscr : Over all thresholds at once.
    tar_at_far : Verification, one pair at a time.

    References
    ----------
    .. [1] Phillips, P. J., Grother, P. & Micheals, R. "Evaluation methods in face
       recognition", Handbook of Face Recognition, 2005. :doi:`10.1007/0-387-27257-7_15`

    Examples
    --------
    >>> from metriclearn.metrics import identification_rate_at_far
    >>> queries, labels = [[0.1], [0.4], [5.2], [7.0]], ["a", "a", "b", "stranger"]
    >>> identification_rate_at_far(
    ...     queries, labels, gallery=[[0.0], [5.0]], gallery_labels=["a", "b"], far=0.0)
    1.0
    """
    check_share(far, "far")
    right, unknown = _search(embeddings, labels, gallery, gallery_labels, metric, rank)
    alarms = np.sort(unknown)
    # This many unknown queries may be at most as far as the threshold; the next one may not.
    allowed = int(np.floor(far * len(alarms) + 1e-9))
    below = alarms[allowed] if allowed < len(alarms) else np.inf
    return float(np.mean(right < below))


def oscr(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    gallery: ArrayLike,
    gallery_labels: ArrayLike,
    metric: str = "euclidean",
) -> float:
    """Compute the area under the open-set classification rate, OSCR [1]_.

    With ``known`` the queries whose class is in the gallery, ``d`` the distance to the nearest
    row of the gallery and τ a threshold on it::

        CCR(τ) = share of the known queries with d <= τ whose nearest row is of their class
        FPR(τ) = share of the unknown queries with d <= τ

    and the area is that under CCR as a function of FPR, linear in between: the chance that a
    known query is answered rightly and is nearer to the gallery than an unknown one, where equal
    distances count half.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Queries.
    labels : array-like of shape (n_queries,)
        Their classes, some of which are not in the gallery, or -1.
    gallery : array-like of shape (n_gallery, n_features)
        Enrolled rows.
    gallery_labels : array-like of shape (n_gallery,)
        Classes of the enrolled rows.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        Distance of the search.

    Returns
    -------
    float
        From 0 to the Recall@1 of the known queries.

    Raises
    ------
    ValueError
        If all queries are known, or none is.

    See Also
    --------
    identification_rate_at_far : At one rate of false alarms.
    metriclearn.neighbors.OpenSetClassifier : Answers with nobody where it is right to.

    References
    ----------
    .. [1] Dhamija, A. R., Günther, M. & Boult, T. E. "Reducing network agnostophobia", NeurIPS,
       2018. :doi:`10.48550/arXiv.1811.04110`

    Examples
    --------
    >>> from metriclearn.metrics import oscr
    >>> queries, labels = [[0.1], [0.4], [5.2], [5.3]], ["a", "a", "b", "stranger"]
    >>> oscr(queries, labels, gallery=[[0.0], [5.0]], gallery_labels=["a", "b"])
    0.6666666666666666
    """
    right, unknown = _search(embeddings, labels, gallery, gallery_labels, metric)
    unknown = np.sort(unknown)
    farther = len(unknown) - np.searchsorted(unknown, right, side="right")
    not_nearer = len(unknown) - np.searchsorted(unknown, right, side="left")
    return float(np.mean(farther + not_nearer) / (2 * len(unknown)))


def _search(embeddings, labels, gallery, gallery_labels, metric, rank=1):
    """Return the distances by which queries are identified.

    Returns
    -------
    right : ndarray of shape (n_known,)
        To the nearest right row among the first ``rank``, infinite where there is none.
    unknown : ndarray of shape (n_unknown,)
        To the nearest row.
    """
    embeddings = check_rows(embeddings, "embeddings")
    gallery = check_rows(gallery, "gallery")
    labels = check_one_label_each(labels, "labels", len(embeddings))
    gallery_labels = check_one_label_each(gallery_labels, "gallery_labels", len(gallery))
    check_one_space(embeddings, gallery)
    if not 1 <= rank <= len(gallery):
        raise ValueError(f"rank must be from 1 to {len(gallery)}, the gallery, got {rank!r}")
    relevance = LabelRelevance(labels, gallery_labels)
    known = relevance.n_relevant > 0
    if known.all() or not known.any():
        raise ValueError(
            "labels must have classes that are in gallery_labels and classes that are not: "
            f"{known.sum()} of {len(known)} queries are known"
        )
    distances, found = ExactSearch(gallery, metric).search(embeddings, int(rank))
    right = relevance.gains(np.arange(len(known)), found)
    return np.where(right, distances, np.inf).min(axis=1)[known], distances[~known, 0]
