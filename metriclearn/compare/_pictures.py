"""What a fold leaves behind to look at: a flat map, a learned matrix."""

import numpy as np
from sklearn.manifold import TSNE

MAX_MAP_POINTS = 300
MAX_MATRIX_SIDE = 100


def map_rows(y, seed, n_points=MAX_MAP_POINTS):
    """Rows of a test part that every learner's map shows, the same for all."""
    if len(y) <= n_points:
        return np.arange(len(y))
    return np.sort(np.random.RandomState(seed).choice(len(y), n_points, replace=False))


def draw_map(estimator, X, y, seed):
    """Lay held-out embeddings out in two dimensions, neighbours beside neighbours (t-SNE).

    Returns
    -------
    dict
        ``points`` (n, 2) scaled into the unit square, ``labels`` (n,).
    """
    rows = map_rows(y, seed)
    Z = np.asarray(estimator.transform(X[rows]), dtype=np.float64)
    if Z.shape[1] > 2 and len(Z) > 5:
        perplexity = min(30.0, (len(Z) - 1) / 3)
        spread = Z.std()
        Z = TSNE(perplexity=perplexity, init="pca", random_state=seed, max_iter=500).fit_transform(
            Z / spread if spread > 0 else Z
        )
    elif Z.shape[1] == 1:
        Z = np.column_stack([Z[:, 0], np.zeros(len(Z))])
    Z = Z - Z.min(axis=0)
    extent = Z.max()
    points = Z / extent if extent > 0 else Z
    return {"points": points.round(4).tolist(), "labels": np.asarray(y)[rows].tolist()}


def learned_matrix(estimator):
    """Return the Mahalanobis matrix of a linear learner, for a heat map.

    Returns
    -------
    dict or None
        ``values`` (side, side), at most ``MAX_MATRIX_SIDE`` wide (block means
        beyond); ``space``: what its rows stand for; ``weights``: its diagonal
        in terms of the scaled input features. None for learners without one.
    """
    steps = getattr(estimator, "named_steps", {})
    metric = steps.get("metric", estimator)
    if not hasattr(metric, "get_mahalanobis_matrix"):
        return None
    M = np.asarray(metric.get_mahalanobis_matrix(), dtype=np.float64)
    space, weights = "features", np.diag(M)
    if "pca" in steps:
        space = "principal components"
        directions = metric.components_ @ steps["pca"].components_
        weights = np.sum(directions**2, axis=0)
    return {
        "values": _significant(_shrink(M, MAX_MATRIX_SIDE)),
        "n_features": len(M),
        "space": space,
        "weights": _significant(weights),
    }


def _shrink(M, side):
    if len(M) <= side:
        return M
    edges = np.linspace(0, len(M), side + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(M, edges, axis=0), edges, axis=1)
    sizes = np.diff(np.append(edges, len(M)))
    return sums / np.outer(sizes, sizes)


def _significant(values, digits=4):
    """Round to so many significant digits of the largest value: what a picture can show."""
    values = np.asarray(values)
    largest = np.abs(values).max()
    if largest == 0:
        return values.tolist()
    decimals = digits - 1 - int(np.floor(np.log10(largest)))
    return values.round(decimals).tolist()
