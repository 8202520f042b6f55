"""Nearest neighbors without targets: searches, graphs, and a transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from metriclearn._sklearn import NOT_NEGATIVE, fit_context, one_of
from metriclearn._validation import validate_rows
from metriclearn.neighbors._base import EUCLIDEAN, FaissNeighborsBase, check_mode

if TYPE_CHECKING:
    from scipy import sparse


class FaissNearestNeighbors(FaissNeighborsBase):
    """Nearest neighbors by number or by radius, and their graphs.

    Results are those of scikit-learn's ``NearestNeighbors``; for its parameters see
    :class:`FaissKNeighborsClassifier`.

    Parameters
    ----------
    n_neighbors : int, default=5
        Fitted rows that are found for a query, unless said otherwise.
    radius : float, default=1.0
        Searches by radius are always exact.
    metric, index, search_params, algorithm, leaf_size, p, metric_params, n_jobs
        See :class:`FaissKNeighborsClassifier`.

    Attributes
    ----------
    n_samples_fit_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    sklearn.neighbors.NearestNeighbors : The same search, by trees or brute force.
    RetrievalIndex : With ids and payload; grows and shrinks.

    Examples
    --------
    >>> from metriclearn.neighbors import FaissNearestNeighbors
    >>> finder = FaissNearestNeighbors(n_neighbors=2).fit([[0.0], [1.0], [3.0]])
    >>> finder.kneighbors([[0.8]], return_distance=False)
    array([[1, 0]])
    >>> finder.radius_neighbors([[0.8]], radius=0.5, return_distance=False)[0]
    array([1])
    """

    _parameter_constraints: dict = {
        **FaissNeighborsBase._parameter_constraints,
        "radius": [NOT_NEGATIVE],
    }

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        radius: float = 1.0,
        metric: str = "euclidean",
        index: str = "auto",
        search_params: str | None = None,
        algorithm: str = "auto",
        leaf_size: int = 30,
        p: float = 2,
        metric_params: None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.metric = metric
        self.index = index
        self.search_params = search_params
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.p = p
        self.metric_params = metric_params
        self.n_jobs = n_jobs

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Index the rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : None
            Ignored.

        Returns
        -------
        self
        """
        return self._build(validate_rows(self, X))

    def radius_neighbors(
        self, X: ArrayLike | None = None, radius: float | None = None, return_distance: bool = True
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Find all fitted rows within a distance of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries; the fitted rows themselves by default, each without itself.
        radius : float, default=None
            Largest distance, itself included; the parameter of the estimator by
            default.
        return_distance : bool, default=True

        Returns
        -------
        distances : ndarray of shape (n_queries,), of ndarray
            Ascending; only with ``return_distance=True``.
        indices : ndarray of shape (n_queries,), of ndarray

        Raises
        ------
        ValueError
            For a ``radius`` below 0, or with ``metric="inner_product"``.
        """
        check_is_fitted(self)
        radius = self.radius if radius is None else radius
        if not radius >= 0:
            raise ValueError(f"radius must be 0 or more, got {radius!r}")
        queries = self._search.X if X is None else self._check_queries(X)
        with self._threads():
            found = self._search.radius(queries, radius)
        if X is None:
            found = [(d[i != row], i[i != row]) for row, (d, i) in enumerate(found)]
        distances, indices = (np.empty(len(found), dtype=object) for _ in range(2))
        distances[:] = [each for each, _ in found]
        indices[:] = [each for _, each in found]
        return (distances, indices) if return_distance else indices

    def radius_neighbors_graph(
        self, X: ArrayLike | None = None, radius: float | None = None, mode: str = "connectivity"
    ) -> sparse.csr_matrix:
        """Draw the graph of each query to the fitted rows within a distance of it.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries; the fitted rows themselves by default, each without itself.
        radius : float, default=None
            The parameter of the estimator by default.
        mode : {"connectivity", "distance"}, default="connectivity"
            Whether edges are ones or distances.

        Returns
        -------
        scipy.sparse.csr_matrix of shape (n_queries, n_samples_fit)
        """
        check_mode(mode)
        distances, indices = self.radius_neighbors(X, radius)
        starts = np.concatenate([[0], np.cumsum([len(each) for each in indices])])
        return self._graph(np.concatenate(distances), np.concatenate(indices), starts, mode)


class FaissKNeighborsTransformer(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, FaissNeighborsBase
):
    """Rows to the sparse graph of their nearest neighbors.

    Follows scikit-learn's ``KNeighborsTransformer``: the graph feeds whatever takes
    precomputed distances (TSNE, Isomap, DBSCAN, ``KNeighborsClassifier``).

    Parameters
    ----------
    mode : {"distance", "connectivity"}, default="distance"
        Whether edges are distances or ones.
    n_neighbors : int, default=5
        With ``mode="distance"`` one more is found, since a fitted row finds itself.
    metric : {"euclidean", "minkowski", "l2", "cosine"}, default="euclidean"
    index, search_params, algorithm, leaf_size, p, metric_params, n_jobs
        See :class:`FaissKNeighborsClassifier`.

    Attributes
    ----------
    n_samples_fit_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    sklearn.neighbors.KNeighborsTransformer : The same graph, by trees or brute force.
    FaissNearestNeighbors : The search itself.

    Examples
    --------
    >>> from sklearn.cluster import DBSCAN
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from metriclearn.neighbors import FaissKNeighborsTransformer
    >>> X, _ = load_iris(return_X_y=True)
    >>> graph = FaissKNeighborsTransformer(n_neighbors=20)
    >>> labels = make_pipeline(graph, DBSCAN(metric="precomputed")).fit_predict(X)
    >>> int(labels.max()) + 1
    2
    """

    _parameter_constraints: dict = {
        **FaissNeighborsBase._parameter_constraints,
        "mode": [one_of("distance", "connectivity")],
        "metric": [one_of("euclidean", "cosine", *EUCLIDEAN)],
    }

    def __init__(
        self,
        *,
        mode: str = "distance",
        n_neighbors: int = 5,
        metric: str = "euclidean",
        index: str = "auto",
        search_params: str | None = None,
        algorithm: str = "auto",
        leaf_size: int = 30,
        p: float = 2,
        metric_params: None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.mode = mode
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.index = index
        self.search_params = search_params
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.p = p
        self.metric_params = metric_params
        self.n_jobs = n_jobs

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Index the rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : None
            Ignored.

        Returns
        -------
        self
        """
        self._build(validate_rows(self, X))
        self._n_features_out = self.n_samples_fit_
        return self

    def transform(self, X: ArrayLike) -> sparse.csr_matrix:
        """Draw the graph of each row to its nearest fitted rows.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)

        Returns
        -------
        scipy.sparse.csr_matrix of shape (n_queries, n_samples_fit)
        """
        check_is_fitted(self)
        extra = self.mode == "distance"
        return self.kneighbors_graph(X, self.n_neighbors + extra, self.mode)
