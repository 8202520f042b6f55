"""Covariance: the classical Mahalanobis distance, the baseline to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from numpy.typing import ArrayLike

from metriclearn._linalg import inverse_sqrt_psd
from metriclearn._sklearn import fit_context
from metriclearn._validation import weighted_rows
from metriclearn.mahalanobis._base import MahalanobisTransformer
from metriclearn.mahalanobis._scatter._span import Span
from metriclearn.mahalanobis._scatter._stream import Stream

if TYPE_CHECKING:
    from scipy import sparse


class Covariance(MahalanobisTransformer):
    """Mahalanobis distance of the data's inverse covariance [1]_.

    ::

        M = Σ⁺,   Σ = 1/Σw Σᵢ wᵢ (xᵢ - x̄)(xᵢ - x̄)ᵀ

    Decorrelates the features and gives each direction unit variance; labels
    are not used. Directions in which the data do not vary get no weight
    (pseudo-inverse), so constant and duplicate features do no harm.

    Attributes
    ----------
    components_ : ndarray of shape (n_features, n_features)
        Symmetric square root of ``M``.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    RCA : Uses the scatter within groups of rows.
    LFDA : Uses classes.
    sklearn.covariance.LedoitWolf : Chooses the shrinkage by a formula.

    References
    ----------
    .. [1] Mahalanobis, P. C. "On the generalised distance in statistics", Proceedings of the
       National Institute of Sciences of India 2, 1936; reprinted in Sankhya A 80, 2018.
       :doi:`10.1007/s13171-019-00164-5`

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import Covariance
    >>> X, y = load_iris(return_X_y=True)
    >>> Covariance().fit(X).transform(X).std(axis=0).round(6)
    array([1., 1., 1., 1.])
    """

    _parameter_constraints: dict = {}
    _fits_sparse = True

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike | sparse.spmatrix, y: None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Compute the inverse covariance.

        Parameters
        ----------
        X : array-like or sparse of shape (n, n_features)
            Or a dask array, whose blocks are read one by one.
        y : None
            Ignored.
        sample_weight : array-like of shape (n,), default=None
            ``w ≥ 0``; a row of weight two counts as two rows.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If ``X`` holds NaN or infinity, or fewer than 2 rows; if a weight is below zero, or
            all are zero.
        """
        X, _ = self._validate_fit(X)
        self.__dict__.pop("_stream", None)
        weights, X = weighted_rows(sample_weight, X)
        span = Span(X, weights=weights)
        size = X.shape[0] if weights is None else weights.sum()
        components = inverse_sqrt_psd(span.scatter(weights) / size)
        return self._set_components(span.leave(components), like=X)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike | sparse.spmatrix, y: None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add rows; after all of them the metric is that of ``fit`` to all at once.

        Parameters
        ----------
        X : array-like or sparse of shape (n, n_features)
            A part of a memory-mapped array is never copied.
        y : None
            Ignored.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        self
        """
        X, _ = self._validate_fit(X, reset=not hasattr(self, "_stream"))
        weights, X = weighted_rows(sample_weight, X)
        stream = Stream.of(self)
        stream.add(X, weights=weights)
        self._stream, found = stream, stream.moments
        components = inverse_sqrt_psd(found.scatter / found.totals.sum()) / found.unit
        return self._set_components(components, like=X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags
