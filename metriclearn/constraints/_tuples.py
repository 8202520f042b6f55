"""Constraints given as arrays of the points themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array

from metriclearn._validation import check_numeric
from metriclearn.constraints._checks import as_weights
from metriclearn.constraints._kinds import Pairs, Quadruplets, Triplets


def constraints_from_tuples(
    tuples: ArrayLike, similar: ArrayLike | None = None, weights: ArrayLike | None = None
) -> tuple[np.ndarray, Pairs | Triplets | Quadruplets]:
    """Turn a 3-D array of tuples of points into rows and index constraints.

    Parameters
    ----------
    tuples : array-like of float, shape (n, 2 | 3 | 4, n_features)
        Pairs ``(i, j)``, triplets ``(anchor, positive, negative)`` or
        quadruplets ``(i, j, k, l)`` of points.
    similar : array-like of shape (n,), default=None
        For pairs, and only for pairs: True (or 1) where similar, False (or 0,
        or -1) where not.
    weights : array-like of float, shape (n,), default=None
        Not negative; all one by default.

    Returns
    -------
    X : ndarray of shape (n_rows, n_features)
        The distinct points.
    constraints : Pairs, Triplets or Quadruplets
        The tuples as row numbers of ``X``.

    Raises
    ------
    ValueError
        If the shape is none of these, a point holds NaN or infinity, or ``similar`` is
        given without pairs or missing with them.

    See Also
    --------
    Pairs : Constraints that name rows by their numbers.
    metriclearn.verification.PairClassifier : Learns from pairs that are given as points.

    Examples
    --------
    >>> from metriclearn.constraints import constraints_from_tuples
    >>> X, triplets = constraints_from_tuples([[[0.0, 0], [0, 1], [3, 3]]])
    >>> X.shape, triplets.indices
    ((3, 2), array([[0, 1, 2]]))
    """
    check_numeric(tuples, "tuples")
    tuples = np.asarray(tuples)
    if tuples.ndim != 3 or tuples.shape[1] not in (2, 3, 4):
        raise ValueError(
            f"tuples must be of shape (n, 2, n_features), (n, 3, n_features) or "
            f"(n, 4, n_features), got {tuples.shape}"
        )
    tuples = check_array(tuples, dtype=[np.float64, np.float32], allow_nd=True, input_name="tuples")
    n, width, n_features = tuples.shape
    if (similar is None) == (width == 2):
        raise ValueError(
            "similar is missing: it says which pairs are similar"
            if similar is None
            else f"similar was given, but tuples of {width} points already say who is closer"
        )
    X, rows = np.unique(tuples.reshape(-1, n_features), axis=0, return_inverse=True)
    rows = rows.reshape(n, width)
    if width == 2:
        return X, Pairs(rows, similar, weights, n_rows=len(X))
    weights = as_weights(weights, n, "tuples")
    # Unchecked: two points of a triplet may look the same without being the same row.
    kind = Triplets if width == 3 else Quadruplets
    return X, kind._unchecked(indices=rows, weights=weights, n_rows=len(X))
