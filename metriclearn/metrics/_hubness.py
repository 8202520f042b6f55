"""Hubs: rows that are among the nearest of very many, and rows that are of none."""

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike

from metriclearn.metrics._checks import check_rows, fit_for_products
from metriclearn.neighbors._exact import ExactSearch


def k_occurrence(
    embeddings: ArrayLike,
    k: int = 10,
    *,
    gallery: ArrayLike | None = None,
    metric: str = "euclidean",
) -> np.ndarray:
    """Count how often each row is among the ``k`` nearest of others.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Rows whose neighbors are looked for.
    k : int, default=10
        Neighbors of each row, at least 1.
    gallery : array-like of shape (n_gallery, n_features), default=None
        Rows that are found; the embeddings themselves by default, which do not find
        themselves.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        Distance of the search.

    Returns
    -------
    ndarray of int, shape (n_gallery,)
        Its mean is ``k`` times the number of queries over that of gallery rows.

    Raises
    ------
    ValueError
        If ``k`` is larger than the number of rows to find.

    See Also
    --------
    hubness : The skewness of these counts.

    References
    ----------
    .. [1] Radovanović, M., Nanopoulos, A. & Ivanović, M. "Hubs in space: popular nearest
       neighbors in high-dimensional data", JMLR 11, 2010.
       https://jmlr.org/papers/v11/radovanovic10a.html

    Examples
    --------
    >>> from metriclearn.metrics import k_occurrence
    >>> k_occurrence([[0.0], [1.0], [1.1], [3.0]], k=1)
    array([0, 2, 2, 0])
    """
    if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
        raise ValueError(f"k must be an integer of at least 1, got {k!r}")
    embeddings = check_rows(embeddings, "embeddings")
    if gallery is None:
        embeddings, _, _ = fit_for_products(metric, embeddings, embeddings)
        _, found = ExactSearch(embeddings, metric).search_all(int(k))
        return np.bincount(found.ravel(), minlength=len(embeddings))
    gallery = check_rows(gallery, "gallery")
    if gallery.shape[1] != embeddings.shape[1]:
        raise ValueError(
            f"gallery has {gallery.shape[1]} features, embeddings has {embeddings.shape[1]}; both "
            f"must be of one space"
        )
    embeddings, gallery, _ = fit_for_products(metric, embeddings, gallery)
    _, found = ExactSearch(gallery, metric).search(embeddings, int(k))
    return np.bincount(found.ravel(), minlength=len(gallery))


def hubness(
    embeddings: ArrayLike,
    k: int = 10,
    *,
    gallery: ArrayLike | None = None,
    metric: str = "euclidean",
) -> float:
    """Compute the skewness of how often rows are among the ``k`` nearest of others [1]_.

    ::

        hubness = E (N - E N)³ / σ³,   N the k-occurrence of a gallery row, σ² its variance

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Rows whose neighbors are looked for.
    k : int, default=10
        Neighbors of each row, at least 1.
    gallery : array-like of shape (n_gallery, n_features), default=None
        Rows that are found; the embeddings themselves by default, which do not find
        themselves.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        Distance of the search.

    Returns
    -------
    float
        About 0 where rows are found equally often; above 1 there are hubs: few rows
        that are neighbors of very many, and many that are found by none. 0 where all are
        found as often.

    Raises
    ------
    ValueError
        If ``k`` is larger than the number of rows to find.

    See Also
    --------
    k_occurrence : The counts themselves; ``(counts == 0).mean()`` is the share never found.

    References
    ----------
    .. [1] Radovanović, M., Nanopoulos, A. & Ivanović, M. "Hubs in space: popular nearest
       neighbors in high-dimensional data", JMLR 11, 2010.
       https://jmlr.org/papers/v11/radovanovic10a.html

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.metrics import hubness
    >>> rng = np.random.default_rng(0)
    >>> flat, high = rng.standard_normal((500, 2)), rng.standard_normal((500, 100))
    >>> round(hubness(flat), 1), round(hubness(high), 1)
    (-0.5, 3.2)
    """
    counts = k_occurrence(embeddings, k, gallery=gallery, metric=metric).astype(float)
    counts -= counts.mean()
    spread = np.sqrt(np.mean(counts**2))
    return float(np.mean((counts / spread) ** 3)) if spread > 0 else 0.0
