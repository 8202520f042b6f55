"""Rows of many dimensions, laid out in two."""

from contextlib import nullcontext

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from metriclearn._extras import require

METHODS = ("tsne", "pca", "umap")
# Of which t-SNE has too little to do in a step for it to be shared.
_FEW_ROWS = 2000


def lay_out(embeddings, method="tsne", random_state=None):
    """Lay rows out in two dimensions.

    Parameters
    ----------
    embeddings : array-like of shape (n, n_components)
    method : {"tsne", "pca", "umap"}, default="tsne"
        t-SNE keeps neighbors together and distorts what is far apart; PCA
        keeps the two directions of largest variance as they are; UMAP is like t-SNE
        and faster on many rows, where umap-learn is installed.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    ndarray of shape (n, 2)

    Examples
    --------
    >>> from metriclearn.plots._layout import lay_out
    >>> lay_out([[0.0, 0.0, 0.0], [0.0, 3.0, 0.0]], method="pca").shape
    (2, 2)
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; take one of {METHODS}")
    Z = np.asarray(embeddings, dtype=np.float64)
    Z = Z - Z.mean(axis=0)
    n_rows, width = Z.shape
    if width <= 2:
        return np.column_stack([Z, np.zeros((n_rows, 2 - width))])
    if not np.any(Z):  # all rows alike
        return np.zeros((n_rows, 2))
    if method == "pca" or n_rows <= 5:  # t-SNE has nothing to say of a handful of rows
        flat = PCA(min(2, n_rows), svd_solver="full").fit_transform(Z)
        return np.column_stack([flat, np.zeros((n_rows, 2 - flat.shape[1]))])
    if method == "umap":
        umap = require("umap", "umap")
        neighbors = min(15, n_rows - 1)
        layout = umap.UMAP(n_neighbors=neighbors, random_state=random_state, n_jobs=1)
        return np.asarray(layout.fit_transform(Z), dtype=np.float64)
    tsne = TSNE(
        perplexity=min(30.0, (n_rows - 1) / 3), init="pca", max_iter=500, random_state=random_state
    )
    # Its threads wait for each other, going round in circles, twice in each of its short steps:
    # beside other programs that takes thirty times as long for 300 rows.
    with threadpool_limits(1) if n_rows <= _FEW_ROWS else nullcontext():
        return tsne.fit_transform(Z / Z.std())
