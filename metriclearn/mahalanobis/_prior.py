"""``prior=``: the matrix that a learned metric is kept close to."""

import numpy as np
from scipy import linalg
from sklearn.utils import check_random_state

from metriclearn._linalg import is_psd
from metriclearn._sklearn import StrOptions
from metriclearn.mahalanobis._discriminant import centered_scatter, feature_scales

PRIOR_OPTIONS = [StrOptions({"identity", "covariance", "random"}), "array-like"]

# Eigenvalues below this part of the largest count as zero.
_RANK_TOL = 1e-10


def check_prior(prior, n_features):
    """Refuse a prior array that is no positive semidefinite matrix over the features.

    Raises
    ------
    ValueError
        For the wrong shape, NaN or infinity, asymmetry, or an eigenvalue below
        zero.
    """
    if isinstance(prior, str):
        return
    prior = np.asarray(prior)
    if prior.shape != (n_features, n_features):
        raise ValueError(
            f"prior must be of shape (n_features, n_features) = ({n_features}, {n_features}), "
            f"got {prior.shape}"
        )
    if not np.issubdtype(prior.dtype, np.number) or not np.all(np.isfinite(prior)):
        raise ValueError("prior must hold finite numbers, got NaN, infinity or something else")
    if not is_psd(prior):
        raise ValueError(
            "prior must be symmetric positive semidefinite, got a matrix that is asymmetric or "
            "has an eigenvalue below zero"
        )
    if not np.any(prior):
        raise ValueError("prior must not be zero everywhere")


def prior_factor(prior, X, random_state=None):
    """Factor ``L0`` of the prior ``M0 = L0ᵀ L0``.

    Parameters
    ----------
    prior : {"identity", "covariance", "random"} or array-like of shape (d, d)
        ``"covariance"``: the pseudo-inverse of the covariance of ``X``;
        ``"random"``: a random matrix with eigenvalues spread over (0, 1);
        or the matrix itself, positive semidefinite.
    X : ndarray of shape (n, d)
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    ndarray of shape (r, d)
        With as many rows as the prior has rank. A metric ``L0ᵀ A L0`` has the
        range of the prior, as LogDet regularization demands.
    """
    d = X.shape[1]
    check_prior(prior, d)
    if isinstance(prior, str):
        if prior == "identity":
            return np.eye(d)
        if prior == "random":
            random_state = check_random_state(random_state)
            axes = linalg.qr(random_state.standard_normal((d, d)))[0]
            return np.sqrt(random_state.uniform(0.05, 1, size=d))[:, None] * axes
        covariance = centered_scatter(X) / len(X)
        scales = feature_scales(covariance)
        values, vectors = _range_of(covariance / np.outer(scales, scales))
        return (vectors / np.sqrt(values)).T / scales
    values, vectors = _range_of(np.asarray(prior, dtype=np.float64))
    return np.sqrt(values)[:, None] * vectors.T


def prior_inverse(prior, X, random_state=None):
    """``M0⁻¹`` of a prior: the covariance itself for ``"covariance"``, also where singular.

    Returns
    -------
    ndarray of shape (d, d)
        Positive semidefinite; the pseudo-inverse of a singular array.
    """
    if isinstance(prior, str) and prior == "covariance":
        return centered_scatter(X) / len(X)
    factor = prior_factor(prior, X, random_state)
    # Its rows are orthogonal, of squared length an eigenvalue.
    return (factor.T / np.sum(factor**2, axis=1) ** 2) @ factor


def _range_of(S):
    values, vectors = linalg.eigh((S + S.T) / 2)
    keep = values > _RANK_TOL * max(values[-1], 0)
    return values[keep], vectors[:, keep]
