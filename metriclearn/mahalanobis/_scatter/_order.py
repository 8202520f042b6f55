"""An order of rows of their own, for learners that draw from them."""

import numpy as np

from metriclearn._arrays import squared_norms, unit_of

_BITS = 30  # of a distance, beyond which it is rounding


def in_own_order(X, codes):
    """Sort rows by their values, and number classes as they then come.

    What is drawn with one seed is then the same for the same rows in any order, in any unit and
    however the features are turned, whatever the classes are called.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    codes : ndarray of int, shape (n,)
        Class numbers 0, 1, ...

    Returns
    -------
    X : ndarray of shape (n, d)
        Its rows by rising distance from their mean; those equally far by the first feature,
        and so on.
    codes : ndarray of int, shape (n,)
    """
    rows = X / unit_of(X)
    rows -= np.sort(rows, axis=0).mean(axis=0)  # a sum that knows of no order
    d2 = squared_norms(rows)
    distance = np.round(np.ldexp(d2 / (d2.max() or 1.0), _BITS))
    order = np.lexsort((codes, *X.T[::-1], distance))
    X, codes = X[order], codes[order]
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    numbers = np.empty(len(first), dtype=np.intp)
    numbers[np.argsort(first)] = np.arange(len(first))
    return X, numbers[codes.reshape(-1)]
