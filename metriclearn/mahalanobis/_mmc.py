"""MMC: spread the dissimilar pairs while the similar ones share a fixed budget."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from sklearn.utils import gen_batches

from metriclearn._arrays import squared_norms, unit_of
from metriclearn._extras import require
from metriclearn._linalg import fix_signs
from metriclearn._pairs import blocks_of_pairs, laplacian_product
from metriclearn._sklearn import BELOW_ONE, NOT_NEGATIVE, POSITIVE, at_least, fit_context, one_of
from metriclearn._types import Seed
from metriclearn._unused import warn_unused
from metriclearn._validation import check_labels, labeled_rows
from metriclearn.constraints._draw import ENOUGH, pairs_from_labels
from metriclearn.constraints._kinds import Pairs
from metriclearn.mahalanobis._base import MahalanobisTransformer, warn_not_converged
from metriclearn.mahalanobis._scatter._span import Span
from metriclearn.mahalanobis._solvers._clarabel import GAP, solve_exactly, warn_far
from metriclearn.mahalanobis._solvers._lbfgs import minimize_to_certificate

_MAX_PAIRS = ENOUGH
_SDP_MAX_FEATURES = 20
_SDP_MAX_PAIRS = 1000
_ITERATIONS_PER_CERTIFICATE = 10
_BLOCK_BYTES = 2**21  # of a few features of all rows
_ROUNDING = 1e-10  # share of the mean square of the rows that differences may be rounding of


class MMC(MahalanobisTransformer):
    """Mahalanobis metric for clustering [1]_.

    ::

        full       max_M  Σ_D w_ij d_ij    subject to  Σ_S w_ij d²_ij ≤ 1,  M ⪰ 0
        diagonal   the same, M a diagonal matrix
        linear     max_M  Σ_D w_ij d²_ij   subject to  Σ_S w_ij d²_ij ≤ 1,  M ⪰ 0
        difference max_M  (1 - λ) Σ_D w_ij d²_ij - λ Σ_S w_ij d²_ij
                                           subject to  tr M = 1,  M ⪰ 0

    with ``d²_ij = (x_i - x_j)ᵀ M (x_i - x_j)``, S the similar and D the
    dissimilar pairs. All are convex and are solved to their optimum. The
    difference [2]_, without the constraint unbounded, is largest for ``M = v vᵀ``
    with v the top eigenvector of that difference of scatters.

    The method was made for clustering into few groups. Its budget is best spent
    on few directions, so the optimal ``M`` is of low rank: one for the linear
    and the difference variant, an eigenvector of the scatters of D and S; three
    for the full variant on the handwritten digits, where 3-NN then falls from
    0.98 to 0.83. That is the optimum of the objective, not a failure to reach
    it: prefer LMNN or NCA ahead of a nearest-neighbor classifier.

    The solution does not depend on the units of the features, but for the difference.

    Parameters
    ----------
    variant : {"full", "diagonal", "linear", "difference"}, default="full"
        Which of the problems is solved.
    solver : {"lbfgs", "sdp"}, default="lbfgs"
        ``"lbfgs"``: L-BFGS on a factor of ``M``, after a change of variables
        in which the constraint is the unit trace, until the certificate
        ``duality_gap_`` is below ``tol`` (``"linear"``: one generalized
        eigenproblem). ``"sdp"``: the same problem as a semidefinite program,
        solved by cvxpy with clarabel (``pip install 'metriclearn[sdp]'``); up
        to 20 features and 1,000 dissimilar pairs.
    n_pairs : int, default=None
        Pairs of each kind drawn from the labels, at most: by default 20,000, and
        1,000 with ``solver="sdp"``. Not used with ``constraints``. As the optimum is of low rank,
        another draw, as with another order of the rows, may change distances by some 4 %.
    balance : float, default=0.5
        Only used for ``variant="difference"``: λ, from 0 to 1, 1 not included: the more, the
        less similar pairs differ.
    ridge : float, default=1e-6
        Added to the diagonal of the similar pairs' scatter, in units of its
        mean over standardized features, so that directions in which no similar
        pair differs do not make the problem unbounded. The problem that is
        solved, and certified, is the one with the ridge. ``"difference"`` needs none.
    max_iter : int, default=1000
        Most iterations of L-BFGS, of ``"full"`` and ``"diagonal"``.
    tol : float, default=1e-6
        Relative duality gap at which the solution is accepted.
    random_state : int, RandomState instance or None, default=None
        Draws the pairs from the labels.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        ``L`` with ``M = LᵀL``. One row for ``"linear"`` and ``"difference"``, ``n_features`` rows
        for ``"diagonal"``; for ``"full"`` as many as features that vary,
        those that carry most of the budget first.
    objective_ : float
        ``Σ_D w d`` (``Σ_D w d²`` for ``"linear"``, ``(1 - λ) Σ_D w d² - λ Σ_S w d²`` for
        ``"difference"``) at the solution.
    duality_gap_ : float
        Upper bound on how far ``objective_`` is from the best possible, as a
        share of it: the Frank-Wolfe gap ``λ_max(G) - ⟨G, A⟩`` of the concave
        objective over matrices ``A ⪰ 0`` of unit trace. 0 for ``"difference"``.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    ITML : Bounds on the distances of similar and dissimilar pairs, near a prior.
    SDML : The same constraints, with a sparse matrix.
    MahalanobisLearner : Pairs with other losses, regularizers and solvers.

    References
    ----------
    .. [1] Xing, E. P., Ng, A. Y., Jordan, M. I. & Russell, S. "Distance metric learning with
       application to clustering with side-information", NIPS 15, 2002.
       https://papers.nips.cc/paper/2164
    .. [2] Li, H., Jiang, T. & Zhang, K. "Efficient and robust feature extraction by maximum margin
       criterion", IEEE Transactions on Neural Networks 17, 2006, where the scatters are those
       between and within classes. :doi:`10.1109/TNN.2005.860852`

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import MMC
    >>> X, y = load_iris(return_X_y=True)
    >>> mmc = MMC(random_state=0).fit(X, y)
    >>> mmc.duality_gap_ < 1e-6
    True
    >>> MMC("difference", random_state=0).fit(X, y).transform(X).shape
    (150, 1)
    """

    _constraint_kinds = (Pairs,)
    _of_drawing = ("n_pairs",)
    _parameter_constraints: dict = {
        "variant": [one_of("full", "diagonal", "linear", "difference")],
        "solver": [one_of("lbfgs", "sdp")],
        "n_pairs": [at_least(1), None],
        "balance": [BELOW_ONE],
        "ridge": [POSITIVE],
        "max_iter": [at_least(1)],
        "tol": [NOT_NEGATIVE],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        variant: str = "full",
        *,
        solver: str = "lbfgs",
        n_pairs: int | None = None,
        balance: float = 0.5,
        ridge: float = 1e-6,
        max_iter: int = 1000,
        tol: float = 1e-6,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.variant = variant
        self.solver = solver
        self.n_pairs = n_pairs
        self.balance = balance
        self.ridge = ridge
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, *, constraints: Pairs | None = None
    ) -> Self:
        """Learn the metric from labels or from pairs.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,), default=None
            Class labels, from which pairs are drawn.
        constraints : Pairs, default=None
            Similar and dissimilar pairs of rows of ``X``, instead of ``y``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If ``X`` holds NaN or infinity; ``y`` has one class or a class of one
            row; the pairs are all of one kind; no dissimilar pair differs; or
            the problem is too large for ``solver="sdp"``, or is an eigenvector.
        """
        X, y = self._validate_fit(X, y, constraints)
        if constraints is None:
            _, X, y = labeled_rows(None, X, y)
            _, codes = check_labels(y)
            n_pairs = self.n_pairs or (_SDP_MAX_PAIRS if self.solver == "sdp" else _MAX_PAIRS)
            constraints = pairs_from_labels(codes, n_pairs=n_pairs, random_state=self.random_state)
        _check_pairs(constraints)
        warn_unused(self, self._unused())
        if self.variant == "difference":
            if self.solver == "sdp":
                raise ValueError("solver='sdp' is not for variant='difference', an eigenvector")
            components, self.objective_ = _difference_direction(X, constraints, self.balance)
            self.duality_gap_, self.n_iter_ = 0.0, 1
            return self._set_components(components, like=X)
        if self.solver == "sdp":
            _check_sdp_size(X.shape[1], constraints)
        U, weights, basis, span = _whitened_differences(
            X, constraints, self.ridge, diagonal=self.variant == "diagonal"
        )
        F = self._solve(U, weights)
        del U  # as large as X
        components = fix_signs(span.leave(_components(basis, F)))
        return self._set_components(components, like=X)

    def _unused(self):
        unused = {}
        if self.variant in ("linear", "difference") or self.solver == "sdp":
            searched = "by solver='lbfgs' for variant='full' and 'diagonal'"
            unused = {"max_iter": searched, "tol": searched}
        if self.variant == "difference":
            return unused | {"ridge": "by the other variants"}
        return unused | {"balance": "for variant='difference'"}

    def _solve(self, U, weights):
        """Return a factor of the metric in whitened coordinates, and set its certificate."""
        if self.solver == "sdp":
            F, self.n_iter_ = _solve_sdp(U, weights, self.variant)
        elif self.variant == "linear":
            F, self.n_iter_ = _top_direction(U, weights), 1
        else:
            start = np.full(U.shape[1], U.shape[1] ** -0.5)
            F, self.n_iter_ = minimize_to_certificate(
                lambda F: _root_loss(U, weights, F),
                np.diag(start) if self.variant == "full" else start,
                lambda F: _root_certificate(U, weights, F / np.linalg.norm(F))[1],
                interval=_ITERATIONS_PER_CERTIFICATE,
                max_iter=self.max_iter,
                tol=self.tol,
                description="MMC",
                verbose=self.verbose,
            )
            F /= np.linalg.norm(F)
        certificate = _linear_certificate if self.variant == "linear" else _root_certificate
        self.objective_, self.duality_gap_ = certificate(U, weights, F)
        if self.solver == "lbfgs" and self.duality_gap_ > self.tol:
            warn_not_converged(
                "MMC",
                self.max_iter,
                f"the relative duality gap is {self.duality_gap_:.1e}; raise max_iter or tol",
            )
        if self.solver == "sdp" and self.duality_gap_ > GAP:
            warn_far("MMC")
        return F


def _check_pairs(pairs):
    for missing, given in (("similar", pairs.similar), ("dissimilar", ~pairs.similar)):
        if not given.any():
            raise ValueError(
                f"constraints: none of the {len(pairs)} pairs is {missing}; MMC needs both kinds"
            )


def _check_sdp_size(n_features, pairs):
    n_dissimilar = int(np.sum(~pairs.similar))
    if n_features > _SDP_MAX_FEATURES or n_dissimilar > _SDP_MAX_PAIRS:
        raise ValueError(
            f"solver='sdp' is practical up to {_SDP_MAX_FEATURES} features and {_SDP_MAX_PAIRS} "
            f"dissimilar pairs, got {n_features} and {n_dissimilar}; use solver='lbfgs', which "
            f"solves the same problem and certifies it in duality_gap_, or lower n_pairs"
        )


def _whitened_differences(X, pairs, ridge, *, diagonal):
    """Change variables so that the similar pairs' budget becomes the unit trace.

    With ``M = B A Bᵀ`` and ``Bᵀ S B = I`` the constraint ``⟨S, M⟩ ≤ 1`` reads
    ``tr A ≤ 1``, and ``δᵀ M δ = uᵀ A u`` for ``u = Bᵀ δ``. Features are brought
    to one scale first, so that ``ridge`` means the same in any unit.

    Returns
    -------
    U : ndarray of shape (n_dissimilar, r)
        Whitened differences of the dissimilar pairs that differ at all.
    weights : ndarray of shape (n_dissimilar,)
    B : ndarray of shape (width, r)
    span : Span
        The coordinates that ``B`` belongs to: features of one scale, or what they span.
    """
    weights = np.ones(len(pairs)) if pairs.weights is None else pairs.weights
    scale = _feature_sizes(X, pairs)
    varies = scale > 0
    span = Span(X, scales=np.where(varies, scale, 1), reduce=not diagonal)
    S = span.pair_scatter(weights[pairs.similar], *pairs.indices[pairs.similar].T)
    mean = np.trace(S) / max(1, varies.sum())
    S[np.diag_indices_from(S)] += ridge * mean if mean > 0 else ridge
    kept = varies if not span.reduced else np.ones(span.width, dtype=bool)
    if diagonal:
        B = np.diag(np.where(varies, 1 / np.sqrt(np.diag(S)), 0))
    else:
        values, vectors = linalg.eigh(S[np.ix_(kept, kept)])
        B = np.zeros((span.width, len(values)))
        B[kept] = vectors / np.sqrt(values)
    U = span.differences(*pairs.indices[~pairs.similar].T, B.T)
    weights = weights[~pairs.similar]
    differs = np.any(U != 0, axis=1) & (weights > 0)
    _check_some_differ(differs)
    if not differs.all():
        U, weights = U[differs], weights[differs]
    return U, weights, B, span


def _check_some_differ(differs):
    if not np.any(differs):
        raise ValueError(
            "the two rows of every dissimilar pair are equal (or its weight is zero): nothing "
            "tells them apart; give pairs of rows that differ"
        )


def _difference_direction(X, pairs, balance):
    """Top eigenvector of ``(1 - λ) D - λ S``, as one row of length 1, and its eigenvalue."""
    weights = np.ones(len(pairs)) if pairs.weights is None else pairs.weights
    span = Span(X)
    S, D = (
        span.pair_scatter(weights[kind], *pairs.indices[kind].T)
        for kind in (pairs.similar, ~pairs.similar)
    )
    _check_some_differ(np.diag(D) > 0)
    # Directions in which no pair differs have the value zero, and are of no use.
    values, basis = linalg.eigh(S + D)
    basis = basis[:, values > _ROUNDING * values[-1]]
    values, vectors = linalg.eigh(basis.T @ ((1 - balance) * D - balance * S) @ basis)
    direction = span.unit * span.leave((basis @ vectors[:, -1:]).T)
    value = float(values[-1]) * span.unit * span.unit
    return fix_signs(direction / np.linalg.norm(direction)), value


def _feature_sizes(X, pairs):
    """Root mean square of the difference of a pair, in each feature; zero where none differs."""
    named, pairs = pairs.on_named_rows()
    unit, (first, second) = unit_of(X), pairs.indices.T
    total, weights = np.empty(X.shape[1]), np.ones(len(pairs))
    step = max(1, _BLOCK_BYTES // (8 * len(named)))
    for block in gen_batches(X.shape[1], step):
        rows = X[named, block] * np.float64(1 / unit)
        rows -= rows.mean(axis=0)
        squares = np.einsum("ij,ij->j", rows, rows) / len(rows)
        sums = np.einsum("ij,ij->j", rows, laplacian_product(weights, first, second, rows))
        # What may be rounding of the rows is measured pair by pair.
        for feature in np.flatnonzero(sums <= _ROUNDING * len(pairs) * squares):
            column = X[named, block.start + feature] * np.float64(1 / unit)
            sums[feature] = np.sum((column[first] - column[second]) ** 2)
        total[block] = sums
    return np.sqrt(total / len(pairs)) * unit


# A factor F of A = FFᵀ is a matrix, or a vector that stands for a diagonal matrix.


def _project(U, F):
    return U * F if F.ndim == 1 else U @ F


def _moment(U, Z, F):
    """``UᵀZ``, or its diagonal where the factor is diagonal."""
    return np.einsum("ij,ij->j", U, Z) if F.ndim == 1 else U.T @ Z


def _root_loss(U, weights, F):
    """``‖F‖² - 2 log Σ w d`` and its gradient.

    As ``Σ w d`` grows with the square root of the scale of ``A``, the minimizer
    has unit trace and is the maximizer of ``Σ w d`` there: a constrained concave
    problem as an unconstrained smooth one.
    """
    total, moment = 0.0, np.zeros_like(F)
    for block in blocks_of_pairs(*U.shape):
        Z = _project(U[block], F)
        distances = np.sqrt(squared_norms(Z))
        total += weights[block] @ distances
        Z *= (weights[block] / np.maximum(distances, np.finfo(float).tiny))[:, None]
        moment += _moment(U[block], Z, F)
    return np.sum(F * F) - 2 * np.log(total), 2 * F - 2 / total * moment


def _root_certificate(U, weights, F):
    """``Σ w d`` at ``A = FFᵀ`` of unit trace, and its relative Frank-Wolfe gap."""
    total, moment = 0.0, np.zeros((U.shape[1],) * F.ndim)
    for block in blocks_of_pairs(*U.shape):
        distances = np.sqrt(squared_norms(_project(U[block], F)))
        total += weights[block] @ distances
        slope = 0.5 * weights[block] / np.maximum(distances, np.finfo(float).tiny)
        moment += _moment(U[block], U[block] * slope[:, None], F)
    return _with_gap(total, moment, total / 2)


def _linear_certificate(U, weights, F):
    """``Σ w d²`` at ``A = FFᵀ`` of unit trace, and its relative Frank-Wolfe gap."""
    total = weights @ squared_norms(_project(U, F))
    return _with_gap(total, U.T @ (U * weights[:, None]), total)


def _with_gap(total, gradient, gained):
    if gradient.ndim == 1:
        best = gradient.max()
    else:
        best = linalg.eigvalsh(gradient, subset_by_index=[len(gradient) - 1] * 2)[0]
    return float(total), float(max(best - gained, 0) / total)


def _top_direction(U, weights):
    """Return the linear variant's optimum, ``A = vvᵀ``: one eigenvector, as a column."""
    D = U.T @ (U * weights[:, None])
    return linalg.eigh(D, subset_by_index=[len(D) - 1] * 2)[1]


def _solve_sdp(U, weights, variant):
    cp = require("cvxpy", "sdp")
    r = U.shape[1]
    if variant == "diagonal":
        a = cp.Variable(r, nonneg=True)
        sq_distances, budget = (U * U) @ a, cp.sum(a)
    else:
        A = cp.Variable((r, r), PSD=True)
        sq_distances, budget = cp.sum(cp.multiply(U @ A, U), axis=1), cp.trace(A)
    gains = sq_distances if variant == "linear" else cp.sqrt(sq_distances)
    # Weights of unit sum keep the solver's numbers near one.
    problem = cp.Problem(cp.Maximize((weights / weights.sum()) @ gains), [budget <= 1])
    if variant == "diagonal":
        F = np.sqrt(np.maximum(solve_exactly(problem, a), 0))
    else:
        values, vectors = linalg.eigh(solve_exactly(problem, A))
        F = vectors * np.sqrt(np.maximum(values, 0))
    return F / np.linalg.norm(F), problem.solver_stats.num_iters


def _components(basis, F):
    """``L`` with ``LᵀL = B FFᵀ Bᵀ``, rows by falling share of the budget."""
    if F.ndim == 1:
        return basis * F
    left, singular, _ = linalg.svd(F, full_matrices=False)
    return (basis @ (left * singular)).T
