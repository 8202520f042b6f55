"""LMNN: large margin nearest neighbours."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import _fit_context
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from metriclearn._pairs import pair_scatter
from metriclearn._progress import progress
from metriclearn._validation import check_labels, check_n_components, check_n_neighbors
from metriclearn.constraints import Triplets
from metriclearn.mahalanobis._base import MahalanobisTransformer, warn_not_converged
from metriclearn.mahalanobis._impostors import target_neighbors
from metriclearn.mahalanobis._init import INIT_CONSTRAINTS, initial_components
from metriclearn.mahalanobis._lmnn_coordinates import PullCoordinates
from metriclearn.mahalanobis._lmnn_objective import LabelObjective, TripletObjective
from metriclearn.mahalanobis._lmnn_sdp import check_sdp_components, solve_sdp
from metriclearn.mahalanobis._lmnn_solver import minimise

_SOLVERS = {"lbfgs": minimise, "sdp": solve_sdp}
_MOST_PASSES = 5  # that n_passes="auto" tries
_HELD_OUT = 0.2  # share of each class that it validates on
# Mean squared distance of target pairs, in margins, at the start. Much smaller,
# and every row starts as an impostor of every other.
_TARGET_DISTANCE = 3.0


class LMNN(MahalanobisTransformer):
    """Large margin nearest neighbours (Weinberger & Saul, 2009).

    ::

        min over M = LᵀL ⪰ 0   mu Σ d²(i, j)  +  (1 - mu) Σ [1 + d²(i, j) - d²(i, l)]_+
                                 i, j               i, j, l

    The first sum pulls each row ``i`` to its target neighbours ``j``, the
    nearest rows of its own class; the second pushes impostors ``l``, rows of
    other classes, a margin beyond them. All impostors count, at any number of
    rows: they are searched in blocks, and memory grows with the data and with
    the pairs inside the margin, never with the square of the rows.

    The problem is convex in ``M``. ``solver="lbfgs"`` works on ``L``, in
    coordinates that make the pull term round, and ends with a certificate:
    a feasible point of the dual, hence a bound that no metric can beat.

    Parameters
    ----------
    n_components : int, default=None
        Dimension of the learned space, at most ``n_features``, the default.
        Below it the problem is no longer convex.
    n_neighbors : int, default=3
        Target neighbours of each row, found by Euclidean distance in the input
        space. A class with exactly that many rows uses its ``n_neighbors - 1``
        others. Not used with ``constraints``.
    mu : float, default=0.5
        Weight of the pull term, between 0 and 1 exclusive.
    init : {"auto", "pca", "lda", "identity", "random"} or array-like of shape \
            (n_components, n_features), default="auto"
        First guess of ``components_``: ``"auto"`` is the identity at full
        dimension, below it LDA or, for as many components as classes, PCA. All
        but an array are scaled to the data, so that units do not matter.
    loss : {"hinge", "squared_hinge"}, default="hinge"
        Loss of a margin violation: the paper's, or its square, which is smooth.
    solver : {"lbfgs", "sdp"}, default="lbfgs"
        ``"sdp"`` states the semidefinite programme to cvxpy and solves it with
        clarabel: exact, for up to 20 features and 20,000 triplets near the
        margin. Needs the extra ``sdp``; has no ``n_components``.
    n_passes : int or "auto", default=1
        After each pass but the last the target neighbours are found again, in
        the learned space. ``"auto"`` tries up to 5 on a fifth of the rows held
        out, takes the fewest whose nearest-neighbour accuracy is within one
        standard error of the best, and fits again on all rows. Only 1 goes
        with ``constraints``.
    max_iter : int, default=500
        Most L-BFGS iterations of a pass.
    tol : float, default=1e-5
        The iteration that lowers the objective by less than this share is the
        last. Small problems (1,000 rows or 20,000 triplets, 100 features, full
        dimension) go on within ``max_iter`` until ``duality_gap_`` is 1e-4.
        Below 1e-7 all work is done in float64.
    random_state : int, RandomState instance or None, default=None
        For ``init="random"`` and for the rows that ``n_passes="auto"`` holds out.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The learned ``L``.
    objective_ : float
        Value of the objective above at ``components_`` (of the last pass).
    duality_gap_ : float
        ``(objective_ - bound) / objective_``, with ``bound`` a lower bound of
        the objective over all ``M ⪰ 0``: 0 is proof of the optimum. It bounds
        the error from above, often by far. With ``n_components`` below
        ``n_features`` it also holds what the lower dimension costs.
    n_passes_ : int
        Passes made.
    n_iter_ : int
        Iterations of the last pass: of L-BFGS, or programmes solved.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    References
    ----------
    K. Q. Weinberger, L. K. Saul. Distance metric learning for large margin
    nearest neighbor classification. JMLR 10, 2009.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from metriclearn import LMNN
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(LMNN(), KNeighborsClassifier(3)).fit(X[::2], y[::2])
    >>> round(model.score(X[1::2], y[1::2]), 2)
    0.97
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "mu": [Interval(Real, 0, 1, closed="neither")],
        "init": INIT_CONSTRAINTS,
        "loss": [StrOptions({"hinge", "squared_hinge"})],
        "solver": [StrOptions(set(_SOLVERS))],
        "n_passes": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _constraint_kinds = (Triplets,)

    def __init__(
        self,
        n_components=None,
        *,
        n_neighbors=3,
        mu=0.5,
        init="auto",
        loss="hinge",
        solver="lbfgs",
        n_passes=1,
        max_iter=500,
        tol=1e-5,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.mu = mu
        self.init = init
        self.loss = loss
        self.solver = solver
        self.n_passes = n_passes
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, constraints=None):
        """Learn the metric from class labels or from triplets.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,), default=None
            Class labels, at least two rows of each class.
        constraints : Triplets, default=None
            Judgements instead of labels: the objective is
            ``Σ w (mu d²(a, p) + (1 - mu) [1 + d²(a, p) - d²(a, n)]_+)`` over
            triplets (anchor, positive, negative) of weight ``w``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If ``y`` has one class only or a class of one row; if
            ``n_neighbors`` is larger than the smallest class; if
            ``n_components`` is larger than ``n_features``; if the constraints
            are no ``Triplets``, or ``solver="sdp"`` cannot bear the problem.
        """
        X, y = self._validate_fit(X, y, constraints)
        n_components = self.n_components
        if n_components is not None:
            check_n_components(n_components, X.shape[1])
        if self.solver == "sdp":
            check_sdp_components(n_components, X.shape[1])
        if constraints is not None and self.n_passes != 1:
            raise ValueError(
                f"n_passes={self.n_passes!r} finds target neighbours anew, which Triplets fix; "
                f"leave it 1 or fit from labels"
            )
        codes = None
        if constraints is None:
            classes, codes = check_labels(y)
            check_n_neighbors(self.n_neighbors, classes, np.bincount(codes))
        random_state = check_random_state(self.random_state)
        init = initial_components(self.init, X, codes, n_components, random_state)

        with progress(self.verbose, "LMNN") as advance:
            if constraints is not None:
                self.n_passes_ = 1
                L, solution = self._fit_triplets(X, constraints, init, advance)
            else:
                self.n_passes_ = self.n_passes
                if self.n_passes == "auto":
                    self.n_passes_ = self._choose_passes(X, codes, init, random_state, advance)
                *_, (L, solution) = self._passes(X, codes, init, self.n_passes_, True, advance)
        self.objective_ = solution.objective
        self.duality_gap_ = solution.duality_gap
        self.n_iter_ = solution.n_iter
        if not solution.converged:
            sdp = "clarabel ended far from the optimum; use solver='lbfgs'"
            remedy = {"remedy": sdp} if self.solver == "sdp" else {}
            warn_not_converged("LMNN", self.max_iter, **remedy)
        return self._set_components(L.astype(X.dtype))

    def _passes(self, X, codes, init, n_passes, polish, advance):
        """Learn from labels; yields ``L`` and its ``Solution`` after each pass."""
        order = np.argsort(codes, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(codes))])
        rows, unit = _centred(X[order])
        anchors = np.repeat(np.arange(len(rows)), self.n_neighbors)
        L, space = init * unit, rows
        for number in range(n_passes):
            targets = target_neighbors(space, starts, self.n_neighbors)
            present = targets.ravel() >= 0
            pairs = anchors[present], targets.ravel()[present]
            scatter = pair_scatter(rows.astype(np.float64), np.ones(len(pairs[0])), *pairs)
            if number == 0:
                L = self._scaled(L, rows, scatter, len(pairs[0]))
            given = {"starts": starts, "targets": targets}
            L, solution = self._solve(LabelObjective, given, L, rows, scatter, polish, advance)
            yield L / unit, solution
            space = rows @ L.T.astype(rows.dtype)

    def _fit_triplets(self, X, constraints, init, advance):
        rows, unit = _centred(X)
        triplets, weights = constraints.indices, constraints.weights
        weights = np.ones(len(triplets)) if weights is None else weights
        scatter = pair_scatter(rows.astype(np.float64), weights, *triplets[:, :2].T)
        L = self._scaled(init * unit, rows, scatter, weights.sum())
        given = {"triplets": triplets, "weights": weights}
        L, solution = self._solve(TripletObjective, given, L, rows, scatter, True, advance)
        return L / unit, solution

    def _scaled(self, L, rows, scatter, n_pairs):
        """Bring a first guess that is not the user's own to the scale of the margin."""
        if not isinstance(self.init, str):
            return L
        distance = np.sum((L @ scatter) * L) / max(n_pairs, 1)
        if distance <= 0:  # all targets are duplicates
            distance = 2 * np.mean(np.sum(np.square(rows @ L.T), axis=1))
        return L * np.sqrt(_TARGET_DISTANCE / distance) if distance > 0 else L

    def _solve(self, kind, given, L, rows, scatter, polish, advance):
        coordinates = PullCoordinates(rows, scatter)
        precise = self.tol < 1e-7 or kind is TripletObjective
        objective = kind(coordinates.rows, self.mu, coordinates.scatter, precise=precise, **given)
        solution = _SOLVERS[self.solver](
            objective,
            coordinates.enter(L),
            self.loss,
            tol=self.tol,
            max_iter=self.max_iter,
            polish=polish,
            advance=advance,
        )
        return coordinates.leave(solution.components), solution

    def _choose_passes(self, X, codes, init, random_state, advance):
        """Fewest passes within one standard error of the best accuracy on held-out rows."""
        held_out = np.zeros(len(X), dtype=bool)
        for code, count in enumerate(np.bincount(codes)):
            n_held = min(int(_HELD_OUT * count), count - self.n_neighbors - 1)
            if n_held > 0:
                rows = np.flatnonzero(codes == code)
                held_out[random_state.choice(rows, n_held, replace=False)] = True
        if not held_out.any():
            return 1
        X_train, y_train, X_test, y_test = (
            X[~held_out],
            codes[~held_out],
            X[held_out],
            codes[held_out],
        )
        accuracies = []
        for L, _ in self._passes(X_train, y_train, init, _MOST_PASSES, False, advance):
            neighbors = KNeighborsClassifier(self.n_neighbors).fit(X_train @ L.T, y_train)
            accuracies.append(neighbors.score(X_test @ L.T, y_test))
        best = max(accuracies)
        error = np.sqrt(best * (1 - best) / len(y_test))
        return 1 + int(np.argmax(np.array(accuracies) >= best - error))


def _centred(X):
    """Rows about their mean in units of their spread, and that unit.

    Neither an offset nor a scale of 1e±8 then costs digits.
    """
    rows = X.astype(np.float64)
    mean = rows.mean(axis=0)
    rows -= mean
    # What a constant feature leaves is rounding, not spread.
    rows[:, rows.std(axis=0) <= 8 * np.finfo(X.dtype).eps * np.abs(mean)] = 0
    unit = np.sqrt(np.mean(np.square(rows)))
    unit = unit if unit > 0 else 1.0
    return (rows / unit).astype(X.dtype), unit
