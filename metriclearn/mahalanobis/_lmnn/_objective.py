"""The LMNN objective, of class labels and of triplets, as a function of ``L``.

::

    mu · <P, LᵀL> + (1 - mu) · push(L),    P = Σ (x_i - x_j)(x_i - x_j)ᵀ over target pairs

``push`` differs (impostors searched, or triplets given); the rest is shared.
"""

import numpy as np
from scipy import linalg

from metriclearn._arrays import (
    is_double,
    moved_to,
    namespace,
    on_host,
    squared_norms,
    with_dtype,
)
from metriclearn.mahalanobis._lmnn._pair_graph import PairGraph

# Squared distances matter to about the margin, 1. Where |z|² is above this,
# float32 products cancel too many of their digits.
_FLOAT32_REACH = 1e4
_SMALL_TRIPLETS, _SMALL_FEATURES = 20_000, 100


class Push:
    """Sums over triplets that the push term, its gradient and its dual are made of.

    Parameters
    ----------
    loss : Hinge or SquaredHinge
    B, X : ndarray or tensor of shape (n, m) and (n, d), default=None
        What ``moment`` is wanted of; in one dtype.

    Attributes
    ----------
    value : float
        ``Σ loss``.
    slopes : float
        ``Σ slope``, times the margin 1.
    conjugates : float
        ``Σ conjugate(slope)``.
    """

    def __init__(self, loss, B=None, X=None):
        self.loss, self._B, self._X = loss, B, X
        self.value = self.slopes = self.conjugates = 0.0
        self._product = 0.0

    def add(self, h, weights=None):
        """Add the losses of violations ``h`` (overwritten); return their slopes."""
        values, slopes = self.loss.terms(h)
        if weights is not None:
            values, slopes = values * weights, slopes * weights
        value = float(np.sum(values, dtype=np.float64))
        self.value += value
        self.conjugates += self.loss.conjugate_share * value
        return slopes

    def add_graph(self, graph, weights):
        """Add weights ``∂value/∂d²`` of the pairs of a graph, where the moment is wanted."""
        if self._B is None:
            return
        if on_host(self._B):
            self._product += graph.laplacian_product(weights, self._B)
        else:
            self._product += graph.moment(weights, self._B, self._X)

    def moment(self):
        """``Σ w (b_i - b_j)(x_i - x_j)ᵀ`` over all pairs: ndarray of shape (m, d)."""
        return self._product.T @ self._X if on_host(self._B) else self._product


def dual_of(slopes, conjugates, scale):
    """``Σ (s · slope - conjugate(s · slope))``, the most over ``0 <= s <= scale``."""
    if slopes == 0:
        return 0.0
    if conjugates > 0:
        scale = min(scale, slopes / (2 * conjugates))
    return scale * slopes - scale**2 * conjugates


class LMNNObjective:
    """What both kinds share.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    mu : float
    pull_scatter : ndarray of shape (d, d)
        ``P``, float64.
    n_targets : float
        Number of target pairs.
    precise : bool
        Whether to spend float64 on what float32 does well enough far from the optimum.
    small : bool
        Whether evaluations are cheap enough to spend hundreds of them on the certificate.

    Attributes
    ----------
    scale : float
        Value if each target pair met one impostor, at no distance: what a value is measured by.
    """

    def __init__(self, X, mu, pull_scatter, *, n_targets, precise, small):
        self.X, self.mu, self.precise = X, mu, precise
        self.small = small and X.shape[1] <= _SMALL_FEATURES
        self.scale = (1 - mu) * n_targets or 1.0
        self.pull_scatter = mu * pull_scatter
        self._X32 = with_dtype(X, "float32")

    def push(self, L, Z, loss, B=None, X=None):
        """Push term at ``L``, which embeds ``Z``: a ``Push`` with the moment of ``B`` and ``X``."""
        raise NotImplementedError

    lists_impostors = False  # whether evaluations trust a list that ``refresh`` made

    def refresh(self, L, loss):
        """Whether the push term at ``L`` had missed impostors: never, where all are given."""
        return False

    def value(self, L, loss):
        """Value at ``L``."""
        return self._pull(L)[0] + (1 - self.mu) * self.push(L, self._embed(L), loss).value

    def value_and_gradient(self, L, loss):
        """Value and ``∂value/∂L``."""
        Z = self._embed(L)
        X = with_dtype(self.X, "float64") if is_double(Z) else self._X32
        push = self.push(L, Z, loss, Z, X)
        pull, LP = self._pull(L)
        gradient = 2 * (LP + (1 - self.mu) * push.moment())
        return pull + (1 - self.mu) * push.value, gradient

    def certificate(self, L, loss):
        """Value at ``L``, and a lower bound of the value of every ``M ⪰ 0``."""
        X = with_dtype(self.X, "float64")
        push = self.push(L, self._embed(L), loss, X, X)
        bound = self.dual_value(push.slopes, push.conjugates, push.moment(), loss)
        return self._pull(L)[0] + (1 - self.mu) * push.value, bound

    def dual_value(self, slopes, conjugates, scatter, loss):
        """Lower bound of the least value over all ``M ⪰ 0``, from slopes of the triplets.

        The slopes ``a`` are scaled by ``s`` so that ``mu P + (1 - mu) s Q`` is
        positive semidefinite, with ``Q`` the given ``scatter``, ``Σ a (A - B)``
        over the scatters of each triplet's target and impostor pair. Then
        ``(1 - mu) Σ (s a - conjugate(s a))`` is below the value of every ``M``.
        """
        scale = _largest_scale(self.pull_scatter, (1 - self.mu) * scatter)
        return (1 - self.mu) * dual_of(slopes, conjugates, min(scale, loss.largest_slope))

    def _embed(self, L):
        if not self.precise:
            Z = self._X32 @ moved_to(self._X32, L.T)
            if namespace(Z).max(squared_norms(Z)) < _FLOAT32_REACH:
                return Z
        return self._in_double(L)

    def _in_double(self, L):
        X = with_dtype(self.X, "float64")
        return X @ moved_to(X, L.T)

    def _pull(self, L):
        LP = L @ self.pull_scatter
        return float(np.sum(LP * L)), LP


def _largest_scale(P, Q):
    """Largest ``s`` that keeps ``P + s Q`` positive semidefinite, for ``P ⪰ 0``."""
    values, vectors = linalg.eigh(P)
    whiten = vectors / np.sqrt(np.maximum(values, 1e-12 * max(values[-1], 1e-300)))
    lowest = linalg.eigvalsh(whiten.T @ Q @ whiten, subset_by_index=[0, 0])[0]
    return np.inf if lowest >= 0 else -1 / lowest


class TripletObjective(LMNNObjective):
    """Target pairs and impostors are given as triplets.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    mu, pull_scatter, precise
        As above.
    triplets : ndarray of shape (n_triplets, 3)
        Row numbers (anchor, positive, negative).
    weights : ndarray of shape (n_triplets,)
    """

    def __init__(self, X, mu, pull_scatter, *, triplets, weights, precise=True):
        sizes = {"n_targets": weights.sum(), "small": len(triplets) <= _SMALL_TRIPLETS}
        super().__init__(X, mu, pull_scatter, precise=precise, **sizes)
        order = np.argsort(triplets[:, 0], kind="stable")
        self.triplets, self.weights = triplets[order], weights[order]
        indptr = np.searchsorted(self.triplets[:, 0], np.arange(X.shape[0] + 1))
        self._near, self._far = (PairGraph(indptr, column) for column in self.triplets[:, 1:].T)

    def push(self, L, Z, loss, B=None, X=None):
        """Push term over the given triplets."""
        h = 1 + self._near.sq_distances(Z) - self._far.sq_distances(Z)
        push = Push(loss, B, X)
        slopes = push.add(h, self.weights.astype(h.dtype))
        push.slopes = float(slopes.sum())
        push.add_graph(self._near, slopes)
        push.add_graph(self._far, -slopes)
        return push
