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
from scipy import optimize

from metriclearn._linalg import components_from_matrix
from metriclearn._progress import progress
from metriclearn.mahalanobis._base import warn_not_converged

_MAX_CG = 60
_BLOCK_BYTES = 2**18  # of differences, in a core's cache
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


class PairDifferences:
    """``v_p = s_p (z_i - z_j)`` of listed pairs: never all of them at once, in any coordinates.

    Parameters
    ----------
    Z : ndarray of shape (n, r)
        Rows, in coordinates where the prior is the identity.
    first, second : ndarray of shape (m,)
        Row indices; without ``second`` the rows are differences already.
    scales : ndarray of shape (m,), default=None
        One by default.
    """

    def __init__(self, Z, first, second, scales=None):
        self._Z, self._first, self._second, self._scales = np.array(Z), first, second, scales
        self.shape = len(first), Z.shape[1]

    @classmethod
    def of_span(cls, span, first, second, factor, scales=None):
        """Return the differences of pairs of rows of a span, mapped by a factor.

        What is kept is the rows that are named or the differences, whichever are fewer.
        """
        rows, places = np.unique(np.concatenate([first, second]), return_inverse=True)
        if len(rows) <= len(first):
            Z, (first, second) = span.rows(rows) @ factor.T, places.reshape(2, -1)
        else:
            Z, first, second = span.differences(first, second, factor), np.arange(len(first)), None
        return cls._of(Z, first, second, scales)

    @classmethod
    def _of(cls, Z, first, second, scales):
        new = object.__new__(cls)
        new._Z, new._first, new._second, new._scales = Z, first, second, scales
        new.shape = len(first), Z.shape[1]
        return new

    def part(self, pairs):
        """Return some of the pairs, sharing the rows."""
        second, scales = (a if a is None else a[pairs] for a in (self._second, self._scales))
        return self._of(self._Z, self._first[pairs], second, scales)

    def transform(self, A):
        """Go to the coordinates ``vᵀA``."""
        for block in _blocks(*self._Z.shape):
            self._Z[block] = self._Z[block] @ A

    def of(self, pairs):
        """Return the differences of some pairs: ndarray of shape (len(pairs), r)."""
        V = self._Z[self._first[pairs]]
        if self._second is not None:
            for block in _blocks(*V.shape):
                V[block] -= self._Z[self._second[pairs[block]]]
        if self._scales is not None:
            V *= self._scales[pairs, None]
        return V

    def squares(self, weights):
        """Compute ``Σ_k v_k² weights_k`` of each pair, for each row of some weights (c, r)."""
        m, r = self.shape
        sums = np.empty((len(weights), m))
        for block in _blocks(m, r):
            V = self.of(np.arange(m)[block])
            sums[:, block] = weights @ np.square(V, out=V).T
        return sums


def _blocks(m, r):
    step = max(1, _BLOCK_BYTES // (8 * max(1, r)))
    return [slice(start, start + step) for start in range(0, m, step)]


def learn_near_prior(
    learner, loss, differences, prior, n_components, remedy="raise max_iter or tol"
):
    """Minimize a loss near a prior, and set the attributes that say how well that went.

    Parameters
    ----------
    learner : ITML or LSML
    loss, differences
        See `minimize_logdet`; the differences are mapped by the factor of the prior.
    prior : Prior
    n_components : int
    remedy : str
        Said where the tolerance was not met.

    Returns
    -------
    ndarray of shape (n_components, width)
        The components over the coordinates of the prior.
    """
    name, max_iter = type(learner).__name__, learner.max_iter
    with progress(learner.verbose, name, max_iter) as advance:
        solution = minimize_logdet(
            loss, differences, max_iter=max_iter, tol=learner.tol, advance=advance
        )
    learner.objective_, learner.duality_gap_ = solution.objective, solution.duality_gap
    learner.n_iter_ = max(1, solution.n_iter)
    if not solution.converged:
        warn_not_converged(name, max_iter, remedy)
    L = solution.components @ prior.factor
    return components_from_matrix(L.T @ L, n_components) * prior.scale


def minimize_logdet(loss, differences, *, max_iter, tol, advance):
    """Minimize by a damped Newton method with conjugate gradients.

    Parameters
    ----------
    loss : object
        ``value_and_slope(q)`` returns ``ℓ(q)`` and ``∂ℓ/∂q`` of shape (m,);
        ``curvature(q)`` returns a function ``dq -> ∂²ℓ/∂q² dq``, zero for
        pairs of slope zero.
    differences : PairDifferences
        Of m pairs; its coordinates are changed.
    max_iter : int
    tol : float
        Largest duality gap, relative to ``r + ℓ``.
    advance : callable
        Progress, once for each iteration.

    Returns
    -------
    LogDetSolution
    """
    r = differences.shape[1]
    [q] = differences.squares(np.ones((1, r)))
    # The best multiple of the prior as the start: along it q only scales.
    scale = _best_multiple(loss, q, r)
    stretch, q = np.full(r, np.sqrt(scale)), scale * q
    P = np.diag(stretch)
    gap, converged, n_iter = np.inf, False, 0
    while True:
        value, slope = loss.value_and_slope(q)
        # The gradient in local coordinates, plus the identity: PᵀBP.
        active = np.flatnonzero(slope)
        W = differences.of(active)
        W *= stretch  # rows of VP
        B = P.T @ P + _moment(W, slope[active])
        gap = _logdet_divergence(B)
        converged = gap <= tol * (r + value)
        if converged or n_iter == max_iter:
            break
        step = _newton_direction(B - np.eye(r), W, active, loss.curvature(q), len(q))
        del W  # as large as all else
        values, axes = np.linalg.eigh(step)
        differences.transform(stretch[:, None] * axes)
        q, change = differences.squares(np.stack([np.ones(r), values]))
        length = _line_search(loss, np.sum((P.T @ P) * step), q, change, values)
        if length == 0:  # no step is felt in floating point
            break
        n_iter += 1
        stretch = np.sqrt(1 + length * values)
        q = q + length * change
        P = P @ (axes * stretch)
        advance(f"gap {gap:.1e}")
    objective = np.sum(P * P) - 2 * np.linalg.slogdet(P)[1] - r + value
    return LogDetSolution(P.T, float(objective), gap, n_iter, converged)


def _moment(W, weights):
    """``Σ c w wᵀ`` over the rows."""
    return sum(
        (W[block].T @ (weights[block, None] * W[block]) for block in _blocks(*W.shape)),
        start=np.zeros((W.shape[1],) * 2),
    )


def _quadratic(W, E):
    """``wᵀ E w`` of each row."""
    q = np.empty(len(W))
    for block in _blocks(*W.shape):
        np.einsum("ij,ij->i", W[block] @ E, W[block], out=q[block])
    return q


def _logdet_divergence(B):
    """``tr B - log det B - r``, infinite outside the cone."""
    try:
        diagonal = np.diag(np.linalg.cholesky(B))
    except np.linalg.LinAlgError:
        return np.inf
    return max(0.0, float(np.trace(B) - 2 * np.sum(np.log(diagonal)) - len(B)))


def _best_multiple(loss, q, r):
    """Multiple ``c`` of the prior that minimizes the objective, roughly: a root of its slope."""

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
    target = squared * min(0.1, np.sqrt(squared) / len(gradient))
    for _ in range(_MAX_CG):
        dq[active] = _quadratic(W, direction)
        image = direction + _moment(W, curvature(dq)[active])
        bend = np.sum(direction * image)
        length = squared / bend
        E = E + length * direction
        residual = residual - length * image
        previous, squared = squared, np.sum(residual * residual)
        if squared <= target:
            break
        direction = residual + (squared / previous) * direction
    return (E + E.T) / 2


def _line_search(loss, trace, q, change, values):
    """Minimize along a step of given eigenvalues, by a root of the slope.

    Full Newton steps may cross many kinks of ``ℓ'`` and gain next to nothing;
    the exact minimum costs a few evaluations of ``ℓ`` only.
    """
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
