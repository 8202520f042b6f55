"""Covariance: the classical Mahalanobis distance, the baseline to beat."""

from sklearn.base import _fit_context

from metriclearn._linalg import inverse_sqrt_psd
from metriclearn.mahalanobis._base import MahalanobisTransformer


class Covariance(MahalanobisTransformer):
    """Mahalanobis distance of the data's inverse covariance (P. C. Mahalanobis, 1936).

    ::

        M = Σ⁺,   Σ = 1/n Σᵢ (xᵢ - x̄)(xᵢ - x̄)ᵀ

    Decorrelates the features and gives each direction unit variance; labels
    are not used. Directions in which the data do not vary get no weight
    (pseudo-inverse), so constant and duplicate features do no harm.

    Attributes
    ----------
    components_ : ndarray of shape (n_features, n_features)
        Symmetric square root of ``M``.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import Covariance
    >>> X, y = load_iris(return_X_y=True)
    >>> Covariance().fit(X).transform(X).std(axis=0).round(6)
    array([1., 1., 1., 1.])
    """

    _parameter_constraints: dict = {}

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Compute the inverse covariance.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If ``X`` holds NaN or infinity, or fewer than 2 rows.
        """
        X, _ = self._validate_fit(X)
        centred = X - X.mean(axis=0)
        return self._set_components(inverse_sqrt_psd(centred.T @ centred / len(X)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags
