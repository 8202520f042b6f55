"""LMNN: large margin nearest neighbors."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from metriclearn._arrays import rows_of, with_dtype_of
from metriclearn._progress import progress
from metriclearn._sklearn import NOT_NEGATIVE, at_least, between, fit_context, one_of
from metriclearn._threads import in_block_threads
from metriclearn._types import Seed
from metriclearn._unused import warn_unused
from metriclearn._validation import (
    check_labels,
    check_n_components,
    check_n_neighbors,
    labeled_rows,
)
from metriclearn.constraints import Triplets
from metriclearn.mahalanobis._base import MahalanobisTransformer, warn_not_converged
from metriclearn.mahalanobis._init import INIT_CONSTRAINTS, initial_components
from metriclearn.mahalanobis._lmnn._objective import TripletObjective
from metriclearn.mahalanobis._lmnn._passes import SOLVERS, choose_mu, choose_passes, passes, solve
from metriclearn.mahalanobis._lmnn._problem import Problem, Terms
from metriclearn.mahalanobis._lmnn._sdp import check_sdp_components
from metriclearn.mahalanobis._lmnn._solver import Search
from metriclearn.mahalanobis._scatter._span import Span
from metriclearn.mahalanobis._solvers._clarabel import warn_far

_MOST_ANCHORS = 5000  # of a pass, for n_anchors="auto"


class LMNN(MahalanobisTransformer):
    """Large margin nearest neighbors [1]_ [2]_.

    ::

        min over M = LᵀL ⪰ 0   mu Σ d²(i, j)  +  (1 - mu) Σ [1 + d²(i, j) - d²(i, l)]_+
                                 i, j               i, j, l

    The first sum pulls each row ``i`` to its target neighbors ``j``, the
    nearest rows of its own class; the second pushes impostors ``l``, rows of
    other classes, a margin beyond them. Of the impostors of a row only the
    nearest ``n_impostors`` count, so that pull and push keep their balance
    however many rows there are. ``n_impostors=None`` counts all of them, which
    is the sum of the paper: there the push grows with the square of the rows,
    the pull with the rows, and more rows can make the metric worse.

    Target neighbors are found again in the learned space after each pass. Up to
    5,000 rows all are anchors ``i``; beyond, each pass draws 5,000 of them, and
    time grows linearly with the rows. Nothing of size n × n is ever held.

    Each pass is convex in ``M``. ``solver="lbfgs"`` works on ``L``, in
    coordinates that make the pull term round, and ends with a certificate:
    a feasible point of the dual, hence a bound that no metric can beat.

    Parameters
    ----------
    n_components : int, default=None
        Dimension of the learned space, at most ``n_features``, the default.
        Below it the problem is no longer convex.
    n_neighbors : int, default=3
        Target neighbors of each row, found by Euclidean distance in the input
        space, and after each pass in the learned space. A class with exactly that
        many rows uses its ``n_neighbors - 1`` others. Not used with ``constraints``.
    n_impostors : int or None, default=10
        Impostors of each anchor that count: the nearest, wherever ``L`` is. None
        counts all within the margin. Not used with ``constraints``.
    n_anchors : "auto", int or None, default="auto"
        Rows that each pass draws as anchors; ``"auto"`` is 5,000, None all rows.
        Their targets are searched among all rows of their class, their impostors
        among 50,000 rows that the pass draws. Not used with ``constraints`` or with
        all impostors.
    mu : float or "auto", default=0.5
        Weight of the pull term, between 0 and 1 exclusive. ``"auto"`` tries 0.2,
        0.5, 0.8 and 0.95, each starting where the one before ended, and takes the
        one with the best nearest-neighbor accuracy on rows held out (a fifth, 2,000
        at most); then fits to all rows.
    init : {"auto", "pca", "lda", "identity", "random"} or array-like of shape \
            (n_components, n_features), default="auto"
        First guess of ``components_``: ``"auto"`` is the identity at full
        dimension, below it LDA or, for as many components as classes, PCA. All
        but an array are scaled to the data, so that units do not matter.
    loss : {"hinge", "squared_hinge"}, default="hinge"
        Loss of a margin violation: the paper's, or its square, which is smooth.
    solver : {"lbfgs", "sdp"}, default="lbfgs"
        ``"sdp"`` states the semidefinite program to cvxpy and solves it with
        clarabel: exact, for up to 20 features and 20,000 triplets near the
        margin. Needs the extra ``sdp`` and ``n_impostors=None``; has no
        ``n_components``.
    n_passes : int or "auto", default=5
        Before each pass but the first the target neighbors are found again, in
        the space that the pass before has learned. ``"auto"`` tries up to 5 on rows
        held out, takes the fewest whose nearest-neighbor accuracy is within one
        standard error of the best, and fits again on all rows. Not used with
        ``constraints``, which fix the targets.
    max_iter : int, default=500
        Most L-BFGS iterations of a pass.
    tol : float, default=1e-5
        The iteration that lowers the objective by less than this share is the
        last (1e-3 in passes that another one follows). Small problems (1,000 rows
        or 20,000 triplets, 100 features, full dimension) go on within ``max_iter``
        until ``duality_gap_`` is 5e-5. Below 1e-7, and below 1,000 rows of
        float64, all work is done in float64.
    warm_start : bool, default=False
        Start from the ``components_`` of the previous ``fit``.
    random_state : int, RandomState instance or None, default=None
        Draws the anchors and the rows that ``"auto"`` holds out; for
        ``init="random"``.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The learned ``L``.
    objective_ : float
        Value of the objective above at ``components_`` (of the last pass, over its
        anchors).
    duality_gap_ : float
        ``(objective_ - bound) / objective_``, with ``bound`` a lower bound of
        the objective over all ``M ⪰ 0``: 0 is proof of the optimum. It bounds
        the error from above, often by far. With ``n_components`` below
        ``n_features`` it also holds what the lower dimension costs.
    mu_ : float
        Weight of the pull term.
    n_passes_ : int
        Passes made.
    n_iter_ : int
        Iterations of the last pass: of L-BFGS, or programs solved.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    NCA : Soft neighbors in place of target neighbors and a margin.
    MahalanobisLearner : The same triplets with other losses and regularizers.

    References
    ----------
    .. [1] Weinberger, K. Q. & Saul, L. K. "Distance metric learning for large margin nearest
       neighbor classification", JMLR 10, 2009. https://jmlr.org/papers/v10/weinberger09a.html
    .. [2] Weinberger, K. Q. & Saul, L. K. "Fast solvers and efficient implementations for distance
       metric learning", ICML, 2008. :doi:`10.1145/1390156.1390302`

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from metriclearn import LMNN
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(LMNN(), KNeighborsClassifier(3)).fit(X[::2], y[::2])
    >>> bool(model.score(X[1::2], y[1::2]) > 0.95)
    True
    """

    _parameter_constraints: dict = {
        "n_components": [at_least(1), None],
        "n_neighbors": [at_least(1)],
        "n_impostors": [at_least(1), None],
        "n_anchors": [at_least(1), one_of("auto"), None],
        "mu": [between(0, 1, "neither"), one_of("auto")],
        "init": INIT_CONSTRAINTS,
        "loss": [one_of("hinge", "squared_hinge")],
        "solver": [one_of(*SOLVERS)],
        "n_passes": [at_least(1), one_of("auto")],
        "max_iter": [at_least(1)],
        "tol": [NOT_NEGATIVE],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _constraint_kinds = (Triplets,)
    _of_drawing = ("n_neighbors", "n_impostors", "n_anchors")

    def __init__(
        self,
        n_components: int | None = None,
        *,
        n_neighbors: int = 3,
        n_impostors: int | None = 10,
        n_anchors: str | int | None = "auto",
        mu: float | str = 0.5,
        init: str | ArrayLike = "auto",
        loss: str = "hinge",
        solver: str = "lbfgs",
        n_passes: int | str = 5,
        max_iter: int = 500,
        tol: float = 1e-5,
        warm_start: bool = False,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.n_impostors = n_impostors
        self.n_anchors = n_anchors
        self.mu = mu
        self.init = init
        self.loss = loss
        self.solver = solver
        self.n_passes = n_passes
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @in_block_threads
    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        constraints: Triplets | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn the metric from class labels or from triplets.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Or a tensor, with array API dispatch.
        y : array-like of shape (n,), default=None
            Class labels, at least two rows of each class.
        constraints : Triplets, default=None
            Constraints instead of labels: the objective is
            ``Σ w (mu d²(a, p) + (1 - mu) [1 + d²(a, p) - d²(a, n)]_+)`` over
            triplets (anchor, positive, negative) of weight ``w``.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows, not negative; all one by default. A row of weight 2
            counts as two equal rows: twice an anchor, twice an impostor, and each a
            target neighbor of the other. One of weight 0 counts as none. Only with
            ``y``: triplets have weights of their own.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If ``y`` has one class only or a class of one row; if
            ``n_neighbors`` is larger than the smallest class; if
            ``n_components`` is larger than ``n_features``; if the constraints
            are no ``Triplets``, or the problem is not one for ``solver="sdp"``.
        """
        X, y = self._validate_fit(X, y, constraints)
        self._check_options(X.shape[1], constraints, sample_weight)
        codes = weights = None
        if constraints is None:
            X, codes, weights = self._labeled(X, y, sample_weight)
        random_state = check_random_state(self.random_state)
        warm = self.warm_start and hasattr(self, "components_")
        given = self.components_ if warm else self.init
        like, span = X, Span(X, weights=weights)
        X, size = span.standard_rows(weights=weights)
        X = with_dtype_of(like, X)
        init = initial_components(
            given, X, codes, self.n_components, random_state, weights, span, size
        )
        start = init, not isinstance(given, str)
        with progress(self.verbose, "LMNN") as advance:
            search = Search(self.loss, self.tol, self.max_iter, advance)
            if constraints is None:
                fit = {"solver": self.solver, "search": search, "random_state": random_state}
                solution = self._fit_labels((X, codes, weights), start, fit)
            else:
                solution = self._fit_triplets(X, constraints, *start, search)
        self.objective_ = solution.objective
        self.duality_gap_ = solution.duality_gap
        self.n_iter_ = solution.n_iter
        if not solution.converged:
            self._warn(solution)
        return self._set_components(span.leave(solution.components * size), like=like)

    def _check_options(self, n_features, constraints, sample_weight):
        if constraints is not None and sample_weight is not None:
            raise ValueError(
                "sample_weight and constraints were both given; give Triplets weights of their own"
            )
        if self.n_components is not None:
            check_n_components(self.n_components, n_features)
        if self.solver == "sdp":
            check_sdp_components(self.n_components, n_features)
        if constraints is not None and self.mu == "auto":
            raise ValueError(
                'mu="auto" is chosen by the accuracy of held-out rows, which needs labels; give a '
                "number with constraints"
            )
        if constraints is None and self.solver == "sdp" and self.n_impostors is not None:
            raise ValueError(
                f'solver="sdp" sums over all impostors, got n_impostors={self.n_impostors}; make '
                f'it None or use solver="lbfgs"'
            )
        warn_unused(self, self._unused(constraints))

    def _labeled(self, X, y, sample_weight):
        """Return the rows that count, their class numbers and their weights."""
        weights, rows, y = labeled_rows(sample_weight, np.arange(len(y)), y)
        classes, codes = check_labels(y, sample_weight=weights)
        counts = np.bincount(codes)
        if weights is not None:
            counts = np.maximum(counts, np.bincount(codes, weights).astype(int))
        check_n_neighbors(self.n_neighbors, classes, counts)
        return X if len(rows) == X.shape[0] else rows_of(X, rows), codes, weights

    def _warn(self, solution):
        if self.solver == "sdp":
            warn_far("LMNN")
        elif solution.collapsed:
            warn_not_converged(
                "LMNN",
                self.max_iter,
                f"the pull of mu={self.mu_:g} outweighs {self.n_impostors} impostors, and all "
                f"distances go to zero; lower mu or raise n_impostors",
            )
        else:
            warn_not_converged("LMNN", self.max_iter)

    def _unused(self, constraints):
        unused = {}
        if constraints is None and self.n_impostors is None:
            unused = {"n_anchors": "with a number of n_impostors"}
        if constraints is not None and self.n_passes != 1:
            unused = {"n_passes": "when fitting from labels"}
        if self.solver == "sdp":
            searched = "by solver='lbfgs'"
            unused |= dict.fromkeys(("init", "max_iter", "tol", "warm_start"), searched)
        return unused

    def _fit_labels(self, labeled, start, fit):
        n_anchors = _MOST_ANCHORS if self.n_anchors == "auto" else self.n_anchors
        mu = 0.5 if self.mu == "auto" else self.mu
        terms = Terms(mu, self.n_neighbors, self.n_impostors, n_anchors)
        if self.mu == "auto":
            terms = replace(terms, mu=choose_mu(*labeled, terms, *start, **fit))
        n_passes = self.n_passes
        if n_passes == "auto":
            n_passes = choose_passes(*labeled, terms, *start, **fit)
        problem = Problem.from_labels(*labeled, self.tol)
        *_, solution = passes(problem, terms, *start, n_passes=n_passes, **fit)
        self.mu_, self.n_passes_ = terms.mu, n_passes
        return solution

    def _fit_triplets(self, X, constraints, init, given_scale, search):
        self.mu_, self.n_passes_ = self.mu, 1
        problem = Problem.from_triplets(X)
        objective = TripletObjective.from_triplets(problem, constraints, self.mu)
        L = init * problem.unit
        solution = solve(objective, L if given_scale else objective.scaled(L), self.solver, search)
        solution.components = solution.components / problem.unit
        return solution

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags
