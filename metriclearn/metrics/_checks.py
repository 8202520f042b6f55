"""Input checks that the measures share."""

import numpy as np
from sklearn.utils import check_array

from metriclearn._arrays import unit_of
from metriclearn._validation import (
    check_label_kinds,
    check_numeric,
    check_unmasked,
    is_labeled,
    is_missing,
)


def check_rows(X, name, *, dtype=(np.float64, np.float32), **options):
    """Return finite rows; see :func:`sklearn.utils.check_array`."""
    check_numeric(X, name)
    # Sums of infinities, by which scikit-learn looks for them, are not the user's concern.
    with np.errstate(invalid="ignore", over="ignore"):
        return check_array(X, dtype=list(dtype), input_name=name, **options)


def fit_for_products(metric, embeddings, gallery):
    """Divide rows by one power of two where their inner products would overflow or vanish.

    Returns
    -------
    embeddings, gallery : ndarray
    unit : float
        The power of two: 1 in nearly all cases.
    """
    if metric != "inner_product":
        return embeddings, gallery, 1.0
    unit = max(unit_of(embeddings), unit_of(gallery))
    if 2.0**-400 < unit < 2.0**400:
        return embeddings, gallery, 1.0
    own = gallery is embeddings
    embeddings = embeddings / unit
    return embeddings, embeddings if own else gallery / unit, unit


def check_one_label_each(labels, name, n_rows=None):
    """Return labels as a one-dimensional array of one kind.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Numbers, text or booleans.
    name : str
        Of the argument.
    n_rows : int, default=None
        How many there must be.

    Returns
    -------
    ndarray of shape (n,)
    """
    if np.isscalar(labels) or labels is None:
        raise ValueError(f"{name} must be one-dimensional, one label for each row, got {labels!r}")
    check_unmasked(labels, name)
    as_objects = np.asarray(labels, dtype=object)
    nested = any(isinstance(label, list | tuple | dict | set) for label in as_objects.ravel())
    if as_objects.ndim != 1 or nested:
        raise ValueError(
            f"{name} must be one-dimensional, one label for each row, got shape {as_objects.shape}"
        )
    if n_rows is not None and len(as_objects) != n_rows:
        raise ValueError(f"{name} has {len(as_objects)} entries for {n_rows} rows of embeddings")
    if any(map(is_missing, as_objects)):
        raise ValueError(
            f"{name} has missing entries; leave such rows out, or mark them by the integer -1"
        )
    check_label_kinds(as_objects, argument=name)
    labels = np.asarray(labels)
    return labels if labels.dtype != object else np.asarray(as_objects.tolist())


def check_one_space(embeddings, gallery):
    """Raise a ``ValueError`` where queries and gallery differ in width."""
    if gallery.shape[1] != embeddings.shape[1]:
        raise ValueError(
            f"gallery has {gallery.shape[1]} features, embeddings has {embeddings.shape[1]}; both "
            f"must be of one space"
        )


def check_given_together(gallery, gallery_labels):
    """Raise a ``ValueError`` where a gallery comes without labels or labels without a gallery."""
    if (gallery is None) != (gallery_labels is None):
        raise ValueError("gallery and gallery_labels must be given together, or neither")


def check_labeled_rows(embeddings, labels, dtype=(np.float64,)):
    """Return the rows that have a class, and their classes.

    Returns
    -------
    embeddings : ndarray of shape (n_labeled, n_features)
    codes : ndarray of int, shape (n_labeled,)
        Index of the class of each row.
    counts : ndarray of int, shape (n_classes,)
    """
    embeddings = check_rows(embeddings, "embeddings", dtype=dtype)
    labels = check_one_label_each(labels, "labels", len(embeddings))
    labeled = is_labeled(labels)
    if not labeled.any():
        raise ValueError("labels has no class: every label is -1, which marks rows without one")
    _, codes, counts = np.unique(labels[labeled], return_inverse=True, return_counts=True)
    return embeddings[labeled], codes.reshape(-1), counts
