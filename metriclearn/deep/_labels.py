"""Labels as the sampler, the validation and the loss want them."""

import numpy as np
from sklearn.utils.multiclass import type_of_target

from metriclearn._validation import check_class_counts, check_labels


def encode_classes(y, min_rows, sampler):
    """Classes of ``y`` and the code of each row; a class too small for the sampler is refused."""
    classes, codes = check_labels(y, min_rows=1)
    try:
        check_class_counts(classes, np.bincount(codes), min_rows)
    except ValueError as error:
        raise ValueError(f"{error}, or use sampler='unbalanced' (now {sampler!r})") from None
    return classes, codes


def is_continuous(y):
    """Whether labels are amounts rather than classes: floats, whole ones too, or several of a row.

    Parameters
    ----------
    y : ndarray
    """
    return y.dtype.kind == "f" or type_of_target(y) not in ("binary", "multiclass")


def codes_among(classes, y):
    """Place of each label in the sorted ``classes``; an unknown one is refused."""
    if classes is None:
        raise ValueError(
            "y has classes, but the first fit was on constraints or amounts; go on with such, or "
            "fit anew with warm_start=False"
        )
    codes = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    unknown = classes[codes] != y
    if unknown.any():
        raise ValueError(
            f"y has label {y[unknown].tolist()[0]!r}, which was not among the classes of the first "
            f"fit; name all of them there: partial_fit(X, y, classes=...)"
        )
    return codes
