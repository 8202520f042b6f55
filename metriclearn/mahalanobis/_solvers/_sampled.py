"""A convex function of ``M`` over all rows, minimized by steps on a sample of them."""

from collections import deque

import numpy as np
from scipy import linalg
from scipy.optimize import minimize

_STEP_ITERATIONS, _STEP_TOL, _MEMORY = 25, 1e-11, 20  # of L-BFGS on the sample
# Rows of a sample have fewer neighbors to choose from, and the sample less curvature.
_CURVATURE, _MOST_CURVATURE = 1.3, 10.0
_MIXED = 5  # steps that the next one is made of
_LEAST_SHARE = 1e-6  # of its largest eigenvalue that every other one of a mixture has
_PATIENCE = 8  # steps in which the gap must halve
_ROUNDING = 1e-5  # share of the value that may be rounding


def minimize_with_sample(full, sample, L, *, max_iter, tol, advance):
    """Minimize ``f(M)`` over ``M = LᵀL`` with few evaluations of ``f``.

    ``s`` is like ``f`` and cheap: the same sums over a sample of the rows. Each step
    corrects its slope by that of ``f``, so that nothing of the sample is left in the end::

        M⁺ = argmin  c s(M) + ⟨f'(M_k) - c s'(M_k), M⟩

    as in [1]_. Steps are mixed like those of a fixed point iteration [2]_; ``c`` doubles where a
    step was too long.

    Parameters
    ----------
    full : callable
        ``full(L) -> (value, slope, gap)``: ``f`` and its derivative by ``M``, and the
        relative duality gap.
    sample : callable
        ``sample(L) -> (value, slope)`` of ``s``.
    L : ndarray of shape (d, d)
        Where to start.
    max_iter : int
        Most evaluations of ``f``.
    tol : float
        Gap at which the search ends.
    advance : callable
        Called with a status after each evaluation of ``f``.

    Returns
    -------
    L : ndarray of shape (d, d)
        The best found.
    n_iter : int
        Evaluations of ``f``.
    converged : bool
        Whether ``tol`` was met. If not, all rows are needed.

    References
    ----------
    .. [1] Shamir, O., Srebro, N. & Zhang, T. "Communication-efficient distributed optimization
       using an approximate Newton-type method", ICML, 2014. :doi:`10.48550/arXiv.1312.7853`
    .. [2] Anderson, D. G. "Iterative procedures for nonlinear integral equations", Journal of the
       ACM 12(4), 1965. :doi:`10.1145/321296.321305`
    """
    curvature, mixing = _CURVATURE, _Mixing()
    best, best_slope, lowest, gaps = L, None, np.inf, []
    for n_iter in range(1, max_iter + 1):
        value, slope, gap = full(L)
        gaps.append(gap)
        advance(f"gap {gap:.1e}")
        if gap <= tol:
            return L, n_iter, True
        if value <= lowest + _ROUNDING * abs(lowest):
            best, best_slope, lowest = L, slope, value
        else:  # too long a step, if it was one and not a mixture
            curvature *= 1 if mixing.mixed else 2
            mixing = _Mixing()
            L, slope = best, best_slope
        stuck = len(gaps) > _PATIENCE and min(gaps[-_PATIENCE:]) > min(gaps[:-_PATIENCE]) / 2
        if stuck or curvature > _MOST_CURVATURE:
            break
        _, of_sample = sample(L)
        L = mixing.next(L, _step(sample, curvature, slope - curvature * of_sample, L))
    return best, n_iter, False


def _step(sample, curvature, tilt, L):
    """Minimize ``curvature · s(M) + ⟨tilt, M⟩`` from ``L``, more or less."""
    shape = L.shape

    def loss(flat):
        L = flat.reshape(shape)
        value, slope = sample(L)
        value = curvature * value + np.sum((L @ tilt) * L)
        return value, 2 * (L @ (curvature * slope + tilt)).ravel()

    options = {"maxiter": _STEP_ITERATIONS, "ftol": _STEP_TOL, "gtol": 0, "maxcor": _MEMORY}
    return minimize(loss, L.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(shape)


class _Mixing:
    """Anderson mixing of steps ``M -> M⁺``: the mixture of the last few that moves least."""

    def __init__(self):
        self._ends, self._moves = deque(maxlen=_MIXED), deque(maxlen=_MIXED)

    @property
    def mixed(self):
        """Whether the last result was a mixture of several steps."""
        return len(self._ends) > 1

    def next(self, L, stepped):
        """Factor of the mixture, once a step has led from ``L`` to ``stepped``."""
        end = stepped.T @ stepped
        self._ends.append(end)
        self._moves.append(end - L.T @ L)
        if not self.mixed:
            return stepped
        last = self._moves[-1]
        differences = np.column_stack([(move - last).ravel() for move in list(self._moves)[:-1]])
        shares = linalg.lstsq(differences, -last.ravel(), cond=1e-8)[0]
        mixed = end + sum(
            share * (other - end)
            for share, other in zip(shares, list(self._ends)[:-1], strict=True)
        )
        values, vectors = linalg.eigh(mixed)
        # The derivative by L vanishes where L does: no step would lead out of a zero.
        return (vectors * np.sqrt(np.maximum(values, _LEAST_SHARE * values[-1]))).T
