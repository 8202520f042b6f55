"""Solvers of the general model; `check_terms` says what each cannot do."""

import numpy as np
from scipy import linalg
from scipy.optimize import minimize

from metriclearn._arrays import is_double, to_numpy
from metriclearn._extras import require
from metriclearn._linalg import components_from_matrix, project_psd
from metriclearn._progress import progress
from metriclearn.mahalanobis._solvers._clarabel import solve_exactly
from metriclearn.mahalanobis._solvers._lbfgs import minimize_to_certificate

_SDP_FEATURES = 30
_SDP_CONSTRAINTS = 5000
_PATIENCE = 10


def check_terms(loss, smooth, regularizer, barrier, solver, n_components, n_features):
    """Raise for a solver that lacks what the other terms need."""
    if solver in ("lbfgs", "proximal") and not smooth:
        raise ValueError(
            f"loss={loss!r} is not smooth, which solver={solver!r} needs; use "
            f"loss='squared_hinge', or solver='sdp' or 'minibatch'"
        )
    if solver in ("proximal", "minibatch") and barrier:
        raise ValueError(
            f"regularizer={regularizer!r} is infinite on the edge of the cone, where "
            f"solver={solver!r} projects; use solver='lbfgs' or 'sdp'"
        )
    if solver == "lbfgs" and barrier and n_components < n_features:
        raise ValueError(
            f"regularizer={regularizer!r} is infinite for low rank, n_components="
            f"{n_components} of {n_features}; leave n_components None, or use solver='sdp'"
        )


def solve_lbfgs(objective, n_components, *, start=None, max_iter, tol, verbose):
    """Minimize over ``L``, ``A = LᵀL``, by L-BFGS: of low rank where ``n_components`` says so.

    ``start``, here and below: the ``A`` to start from, of shape (d, d).

    Returns
    -------
    A : ndarray of shape (d, d)
    n_iter : int
    converged : bool
        By the duality gap; of low rank, where there is none, by the decrease.
    """
    # In the dtype of the rows as far as that goes, and in float64 from there.
    objective.precise = False
    d = objective.V.shape[1]
    if start is None:
        start = np.eye(d)
        if n_components < d:
            scatter = to_numpy(objective.V.T @ objective.V).astype(np.float64)
            axes = linalg.eigh(scatter)[1][:, -n_components:]
            start = axes @ axes.T
        start = _best_multiple(objective, start)
    L, n_iter = components_from_matrix(start, n_components), 0
    descend = _descend_to_gap if n_components == d else _descend
    for precise in (False, True):
        objective.precise = precise
        limits = {"max_iter": max_iter - n_iter, "tol": tol, "verbose": verbose}
        L, steps, converged = descend(objective, L, **limits)
        n_iter += steps
        if converged or n_iter >= max_iter or is_double(objective.V):
            break
    objective.precise = True
    return L.T @ L, n_iter, converged


def _descend(objective, L, *, max_iter, tol, verbose):
    """L-BFGS until the value hardly falls."""
    with progress(verbose, "MahalanobisLearner", max_iter) as advance:
        result = minimize(
            lambda flat: _flat(*objective.by_factor(flat.reshape(L.shape), certified=False)[:2]),
            L.ravel(),
            jac=True,
            method="L-BFGS-B",
            callback=lambda intermediate_result: advance(f"{intermediate_result.fun:.6g}"),
            options={"maxiter": max_iter, "ftol": tol * 1e-2, "gtol": 0},
        )
    return result.x.reshape(L.shape), result.nit, result.success


def _descend_to_gap(objective, L, *, max_iter, tol, verbose):
    """L-BFGS until the duality gap is small."""

    def relative_gap(L):
        value, _, gap = objective.by_factor(L)
        return gap / max(abs(value), np.finfo(float).tiny)

    L, n_iter = minimize_to_certificate(
        lambda L: objective.by_factor(L, certified=False)[:2],
        L,
        relative_gap,
        interval=5,
        max_iter=max_iter,
        tol=tol,
        description="MahalanobisLearner",
        verbose=verbose,
    )
    objective.precise = True  # the search may trust rounded numbers, the proof may not
    return L, n_iter, relative_gap(L) <= tol


def _flat(value, gradient):
    return value, gradient.ravel()


def _best_multiple(objective, A):
    """Return the multiple of ``A`` with the lowest value, of some that are tried."""
    multiples = np.geomspace(1e-6, 1e6, 25)
    return multiples[np.argmin(objective.of_multiples(A, multiples))] * A


def solve_proximal(objective, *, start=None, max_iter, tol, advance):
    """Minimize by accelerated projected gradients on ``A ⪰ 0``, with restarts.

    Returns
    -------
    A : ndarray of shape (d, d)
    n_iter : int
    converged : bool
    """
    d = objective.V.shape[1]
    if start is None:
        start = _best_multiple(objective, np.eye(d))
    A = momentum = start
    t, curvature = 1.0, 1.0
    best, least = A, np.inf
    n_iter = 0
    while n_iter < max_iter:
        n_iter += 1
        value, gradient, _ = objective.by_matrix(momentum)
        while True:
            new = project_psd(momentum - gradient / curvature)
            step = new - momentum
            new_value, _, gap = objective.by_matrix(new)
            bound = value + np.sum(gradient * step) + curvature / 2 * np.sum(step * step)
            if new_value <= bound + 1e-12 * abs(value) or curvature > 1e30:
                break
            curvature *= 2
        if new_value < least:
            best, least = new, new_value
        advance(f"gap {gap:.1e}")
        if gap <= tol * abs(new_value):
            return new, n_iter, True
        uphill = np.sum((momentum - new) * (new - A)) > 0
        t_new = 1.0 if uphill else (1 + np.sqrt(1 + 4 * t * t)) / 2
        momentum = new if uphill else new + (t - 1) / t_new * (new - A)
        A, t = new, t_new
        curvature *= 0.9
    return best, n_iter, False


def solve_sdp(objective):
    """Solve the exact semidefinite program by cvxpy.

    Returns
    -------
    A : ndarray of shape (d, d)
    """
    d, n = objective.V.shape[1], len(objective.weights)
    if d > _SDP_FEATURES or n > _SDP_CONSTRAINTS:
        raise ValueError(
            f"solver='sdp' is for up to {_SDP_FEATURES} features and {_SDP_CONSTRAINTS} "
            f"constraints, got {d} and {n}; use solver='lbfgs'"
        )
    cvxpy = require("cvxpy", "sdp")
    if objective.diagonal:
        diagonal = cvxpy.Variable(d, nonneg=True)
        A = cvxpy.diag(diagonal)
    else:
        A = cvxpy.Variable((d, d), PSD=True)
    return project_psd(solve_exactly(cvxpy.Problem(cvxpy.Minimize(objective.express(cvxpy, A))), A))


class MinibatchState:
    """Projected stochastic subgradient steps of AdaGrad's length, and a mean over them."""

    def __init__(self, d, start=None):
        self.A = np.eye(d) if start is None else start
        self.mean = self.A
        self.squared = 0.0
        self.n_steps = 0

    def turned(self, directions):
        """Return the same state over the features, whose coordinates are ``directions`` (r, d)."""
        state = MinibatchState(directions.shape[1])
        state.A, state.mean = (directions.T @ A @ directions for A in (self.A, self.mean))
        state.squared, state.n_steps = self.squared, self.n_steps
        return state

    def learn(self, objective, batch_size, random_state):
        """Pass once over the constraints, in batches and random order."""
        order = random_state.permutation(len(objective.weights))
        # Of equal size, since a small batch is a poor estimate of the whole.
        for rows in np.array_split(order, -(-len(order) // batch_size)):
            _, gradient, _ = objective.part(rows).by_matrix(self.A)
            self.squared += np.sum(gradient**2)
            if self.squared > 0:
                size = np.sqrt(len(self.A) / self.squared)
                self.A = project_psd(self.A - size * gradient)
            self.n_steps += 1
            # Later steps weigh more, so that the start is forgotten.
            self.mean = self.mean + (self.A - self.mean) * min(1.0, 3 / (self.n_steps + 2))


def solve_minibatch(objective, batch_size, random_state, *, start=None, max_iter, tol, advance):
    """Pass over the constraints until ten passes do not improve the best value by ``tol``.

    Returns
    -------
    A : ndarray of shape (d, d)
    n_iter : int
    converged : bool
    state : MinibatchState
        To go on from.
    """
    state = MinibatchState(objective.V.shape[1], start)
    best, least, last_gain = state.mean, np.inf, 0
    for n_iter in range(1, max_iter + 1):
        state.learn(objective, batch_size, random_state)
        value, _, gap = objective.by_matrix(state.mean)
        if value < least - tol * abs(value):
            last_gain = n_iter
        if value < least:
            best, least = state.mean, value
        advance(f"gap {gap:.1e}")
        if n_iter - last_gain >= _PATIENCE:
            return best, n_iter, True, state
    return best, max_iter, False, state
