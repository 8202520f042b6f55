"""First-order minimisation of the LMNN objective, with a certificate at the end."""

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from metriclearn.mahalanobis._hinge import Hinge, SquaredHinge

_WIDTHS = (0.03, 0.01, 0.003, 0.001)  # of the parabola that rounds the hinge
_FIRST_REFRESH = 10  # iterations to the first look for impostors that the list has missed
_MEMORY = 20  # pairs of steps that L-BFGS keeps


@dataclass
class Solution:
    """What a solver returns."""

    components: np.ndarray
    objective: float
    bound: float  # a lower bound of the objective over all M ⪰ 0
    n_iter: int
    converged: bool

    @property
    def duality_gap(self):
        """Distance of the objective to the bound, as a share of the objective."""
        if self.objective == 0:
            return 0.0
        return (self.objective - self.bound) / self.objective


def minimise(objective, L, loss, *, tol, max_iter, advance):
    """Minimise an LMNN objective over ``L`` by L-BFGS.

    The hinge is rounded by a parabola, which is narrowed until the rounding is
    worth less than 1e-4 of the objective (less still for a tight ``tol``).

    Parameters
    ----------
    objective : LMNNObjective
    L : ndarray of shape (r, d)
        Where to start.
    loss : {"hinge", "squared_hinge"}
    tol : float
        An iteration that lowers the objective by less than this share is the last.
    max_iter : int
    advance : callable
        Called with a status after each iteration.

    Returns
    -------
    Solution
    """
    descent = _Descent(objective, max_iter, advance)
    if loss == "squared_hinge":
        final = SquaredHinge()
        L, converged = descent.run(L, final, tol)
        value, bound = objective.value(L, final), objective.lower_bound(L, final)
        return Solution(L, value, bound, descent.n_iter, converged)
    bound = 0.0
    for width in _WIDTHS:
        rounded = Hinge(width)
        L, converged = descent.run(L, rounded, tol)
        value = objective.value(L, Hinge())
        bound = max(bound, objective.lower_bound(L, rounded))
        rounding = objective.value(L, rounded) - value
        if not converged or rounding <= np.clip(100 * tol, 1e-5, 1e-4) * value:
            break
    return Solution(L, value, bound, descent.n_iter, converged)


class _Descent:
    """L-BFGS on ``L``, counting its iterations over the stages of a fit."""

    def __init__(self, objective, max_iter, advance):
        self.objective, self.max_iter, self.advance = objective, max_iter, advance
        self.n_iter = 0
        self._refresh_at = self._interval = _FIRST_REFRESH

    def run(self, L, loss, tol):
        """Minimise one loss from ``L``; returns ``L`` and whether ``tol`` was met."""
        best, lowest = L, np.inf
        while self.n_iter < self.max_iter:
            L, converged, outdated = self._lbfgs(L, loss, tol)
            if not converged and not outdated and not self.objective.precise:
                # The line search met the rounding of float32.
                self.objective.precise = True
                continue
            if not outdated and not self.objective.refresh(L, loss):
                return L, converged
            # The list had missed impostors. Go on from here with the new one, or
            # from half way back where they made the step a bad one.
            value = self.objective.value(L, loss)
            if value > lowest:
                L = (L + best) / 2
                self.objective.refresh(L, loss)
            else:
                best, lowest = L, value
        return L, False

    def _lbfgs(self, L, loss, tol):
        shape = L.shape
        outdated = False

        def function(flat):
            value, gradient = self.objective.value_and_gradient(flat.reshape(shape), loss)
            return value, gradient.ravel().astype(np.float64)

        def callback(intermediate_result):
            nonlocal outdated
            self.n_iter += 1
            self.advance(f"objective {intermediate_result.fun:.6g}")
            if self.n_iter >= self._refresh_at:
                outdated = self.objective.refresh(intermediate_result.x.reshape(shape), loss)
                self._interval = _FIRST_REFRESH if outdated else 2 * self._interval
                self._refresh_at = self.n_iter + self._interval
                if outdated:
                    raise StopIteration

        result = optimize.minimize(
            function,
            L.ravel(),
            jac=True,
            method="L-BFGS-B",
            callback=callback,
            options={
                "maxiter": self.max_iter - self.n_iter,
                "maxfun": np.inf,
                "ftol": tol,
                "gtol": 0,
                "maxcor": _MEMORY,
            },
        )
        return result.x.reshape(shape), bool(result.success), outdated
