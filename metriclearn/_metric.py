"""What every learner can do with its learned space: distances, and a callable metric."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from metriclearn._arrays import device, namespace, on_host, squared_norms
from metriclearn._pairs import pairwise_sq_distances


class LearnedMetricMixin:
    """Distances in the learned space, for any estimator that can embed.

    The estimator provides ``_embed(X)``: input rows (checked here with the
    estimator's own ``_check_rows``) to rows whose Euclidean distance is the
    learned metric. Nothing else is asked of it, so linear and deep learners
    share these methods.
    """

    def paired_distances(self, A, B):
        """Learned distance between each row of ``A`` and the same row of ``B``.

        Parameters
        ----------
        A, B : array-like of shape (n, n_features)
            Rows in the input space.

        Returns
        -------
        ndarray of shape (n,)
        """
        check_is_fitted(self)
        A, B = self._check_rows(A), self._check_rows(B)
        if A.shape[0] != B.shape[0]:
            raise ValueError(
                f"A and B must have as many rows as each other, got {A.shape[0]} and {B.shape[0]}"
            )
        difference = self._embed(A) - self._embed(B)
        return namespace(difference).sqrt(squared_norms(difference))

    def pairwise_distances(self, X, Y=None):
        """Learned distance between every row of ``X`` and every row of ``Y``.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        Y : array-like of shape (m, n_features), default=None
            ``X`` itself by default, with zeros on the diagonal.

        Returns
        -------
        ndarray of shape (n, m)
        """
        check_is_fitted(self)
        A = self._embed(self._check_rows(X))
        B = A if Y is None else self._embed(self._check_rows(Y))
        distances = pairwise_sq_distances(A, B)
        if not on_host(distances):
            xp = namespace(distances)
            distances = xp.sqrt(distances)
            if Y is None:
                distances *= 1 - xp.eye(A.shape[0], dtype=distances.dtype, device=device(distances))
            return distances
        np.sqrt(distances, out=distances)
        if Y is None:
            np.fill_diagonal(distances, 0)
        return distances

    def get_metric(self):
        """Return the learned metric as a function of two rows.

        Returns
        -------
        callable
            ``metric(u, v) -> float``, picklable, independent of later fits of
            this estimator: ``KNeighborsClassifier(metric=learner.get_metric())``.
            Searching ``transform(X)`` gives the same neighbors much faster.
        """
        check_is_fitted(self)
        return EmbeddedDistance(self)


class EmbeddedDistance:
    """Distance of two rows after a fitted learner's embedding."""

    def __init__(self, learner):
        self.learner = learner

    def __call__(self, u, v):
        """Learned distance between the rows ``u`` and ``v``, each of shape (n_features,)."""
        return float(self.learner.paired_distances(np.atleast_2d(u), np.atleast_2d(v))[0])


class LinearDistance:
    """``‖L(u - v)‖`` with the components held by value."""

    def __init__(self, components):
        self.components = np.array(components)

    def __call__(self, u, v):
        """Learned distance between the rows ``u`` and ``v``, each of shape (n_features,)."""
        return float(np.linalg.norm(self.components @ (np.asarray(u) - np.asarray(v))))
