"""Two dimensions out of many, and colors out of classes; no matplotlib here."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from metriclearn._extras import require

METHODS = ("tsne", "pca", "umap")
# Shapes tell classes apart where colors do not, to color-blind eyes among others.
_MARKERS = "osD^vP*X"


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
    umap = require("umap", "umap") if method == "umap" else None
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
    if umap is not None:
        neighbors = min(15, n_rows - 1)
        layout = umap.UMAP(n_neighbors=neighbors, random_state=random_state, n_jobs=1)
        return np.asarray(layout.fit_transform(Z), dtype=np.float64)
    tsne = TSNE(
        perplexity=min(30.0, (n_rows - 1) / 3), init="pca", max_iter=500, random_state=random_state
    )
    return tsne.fit_transform(Z / Z.std())


def class_color(position, n_classes):
    """Return an RGB color for a class, far from those of its neighbors in order.

    Parameters
    ----------
    position : int
    n_classes : int

    Returns
    -------
    tuple of float
        Red, green and blue from 0 to 1.

    Examples
    --------
    >>> from metriclearn.plots._layout import class_color
    >>> class_color(0, 3)
    (0.231, 0.49, 0.847)
    """
    if n_classes <= len(_PALETTE):
        code = _PALETTE[position]
        return tuple(round(int(code[i : i + 2], 16) / 255, 3) for i in (0, 2, 4))
    hue, lightness = 137.5 * position % 360, 0.42 + 0.12 * (position % 3)
    return tuple(_from_hsl(hue, 0.6, lightness, offset) for offset in (0, 8, 4))


def class_marker(position):
    """Return a shape for the rows of a class: neighbors in order have different ones.

    Examples
    --------
    >>> from metriclearn.plots._layout import class_marker
    >>> class_marker(0), class_marker(1), class_marker(8)
    ('o', 's', 'o')
    """
    return _MARKERS[position % len(_MARKERS)]


# Of middling lightness: readable on white and on black.
_PALETTE = (
    "3b7dd8",
    "e8743b",
    "19a979",
    "d6477f",
    "8d62d0",
    "b39a12",
    "13a4b4",
    "9a6248",
    "808891",
    "c93a3a",
)


def _from_hsl(hue, saturation, lightness, offset):
    k = (offset + hue / 30) % 12
    chroma = saturation * min(lightness, 1 - lightness)
    return round(lightness - chroma * max(-1, min(k - 3, 9 - k, 1)), 3)
