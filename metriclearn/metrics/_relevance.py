"""What counts as a right answer: the same label, a matrix, or a label near enough."""

from numbers import Real

import numpy as np
from scipy import sparse

_BLOCK = 2**22


class LabelRelevance:
    """Relevant means of the same class.

    In all three classes ``queries`` is an array of row numbers of queries, and
    ``indices`` the gallery rows found for each, shape (len(queries), k).

    Parameters
    ----------
    labels : array-like of shape (n_queries,)
    gallery_labels : array-like of shape (n_gallery,), default=None
        None where the gallery is the queries themselves.
    """

    def __init__(self, labels, gallery_labels=None):
        self.self_search = gallery_labels is None
        labels = _one_dimensional(labels, "labels")
        if self.self_search:
            classes, codes = np.unique(labels, return_inverse=True)
            self.codes = self.gallery_codes = codes.reshape(-1)
        else:
            gallery_labels = _one_dimensional(gallery_labels, "gallery_labels")
            both = np.concatenate([labels, gallery_labels])
            classes, codes = np.unique(both, return_inverse=True)
            self.codes, self.gallery_codes = np.split(codes.reshape(-1), [len(labels)])
        counts = np.bincount(self.gallery_codes, minlength=len(classes))
        self.n_relevant = counts[self.codes] - self.self_search

    def gains(self, queries, indices):
        """Whether each found gallery row is relevant; shape of ``indices``."""
        return self.codes[queries][:, None] == self.gallery_codes[indices]

    def ideal(self, queries, k):
        """Gains of the best possible ``k`` answers of each query, falling."""
        return np.arange(k) < self.n_relevant[queries][:, None]


class MatrixRelevance:
    """Relevance of every gallery row to every query, graded or not.

    Parameters
    ----------
    matrix : array-like or sparse array of shape (n_queries, n_gallery)
        Not negative; zero means irrelevant.
    self_search : bool
        Whether the diagonal is of rows with themselves, which does not count.
    """

    def __init__(self, matrix, n_queries, n_gallery, self_search):
        self.self_search = self_search
        matrix = sparse.csr_array(matrix) if sparse.issparse(matrix) else np.asarray(matrix)
        if matrix.shape != (n_queries, n_gallery):
            raise ValueError(
                f"relevance must be of shape ({n_queries}, {n_gallery}) (queries, gallery), got "
                f"{matrix.shape}"
            )
        values = matrix.data if sparse.issparse(matrix) else matrix
        if not np.all(values >= 0):
            raise ValueError("relevance must hold numbers of 0 or more, without NaN")
        self.matrix = matrix
        self.n_relevant = np.asarray((matrix != 0).sum(axis=1)).reshape(-1)
        if self_search:
            self.n_relevant = self.n_relevant - (matrix.diagonal() != 0)

    def gains(self, queries, indices):
        """Relevance of each found gallery row; shape of ``indices``."""
        found = self.matrix[np.broadcast_to(queries[:, None], indices.shape), indices]
        return np.asarray(found.todense() if sparse.issparse(found) else found)

    def ideal(self, queries, k):
        """Gains of the best possible ``k`` answers of each query, falling."""
        rows = self.matrix[queries]
        rows = np.array(rows.todense() if sparse.issparse(rows) else rows, dtype=float)
        if self.self_search:
            rows[np.arange(len(rows)), queries] = 0
        return -np.sort(-rows, axis=1)[:, :k]


class ToleranceRelevance:
    """Relevant means that the labels, continuous, differ by no more than a tolerance.

    Parameters
    ----------
    tolerance : float
        Largest Euclidean distance of two labels.
    labels : array-like of shape (n_queries,) or (n_queries, n_outputs)
    gallery_labels : array-like of shape (n_gallery, ...), default=None
        None where the gallery is the queries themselves.
    """

    def __init__(self, tolerance, labels, gallery_labels=None):
        if not isinstance(tolerance, Real) or not tolerance >= 0:
            raise ValueError(f"relevance as a label distance must be 0 or more, got {tolerance!r}")
        self.self_search = gallery_labels is None
        self.tolerance = tolerance
        self.labels = _numbers(labels, "labels")
        self.gallery_labels = (
            self.labels if self.self_search else _numbers(gallery_labels, "gallery_labels")
        )
        queries = np.arange(len(self.labels))
        everyone = np.arange(len(self.gallery_labels))[None]
        blocks = np.array_split(queries, 1 + len(queries) * self.gallery_labels.size // _BLOCK)
        counts = [self.gains(block, everyone).sum(axis=1) for block in blocks]
        self.n_relevant = np.concatenate(counts) - self.self_search

    def gains(self, queries, indices):
        """Whether each found gallery row is relevant; shape of ``indices``."""
        difference = self.labels[queries][:, None] - self.gallery_labels[indices]
        return np.linalg.norm(difference, axis=2) <= self.tolerance

    ideal = LabelRelevance.ideal


def as_relevance(relevance, labels, gallery_labels, n_queries, n_gallery, self_search):
    """Turn the ``relevance`` argument of the measures into one of the classes above."""
    if relevance is None or np.ndim(relevance) == 0:
        for given, n, name in (
            (labels, n_queries, "labels"),
            (gallery_labels, n_gallery, "gallery_labels"),
        ):
            if given is None and not (self_search and name == "gallery_labels"):
                raise ValueError(f"{name} is missing; only a relevance matrix does without")
            if given is not None and len(given) != n:
                raise ValueError(f"{name} has {len(given)} entries for {n} rows of embeddings")
        if relevance is None:
            return LabelRelevance(labels, gallery_labels)
        return ToleranceRelevance(relevance, labels, gallery_labels)
    return MatrixRelevance(relevance, n_queries, n_gallery, self_search)


def _one_dimensional(labels, name):
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {labels.shape}")
    return labels


def _numbers(labels, name):
    labels = np.asarray(labels)
    if labels.dtype.kind not in "biuf" or not np.all(np.isfinite(labels)):
        raise ValueError(f"{name} must be finite numbers where relevance is a label distance")
    labels = labels.astype(float)
    return labels[:, None] if labels.ndim == 1 else labels
