"""LMNN: large margin nearest neighbours."""

from numbers import Integral, Real

import numpy as np
from scipy import linalg, optimize
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from metriclearn._progress import progress
from metriclearn._validation import check_labels, check_n_neighbors
from metriclearn.constraints import Triplets
from metriclearn.mahalanobis._base import MahalanobisTransformer, warn_not_converged
from metriclearn.mahalanobis._hinge import Hinge, SquaredHinge
from metriclearn.mahalanobis._impostors import target_neighbors
from metriclearn.mahalanobis._init import INIT_CONSTRAINTS, initial_components
from metriclearn.mahalanobis._lmnn_objective import LabelObjective, TripletObjective

_TARGET_DISTANCE = 3.0  # mean squared distance of target pairs at the start, in margins


class LMNN(MahalanobisTransformer):
    """Large margin nearest neighbours (Weinberger & Saul, 2009).

    ::

        min over L   mu Σ d²(i, j)  +  (1 - mu) Σ [1 + d²(i, j) - d²(i, l)]_+
                       i, j               i, j, l

    with ``j`` the target neighbours of ``i`` (its ``n_neighbors`` nearest rows
    of its own class) and ``l`` the rows of other classes.

    Parameters
    ----------
    n_components : int, default=None
        Dimension of the learned space; ``n_features`` by default.
    n_neighbors : int, default=3
        Target neighbours of each row. A class with exactly that many rows uses
        one fewer.
    mu : float, default=0.5
        Weight of the pull term, between 0 and 1 exclusive.
    init : {"auto", "pca", "lda", "identity", "random"} or array, default="auto"
        First guess of ``components_``.
    loss : {"hinge", "squared_hinge"}, default="hinge"
        Loss of a margin violation.
    max_iter : int, default=500
        Most L-BFGS iterations.
    tol : float, default=1e-6
        Stop where an iteration lowers the objective by less than this share.
    random_state : int, RandomState instance or None, default=None
        Used by ``init="random"``.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The learned ``L``.
    objective_ : float
        Value of the objective at ``components_``.
    duality_gap_ : float
        Relative distance of ``objective_`` to a lower bound of the objective over all metrics.
    n_iter_ : int
        L-BFGS iterations.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import LMNN
    >>> X, y = load_iris(return_X_y=True)
    >>> LMNN().fit(X, y).components_.shape
    (4, 4)
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "mu": [Interval(Real, 0, 1, closed="neither")],
        "init": INIT_CONSTRAINTS,
        "loss": [StrOptions({"hinge", "squared_hinge"})],
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
        max_iter=500,
        tol=1e-6,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.mu = mu
        self.init = init
        self.loss = loss
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
            Class labels.
        constraints : Triplets, default=None
            Judgements instead of labels.

        Returns
        -------
        self
        """
        X, y = self._validate_fit(X, y, constraints)
        codes = None
        if constraints is None:
            classes, codes = check_labels(y)
            check_n_neighbors(self.n_neighbors, classes, np.bincount(codes))
        L = initial_components(self.init, X, codes, self.n_components, self.random_state)
        L = L.astype(np.float64)

        # Rows sorted by class; centred and in units of their spread, so that
        # neither an offset nor 1e±8 costs digits.
        order = np.arange(len(X)) if codes is None else np.argsort(codes, kind="stable")
        rows = X[order].astype(np.float64)
        rows -= rows.mean(axis=0)
        unit = np.sqrt(np.mean(np.square(rows)))
        unit = unit if unit > 0 else 1.0
        rows = (rows / unit).astype(X.dtype)
        L *= unit
        if codes is not None:
            starts = np.concatenate([[0], np.cumsum(np.bincount(codes))])
            targets = target_neighbors(rows, starts, self.n_neighbors)
            first = np.repeat(np.arange(len(X)), self.n_neighbors)[targets.ravel() >= 0]
            second = targets[targets >= 0]
        else:
            first, second = constraints.indices[:, 0], constraints.indices[:, 1]
        difference = rows[first] - rows[second]
        if isinstance(self.init, str):
            spread = np.mean(np.sum(np.square(difference @ L.T), axis=1))
            if spread > 0:
                L *= np.sqrt(_TARGET_DISTANCE / spread)
        scatter = (difference.T @ difference).astype(np.float64) / len(first)
        values, vectors = linalg.eigh(scatter)
        ridged = values + max(1e-2 * values.mean(), 1e-12)
        whiten = (vectors / np.sqrt(ridged)) @ vectors.T
        L = L @ ((vectors * np.sqrt(ridged)) @ vectors.T)
        rows = rows @ whiten.astype(rows.dtype)
        if codes is not None:
            objective = LabelObjective(rows, self.mu, starts, targets)
        else:
            objective = TripletObjective(rows, self.mu, constraints.indices, constraints.weights)
        L, converged = self._minimise(objective, L)
        final = Hinge() if self.loss == "hinge" else SquaredHinge()
        self.objective_ = objective.value(L, final)
        rounded = Hinge(self._width) if self.loss == "hinge" else final
        bound = objective.lower_bound(L, rounded)
        self.duality_gap_ = (self.objective_ - bound) / max(self.objective_, 1e-300)
        if not converged:
            warn_not_converged("LMNN", self.max_iter)
        return self._set_components((L @ whiten / unit).astype(X.dtype))

    def _minimise(self, objective, L):
        self.n_iter_ = 0
        losses = [SquaredHinge()] if self.loss == "squared_hinge" else [Hinge(0.1), Hinge(0.01)]
        shape = L.shape
        with progress(self.verbose, "LMNN", self.max_iter) as advance:
            for loss in losses:
                self._width = getattr(loss, "width", 0)

                def function(flat, loss=loss):
                    value, gradient = objective.value_and_gradient(flat.reshape(shape), loss)
                    return value, gradient.ravel().astype(np.float64)

                result = optimize.minimize(
                    function,
                    L.ravel(),
                    jac=True,
                    method="L-BFGS-B",
                    callback=lambda intermediate_result: advance(
                        f"objective {intermediate_result.fun:.6g}"
                    ),
                    options={"maxiter": self.max_iter - self.n_iter_, "ftol": self.tol, "gtol": 0},
                )
                self.n_iter_ += int(result.nit)
                L = result.x.reshape(shape)
                if self.n_iter_ >= self.max_iter:
                    return L, result.success
        return L, True
