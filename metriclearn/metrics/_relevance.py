"""Which gallery rows are relevant: equal, near or shared labels, or a matrix."""

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from metriclearn._unused import warn_without_effect
from metriclearn._validation import UNLABELED, check_share, check_unmasked
from metriclearn.metrics._checks import check_one_label_each

_BLOCK = 2**22


class LabelRelevance:
    """Relevant means of the same class.

    In all three classes ``queries`` is an array of row numbers of queries, and
    ``indices`` holds gallery rows for each, shape (len(queries), k).

    Parameters
    ----------
    labels : array-like of shape (n_queries,)
        The integer -1 marks rows without a label: nothing is relevant to them, and they are
        relevant to nothing.
    gallery_labels : array-like of shape (n_gallery,), default=None
        None where the gallery is the queries themselves.
    own : ndarray of int, shape (n_queries,), default=None
        The gallery row that each query is, which it does not find; -1 for none.
    """

    why_none = "a class of one row, or -1 for no label"

    def __init__(self, labels, gallery_labels=None, own=None):
        labels = check_one_label_each(labels, "labels")
        if gallery_labels is None:
            classes, codes = np.unique(labels, return_inverse=True)
            self.codes = self.gallery_codes = codes.reshape(-1)
        else:
            gallery_labels = check_one_label_each(gallery_labels, "gallery_labels")
            _check_comparable(labels, gallery_labels)
            both = np.concatenate([labels, gallery_labels])
            classes, codes = np.unique(both, return_inverse=True)
            self.codes, self.gallery_codes = np.split(codes.reshape(-1), [len(labels)])
        counts = np.bincount(self.gallery_codes, minlength=len(classes))
        if classes.dtype.kind in "if" and UNLABELED in classes:
            unlabeled = np.flatnonzero(classes == UNLABELED)
            counts[unlabeled] = 0
            # Unlike any other code, and not equal to that of the gallery.
            self.codes = np.where(self.codes == unlabeled, -1, self.codes)
            self.gallery_codes = np.where(self.gallery_codes == unlabeled, -2, self.gallery_codes)
        self.n_relevant = counts[self.codes]
        self.n_relevant[self.codes < 0] = 0
        self.n_relevant -= _own_relevant(self, own)

    def gains(self, queries, indices):
        """Return whether each found gallery row is relevant, in the shape of ``indices``."""
        return self.codes[queries][:, None] == self.gallery_codes[indices]

    def ideal(self, queries, k, n_relevant, own, ignored):
        """Return the gains of the best possible ``k`` answers of each query, falling."""
        return np.arange(k) < n_relevant[queries][:, None]


class MatrixRelevance:
    """Relevance of every gallery row to every query, graded or not.

    Parameters
    ----------
    matrix : array-like or sparse array of shape (n_queries, n_gallery)
        Not negative; zero means irrelevant.
    n_queries, n_gallery : int
    own : ndarray of int, shape (n_queries,), default=None
        The gallery row that each query is, whose relevance does not count; -1 for none.
    """

    why_none = "no entry of relevance for a row that they can find"

    def __init__(self, matrix, n_queries, n_gallery, own=None):
        matrix = sparse.csr_array(matrix) if sparse.issparse(matrix) else np.asarray(matrix)
        if matrix.shape != (n_queries, n_gallery):
            raise ValueError(
                f"relevance must be of shape ({n_queries}, {n_gallery}) (queries, gallery), got "
                f"{matrix.shape}"
            )
        values = matrix.data if sparse.issparse(matrix) else matrix
        if values.dtype.kind not in "biuf" or not np.all((values >= 0) & np.isfinite(values)):
            raise ValueError("relevance must hold numbers of 0 or more, without NaN and infinity")
        self.matrix = matrix
        self.n_relevant = np.asarray((matrix != 0).sum(axis=1)).reshape(-1)
        self.n_relevant = self.n_relevant - _own_relevant(self, own)

    def gains(self, queries, indices):
        """Return the relevance of each found gallery row, in the shape of ``indices``."""
        found = self.matrix[np.broadcast_to(queries[:, None], indices.shape), indices]
        return np.asarray(found.todense() if sparse.issparse(found) else found)

    def ideal(self, queries, k, n_relevant, own, ignored):
        """Return the gains of the best possible ``k`` answers of each query, falling."""
        rows = self.matrix[queries]
        if sparse.issparse(rows):
            if ignored is not None:
                rows = sparse.csr_array(rows - rows.multiply(ignored[queries]))
            return _largest(rows, k, None if own is None else own[queries])
        rows = np.array(rows, dtype=float)
        if own is not None:
            some = np.flatnonzero(own[queries] >= 0)
            rows[some, own[queries[some]]] = 0
        if ignored is not None:
            rows[ignored[queries].nonzero()] = 0
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
    own : ndarray of int, shape (n_queries,), default=None
        The gallery row that each query is, which it does not find; -1 for none.
    """

    why_none = "no other label within the tolerance"

    def __init__(self, tolerance, labels, gallery_labels=None, own=None):
        valid = isinstance(tolerance, Real) and not isinstance(tolerance, bool | np.bool_)
        if not valid or not tolerance >= 0:
            raise ValueError(f"relevance as a label distance must be 0 or more, got {tolerance!r}")
        self.tolerance = tolerance
        self.labels = numeric_labels(labels, "labels")
        self.gallery_labels = (
            self.labels
            if gallery_labels is None
            else numeric_labels(gallery_labels, "gallery_labels")
        )
        if self.labels.shape[1] != self.gallery_labels.shape[1]:
            raise ValueError(
                f"labels and gallery_labels must have as many columns as each other, got "
                f"{self.labels.shape[1]} and {self.gallery_labels.shape[1]}"
            )
        queries = np.arange(len(self.labels))
        everyone = np.arange(len(self.gallery_labels))[None]
        blocks = np.array_split(queries, 1 + len(queries) * self.gallery_labels.size // _BLOCK)
        counts = [self.gains(block, everyone).sum(axis=1) for block in blocks]
        self.n_relevant = np.concatenate(counts) - _own_relevant(self, own)

    def gains(self, queries, indices):
        """Return whether each found gallery row is relevant, in the shape of ``indices``."""
        difference = self.labels[queries][:, None] - self.gallery_labels[indices]
        return np.linalg.norm(difference, axis=2) <= self.tolerance

    ideal = LabelRelevance.ideal


def as_relevance(relevance, labels, gallery_labels, n_queries, n_gallery, self_search, own):
    """Turn the ``relevance`` argument of the measures into one of the classes above."""
    if relevance is None or (np.ndim(relevance) == 0 and not sparse.issparse(relevance)):
        for given, n, name in (
            (labels, n_queries, "labels"),
            (gallery_labels, n_gallery, "gallery_labels"),
        ):
            if given is None and not (self_search and name == "gallery_labels"):
                raise ValueError(f"{name} is missing; only a relevance matrix does without")
            if given is not None and (np.isscalar(given) or getattr(given, "shape", None) == ()):
                raise ValueError(f"{name} must be one-dimensional, got {given!r}")
            if given is not None and len(given) != n:
                raise ValueError(f"{name} has {len(given)} entries for {n} rows of embeddings")
        if relevance is None:
            return LabelRelevance(labels, gallery_labels, own)
        return ToleranceRelevance(relevance, labels, gallery_labels, own)
    for given, name in ((labels, "labels"), (gallery_labels, "gallery_labels")):
        if given is not None:
            when = "without a matrix of relevance"
            shown = np.asarray(given, dtype=object)
            warn_without_effect("relevance", name, shown, when, stacklevel=5)
    return MatrixRelevance(relevance, n_queries, n_gallery, own)


def _own_relevant(relevance, own):
    """Return whether each query is relevant to itself, where it is in the gallery."""
    if own is None:
        return 0
    itself = relevance.gains(np.arange(len(own)), np.maximum(own, 0)[:, None])[:, 0] > 0
    return itself & (own >= 0)


def _largest(matrix, k, own):
    """Return the ``k`` largest entries of each row of a sparse matrix, falling, then zeros."""
    row, column = matrix.nonzero()
    values = matrix.tocoo().data[matrix.tocoo().data != 0]
    if own is not None:
        kept = own[row] != column
        row, values = row[kept], values[kept]
    order = np.lexsort((-values.astype(float), row))
    row, values = row[order], values[order]
    counts = np.bincount(row, minlength=matrix.shape[0])
    place = np.arange(len(row)) - (np.cumsum(counts) - counts)[row]
    largest = np.zeros((matrix.shape[0], min(k, matrix.shape[1])))
    largest[row[place < k], place[place < k]] = values[place < k]
    return largest


def _check_comparable(labels, gallery_labels):
    kinds = ["text" if part.dtype.kind in "OUS" else "numbers" for part in (labels, gallery_labels)]
    if kinds[0] != kinds[1] and not (labels.dtype == object or gallery_labels.dtype == object):
        raise ValueError(
            f"labels are {kinds[0]} and gallery_labels are {kinds[1]}; no query could find its "
            f"class, give both in the same form"
        )


def numeric_labels(labels, name, why="where relevance is a label distance"):
    """Return labels that are amounts as floats of shape (n, n_outputs)."""
    no_numbers = ValueError(f"{name} must be finite numbers {why}")
    try:
        labels = np.asarray(labels)
    except ValueError:  # rows of several lengths
        raise no_numbers from None
    if labels.dtype.kind not in "biuf" or not np.all(np.isfinite(labels)):
        raise no_numbers
    if labels.ndim > 2:
        raise ValueError(f"{name} must have one or two dimensions, got shape {labels.shape}")
    labels = labels.astype(float)
    return labels[:, None] if labels.ndim == 1 else labels


def jaccard_relevance(
    labels: ArrayLike, gallery_labels: ArrayLike | None = None, *, least: float = 0.0
) -> sparse.csr_array:
    """Compute how much the label sets of two rows overlap, as ``relevance`` of retrieval measures.

    ::

        r_ij = |A_i ∩ B_j| / |A_i ∪ B_j|

    with A_i and B_j the labels of query i and of gallery row j: 1 where they are the same [1]_.
    nDCG takes these gains as they are, the other measures every overlap as a right answer.

    Parameters
    ----------
    labels : array-like or sparse of shape (n_queries, n_labels)
        1 or True where a row has a label, as scikit-learn's ``MultiLabelBinarizer`` makes it.
    gallery_labels : array-like or sparse of shape (n_gallery, n_labels), default=None
        Of the gallery; the queries themselves by default.
    least : float, default=0
        Overlaps below it count as none, from 0 to 1.

    Returns
    -------
    sparse array of shape (n_queries, n_gallery)
        r.

    Raises
    ------
    ValueError
        If labels are no indicators, or of another number.

    See Also
    --------
    ndcg_at_k : Takes graded relevance.
    recall_at_k : Takes relevance of 0 and more.

    References
    ----------
    .. [1] P. Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 11(2),
       1912. :doi:`10.1111/j.1469-8137.1912.tb05611.x`

    Examples
    --------
    >>> from metriclearn.metrics import jaccard_relevance, ndcg_at_k
    >>> labels = [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    >>> relevance = jaccard_relevance(labels)
    >>> relevance.toarray()
    array([[1. , 0.5, 0. ],
           [0.5, 1. , 0. ],
           [0. , 0. , 1. ]])
    >>> ndcg_at_k([[0.0], [0.1]], k=1, relevance=relevance[:2, :2])
    1.0
    """
    check_share(least, "least")
    A = _indicators(labels, "labels")
    B = A if gallery_labels is None else _indicators(gallery_labels, "gallery_labels")
    if A.shape[1] != B.shape[1]:
        raise ValueError(
            f"gallery_labels has {B.shape[1]} labels, labels has {A.shape[1]}; both must be of one "
            f"binarizer"
        )
    overlap = sparse.coo_array(A @ B.T)
    sizes = np.asarray(A.sum(axis=1)).ravel(), np.asarray(B.sum(axis=1)).ravel()
    i, j = overlap.row, overlap.col
    share = overlap.data / (sizes[0][i] + sizes[1][j] - overlap.data)
    kept = share >= least
    found = (share[kept], (i[kept], j[kept]))
    return sparse.csr_array(sparse.coo_array(found, shape=overlap.shape))


def _indicators(labels, name):
    """Return a sparse array of ones."""
    check_unmasked(labels, name)
    try:
        given = labels if sparse.issparse(labels) else np.asarray(labels)
    except ValueError:  # lists of different lengths
        given = np.asarray(labels, dtype=object)
    if given.ndim != 2 or given.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} must be indicators of shape (n, n_labels), as of MultiLabelBinarizer, got "
            f"shape {given.shape} and dtype {given.dtype}"
        )
    made = sparse.csr_array(given, dtype=float)
    made.eliminate_zeros()
    if not np.all(made.data == 1):
        raise ValueError(f"{name} must hold 0 and 1 only")
    return made
