"""Metrics kept near a prior by the LogDet divergence: one Newton solver for all of them.

::

    min_{A ≻ 0}  tr(A) - log det A + ℓ(q),    q_p = v_pᵀ A v_p,   ℓ convex

in coordinates where the prior is the identity. In the local coordinates
``A = PPᵀ → P(I + E)Pᵀ`` the Hessian is the identity plus ``ℓ''`` per relative
change, whatever the units; a few conjugate gradients solve it. The convex dual
gives the gap for nothing::

    primal - dual = tr(AB) - log det(AB) - r,   B = I + Σ_p ∂ℓ/∂q_p v_p v_pᵀ
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize

_MAX_CG = 60
# No eigenvalue of A loses more of itself in one step. Near the edge of the cone
# A is ill-conditioned, and its axes turn by tiny angles only from then on.
_SHRINK = 0.4
# A step whose best length is a smaller part than this is not felt in floating point.
_SHORTEST = 1e-6


@dataclass(frozen=True)
class LogDetSolution:
    """What the solver returns; ``objective`` is ``tr(A) - log det A - r + ℓ(q)``."""

    components: np.ndarray  # Pᵀ, with A = PPᵀ
    objective: float
    duality_gap: float  # infinite where the dual point is not feasible
    n_iter: int
    converged: bool


def minimize_logdet(loss, V, *, max_iter, tol, advance):
    """Damped Newton method with conjugate gradients.

    Parameters
    ----------
    loss : object
        ``value_and_slope(q)`` returns ``ℓ(q)`` and ``∂ℓ/∂q`` of shape (m,);
        ``curvature(q)`` returns a function ``dq -> ∂²ℓ/∂q² dq``, zero for
        pairs of slope zero.
    V : ndarray of shape (m, r)
        Differences, in coordinates where the prior is the identity.
    max_iter : int
    tol : float
        Largest duality gap, relative to ``r + ℓ``.
    advance : callable
        Progress, once for each iteration.

    Returns
    -------
    LogDetSolution
    """
    r = V.shape[1]
    # The best multiple of the prior as the start: along it q only scales.
    scale = _best_multiple(loss, np.einsum("ij,ij->i", V, V), r)
    P, W = np.sqrt(scale) * np.eye(r), np.sqrt(scale) * V
    gap, converged, n_iter = np.inf, False, 0
    while True:
        q = np.einsum("ij,ij->i", W, W)
        value, slope = loss.value_and_slope(q)
        # The gradient in local coordinates, plus the identity: PᵀBP.
        active = np.flatnonzero(slope)
        W_active = W[active]
        B = P.T @ P + W_active.T @ (slope[active, None] * W_active)
        spectrum = linalg.eigvalsh(B)
        gap = _logdet_divergence(spectrum)
        converged = gap <= tol * (r + value)
        if converged or n_iter == max_iter:
            break
        gradient = B - np.eye(r)
        step = _newton_direction(gradient, W_active, active, loss.curvature(q), len(q))
        values, axes = linalg.eigh(step)
        length = _line_search(loss, P, W, q, step, values)
        if length == 0:  # no step is felt in floating point
            break
        n_iter += 1
        stretch = axes * np.sqrt(1 + length * values)
        P, W = P @ stretch, W @ stretch
        advance(f"gap {gap:.1e}")
    objective = np.sum(P * P) - 2 * np.linalg.slogdet(P)[1] - r + value
    return LogDetSolution(P.T, float(objective), gap, n_iter, converged)


def _logdet_divergence(spectrum):
    """``Σ λ - log λ - 1``, infinite outside the cone."""
    if spectrum[0] <= 0:
        return np.inf
    return float(np.sum(spectrum - 1 - np.log(spectrum)))


def _best_multiple(loss, q, r):
    """Multiple ``c`` of the prior that minimises the objective, roughly: a root of its slope."""

    def slope(log_c):
        c = np.exp(log_c)
        return r * c - r + c * (loss.value_and_slope(c * q)[1] @ q)

    low, high = -1.0, 1.0
    while slope(low) > 0:
        low *= 2
    while slope(high) < 0:
        high *= 2
    return np.exp(optimize.brentq(slope, low, high, xtol=1e-3))


def _newton_direction(gradient, W, active, curvature, n_pairs):
    """Solve ``E + Σ_p (ℓ'' dq)_p w_p w_pᵀ = -gradient``, ``dq_p = w_pᵀ E w_p``, over active p."""
    dq = np.zeros(n_pairs)
    E, residual = np.zeros_like(gradient), -gradient
    direction, squared = residual, np.sum(residual * residual)
    # Looser far from the optimum: superlinear in the end at little cost before.
    target = squared * min(0.01, np.sqrt(squared) / len(gradient))
    for _ in range(_MAX_CG):
        dq[active] = np.einsum("ij,ij->i", W @ direction, W)
        image = direction + W.T @ (curvature(dq)[active, None] * W)
        bend = np.sum(direction * image)
        length = squared / bend
        E = E + length * direction
        residual = residual - length * image
        previous, squared = squared, np.sum(residual * residual)
        if squared <= target:
            break
        direction = residual + (squared / previous) * direction
    return (E + E.T) / 2


def _line_search(loss, P, W, q, step, values):
    """Minimise along the step, by a root of the slope: no matrix is touched.

    Full Newton steps may cross many kinks of ``ℓ'`` and gain next to nothing;
    the exact minimum costs a few evaluations of ``ℓ`` only.
    """
    change = np.einsum("ij,ij->i", W @ step, W)
    trace = np.sum((P.T @ P) * step)
    edge = -_SHRINK / values[0] if values[0] < 0 else np.inf

    def slope(length):
        _, by_q = loss.value_and_slope(np.maximum(q + length * change, 0))
        return trace - np.sum(values / (1 + length * values)) + by_q @ change

    high = min(1.0, edge)
    while slope(high) < 0:
        if high == edge or high > 1e3:
            return high
        high = min(2 * high, edge)
    if slope(_SHORTEST * high) >= 0:
        return 0.0
    return optimize.brentq(slope, _SHORTEST * high, high, rtol=1e-3)
