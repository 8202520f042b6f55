"""SDML: sparse metric learning by graphical lasso."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from sklearn.utils import check_random_state

from metriclearn._linalg import components_from_matrix
from metriclearn._progress import progress
from metriclearn._sklearn import BELOW_ONE, NOT_NEGATIVE, at_least, fit_context
from metriclearn._types import Seed
from metriclearn._validation import check_labels, check_n_components, labeled_rows
from metriclearn.constraints._draw import ENOUGH, pairs_from_labels
from metriclearn.constraints._kinds import Pairs
from metriclearn.mahalanobis._base import MahalanobisTransformer, warn_not_converged
from metriclearn.mahalanobis._prior import PRIOR_OPTIONS, prior_inverse
from metriclearn.mahalanobis._scatter._span import Span, feature_scales

# Smallest eigenvalue left to the matrix of the graphical lasso, in units of its diagonal.
_RIDGE = 1e-3
# Share of the gain that the slope promises which a step must bring, and the smallest part
# of a step that is tried.
_ARMIJO, _SHORTEST = 1e-4, 1e-10


class SDML(MahalanobisTransformer):
    """Sparse distance metric learning [1]_.

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
        Pairs of each kind drawn when fitting from labels, 20,000 by default (or all there
        are), so that the order of the rows changes distances by less than 2 %.
    max_iter : int, default=1000
        Projected gradient steps of the graphical lasso.
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

    See Also
    --------
    ITML : The same divergence without sparsity.
    sklearn.covariance.GraphicalLasso : Sparse inverse covariance matrices.

    Notes
    -----
    The paper's ``η`` multiplies sums over the pairs. Where it is too large for
    the data ``P`` has an eigenvalue below zero and there is no minimum:
    metric-learn fails on most data for that reason. The scale of the penalty
    is our addition too: it makes the answer independent of the units of the
    features. The penalty counts entries of ``M`` between features, so that every feature stays
    one of its own: fits to many features, more than there are rows or not, carry matrices of
    n_features × n_features. Where ``P`` is singular, as with a covariance prior on more
    features than rows, the diagonal gets a ridge of 1e-3 ``P_ii``.

    References
    ----------
    .. [1] Qi, G.-J., Tang, J., Zha, Z.-J., Chua, T.-S. & Zhang, H.-J. "An efficient sparse metric
       learning in high-dimensional space via l1-penalized log-determinant regularization", ICML,
       2009. :doi:`10.1145/1553374.1553482`

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
        "balance": [BELOW_ONE],
        "sparsity": [NOT_NEGATIVE],
        "n_components": [at_least(1), None],
        "prior": PRIOR_OPTIONS,
        "n_pairs": [at_least(1), None],
        "max_iter": [at_least(1)],
        "tol": [NOT_NEGATIVE],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _constraint_kinds = (Pairs,)
    _of_drawing = ("n_pairs",)

    def __init__(
        self,
        balance: float = 0.9,
        sparsity: float = 0.01,
        *,
        n_components: int | None = None,
        prior: str | ArrayLike = "identity",
        n_pairs: int | None = None,
        max_iter: int = 1000,
        tol: float = 1e-5,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.balance = balance
        self.sparsity = sparsity
        self.n_components = n_components
        self.prior = prior
        self.n_pairs = n_pairs
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, constraints: Pairs | None = None
    ) -> Self:
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
        if constraints is None:
            _, X, y = labeled_rows(None, X, y)
        span = Span(X, reduce=False)
        inverse, scale = prior_inverse(self.prior, span, random_state)
        if constraints is None:
            constraints = pairs_from_labels(
                check_labels(y)[1], n_pairs=self.n_pairs or ENOUGH, random_state=random_state
            )

        P, scales, balance = _problem(span, constraints, inverse, self.balance)
        self.balance_ = balance / scale / scale
        with progress(self.verbose, "SDML", self.max_iter) as advance:
            M, self.objective_, self.duality_gap_, self.n_iter_ = graphical_lasso(
                P, self.sparsity, max_iter=self.max_iter, tol=self.tol, advance=advance
            )
        if self.duality_gap_ > self.tol * len(P):
            warn_not_converged("SDML", self.max_iter, "raise max_iter, tol or sparsity")
        components = components_from_matrix(M / np.outer(scales, scales), n_components) * scale
        return self._set_components(span.leave(components), like=X)


def _problem(span, pairs, inverse_prior, balance):
    """``P`` in features scaled to ``P_ii = 1``, where the penalty is the plain one.

    Returns
    -------
    P : ndarray of shape (d, d)
    scales : ndarray of shape (d,)
        ``P`` times their outer product is ``M0⁻¹ + η(S - D)``.
    eta : float
    """
    Q, scales = _unit_diagonal(inverse_prior)
    difference = _signed_scatter(span, pairs) / np.outer(scales, scales)
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


def _signed_scatter(span, pairs):
    """Mean scatter of the similar pairs minus that of the dissimilar ones."""
    weights = np.ones(len(pairs)) if pairs.weights is None else pairs.weights
    kind = pairs.similar.astype(int)
    totals = np.bincount(kind, weights, minlength=2)
    shares = weights / np.where(totals > 0, totals, 1)[kind]
    return span.pair_scatter(np.where(pairs.similar, shares, -shares), *pairs.indices.T)


def graphical_lasso(P, sparsity, *, max_iter, tol, advance):
    """Minimize ``tr(MP) - log det M + λ Σ_{i≠j} |M_ij|`` by way of its dual.

    ::

        max log det(P + U) + d   over   |U_ij| ≤ λ,  U_ii = 0

    is smooth over a box: projected gradient steps of spectral length (Birgin, Martínez
    & Raydan, 2000). ``M = (P + U)⁻¹``, with zeros where ``U`` is inside the box.
    scikit-learn's solver stops at errors and takes no ill-conditioned ``P``; this one
    holds at any ``P ≻ 0`` and knows its duality gap.

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
    d = len(P)
    penalty = sparsity * (1 - np.eye(d))
    # As far from the edge of the cone as the largest entry allows.
    apart = np.diag(np.diag(P)) - P
    U = apart * (sparsity / max(sparsity, np.abs(apart).max(), np.finfo(float).tiny))
    M, log_det = _inverse(P + U)
    best, objective = M, _lasso_objective(M, P, sparsity)
    length, n_iter = 1 / np.diag(M).max() ** 2, 0
    while True:
        sparse = np.where(np.abs(U) < penalty, 0, M)
        value = _lasso_objective(sparse, P, sparsity)
        if value < objective:
            best, objective = sparse, value
        gap = max(0.0, objective - log_det - d)
        if gap <= tol * d or n_iter == max_iter:
            break
        moved = np.clip(U + length * M, -penalty, penalty)
        inverse, moved_log_det = _inverse(P + moved)
        direction, part = moved - U, 1.0
        slope = np.sum(direction * M)
        while moved_log_det < log_det + _ARMIJO * part * slope:
            part /= 2
            moved = U + part * direction
            inverse, moved_log_det = _inverse(P + moved)
        n_iter += 1
        step, change = moved - U, M - inverse
        bend = np.sum(step * change)
        if part < _SHORTEST or bend <= 0:  # no step is felt in floating point
            break
        # The two spectral lengths in turn.
        length = np.sum(step * step) / bend if n_iter % 2 else bend / np.sum(change * change)
        U, M, log_det = moved, inverse, moved_log_det
        advance(f"gap {gap:.1e}")
    return best, float(objective), float(gap), n_iter


def _inverse(W):
    """Inverse and log determinant; of a matrix that is not positive definite, minus infinity."""
    factor, failed = linalg.lapack.dpotrf(W, lower=True, clean=True)
    if failed:
        return W, -np.inf
    lower, _ = linalg.lapack.dpotri(factor, lower=True)
    return lower + np.tril(lower, -1).T, 2 * np.sum(np.log(np.diag(factor)))


def _lasso_objective(M, P, sparsity):
    """Infinite for a matrix that is not positive definite."""
    factor, failed = linalg.lapack.dpotrf(M, lower=True)
    if failed:
        return np.inf
    off_diagonal = np.abs(M).sum() - np.trace(M)
    return np.sum(M * P) - 2 * np.sum(np.log(np.diag(factor))) + sparsity * off_diagonal
