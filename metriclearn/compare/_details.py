"""What a score is made of: how each class fared, and what more classes would do to it."""

import numpy as np

from metriclearn._arrays import unit_of
from metriclearn.compare._measure import nearest_rows
from metriclearn.compare._records import ByClass, Growth
from metriclearn.metrics._growth import count_nearer_classes

#: Confusions of a fold that are kept, at most.
MAX_CONFUSED = 300
#: Test rows that growth is measured by, at most.
MAX_GROWTH_ROWS = 1000


def tell_classes(measured, y_searched, y):
    """Return how test rows of each class fared.

    Parameters
    ----------
    measured : Measured
    y_searched, y : ndarray of int
        Classes of the rows that were searched, and of the test rows.

    Returns
    -------
    ByClass
    """
    predicted = measured.predicted
    if predicted is None:
        own = np.arange(len(y)) if measured.gallery is None else None
        gallery = measured.Z if measured.gallery is None else measured.gallery
        predicted = y_searched[nearest_rows(measured.Z, gallery, 1, own)[:, 0]]
    classes, n_rows = np.unique(y, return_counts=True)
    right = predicted == y
    n_right = np.bincount(np.searchsorted(classes, y), weights=right).astype(int)
    wrong = np.stack([y[~right], predicted[~right]], axis=1).astype(int)
    pairs, counts = np.unique(wrong, axis=0, return_counts=True)
    often = np.argsort(-counts, kind="stable")[:MAX_CONFUSED]
    confused = np.column_stack([pairs[often], counts[often]]).tolist()
    return ByClass(
        tuple(classes.tolist()),
        tuple(n_rows.tolist()),
        tuple(n_right.tolist()),
        tuple(tuple(entry) for entry in confused),
    )


def growth_of(measured, y_searched, y, seed):
    """Measure what more classes would do to Recall@1.

    Parameters
    ----------
    measured : Measured
    y_searched, y : ndarray of int
        Classes of the rows that were searched, and of the test rows.
    seed : int
        Of the draw of test rows, where there are many.

    Returns
    -------
    Growth or None
        None for learners without an embedding, and where no test row has another of its class.
    """
    if measured.Z is None:
        return None
    alone = measured.gallery is None
    gallery, classes = (measured.Z, y) if alone else (measured.gallery, y_searched)
    rows = np.arange(len(y))
    if len(rows) > MAX_GROWTH_ROWS:
        rows = np.sort(np.random.RandomState(seed).choice(rows, MAX_GROWTH_ROWS, replace=False))
    unit = max(unit_of(gallery), unit_of(measured.Z))
    found = count_nearer_classes(
        measured.Z[rows] / unit, y[rows], gallery / unit, classes, rows if alone else None
    )
    if not found.any():
        return None
    nearer = np.flatnonzero(found)
    counts = np.column_stack([nearer, found[nearer]]).tolist()
    return Growth(len(found), tuple(tuple(entry) for entry in counts))
