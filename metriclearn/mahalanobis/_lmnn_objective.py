"""The LMNN objective, of class labels and of triplets, as a function of ``L``.

::

    mu · <P, LᵀL> + (1 - mu) · push(L),    P = Σ (x_i - x_j)(x_i - x_j)ᵀ over target pairs

``push`` differs (impostors searched, or triplets given); the rest is shared.
"""

import numpy as np
from scipy import linalg, sparse

from metriclearn._arrays import (
    is_double,
    moved_to,
    namespace,
    on_host,
    squared_norms,
    with_dtype,
)
from metriclearn._pairs import pair_moment, paired_sq_distances
from metriclearn.mahalanobis._hinge import Hinge
from metriclearn.mahalanobis._impostors import pairs_within

# Squared distances matter to about the margin, 1. Where |z|² is above this,
# float32 products cancel too many of their digits.
_FLOAT32_REACH = 1e4
# A list of near pairs is cheaper than the search where it holds less than this
# share of all ordered pairs of rows.
_SPARSE_SHARE = 0.01
# In parts of so many pairs are the impostors searched, and none longer is listed.
_MOST_PAIRS = 2**20
_SMALL_ROWS, _SMALL_TRIPLETS, _SMALL_FEATURES = 1000, 20_000, 100
_SLACK = 0.1  # of the squared radius, in that list


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


class PairGraph:
    """Pairs of rows in compressed sparse form: ``i`` and ``columns[indptr[i]:indptr[i + 1]]``."""

    def __init__(self, indptr, columns):
        self._indptr, self._columns = indptr, columns
        self._counts = np.diff(indptr)
        self._some = np.flatnonzero(self._counts)  # rows that have pairs
        self._column_bins = columns.astype(np.intp)
        self._matrices = None

    def __len__(self):
        return len(self._columns)

    def sq_distances(self, Z):
        """Squared distances of the pairs, in the dtype of ``Z``."""
        return paired_sq_distances(Z, self.of_rows(np.arange(Z.shape[0])), self._columns)

    def of_rows(self, values):
        """For each pair, the value of its row."""
        return np.repeat(values, self._counts)

    def of_columns(self, values):
        """For each pair, the value of its column."""
        return values[self._column_bins]

    def sums(self, of_row, of_column):
        """For each row: its own ``of_row`` and, where it is the column, ``of_column``."""
        sums = np.bincount(self._column_bins, of_column, len(self._counts))
        if len(self._some):
            sums[self._some] += np.add.reduceat(of_row, self._indptr[self._some])
        return sums

    def moment(self, weights, B, X):
        """``Σ w (b_i - b_j)(x_i - x_j)ᵀ`` over the pairs, for tensors."""
        rows = self.of_rows(np.arange(len(self._counts)))
        return pair_moment(B, X, weights, rows, self._columns)

    def laplacian_product(self, weights, B):
        """``Σ w (e_i - e_j)(e_i - e_j)ᵀ B`` over the pairs, in the dtype of ``B``."""
        weights = weights.astype(B.dtype, copy=False)
        if self._matrices is None:  # scipy's checks take longer than a product: once will do
            parts, shape = (weights, self._columns, self._indptr), (len(B), len(B))
            self._matrices = sparse.csr_array(parts, shape), sparse.csc_array(parts, shape)
        product = self.sums(weights, weights).astype(B.dtype)[:, None] * B
        for matrix in self._matrices:
            matrix.data = weights
            product -= matrix @ B
        return product


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

    def push(self, Z, loss, B=None, X=None):
        """Push term of the embedded rows ``Z``: a ``Push``, with the moment of ``B`` and ``X``."""
        raise NotImplementedError

    lists_impostors = False  # whether evaluations trust a list that ``refresh`` made

    def refresh(self, L, loss):
        """Whether the push term at ``L`` had missed impostors: never, where all are given."""
        return False

    def value(self, L, loss):
        """Value at ``L``."""
        return self._pull(L)[0] + (1 - self.mu) * self.push(self._embed(L), loss).value

    def value_and_gradient(self, L, loss):
        """Value and ``∂value/∂L``."""
        Z = self._embed(L)
        X = with_dtype(self.X, "float64") if is_double(Z) else self._X32
        push = self.push(Z, loss, Z, X)
        pull, LP = self._pull(L)
        gradient = 2 * (LP + (1 - self.mu) * push.moment())
        return pull + (1 - self.mu) * push.value, gradient

    def certificate(self, L, loss):
        """Value at ``L``, and a lower bound of the value of every ``M ⪰ 0``."""
        X = with_dtype(self.X, "float64")
        push = self.push(self._embed(L), loss, X, X)
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


class LabelObjective(LMNNObjective):
    """Impostors are found among all rows of other classes.

    Every evaluation searches all pairs of rows in blocks until ``refresh``
    finds so few pairs near the margin that listing them is cheaper. A list may
    go out of date as ``L`` moves: ``refresh`` says so, and the solver asks it.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows sorted by class.
    mu, pull_scatter, precise
        As above.
    starts : ndarray of shape (n_classes + 1,)
        Where each class begins, and ``n``.
    targets : ndarray of shape (n, k)
        Target neighbours of each row; -1 for none.
    shares : ndarray of shape (n, k), default=None
        How often each is a target: zero where there is none, one else.
    weights : ndarray of shape (n,), default=None
        Of the rows; all one by default.
    """

    def __init__(
        self, X, mu, pull_scatter, *, starts, targets, shares=None, weights=None, precise=False
    ):
        n, k = targets.shape
        self._present = targets >= 0
        self._weights = weights
        self._anchor_weights = None if weights is None else weights[:, None] * shares
        n_targets = np.count_nonzero(self._present)
        if weights is not None:
            n_targets = self._anchor_weights.sum()
        sizes = {"n_targets": n_targets, "small": n <= _SMALL_ROWS}
        super().__init__(X, mu, pull_scatter, precise=precise, **sizes)
        anchors = np.arange(n, dtype=targets.dtype)[:, None]
        self._targets = np.where(self._present, targets, anchors)
        indptr = np.arange(0, n * k + 1, k, dtype=np.int32)
        self._target_graph = PairGraph(indptr, self._targets.ravel())
        self._starts = starts
        self._near = None

    def refresh(self, L, loss):
        """List the pairs near the margin at ``L``, where they are few.

        Returns
        -------
        bool
            Whether the list used so far had missed impostors at ``L``.
        """
        listed = None if self._near is None else self.value(L, loss)
        Z = self._embed(L)
        _, reach = self._radii(Z, loss)
        most = min(_MOST_PAIRS, int(_SPARSE_SHARE * Z.shape[0] ** 2))
        parts = pairs_within(Z, (1 + _SLACK) * reach, self._starts, most)
        near = PairGraph(*next(parts)[:2])
        self._near = near if next(parts, None) is None else None
        return listed is not None and self.value(L, loss) > (1 + 1e-6) * listed

    @property
    def lists_impostors(self):
        """Whether evaluations trust a list that ``refresh`` made."""
        return self._near is not None

    def triplets_near(self, L, slack):
        """Triplets whose violation at ``L`` is above ``-slack``.

        Returns
        -------
        ndarray of shape (n_triplets, 3), dtype int32
            Rows (anchor, target, impostor), sorted.
        """
        Z = self._in_double(L)
        radii, reach = self._radii(Z, Hinge(2 * slack))
        [(*near, d2)] = pairs_within(Z, reach, self._starts)
        near = PairGraph(*near)
        rows = np.arange(Z.shape[0])
        first, second = near.of_rows(rows), near.of_columns(rows)
        anchors = np.concatenate([first, second])
        impostors = np.concatenate([second, first])
        d2 = np.tile(d2, 2)
        found = []
        for j in range(self._targets.shape[1]):
            keep = radii[anchors, j] - d2 > -slack
            targets = self._targets[anchors[keep], j]
            found.append(np.column_stack([anchors[keep], targets, impostors[keep]]))
        return np.unique(np.concatenate(found), axis=0)

    def weights_of(self, triplets):
        """Weight of the loss of each triplet (anchor, target, impostor)."""
        if self._weights is None:
            return np.ones(len(triplets))
        anchors, targets, impostors = triplets.T
        chosen = self._targets[anchors] == targets[:, None]
        shares = np.sum(chosen * self._anchor_weights[anchors], axis=1)
        return shares * self._weights[impostors]

    def push(self, Z, loss, B=None, X=None):
        """Push term over all impostors (of the list, where there is one)."""
        radii, reach = self._radii(Z, loss)
        push = Push(loss, B, X)
        slopes = np.zeros(radii.shape)
        if self._near is not None:
            slopes += self._add_pairs(push, radii, self._near, self._near.sq_distances(Z))
        else:
            for *near, d2 in pairs_within(Z, reach, self._starts, _MOST_PAIRS):
                slopes += self._add_pairs(push, radii, PairGraph(*near), d2)
        push.slopes = float(slopes.sum())
        push.add_graph(self._target_graph, slopes.ravel())
        return push

    def _add_pairs(self, push, radii, near, d2):
        """Add both directions of some pairs; returns the slopes of each row's targets."""
        slopes = np.empty(radii.shape)
        weights = np.zeros_like(d2)
        of_row_anchors = of_column_anchors = None
        for j, radius in enumerate(radii.T):
            if self._weights is not None:
                anchors, impostors = self._anchor_weights[:, j], self._weights
                of_row_anchors = near.of_rows(anchors) * near.of_columns(impostors)
                of_column_anchors = near.of_columns(anchors) * near.of_rows(impostors)
            of_row = push.add(near.of_rows(radius) - d2, of_row_anchors)
            of_column = push.add(near.of_columns(radius) - d2, of_column_anchors)
            slopes[:, j] = near.sums(of_row, of_column)
            weights -= of_row
            weights -= of_column
        push.add_graph(near, weights)
        return slopes

    def _radii(self, Z, loss):
        """Squared distances of targets plus the margin, and the squared reach of each row."""
        radii = self._target_graph.sq_distances(Z).reshape(self._targets.shape) + 1
        radii[~self._present] = -1e30  # never violated
        return radii, radii.max(axis=1) + loss.reach


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

    def push(self, Z, loss, B=None, X=None):
        """Push term over the given triplets."""
        h = 1 + self._near.sq_distances(Z) - self._far.sq_distances(Z)
        push = Push(loss, B, X)
        slopes = push.add(h, self.weights.astype(h.dtype))
        push.slopes = float(slopes.sum())
        push.add_graph(self._near, slopes)
        push.add_graph(self._far, -slopes)
        return push
