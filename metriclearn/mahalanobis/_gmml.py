"""GMML: geometric mean metric learning."""

from numbers import Integral, Real

import numpy as np
from scipy import linalg, sparse

from metriclearn._linalg import components_from_matrix
from metriclearn._pairs import laplacian, pair_scatter
from metriclearn._sklearn import Interval, fit_context
from metriclearn._validation import check_labels, check_n_components, weighted_rows
from metriclearn.constraints import Pairs, pairs_from_labels
from metriclearn.mahalanobis._base import MahalanobisTransformer
from metriclearn.mahalanobis._discriminant import centered_scatter, within_scatter
from metriclearn.mahalanobis._prior import PRIOR_OPTIONS, prior_factor

# Smallest ridge, in mean eigenvalues: it decides where the data say nothing.
_RIDGE = 1e-9


class GMML(MahalanobisTransformer):
    """Geometric mean metric learning (Zadeh, Hosseini & Sra, 2016).

    ::

        min_{M ≻ 0}  (1 - t) δ²(M, S⁻¹) + t δ²(M, D),    δ(A, B) = ‖log(A^-½ B A^-½)‖_F
        M = S⁻¹ #_t D = S^-½ (S^½ D S^½)^t S^-½

    with ``S`` and ``D`` the mean scatters ``(xᵢ - xⱼ)(xᵢ - xⱼ)ᵀ`` of the
    similar and of the dissimilar pairs: distances of similar pairs are made
    small under ``M``, those of dissimilar pairs small under ``M⁻¹``. At
    ``t = ½`` it also minimizes ``tr(MS) + tr(M⁻¹D)``. A closed form: nothing
    iterates.

    Parameters
    ----------
    n_components : int, default=None
        Largest eigenvalues of ``M`` kept; all by default.
    t : float in [0, 1], default=0.5
        From ``S⁻¹`` (0) to ``D`` (1) along the geodesic.
    prior : {"identity", "covariance", "random"} or array-like of shape \
            (n_features, n_features), default="identity"
        Matrix ``M0`` that the regularization draws to; positive definite.
    regularization : float, default=0.01
        ``λ ≥ 0``: ``S`` becomes ``S + λ s M0⁻¹`` and ``D`` becomes ``D + λ r M0``,
        where ``s`` and ``r`` give the added term λ times the trace of the
        matrix it is added to, so that units do not matter.
    n_pairs : int, default=None
        Pairs of each kind drawn when fitting from labels; by default every pair
        of rows is used, through the scatters of the classes, and none is drawn.
    random_state : int, RandomState instance or None, default=None
        For drawing pairs and a random prior.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Rows by falling eigenvalue of ``M``.
    objective_ : float
        The minimum reached, with the regularized ``S`` and ``D``.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    Notes
    -----
    The paper sums over the pairs where we take means, which scales ``M`` only,
    and adds λ M0 as it is. From labels each row also makes a similar pair with
    itself, of distance zero, which scales ``M`` too. With ``regularization=0`` a ridge of 1e-9 mean
    eigenvalues remains, so that singular scatters have a finite answer.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import GMML
    >>> X, y = load_iris(return_X_y=True)
    >>> GMML().fit(X, y).get_mahalanobis_matrix().shape
    (4, 4)
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "t": [Interval(Real, 0, 1, closed="both")],
        "prior": PRIOR_OPTIONS,
        "regularization": [Interval(Real, 0, None, closed="left")],
        "n_pairs": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }
    _constraint_kinds = (Pairs,)
    _fits_sparse = True

    def __init__(
        self,
        n_components=None,
        *,
        t=0.5,
        prior="identity",
        regularization=0.01,
        n_pairs=None,
        random_state=None,
    ):
        self.n_components = n_components
        self.t = t
        self.prior = prior
        self.regularization = regularization
        self.n_pairs = n_pairs
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, constraints=None, sample_weight=None):
        """Learn the metric from labels or from pairs.

        Parameters
        ----------
        X : array-like or sparse of shape (n, n_features)
        y : array-like of shape (n,), default=None
            Class labels.
        constraints : Pairs, default=None
            Instead of ``y``.
        sample_weight : array-like of shape (n,), default=None
            ``w ≥ 0``, with ``y``: a pair of rows weighs the product of theirs, so
            that a row of weight two counts as two rows. Pairs have weights of
            their own.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If similar or dissimilar pairs are missing, the prior is singular, or
            sample_weight is given with constraints.
        """
        X, y = self._validate_fit(X, y, constraints)
        if constraints is not None and sample_weight is not None:
            raise ValueError(
                "sample_weight goes with y; with constraints give each pair its weight, "
                "Pairs(indices, similar, weights)"
            )
        weights, X, y = weighted_rows(sample_weight, X, y)
        n_components = check_n_components(self.n_components, X.shape[1])
        rows = X.astype(np.float64, copy=False)
        factor = prior_factor(self.prior, rows, self.random_state)
        if constraints is None:
            _, codes = check_labels(y, sample_weight=weights)
            if self.n_pairs is None:
                similar, dissimilar = _class_scatters(rows, codes, weights)
            else:
                constraints = pairs_from_labels(
                    codes, n_pairs=self.n_pairs, random_state=self.random_state
                )
                if weights is not None:
                    of_pairs = weights[constraints.indices].prod(axis=1)
                    constraints = Pairs(constraints.indices, constraints.similar, of_pairs)
        if constraints is not None:
            centered = rows if sparse.issparse(rows) else rows - rows.mean(axis=0)
            similar, dissimilar = _mean_scatters(centered, constraints)

        similar, dissimilar = _regularize(similar, dissimilar, factor, self.regularization)
        M, self.objective_ = _geometric_mean(similar, dissimilar, self.t)
        components = components_from_matrix(M, n_components)
        return self._set_components(components.astype(X.dtype, copy=False))


def _class_scatters(X, codes, weights):
    """Mean scatters of all pairs of one class, and of all pairs of two."""
    weights = np.ones(len(codes)) if weights is None else weights
    sizes = np.bincount(codes, weights)
    # Σ_{i<j} wᵢwⱼ(xᵢ - xⱼ)(xᵢ - xⱼ)ᵀ of rows of weight m is m times their centered scatter.
    similar = within_scatter(X, codes, weights * sizes[codes])
    dissimilar = sizes.sum() * centered_scatter(X, weights) - similar
    n_similar = np.sum(sizes**2) / 2
    return similar / n_similar, dissimilar / (sizes.sum() ** 2 / 2 - n_similar)


def _mean_scatters(X, pairs):
    for kind, chosen in (("similar", pairs.similar), ("dissimilar", ~pairs.similar)):
        if not chosen.any():
            raise ValueError(f"constraints: GMML needs pairs of both kinds, got no {kind} one")
    weights = np.ones(len(pairs)) if pairs.weights is None else pairs.weights
    scatters = []
    for chosen in (pairs.similar, ~pairs.similar):
        first, second = pairs.indices[chosen].T
        total = max(weights[chosen].sum(), np.finfo(float).tiny)
        shares = weights[chosen] / total
        if sparse.issparse(X):
            scatters.append((X.T @ laplacian(shares, first, second, X.shape[0]) @ X).toarray())
        else:
            scatters.append(pair_scatter(X, shares, first, second))
    return scatters


def _regularize(similar, dissimilar, prior_factor, regularization):
    n_features = len(similar)
    if len(prior_factor) < n_features:
        raise ValueError(
            f"prior has rank {len(prior_factor)} of {n_features}, GMML needs a positive definite "
            f"one; use prior='identity'"
        )
    prior = prior_factor.T @ prior_factor
    inverse = linalg.pinvh(prior)

    def add(scatter, matrix):
        size = np.trace(scatter) if np.trace(scatter) > 0 else 1.0
        ridge = (
            regularization * matrix / np.trace(matrix) + _RIDGE * np.eye(n_features) / n_features
        )
        return scatter + size * ridge

    return add(similar, inverse), add(dissimilar, prior)


def _geometric_mean(S, D, t):
    """``S⁻¹ #_t D``, and the weighted squared distance of its ends."""
    values, vectors = linalg.eigh(S)
    values = np.maximum(values, _RIDGE**2 * values[-1])
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse_root = (vectors / np.sqrt(values)) @ vectors.T
    middle, axes = linalg.eigh(root @ D @ root)
    middle = np.maximum(middle, np.finfo(float).tiny)
    half = (axes * middle ** (t / 2)).T @ inverse_root
    return half.T @ half, float(t * (1 - t) * np.sum(np.log(middle) ** 2))
