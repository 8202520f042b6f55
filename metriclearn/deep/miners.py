"""Miners: which pairs or triplets of a batch a loss should look at.

A miner is called with embeddings (b, d) and labels (b,) and returns `Pairs` or `Triplets` of row
indices (``yields`` says which); nothing flows back through it. With a ``reference`` the second
index of a pair, and the positive and negative of a triplet, may point behind the batch.
"""

import math

import torch

from metriclearn.deep._pairwise import compare, masked_max, masked_min
from metriclearn.deep._tuples import Triplets, Window


def _no_gradient(embeddings, labels, kind, reference):
    return compare(embeddings.detach(), labels, kind, reference)


class _WindowMiner:
    """All triplets with ``low < d(a, n) - d(a, p) < high``."""

    yields = "triplets"

    def _bounds(self, margin):
        raise NotImplementedError

    def window(self, loss=None):
        """Return the window; margin and squaring left at None are those of ``loss``."""
        margin = getattr(self, "margin", None)
        if margin is None:
            margin = getattr(loss, "margin", 0.2)
        squared = self.squared
        if squared is None:
            squared = getattr(loss, "squared", True)
        return Window(*self._bounds(margin), squared)

    def __call__(self, embeddings, labels, reference=None):
        """Select from ``embeddings`` (b, d) with ``labels`` (b,)."""
        low, high, squared = self.window()
        kind = "sq_distance" if squared else "distance"
        d, positive, negative = _no_gradient(embeddings, labels, kind, reference)
        return list_triplets(d, positive, negative, low, high)


def list_triplets(d, positive, negative, low=-math.inf, high=math.inf):
    """List the triplets of a window, positive pair by positive pair."""
    a, p = positive.nonzero(as_tuple=True)
    gap = d[a] - d[a, p][:, None]
    pair, n = ((negative[a] > 0) & (gap > low) & (gap < high)).nonzero(as_tuple=True)
    return Triplets(a[pair], p[pair], n)


class AllMiner(_WindowMiner):
    """All triplets.

    Notes
    -----
    Called by itself it lists b k (b - k - 1) triplets for b rows with k positives each; a
    `TripletLoss` sums over them without the list.
    """

    def __init__(self):
        self.squared = None

    def _bounds(self, margin):
        return -math.inf, math.inf


class HardMiner(_WindowMiner):
    """All hard triplets: the negative is nearer than the positive, ``d(a, n) < d(a, p)``."""

    def __init__(self):
        self.squared = None

    def _bounds(self, margin):
        return -math.inf, 0.0


class SemiHardMiner(_WindowMiner):
    """All semi-hard triplets: ``d(a, p) < d(a, n) < d(a, p) + m``.

    Schroff, Kalenichenko and Philbin, "FaceNet", 2015: the negative is farther than the positive
    but inside the margin. They keep one such negative of each positive pair; as in most libraries
    all of them are kept here.

    Parameters
    ----------
    margin : float, default=None
        Greater than 0. None: that of the loss it is combined with, 0.2 by itself.
    squared : bool, default=None
        Whether the margin is one of squared distances. None: as the loss; True by itself.
    """

    def __init__(self, margin=None, squared=None):
        self.margin = margin
        self.squared = squared

    def _bounds(self, margin):
        return 0.0, margin


class BatchHardMiner:
    """Of each anchor the farthest positive with the nearest negative.

    Hermans, Beyer and Leibe, "In Defense of the Triplet Loss", 2017. Anchors without a positive or
    a negative are left out. Time O(b² d) for b rows, at most b triplets.
    """

    yields = "triplets"

    def __call__(self, embeddings, labels, reference=None):
        """Select from ``embeddings`` (b, d) with ``labels`` (b,)."""
        d, positive, negative = _no_gradient(embeddings, labels, "sq_distance", reference)
        p = masked_max(d, positive).indices
        n = masked_min(d, negative).indices
        a = (positive.any(1) & negative.any(1)).nonzero(as_tuple=True)[0]
        return Triplets(a, p[a], n[a])


class RandomMiner:
    """For each positive pair, or for each anchor, triplets drawn at random.

    Parameters
    ----------
    n_triplets : int, default=1
        Triplets drawn for each anchor that has a positive and a negative, with replacement.
    generator : torch.Generator, default=None
        Source of randomness; torch's own by default.
    """

    yields = "triplets"

    def __init__(self, n_triplets=1, generator=None):
        self.n_triplets = n_triplets
        self.generator = generator

    def __call__(self, embeddings, labels, reference=None):
        """Select from ``embeddings`` (b, d) with ``labels`` (b,)."""
        _, positive, negative = _no_gradient(embeddings, labels, "dot", reference)
        a = (positive.any(1) & negative.any(1)).nonzero(as_tuple=True)[0]
        if not len(a):
            return Triplets(a, a, a)
        drawn = [
            torch.multinomial(mask[a], self.n_triplets, replacement=True, generator=self.generator)
            for mask in (positive, negative)
        ]
        return Triplets(a.repeat_interleave(self.n_triplets), *(x.flatten() for x in drawn))


#: Short name to class.
MINERS = {
    "all": AllMiner,
    "random": RandomMiner,
    "hard": HardMiner,
    "semi_hard": SemiHardMiner,
    "batch_hard": BatchHardMiner,
}
