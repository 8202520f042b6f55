"""The general model: any loss, regularizer and solver."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if

from metriclearn._arrays import row_products, rows_of, to_numpy, with_dtype_of
from metriclearn._linalg import components_from_matrix, ridge_of
from metriclearn._pairs import blocks_of_pairs
from metriclearn._progress import progress
from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, at_least, fit_context, one_of
from metriclearn._types import Seed
from metriclearn._validation import check_labels, check_n_components, labeled_rows
from metriclearn.constraints._draw import (
    ENOUGH,
    pairs_from_labels,
    quadruplets_from_labels,
    triplets_from_labels,
)
from metriclearn.constraints._kinds import Pairs, Quadruplets, Triplets
from metriclearn.mahalanobis._base import MahalanobisTransformer, warn_not_converged
from metriclearn.mahalanobis._general._solvers import (
    MinibatchState,
    check_terms,
    solve_lbfgs,
    solve_minibatch,
    solve_proximal,
    solve_sdp,
)
from metriclearn.mahalanobis._general._terms import (
    SHAPES,
    Frobenius,
    Linear,
    LogDet,
    MarginExcess,
    Objective,
    PairExcess,
    constrained_pairs,
    warn_unused_terms,
)
from metriclearn.mahalanobis._prior import (
    PRIOR_OPTIONS,
    check_bounds,
    check_prior,
    is_given,
    percentiles,
    prior_inverse,
)
from metriclearn.mahalanobis._scatter._span import Span
from metriclearn.mahalanobis._solvers._clarabel import warn_far

# Under a linear regularizer a matrix right to 1e-10 still has a relative gap of up to 1e-3.
_FAR = 1e-2
_REGULARIZERS = ("frobenius", "trace", "scatter", "logdet")
_DRAW = {
    "pairs": lambda y, n, rng: pairs_from_labels(y, n_pairs=n or ENOUGH, random_state=rng),
    "triplets": lambda y, n, rng: triplets_from_labels(
        y, n_positives=10, n_negatives=30, n_triplets=n or 2 * ENOUGH, random_state=rng
    ),
    "quadruplets": lambda y, n, rng: quadruplets_from_labels(
        y, n_quadruplets=n or ENOUGH, random_state=rng
    ),
}


class MahalanobisLearner(MahalanobisTransformer):
    """The general model of Mahalanobis metric learning [1]_.

    ::

        min_{M ⪰ 0}  r(M) + C Σ_c w_c h(e_c(M)),    Σ w = 1
        e = d² - u (similar pair),  l - d² (dissimilar pair),  m + d²_near - d²_far (relative)

    Any loss ``h`` goes with any regularizer ``r``, and with every solver that
    supports both. Squared distances, and with them ``M``, count in units of
    the mean squared distance of the constrained pairs, so that ``C`` and ``margin``
    mean the same whatever the units of the data.

    =====================================  ==========================================
    known method                           composition
    =====================================  ==========================================
    Schultz & Joachims (2003)              hinge, frobenius, ``diagonal=True``,
                                           triplets or quadruplets
    Kwok & Tsang (2003)                    squared or squared_hinge, frobenius, pairs
    Weinberger & Saul (2005), in spirit    hinge, scatter, triplets
    Davis et al. (2007), in spirit         hinge, logdet, pairs
    Guillaumin et al. (2009), regularized  logistic, trace, pairs
    Shen et al. (2009), in spirit          hinge, trace, triplets
    =====================================  ==========================================

    Parameters
    ----------
    loss : {"hinge", "squared_hinge", "squared", "logistic"}, default="squared_hinge"
        ``max(0, e)``, its square, ``e²``, ``log(1 + exp(e))``.
    regularizer : {"frobenius", "trace", "scatter", "logdet"}, default="frobenius"
        ``½‖M‖²``, ``tr(M)``, the mean squared distance of similar (or near)
        pairs, or the LogDet divergence from ``prior``.
    solver : {"lbfgs", "proximal", "minibatch", "sdp"}, default="lbfgs"
        On the factor of ``M``, also of low rank; accelerated projected gradient
        on ``M ⪰ 0``; projected subgradients on batches of constraints; or the
        exact semidefinite program through cvxpy, for small problems.
    C : float, default=100.0
        Weight of the loss, above 0.
    constraint_type : {"pairs", "triplets", "quadruplets"}, default="pairs"
        What is drawn when fitting from labels.
    n_constraints : int, default=None
        How many are drawn, of each kind for pairs: by default 20,000, or 40,000
        triplets, so that the order of the rows changes distances by hardly more than 2 %.
    bounds : tuple (u, l) of float, default=None
        Only used for pairs: bounds on squared distances, ``0 < u ≤ l``, in units of ``X``;
        by default the 5th and 95th percentile of those of the pairs.
    margin : float, default=1.0
        How far below ``d²_far`` a ``d²_near`` must be. Not used for pairs.
    diagonal : bool, default=False
        Whether only weights of the features are learned.
    prior : {"identity", "covariance", "random"} or array-like of shape \
            (n_features, n_features), default="identity"
        ``M0``, positive definite. Only used with ``regularizer="logdet"``.
    n_components : int, default=None
        Rank of ``M``, all by default: searched as such by ``"lbfgs"``; the other
        solvers find the full ``M``, of which the largest eigenvalues are kept.
    batch_size : int, default=256
        Constraints in a batch. Only used with ``solver="minibatch"``.
    max_iter : int, default=2000
        Iterations, or passes over the constraints.
    tol : float, default=1e-5
        Duality gap, relative to the objective, at which a search ends; of
        ``solver="minibatch"`` the relative decrease over ten passes.
    warm_start : bool, default=False
        Start from the metric of the previous ``fit``; not with ``solver="sdp"``.
    random_state : int, RandomState instance or None, default=None
        For drawing and ordering constraints, and a random prior.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
    objective_ : float
        Value reached, of the formula above.
    duality_gap_ : float
        By how much at most ``objective_`` exceeds the minimum over all ``M ⪰ 0``.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    LMNN : Triplets of near neighbors, drawn again as the metric changes.
    MMC : Pairs with the sum of distances as constraint.
    SCML : Triplets, with a sparse combination of directions.

    References
    ----------
    .. [1] Kulis, B. "Metric learning: a survey", Foundations and Trends in Machine Learning 5(4),
       2013. :doi:`10.1561/2200000019`

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import MahalanobisLearner
    >>> X, y = load_iris(return_X_y=True)
    >>> learner = MahalanobisLearner("logistic", "trace", random_state=0).fit(X, y)
    >>> bool(learner.duality_gap_ <= 1e-5 * learner.objective_)
    True
    """

    _parameter_constraints: dict = {
        "loss": [one_of(*SHAPES)],
        "regularizer": [one_of(*_REGULARIZERS)],
        "solver": [one_of("lbfgs", "proximal", "minibatch", "sdp")],
        "C": [POSITIVE],
        "constraint_type": [one_of(*_DRAW)],
        "n_constraints": [at_least(1), None],
        "bounds": [tuple, list, None],
        "margin": [POSITIVE],
        "diagonal": ["boolean"],
        "prior": PRIOR_OPTIONS,
        "n_components": [at_least(1), None],
        "batch_size": [at_least(1)],
        "max_iter": [at_least(1)],
        "tol": [NOT_NEGATIVE],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _constraint_kinds = (Pairs, Triplets, Quadruplets)
    _of_drawing = ("constraint_type", "n_constraints")

    def __init__(
        self,
        loss: str = "squared_hinge",
        regularizer: str = "frobenius",
        solver: str = "lbfgs",
        *,
        C: float = 100.0,
        constraint_type: str = "pairs",
        n_constraints: int | None = None,
        bounds: tuple[float, float] | None = None,
        margin: float = 1.0,
        diagonal: bool = False,
        prior: str | ArrayLike = "identity",
        n_components: int | None = None,
        batch_size: int = 256,
        max_iter: int = 2000,
        tol: float = 1e-5,
        warm_start: bool = False,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.loss = loss
        self.regularizer = regularizer
        self.solver = solver
        self.C = C
        self.constraint_type = constraint_type
        self.n_constraints = n_constraints
        self.bounds = bounds
        self.margin = margin
        self.diagonal = diagonal
        self.prior = prior
        self.n_components = n_components
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        constraints: Pairs | Triplets | Quadruplets | None = None,
    ) -> Self:
        """Learn the metric from labels or from constraints.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Or a tensor, with array API dispatch.
        y : array-like of shape (n,), default=None
            Class labels.
        constraints : Pairs, Triplets or Quadruplets, default=None
            Instead of ``y``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the loss, the regularizer and the solver do not go together.
        """
        X, y = self._validate_fit(X, y, constraints)
        n_components = self._check_terms(X.shape[1])
        random_state = check_random_state(self.random_state)
        X, constraints = self._constraints(X, y, constraints, random_state)
        warn_unused_terms(self, constraints)
        self._unit = self._bounds = None
        of_features = self.diagonal or (self.regularizer == "logdet" and is_given(self.prior))
        span = Span(X, reduce=self.solver != "sdp" and not of_features)
        n_components = min(n_components, span.width)
        objective = self._objective(X, span, constraints, random_state)
        start = self._previous_metric(span)
        A, self.n_iter_, converged = self._solve(objective, n_components, random_state, start)
        if not converged:
            warn_not_converged("MahalanobisLearner", self.max_iter, "raise max_iter or tol")
        if self.solver == "minibatch" and span.reduced:
            self._state = self._state.turned(span.leave(span.unit * np.eye(span.width)))
        self._certify(A, objective)
        del objective  # its differences take more room than X
        self._finish(A, n_components, span, X)
        # At the kinks of the hinge the gap is not tight.
        certifies = self.solver == "sdp" and SHAPES[self.loss].smooth  # type: ignore[attr-defined]
        if certifies and self.duality_gap_ > _FAR * self.objective_:
            warn_far("MahalanobisLearner")
        return self

    def _can_partial_fit(self):
        if self.solver != "minibatch":
            raise AttributeError(
                f"partial_fit needs solver='minibatch', this learner has solver={self.solver!r}"
            )
        return True

    @available_if(_can_partial_fit)
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        constraints: Pairs | Triplets | Quadruplets | None = None,
    ) -> Self:
        """Learn from more constraints, in one pass; with ``solver="minibatch"`` only.

        The units and default bounds of the first call hold for all.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,), default=None
            Class labels.
        constraints : Pairs, Triplets or Quadruplets, default=None
            Instead of ``y``.

        Returns
        -------
        self
        """
        first_call = not hasattr(self, "n_iter_")
        X, y = self._validate_fit(X, y, constraints, reset=first_call)
        random_state = check_random_state(self.random_state)
        X, constraints = self._constraints(X, y, constraints, random_state)
        n_components = self._check_terms(X.shape[1])
        if first_call:
            self._unit = self._bounds = None
            self._state, self.n_iter_ = MinibatchState(X.shape[1]), 0
        span = Span(X, reduce=False)
        objective = self._objective(X, span, constraints, random_state)
        self._state.learn(objective, self.batch_size, random_state)
        self.n_iter_ += 1
        self._certify(self._state.mean, objective)
        return self._finish(self._state.mean, n_components, span, X)

    def _constraints(self, X, y, constraints, random_state):
        """Constraints as given, or drawn from the rows that have a label."""
        if constraints is not None:
            return X, constraints
        _, X, y = labeled_rows(None, X, y)
        _, codes = check_labels(y)
        return X, _DRAW[self.constraint_type](codes, self.n_constraints, random_state)

    def _check_terms(self, n_features):
        n_components = check_n_components(self.n_components, n_features)
        check_prior(self.prior, n_features)
        check_bounds(self.bounds)
        if self.diagonal and n_components < n_features:
            raise ValueError(
                f"diagonal=True keeps all {n_features} features, got n_components="
                f"{n_components}; leave it None"
            )
        check_terms(
            self.loss,
            SHAPES[self.loss].smooth,
            self.regularizer,
            self.regularizer == "logdet",
            self.solver,
            n_components,
            n_features,
        )
        return n_components

    def _objective(self, X, span, constraints, random_state):
        """Build the objective, in units of the mean squared distance of the pairs."""
        named, constraints = constraints.on_named_rows()
        rows = span.rows(named)
        first, second = constrained_pairs(constraints)
        V = rows_of(rows, first)
        for block in blocks_of_pairs(len(first), span.width):
            V[block, :] -= rows_of(rows, second[block])
        d2 = to_numpy(row_products(V, V))
        n = len(constraints)
        weights = np.ones(n) if constraints.weights is None else constraints.weights
        weights = weights / max(weights.sum(), np.finfo(float).tiny)
        if self._unit is None:
            self._unit = (float(np.sqrt(np.mean(d2))) or 1.0) * span.unit
        V *= span.unit / self._unit
        if isinstance(constraints, Pairs):
            if self._bounds is None and self.bounds is not None:
                self._bounds = tuple(float(b) / self._unit / self._unit for b in self.bounds)
            elif self._bounds is None:
                self._bounds = percentiles(d2 * (span.unit / self._unit) ** 2)
            sign = np.where(constraints.similar, 1.0, -1.0)
            excess = PairExcess(sign, np.where(constraints.similar, *self._bounds))
            near = rows_of(V, np.flatnonzero(constraints.similar))
        else:
            excess, near = MarginExcess(self.margin), V[:n, :]
        regularizer = self._regularizer(span, near, random_state)
        if self.solver == "lbfgs":
            V = with_dtype_of(X, V)
        return Objective(V, self.C * weights, excess, SHAPES[self.loss], regularizer, self.diagonal)

    def _regularizer(self, span, near, random_state):
        d = span.width

        def shaped(M):
            return np.diag(np.diag(M)) if self.diagonal else M

        if self.regularizer == "frobenius":
            return Frobenius()
        if self.regularizer == "trace":
            return Linear(np.eye(d))
        if self.regularizer == "scatter":
            scatter = to_numpy(near.T @ near) / max(1, near.shape[0])
            ridge = ridge_of(scatter, 1e-3 * d / span.n_features)
            return Linear(shaped(scatter + ridge * np.eye(d)))
        inverse, scale = prior_inverse(self.prior, span, random_state)
        # Over the coordinates M0⁻¹ is `inverse / scale²`, and metrics count in `unit² / u²`.
        inverse = inverse * (span.unit / scale / self._unit) ** 2
        if linalg.eigvalsh(inverse)[0] <= 1e-12 * np.abs(inverse).max():
            raise ValueError("prior is singular, LogDet needs a positive definite one")
        return LogDet(shaped(inverse))

    def _previous_metric(self, span):
        """Where a warm start begins, in the units of this fit; None for a cold one."""
        if not (self.warm_start and hasattr(self, "components_")):
            return None
        L = to_numpy(self.components_).astype(np.float64)
        if L.shape[1] != span.n_features:
            raise ValueError(
                f"warm_start=True: the previous fit had {L.shape[1]} features, X has "
                f"{span.n_features}; set it False"
            )
        L = span.enter(L) * (self._unit / span.unit)
        # Of full rank: a search over factors never leaves a singular metric.
        A = L.T @ L + ridge_of(L.T @ L, 1e-3) * np.eye(span.width)
        return np.diag(np.diag(A)) if self.diagonal else A

    def _solve(self, objective, n_components, random_state, start):
        limits = {"max_iter": self.max_iter, "tol": self.tol, "start": start}
        if self.solver == "sdp":
            return solve_sdp(objective), 1, True
        if self.solver == "lbfgs":
            return solve_lbfgs(objective, n_components, **limits, verbose=self.verbose)
        with progress(self.verbose, "MahalanobisLearner", self.max_iter) as advance:
            if self.solver == "proximal":
                return solve_proximal(objective, **limits, advance=advance)
            A, n_iter, converged, self._state = solve_minibatch(
                objective, self.batch_size, random_state, **limits, advance=advance
            )
            return A, n_iter, converged

    def _certify(self, A, objective):
        value, _, gap = objective.by_matrix(A)
        self.objective_, self.duality_gap_ = float(value), float(max(0.0, gap))

    def _finish(self, A, n_components, span, X):
        components = components_from_matrix(A, n_components) * (span.unit / self._unit)
        return self._set_components(span.leave(components), like=X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags
