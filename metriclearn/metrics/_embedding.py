"""The shape of an embedding: spread, alignment, directions, and clusters beside the classes."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score
from sklearn.metrics.cluster import pair_confusion_matrix
from sklearn.utils import check_random_state, gen_batches

from metriclearn._arrays import unit_of
from metriclearn._pairs import pairwise_sq_distances
from metriclearn._types import Seed
from metriclearn.metrics._checks import check_labeled_rows, check_one_label_each, check_rows
from metriclearn.neighbors._search._ranker import row_norms

_BLOCK_ROWS = 1024


def alignment(embeddings: ArrayLike, labels: ArrayLike, *, alpha: float = 2.0) -> float:
    """Compute the mean distance of pairs of one class on the unit sphere [1]_.

    ::

        mean over pairs of one class of ‖u - v‖^α,   u, v of length 1

    Parameters
    ----------
    embeddings : array-like of shape (n, n_features)
        Scaled to length 1.
    labels : array-like of shape (n,)
        Classes.
    alpha : float, default=2.0
        More than 0.

    Returns
    -------
    float
        0 where each class is one point; smaller is better.

    Raises
    ------
    ValueError
        For ``alpha`` not above 0, a row of zeros, or labels without a class of two rows.

    See Also
    --------
    uniformity : How evenly embeddings cover the sphere.

    References
    ----------
    .. [1] Wang, T. & Isola, P. "Understanding contrastive representation learning through
       alignment and uniformity on the hypersphere", ICML 2020. :doi:`10.48550/arXiv.2005.10242`

    Examples
    --------
    >>> from metriclearn.metrics import alignment
    >>> alignment([[1.0, 0.0], [0.0, 1.0], [0.0, -2.0]], [0, 0, 1])
    2.0
    """
    if not alpha > 0:
        raise ValueError(f"alpha must be more than 0, got {alpha!r}")
    Z, codes, counts = check_labeled_rows(embeddings, labels)
    Z = Z / row_norms(Z, "embeddings")[:, None]
    if counts.max() < 2:
        raise ValueError("labels has no class with two rows; alignment is about pairs of a class")
    total = 0.0
    for code in np.flatnonzero(counts > 1):
        rows = Z[codes == code]
        if alpha == 2:
            # Σ_{i<j} |u - v|² = n Σ|u|² - |Σu|², with no pair formed.
            total += len(rows) ** 2 - float(np.sum(rows.sum(axis=0) ** 2))
        else:
            total += sum(block.sum() for block in _powers(rows, alpha)) / 2
    return float(max(total, 0) / np.sum(counts * (counts - 1) / 2))


def uniformity(embeddings: ArrayLike, *, t: float = 2.0) -> float:
    """Measure how evenly embeddings cover the unit sphere [1]_.

    ::

        log mean over pairs of exp(-t ‖u - v‖²),   u, v of length 1

    Parameters
    ----------
    embeddings : array-like of shape (n, n_features)
        At least 2 rows; scaled to length 1.
    t : float, default=2.0
        More than 0.

    Returns
    -------
    float
        0 where all is one point, falling as it spreads; smaller is better.

    Raises
    ------
    ValueError
        For ``t`` not a number above 0, a row of zeros, or fewer than two rows.

    See Also
    --------
    alignment : How near rows of one class are.

    References
    ----------
    .. [1] Wang, T. & Isola, P. "Understanding contrastive representation learning through
       alignment and uniformity on the hypersphere", ICML 2020. :doi:`10.48550/arXiv.2005.10242`

    Examples
    --------
    >>> from metriclearn.metrics import uniformity
    >>> uniformity([[1.0, 0.0], [0.0, 1.0]])
    -4.0
    """
    if not 0 < t < np.inf:
        raise ValueError(f"t must be a number more than 0, got {t!r}")
    Z = check_rows(embeddings, "embeddings", dtype=[np.float64], ensure_min_samples=2)
    Z = Z / row_norms(Z, "embeddings")[:, None]
    parts = []
    for block in gen_batches(len(Z), _BLOCK_ROWS):
        exponents = -t * pairwise_sq_distances(Z[block], Z)
        np.fill_diagonal(exponents[:, block], -np.inf)
        parts.append(logsumexp(exponents))
    return float(logsumexp(parts) - np.log(len(Z) * (len(Z) - 1)))


def effective_rank(embeddings: ArrayLike) -> float:
    """Count the directions that embeddings use [1]_.

    The exponential of the entropy of the singular values of the centered embeddings,
    as shares of their sum.

    Parameters
    ----------
    embeddings : array-like of shape (n, n_features)
        Rows; centered by the function.

    Returns
    -------
    float
        From 1, all on a line, to ``min(n - 1, n_features)``; 0 where all is one point.

    See Also
    --------
    hubness : Another sign of a bad use of dimensions.

    References
    ----------
    .. [1] Roy, O. & Vetterli, M. "The effective rank: a measure of effective dimensionality",
       EUSIPCO 2007. https://ieeexplore.ieee.org/document/7098875

    Examples
    --------
    >>> from metriclearn.metrics import effective_rank
    >>> round(effective_rank([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]), 6)
    2.0
    """
    Z = check_rows(embeddings, "embeddings", dtype=[np.float64])
    values = np.linalg.svd(Z - Z.mean(axis=0), compute_uv=False)
    values = values[values > values[0] * len(Z) * np.finfo(float).eps]
    if not len(values):
        return 0.0
    shares = values / values.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def intra_inter_ratio(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    max_rows: int = 5000,
    random_state: Seed = 0,
) -> float:
    """Compute the mean distance within classes over the mean distance between them.

    Parameters
    ----------
    embeddings : array-like of shape (n, n_features)
        Rows.
    labels : array-like of shape (n,)
        At least two classes, and one with two rows.
    max_rows : int, default=5000
        If there are more rows, this many are drawn at random.
    random_state : int, RandomState instance or None, default=0
        Seed of the drawing.

    Returns
    -------
    float
        Smaller is better; 1 where distances know nothing of classes.

    Raises
    ------
    ValueError
        For ``max_rows`` below 2, or labels without two classes or without a class of two rows.

    See Also
    --------
    alignment : Distances within classes alone.

    Examples
    --------
    >>> from metriclearn.metrics import intra_inter_ratio
    >>> intra_inter_ratio([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1])
    0.1
    """
    if max_rows < 2:
        raise ValueError(f"max_rows must be at least 2, got {max_rows!r}")
    Z, codes, _ = check_labeled_rows(embeddings, labels)
    if len(Z) > max_rows:
        chosen = check_random_state(random_state).choice(len(Z), max_rows, replace=False)
        Z, codes = Z[chosen], codes[chosen]
    Z = Z / unit_of(Z)  # which the ratio does not see
    sums, pairs = np.zeros(2), np.zeros(2)
    for block in gen_batches(len(Z), _BLOCK_ROWS):
        distances = np.sqrt(pairwise_sq_distances(Z[block], Z))
        same = codes[block, None] == codes
        np.fill_diagonal(distances[:, block], 0)
        sums += distances[same].sum(), distances[~same].sum()
        pairs += same.sum() - len(same), (~same).sum()
    if not np.all(pairs > 0):
        raise ValueError(
            "labels must have at least two classes and a class with two rows, among the rows used"
        )
    intra, inter = sums / pairs
    return float(intra / inter) if inter > 0 else float("nan")


def _powers(rows, alpha):
    for block in gen_batches(len(rows), _BLOCK_ROWS):
        squares = pairwise_sq_distances(rows[block], rows)
        np.fill_diagonal(squares[:, block], 0)
        yield squares ** (alpha / 2)


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
    codes = (np.unique(labels, return_inverse=True)[1] for labels in (labels_true, labels_pred))
    (_, wrong), (missed, right) = pair_confusion_matrix(*codes)
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
