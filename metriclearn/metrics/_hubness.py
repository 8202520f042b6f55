"""Hubs: rows that are among the nearest of very many, and distances that have fewer of them."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from metriclearn._arrays import unit_of
from metriclearn._validation import as_count
from metriclearn.metrics._checks import check_one_space, check_rows, fit_for_products
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
        Rows whose neighbors are looked for. With ``metric="precomputed"`` the distances of the
        rows, of shape (n, n).
    k : int, default=10
        Neighbors of each row, at least 1.
    gallery : array-like of shape (n_gallery, n_features), default=None
        Rows that are found; the embeddings themselves by default, which do not find
        themselves.
    metric : {"euclidean", "cosine", "inner_product", "precomputed"}, default="euclidean"
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
    mutual_proximity : Distances with fewer hubs.

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
    k = as_count(k, "k")
    embeddings = check_rows(embeddings, "embeddings")
    if metric == "precomputed":
        return _count_nearest(embeddings, k, gallery)
    if gallery is None:
        embeddings, _, _ = fit_for_products(metric, embeddings, embeddings)
        _, found = ExactSearch(embeddings, metric).search_all(k)
        return np.bincount(found.ravel(), minlength=len(embeddings))
    gallery = check_rows(gallery, "gallery")
    check_one_space(embeddings, gallery)
    embeddings, gallery, _ = fit_for_products(metric, embeddings, gallery)
    _, found = ExactSearch(gallery, metric).search(embeddings, k)
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
        Rows whose neighbors are looked for. With ``metric="precomputed"`` the distances of the
        rows, of shape (n, n).
    k : int, default=10
        Neighbors of each row, at least 1.
    gallery : array-like of shape (n_gallery, n_features), default=None
        Rows that are found; the embeddings themselves by default, which do not find
        themselves.
    metric : {"euclidean", "cosine", "inner_product", "precomputed"}, default="euclidean"
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
    mutual_proximity : Distances with fewer hubs.

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


def mutual_proximity(distances: ArrayLike, *, form: str = "gaussian") -> np.ndarray:
    """Rescale distances so that rows are near that are near to each other, both ways [1]_.

    ::

        gaussian    1 - P(N(μ_i, σ_i²) > d_ij) · P(N(μ_j, σ_j²) > d_ij)
        empirical   1 - |{l : d_il > d_ij and d_jl > d_ij}| / n

    with μ_i and σ_i the mean and the deviation of the distances of row i to the others. A hub is
    near to many rows, so that a given distance is nothing special to it, and it moves away.

    Parameters
    ----------
    distances : array-like of shape (n, n)
        Symmetric. The diagonal is not used.
    form : {"gaussian", "empirical"}, default="gaussian"
        ``"gaussian"`` takes the distances of a row for normal and independent of those of the
        other row, in time O(n²); ``"empirical"`` counts, in O(n³).

    Returns
    -------
    ndarray of shape (n, n)
        From 0 (near) to 1, symmetric, with a diagonal of zero. Not a metric: the triangle
        inequality need not hold.

    Raises
    ------
    ValueError
        If the matrix is not square, of fewer than three rows, or not symmetric.

    See Also
    --------
    hubness : With ``metric="precomputed"``, how many hubs these distances have.

    References
    ----------
    .. [1] Schnitzer, D., Flexer, A., Schedl, M. & Widmer, G. "Local and global scaling reduce hubs
       in space", JMLR 13, 2012. https://jmlr.org/papers/v13/schnitzer12a.html

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.metrics import pairwise_distances
    >>> from metriclearn.metrics import hubness, mutual_proximity
    >>> D = pairwise_distances(np.random.default_rng(0).standard_normal((500, 100)))
    >>> scaled = mutual_proximity(D)
    >>> round(hubness(D, metric="precomputed"), 1), round(hubness(scaled, metric="precomputed"), 1)
    (6.6, 0.5)
    """
    if form not in ("gaussian", "empirical"):
        raise ValueError(f"form must be 'gaussian' or 'empirical', got {form!r}")
    D = _check_square(check_rows(distances, "distances", dtype=(np.float64,)), "distances")
    n = len(D)
    if n < 3:
        raise ValueError(f"distances must be of at least 3 rows, got {n}")
    D = D / unit_of(D)
    if not np.allclose(D, D.T, rtol=1e-6, atol=1e-6 * np.abs(D).max()):
        raise ValueError(
            "distances must be symmetric; give those of all rows to all, as of "
            "sklearn.metrics.pairwise_distances(Z)"
        )
    D = (D + D.T) / 2
    if form == "gaussian":
        others = D[~np.eye(n, dtype=bool)].reshape(n, n - 1)
        center, spread = others.mean(axis=1), others.std(axis=1)
        # Rows with all others at one distance, where a difference is rounding.
        spread[spread <= 1e-12 * np.abs(center)] = np.inf
        nearer = ndtr((D - center[:, None]) / spread[:, None])
        result = nearer + nearer.T - nearer * nearer.T  # 1 - (1 - p)(1 - q) with all its digits
    else:
        result = np.empty((n, n))
        np.fill_diagonal(D, -np.inf)
        for i, row in enumerate(D):
            farther = (row > row[:, None]) & (row[:, None] < D)
            result[i] = 1 - np.count_nonzero(farther, axis=1) / n
    np.fill_diagonal(result, 0)
    return result


def _check_square(D, name):
    if D.shape[0] != D.shape[1]:
        raise ValueError(
            f"{name} must hold the distance of every row to every row, of shape (n, n), got "
            f"{D.shape}"
        )
    return D


def _count_nearest(distances, k, gallery):
    """Return how often each row is among the ``k`` nearest others; of ties the first are."""
    if gallery is not None:
        raise ValueError('gallery must be None with metric="precomputed"')
    distances = _check_square(distances, "embeddings").copy()
    n = len(distances)
    if k >= n:
        raise ValueError(f"k={k} neighbors were asked for, but there are {n - 1} other rows")
    np.fill_diagonal(distances, np.inf)
    found = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.bincount(found.ravel(), minlength=n)
