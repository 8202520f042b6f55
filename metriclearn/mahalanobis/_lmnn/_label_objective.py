"""The LMNN objective of class labels: impostors are searched, and listed where they are few."""

import numpy as np

from metriclearn._arrays import on_host
from metriclearn.mahalanobis._lmnn._impostors import ImpostorList, pairs_within
from metriclearn.mahalanobis._lmnn._objective import Hinge, LMNNObjective, Push
from metriclearn.mahalanobis._lmnn._pair_graph import PairGraph
from metriclearn.mahalanobis._lmnn._problem import PullCoordinates
from metriclearn.mahalanobis._lmnn._targets import target_neighbors, weighted_targets

# A list of near pairs is cheaper than the search where it holds less than this
# share of all ordered pairs of rows.
_SPARSE_SHARE = 0.02
_SPARSE_SHARE_OF_TENSORS = 0.002  # rows are gathered more slowly there
# How far a list reaches beyond the squared radii, where it may, and how many times as long
# that makes it (for rows that vary in 20 directions).
_SLACK, _WIDENING = 0.1, 3
# Impostors are searched and listed in parts of this many pairs.
_MOST_PAIRS = 2**20
_SMALL_ROWS = 1000


class LabelObjective(LMNNObjective):
    """Impostors are found among all rows of other classes.

    A search of all pairs of rows in blocks also lists those near the margin, unless
    they are too many. Where that list provably suffices evaluations use it, elsewhere
    they search again. From the first ``refresh`` on they trust it, proof or not: it
    may go out of date as ``L`` moves, ``refresh`` says so, and the solver asks it.

    Parameters
    ----------
    coordinates : PullCoordinates
        Of rows sorted by class.
    mu, precise
        As above.
    starts : ndarray of shape (n_classes + 1,)
        Where each class begins, and ``n``.
    targets : ndarray of shape (n, k)
        Target neighbors of each row; -1 for none.
    shares : ndarray of shape (n, k), default=None
        How often each is a target: zero where there is none, one else.
    weights : ndarray of shape (n,), default=None
        Of the rows; all one by default.
    """

    def __init__(
        self, coordinates, mu, *, starts, targets, shares=None, weights=None, precise=False
    ):
        n, k = targets.shape
        self._present = targets >= 0
        self._weights = weights
        self._anchor_weights = None if weights is None else weights[:, None] * shares
        n_targets = np.count_nonzero(self._present)
        if weights is not None:
            n_targets = self._anchor_weights.sum()
        small = n <= _SMALL_ROWS
        super().__init__(coordinates, mu, n_targets=n_targets, precise=precise, small=small)
        anchors = np.arange(n, dtype=targets.dtype)[:, None]
        self._targets = np.where(self._present, targets, anchors)
        indptr = np.arange(0, n * k + 1, k, dtype=np.int32)
        self._target_graph = PairGraph(indptr, self._targets.ravel())
        self._starts = starts
        self._list, self._trusted, self._n_near = None, False, 0

    @classmethod
    def from_labels(cls, problem, terms, space):
        """Pull the nearest rows of each class of a ``Problem``.

        Parameters
        ----------
        problem : Problem
        terms : Terms
        space : ndarray or tensor of shape (n, r)
            Where target neighbors are nearest.
        """
        weights, n_neighbors = problem.weights, terms.n_neighbors
        targets, shares = target_neighbors(space, problem.starts, n_neighbors), None
        if weights is not None:
            targets, shares = weighted_targets(space, targets, weights, n_neighbors)
        anchors, columns = np.nonzero(targets >= 0)
        pulls = np.ones(len(anchors))
        if weights is not None:
            pulls = weights[anchors] * shares[anchors, columns]
        scatter = problem.rows.scatter(pulls, anchors, targets[anchors, columns])
        return cls(
            PullCoordinates(problem.rows, scatter, weights),
            terms.mu,
            starts=problem.starts,
            targets=targets,
            shares=shares,
            weights=weights,
            precise=problem.precise,
        )

    def refresh(self, L, loss, share=1e-6):
        """Make sure of the pairs near the margin at ``L``, and trust them from now on.

        Returns
        -------
        bool
            Whether the list trusted so far had missed impostors at ``L`` worth more than a share
            of the value.
        """
        _, reach = self._radii(self._embed(L), loss)
        if self._list is not None and self._list.suffices(L, reach):
            self._trusted = True
            return False
        listed = self.value(L, loss) if self._trusted else np.inf
        self._list, self._trusted = None, False
        value = self.value(L, loss)
        self._trusted = self._list is not None
        return value > (1 + share) * listed

    @property
    def lists_impostors(self):
        """Whether evaluations trust a list that ``refresh`` made."""
        return self._trusted

    def triplets_near(self, L, slack):
        """Find the triplets whose violation at ``L`` is above ``-slack``, and their weights."""
        Z = self._double.mapped(L)
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
        triplets = np.unique(np.concatenate(found), axis=0)
        return triplets, self._weights_of(triplets)

    def _weights_of(self, triplets):
        if self._weights is None:
            return np.ones(len(triplets))
        anchors, targets, impostors = triplets.T
        chosen = self._targets[anchors] == targets[:, None]
        shares = np.sum(chosen * self._anchor_weights[anchors], axis=1)
        return shares * self._weights[impostors]

    def push(self, L, Z, loss, B=None, X=None):
        """Push term over all impostors (those listed, where the list is trusted)."""
        radii, reach = self._radii(Z, loss)
        push = Push(loss, B, X)
        slopes = np.zeros(radii.shape)
        for near, d2 in self._near_pairs(L, Z, reach):
            slopes += self._add_pairs(push, radii, near, d2)
        push.slopes = float(slopes.sum())
        push.add_graph(self._target_graph, slopes.ravel())
        return push

    def _near_pairs(self, L, Z, reach):
        """Yield all pairs within reach in parts: from the list, or from a search for a new one."""
        if self._list is not None and (self._trusted or self._list.suffices(L, reach)):
            yield from self._list.closer(Z, reach)
            return
        most = (_SPARSE_SHARE if on_host(Z) else _SPARSE_SHARE_OF_TENSORS) * Z.shape[0] ** 2
        slack = _SLACK if _WIDENING * self._n_near < most else 0.0
        found = ImpostorList(L, (1 + slack) * reach, self._double, most)
        self._list, self._n_near = None, 0
        for *wide, d2 in pairs_within(Z, found.radii, self._starts, _MOST_PAIRS):
            wide = PairGraph(*wide)
            found.add(wide)
            near, d2 = wide.closer(d2, reach) if slack else (wide, d2)
            self._n_near += len(near)
            yield near, d2
        if not found.full:
            self._list = found

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
