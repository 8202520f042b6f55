"""LMNN: large margin nearest neighbors."""

from numbers import Integral, Real

import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import check_random_state

from metriclearn._arrays import (
    is_double,
    mean_row,
    moved_to,
    namespace,
    rows_of,
    squared_norms,
    to_numpy,
    with_dtype,
    with_dtype_of,
)
from metriclearn._pairs import pair_scatter
from metriclearn._progress import progress
from metriclearn._sklearn import Interval, StrOptions, fit_context
from metriclearn._validation import (
    check_labels,
    check_n_components,
    check_n_neighbors,
    weighted_rows,
)
from metriclearn.constraints import Triplets
from metriclearn.mahalanobis._base import MahalanobisTransformer, warn_not_converged
from metriclearn.mahalanobis._clarabel import warn_far
from metriclearn.mahalanobis._init import INIT_CONSTRAINTS, initial_components
from metriclearn.mahalanobis._lmnn._coordinates import PullCoordinates
from metriclearn.mahalanobis._lmnn._impostors import target_neighbors, weighted_targets
from metriclearn.mahalanobis._lmnn._label_objective import LabelObjective
from metriclearn.mahalanobis._lmnn._objective import TripletObjective
from metriclearn.mahalanobis._lmnn._sdp import check_sdp_components, solve_sdp
from metriclearn.mahalanobis._lmnn._solver import minimize

_SOLVERS = {"lbfgs": minimize, "sdp": solve_sdp}
_MOST_PASSES = 5  # that n_passes="auto" tries
_MANY_ROWS = 1000  # from which on the search is in float32, as far as that goes
_HELD_OUT = 0.2  # share of each class that it validates on
# Mean squared distance of target pairs, in margins, at the start. Much smaller,
# and every row starts as an impostor of every other.
_TARGET_DISTANCE = 3.0


class LMNN(MahalanobisTransformer):
    """Large margin nearest neighbors (Weinberger & Saul, 2009).

    ::

        min over M = LᵀL ⪰ 0   mu Σ d²(i, j)  +  (1 - mu) Σ [1 + d²(i, j) - d²(i, l)]_+
                                 i, j               i, j, l

    The first sum pulls each row ``i`` to its target neighbors ``j``, the
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
        Target neighbors of each row, found by Euclidean distance in the input
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
        After each pass but the last the target neighbors are found again, in
        the learned space. ``"auto"`` tries up to 5 on a fifth of the rows held
        out, takes the fewest whose nearest-neighbor accuracy is within one
        standard error of the best, and fits again on all rows. Only 1 goes
        with ``constraints``.
    max_iter : int, default=500
        Most L-BFGS iterations of a pass.
    warm_start : bool, default=False
        Start from the ``components_`` of the previous ``fit``.
    tol : float, default=1e-5
        The iteration that lowers the objective by less than this share is the
        last. Small problems (1,000 rows or 20,000 triplets, 100 features, full
        dimension) go on within ``max_iter`` until ``duality_gap_`` is 1e-4.
        Below 1e-7, and below 1,000 rows of float64, all work is done in float64.
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
        "warm_start": ["boolean"],
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
        warm_start=False,
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
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, constraints=None, sample_weight=None):
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
            are no ``Triplets``, or ``solver="sdp"`` cannot bear the problem.
        """
        X, y = self._validate_fit(X, y, constraints)
        if constraints is not None and sample_weight is not None:
            raise ValueError(
                "sample_weight and constraints were both given; give Triplets weights of their own"
            )
        n_components = self.n_components
        if n_components is not None:
            check_n_components(n_components, X.shape[1])
        if self.solver == "sdp":
            check_sdp_components(n_components, X.shape[1])
        if constraints is not None and self.n_passes != 1:
            raise ValueError(
                f"n_passes={self.n_passes!r} finds target neighbors anew, which Triplets fix; "
                f"leave it 1 or fit from labels"
            )
        codes = weights = None
        if constraints is None:
            weights, rows, y = weighted_rows(sample_weight, np.arange(len(y)), y)
            classes, codes = check_labels(y, sample_weight=weights)
            counts = np.bincount(codes)
            if weights is not None:
                X = rows_of(X, rows)
                counts = np.maximum(counts, np.bincount(codes, weights).astype(int))
            check_n_neighbors(self.n_neighbors, classes, counts)
        random_state = check_random_state(self.random_state)
        warm = self.warm_start and hasattr(self, "components_")
        init = self.components_ if warm else self.init
        given_scale = not isinstance(init, str)
        init = initial_components(init, X, codes, n_components, random_state, weights)

        with progress(self.verbose, "LMNN") as advance:
            start = {"init": init, "given_scale": given_scale, "advance": advance}
            if constraints is not None:
                self.n_passes_ = 1
                L, solution = self._fit_triplets(X, constraints, **start)
            else:
                self.n_passes_ = self.n_passes
                if self.n_passes == "auto":
                    self.n_passes_ = self._choose_passes(X, codes, weights, random_state, **start)
                passes = self._passes(X, codes, weights, self.n_passes_, polish=True, **start)
                *_, (L, solution) = passes
        self.objective_ = solution.objective
        self.duality_gap_ = solution.duality_gap
        self.n_iter_ = solution.n_iter
        if not solution.converged:
            if self.solver == "sdp":
                warn_far("LMNN")
            else:
                warn_not_converged("LMNN", self.max_iter)
        return self._set_components(L, like=X)

    def _passes(self, X, codes, weights, n_passes, *, init, given_scale, polish, advance):
        """Learn from labels; yields ``L`` and its ``Solution`` after each pass."""
        order = np.argsort(codes, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(codes))])
        weights = None if weights is None else weights[order]
        rows, unit = _centered(rows_of(X, order), weights)
        L, space = init * unit, rows
        for number in range(n_passes):
            targets, shares = target_neighbors(space, starts, self.n_neighbors), None
            if weights is not None:
                targets, shares = weighted_targets(space, targets, weights, self.n_neighbors)
            anchors, columns = np.nonzero(targets >= 0)
            pulls = np.ones(len(anchors))
            if weights is not None:
                pulls = weights[anchors] * shares[anchors, columns]
            pairs = anchors, targets[anchors, columns]
            scatter = pair_scatter(with_dtype(rows, "float64"), pulls, *pairs)
            if number == 0 and not given_scale:
                L = _scaled(L, rows, scatter, pulls.sum())
            given = {"starts": starts, "targets": targets, "shares": shares, "weights": weights}
            L, solution = self._solve(LabelObjective, given, L, rows, scatter, polish, advance)
            yield L / unit, solution
            space = rows @ moved_to(rows, L.T)

    def _fit_triplets(self, X, constraints, *, init, given_scale, advance):
        rows, unit = _centered(X)
        triplets, weights = constraints.indices, constraints.weights
        weights = np.ones(len(triplets)) if weights is None else weights
        scatter = pair_scatter(with_dtype(rows, "float64"), weights, *triplets[:, :2].T)
        L = init * unit
        if not given_scale:
            L = _scaled(L, rows, scatter, weights.sum())
        given = {"triplets": triplets, "weights": weights}
        L, solution = self._solve(TripletObjective, given, L, rows, scatter, True, advance)
        return L / unit, solution

    def _solve(self, kind, given, L, rows, scatter, polish, advance):
        of_rows = given["weights"] if kind is LabelObjective else None
        coordinates = PullCoordinates(rows, scatter, of_rows)
        few = is_double(rows) and rows.shape[0] < _MANY_ROWS
        precise = few or self.tol < 1e-7 or kind is TripletObjective
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

    def _choose_passes(self, X, codes, weights, random_state, **start):
        """Fewest passes within one standard error of the best accuracy on held-out rows."""
        held_out = np.zeros(len(codes), dtype=bool)
        for code, count in enumerate(np.bincount(codes)):
            n_held = min(int(_HELD_OUT * count), count - self.n_neighbors - 1)
            if n_held > 0:
                rows = np.flatnonzero(codes == code)
                held_out[random_state.choice(rows, n_held, replace=False)] = True
        if not held_out.any():
            return 1
        train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        X_train, X_test = rows_of(X, train), to_numpy(rows_of(X, test))
        of_train, of_test = (None if weights is None else weights[rows] for rows in (train, test))
        accuracies = []
        passes = self._passes(X_train, codes[train], of_train, _MOST_PASSES, polish=False, **start)
        for L, _ in passes:
            neighbors = KNeighborsClassifier(self.n_neighbors)
            neighbors.fit(to_numpy(X_train) @ L.T, codes[train])
            accuracies.append(neighbors.score(X_test @ L.T, codes[test], sample_weight=of_test))
        best = max(accuracies)
        error = np.sqrt(best * (1 - best) / len(test))
        return 1 + int(np.argmax(np.array(accuracies) >= best - error))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags


def _scaled(L, rows, scatter, n_pairs):
    """Bring a first guess that is not the user's own to the scale of the margin."""
    distance = np.sum((L @ scatter) * L) / max(n_pairs, 1e-300)
    if distance <= 0:  # all targets are duplicates
        distance = 2 * float(namespace(rows).mean(squared_norms(rows @ moved_to(rows, L.T))))
    return L * np.sqrt(_TARGET_DISTANCE / distance) if distance > 0 else L


def _centered(X, weights=None):
    """Rows about their mean in units of their spread, and that unit.

    Neither an offset nor a scale of 1e±8 then costs digits.
    """
    rows = with_dtype(X, "float64")
    mean = mean_row(rows, weights)
    rows = rows - mean
    variances = to_numpy(mean_row(rows * rows, weights))
    # What a constant feature leaves is rounding, not spread.
    eps = np.finfo(np.float64 if is_double(X) else np.float32).eps
    varies = np.sqrt(variances) > 8 * eps * np.abs(to_numpy(mean))
    rows *= moved_to(rows, varies)
    unit = float(np.sqrt(np.mean(variances * varies)))
    unit = unit if unit > 0 else 1.0
    return with_dtype_of(X, rows / unit), unit
