"""First-order minimization of the LMNN objective, with a certificate at the end."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from metriclearn.mahalanobis._lmnn._objective import Hinge, SquaredHinge

_WIDTHS = (0.03, 0.01, 0.003, 0.001, 0.0003)  # of the parabola that rounds the hinge
_ROUNDING = 1e-6  # share of the objective that the rounding may be worth at the end
_GAP = 5e-5  # duality gap that small problems are polished to
# Each width to the last digits: the gap is then the same however sums were rounded, and so is
# the width at which it is small enough.
_POLISH_TOL = 1e-14
# Tolerance, and most iterations, of a pass that another one follows.
_ROUGH_TOL, _ROUGH_ITERATIONS = 1e-3, 100
_SHORT_STEP = 1e-3  # length of a first step, as a share of L, where that of L-BFGS-B fails
_COLLAPSED = 0.999  # share of the value at L = 0 above which the pull has won
_FIRST_REFRESH = 10  # iterations to the first look for impostors that the list has missed
_MISSED = 1e-6  # share of the value that those missed may be worth at the end
_MEMORY = 20  # pairs of steps that L-BFGS keeps


@dataclass(frozen=True)
class Search:
    """Settings of a solver.

    Attributes
    ----------
    loss : {"hinge", "squared_hinge"}
    tol : float
        An iteration that lowers the objective by less than this share of it (or of
        its scale, where that is more) is the last.
    max_iter : int
    polish : bool
        Whether small problems are solved, in float64, until the duality gap is 5e-5.
    rough : bool
        Whether the hinge, rounded as it is first, will do: where another pass follows.
    advance : callable
        Called with a status after each iteration.
    """

    loss: str
    tol: float
    max_iter: int
    advance: Callable
    polish: bool = True
    rough: bool = False

    def for_a_start(self, small=False):
        """Return the search of a pass that another one follows."""
        # Of few rows one target more or less is felt.
        tol = 1e-2 * self.tol if small else max(self.tol, _ROUGH_TOL)
        max_iter = min(self.max_iter, _ROUGH_ITERATIONS)
        return replace(self, tol=tol, max_iter=max_iter, polish=False, rough=True)


@dataclass
class Solution:
    """What a solver returns."""

    components: np.ndarray
    objective: float
    bound: float  # a lower bound of the objective over all M ⪰ 0
    n_iter: int
    converged: bool
    collapsed: bool = False  # no better than no distances at all

    @property
    def duality_gap(self):
        """Distance of the objective to the bound, as a share of the objective."""
        if self.objective == 0:
            return 0.0
        return (self.objective - self.bound) / self.objective


def minimize(objective, L, search):
    """Minimize an LMNN objective over ``L`` by L-BFGS.

    The hinge is rounded by a parabola, narrowed until the rounding is worth less
    than 1e-6 of the objective. For small problems at full dimension 5e-5 will do:
    they are polished, in float64, until that is the duality gap.

    Parameters
    ----------
    objective : LMNNObjective
    L : ndarray of shape (r, d)
        Where to start, in the coordinates of the objective.
    search : Search

    Returns
    -------
    Solution
    """
    descent = _Descent(objective, search)
    if search.loss == "hinge":
        final, stages = Hinge(), [Hinge(width) for width in _WIDTHS]
    else:
        final = SquaredHinge()
        stages = [final]
    bound = 0.0

    def run(stage, tol):
        nonlocal L, bound
        L, converged = descent.run(L, stage, tol)
        value, stage_bound = objective.certificate(L, stage)
        bound = max(bound, stage_bound)
        rounding = 0.0 if stage is final else value - objective.value(L, final)
        return value - rounding, rounding, converged

    polish = search.polish and L.shape[0] == L.shape[1] and objective.small
    while True:
        value, rounding, converged = run(stages[0], search.tol)
        allowed = (_GAP if polish else _ROUNDING) * value
        if not converged or rounding <= allowed or len(stages) == 1 or search.rough:
            break
        stages = stages[1:]
    if polish:
        objective.sharpen()
        for stage in stages:
            if descent.n_iter >= search.max_iter:
                break
            value, *_ = run(stage, min(search.tol, _POLISH_TOL))
            if value - bound <= _GAP * value:
                break
    collapsed = value > _COLLAPSED * objective.at_zero
    return Solution(L, value, bound, descent.n_iter, converged and not collapsed, collapsed)


class _Descent:
    """L-BFGS on ``L``, counting its iterations over the stages of a fit."""

    def __init__(self, objective, search):
        self.objective, self.max_iter, self.advance = objective, search.max_iter, search.advance
        self.n_iter = 0
        self._refresh_at = self._interval = _FIRST_REFRESH
        # Where another pass follows no more than ends the search.
        self._missed = max(_MISSED, search.tol) if search.rough else _MISSED

    def run(self, L, loss, tol):
        """Minimize one loss from ``L``; returns ``L`` and whether ``tol`` was met."""
        best, lowest, unit = L, np.inf, 1.0
        while self.n_iter < self.max_iter:
            L, converged, outdated = self._lbfgs(L, loss, tol, unit)
            if not outdated and self.objective.lists_impostors:
                outdated = self._outdated(L, loss)
            if not outdated:
                if converged or self.n_iter >= self.max_iter:
                    return L, converged
                if not self.objective.precise:  # the line search met the rounding of float32
                    self.objective.sharpen()
                elif unit == 1.0:  # L-BFGS-B's first step has length one: here too far
                    unit = _SHORT_STEP * float(np.linalg.norm(L)) or 1.0
                else:
                    return L, False
                continue
            # The list had missed impostors. Go on from here with the new one, or
            # from half way back where they made the step a bad one.
            value = self.objective.value(L, loss)
            if value > _COLLAPSED * self.objective.at_zero:
                return L, False
            if value > lowest:
                L = (L + best) / 2
                self._outdated(L, loss)
            else:
                best, lowest = L, value
        return L, False

    def _outdated(self, L, loss):
        """Look for impostors that the list has missed; the next look is later if there are none."""
        outdated = self.objective.refresh(L, loss, self._missed)
        self._interval = _FIRST_REFRESH if outdated else 2 * self._interval
        self._refresh_at = self.n_iter + self._interval
        return outdated

    def _lbfgs(self, L, loss, tol, unit):
        # L-BFGS-B measures a decrease against the value or 1, whichever is more:
        # this keeps a value that falls to 0 from being chased for ever.
        shape, scale = L.shape, self.objective.scale
        outdated = False

        def function(flat):
            L = unit * flat.reshape(shape)
            value, gradient = self.objective.value_and_gradient(L, loss)
            return value / scale, unit * gradient.ravel() / scale

        def callback(intermediate_result):
            nonlocal outdated
            self.n_iter += 1
            self.advance(f"objective {scale * intermediate_result.fun:.6g}")
            if self.n_iter >= self._refresh_at:
                L = unit * intermediate_result.x.reshape(shape)
                outdated = self._outdated(L, loss)
                if outdated:
                    raise StopIteration

        result = optimize.minimize(
            function,
            L.ravel() / unit,
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
        return unit * result.x.reshape(shape), bool(result.success), outdated
