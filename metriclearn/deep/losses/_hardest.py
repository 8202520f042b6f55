"""Losses that weigh the hardest comparisons by where they stand among all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from metriclearn._sklearn import NOT_NEGATIVE, SHARE, at_least, one_of
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.tensors._masked_sums import FAR, masked_min
from metriclearn.deep.tensors._pairwise import compare
from metriclearn.deep.tensors._ranges import check_ranges

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Reference, Selection


class DynamicSoftMarginLoss(MetricLoss):
    """Dynamic soft margin: each triplet weighs by how hard it is among those seen lately.

    With d the Euclidean distance of rows of length one, over the positive pairs (a, p), n the
    negative nearest to either of the two::

        mean  F(δ) δ,      δ = d_ap - min(d_an, d_pn)

    where ``F(δ)`` is the share of triplets that were less hard, by a running histogram of δ; no
    gradient flows through it. There is no margin to choose, and easy triplets count for little
    rather than for nothing. The value can be negative.

    See [1]_.

    Parameters
    ----------
    n_bins : int, default=512
        Intervals of the histogram over [-2, 2], at least 1.
    momentum : float, default=0.1
        Weight of the present batch in the histogram, in [0, 1].

    Attributes
    ----------
    histogram : buffer of shape (n_bins + 1,)
        Shares of the triplets at the nodes; all 0 at first.

    See Also
    --------
    TripletLoss : One margin for all.
    AdaptiveTripletLoss : Weights within the batch.

    Notes
    -----
    *Needs* labels.

    *Relations*: `TripletLoss` on the hardest negatives with a margin that sets itself; published
    for descriptors of image patches.

    Time O(b² d), memory O(b²) for b rows of d dimensions. In training mode each batch enters the
    histogram before its value is taken.

    References
    ----------
    .. [1] Zhang and Rusinkiewicz, "Learning Local Descriptors With a CDF-Based Dynamic Soft
       Margin", ICCV 2019. :doi:`10.1109/ICCV.2019.00306`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import DynamicSoftMarginLoss
    >>> loss = DynamicSoftMarginLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    -0.197
    0.777
    """

    kind = "distance"

    _parameter_constraints: dict = {"n_bins": [at_least(1)], "momentum": [SHARE]}

    def __init__(self, n_bins: int = 512, momentum: float = 0.1) -> None:
        super().__init__()
        self.n_bins = n_bins
        self.momentum = momentum
        check_ranges(self)
        self.register_buffer("histogram", torch.zeros(int(n_bins) + 1))

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over positive pairs of ``embeddings`` (b, d) with ``labels`` (b,)."""
        batch = compare(embeddings, labels, "cosine")
        # Distances of rows of length one, with slope 0 where they coincide.
        square = 2 - 2 * batch.values
        apart = square > 16 * torch.finfo(square.dtype).eps
        d = torch.where(apart, square, 1.0).sqrt() * apart
        nearest = masked_min(d, batch.negative).values
        a, p = batch.positive_pairs()
        with_negative = nearest[a] < FAR / 2
        a, p = a[with_negative], p[with_negative]
        hardness = d[a, p] - torch.minimum(nearest[a], nearest[p])
        weights = self._shares(hardness.detach())
        return self._mean((weights * hardness).sum(), len(a))

    @torch.no_grad()
    def _shares(self, hardness):
        """Return the share of the histogram below each value, the batch in it where training."""
        place = ((hardness.to(self.histogram.dtype) + 2) * (self.n_bins / 4)).clamp(0, self.n_bins)
        lower = place.long().clamp(max=self.n_bins - 1)
        part = place - lower
        if self.training and len(hardness):
            drawn = torch.zeros_like(self.histogram)
            drawn.index_add_(0, lower, 1 - part).index_add_(0, lower + 1, part)
            rate = self.momentum if self.histogram.any() else 1.0
            self.histogram += rate * (drawn / len(hardness) - self.histogram)
        below = self.histogram.cumsum(0)
        return torch.lerp(below[lower], below[lower + 1], part).to(hardness.dtype)


class AdaptiveTripletLoss(MetricLoss):
    """Triplet loss with adaptive weights: the farther a positive, the nearer a negative, the more.

    With d the Euclidean distance, over the anchors a with a positive and a negative::

        mean of  φ(Σ_p w_p d_ap - Σ_n w_n d_an + m)
        w_p ∝ exp(d_ap) over the positives,   w_n ∝ exp(-d_an) over the negatives

    with ``φ(z) = max(0, z)``, or ``log(1 + exp z)`` where ``soft``; no gradient flows through the
    weights.

    See [1]_.

    Parameters
    ----------
    margin : float, default=0.3
        m, at least 0.
    soft : bool, default=True
        The soft margin, as is usual in re-identification; the paper has the hinge with m = 1.
    reduction : {"mean_nonzero", "mean"}, default="mean_nonzero"
        Mean over the anchors with a positive term, or over all.

    See Also
    --------
    TripletLoss : All triplets alike.
    metriclearn.deep.miners.BatchHardMiner : Only the hardest of each anchor.

    Notes
    -----
    *Needs* labels or pairs, some rows of each class in a batch.

    *Relations*: between `TripletLoss` on all triplets and on those of `BatchHardMiner`, whose
    sensitivity to outliers it avoids; a standard of person re-identification.

    Time O(b² d), memory O(b²) for b rows of d dimensions.

    References
    ----------
    .. [1] Ristani and Tomasi, "Features for Multi-Target Multi-Camera Tracking and
       Re-Identification", CVPR 2018. :doi:`10.48550/arXiv.1803.10859`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import AdaptiveTripletLoss
    >>> loss = AdaptiveTripletLoss(soft=False)
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    0.886
    """

    accepts = ("pairs", "triplets")
    takes_reference = True
    kind = "distance"

    _parameter_constraints: dict = {
        "margin": [NOT_NEGATIVE],
        "soft": ["boolean"],
        "reduction": [one_of("mean_nonzero", "mean")],
    }

    def __init__(
        self, margin: float = 0.3, soft: bool = True, reduction: str = "mean_nonzero"
    ) -> None:
        super().__init__()
        self.margin = margin
        self.soft = soft
        self.reduction = reduction
        check_ranges(self)

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
        reference: Reference | None = None,
    ) -> torch.Tensor:
        """Mean over anchors of ``embeddings`` (b, d) with ``labels`` (b,)."""
        d, positive, negative = compare(embeddings, labels, self.kind, reference, selection)
        with torch.no_grad():
            pull = torch.softmax(d + (positive - 1) * FAR, 1) * positive
            push = torch.softmax((negative - 1) * FAR - d, 1) * negative
            both = positive.amax(1) * negative.amax(1)
        violation = (d * (pull - push)).sum(1) + self.margin
        terms = torch.nn.functional.softplus(violation) if self.soft else violation.relu()
        terms = terms * both
        active = terms.detach().count_nonzero()
        every = self.reduction == "mean" or self.soft
        return self._mean(terms.sum(), both.sum() if every else active, active)
