"""The LMNN objective, of class labels and of triplets, as a function of ``L``.

::

    mu · <P, LᵀL> + (1 - mu) · push(L),    P = Σ (x_i - x_j)(x_i - x_j)ᵀ over target pairs

``push`` differs (impostors searched, or triplets given); the rest is shared.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import linalg, sparse

from metriclearn._pairs import pair_scatter, paired_sq_distances
from metriclearn.mahalanobis._impostors import pairs_within

# Squared distances matter to about the margin, 1. Where |z|² is above this,
# float32 products cancel too many of their digits.
_FLOAT32_REACH = 1e4
# A list of near pairs is cheaper than the search where it holds less than this
# share of all ordered pairs of rows.
_SPARSE_SHARE = 0.01


@dataclass
class Push:
    """Value of the push term, and what its gradient and its dual are made of."""

    value: float = 0.0
    slopes: float = 0.0  # Σ slope, times the margin 1
    conjugates: float = 0.0  # Σ conjugate(slope)
    graphs: list = field(default_factory=list)  # sparse ∂value/∂d², each with its row order

    def add(self, loss, h, weights=None):
        """Add the losses of violations ``h`` (overwritten); return their slopes."""
        values, slopes = loss.terms(h)
        conjugates = loss.conjugate(slopes)
        if weights is not None:
            values, slopes, conjugates = values * weights, slopes * weights, conjugates * weights
        self.value += float(np.sum(values, dtype=np.float64))
        self.slopes += float(np.sum(slopes, dtype=np.float64))
        self.conjugates += float(np.sum(conjugates, dtype=np.float64))
        return slopes

    def times(self, B):
        """``Σ w (e_i - e_j)(e_i - e_j)ᵀ B``: the Laplacian of the weights times a matrix."""
        product = np.zeros_like(B)
        for W, order in self.graphs:
            A = B[order].astype(W.dtype, copy=False)
            ones = np.ones(len(A), dtype=W.dtype)
            degree = W @ ones + W.T @ ones
            product[order] += degree[:, None] * A - W @ A - W.T @ A
        return product

    def dual(self, scale):
        """``Σ (s · slope - conjugate(s · slope))``, the best over ``0 <= s <= scale``."""
        if self.conjugates > 0:
            scale = min(scale, self.slopes / (2 * self.conjugates))
        return scale * self.slopes - scale**2 * self.conjugates


class LMNNObjective:
    """What both kinds share.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    mu : float
    first, second : ndarray of shape (n_targets,)
        Target pairs.
    weights : ndarray of shape (n_targets,)
        Their weights in the pull term.
    """

    def __init__(self, X, mu, first, second, weights):
        self.X, self.mu = X, mu
        self._pull_scatter = mu * pair_scatter(X.astype(np.float64), weights, first, second)

    def push(self, Z, loss):
        """Push term of the embedded rows ``Z``: a ``Push``."""
        raise NotImplementedError

    def value(self, L, loss):
        """Value at ``L``."""
        return self._pull(L)[0] + (1 - self.mu) * self.push(self._embed(L), loss).value

    def value_and_gradient(self, L, loss):
        """Value and ``∂value/∂L``."""
        Z = self._embed(L)
        push = self.push(Z, loss)
        pull, LP = self._pull(L)
        gradient = 2 * (LP + (1 - self.mu) * (push.times(Z).T @ self.X))
        return pull + (1 - self.mu) * push.value, gradient

    def lower_bound(self, L, loss):
        """Lower bound of the least value over all ``M ⪰ 0``, from the slopes at ``L``.

        The slopes ``a`` of the triplets are scaled by ``s`` so that
        ``mu P + (1 - mu) s Σ a (A - B)`` is positive semidefinite, with ``A``,
        ``B`` the scatters of a triplet's target and impostor pair. Then
        ``(1 - mu) Σ (s a - conjugate(s a))`` is below the value of every ``M``.
        """
        push = self.push(self._embed(L), loss)
        X = self.X.astype(np.float64, copy=False)
        Q = (1 - self.mu) * (X.T @ push.times(X))
        scale = min(_largest_scale(self._pull_scatter, Q), loss.largest_slope)
        return (1 - self.mu) * push.dual(scale)

    def _embed(self, L):
        return self.X @ L.T.astype(self.X.dtype, copy=False)

    def _pull(self, L):
        LP = L @ self._pull_scatter
        return float(np.sum(LP * L)), LP


def _largest_scale(P, Q):
    """Largest ``s`` that keeps ``P + s Q`` positive semidefinite, for ``P ⪰ 0``."""
    values, vectors = linalg.eigh(P)
    whiten = vectors / np.sqrt(np.maximum(values, 1e-12 * max(values[-1], 1e-300)))
    lowest = linalg.eigvalsh(whiten.T @ Q @ whiten, subset_by_index=[0, 0])[0]
    return np.inf if lowest >= 0 else -1 / lowest


class LabelObjective(LMNNObjective):
    """Impostors are searched among all rows of other classes.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows sorted by class.
    mu : float
    starts : ndarray of shape (n_classes + 1,)
        Where each class begins, and ``n``.
    targets : ndarray of shape (n, k)
        Target neighbours of each row; -1 for none.
    """

    def __init__(self, X, mu, starts, targets):
        n, k = targets.shape
        self._present = targets >= 0
        anchors = np.arange(n, dtype=targets.dtype)[:, None]
        self._targets = np.where(self._present, targets, anchors)
        self._anchors = np.repeat(anchors.ravel(), k)
        self.starts = starts
        weights = self._present.ravel().astype(np.float64)
        super().__init__(X, mu, self._anchors, self._targets.ravel(), weights)

    def push(self, Z, loss):
        """Push term over all impostors, found by search."""
        n, k = self._targets.shape
        radii = paired_sq_distances(Z, self._anchors, self._targets.ravel()).reshape(n, k)
        radii += 1
        radii[~self._present] = -np.inf
        reach = radii.max(axis=1) + loss.reach
        if Z.dtype == np.float64 and np.einsum("ij,ij->i", Z, Z).max() < _FLOAT32_REACH:
            Z, radii, reach = (array.astype(np.float32) for array in (Z, radii, reach))
        order, indptr, columns, d2 = pairs_within(Z, reach, self.starts)
        rows = np.repeat(np.arange(n, dtype=columns.dtype), np.diff(indptr))

        push = Push()
        ones = np.ones(n, dtype=d2.dtype)
        total = np.zeros_like(d2)
        target_slopes = np.zeros((n, k), dtype=d2.dtype)
        for j in range(k):
            radius = radii[order, j]
            of_row = push.add(loss, radius[rows] - d2)
            of_column = push.add(loss, radius[columns] - d2)
            W = sparse.csr_array((of_row, columns, indptr), shape=(n, n))
            target_slopes[order, j] = W @ ones
            W = sparse.csr_array((of_column, columns, indptr), shape=(n, n))
            target_slopes[order, j] += W.T @ ones
            total -= of_row
            total -= of_column
        in_order = np.arange(n)
        starts = np.arange(0, n * k + 1, k, dtype=np.int32)
        to_targets = sparse.csr_array(
            (target_slopes.ravel(), self._targets.ravel(), starts), shape=(n, n)
        )
        push.graphs = [
            (to_targets, in_order),
            (sparse.csr_array((total, columns, indptr), shape=(n, n)), order),
        ]
        return push


class TripletObjective(LMNNObjective):
    """Target pairs and impostors are given as triplets.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    mu : float
    triplets : ndarray of shape (n_triplets, 3)
        Row numbers (anchor, positive, negative).
    weights : ndarray of shape (n_triplets,) or None
    """

    def __init__(self, X, mu, triplets, weights=None):
        order = np.argsort(triplets[:, 0], kind="stable")
        self._anchor, self._positive, self._negative = triplets[order].T
        weights = np.ones(len(triplets)) if weights is None else weights[order]
        self._weights = weights.astype(X.dtype)
        self._indptr = np.searchsorted(self._anchor, np.arange(len(X) + 1))
        super().__init__(X, mu, self._anchor, self._positive, weights)

    def push(self, Z, loss):
        """Push term over the given triplets."""
        h = 1 + paired_sq_distances(Z, self._anchor, self._positive)
        h -= paired_sq_distances(Z, self._anchor, self._negative)
        push = Push()
        slopes = push.add(loss, h, self._weights)
        n = len(Z)
        everyone = np.arange(n)
        push.graphs = [
            (sparse.csr_array((slopes, self._positive, self._indptr), shape=(n, n)), everyone),
            (sparse.csr_array((-slopes, self._negative, self._indptr), shape=(n, n)), everyone),
        ]
        return push
