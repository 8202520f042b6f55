"""Rows that come in parts: what ``partial_fit`` keeps of them."""

import warnings

import numpy as np

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
