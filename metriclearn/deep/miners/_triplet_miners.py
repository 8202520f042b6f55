"""Miners of triplets. A new one is a class here, a row in `MINERS` and one in the tests' table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from metriclearn._sklearn import POSITIVE, at_least, between, one_of
from metriclearn.deep.miners._base import Miner, draw_triplets
from metriclearn.deep.tensors._masked_sums import FAR, masked_max, masked_min
from metriclearn.deep.tensors._pairwise import compare
from metriclearn.deep.tensors._ranges import check_ranges
from metriclearn.deep.tensors._selections import MinedTriplets, TripletWindow

if TYPE_CHECKING:
    from metriclearn.deep.losses._base import MetricLoss
    from metriclearn.deep.tensors._selections import MinedPairs, Reference, Selection


class WindowMiner(Miner):
    """Base of the miners of all triplets with ``low < d(a, n) - d(a, p) < high``.

    Where the loss takes windows on the same distance the triplets are never listed.
    """

    yields = "triplets"
    #: Margin and squaring of the miner's own; None is that of the loss, or 0.2 and squared.
    margin = None
    squared = None

    def _bounds(self, margin):
        raise NotImplementedError(f"{type(self).__name__} has to define _bounds")

    def window(self, loss: MetricLoss | None = None) -> TripletWindow:
        """Return the window; margin and squaring left at None are those of ``loss``."""
        follows = loss is not None and loss.takes_windows
        margin = self.margin
        if margin is None:
            margin = loss.margin if follows else 0.2
        kind = loss.kind if follows else "sq_distance"
        if self.squared is not None:
            kind = "sq_distance" if self.squared else "distance"
        return TripletWindow(*self._bounds(margin), kind)  # type: ignore[call-arg]

    def select(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> MinedPairs | MinedTriplets:
        """List the triplets of ``embeddings`` (b, d) with ``labels`` (b,)."""
        return self.listed(self.window(), embeddings, labels, reference)

    def selection_for(
        self,
        loss: MetricLoss,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        reference: Reference | None = None,
    ) -> Selection:
        """Return the window, or the triplets in it; see `Miner.selection_for`."""
        window = self.window(loss)
        if loss.takes_windows and loss.kind == window.kind:
            return window
        return self.listed(window, embeddings, labels, reference)

    def listed(
        self,
        window: Any,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        reference: Reference | None = None,
    ) -> Any:
        """Return the triplets of the batch that are in the window."""
        d, positive, negative = compare(embeddings.detach(), labels, window.kind, reference)
        return list_triplets(d, positive, negative, window.low, window.high)


def list_triplets(d, positive, negative, low=-math.inf, high=math.inf):
    """Return the triplets of a window, positive pair by positive pair."""
    a, p = positive.nonzero(as_tuple=True)
    gap = d[a] - d[a, p][:, None]
    pair, n = ((negative[a] > 0) & (gap > low) & (gap < high)).nonzero(as_tuple=True)
    return MinedTriplets(a[pair], p[pair], n)


class AllMiner(WindowMiner):
    """All triplets.

    See Also
    --------
    SemiHardMiner : Those that have a loss and are not too hard.

    Notes
    -----
    Called by itself it lists b k (b - k - 1) triplets for b rows with k positives each; a
    `TripletLoss` sums over them without the list.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import AllMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> miner = AllMiner()
    >>> anchor, positive, negative = miner(x, torch.tensor([0, 0, 1, 1]))
    >>> torch.stack([anchor, positive, negative], 1)[:3].tolist()
    [[0, 1, 2], [0, 1, 3], [1, 0, 2]]
    """

    def _bounds(self, margin):
        return -math.inf, math.inf


class HardMiner(WindowMiner):
    """All hard triplets: the negative is nearer than the positive, ``d(a, n) < d(a, p)``.

    See [1]_.

    See Also
    --------
    SemiHardMiner : Less hard.
    BatchHardMiner : The hardest of each anchor.

    References
    ----------
    .. [1] Schroff, Kalenichenko and Philbin, "FaceNet: A Unified Embedding for Face Recognition
       and Clustering", CVPR 2015. :doi:`10.48550/arXiv.1503.03832`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import HardMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> miner = HardMiner()
    >>> anchor, positive, negative = miner(x, torch.tensor([0, 0, 1, 1]))
    >>> torch.stack([anchor, positive, negative], 1)[:3].tolist()
    [[0, 1, 2], [1, 0, 2], [1, 0, 3]]
    """

    def _bounds(self, margin):
        return -math.inf, 0.0


class SemiHardMiner(WindowMiner):
    """All semi-hard triplets: ``d(a, p) < d(a, n) < d(a, p) + m``.

    Schroff, Kalenichenko and Philbin, "FaceNet", 2015 [1]_: the negative is farther than the
    positive but inside the margin. They keep one such negative of each positive pair; as in most
    libraries all of them are kept here.

    Parameters
    ----------
    margin : float, default=None
        Greater than 0. None: that of the loss it is combined with, 0.2 by itself.
    squared : bool, default=None
        Whether the margin is one of squared distances. None: as the loss; True by itself.

    See Also
    --------
    HardMiner : Harder.
    EasyHardMiner : One negative of each positive pair.
    metriclearn.deep.samplers.HardNegativeSampler : Semi-hard in the whole training set.

    References
    ----------
    .. [1] Schroff, Kalenichenko and Philbin, "FaceNet: A Unified Embedding for Face Recognition
       and Clustering", CVPR 2015. :doi:`10.48550/arXiv.1503.03832`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import SemiHardMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> miner = SemiHardMiner()
    >>> anchor, positive, negative = miner(x, torch.tensor([0, 0, 1, 1]))
    >>> torch.stack([anchor, positive, negative], 1)[:3].tolist()
    []
    """

    _parameter_constraints: dict = {
        "margin": [POSITIVE, None],
        "squared": ["boolean", None],
    }

    def __init__(self, margin: float | None = None, squared: bool | None = None) -> None:
        self.margin = margin
        self.squared = squared
        check_ranges(self)

    def _bounds(self, margin):
        return 0.0, margin


class BatchHardMiner(Miner):
    """Of each anchor the farthest positive with the nearest negative.

    Hermans, Beyer and Leibe, "In Defense of the Triplet Loss", 2017 [1]_. Anchors without a
    positive or a negative are left out. Time O(b² d) for b rows, at most b triplets.

    See Also
    --------
    EasyPositiveMiner : The nearest positive.
    EasyHardMiner : All combinations.

    References
    ----------
    .. [1] Hermans, Beyer and Leibe, "In Defense of the Triplet Loss for Person Re-Identification",
       2017. :doi:`10.48550/arXiv.1703.07737`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import BatchHardMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> miner = BatchHardMiner()
    >>> anchor, positive, negative = miner(x, torch.tensor([0, 0, 1, 1]))
    >>> torch.stack([anchor, positive, negative], 1)[:3].tolist()
    [[0, 1, 2], [1, 0, 3], [2, 3, 0]]
    """

    yields = "triplets"

    def select(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> MinedPairs | MinedTriplets:
        """Select from ``embeddings`` (b, d) with ``labels`` (b,)."""
        d, positive, negative = compare(embeddings.detach(), labels, "sq_distance", reference)
        p = masked_max(d, positive).indices
        n = masked_min(d, negative).indices
        a = (positive.amax(1) * negative.amax(1)).nonzero(as_tuple=True)[0]
        return MinedTriplets(a, p[a], n[a])


class RandomMiner(Miner):
    """For each positive pair, or for each anchor, triplets drawn at random.

    Parameters
    ----------
    n_triplets : int, default=1
        Triplets drawn for each anchor that has a positive and a negative, with replacement.
    generator : torch.Generator, default=None
        Source of randomness; torch's own by default.

    See Also
    --------
    DistanceWeightedMiner : Negatives evenly over the distances.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import RandomMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> miner = RandomMiner(generator=torch.Generator().manual_seed(0))
    >>> anchor, positive, negative = miner(x, torch.tensor([0, 0, 1, 1]))
    >>> torch.stack([anchor, positive, negative], 1)[:3].tolist()
    [[0, 1, 2], [1, 0, 2], [2, 3, 0]]
    """

    yields = "triplets"

    _parameter_constraints: dict = {"n_triplets": [at_least(1)]}

    def __init__(self, n_triplets: int = 1, generator: torch.Generator | None = None) -> None:
        self.n_triplets = n_triplets
        self.generator = generator
        check_ranges(self)

    def select(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> MinedPairs | MinedTriplets:
        """Select from ``embeddings`` (b, d) with ``labels`` (b,)."""
        _, positive, negative = compare(embeddings.detach(), labels, "dot", reference)
        a = (positive.amax(1) * negative.amax(1)).nonzero(as_tuple=True)[0]
        if not len(a):
            return MinedTriplets(a, a, a)
        drawn = [
            torch.multinomial(mask[a], self.n_triplets, replacement=True, generator=self.generator)
            for mask in (positive, negative)
        ]
        return MinedTriplets(a.repeat_interleave(self.n_triplets), *(x.flatten() for x in drawn))


class EasyPositiveMiner(Miner):
    """Of each anchor the nearest positive, with a semi-hard or the hardest negative.

    Xuan, Stylianou and Pless, "Improved Embeddings with Easy Positive Triplet Mining", 2020 [1]_.
    Anchors without such a negative are left out. Time O(b² d) for b rows, at most b triplets.

    Parameters
    ----------
    negative : {"semi_hard", "hard"}, default="semi_hard"
        The nearest negative that is farther than the positive, or the nearest of all.

    See Also
    --------
    EasyHardMiner : All combinations.
    BatchHardMiner : The farthest positive.

    References
    ----------
    .. [1] Xuan, Stylianou and Pless, "Improved Embeddings with Easy Positive Triplet Mining", WACV
       2020. :doi:`10.48550/arXiv.1904.04370`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import EasyPositiveMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> miner = EasyPositiveMiner()
    >>> anchor, positive, negative = miner(x, torch.tensor([0, 0, 1, 1]))
    >>> torch.stack([anchor, positive, negative], 1)[:3].tolist()
    [[0, 1, 3], [3, 2, 0]]
    """

    yields = "triplets"

    _parameter_constraints: dict = {"negative": [one_of("semi_hard", "hard")]}

    def __init__(self, negative: str = "semi_hard") -> None:
        self.negative = negative
        check_ranges(self)

    def select(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> MinedPairs | MinedTriplets:
        """Select from ``embeddings`` (b, d) with ``labels`` (b,)."""
        d, positive, negative = compare(embeddings.detach(), labels, "sq_distance", reference)
        near, p = masked_min(d, positive)
        if self.negative == "semi_hard":
            negative = negative * (d > near[:, None])
        n = masked_min(d, negative).indices
        a = (positive.amax(1) * negative.amax(1)).nonzero(as_tuple=True)[0]
        return MinedTriplets(a, p[a], n[a])


class DistanceWeightedMiner(Miner):
    """Negatives drawn evenly over the distances: weighted by one over their density.

    On the unit sphere of dimension d - 1 random rows are at distance r with density::

        q(r) ∝ r^(d - 2) (1 - r² / 4)^((d - 3) / 2)

    For each positive pair of an anchor a negative is drawn with probability
    ``∝ 1 / q(max(r, cutoff))`` among those nearer than ``nonzero_loss_cutoff``; where there are
    none, among all negatives evenly.

    Wu, Manmatha, Smola and Krähenbühl, "Sampling Matters in Deep Embedding Learning", 2017 [1]_.
    The weights are formed as logarithms and scaled for each anchor, so nothing overflows or
    vanishes in 512 dimensions (a library scales by the largest of the batch, which leaves anchors
    without negatives).

    Parameters
    ----------
    cutoff : float, default=0.5
        Distances below count as this, in (0, 2); bounds the variance of the gradient.
    nonzero_loss_cutoff : float, default=1.4
        Farther negatives have no loss and are not drawn, in (cutoff, 2].
    generator : torch.Generator, default=None
        Source of randomness; torch's own by default.

    See Also
    --------
    UniformHistogramMiner : Pairs evenly over the distances.
    DistanceHistogramMiner : Any chances by distance.
    metriclearn.deep.losses.MarginLoss : The loss of the same paper.

    References
    ----------
    .. [1] Wu, Manmatha, Smola and Krähenbühl, "Sampling Matters in Deep Embedding Learning", ICCV
       2017. :doi:`10.48550/arXiv.1706.07567`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import DistanceWeightedMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> miner = DistanceWeightedMiner(generator=torch.Generator().manual_seed(0))
    >>> anchor, positive, negative = miner(x, torch.tensor([0, 0, 1, 1]))
    >>> torch.stack([anchor, positive, negative], 1)[:3].tolist()
    [[0, 1, 2], [1, 0, 2], [2, 3, 1]]
    """

    yields = "triplets"

    _parameter_constraints: dict = {
        "cutoff": [between(0, 2, "neither")],
        "nonzero_loss_cutoff": [between(0, 2, "right")],
    }

    def __init__(
        self,
        cutoff: float = 0.5,
        nonzero_loss_cutoff: float = 1.4,
        generator: torch.Generator | None = None,
    ) -> None:
        self.cutoff = cutoff
        self.nonzero_loss_cutoff = nonzero_loss_cutoff
        self.generator = generator
        check_ranges(self)
        if nonzero_loss_cutoff <= cutoff:
            raise ValueError(
                f"nonzero_loss_cutoff must be greater than cutoff={cutoff}, "
                f"got {nonzero_loss_cutoff}"
            )

    def select(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> MinedPairs | MinedTriplets:
        """Select from ``embeddings`` (b, d) with ``labels`` (b,)."""
        s, positive, negative = compare(embeddings.detach(), labels, "cosine", reference)

        def weigh():
            return self.weights(s, negative, embeddings.shape[1])

        return draw_triplets(positive, negative, weigh, self.generator)

    def weights(self, cosine: torch.Tensor, negative: torch.Tensor, dim: int) -> torch.Tensor:
        """Chances of each negative, up to a factor for each anchor.

        Parameters
        ----------
        cosine, negative : tensors of shape (b, n)
        dim : int
            Dimensions of the embeddings, at least 2.

        Returns
        -------
        tensor of shape (b, n)
            The largest of a row is 1, or all negatives are where none is near enough.
        """
        square = (2 - 2 * cosine).clamp_(min=0)
        near = negative * (square < self.nonzero_loss_cutoff**2)
        square.clamp_(min=self.cutoff**2, max=4 - 1e-4)
        log_density = (dim - 2) / 2 * square.log() + (dim - 3) / 2 * torch.log1p(-square / 4)
        logs = (near - 1) * FAR - log_density
        weights = (logs - logs.amax(1, keepdim=True)).exp_().mul_(near)
        return torch.where(near.any(1, keepdim=True), weights, negative)
