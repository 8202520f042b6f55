"""Input checks that scikit-learn does not do.

Each raises one ``ValueError`` that names the argument, says what was given and
what to do, before any work.
"""

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from metriclearn._sklearn import check_sample_weight


def check_labels(y, *, min_rows=2, argument="y", sample_weight=None):
    """Encode class labels, refusing what no metric can be learned from.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class labels: integers, strings or booleans.
    min_rows : int, default=2
        Fewest rows a class may have.
    argument : str, default="y"
        Name used in the error.
    sample_weight : ndarray of shape (n,), default=None
        A row of weight two counts as two rows of its class.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The distinct labels, sorted.
    codes : ndarray of shape (n,), dtype intp
        Index of each label in ``classes``.

    Raises
    ------
    ValueError
        If ``y`` is continuous, has one class only, or a class with too few rows.
    """
    check_classification_targets(y)
    classes, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(
            f"{argument} has one class only ({classes.tolist()[0]!r}): a metric is learned from "
            f"rows of at least 2 classes"
        )
    codes = codes.reshape(-1)
    if sample_weight is not None:
        counts = np.maximum(counts, np.bincount(codes, sample_weight).astype(np.intp))
    check_class_counts(classes, counts, min_rows, argument=argument)
    return classes, codes


def check_class_counts(classes, counts, min_rows, *, argument="y"):
    """Refuse classes with fewer than ``min_rows`` rows, naming the smallest."""
    smallest = int(np.argmin(counts))
    if counts[smallest] < min_rows:
        n_small = int(np.sum(counts < min_rows))
        others = f" (and {n_small - 1} more such classes)" if n_small > 1 else ""
        rows = "row" if counts[smallest] == 1 else "rows"
        raise ValueError(
            f"{argument}: class {classes.tolist()[smallest]!r} has {counts[smallest]} {rows}"
            f"{others}, at least {min_rows} are needed; drop the class or add rows to it"
        )


def weighted_rows(sample_weight, X, *aligned):
    """Rows that count: those of weight zero are left out.

    Parameters
    ----------
    sample_weight : array-like of shape (n,) or None
        Not negative, one above zero at least.
    X : array of shape (n, d)
    *aligned : array of shape (n,) or None
        More arrays with an entry for each row.

    Returns
    -------
    sample_weight, X, *aligned
        All of the rows that count; the weights None where they were, else float64.
    """
    if sample_weight is None:
        return sample_weight, X, *aligned
    weights = check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("sample_weight is zero for every row; give some row a weight above zero")
    counts = weights > 0
    return weights[counts], X[counts], *(a if a is None else a[counts] for a in aligned)


def check_n_neighbors(n_neighbors, classes, counts):
    """Refuse more target neighbors than the smallest class has rows."""
    smallest = int(np.argmin(counts))
    if n_neighbors > counts[smallest]:
        raise ValueError(
            f"n_neighbors={n_neighbors} is larger than the smallest class: "
            f"{classes.tolist()[smallest]!r} has {counts[smallest]} rows; lower "
            f"n_neighbors to {counts[smallest] - 1} or drop the class"
        )


def check_n_components(n_components, n_features):
    """Resolve ``n_components``, refusing more than there are features.

    Returns
    -------
    int
        ``n_features`` for None.
    """
    if n_components is None:
        return n_features
    if n_components > n_features:
        raise ValueError(
            f"n_components={n_components} is larger than the number of features, {n_features}; "
            f"lower it or leave it None"
        )
    return int(n_components)
