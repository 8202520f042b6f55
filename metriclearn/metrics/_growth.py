"""What more classes would cost: Recall@1 as a function of their number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import betaln, gammaln

from metriclearn._arrays import unit_of
from metriclearn._validation import is_labeled
from metriclearn.metrics._checks import (
    check_given_together,
    check_one_label_each,
    check_one_space,
    check_rows,
)

#: Fewer classes than this say nothing about more.
FEWEST_TO_EXTRAPOLATE = 10
_BLOCK_ENTRIES = 2**22


@dataclass(frozen=True, eq=False, repr=False)
class RecallGrowth:
    """Recall@1 as a function of the number of classes; made by :func:`recall_growth`.

    Parameters
    ----------
    counts : ndarray of int, shape (n_classes,)
        ``counts[b]`` queries have rows of ``b`` other classes before the first of their own.

    Attributes
    ----------
    n_classes : int
        Classes in the gallery.

    See Also
    --------
    recall_growth : Measure it.
    metriclearn.plots.RecallGrowthDisplay : Draw it.

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.metrics import RecallGrowth
    >>> growth = RecallGrowth(np.array([6, 2, 0]))
    >>> growth
    <RecallGrowth of 8 queries, 3 classes>
    >>> growth.recall(3), growth.recall(2)
    (0.75, 0.875)
    """

    counts: np.ndarray

    def __repr__(self):
        return f"<RecallGrowth of {int(self.counts.sum())} queries, {self.n_classes} classes>"

    @property
    def n_classes(self) -> int:
        """Classes in the gallery."""
        return len(self.counts)

    def recall(self, n_classes: int) -> float:
        """Return the expected Recall@1 among some number of classes.

        Parameters
        ----------
        n_classes : int
            At most those of the gallery: the mean over all their subsets of this size and all
            queries of a class in it, exactly. More, up to any number: an extrapolation.

        Returns
        -------
        float
            NaN for more classes than tested where these are fewer than ten.

        Raises
        ------
        ValueError
            If ``n_classes`` is not at least 1.
        """
        if not n_classes >= 1:
            raise ValueError(f"n_classes must be at least 1, got {n_classes!r}")
        if n_classes <= self.n_classes:
            return self._exact(int(n_classes))
        if self.n_classes < FEWEST_TO_EXTRAPOLATE:
            return float("nan")
        return self._extrapolated(n_classes)

    def _exact(self, n_classes):
        """Average the hypergeometric probability that none of the nearer classes is drawn."""
        others, drawn = self.n_classes - 1, n_classes - 1
        nearer = np.flatnonzero(self.counts)
        nearer = nearer[nearer <= others - drawn]
        log_all = gammaln(others - drawn + 1) - gammaln(others + 1)
        log_right = gammaln(others - nearer + 1) - gammaln(others - nearer - drawn + 1) + log_all
        return float(np.sum(self.counts[nearer] * np.exp(log_right)) / self.counts.sum())

    def _extrapolated(self, n_classes):
        """Let each query have its own chance that a class is nearer: beta-distributed."""
        others = self.n_classes - 1
        if not self.counts[1:].any():
            return 1.0
        if self.counts[-1] == self.counts.sum():
            return 0.0
        a, b = self._beta()
        # The curve goes on from where the exact one ends.
        fitted = [np.exp(betaln(a, b + n) - betaln(a, b)) for n in (n_classes - 1, others)]
        return float(self._exact(self.n_classes) * min(1.0, fitted[0] / max(fitted[1], 1e-300)))

    def _beta(self):
        nearer = np.flatnonzero(self.counts)
        weights, others = self.counts[nearer], self.n_classes - 1

        def loss(log_parameters):
            a, b = np.exp(np.clip(log_parameters, -12, 12))
            return -np.sum(weights * (betaln(a + nearer, b + others - nearer) - betaln(a, b)))

        return np.exp(np.clip(minimize(loss, [-1.0, 1.0], method="Nelder-Mead").x, -12, 12))


def recall_growth(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
) -> RecallGrowth:
    """Measure how Recall@1 falls as the number of classes grows.

    A query is right among some classes if none of the others has a row nearer than the nearest
    of its own class. If ``b`` of the ``C - 1`` others have one, then among its own class and
    ``c - 1`` others drawn at random it is right with the probability [1]_ ::

        C(C - 1 - b, c - 1) / C(C - 1, c - 1)

    and the mean over the queries is the expected Recall@1 among ``c`` classes. Beyond ``C``
    classes it is extrapolated: each query has its own chance that another class is nearer,
    these chances follow a beta distribution, fitted to the numbers ``b``.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Queries.
    labels : array-like of shape (n_queries,)
        Their classes; -1 marks rows without one, which are left out.
    gallery : array-like of shape (n_gallery, n_features), default=None
        Rows that are found; the embeddings themselves by default, which do not find
        themselves.
    gallery_labels : array-like of shape (n_gallery,), default=None
        Classes of the gallery.

    Returns
    -------
    RecallGrowth
        ``growth.recall(c)`` for any number of classes. Queries without another row of their
        class in the gallery do not count.

    Raises
    ------
    ValueError
        If no query has one, or only one of ``gallery`` and ``gallery_labels`` is given.

    See Also
    --------
    recall_at_k : Its value for all classes, at ``k=1``.
    metriclearn.plots.RecallGrowthDisplay : Draw it.

    References
    ----------
    .. [1] Zheng, C., Achanta, R. & Benjamini, Y. "Extrapolating expected accuracies for large
       multi-class problems", JMLR 19(65), 2018. https://jmlr.org/papers/v19/17-701.html

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from metriclearn.metrics import recall_growth
    >>> growth = recall_growth(*load_digits(return_X_y=True))
    >>> [round(growth.recall(n), 3) for n in (2, 5, 10, 40)]
    [0.999, 0.994, 0.988, 0.964]
    """
    queries, labels = _labeled(embeddings, labels, "embeddings", "labels")
    check_given_together(gallery, gallery_labels)
    alone, rows, classes = gallery is None, queries, labels
    if not alone:
        rows, classes = _labeled(gallery, gallery_labels, "gallery", "gallery_labels")
        check_one_space(queries, rows)
    unit = max(unit_of(queries), unit_of(rows))
    own = np.arange(len(rows)) if alone else None
    counts = count_nearer_classes(queries / unit, labels, rows / unit, classes, own)
    if not counts.any():
        raise ValueError("no query has another row of its class in the gallery")
    return RecallGrowth(counts)


def _labeled(rows, labels, name, labels_name):
    """Return the rows that have a class, and their classes."""
    rows = check_rows(rows, name, dtype=(np.float64,))
    labels = check_one_label_each(labels, labels_name, len(rows))
    labeled = is_labeled(labels)
    return rows[labeled], labels[labeled]


def count_nearer_classes(queries, labels, gallery, classes, own_rows=None):
    """Count the queries by how many other classes have a row before the first of their own.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, n_features)
    labels : ndarray of shape (n_queries,)
    gallery : ndarray of shape (n_gallery, n_features)
    classes : ndarray of shape (n_gallery,)
    own_rows : ndarray of int, shape (n_queries,), default=None
        Row of the gallery that each query is, which it does not find.

    Returns
    -------
    ndarray of int, shape (n_classes,)
        Queries without another row of their class do not count.
    """
    # Classes are runs of the sorted gallery; in a run the order of the rows is kept.
    order = np.argsort(classes, kind="stable")
    names, starts = np.unique(classes[order], return_index=True)
    own = np.searchsorted(names, labels)
    known = own < len(names)
    known[known] = names[own[known]] == labels[known]
    places = np.empty(len(order), dtype=int)
    places[order] = np.arange(len(order))
    ordered = gallery[order].astype(np.float64, copy=False)
    queries = queries.astype(np.float64, copy=False)
    total = np.zeros(len(names), dtype=int)
    step = max(1, _BLOCK_ENTRIES // max(1, len(gallery)))
    rows = np.flatnonzero(known)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        own_places = None if own_rows is None else places[own_rows[block]]
        distances = _decisive_distances(queries[block], ordered, starts, own[block], own_places)
        nearest = np.minimum.reduceat(distances, starts, axis=1)
        at_own = nearest[np.arange(len(block)), own[block]]
        counts = np.sum(nearest < at_own[:, None], axis=1)
        is_tied = (np.sum(nearest == at_own[:, None], axis=1) > 1) & np.isfinite(at_own)
        for i in np.flatnonzero(is_tied):  # equal distances by row number, as in every search
            first = order[np.flatnonzero(distances[i] == at_own[i])]
            of_class = np.searchsorted(names, classes[first])
            before = first < first[of_class == own[block[i]]].min()
            before &= nearest[i, of_class] == at_own[i]  # others are counted already
            counts[i] += len(np.unique(of_class[before]))
        total += np.bincount(counts[np.isfinite(at_own)], minlength=len(names))
    return total


def _decisive_distances(queries, gallery, starts, own, own_places):
    """Compute squared distances that order the classes of each query as exact ones do.

    They are products of matrices, but for queries to which another class is as near as their own
    within the rounding of these.

    Parameters
    ----------
    queries, gallery : ndarray of float64
    starts : ndarray of int, shape (n_classes,)
        Where each class begins in the gallery.
    own : ndarray of int, shape (n_queries,)
        The class of each query.
    own_places : ndarray of int, shape (n_queries,), or None
        The row of the gallery that each query is, which gets an infinite distance.

    Returns
    -------
    ndarray of shape (n_queries, n_gallery)
    """
    each = np.arange(len(queries))
    squares, of_gallery = (np.einsum("ij,ij->i", rows, rows) for rows in (queries, gallery))
    distances = queries @ gallery.T
    distances *= -2
    distances += squares[:, None]
    distances += of_gallery
    if own_places is not None:
        distances[each, own_places] = np.inf
    nearest = np.minimum.reduceat(distances, starts, axis=1)
    at_own = nearest[each, own].copy()
    nearest[each, own] = np.inf
    # Twice what two sums of so many terms are off by at most.
    slack = 4 * (gallery.shape[1] + 4) * np.finfo(float).eps * (squares + of_gallery.max())
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        close = np.abs(nearest - at_own[:, None]) <= slack[:, None]
    unsure = np.flatnonzero(close.any(axis=1))
    distances[unsure] = cdist(queries[unsure], gallery, "sqeuclidean")
    if own_places is not None:
        distances[each, own_places] = np.inf
    return distances
