"""Miners of all combinations of easy and hard, by angle, and evenly over the distances."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from metriclearn._sklearn import at_least, between, one_of
from metriclearn.deep.miners._base import Miner
from metriclearn.deep.tensors._masked_sums import masked_max, masked_min
from metriclearn.deep.tensors._pairwise import compare, sq_distances
from metriclearn.deep.tensors._ranges import check_ranges
from metriclearn.deep.tensors._selections import MinedPairs, MinedTriplets

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Reference

STRATEGIES = ("easy", "semi_hard", "hard", "all")


class EasyHardMiner(Miner):
    """Positives and negatives of each anchor, each easy, semi-hard, hard or all.

    ==============  ===========================================  ==================================
    strategy        positive                                     negative
    ==============  ===========================================  ==================================
    ``easy``        the nearest                                  the farthest
    ``hard``        the farthest                                 the nearest
    ``semi_hard``   the farthest that is nearer than the         the nearest that is farther than
                    negative                                     the positive
    ``all``         each                                         each
    ==============  ===========================================  ==================================

    See [1]_.

    Parameters
    ----------
    positive : {"easy", "semi_hard", "hard", "all"}, default="easy"
    negative : {"easy", "semi_hard", "hard", "all"}, default="semi_hard"
        Not both "semi_hard".

    See Also
    --------
    BatchHardMiner : "hard" and "hard".
    EasyPositiveMiner : "easy" with "semi_hard" or "hard".
    AllMiner : "all" and "all", never listed where the loss sums over all.

    Notes
    -----
    Anchors for which there is no such pair are left out. Where neither is "all" there is one
    triplet of an anchor; with "all" positives and a "semi_hard" negative, one of each positive
    pair.
    Time O(b² (d + k)) for b rows with k positives each, O(b³) where negatives are "all".

    References
    ----------
    .. [1] Xuan, Stylianou and Pless, "Improved Embeddings with Easy Positive Triplet Mining", WACV
       2020. :doi:`10.48550/arXiv.1904.04370`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import EasyHardMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> miner = EasyHardMiner(positive="all", negative="semi_hard")
    >>> anchor, positive, negative = miner(x, torch.tensor([0, 0, 1, 1]))
    >>> torch.stack([anchor, positive, negative], 1).tolist()
    [[0, 1, 3], [3, 2, 0]]
    """

    yields = "triplets"

    _parameter_constraints: dict = {
        "positive": [one_of(*STRATEGIES)],
        "negative": [one_of(*STRATEGIES)],
    }

    def __init__(self, positive: str = "easy", negative: str = "semi_hard") -> None:
        self.positive = positive
        self.negative = negative
        check_ranges(self)
        if positive == negative == "semi_hard":
            raise ValueError("positive and negative cannot both be semi_hard: each needs the other")

    def select(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> MinedPairs | MinedTriplets:
        """Select from ``embeddings`` (b, d) with ``labels`` (b,)."""
        d, positive, negative = compare(embeddings, labels, "sq_distance", reference)
        if self.positive == "semi_hard":
            a, n = _ends(d, negative, self.negative, nearest="hard")
            given = d[a, n][:, None]
            nearer = positive[a] * (d[a] < given)
            p = masked_max(d[a], nearer).indices
            kept = nearer.any(1)
            return MinedTriplets(a[kept], p[kept], n[kept])
        a, p = _ends(d, positive, self.positive, nearest="easy")
        if self.negative == "semi_hard":
            farther = negative[a] * (d[a] > d[a, p][:, None])
            n = masked_min(d[a], farther).indices
            kept = farther.any(1)
            return MinedTriplets(a[kept], p[kept], n[kept])
        if self.negative == "all":
            pair, n = (negative[a] > 0).nonzero(as_tuple=True)
            return MinedTriplets(a[pair], p[pair], n)
        extreme = masked_min if self.negative == "hard" else masked_max
        n = extreme(d, negative).indices[a]
        kept = negative[a].any(1)
        return MinedTriplets(a[kept], p[kept], n[kept])


def _ends(d, mask, strategy, nearest):
    """Return anchors and the others that a strategy takes: all, the nearest, or the farthest."""
    if strategy == "all":
        return mask.nonzero(as_tuple=True)
    extreme = masked_min if strategy == nearest else masked_max
    rows = mask.any(1).nonzero()[:, 0]
    return rows, extreme(d, mask).indices[rows]


class AngularMiner(Miner):
    """Triplets whose angle at the negative is greater than a bound.

    With c the middle of anchor and positive, all triplets with::

        arctan(‖x_a - x_p‖ / (2 ‖x_n - c‖)) > angle

    the angle that `AngularLoss` bounds.

    See [1]_.

    Parameters
    ----------
    angle : float, default=20
        Degrees, in (0, 90).

    See Also
    --------
    SemiHardMiner : By a difference of distances.
    metriclearn.deep.losses.AngularLoss : The loss of the same paper.

    Notes
    -----
    Time and memory O(b² k) for b rows with k positives each.

    References
    ----------
    .. [1] Wang, Zhou, Wen, Liu and Lin, "Deep Metric Learning with Angular Loss", ICCV 2017.
       :doi:`10.48550/arXiv.1708.01682`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import AngularMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> anchor, positive, negative = AngularMiner(angle=60)(x, torch.tensor([0, 0, 1, 1]))
    >>> torch.stack([anchor, positive, negative], 1).tolist()
    [[0, 1, 2], [1, 0, 2], [2, 3, 1], [3, 2, 1]]
    """

    yields = "triplets"

    _parameter_constraints: dict = {"angle": [between(0, 90, "neither")]}

    def __init__(self, angle: float = 20.0) -> None:
        self.angle = angle
        check_ranges(self)

    def select(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> MinedPairs | MinedTriplets:
        """Select from ``embeddings`` (b, d) with ``labels`` (b,)."""
        d, positive, negative = compare(embeddings, labels, "sq_distance", reference)
        a, p = positive.nonzero(as_tuple=True)
        # From a reference's rows, too: they are positives like others.
        among = d if reference is None else sq_distances(
            torch.cat([embeddings, reference.embeddings.to(embeddings)])
        )  # fmt: skip
        # By Apollonius, 4 ‖x_n - c‖² = 2 d²_an + 2 d²_pn - d²_ap.
        pair = d[a, p][:, None]
        middle = 2 * d[a] + 2 * among[p] - pair
        wide = pair > math.tan(math.radians(self.angle)) ** 2 * middle
        row, n = ((negative[a] > 0) & wide).nonzero(as_tuple=True)
        return MinedTriplets(a[row], p[row], n)


class UniformHistogramMiner(Miner):
    """Pairs drawn evenly over their distances, as many from each interval.

    The distances of the positive pairs, from the least to the greatest, are cut into intervals of
    equal width, and from each that holds some a number of pairs is drawn, with replacement; the
    negative pairs likewise. Most pairs of a batch are about equally far, and say the same.

    See [1]_.

    Parameters
    ----------
    n_bins : int, default=100
        Intervals, at least 1.
    positives_per_bin, negatives_per_bin : int, default=10
        Pairs drawn from each, at least 1.
    generator : torch.Generator, default=None
        Source of randomness; torch's own by default.

    See Also
    --------
    DistanceWeightedMiner : Negatives of each anchor evenly over the distances.

    Notes
    -----
    Losses that take masks count a pair once, however often it was drawn. Time O(b² d) for b rows.

    References
    ----------
    .. [1] Wu, Manmatha, Smola and Krähenbühl, "Sampling Matters in Deep Embedding Learning", ICCV
       2017. :doi:`10.48550/arXiv.1706.07567`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import UniformHistogramMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> miner = UniformHistogramMiner(2, 3, 3, generator=torch.Generator().manual_seed(0))
    >>> positives, negatives = miner(x, torch.tensor([0, 0, 1, 1]))
    >>> len(positives), len(negatives)
    (3, 6)
    """

    yields = "pairs"

    _parameter_constraints: dict = {
        "n_bins": [at_least(1)],
        "positives_per_bin": [at_least(1)],
        "negatives_per_bin": [at_least(1)],
    }

    def __init__(
        self,
        n_bins: int = 100,
        positives_per_bin: int = 10,
        negatives_per_bin: int = 10,
        generator: torch.Generator | None = None,
    ) -> None:
        self.n_bins = n_bins
        self.positives_per_bin = positives_per_bin
        self.negatives_per_bin = negatives_per_bin
        self.generator = generator
        check_ranges(self)

    def select(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> MinedPairs | MinedTriplets:
        """Select from ``embeddings`` (b, d) with ``labels`` (b,)."""
        d, positive, negative = compare(embeddings, labels, "distance", reference)
        return MinedPairs(
            self._even(d, positive.nonzero(), self.positives_per_bin),
            self._even(d, negative.nonzero(), self.negatives_per_bin),
        )

    def _even(self, d, pairs, per_bin):
        if not len(pairs):
            return pairs
        values = d[pairs[:, 0], pairs[:, 1]]
        low, high = values.aminmax()
        width = ((high - low) / self.n_bins).clamp(min=torch.finfo(d.dtype).tiny)
        place = ((values - low) / width).long().clamp(max=self.n_bins - 1)
        order = place.argsort(stable=True)
        counts = torch.bincount(place, minlength=self.n_bins)
        starts = counts.cumsum(0) - counts
        filled = counts.nonzero()[:, 0].repeat_interleave(per_bin)
        drawn = torch.rand(len(filled), generator=self.generator).to(d.device)
        step = (drawn * counts[filled]).long().minimum(counts[filled] - 1)
        return pairs[order[starts[filled] + step]]
