"""The LMNN objective, of class labels and of triplets, as a function of ``L``.

::

    mu · <P, LᵀL> + (1 - mu) · push(L),    P = Σ (x_i - x_j)(x_i - x_j)ᵀ over target pairs

``push`` differs (impostors searched, or triplets given); the rest is shared. It sums losses of a
margin violation ``h``, each with what its dual needs.
"""

import numpy as np
from scipy import linalg
from sklearn.utils import gen_batches

from metriclearn._arrays import is_double, namespace, on_host, squared_norms
from metriclearn._threads import map_blocks
from metriclearn.mahalanobis._lmnn._pair_graph import PairGraph
from metriclearn.mahalanobis._lmnn._problem import PullCoordinates
from metriclearn.mahalanobis._lmnn._rows import ROWS, Rows

# Squared distances matter to about the margin, 1. Where |z|² is above this,
# float32 products cancel too many of their digits.
_FLOAT32_REACH = 1e4
_SMALL_TRIPLETS, _SMALL_FEATURES = 20_000, 100
# Mean squared distance of target pairs, in margins, at the start. Much smaller,
# and every row starts as an impostor of every other.
_TARGET_DISTANCE = 3.0


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
        self._product = np.zeros_like(B) if on_host(B) else 0.0

    def add(self, h, weights=None):
        """Add the losses of violations ``h`` (overwritten); return their slopes."""
        values, slopes = self.loss.terms(h)
        if weights is not None:
            values, slopes = values * weights, slopes * weights
        value = float(np.sum(values, dtype=np.float64))
        self.value += value
        self.conjugates += self.loss.conjugate_share * value
        return slopes

    def include(self, part):
        """Add the losses of a ``Push`` of other triplets, which knows no moment."""
        self.value += part.value
        self.conjugates += part.conjugates

    def add_graph(self, graph, weights):
        """Add weights ``∂value/∂d²`` of the pairs of a graph, where the moment is wanted."""
        if self._B is None:
            return
        if on_host(self._B):
            graph.add_laplacian_product(weights, self._B, self._product)
        else:
            self._product += graph.moment(weights, self._B, self._X)

    def moment(self):
        """Compute ``Σ w (b_i - b_j)(x_i - x_j)ᵀ`` over all pairs: ndarray of shape (m, d)."""
        if not on_host(self._B):
            return self._product
        blocks = gen_batches(len(self._X), ROWS)
        return sum(map_blocks(lambda block: self._product[block].T @ self._X[block], blocks))


def dual_of(slopes, conjugates, scale):
    """Compute the largest ``Σ (s · slope - conjugate(s · slope))`` over ``0 <= s <= scale``."""
    if slopes == 0:
        return 0.0
    if conjugates > 0:
        scale = min(scale, slopes / (2 * conjugates))
    return scale * slopes - scale**2 * conjugates


class LMNNObjective:
    """What the objectives of labels and of triplets share.

    Parameters
    ----------
    coordinates : PullCoordinates
        Rows, and the scatter ``P`` of their target pairs, in the coordinates of ``L``.
    mu : float
    n_targets : float
        Number of target pairs.
    precise : bool
        Whether to compute in float64 even where float32 is enough, far from the optimum.
    small : bool
        Whether evaluations are cheap enough to spend hundreds of them on the certificate.

    Attributes
    ----------
    at_zero : float
        Value at ``L = 0``, where it is known; else infinite.
    scale : float
        Value if each target pair met one impostor, at distance zero: the unit of values.
    """

    def __init__(self, coordinates, mu, *, n_targets, precise, small):
        self.coordinates, self.mu, self.precise = coordinates, mu, precise
        self.rows, self._n_targets = coordinates.rows, n_targets
        self.small = small and self.rows.n_features <= _SMALL_FEATURES
        self.scale = (1 - mu) * n_targets or 1.0
        self.at_zero = np.inf
        self.pull_scatter = mu * coordinates.scatter
        self._single, self._double = self.rows.single, self.rows.double

    def scaled(self, L):
        """Bring a first guess of ``L``, in the user's coordinates, to the scale of the margin."""
        distance = self.coordinates.pull(L) / max(self._n_targets, 1e-300)
        if distance <= 0:  # all targets are duplicates
            Z = Rows(self.rows.mapped(self.coordinates.enter(L)))
            distance = 2 * Z.mean_sq_norm()
        return L * np.sqrt(_TARGET_DISTANCE / distance) if distance > 0 else L

    def sharpen(self):
        """Compute in float64 from now on."""
        self.precise = True

    def push(self, L, Z, loss, B=None, X=None):
        """Push term at ``L``, which embeds ``Z``: a ``Push`` with the moment of ``B`` and ``X``."""
        raise NotImplementedError

    def triplets_near(self, L, slack):
        """Find the triplets whose violation at ``L`` is above ``-slack``, and their weights.

        Returns
        -------
        triplets : ndarray of shape (n_triplets, 3), dtype int32
            Rows (anchor, target, impostor).
        weights : ndarray of shape (n_triplets,)
        """
        raise NotImplementedError

    lists_impostors = False  # whether evaluations trust a list that ``refresh`` made

    def refresh(self, L, loss, share=1e-6):
        """Whether the push term at ``L`` had missed impostors: never, where all are given."""
        return False

    def value(self, L, loss):
        """Compute the value at ``L``."""
        return self._pull(L)[0] + (1 - self.mu) * self.push(L, self._embed(L), loss).value

    def value_and_gradient(self, L, loss):
        """Compute the value and ``∂value/∂L``."""
        Z = self._embed(L)
        X = self._double if is_double(Z) else self._single
        push = self.push(L, Z, loss, Z, X.array)
        pull, LP = self._pull(L)
        gradient = 2 * (LP + (1 - self.mu) * push.moment())
        return pull + (1 - self.mu) * push.value, gradient

    def certificate(self, L, loss):
        """Compute the value at ``L``, and a lower bound of the value of every ``M ⪰ 0``."""
        X = self._double.array
        push = self.push(L, self._embed(L), loss, X, X)
        bound = self.dual_value(push.slopes, push.conjugates, push.moment(), loss)
        return self._pull(L)[0] + (1 - self.mu) * push.value, bound

    def dual_value(self, slopes, conjugates, scatter, loss):
        """Bound the least value over all ``M ⪰ 0`` from below, from slopes of the triplets.

        The slopes ``a`` are scaled by ``s`` so that ``mu P + (1 - mu) s Q`` is
        positive semidefinite, with ``Q`` the given ``scatter``, ``Σ a (A - B)``
        over the scatters of each triplet's target and impostor pair. Then
        ``(1 - mu) Σ (s a - conjugate(s a))`` is below the value of every ``M``.
        """
        scale = _largest_scale(self.pull_scatter, (1 - self.mu) * scatter)
        return (1 - self.mu) * dual_of(slopes, conjugates, min(scale, loss.largest_slope))

    def _embed(self, L):
        if not self.precise:
            Z = self._single.mapped(L)
            if namespace(Z).max(squared_norms(Z)) < _FLOAT32_REACH:
                return Z
        return self._double.mapped(L)

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
    coordinates, mu, precise
        As above.
    triplets : ndarray of shape (n_triplets, 3)
        Row numbers (anchor, positive, negative).
    weights : ndarray of shape (n_triplets,)
    """

    def __init__(self, coordinates, mu, *, triplets, weights, precise=True):
        small = len(triplets) <= _SMALL_TRIPLETS
        super().__init__(coordinates, mu, n_targets=weights.sum(), precise=precise, small=small)
        order = np.argsort(triplets[:, 0], kind="stable")
        self.triplets, self.weights = triplets[order], weights[order]
        indptr = np.searchsorted(self.triplets[:, 0], np.arange(len(self.rows) + 1))
        self._near, self._far = (PairGraph(indptr, column) for column in self.triplets[:, 1:].T)

    @classmethod
    def from_triplets(cls, problem, constraints, mu):
        """Pull the positives of ``Triplets`` of the rows of a ``Problem``, push the negatives."""
        triplets, weights = constraints.indices, constraints.weights
        weights = np.ones(len(triplets)) if weights is None else weights
        scatter = problem.rows.scatter(weights, *triplets[:, :2].T)
        coordinates = PullCoordinates(problem.rows, scatter)
        return cls(coordinates, mu, triplets=triplets, weights=weights, precise=problem.precise)

    def push(self, L, Z, loss, B=None, X=None):
        """Push term over the given triplets."""
        h = 1 + self._near.sq_distances(Z) - self._far.sq_distances(Z)
        push = Push(loss, B, X)
        slopes = push.add(h, self.weights.astype(h.dtype))
        push.slopes = float(slopes.sum())
        push.add_graph(self._near, slopes)
        push.add_graph(self._far, -slopes)
        return push

    def triplets_near(self, L, slack):
        """Return all triplets, each once, and their weights, wherever ``L`` is."""
        triplets, which = np.unique(self.triplets, axis=0, return_inverse=True)
        return triplets, np.bincount(which.ravel(), self.weights)


class Hinge:
    """``[h]_+``, its kink rounded by a parabola over ``|h| < width / 2``.

    The rounded loss is never below the hinge, and above it by at most
    ``width / 8``, for violations inside the parabola only.

    Parameters
    ----------
    width : float, default=0.0
        0 is the hinge itself.
    """

    largest_slope = 1.0
    conjugate_share = 0.0  # of the loss, is max over h of slope · h - [h]_+ at its own slope

    def __init__(self, width=0.0):
        self.width = width

    @property
    def reach(self):
        """Violations below ``-reach`` cost nothing."""
        return self.width / 2

    def terms(self, h):
        """Compute the loss and slope of each violation; ``h`` is overwritten."""
        if self.width == 0:
            np.maximum(h, 0, out=h)
            return h, (h > 0).astype(h.dtype)
        h += self.width / 2
        slope = h * (1 / self.width)
        np.clip(slope, 0, 1, out=slope)
        h -= (self.width / 2) * slope
        h *= slope
        return h, slope


class SquaredHinge:
    """``[h]_+²``."""

    largest_slope = np.inf
    width = 0.0
    conjugate_share = 1.0  # slope² / 4 is [h]_+² again
    reach = 0.0

    def terms(self, h):
        """Compute the loss and slope of each violation; ``h`` is overwritten."""
        np.maximum(h, 0, out=h)
        slope = 2 * h
        np.square(h, out=h)
        return h, slope
