"""Relevance of rows that have several labels each."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from metriclearn._validation import refuse_times


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
    if not 0 <= least <= 1:
        raise ValueError(f"least must be from 0 to 1, got {least!r}")
    A = _indicators(labels, "labels")
    B = A if gallery_labels is None else _indicators(gallery_labels, "gallery_labels")
    if A.shape[1] != B.shape[1]:
        raise ValueError(
            f"gallery_labels has {B.shape[1]} labels, labels has {A.shape[1]}; both must be of one "
            f"binarizer"
        )
    overlap = sparse.coo_array(A @ B.T)
    sizes = np.asarray(A.sum(axis=1)).ravel(), np.asarray(B.sum(axis=1)).ravel()
    i, j = overlap.coords
    share = overlap.data / (sizes[0][i] + sizes[1][j] - overlap.data)
    kept = share >= least
    found = (share[kept], (i[kept], j[kept]))
    return sparse.csr_array(sparse.coo_array(found, shape=overlap.shape))


def _indicators(labels, name):
    """Return a sparse array of ones."""
    refuse_times(labels, name)
    given = labels if sparse.issparse(labels) else np.asarray(labels)
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
