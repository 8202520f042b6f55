"""Sums over rows that come in parts, and an order of rows that depends on their values alone."""

import warnings

import numpy as np

from metriclearn._arrays import squared_norms, unit_of
from metriclearn._validation import encode
from metriclearn.mahalanobis._scatter._moments import moments


class Stream:
    """Moments of groups of rows, added up call by call.

    Parameters
    ----------
    each : bool, default=False
        Whether each group keeps a scatter of its own.

    Attributes
    ----------
    moments : Moments or None
        Of all rows so far.
    """

    def __init__(self, each=False):
        self.each = each
        self.moments = None
        self._numbers = {}

    @classmethod
    def of(cls, learner, **options):
        """Return the stream of a learner, a new one if this is its first part."""
        if hasattr(learner, "components_") and not hasattr(learner, "_stream"):
            name = type(learner).__name__
            warnings.warn(
                f"partial_fit begins with these rows: this {name} was fitted by fit, which keeps "
                f"no sums of its rows; call partial_fit for those as well",
                stacklevel=3,
            )
        return getattr(learner, "_stream", None) or cls(**options)

    def add(self, X, labels=None, weights=None, counted=None):
        """Add rows; rows of equal labels, in this call or others, are one group.

        Parameters
        ----------
        X : ndarray or sparse of shape (n, d)
        labels : ndarray of shape (n,), default=None
            One group of all rows by default.
        weights : ndarray of shape (n,), default=None
        counted : ndarray of bool, shape (n,), default=None
            Which rows are added; all by default.
        """
        counted = np.ones(X.shape[0], dtype=bool) if counted is None else counted
        if not counted.any():
            return
        codes = np.where(counted, 0, -1)
        if labels is not None:
            values, places, _ = encode(labels[counted])
            numbers = [
                self._numbers.setdefault(value, len(self._numbers)) for value in values.tolist()
            ]
            codes[counted] = np.array(numbers, dtype=np.intp)[places]
        n_groups = max(1, len(self._numbers))
        part = moments(X, codes, weights, n_groups=n_groups, each=self.each)
        self.moments = part if self.moments is None else self.moments.merged(part)


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
