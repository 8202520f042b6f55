"""Pictures of a fold: a flat map of its embeddings, the learned matrix."""

from dataclasses import replace

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectorMixin
from sklearn.pipeline import Pipeline

from metriclearn.compare._measuring._measure import nearest_rows
from metriclearn.compare._records import EMBEDDING, Found, Map, Matrix
from metriclearn.plots._layout import lay_out

MAX_MAP_POINTS = 300
#: Directions of largest variance that embeddings are kept in until they are laid out.
MAX_MAP_WIDTH = 50
MAX_MATRIX_SIDE = 100
#: Rows that each row of a map is shown with.
N_FOUND = 5


def map_rows(y, seed):
    """Choose the rows of a test part that every learner's map shows."""
    if len(y) <= MAX_MAP_POINTS:
        return np.arange(len(y))
    return np.sort(np.random.RandomState(seed).choice(len(y), MAX_MAP_POINTS, replace=False))


def keep_map(Z, y, seed, places):
    """Keep what a map of held-out embeddings is made of; `lay_out_maps` makes it.

    Parameters
    ----------
    Z : ndarray of shape (n, d)
        Embeddings of the held-out rows.
    y : ndarray of shape (n,)
    seed : int
    places : ndarray of int, shape (n,)
        Of the rows in the data.

    Returns
    -------
    Map
    """
    rows = map_rows(y, seed)
    kept = np.asarray(Z[rows], dtype=np.float64)
    if kept.shape[1] > MAX_MAP_WIDTH:
        n_components = min(MAX_MAP_WIDTH, len(kept))
        kept = PCA(n_components, svd_solver="full").fit_transform(kept)
    labels, places = np.asarray(y)[rows].tolist(), places[rows].tolist()
    return Map((), tuple(labels), tuple(places), _tuples(_significant(kept, 6)))


def lay_out_maps(records):
    """Lay the maps of records out in two dimensions, neighbors beside neighbors (t-SNE).

    Parameters
    ----------
    records : tuple of FoldRecord

    Returns
    -------
    tuple of FoldRecord
    """
    return tuple(
        replace(record, map=_laid_out(record.map))
        if record.map and record.map.embeddings
        else record
        for record in records
    )


def _laid_out(kept):
    points = lay_out(np.array(kept.embeddings), random_state=0)
    points -= points.min(axis=0)
    points /= points.max() or 1.0
    return replace(kept, points=_tuples(points.round(4)), embeddings=())


def find_rows(measured, split, y, seed):
    """Return what the rows of the map find, the same rows for every learner.

    Parameters
    ----------
    measured : Measured
        With embeddings.
    split : Split
    y : ndarray of shape (n,)
        Of all rows.
    seed : int

    Returns
    -------
    Found
    """
    rows = map_rows(y[split.test], seed)
    alone = measured.gallery is None
    gallery = measured.Z if alone else measured.gallery
    places = split.test if alone else split.searched
    if measured.nearest is not None:
        nearest = measured.nearest[rows, :N_FOUND]
    else:
        nearest = nearest_rows(measured.Z[rows], gallery, N_FOUND, rows if alone else None)
    found = places[nearest]
    return Found(tuple(split.test[rows].tolist()), _tuples(found), _tuples(y[found]))


def learned_matrix(estimator, X, names=None):
    """Return the Mahalanobis matrix of a linear learner, for a heat map.

    Parameters
    ----------
    estimator : fitted transformer or pipeline whose last step is the metric
    X : ndarray of shape (n, n_features)
        Rows that show how far each feature varies.
    names : tuple of str, default=None
        Of the features, where they are not the columns of the table.

    Returns
    -------
    Matrix or None
        In units of each feature's standard deviation, so that its entries are shares of the
        squared distances; at most ``MAX_MATRIX_SIDE`` wide (block means beyond). None for
        learners without a matrix. Behind a step that makes columns of its own, the matrix is of
        those and has no names.
    """
    metric = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if not hasattr(metric, "get_mahalanobis_matrix"):
        return None
    steps = estimator[:-1] if isinstance(estimator, Pipeline) else []
    directions, space, before = metric.components_, "features", X
    weights, chosen = None, None
    for step in steps:
        X = step.transform(X)
        if isinstance(step, SelectorMixin) and chosen is None and space == "features":
            chosen, before = step.get_support(), X
            continue
        if isinstance(step, PCA) and space == "features":
            space = "principal components"
            weights = (directions @ step.components_) * before.std(axis=0)
        elif not isinstance(step, OneToOneFeatureMixin):
            space, weights, names = EMBEDDING, None, None
        before = X
    in_deviations = directions * X.std(axis=0)
    if weights is None:
        weights = in_deviations
    values = _significant(_shrink(in_deviations.T @ in_deviations, MAX_MATRIX_SIDE))
    weights = np.sum(weights**2, axis=0)
    if chosen is not None and space != EMBEDDING:  # columns left out weigh nothing
        spread = np.zeros(len(chosen))
        spread[chosen] = weights
        weights = spread
    weights = _significant(weights)
    return Matrix(_tuples(values), directions.shape[1], space, tuple(weights.tolist()), names)


def _tuples(values):
    return tuple(tuple(row) for row in values.tolist())


def _shrink(M, side):
    if len(M) <= side:
        return M
    edges = np.linspace(0, len(M), side + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(M, edges, axis=0), edges, axis=1)
    sizes = np.diff(np.append(edges, len(M)))
    return sums / np.outer(sizes, sizes)


def _significant(values, digits=4):
    """Round to a number of significant digits of the largest value: what a picture can show."""
    values = np.asarray(values)
    largest = np.abs(values).max()
    if largest == 0:
        return values
    decimals = digits - 1 - int(np.floor(np.log10(largest)))
    return values.round(decimals)
