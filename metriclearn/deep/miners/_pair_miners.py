"""Miners of pairs. A new one is a class here, a row in `MINERS` and one in the tests' table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, between
from metriclearn.deep.miners._base import Miner
from metriclearn.deep.tensors._masked_sums import FAR
from metriclearn.deep.tensors._pairwise import compare
from metriclearn.deep.tensors._ranges import check_ranges
from metriclearn.deep.tensors._selections import MinedPairs, PairMasks, PairRule

if TYPE_CHECKING:
    from metriclearn.deep.losses._base import MetricLoss
    from metriclearn.deep.tensors._selections import MinedTriplets, Reference, Selection


class PairMiner(Miner):
    """Base of the miners of pairs that choose by a comparison: `choose` says which.

    ``kinds`` are the comparisons that it can choose by; where the loss makes one of these, it is
    not made twice.
    """

    yields = "pairs"

    def choose(self, values: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor) -> None:
        """Return `PairMasks` of the pairs selected among those in the masks, which it may change.

        Parameters
        ----------
        values : tensor of shape (b, n)
            Comparisons, of one of ``kinds``.
        positive, negative : tensors of shape (b, n)
            Masks of all pairs.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define choose")

    def select(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> MinedPairs | MinedTriplets:
        """List the pairs selected from ``embeddings`` (b, d) with ``labels`` (b,)."""
        masks = self.masks(embeddings, labels, reference)
        return MinedPairs(masks.positive.nonzero(), masks.negative.nonzero())

    def selection_for(
        self,
        loss: MetricLoss,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        reference: Reference | None = None,
    ) -> Selection:
        """Return the rule itself, or masks; see `Miner.selection_for`."""
        if loss.kind in self.kinds:
            return PairRule(self.choose)
        return self.masks(embeddings, labels, reference)

    def masks(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> Any:
        """Return the masks of the pairs selected from ``embeddings`` (b, d), ``labels`` (b,)."""
        return self.choose(*compare(embeddings.detach(), labels, self.kinds[0], reference))


class MultiSimilarityMiner(PairMiner):
    """Pairs that are informative against the anchor's hardest pairs of the other kind.

    With ``s`` the cosine::

        negative (a, n) kept if  s_an + ε > min_p s_ap
        positive (a, p) kept if  s_ap - ε < max_n s_an

    Wang, Han, Huang, Dong and Scott, "Multi-Similarity Loss with General Pair Weighting", 2019
    [1]_. Anchors without a positive or without a negative keep nothing. Time O(b² d) for b rows.

    Parameters
    ----------
    epsilon : float, default=0.1
        ε, at least 0.

    See Also
    --------
    HDCMiner : The hardest pairs of a batch.

    References
    ----------
    .. [1] Wang, Han, Huang, Dong and Scott, "Multi-Similarity Loss with General Pair Weighting for
       Deep Metric Learning", CVPR 2019. :doi:`10.48550/arXiv.1904.06627`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import MultiSimilarityMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> miner = MultiSimilarityMiner()
    >>> positives, negatives = miner(x, torch.tensor([0, 0, 1, 1]))
    >>> negatives.tolist()
    [[0, 2], [1, 2], [1, 3], [2, 0], [2, 1], [3, 1]]
    """

    _parameter_constraints: dict = {"epsilon": [NOT_NEGATIVE]}

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon
        check_ranges(self)

    kinds = ("cosine",)

    def choose(
        self, values: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the masks of the pairs selected among those in the masks; see `PairMiner`."""
        # Without pairs of the other kind the bound is beyond reach.
        scratch = torch.sub(1, positive).mul_(FAR).add_(values)
        from_negative = scratch.amin(1, keepdim=True) - self.epsilon
        torch.sub(negative, 1, out=scratch).mul_(FAR).add_(values)
        from_positive = scratch.amax(1, keepdim=True) + self.epsilon
        positive.mul_(torch.lt(values, from_positive, out=scratch))
        negative.mul_(torch.gt(values, from_negative, out=scratch))
        return PairMasks(positive, negative)


class PairMarginMiner(PairMiner):
    """Positive pairs farther than one margin, negative pairs nearer than another.

    See [1]_.

    Parameters
    ----------
    positive_margin : float, default=0.2
        Euclidean distance, at least 0.
    margin : float, default=0.8
        Euclidean distance, > 0, for the negatives.

    See Also
    --------
    MultiSimilarityMiner : Bounds that follow the batch.

    References
    ----------
    .. [1] Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping",
       CVPR 2006. :doi:`10.1109/CVPR.2006.100`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import PairMarginMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> miner = PairMarginMiner()
    >>> positives, negatives = miner(x, torch.tensor([0, 0, 1, 1]))
    >>> negatives.tolist()
    [[0, 2], [1, 3], [2, 0], [3, 1]]
    """

    _parameter_constraints: dict = {
        "positive_margin": [NOT_NEGATIVE],
        "margin": [POSITIVE],
    }

    def __init__(self, positive_margin: float = 0.2, margin: float = 0.8) -> None:
        self.positive_margin = positive_margin
        self.margin = margin
        check_ranges(self)

    kinds = ("distance",)

    def choose(
        self, values: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the masks of the pairs selected among those in the masks; see `PairMiner`."""
        kept = torch.gt(values, self.positive_margin, out=torch.empty_like(values))
        positive.mul_(kept)
        negative.mul_(torch.lt(values, self.margin, out=kept))
        return PairMasks(positive, negative)


class HDCMiner(PairMiner):
    """The hardest fraction of the positive pairs and of the negative pairs of a batch.

    Yuan, Yang and Zhang, "Hard-Aware Deeply Cascaded Embedding", 2017 [1]_: each model of their
    cascade trains on such a fraction. Pairs count in both directions.

    Parameters
    ----------
    fraction : float, default=0.5
        In (0, 1]; of p pairs the ⌈fraction · p⌉ hardest are kept.

    See Also
    --------
    PairMarginMiner : Pairs by fixed bounds.

    References
    ----------
    .. [1] Yuan, Yang and Zhang, "Hard-Aware Deeply Cascaded Embedding", ICCV 2017.
       :doi:`10.48550/arXiv.1611.05720`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import HDCMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> miner = HDCMiner()
    >>> positives, negatives = miner(x, torch.tensor([0, 0, 1, 1]))
    >>> negatives.tolist()
    [[0, 2], [1, 3], [2, 0], [3, 1]]
    """

    _parameter_constraints: dict = {"fraction": [between(0, 1, "right")]}

    def __init__(self, fraction: float = 0.5) -> None:
        self.fraction = fraction
        check_ranges(self)

    kinds = ("sq_distance", "distance")

    def choose(
        self, values: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the masks of the pairs selected among those in the masks; see `PairMiner`."""
        return PairMasks(self._least(-values, positive), self._least(values, negative))

    def _least(self, x, mask):
        """Mask of the least values of ``x`` among those in ``mask``, the first of equal ones."""
        n_kept = math.ceil(self.fraction * int(mask.count_nonzero()))
        if not n_kept:
            return mask
        x = (1 - mask).mul_(FAR).add_(x)
        bound = _kth_least(x.flatten(), n_kept)
        kept = torch.lt(x, bound, out=mask).flatten()
        equal = (x.flatten() == bound).nonzero(as_tuple=True)[0]
        kept[equal[: n_kept - int(kept.count_nonzero())]] = 1
        return kept.view_as(x)


def _kth_least(x, k):
    if x.device.type == "cpu":  # several times faster than torch there
        return float(np.partition(x.numpy(), k - 1)[k - 1])
    return x.kthvalue(k).values
