"""The terms of the general model ``min r(A) + C Σ w_c h(e_c(A))``, and their sum.

``e_c`` is the excess of a constraint, linear in squared distances: what a pair
exceeds its bound by, or what a near pair lacks to be nearer than a far one by
the margin. ``h`` is the shape of the loss, ``r`` the regularizer. Each term
knows its value and slope, says whether it is smooth, and can write itself in
cvxpy; the regularizer also bounds the minimum from below.
"""

import numpy as np
from scipy import linalg
from scipy.special import expit

from metriclearn._arrays import moved_to, on_host, row_products, rows_of, to_numpy, with_dtype
from metriclearn._linalg import project_psd
from metriclearn._unused import warn_unused
from metriclearn.constraints import Pairs, Triplets

_BLOCK_BYTES = 2**18
_TENSOR_BLOCK_BYTES = 2**28  # where memory is not the host's


def constrained_pairs(constraints):
    """Return the first and second rows of the measured pairs, the near ones before the far ones."""
    indices = constraints.indices
    if isinstance(constraints, Pairs):
        return indices.T
    if isinstance(constraints, Triplets):
        a, p, n = indices.T
        return np.concatenate([a, a]), np.concatenate([p, n])
    i, j, k, l = indices.T
    return np.concatenate([i, k]), np.concatenate([j, l])


class PairExcess:
    """``d² - u`` of similar pairs, ``l - d²`` of dissimilar ones."""

    def __init__(self, sign, bound):
        self.sign = sign
        self.bound = bound

    def part(self, rows):
        """Return the excess of some constraints only."""
        return PairExcess(self.sign[rows], self.bound[rows])

    def of(self, d2):
        """Compute the excess of each constraint, from the squared distances of all pairs."""
        return self.sign * (d2 - self.bound)

    def slope_of_pairs(self, slope):
        """Compute the slope by the squared distances, from the slope by the excess."""
        return self.sign * slope

    def express(self, cvxpy, d2):
        """Return the same in cvxpy."""
        return cvxpy.multiply(self.sign, d2 - self.bound)


class MarginExcess:
    """``m + d²_near - d²_far``, the near pairs listed before the far ones."""

    def __init__(self, margin):
        self.margin = margin

    def part(self, rows):
        """Return the excess of some constraints only."""
        return self

    def of(self, d2):
        """Compute the excess of each constraint, from the squared distances of all pairs."""
        near, far = np.split(d2, 2)
        return self.margin + near - far

    def slope_of_pairs(self, slope):
        """Compute the slope by the squared distances, from the slope by the excess."""
        return np.concatenate([slope, -slope])

    def express(self, cvxpy, d2):
        """Return the same in cvxpy."""
        half = d2.shape[0] // 2
        return self.margin + d2[:half] - d2[half:]


class HingeShape:
    """``max(0, e)``."""

    smooth = False

    @staticmethod
    def value_and_slope(e):
        """Compute the loss of each constraint, and a slope of it."""
        return np.maximum(e, 0), (e > 0).astype(float)

    @staticmethod
    def express(cvxpy, e):
        """Return the same in cvxpy."""
        return cvxpy.pos(e)


class SquaredHingeShape:
    """``max(0, e)²``."""

    smooth = True

    @staticmethod
    def value_and_slope(e):
        """Compute the loss of each constraint, and its slope."""
        e = np.maximum(e, 0)
        return e**2, 2 * e

    @staticmethod
    def express(cvxpy, e):
        """Return the same in cvxpy."""
        return cvxpy.square(cvxpy.pos(e))


class SquaredShape:
    """``e²``."""

    smooth = True

    @staticmethod
    def value_and_slope(e):
        """Compute the loss of each constraint, and its slope."""
        return e**2, 2 * e

    @staticmethod
    def express(cvxpy, e):
        """Return the same in cvxpy."""
        return cvxpy.square(e)


class LogisticShape:
    """``log(1 + exp(e))``."""

    smooth = True

    @staticmethod
    def value_and_slope(e):
        """Compute the loss of each constraint, and its slope."""
        return np.logaddexp(0, e), expit(e)

    @staticmethod
    def express(cvxpy, e):
        """Return the same in cvxpy."""
        return cvxpy.logistic(e)


class Frobenius:
    """``½ ‖A‖²_F``."""

    barrier = False

    @staticmethod
    def value_and_gradient(A):
        """Compute the value, and gradient by ``A``."""
        return 0.5 * np.sum(A * A), A

    @staticmethod
    def gap(A, G, loss):
        """Compute the duality gap at ``A``, given the value and the gradient ``G`` of the loss."""
        return 0.5 * np.sum(A * A) + np.sum(G * A) + 0.5 * np.sum(project_psd(-G) ** 2)

    @staticmethod
    def express(cvxpy, A):
        """Return the same in cvxpy."""
        # Of the matrix itself older cvxpy (1.7.1 still) minimizes something else, without a word.
        return cvxpy.sum_squares(cvxpy.vec(A, order="C")) / 2


class Linear:
    """``tr(AC)``, ``C`` positive definite: the trace, or the mean distance² of near pairs."""

    barrier = False

    def __init__(self, C):
        self.C = C

    def value_and_gradient(self, A):
        """Compute the value, and gradient by ``A``."""
        return np.sum(A * self.C), self.C

    def gap(self, A, G, loss):
        """Compute the duality gap at ``A``; as no loss is below zero, a shrunk slope bounds it."""
        steepest = linalg.eigh(-G, self.C, eigvals_only=True)[-1]
        shrunk = 1 / max(1.0, steepest)
        return np.sum(A * self.C) + loss - shrunk * (loss - np.sum(G * A))

    def express(self, cvxpy, A):
        """Return the same in cvxpy."""
        return cvxpy.trace(A @ self.C)


class LogDet:
    """``tr(A M0⁻¹) - log det(A M0⁻¹) - d``, finite for positive definite ``A`` only."""

    barrier = True

    def __init__(self, inverse_prior):
        self.inverse_prior = inverse_prior
        self.constant = np.linalg.slogdet(inverse_prior)[1] + len(inverse_prior)

    def value_and_gradient(self, A):
        """Compute the value, and gradient by ``A``; infinite at the edge of the cone."""
        sign, log_det = np.linalg.slogdet(A)
        if sign <= 0:
            return np.inf, np.zeros_like(A)
        value = np.sum(A * self.inverse_prior) - log_det - self.constant
        return value, self.inverse_prior - linalg.pinvh(A)

    def gap(self, A, G, loss):
        """Compute the duality gap at ``A``: a LogDet divergence itself."""
        B = self.inverse_prior + G
        if linalg.eigvalsh(B)[0] <= 0:
            return np.inf
        return np.sum(A * B) - np.linalg.slogdet(A)[1] - np.linalg.slogdet(B)[1] - len(A)

    def express(self, cvxpy, A):
        """Return the same in cvxpy."""
        return cvxpy.trace(A @ self.inverse_prior) - cvxpy.log_det(A) - self.constant


class Objective:
    """``r(A) + C Σ w h(e(A))`` over pairs of rows.

    Parameters
    ----------
    V : ndarray or tensor of shape (m, d)
        Differences of the pairs. Products with them are computed where they are;
        what has one number for each pair, or for two features, is on the host.
    weights : ndarray of shape (n_constraints,)
        Of the constraints, ``C`` included.
    excess : PairExcess or MarginExcess
    shape : HingeShape, SquaredHingeShape, SquaredShape or LogisticShape
    regularizer : Frobenius, Linear or LogDet
        With diagonal matrices where ``diagonal``.
    diagonal : bool
        Whether only diagonal ``A`` are searched.

    Attributes
    ----------
    precise : bool
        Whether products with ``V`` are in float64, whatever its dtype; True by default.
    """

    def __init__(self, V, weights, excess, shape, regularizer, diagonal):
        self.V = V
        self.weights = weights
        self.excess = excess
        self.shape = shape
        self.regularizer = regularizer
        self.diagonal = diagonal
        self.precise = True

    def loss_and_gradient(self, d2):
        """Compute the loss at given squared distances of the pairs, and its gradient by ``A``."""
        values, slope = self.shape.value_and_slope(self.excess.of(d2))
        by_pairs = self.excess.slope_of_pairs(self.weights * slope)
        G = np.zeros((self.V.shape[1],) * 2)
        for block, V in self._blocks(np.flatnonzero(by_pairs)):
            G += to_numpy(V.T @ (moved_to(V, by_pairs[block])[:, None] * V))
        return self.weights @ values, np.diag(np.diag(G)) if self.diagonal else (G + G.T) / 2

    def _blocks(self, pairs):
        """Yield pairs in parts whose products stay in a core's cache, and their differences."""
        size = _BLOCK_BYTES if on_host(self.V) else _TENSOR_BLOCK_BYTES
        step = max(1, size // (8 * self.V.shape[1]))
        for start in range(0, len(pairs), step):
            block = pairs[start : start + step]
            V = rows_of(self.V, block)
            yield block, with_dtype(V, "float64") if self.precise else V

    def _sq_distances(self, embed):
        """Of all pairs: scalar products of what ``embed`` makes of their differences."""
        d2 = np.empty(self.V.shape[0])
        for block, V in self._blocks(np.arange(len(d2))):
            d2[block] = to_numpy(row_products(*embed(V)))
        return d2

    def part(self, rows):
        """Return an estimate of the whole from some of its constraints."""
        n = len(self.weights)
        pairs = rows if self.V.shape[0] == n else np.concatenate([rows, rows + n])
        return Objective(
            rows_of(self.V, pairs),
            self.weights[rows] * (n / len(rows)),
            self.excess.part(rows),
            self.shape,
            self.regularizer,
            self.diagonal,
        )

    def by_matrix(self, A):
        """Compute the value, gradient by ``A``, and duality gap."""
        d2 = self._sq_distances(lambda V: (V @ moved_to(V, A), V))
        return self._sum(A, *self.loss_and_gradient(d2))

    def by_factor(self, L, certified=True):
        """Compute the value, gradient by ``L`` where ``A = LᵀL``, and duality gap, if wanted."""
        d2 = self._sq_distances(lambda V: (V @ moved_to(V, L.T),) * 2)
        value, gradient, gap = self._sum(L.T @ L, *self.loss_and_gradient(d2), certified)
        return value, 2 * L @ gradient, gap

    def of_multiples(self, A, multiples):
        """Return the values at multiples of ``A``, whose distances are measured once."""
        d2 = self._sq_distances(lambda V: (V @ moved_to(V, A), V))
        return [
            self.regularizer.value_and_gradient(c * A)[0]
            + self.weights @ self.shape.value_and_slope(self.excess.of(c * d2))[0]
            for c in multiples
        ]

    def _sum(self, A, loss, G, certified=True):
        value, gradient = self.regularizer.value_and_gradient(A)
        gap = np.inf
        if certified and np.isfinite(value):
            gap = self.regularizer.gap(A, G, loss)
        return value + loss, gradient + G, gap

    def express(self, cvxpy, A):
        """Return the same in cvxpy."""
        V = to_numpy(self.V)
        d2 = cvxpy.sum(cvxpy.multiply(V @ A, V), axis=1)
        losses = self.shape.express(cvxpy, self.excess.express(cvxpy, d2))
        return self.regularizer.express(cvxpy, A) + self.weights @ losses


SHAPES = {
    "hinge": HingeShape,
    "squared_hinge": SquaredHingeShape,
    "squared": SquaredShape,
    "logistic": LogisticShape,
}


def warn_unused_terms(learner, constraints):
    """Warn of arguments of a `MahalanobisLearner` that the others leave without effect."""
    unused = {"margin": "for triplets and quadruplets"}
    if not isinstance(constraints, Pairs):
        unused = {"bounds": "for pairs"}
    if learner.regularizer != "logdet":
        unused["prior"] = "with regularizer='logdet'"
    if learner.solver != "minibatch":
        unused["batch_size"] = "with solver='minibatch'"
    if learner.solver == "sdp":
        unused |= dict.fromkeys(("max_iter", "tol", "warm_start"), "by the other solvers")
    warn_unused(learner, unused)
