"""SDML: sparse metric learning by graphical lasso."""

from numbers import Integral, Real

import numpy as np
from scipy import linalg
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from metriclearn._linalg import components_from_matrix
from metriclearn._pairs import pair_scatter
from metriclearn._progress import progress
from metriclearn._validation import check_labels, check_n_components
from metriclearn.constraints import Pairs, pairs_from_labels
from metriclearn.mahalanobis._base import MahalanobisTransformer, warn_not_converged
from metriclearn.mahalanobis._discriminant import feature_scales
from metriclearn.mahalanobis._prior import PRIOR_OPTIONS, prior_inverse

# Smallest eigenvalue left to the matrix of the graphical lasso, in units of its diagonal.
_RIDGE = 1e-3


class SDML(MahalanobisTransformer):
    """Sparse distance metric learning (Qi, Tang, Zha, Chua & Zhang, 2009).

    ::

        min_{M ≻ 0}  tr(M P) - log det(M) + λ Σ_{i≠j} √(P_ii P_jj) |M_ij|
        P = M0⁻¹ + η (S - D)

    with ``S`` and ``D`` the mean scatters ``(xᵢ - xⱼ)(xᵢ - xⱼ)ᵀ`` of similar
    and dissimilar pairs: close to the prior in LogDet divergence, similar pairs
    near, dissimilar far, and few features entangled.

    Parameters
    ----------
    balance : float in [0, 1), default=0.9
        Part of the pairs against the prior: ``η`` is ``balance`` divided by the
        largest absolute eigenvalue of ``S - D`` relative to ``M0⁻¹``. Below 1
        the problem is bounded whatever the data.
    sparsity : float, default=0.01
        ``λ ≥ 0``; entries of ``M`` are zero between features from 1 on.
    n_components : int, default=None
        Largest eigenvalues of ``M`` kept; all by default.
    prior : {"identity", "covariance", "random"} or array-like of shape \
            (n_features, n_features), default="identity"
        ``M0``.
    n_pairs : int, default=None
        Pairs of each kind drawn when fitting from labels; 20 times the square
        of the number of classes by default.
    max_iter : int, default=1000
        Iterations of the alternating direction method.
    tol : float, default=1e-5
        Largest duality gap, for each feature.
    random_state : int, RandomState instance or None, default=None
        For drawing pairs and a random prior.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Rows by falling eigenvalue of ``M``.
    balance_ : float
        ``η``.
    objective_ : float
        Value reached, of the formula above, in features scaled to ``P_ii = 1``.
    duality_gap_ : float
        By how much at most ``objective_`` exceeds the minimum.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    Notes
    -----
    The paper's ``η`` multiplies sums over the pairs. Where it is too large for
    the data ``P`` has an eigenvalue below zero and there is no minimum:
    metric-learn fails on most data for that reason. The scale of the penalty
    is our addition too: it makes the answer independent of the units of the
    features. Where ``P`` is singular, as with a covariance prior on more
    features than rows, the diagonal gets a ridge of 1e-3 ``P_ii``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import SDML
    >>> X, y = load_iris(return_X_y=True)
    >>> SDML(sparsity=1, random_state=0).fit(X, y).get_mahalanobis_matrix().round(1)
    array([[..., 0. , 0. , 0. ],
           [0. , ..., 0. , 0. ],
           [0. , 0. , ..., 0. ],
           [0. , 0. , 0. , ...]])
    """

    _parameter_constraints: dict = {
        "balance": [Interval(Real, 0, 1, closed="left")],
        "sparsity": [Interval(Real, 0, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "prior": PRIOR_OPTIONS,
        "n_pairs": [Interval(Integral, 1, None, closed="left"), None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _constraint_kinds = (Pairs,)

    def __init__(
        self,
        balance=0.9,
        sparsity=0.01,
        *,
        n_components=None,
        prior="identity",
        n_pairs=None,
        max_iter=1000,
        tol=1e-5,
        random_state=None,
        verbose=0,
    ):
        self.balance = balance
        self.sparsity = sparsity
        self.n_components = n_components
        self.prior = prior
        self.n_pairs = n_pairs
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, constraints=None):
        """Learn the metric from labels or from pairs.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,), default=None
            Class labels.
        constraints : Pairs, default=None
            Instead of ``y``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the prior is no positive semidefinite matrix over the features.
        """
        X, y = self._validate_fit(X, y, constraints)
        n_components = check_n_components(self.n_components, X.shape[1])
        random_state = check_random_state(self.random_state)
        rows = X.astype(np.float64, copy=False)
        inverse = prior_inverse(self.prior, rows, random_state)
        if constraints is None:
            _, codes = check_labels(y)
            constraints = pairs_from_labels(codes, n_pairs=self.n_pairs, random_state=random_state)

        P, scales, self.balance_ = _problem(rows, constraints, inverse, self.balance)
        with progress(self.verbose, "SDML", self.max_iter) as advance:
            M, self.objective_, self.duality_gap_, self.n_iter_ = graphical_lasso(
                P, self.sparsity, max_iter=self.max_iter, tol=self.tol, advance=advance
            )
        if self.duality_gap_ > self.tol * len(P):
            warn_not_converged("SDML", self.max_iter, "raise max_iter, tol or sparsity")
        components = components_from_matrix(M / np.outer(scales, scales), n_components)
        return self._set_components(components.astype(X.dtype, copy=False))


def _problem(X, pairs, inverse_prior, balance):
    """``P`` in features scaled to ``P_ii = 1``, where the penalty is the plain one.

    Returns
    -------
    P : ndarray of shape (d, d)
    scales : ndarray of shape (d,)
        ``P`` times their outer product is ``M0⁻¹ + η(S - D)``.
    eta : float
    """
    Q, scales = _unit_diagonal(inverse_prior)
    difference = _signed_scatter(X, pairs) / np.outer(scales, scales)
    largest = np.abs(linalg.eigh(difference, Q, eigvals_only=True)).max()
    eta = balance / largest if largest > 0 else 0.0
    P, rescales = _unit_diagonal(Q + eta * difference)
    return P, scales * rescales, float(eta)


def _unit_diagonal(S):
    """Scale to ones on the diagonal, with a ridge where that is singular; and the scales."""
    scales = feature_scales(S)
    S = S / np.outer(scales, scales)
    np.fill_diagonal(S, 1)
    return S + max(0, _RIDGE - linalg.eigvalsh(S)[0]) * np.eye(len(S)), scales


def _signed_scatter(X, pairs):
    """Mean scatter of the similar pairs minus that of the dissimilar ones."""
    weights = np.ones(len(pairs)) if pairs.weights is None else pairs.weights
    kind = pairs.similar.astype(int)
    totals = np.bincount(kind, weights, minlength=2)
    shares = weights / np.where(totals > 0, totals, 1)[kind]
    return pair_scatter(
        X - X.mean(axis=0), np.where(pairs.similar, shares, -shares), *pairs.indices.T
    )


def graphical_lasso(P, sparsity, *, max_iter, tol, advance):
    """Minimise ``tr(MP) - log det M + λ Σ_{i≠j} |M_ij|`` by alternating directions.

    scikit-learn's solver stops at errors and takes no indefinite step back;
    this one holds at any ``P ≻ 0`` and knows its duality gap.

    Parameters
    ----------
    P : ndarray of shape (d, d)
        Positive definite.
    sparsity : float
    max_iter : int
    tol : float
        Largest duality gap, times ``d``.
    advance : callable
        Progress, once for each iteration.

    Returns
    -------
    M : ndarray of shape (d, d)
        The best matrix seen; positive definite, with exact zeros.
    objective, gap : float
    n_iter : int
    """
    d, rho = len(P), 1.0
    penalty = sparsity * (1 - np.eye(d))
    best = linalg.inv(P) if sparsity == 0 else np.diag(1 / np.diag(P))
    objective = _lasso_objective(best, P, sparsity)
    lower = _dual_value(linalg.inv(best), P, penalty)
    Z, U = best, np.zeros_like(P)
    n_iter, gap = 0, np.inf
    while n_iter < max_iter and gap > tol * d:
        n_iter += 1
        values, vectors = linalg.eigh(rho * (Z - U) - P)
        values = (values + np.sqrt(values**2 + 4 * rho)) / (2 * rho)
        smooth = (vectors * values) @ vectors.T
        previous = Z
        shifted = smooth + U
        Z = np.sign(shifted) * np.maximum(np.abs(shifted) - penalty / rho, 0)
        U = shifted - Z

        value = _lasso_objective(Z, P, sparsity)
        if value < objective:
            best, objective = Z, value
        lower = max(lower, _dual_value((vectors / values) @ vectors.T, P, penalty))
        gap = max(0.0, objective - lower)
        advance(f"gap {gap:.1e}")
        apart, moved = linalg.norm(smooth - Z), rho * linalg.norm(Z - previous)
        factor = 2.0 if apart > 10 * moved else 0.5 if moved > 10 * apart else 1.0
        rho, U = rho * factor, U / factor
    return best, float(objective), float(gap), n_iter


def _lasso_objective(M, P, sparsity):
    off_diagonal = np.abs(M).sum() - np.abs(np.diag(M)).sum()
    return np.sum(M * P) - _log_det(M) + sparsity * off_diagonal


def _dual_value(inverse, P, penalty):
    """Lower bound ``log det W + d`` at the feasible ``W`` nearest to ``M⁻¹``."""
    return _log_det(P + np.clip(inverse - P, -penalty, penalty)) + len(P)


def _log_det(M):
    """Minus infinity for a matrix that is not positive definite."""
    try:
        return 2 * np.sum(np.log(np.diag(linalg.cholesky(M, check_finite=False))))
    except linalg.LinAlgError:
        return -np.inf
