"""``prior=``, the matrix that a learned metric is kept close to, and ``bounds=`` on distances."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from sklearn.utils import check_random_state

from metriclearn._linalg import is_psd
from metriclearn._sklearn import one_of
from metriclearn.mahalanobis._scatter._span import feature_scales

PRIOR_OPTIONS = [one_of("identity", "covariance", "random"), "array-like"]

# Eigenvalues below this part of the largest count as zero.
_RANK_TOL = 1e-10


def check_prior(prior, n_features):
    """Raise for a prior array that is no positive semidefinite matrix over the features."""
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


@dataclass(frozen=True)
class Prior:
    """Prior over the coordinates of a span.

    Attributes
    ----------
    factor : ndarray of shape (r, width)
        ``L0``, with ``M0 = scale² L0ᵀ L0`` over the coordinates. As many rows as the prior
        has rank: a metric ``L0ᵀ A L0`` has the range of the prior, as LogDet regularization
        demands.
    scale : float
        The unit of the span for priors over the features, which know no unit; 1 for a prior
        that comes from the rows.
    """

    factor: np.ndarray
    scale: float

    @property
    def inverse(self):
        """Pseudo-inverse of ``L0ᵀ L0``, of shape (width, width)."""
        # The rows of the factor are orthogonal, of squared length an eigenvalue.
        return (self.factor.T / np.sum(self.factor**2, axis=1) ** 2) @ self.factor


def is_given(prior):
    """Whether the prior is a matrix over the features, which no other coordinates suit."""
    return not isinstance(prior, str)


def prior_of(prior, span, random_state=None):
    """Make the prior of a metric of the rows of a span.

    Parameters
    ----------
    prior : {"identity", "covariance", "random"} or array-like of shape (d, d)
        ``"covariance"``: the pseudo-inverse of the covariance of the rows;
        ``"random"``: a random matrix with eigenvalues spread over (0, 1);
        or the matrix itself, positive semidefinite.
    span : Span
        Not reduced where the prior is a matrix.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    Prior
    """
    check_prior(prior, span.n_features)
    if is_given(prior):
        values, vectors = _range_of(np.asarray(prior, dtype=np.float64))
        return Prior(np.sqrt(values)[:, None] * vectors.T, span.unit)
    d = span.width
    if prior == "identity":
        return Prior(np.eye(d), span.unit)
    if prior == "random":
        random_state = check_random_state(random_state)
        axes = linalg.qr(random_state.standard_normal((d, d)))[0]
        return Prior(np.sqrt(random_state.uniform(0.05, 1, size=d))[:, None] * axes, span.unit)
    covariance = span.scatter() / span.n_rows
    scales = feature_scales(covariance)
    values, vectors = _range_of(covariance / np.outer(scales, scales))
    return Prior((vectors / np.sqrt(values)).T / scales, 1.0)


def prior_inverse(prior, span, random_state=None):
    """Compute ``M0⁻¹`` over the coordinates, and the scale of a prior.

    Returns
    -------
    inverse : ndarray of shape (width, width)
        Of ``L0ᵀ L0``: the covariance itself for ``"covariance"``, also where singular; the
        pseudo-inverse of a singular array.
    scale : float
        ``M0 = scale² L0ᵀ L0``.
    """
    if isinstance(prior, str) and prior == "covariance":
        return span.scatter() / span.n_rows, 1.0
    found = prior_of(prior, span, random_state)
    return found.inverse, found.scale


def _range_of(S):
    values, vectors = linalg.eigh((S + S.T) / 2)
    keep = values > _RANK_TOL * max(values[-1], 0)
    return values[keep], vectors[:, keep]


def check_bounds(bounds):
    """Raise a ``ValueError`` for bounds other than ``0 < u ≤ l < ∞`` or None."""
    if bounds is None:
        return
    if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] < np.inf:
        raise ValueError(
            f"bounds must be two numbers (u, l) with 0 < u <= l, bounds on squared distances of "
            f"similar and of dissimilar pairs, got {bounds!r}"
        )


def percentiles(d2):
    """Return the 5th and 95th percentile of squared distances, those of equal rows left out."""
    d2 = d2[d2 > 0]
    if len(d2) == 0:
        return 1.0, 1.0  # all rows are equal: nothing can be learned, nothing must fail
    low, high = np.percentile(d2, (5, 95))
    return float(low), float(high)
