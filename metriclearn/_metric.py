"""What every learner can do with its learned space: distances, and a callable metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from sklearn.utils.validation import check_is_fitted

from metriclearn._arrays import device, namespace, on_host, squared_norms, unit_of
from metriclearn._pairs import pairwise_sq_distances

_BLOCK_SIZE = 2**18  # pairs that are looked at at a time


class LearnedMetricMixin:
    """Distances in the learned space, for any estimator that can embed.

    The estimator provides ``_embed(X)``: input rows (checked here with the
    estimator's own ``_check_rows``) to rows whose Euclidean distance is the
    learned metric. Nothing else is asked of it, so linear and deep learners
    share these methods.
    """

    _check_rows: Callable[..., np.ndarray]

    def paired_distances(self, A: ArrayLike, B: ArrayLike) -> np.ndarray:
        """Compute the learned distance between each row of ``A`` and the same row of ``B``.

        Parameters
        ----------
        A, B : array-like of shape (n, n_features)
            Rows in the input space.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        ValueError
            For NaN or infinity, other numbers of rows, or another number of features than fitted.
        """
        check_is_fitted(self)
        A, B = self._check_rows(A), self._check_rows(B)
        if A.shape[0] != B.shape[0]:
            raise ValueError(
                f"A and B must have as many rows as each other, got {A.shape[0]} and {B.shape[0]}"
            )
        difference = self._embed_difference(A, B)
        unit = unit_of(difference)
        return unit * namespace(difference).sqrt(squared_norms(difference / unit))

    def _embed_difference(self, A, B):
        return self._embed(A) - self._embed(B)

    def _embed_both(self, A, B):
        """Embed two arrays of rows, up to a shift of both."""
        embedded = self._embed(B)
        return (embedded if A is B else self._embed(A)), embedded

    def pairwise_distances(self, X: ArrayLike, Y: ArrayLike | None = None) -> np.ndarray:
        """Compute the learned distance between every row of ``X`` and every row of ``Y``.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        Y : array-like of shape (m, n_features), default=None
            ``X`` itself by default; the result is then symmetric.

        Returns
        -------
        ndarray of shape (n, m)
            Exactly zero for equal rows.
        """
        check_is_fitted(self)
        A = self._check_rows(X)
        A, B = self._embed_both(A, A if Y is None else self._check_rows(Y))
        unit = unit_of(B)
        same, A = A is B, A / unit
        B = A if same else B / unit
        distances = pairwise_sq_distances(A, B)
        if not on_host(distances):
            xp = namespace(distances)
            distances = unit * xp.sqrt(distances)
            if Y is None:
                distances *= 1 - xp.eye(A.shape[0], dtype=distances.dtype, device=device(distances))
            return distances
        _measure_near_pairs(distances, A, B)
        np.sqrt(distances, out=distances)
        distances *= unit
        if Y is None:
            np.fill_diagonal(distances, 0)
        return distances

    def fit_transform(
        self, X: ArrayLike, y: ArrayLike | None = None, **fit_params: Any
    ) -> np.ndarray:
        """Fit to the rows, and embed them.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,), default=None
            Target. Ignored where ``constraints`` are given, so that a step of a pipeline can
            learn from constraints and a later one from labels.
        **fit_params : dict
            More arguments of ``fit``.

        Returns
        -------
        ndarray of shape (n, n_components)
        """
        if fit_params.get("constraints") is not None:
            y = None
        return super().fit_transform(X, y, **fit_params)  # type: ignore[misc]

    def get_metric(self) -> Callable[..., Any]:
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


def _measure_near_pairs(d2, A, B):
    """Replace squared distances that may be rounding by those of the differences."""
    eps = max(8, A.shape[1] / 2) * np.finfo(d2.dtype).eps
    center = B.mean(axis=0)
    bound_A, bound_B = (eps * squared_norms(rows - center) for rows in (A, B))
    step = max(1, _BLOCK_SIZE // max(1, len(B)))
    for start in range(0, len(A), step):
        block = d2[start : start + step]
        i, j = np.nonzero(block <= bound_A[start : start + step, None] + bound_B)
        for part in range(0, len(i), _BLOCK_SIZE):
            rows, columns = i[part : part + _BLOCK_SIZE], j[part : part + _BLOCK_SIZE]
            block[rows, columns] = squared_norms(A[start + rows] - B[columns])


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
        return float(
            linalg.norm(self.components @ (np.asarray(u) - np.asarray(v)), check_finite=False)
        )
