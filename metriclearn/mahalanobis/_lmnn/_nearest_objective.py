"""The LMNN objective in which only the nearest impostors of an anchor count."""

import numpy as np
from sklearn.utils import gen_batches

from metriclearn._arrays import on_host
from metriclearn._pairs import paired_sq_distances
from metriclearn._threads import map_blocks
from metriclearn.mahalanobis._lmnn._nearest import nearest_of_others
from metriclearn.mahalanobis._lmnn._objective import LMNNObjective, Push
from metriclearn.mahalanobis._lmnn._pair_graph import PairGraph
from metriclearn.mahalanobis._lmnn._problem import PullCoordinates
from metriclearn.mahalanobis._lmnn._proof import Proof
from metriclearn.mahalanobis._lmnn._targets import target_neighbors, weighted_targets

_LISTED = 2  # times as many candidates are listed as impostors count
_BISECTIONS = 10
_ABSENT = 1e30  # squared distance of no row: never violated
_SMALL_ANCHORS = 1000
_ANCHORS = 2500


class NearestObjective(LMNNObjective):
    """Each anchor is pushed from a fixed number of its nearest rows of other classes.

    As a sum of the largest of convex functions the push is convex, and any set of as
    many impostors bounds it from below: the certificate holds as it does for all of them.
    Candidates are listed, and relied on until ``refresh`` lists them again.

    Parameters
    ----------
    coordinates : PullCoordinates
        Of rows sorted by class.
    mu, precise
        As above.
    n_impostors : int
        Impostors of an anchor that count. Of rows with weights: of that total weight.
    starts : ndarray of shape (n_classes + 1,)
        Where each class begins, and ``n``.
    anchors : ndarray of shape (n_anchors,)
        Rows that are pulled to their targets and pushed from impostors.
    targets : ndarray of shape (n_anchors, k)
        Target neighbors of each anchor; -1 for none.
    shares : ndarray of shape (n_anchors, k)
        Weight of each target: zero where there is none.
    weights : ndarray of shape (n,), default=None
        Of the rows as impostors; all one by default.
    """

    lists_impostors = True

    def __init__(
        self,
        coordinates,
        mu,
        *,
        n_impostors,
        starts,
        anchors,
        targets,
        shares,
        weights=None,
        precise=False,
    ):
        small = len(anchors) <= _SMALL_ANCHORS
        super().__init__(coordinates, mu, n_targets=shares.sum(), precise=precise, small=small)
        self._n_impostors, self._starts, self._anchors = n_impostors, starts, anchors
        self._present, self._shares, self._weights = targets >= 0, shares, weights
        self._targets = np.where(self._present, targets, anchors[:, None])
        if weights is None and len(coordinates.rows) - np.diff(starts).max() >= n_impostors:
            self.at_zero = self.scale * n_impostors
        self._n_others = len(coordinates.rows) - np.diff(starts).min()
        self._proof = None

    @classmethod
    def from_labels(cls, problem, terms, space, anchors, others=None):
        """Pull the nearest rows of each class of a ``Problem`` to the anchors.

        Parameters
        ----------
        problem : Problem
        terms : Terms
        space : ndarray or tensor of shape (n, r)
            Where target neighbors are nearest.
        anchors : ndarray of shape (n_anchors,)
            Row numbers, rising.
        others : ndarray of shape (n_others,), default=None
            Rows among which impostors are searched; all by default.
        """
        weights, k = problem.weights, terms.n_neighbors
        targets = target_neighbors(space, problem.starts, k, anchors)
        shares = (targets >= 0).astype(float)
        if weights is not None:
            targets, shares = weighted_targets(space, targets, weights, k, anchors)
            shares = weights[anchors][:, None] * shares
        if others is not None:
            rows = np.unique(np.concatenate([anchors, targets[targets >= 0], others]))
            problem, weights = problem.part(rows), None if weights is None else weights[rows]
            targets = np.where(targets >= 0, np.searchsorted(rows, targets), -1)
            anchors = np.searchsorted(rows, anchors)
        which, columns = np.nonzero(targets >= 0)
        pairs = anchors[which], targets[which, columns]
        scatter = problem.rows.scatter(shares[which, columns], *pairs)
        return cls(
            PullCoordinates(problem.rows, scatter, weights),
            terms.mu,
            n_impostors=terms.n_impostors,
            starts=problem.starts,
            anchors=anchors,
            targets=targets,
            shares=shares,
            weights=weights,
            precise=problem.precise,
        )

    def refresh(self, L, loss, share=1e-6):
        """List the candidates at ``L``, unless those listed are proven to be enough.

        Returns
        -------
        bool
            Whether those listed so far had missed impostors at ``L`` worth more than a share of
            the value.
        """
        Z = self._embed(L)
        if self._proof is None:
            self._list(L, Z)
            return False
        needed = np.concatenate([*self._by_block(Z, self._needed, loss)])
        unproven, radii = self._proof.unproven(L, needed)
        if not len(unproven):
            return False
        listed = self._push_of(Z, unproven, loss)
        if self._weights is None and len(unproven) < len(needed):
            self._list_some(L, Z, unproven, radii)
        else:
            self._list(L, Z)
        missed = (1 - self.mu) * (self._push_of(Z, unproven, loss) - listed)
        return missed > 0 and missed > share * (self.value(L, loss) - missed)

    def _push_of(self, Z, which, loss):
        """Value of the push term of some anchors."""
        parts = np.array_split(which, max(1, len(which) // _ANCHORS))
        found = map_blocks(lambda part: self._push_of_block(Z, part, loss)[0].value, parts)
        return sum(found)

    def push(self, L, Z, loss, B=None, X=None):
        """Push term over the nearest of the candidates."""
        if self._proof is None:
            self._list(L, Z)
        push = Push(loss, B, X)
        parts, *found = zip(*self._by_block(Z, self._push_of_block, loss), strict=True)
        for part in parts:
            push.include(part)
        of_targets, per_anchor, columns, weights = map(np.concatenate, found)
        push.slopes = float(of_targets.sum())
        graph = PairGraph(_indptr(len(self.rows), self._anchors, per_anchor), columns)
        push.add_graph(graph, weights)
        return push

    def _push_of_block(self, Z, block, loss):
        """Sum up some anchors.

        Returns
        -------
        push : Push
        of_targets : ndarray of shape (n_anchors, k)
            Slopes of the targets.
        per_anchor : ndarray of shape (n_anchors,)
            Number of targets and impostors that count.
        columns, weights : ndarray of shape (n_pairs,)
            Their row numbers and slopes by squared distance.
        """
        radii = self._radii(Z, block)
        if loss.width:
            d2, columns = self._candidate_distances(Z, block), self._candidates[block]
            counts = 1.0 if self._weights is None else self._listed_weights[block]
            caps = _caps(d2, counts, loss.width, self._n_impostors)
        else:
            d2, columns, counts = self._nearest(Z, block)
            caps = np.inf
        push = Push(loss)
        of_targets, of_impostors = np.zeros(radii.shape), np.zeros(d2.shape)
        for j, radius in enumerate(radii.T):
            capped = np.minimum(radius, caps)
            weights = np.broadcast_to(self._shares[block, j, None] * counts, d2.shape)
            slopes = push.add(capped[:, None] - d2, weights)
            of_targets[:, j] = slopes.sum(axis=1)
            push.value += float((radius - capped) @ of_targets[:, j])
            of_impostors -= slopes
        columns = np.hstack([self._targets[block], columns])
        weights = np.hstack([of_targets, of_impostors])
        active = weights != 0
        per_anchor = np.count_nonzero(active, axis=1)
        return push, of_targets, per_anchor, columns[active], weights[active]

    def _by_block(self, Z, function, *arguments):
        """Yield ``function(Z, block, *arguments)`` for each block of anchors, in order."""
        n = len(self._anchors)
        blocks = gen_batches(n, _ANCHORS if on_host(Z) else n)
        return map_blocks(lambda block: function(Z, block, *arguments), blocks)

    def _sq_distances(self, Z, columns, block):
        """Squared distances of some anchors to a few rows each."""
        anchors = np.repeat(self._anchors[block], columns.shape[1])
        return paired_sq_distances(Z, anchors, columns.ravel()).reshape(columns.shape)

    def _radii(self, Z, block):
        """Squared distances of targets plus the margin."""
        radii = self._sq_distances(Z, self._targets[block], block) + 1
        radii[~self._present[block]] = -1e30  # never violated
        return radii

    def _candidate_distances(self, Z, block):
        d2 = self._sq_distances(Z, self._candidates[block], block)
        d2[~self._listed[block]] = _ABSENT
        return d2

    def _nearest(self, Z, block):
        """Squared distances, row numbers and weights of the nearest candidates that count."""
        d2, m = self._candidate_distances(Z, block), self._n_impostors
        candidates = self._candidates[block]
        if self._weights is None:
            if m >= d2.shape[1]:
                return d2, candidates, 1.0
            nearest = np.argpartition(d2, m - 1, axis=1)[:, :m]
            d2 = np.take_along_axis(d2, nearest, axis=1)
            return d2, np.take_along_axis(candidates, nearest, axis=1), 1.0
        order = np.argsort(d2, axis=1, kind="stable")
        d2, columns, weights = (
            np.take_along_axis(of_candidates, order, axis=1)
            for of_candidates in (d2, candidates, self._listed_weights[block])
        )
        return d2, columns, _cut(weights, m)

    def _needed(self, Z, block, loss):
        """How far the candidates of some anchors must be known: to what counts, or can cost."""
        d2, _, counts = self._nearest(Z, block)
        farthest = np.where((counts > 0) & (d2 < _ABSENT), d2, 0).max(axis=1)
        return np.minimum(self._radii(Z, block).max(axis=1) + loss.reach, farthest)

    def _list(self, L, Z):
        """List twice as many candidates as count; of rows with weights, of twice the weight."""
        n_others, wanted = self._n_others, _LISTED * self._n_impostors
        n_listed = min(wanted, n_others)
        while True:
            found, d2 = nearest_of_others(Z, self._starts, self._anchors, n_listed)
            self._listed = found >= 0
            if self._weights is None:
                break
            weights = np.where(self._listed, self._weights[found], 0)
            self._listed_weights = _cut(weights, wanted)
            if n_listed == n_others or weights.sum(axis=1).min() >= wanted:
                break
            n_listed = min(2 * n_listed, n_others)
        self._candidates = np.where(self._listed, found, self._anchors[:, None]).astype(np.int32)
        farthest = d2[:, -1] if n_listed < n_others else np.full(len(d2), np.inf)
        if self._weights is not None and n_listed < n_others:
            beyond = np.where(np.cumsum(weights, axis=1) >= wanted, d2, np.inf)
            farthest = beyond.min(axis=1)
        self._proof = Proof(L, farthest, self._double, self._anchors)

    def _list_some(self, L, Z, which, radii):
        """List candidates of some anchors; those of others are enough within radii at ``L``."""
        anchors, n_listed = self._anchors[which], self._candidates.shape[1]
        found, d2 = nearest_of_others(Z, self._starts, anchors, n_listed)
        self._listed[which] = found >= 0
        self._candidates[which] = np.where(found >= 0, found, anchors[:, None])
        radii[which] = d2[:, -1]
        self._proof = self._proof.renewed(L, radii)


def _caps(d2, counts, width, n_impostors):
    """Where violations end so that slopes add up to ``n_impostors``, the hinge rounded.

    The largest ``Σ a h + width (a - a²) / 2`` over slopes ``0 <= a <= 1`` of that sum
    has ``a = clip((c - d²) / width + 1/2, 0, 1)`` with one number ``c`` for an anchor.
    """
    counts = np.broadcast_to(counts, d2.shape)
    order = np.argsort(d2, axis=1, kind="stable")
    weights = np.take_along_axis(counts, order, axis=1)
    reached = np.cumsum(weights, axis=1) >= n_impostors * (1 - 1e-9)
    last = np.where(reached.any(axis=1), reached.argmax(axis=1), d2.shape[1] - 1)
    farthest = np.take_along_axis(d2, order, axis=1)[np.arange(len(d2)), last]
    low, high = farthest - width / 2, farthest + width / 2

    def excess(c):
        slopes = np.clip((c[:, None] - d2) / width + 0.5, 0, 1)
        return np.sum(counts * slopes, axis=1) - n_impostors

    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = excess(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    # The sum is piecewise linear, and by now hardly ever has a kink in between.
    below, above = excess(low), excess(high)
    rise = np.maximum(above - below, 1e-9)
    return low + (high - low) * np.clip(-below / rise, 0, 1)


def _cut(weights, total):
    """Weights from the left on until they add up to a total."""
    return np.clip(total - np.cumsum(weights, axis=1) + weights, 0, weights)


def _indptr(n, anchors, counts):
    """Row pointers of a compressed matrix whose rows are empty but for those of anchors."""
    of_rows = np.zeros(n + 1, dtype=np.int64)
    of_rows[anchors + 1] = counts
    return np.cumsum(of_rows).astype(np.int32)
