"""What the nearest-neighbor estimators share: an index, its queries and its graph."""

from __future__ import annotations

from contextlib import nullcontext
from numbers import Integral, Real

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from metriclearn._sklearn import Options, at_least, one_of
from metriclearn._validation import validate_rows
from metriclearn.neighbors._faiss import build_search
from metriclearn.neighbors._search._ranker import METRICS, is_checked

# scikit-learn's other names of the Euclidean distance, the first with p=2.
EUCLIDEAN = ("minkowski", "l2")


class FaissNeighborsBase(BaseEstimator):
    """Base of the estimators: ``kneighbors`` and ``kneighbors_graph`` over an index.

    An estimator writes ``fit``: it validates its input and calls ``_build(X)``.
    """

    _parameter_constraints: dict = {
        "n_neighbors": [at_least(1)],
        "metric": [one_of(*METRICS, *EUCLIDEAN)],
        "index": [str],
        "search_params": [str, None],
        "algorithm": [one_of("auto", "brute")],
        "leaf_size": [at_least(1)],
        "p": [Options(Real, {2})],
        "metric_params": [None],
        "n_jobs": [Integral, None],
    }

    def _build(self, X):
        metric = "euclidean" if self.metric in EUCLIDEAN else self.metric
        with self._threads():
            self._search = build_search(X, metric, self.index, self.search_params)
        self.n_samples_fit_ = len(X)
        return self

    def _threads(self):
        """Context in which numpy and faiss use ``n_jobs`` threads."""
        if self.n_jobs is None:
            return nullcontext()
        return threadpool_limits(effective_n_jobs(self.n_jobs))

    def _check_queries(self, X):
        # The usual case, in a fraction of the time.
        if not hasattr(self, "feature_names_in_") and is_checked(X, self.n_features_in_):
            return X
        return validate_rows(self, X, reset=False)

    def kneighbors(
        self,
        X: ArrayLike | None = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest fitted rows of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries; the fitted rows themselves by default, each without itself.
        n_neighbors : int, default=None
            The parameter of the estimator by default.
        return_distance : bool, default=True

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors)
            Ascending; only with ``return_distance=True``.
        indices : ndarray of shape (n_queries, n_neighbors)
            Fitted rows; those at equal distances by row number.

        Raises
        ------
        TypeError, ValueError
            If ``n_neighbors`` is no integer from 1 to the number of (other) fitted rows.
        """
        check_is_fitted(self)
        n_neighbors = self.n_neighbors if n_neighbors is None else n_neighbors
        if not isinstance(n_neighbors, Integral):
            raise TypeError(f"n_neighbors must be an integer, got {n_neighbors!r}")
        if n_neighbors < 1:
            raise ValueError(f"Expected n_neighbors > 0. Got {n_neighbors}")
        own = X is None
        n_queries = self.n_samples_fit_
        if not own:
            X = self._check_queries(X)
            n_queries = len(X)
        if n_neighbors > self.n_samples_fit_ - own:
            raise ValueError(
                f"Expected n_neighbors {'<' if own else '<='} n_samples_fit, but "
                f"n_neighbors = {n_neighbors}, n_samples_fit = {self.n_samples_fit_}, "
                f"n_samples = {n_queries}"
            )
        with self._threads():
            if own:
                distances, indices = self._search.search_all(n_neighbors)
            else:
                distances, indices = self._search.search(X, n_neighbors)
        return (distances, indices) if return_distance else indices

    def kneighbors_graph(
        self, X: ArrayLike | None = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> sparse.csr_matrix:
        """Draw the graph of each query to its nearest fitted rows.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries; the fitted rows themselves by default, each without itself.
        n_neighbors : int, default=None
            The parameter of the estimator by default.
        mode : {"connectivity", "distance"}, default="connectivity"
            Whether edges are ones or distances.

        Returns
        -------
        scipy.sparse.csr_matrix of shape (n_queries, n_samples_fit)
        """
        check_mode(mode)
        distances, indices = self.kneighbors(X, n_neighbors)
        starts = np.arange(0, indices.size + 1, indices.shape[1])
        return self._graph(distances.ravel(), indices.ravel(), starts, mode)

    def _graph(self, distances, indices, starts, mode):
        edges = distances if mode == "distance" else np.ones(len(indices))
        shape = (len(starts) - 1, self.n_samples_fit_)
        return sparse.csr_matrix((edges, indices, starts), shape=shape)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def check_mode(mode):
    """Raise a ``ValueError`` for an unknown kind of graph."""
    if mode not in ("connectivity", "distance"):
        raise ValueError(f"mode must be 'connectivity' or 'distance', got {mode!r}")
