"""Nearest neighbors that predict: a classifier and a regressor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import column_or_1d, gen_batches
from sklearn.utils.validation import check_is_fitted

from metriclearn._sklearn import fit_context, one_of
from metriclearn._validation import as_labels, check_classes, check_numeric, validate_rows
from metriclearn.neighbors._base import FaissNeighborsBase

_VOTE_ENTRIES = 2**22


class _SupervisedNeighbors(FaissNeighborsBase):
    """Neighbors with targets: validation and the weights of votes."""

    _parameter_constraints: dict = {
        **FaissNeighborsBase._parameter_constraints,
        "weights": [one_of("uniform", "distance"), callable, None],
    }

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        weights: str | Callable[[np.ndarray], np.ndarray] | None = "uniform",
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
        self.weights = weights
        self.metric = metric
        self.index = index
        self.search_params = search_params
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.p = p
        self.metric_params = metric_params
        self.n_jobs = n_jobs

    def _validate_fit(self, X, y):
        if self.weights == "distance" and self.metric == "inner_product":
            raise ValueError(
                "weights='distance' needs distances from 0, metric='inner_product' has none; use "
                "weights='uniform' or metric='cosine'"
            )
        return validate_rows(self, X, y, multi_output=True)

    def _neighbors_and_weights(self, X):
        if self.weights in (None, "uniform"):
            indices = self.kneighbors(X, return_distance=False)
            return indices, np.ones(indices.shape)
        distances, indices = self.kneighbors(X)
        if callable(self.weights):
            weights = np.asarray(self.weights(distances), dtype=float)
            if weights.shape != distances.shape:
                raise ValueError(
                    f"weights must return an array of shape {distances.shape}, as it was given, "
                    f"got {weights.shape}"
                )
        else:
            # Where a neighbor is at distance zero, only such neighbors count.
            touching = distances == 0
            distances[touching] = 1
            weights = np.where(touching.any(axis=1, keepdims=True), touching, 1 / distances)
        if not np.all(weights.any(axis=1)):
            row = int(np.flatnonzero(~weights.any(axis=1))[0])
            raise ValueError(
                f"weights gives weight zero to all neighbors of query {row}; at least one must "
                f"count"
            )
        return indices, weights


class FaissKNeighborsClassifier(ClassifierMixin, _SupervisedNeighbors):
    """Vote of the k nearest neighbors; exact by default and fast at any size.

    Results and parameters are those of scikit-learn's ``KNeighborsClassifier``; ``index``
    chooses the search, where scikit-learn has ``algorithm``.
    Exact search needs no faiss: rows are screened by one matrix product in float32
    and ranked by distances computed in float64, so that a common offset or a
    near tie does not change the neighbors. Approximate indexes are faiss's
    (Douze et al., 2024), and what they find is ranked in the same way.

    Parameters
    ----------
    n_neighbors : int, default=5
        Fitted rows that vote on a query.
    weights : {"uniform", "distance"}, callable or None, default="uniform"
        ``"distance"`` weighs a vote by one over its distance; a callable gets the
        distances, shape (n_queries, n_neighbors), and returns as many weights.
    metric : {"euclidean", "minkowski", "l2", "cosine", "inner_product"}, default="euclidean"
        The first three are the same distance, as in scikit-learn with ``p=2``.
        ``"cosine"`` is one minus the cosine; ``"inner_product"`` is minus the inner
        product, so that smaller is nearer.
    index : {"auto", "flat", "hnsw", "ivf", "ivfpq"} or str, default="auto"
        ``"flat"`` is exact; ``"auto"`` is exact up to a million rows and ``"ivf"``
        beyond, where faiss is installed; any other string goes to faiss's
        ``index_factory``.
    search_params : str, default=None
        Effort of an approximate search in faiss's words: ``"nprobe=32"``,
        ``"efSearch=128"``.
    algorithm : {"auto", "brute"}, default="auto"
        Accepted for code written for scikit-learn, where both are exact; ``index``
        chooses the search. There are no trees, so their names are an error.
    leaf_size : int, default=30
        Accepted for code written for scikit-learn: the size of its trees' leaves,
        on which no result depends.
    p : float, default=2
        Power of ``metric="minkowski"``; any other than 2 is an error.
    metric_params : None
        No metric here has parameters; any are an error.
    n_jobs : int, default=None
        Threads of numpy and faiss during a search, counted as joblib does; None
        leaves them as they are.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of them for several outputs
    outputs_2d_ : bool
        Whether ``y`` had several outputs.
    n_samples_fit_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    sklearn.neighbors.KNeighborsClassifier : The same votes, by trees or brute force.
    OpenSetClassifier : May also answer that it is nobody.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn.neighbors import FaissKNeighborsClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> FaissKNeighborsClassifier(n_neighbors=3).fit(X, y).predict(X[::50])
    array([0, 1, 2])
    """

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Index the rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,) or (n, n_outputs)
            Class labels.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If ``X`` holds NaN or infinity, or ``y`` is continuous.
        """
        X, y = self._validate_fit(X, as_labels(y))
        check_classes(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self.outputs_2d_ = y.ndim == 2
        outputs = [np.unique(column, return_inverse=True) for column in y.reshape(len(y), -1).T]
        self._codes = np.column_stack([codes.reshape(-1) for _, codes in outputs])
        classes = [each for each, _ in outputs]
        self.classes_ = classes if self.outputs_2d_ else classes[0]
        return self._build(X)

    def _class_lists(self):
        return self.classes_ if self.outputs_2d_ else [self.classes_]

    def _votes(self, indices, weights, output, n_classes):
        codes = self._codes[indices, output]
        cells = codes + n_classes * np.arange(len(codes))[:, None]
        votes = np.bincount(cells.ravel(), weights.ravel(), minlength=len(codes) * n_classes)
        return votes.reshape(len(codes), n_classes)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict the class with most votes; of equals, the first in order.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), or None
            None predicts the fitted rows, each without itself.

        Returns
        -------
        ndarray of shape (n_queries,) or (n_queries, n_outputs)
        """
        indices, weights = self._neighbors_and_weights(X)
        predicted = []
        for output, classes in enumerate(self._class_lists()):
            # Votes of all classes at once would be large where classes are many.
            step = max(1, _VOTE_ENTRIES // len(classes))
            winners = [
                self._votes(indices[block], weights[block], output, len(classes)).argmax(axis=1)
                for block in gen_batches(len(indices), step)
            ]
            predicted.append(classes[np.concatenate(winners)])
        return np.column_stack(predicted) if self.outputs_2d_ else predicted[0]

    def predict_proba(self, X: ArrayLike) -> np.ndarray | list[np.ndarray]:
        """Estimate class probabilities: the share of votes.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), or None
            None predicts the fitted rows, each without itself.

        Returns
        -------
        ndarray of shape (n_queries, n_classes), or list of them for several outputs
            Columns in the order of ``classes_``.
        """
        indices, weights = self._neighbors_and_weights(X)
        probabilities = []
        for output, classes in enumerate(self._class_lists()):
            votes = self._votes(indices, weights, output, len(classes))
            probabilities.append(votes / votes.sum(axis=1, keepdims=True))
        return probabilities if self.outputs_2d_ else probabilities[0]


class FaissKNeighborsRegressor(RegressorMixin, _SupervisedNeighbors):
    """Mean of the k nearest neighbors' targets; exact by default and fast at any size.

    Results are those of scikit-learn's ``KNeighborsRegressor``; for its parameters see
    :class:`FaissKNeighborsClassifier`.

    Parameters
    ----------
    n_neighbors, weights, metric, index, search_params
        See :class:`FaissKNeighborsClassifier`.
    algorithm, leaf_size, p, metric_params, n_jobs
        See :class:`FaissKNeighborsClassifier`.

    Attributes
    ----------
    n_samples_fit_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    sklearn.neighbors.KNeighborsRegressor : The same means, by trees or brute force.
    metriclearn.MLKR : Learns the metric for it.

    Examples
    --------
    >>> from metriclearn.neighbors import FaissKNeighborsRegressor
    >>> model = FaissKNeighborsRegressor(n_neighbors=2).fit([[0], [1], [3]], [0.0, 1.0, 2.0])
    >>> model.predict([[1.8]])
    array([1.5])
    """

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Index the rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,) or (n, n_outputs)
            Numbers.

        Returns
        -------
        self
        """
        if y is not None:
            check_numeric(y, "y")
        X, y = self._validate_fit(X, y)
        self._y = y.astype(np.result_type(y.dtype, np.float32), copy=False)
        return self._build(X)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict the weighted mean of the neighbors' targets.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), or None
            None predicts the fitted rows, each without itself.

        Returns
        -------
        ndarray of shape (n_queries,) or (n_queries, n_outputs)
        """
        check_is_fitted(self)
        indices, weights = self._neighbors_and_weights(X)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.einsum("qk,qk...->q...", weights, self._y[indices])
