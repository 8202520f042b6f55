"""What every Mahalanobis learner is, once its ``components_`` are learned."""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from metriclearn._arrays import float_dtypes, moved_to, namespace, on_host, to_numpy
from metriclearn._metric import LearnedMetricMixin, LinearDistance
from metriclearn.constraints import check_constraints


class MahalanobisTransformer(
    LearnedMetricMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Base of the linear learners: all that follows from ``components_``.

    A learner writes ``fit``: it validates with ``_validate_fit``, finds ``L``
    and ends with ``_set_components(L)``. Whatever needs more than that belongs
    to the learner, not here.
    """

    _constraint_kinds = ()
    _fits_sparse = False

    def _validate_fit(self, X, y=None, constraints=None, *, reset=True):
        """Check the arguments of ``fit`` or ``partial_fit``; ``X`` comes back as a float array.

        Exactly one of ``y`` and ``constraints`` must be given, and the
        constraints must be of a kind in ``_constraint_kinds``.
        """
        checks = {
            "dtype": float_dtypes(X),
            "ensure_min_samples": 2,
            "accept_sparse": "csr" if self._fits_sparse else False,
            "reset": reset,
        }
        if constraints is None:
            if not self.__sklearn_tags__().target_tags.required:
                X, y = validate_data(self, X, **checks), None
            else:
                self._refuse_no_target(y)
                X, y = validate_data(self, X, y, **checks)
            self._refuse_tensors(X)
            return X, None if y is None else to_numpy(y)
        if y is not None:
            raise ValueError("y and constraints were both given; give one of them")
        X = validate_data(self, X, **checks)
        self._refuse_tensors(X)
        check_constraints(constraints, self._constraint_kinds, X.shape[0], type(self).__name__)
        return X, None

    def _refuse_no_target(self, y):
        if y is None and self._constraint_kinds:
            kinds = " or ".join(kind.__name__ for kind in self._constraint_kinds)
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; give "
                f"labels y, or {kinds} as constraints"
            )

    def _refuse_tensors(self, X):
        if not on_host(X) and not self.__sklearn_tags__().array_api_support:
            raise ValueError(
                f"X: {type(self).__name__} computes with numpy alone, got a {type(X).__name__}; "
                f"give it a numpy array"
            )

    def _set_components(self, components, like=None):
        """Keep the result; ``like``: rows whose library, device and dtype it shall have."""
        components = np.ascontiguousarray(components)
        self.components_ = components if like is None else moved_to(like, components)
        self._n_features_out = components.shape[0]
        return self

    def _check_rows(self, X):
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

    def transform(self, X):
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

    def get_mahalanobis_matrix(self):
        """Return ``M = LᵀL``, with ``d(u, v)² = (u - v)ᵀ M (u - v)``.

        Returns
        -------
        ndarray of shape (n_features, n_features)
            Symmetric positive semidefinite.
        """
        check_is_fitted(self)
        return self.components_.T @ self.components_

    def get_metric(self):
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
    """Tell the user that a solver stopped before its tolerance was met."""
    warnings.warn(
        f"{learner} did not converge in max_iter={max_iter} iterations; {remedy}",
        ConvergenceWarning,
        stacklevel=3,
    )
