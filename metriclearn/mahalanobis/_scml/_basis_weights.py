"""Sparse non-negative combinations of rank-one metrics from triplets: a linear program.

::

    min_{w ≥ 0}  Σ_t a_t max(0, 1 + (Aw)_t) + β Σ_k w_k,    Σ a = 1
    A_tk = (b_kᵀ(x_a - x_p))² - (b_kᵀ(x_a - x_n))²

A smoothed problem shows which triplets and bases matter. The program over
these alone is solved by an interior point method, triplets and bases that turn
out to be missing are added, and its multipliers, feasible for the dual of the
whole, certify the result. ``A`` is only ever formed over those that matter.
"""

import numpy as np
from scipy import linalg
from scipy.optimize import Bounds, minimize

from metriclearn._pairs import pair_scatter, paired_sq_distances

_SMOOTH_ITERATIONS = 30
_BLOCK_ROWS = 2048
# Weights below the first of these parts of the largest that the gap allows are dropped.
_PRUNED = (0.1, 0.03, 0.01, 1e-3)


class TripletMargins:
    """``1 + d²(a, p) - d²(a, n)`` of triplets under a metric, each pair measured once."""

    def __init__(self, X, triplets, weights):
        n = len(X)
        pairs = np.concatenate([triplets[:, [0, 1]], triplets[:, [0, 2]]])
        pairs.sort(axis=1)
        distinct, position = np.unique(pairs[:, 0] * n + pairs[:, 1], return_inverse=True)
        self.X = X
        self.triplets = triplets
        self.weights = weights
        self.first, self.second = np.divmod(distinct, n)
        self.near, self.far = np.split(position.reshape(-1), 2)

    def margins(self, L):
        """Compute the margin of each triplet under ``LᵀL``; a violation is what is above zero."""
        Z = self.X @ L.T
        d2 = paired_sq_distances(Z, self.first, self.second)
        return 1 + d2[self.near] - d2[self.far]

    def scatter(self, multipliers):
        """Compute ``Σ_t multiplier_t (δ_ap δ_apᵀ - δ_an δ_anᵀ)``, zeros skipped."""
        used, size = np.flatnonzero(multipliers), len(self.first)
        if len(used) == 0:
            return np.zeros((self.X.shape[1],) * 2)
        weights = np.bincount(self.near[used], multipliers[used], size)
        weights -= np.bincount(self.far[used], multipliers[used], size)
        used = np.flatnonzero(weights)
        return pair_scatter(self.X, weights[used], self.first[used], self.second[used])

    def matrix(self, bases, rows):
        """Return the entries ``A_tk`` of some triplets and bases."""
        projected = self.X @ bases.T
        anchor, near, far = (projected[column] for column in self.triplets[rows].T)
        return (anchor - near) ** 2 - (anchor - far) ** 2


def compose(margins, bases, beta, *, max_iter, tol, advance):
    """Solve the program above.

    Parameters
    ----------
    margins : TripletMargins
        Its weights sum to one.
    bases : ndarray of shape (K, d)
    beta : float
        Above zero.
    max_iter : int
        Interior-point iterations, over all restricted programs.
    tol : float
        Largest duality gap, relative to the objective.
    advance : callable
        Progress, once for each restricted program.

    Returns
    -------
    w : ndarray of shape (K,)
    objective, gap : float
    n_iter : int
    """
    w, lower = _smoothed(margins, bases, beta, tol)
    objective, z = _objective(margins, bases, beta, w)
    best, n_iter = w, 0
    rows = _largest(z, max(np.sum(z > 0), 3 * len(bases)))
    columns = _largest(-_reduced_costs(margins, bases, beta, z), max(50, 2 * np.sum(w > 0)))
    while n_iter < max_iter and objective - lower > tol * objective:
        A = margins.matrix(bases[columns], np.flatnonzero(rows))
        part, multipliers, steps = _interior_point(
            A, margins.weights[rows], beta, tol=tol / 3, max_iter=max_iter - n_iter
        )
        n_iter += steps
        w = np.zeros(len(bases))
        w[columns] = np.where(part > 1e-7 * part.max(), part, 0)
        value, z = _objective(margins, bases, beta, w)
        if value < objective:
            best, objective = w, value
        alpha = np.zeros(len(z))
        alpha[rows] = multipliers
        slope = _slopes(margins.scatter(alpha), bases)
        lower = max(lower, _dual_value(alpha, slope, beta))
        advance(f"gap {objective - lower:.1e}")
        more_rows, more_columns = rows | (z > -0.2), columns | (slope < -beta)
        if np.array_equal(more_rows, rows) and np.array_equal(more_columns, columns):
            break  # nothing is missing: the interior point method has done what it can
        rows, columns = more_rows, more_columns
    for share in _PRUNED:
        w = np.where(best > share * best.max(), best, 0)
        value, _ = _objective(margins, bases, beta, w)
        if value - lower <= tol * value:
            best, objective = w, value
            break
    return best, float(objective), float(max(0.0, objective - lower)), n_iter


def _largest(values, count):
    chosen = np.zeros(len(values), dtype=bool)
    count = min(int(count), len(values))
    chosen[np.argpartition(-values, count - 1)[:count]] = True
    return chosen


def _factor(bases, w):
    """``L`` with ``LᵀL = Σ_k w_k b_k b_kᵀ`` and no more rows than it needs."""
    used = w > 0
    L = bases[used] * np.sqrt(w[used])[:, None]
    return (
        L if len(L) <= L.shape[1] else linalg.qr(L, mode="r", check_finite=False)[0][: L.shape[1]]
    )


def _slopes(G, bases):
    return np.einsum("ij,ij->i", bases @ G, bases)


def _objective(margins, bases, beta, w):
    z = margins.margins(_factor(bases, w))
    return margins.weights @ np.maximum(z, 0) + beta * w.sum(), z


def _reduced_costs(margins, bases, beta, z):
    return beta + _slopes(margins.scatter(margins.weights * np.clip(z, 0, 1)), bases)


def _dual_value(alpha, slope, beta):
    """Of multipliers scaled down until they are feasible for all bases."""
    return min(1.0, beta / max(-slope.min(), beta)) * alpha.sum()


def _smoothed(margins, bases, beta, tol):
    """Take a few L-BFGS steps with the hinge rounded off between 0 and 1.

    Returns
    -------
    w : ndarray of shape (K,)
        The last point.
    lower : float
        The best lower bound that the slopes on the way gave.
    """
    lower, upper = 0.0, np.inf

    def value_and_slope(w):
        nonlocal lower, upper
        z = margins.margins(_factor(bases, w))
        share = np.clip(z, 0, 1)
        alpha = margins.weights * share
        slope = _slopes(margins.scatter(alpha), bases)
        lower = max(lower, _dual_value(alpha, slope, beta))
        upper = margins.weights @ np.maximum(z, 0) + beta * w.sum()
        return alpha @ (z - share / 2) + beta * w.sum(), beta + slope

    def stop_at_gap(w):
        if upper - lower <= tol * upper:
            raise StopIteration

    result = minimize(
        value_and_slope,
        np.zeros(len(bases)),
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(0, np.inf),
        callback=stop_at_gap,
        options={"maxiter": _SMOOTH_ITERATIONS, "maxcor": 20},
    )
    return result.x, lower


def _interior_point(A, a, beta, *, tol, max_iter):
    """Mehrotra's method for ``min a·ξ + βΣw``, ``ξ - Aw - s = 1``, ``w, ξ, s ≥ 0``.

    Primal and dual start strictly inside, so that every iterate is feasible
    and the duality gap is the sum of the complementary products.
    """
    m, K = A.shape
    alpha = a * min(0.5, 0.5 * beta / max(-(A.T @ a).min(), beta))
    r, v = beta + A.T @ alpha, a - alpha
    w = np.full(K, 1 / (1 + np.abs(A).sum(axis=1).mean()))
    z = 1 + A @ w
    xi = np.maximum(z, 0) + 1
    s = xi - z
    primal, dual = (w, xi, s), (r, v, alpha)
    n_iter = 0
    while n_iter < max_iter:
        w, xi, s = primal
        r, v, alpha = dual
        gap = w @ r + xi @ v + s @ alpha
        if gap <= tol * (a @ xi + beta * w.sum()):
            break
        n_iter += 1
        D = 1 / (xi / v + s / alpha)
        H = np.diag(r / w)
        for start in range(0, m, _BLOCK_ROWS):
            block = A[start : start + _BLOCK_ROWS]
            H += block.T @ (D[start : start + _BLOCK_ROWS, None] * block)
        try:
            factor = linalg.cho_factor(H, overwrite_a=True, check_finite=False)
        except linalg.LinAlgError:
            break  # at the limit of floating point
        d_primal, d_dual = _direction(A, D, factor, primal, dual, (0, 0, 0))
        t, u = _longest_step(primal, d_primal), _longest_step(dual, d_dual)
        ahead = sum(
            (x + t * dx) @ (y + u * dy)
            for x, dx, y, dy in zip(primal, d_primal, dual, d_dual, strict=True)
        )
        center = (ahead / gap) ** 3 * gap / (K + 2 * m)
        aims = [center - dx * dy for dx, dy in zip(d_primal, d_dual, strict=True)]
        d_primal, d_dual = _direction(A, D, factor, primal, dual, aims)
        t, u = _longest_step(primal, d_primal), _longest_step(dual, d_dual)
        primal = [x + t * dx for x, dx in zip(primal, d_primal, strict=True)]
        dual = [y + u * dy for y, dy in zip(dual, d_dual, strict=True)]
    return primal[0], dual[2], n_iter


def _direction(A, D, factor, primal, dual, aims):
    """Newton's direction towards the complementary products ``aims``."""
    (w, xi, s), (r, v, alpha) = primal, dual
    to_w, to_xi, to_s = aims
    rho = xi - s - to_xi / v + to_s / alpha
    dw = linalg.cho_solve(factor, to_w / w - r - A.T @ (D * rho), check_finite=False)
    d_alpha = D * (rho + A @ dw)
    dxi = to_xi / v - xi + xi / v * d_alpha
    ds = to_s / alpha - s - s / alpha * d_alpha
    return (dw, dxi, ds), (A.T @ d_alpha, -d_alpha, d_alpha)


def _longest_step(point, direction):
    """Just short of the first coordinate that would reach zero; 1 at most."""
    length = 1.0
    for x, dx in zip(point, direction, strict=True):
        falling = dx < 0
        if falling.any():
            length = min(length, 0.995 * np.min(-x[falling] / dx[falling]))
    return length
