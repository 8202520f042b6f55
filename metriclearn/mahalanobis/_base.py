"""What every Mahalanobis learner is, once its ``components_`` are learned."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from metriclearn._arrays import (
    float_dtypes,
    is_dask,
    moved_to,
    namespace,
    on_host,
    to_numpy,
    unit_of,
)
from metriclearn._metric import LearnedMetricMixin, LinearDistance
from metriclearn._sklearn import check_n_features
from metriclearn._unused import warn_unused
from metriclearn._validation import as_labels, check_known_numbers, check_numeric
from metriclearn.constraints._kinds import check_constraints, is_constraints
from metriclearn.mahalanobis._hints import Hints, check_kind_of_rows

# Enough rows to estimate the spread of each feature, and so to notice another unit.
_ROWS_OF_SPREAD = 100
_LONG_FIT = 60  # seconds; longer fits warn before they begin


class MahalanobisTransformer(
    LearnedMetricMixin, Hints, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Base of the linear learners: all that follows from ``components_``.

    A learner writes ``fit``: it validates with ``_validate_fit``, finds ``L``
    and ends with ``_set_components(L)``. Whatever needs more than that belongs
    to the learner, not here.

    See Also
    --------
    metriclearn.MahalanobisLearner : Any loss on pairs, triplets or quadruplets, ready made.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn.mahalanobis import MahalanobisTransformer
    >>> class Standardized(MahalanobisTransformer):
    ...     def fit(self, X, y=None):
    ...         X, y = self._validate_fit(X, y)
    ...         return self._set_components(np.diag(1 / X.std(axis=0)))
    >>> X, y = load_iris(return_X_y=True)
    >>> Standardized().fit(X, y).get_mahalanobis_matrix().shape
    (4, 4)
    """

    _constraint_kinds = ()
    # Arguments that say how constraints are drawn from labels.
    _of_drawing: tuple = ()
    _fits_sparse = False
    _target_is_class = True

    def __init__(self) -> None:
        pass

    def _validate_fit(self, X, y=None, constraints=None, *, reset=True):
        """Check the arguments of ``fit`` or ``partial_fit``; ``X`` comes back as a float array.

        Exactly one of ``y`` and ``constraints`` must be given, and the
        constraints must be of a kind in ``_constraint_kinds``.
        """
        name = type(self).__name__
        check_kind_of_rows(X, name, self._fits_sparse)
        if is_constraints(y):
            raise ValueError(
                f"y is {y!r}; constraints are given by name: fit(X, constraints={type(y).__name__}"
                f"(...))"
            )
        if y is not None and constraints is not None:
            raise ValueError("y and constraints were both given; give one of them")
        if is_dask(X) and self._fits_sparse:
            return self._validate_dask(X, y, constraints, reset)
        checks = {
            "dtype": float_dtypes(X),
            # A later part of a stream may be a single row.
            "ensure_min_samples": 2 if reset or not hasattr(self, "_stream") else 1,
            "accept_sparse": "csr" if self._fits_sparse else False,
            "reset": reset,
        }
        has_target = constraints is None and self.__sklearn_tags__().target_tags.required
        if has_target:
            self._check_target_given(y)
            if self._target_is_class:
                y = as_labels(y)
            else:
                check_numeric(y, "y")
                check_known_numbers(y)
            X, y = validate_data(self, X, y, **checks)
        else:
            X = validate_data(self, X, **checks)
        self._check_library(X)
        if constraints is not None:
            check_constraints(constraints, self._constraint_kinds, X.shape[0], name)
            warn_unused(self, dict.fromkeys(self._of_drawing, "when fitting from labels"))
        return X, to_numpy(y) if has_target else None

    def _validate_dask(self, X, y, constraints, reset):
        """Check a dask array without reading its rows; ``y`` comes back as numpy's."""
        if X.ndim != 2 or X.dtype.kind not in "fiub":
            raise ValueError(f"X: expected numbers of shape (n, n_features), got {X}")
        if any(np.isnan(size) for size in X.shape):
            X = X.compute_chunk_sizes()
        X = X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)
        if X.shape[0] < 2 or X.shape[1] < 1:
            raise ValueError(f"X: found {X.shape[0]} rows of {X.shape[1]} features; give 2 rows")
        check_n_features(self, X, reset=reset)
        if not np.isfinite(float(abs(X).max().compute())):
            raise ValueError("X contains NaN, infinity or a value too large")
        if constraints is not None:
            check_constraints(constraints, self._constraint_kinds, X.shape[0], type(self).__name__)
            return X, None
        if not self.__sklearn_tags__().target_tags.required:
            return X, None
        self._check_target_given(y)
        y = column_or_1d(np.asarray(as_labels(y)), warn=True)
        check_consistent_length(X, y)
        return X, y

    def _check_target_given(self, y):
        if y is None and self._constraint_kinds:
            kinds = " or ".join(kind.__name__ for kind in self._constraint_kinds)
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; give "
                f"labels y, or {kinds} as constraints"
            )

    def _check_library(self, X):
        if not on_host(X) and not self.__sklearn_tags__().array_api_support:
            raise ValueError(
                f"X: {type(self).__name__} computes with numpy alone, got a {type(X).__name__}; "
                f"give it a numpy array"
            )

    def _set_components(self, components, like=None):
        """Keep the result.

        Parameters
        ----------
        components : array-like of shape (r, n_features)
            Filled up with zero rows where ``n_components`` asks for more.
        like : ndarray or tensor, default=None
            Rows whose library, device and dtype the result takes.
        """
        components = np.ascontiguousarray(components)
        missing = (getattr(self, "n_components", None) or 0) - len(components)
        if missing > 0:
            components = np.pad(components, ((0, missing), (0, 0)))
        if like is not None:
            with np.errstate(over="ignore"):
                components = moved_to(like, components)
        values = to_numpy(components)
        if not np.isfinite(values.sum()) and not np.all(np.isfinite(values)):
            raise ValueError(
                f"X: its values are so small, or so far apart, that the metric in their units is "
                f"beyond the largest {components.dtype}; scale X, for example by StandardScaler"
            )
        self.components_ = components
        if isinstance(like, np.ndarray):
            # Lets a display notice that it is given rows in another unit.
            rows = like[:: len(like) // _ROWS_OF_SPREAD + 1]
            unit = rows.dtype.type(unit_of(rows))
            rows = rows / unit
            rows -= rows.mean(axis=0)
            variances = np.einsum("ij,ij->j", rows, rows) / len(rows)
            self._spread = (np.sqrt(variances) * unit).tolist()
        self._n_features_out = components.shape[0]
        return self

    def _check_rows(self, X):
        check_kind_of_rows(X, type(self).__name__, fits_sparse=True)
        X = validate_data(self, X, dtype=float_dtypes(X), accept_sparse="csr", reset=False)
        if on_host(X) != on_host(self.components_):
            raise ValueError(
                f"X is a {type(X).__name__}, but {type(self).__name__} was fitted to a "
                f"{type(self.components_).__name__}: {type(self).__name__}.transform() and all "
                f"that measures distances must use the same namespace as fit, and tensors "
                f"sklearn.config_context(array_api_dispatch=True)"
            )
        return X

    def _embed(self, X):
        if on_host(X):
            return X @ self.components_.T.astype(X.dtype, copy=False)
        return X @ namespace(X).astype(self.components_, X.dtype, copy=False).T

    def _embed_difference(self, A, B):
        # Subtracted first, here and below: an offset that all rows share then costs no digits.
        if sparse.issparse(A) != sparse.issparse(B):
            return super()._embed_difference(A, B)
        return self._embed(A - B)

    def _embed_both(self, A, B):
        if sparse.issparse(A) or sparse.issparse(B):
            return super()._embed_both(A, B)
        center = namespace(B).mean(B, axis=0)
        embedded = self._embed(B - center)
        return (embedded if A is B else self._embed(A - center)), embedded

    def transform(self, X: ArrayLike | sparse.spmatrix) -> np.ndarray:
        """Map rows to the learned space, where Euclidean distance is the learned metric.

        Parameters
        ----------
        X : array-like or sparse of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_components)
            ``X @ components_.T``, in the dtype of ``X`` (float32 or float64).
        """
        check_is_fitted(self)
        return self._embed(self._check_rows(X))

    def paired_contributions(self, A: ArrayLike, B: ArrayLike) -> np.ndarray:
        """Split the squared distance of each pair over the columns.

        With δ = a - b, column j adds ``δ_j (M δ)_j``, so that the row sums are the squared
        distances. The part of a column is negative where the column makes up for others.

        Parameters
        ----------
        A, B : array-like of shape (n, n_features)
            The rows of each pair.

        Returns
        -------
        ndarray of shape (n, n_features), float64

        Raises
        ------
        ValueError
            For sparse rows, and for other numbers of rows or columns.
        """
        check_is_fitted(self)
        A, B = (to_numpy(self._check_rows(X)) for X in (A, B))
        if sparse.issparse(A) or sparse.issparse(B):
            raise ValueError("A and B must be dense: every column of a pair has its part")
        check_consistent_length(A, B)
        delta = A.astype(np.float64) - B
        L = to_numpy(self.components_).astype(np.float64)
        return delta * (delta @ L.T @ L)

    def get_mahalanobis_matrix(self) -> np.ndarray:
        """Return ``M = LᵀL``, with ``d(u, v)² = (u - v)ᵀ M (u - v)``.

        Returns
        -------
        ndarray of shape (n_features, n_features), float64
            Symmetric positive semidefinite. Of a learner of tensors a tensor, in their dtype.

        Raises
        ------
        ValueError
            If an entry is beyond the largest float64, as where features are of size 1e-160.
        """
        check_is_fitted(self)
        L = self.components_
        if not on_host(L):
            return L.T @ L
        L = L.astype(np.float64, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            M = L.T @ L
        if not np.all(np.isfinite(M)):
            raise ValueError(
                "M = LᵀL has entries beyond the largest float64; use components_ (L), transform "
                "or the distances, or fit to X times a power of ten"
            )
        return M

    def get_metric(self) -> Callable[..., Any]:
        """Return the learned metric as a function of two rows.

        Returns
        -------
        callable
            ``metric(u, v) -> float``, picklable, holding a copy of
            ``components_``: ``KNeighborsClassifier(metric=learner.get_metric())``.
            Searching ``transform(X)`` gives the same neighbors much faster.
        """
        check_is_fitted(self)
        return LinearDistance(to_numpy(self.components_))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.sparse = self._fits_sparse
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def warn_not_converged(learner, max_iter, remedy="raise max_iter or tol, or scale the features"):
    """Warn that a solver stopped before its tolerance was met."""
    warnings.warn(
        f"{learner} did not converge in max_iter={max_iter} iterations; {remedy}",
        ConvergenceWarning,
        stacklevel=3,
    )


def warn_of_long_fit(learner, seconds, n_rows, remedy=None):
    """Warn before the work that it will take long, and say what would not.

    Parameters
    ----------
    learner : str
    seconds : float
        What one core needs, roughly.
    n_rows : int
    remedy : str, default=None
        By default to fit to fewer rows, in about ten seconds.
    """
    if seconds <= _LONG_FIT:
        return
    enough = int(n_rows * (10 / seconds) ** 0.5) // 100 * 100 or n_rows // 2
    remedy = remedy or (
        f"fit it to some {enough} of them, sklearn.model_selection.train_test_split(X, y, "
        f"train_size={enough}, stratify=y) for example"
    )
    warnings.warn(
        f"{learner} compares all pairs of {n_rows} rows, which takes one core some "
        f"{max(1, round(seconds / 60))} minutes; {remedy}",
        UserWarning,
        stacklevel=3,
    )
