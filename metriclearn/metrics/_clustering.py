"""How well clusters of embeddings follow the classes."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score
from sklearn.metrics.cluster import pair_confusion_matrix

from metriclearn._arrays import unit_of
from metriclearn._types import Seed
from metriclearn.metrics._checks import check_labeled_rows, check_one_label_each


def pairwise_f1(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Compute the F1 of pairs: pairs of one cluster that are of one class [1]_.

    Parameters
    ----------
    labels_true, labels_pred : array-like of shape (n,)
        Class and cluster of each row.

    Returns
    -------
    float
        From 0 to 1; 0 where no two rows share a cluster and a class.

    See Also
    --------
    cluster_scores : Cluster embeddings and compare.
    sklearn.metrics.cluster.pair_confusion_matrix : The counts behind it.

    References
    ----------
    .. [1] Manning, C. D., Raghavan, P. & Schütze, H. "Introduction to information retrieval",
       Cambridge University Press, 2008. :doi:`10.1017/CBO9780511809071`

    Examples
    --------
    >>> from metriclearn.metrics import pairwise_f1
    >>> pairwise_f1([0, 0, 1, 1], [5, 5, 7, 8])
    0.6666666666666666
    """
    labels_true = check_one_label_each(labels_true, "labels_true")
    labels_pred = check_one_label_each(labels_pred, "labels_pred", len(labels_true))
    (_, wrong), (missed, right) = pair_confusion_matrix(labels_true, labels_pred)
    return float(2 * right / (2 * right + wrong + missed)) if right else 0.0


def cluster_scores(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    n_init: int = 10,
    random_state: Seed = None,
) -> dict[str, float]:
    """Cluster embeddings by k-means, one cluster for each class, and compare with the classes [1]_.

    Parameters
    ----------
    embeddings : array-like of shape (n, n_features)
        Rows to cluster.
    labels : array-like of shape (n,)
        Classes.
    n_init : int, default=10
        Starts of k-means; the tightest clustering counts.
    random_state : int, RandomState instance or None, default=None
        Seed of k-means.

    Returns
    -------
    dict of str to float
        ``"nmi"``, normalized mutual information (arithmetic mean); ``"ami"``, adjusted
        for chance, which NMI is not: many small clusters score well by it;
        ``"pairwise_f1"``.

    See Also
    --------
    pairwise_f1 : Of given clusters.
    retrieval_scores : Measures of ranked neighbors, which need no clustering.

    References
    ----------
    .. [1] Vinh, N. X., Epps, J. & Bailey, J. "Information theoretic measures for clusterings
       comparison", JMLR 11, 2010. https://jmlr.org/papers/v11/vinh10a.html

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn.metrics import cluster_scores
    >>> scores = cluster_scores(*load_iris(return_X_y=True), random_state=0)
    >>> {name: round(value, 2) for name, value in scores.items()}
    {'nmi': 0.76, 'ami': 0.76, 'pairwise_f1': 0.82}
    """
    embeddings, labels, counts = check_labeled_rows(embeddings, labels, [np.float64, np.float32])
    embeddings = embeddings / embeddings.dtype.type(unit_of(embeddings))  # clusters know no scale
    clusters = KMeans(len(counts), n_init=n_init, random_state=random_state).fit_predict(embeddings)
    return {
        "nmi": float(normalized_mutual_info_score(labels, clusters)),
        "ami": float(adjusted_mutual_info_score(labels, clusters)),
        "pairwise_f1": pairwise_f1(labels, clusters),
    }
