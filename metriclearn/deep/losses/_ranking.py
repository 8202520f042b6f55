"""Losses on rankings and distributions: FastAP, Smooth-AP, recall@k, histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from metriclearn._sklearn import POSITIVE, at_least, one_of
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.tensors._masked_sums import mean_over
from metriclearn.deep.tensors._pairwise import compare
from metriclearn.deep.tensors._ranges import check_ranges
from metriclearn.deep.tensors._triplet_sums import rank_sum, soft_histograms

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Reference


def _both(positive, negative):
    """Return the number of anchors that have a positive and a negative."""
    return (positive.amax(1) * negative.amax(1)).count_nonzero()


class FastAPLoss(MetricLoss):
    """FastAP: average precision from histograms of distances.

    With the squared distances of each anchor (rows of length one) in L soft bins over [0, 4], h⁺
    the histogram of its positives, H⁺ and H the cumulated histograms of positives and of all::

        mean over anchors with a positive of  1 - 1/|P_i| Σ_l h⁺_l H⁺_l / H_l

    Cakir, He, Xia, Kulis and Sclaroff, "Deep Metric Learning to Rank", 2019 [1]_.

    Parameters
    ----------
    n_bins : int, default=10
        L, at least 1.

    See Also
    --------
    SmoothAPLoss : By sigmoids.
    HistogramLoss : All pairs in one histogram.

    Notes
    -----
    *Needs* labels, some rows of each class in a large batch.

    *Relations*: like `SmoothAPLoss`, by histograms rather than by sigmoids: coarser and steadier.

    Embeddings are brought to length one. Time O(b² d), memory O(b² + b L) for b rows of d
    dimensions; codes that compare every entry with every bin need O(b² L).

    References
    ----------
    .. [1] Cakir, He, Xia, Kulis and Sclaroff, "Deep Metric Learning to Rank", CVPR 2019.
       :doi:`10.1109/CVPR.2019.00196`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import FastAPLoss
    >>> loss = FastAPLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    0.583
    """

    takes_reference = True

    _parameter_constraints: dict = {"n_bins": [at_least(1)]}

    def __init__(self, n_bins: int = 10) -> None:
        super().__init__()
        self.n_bins = n_bins
        check_ranges(self)

    def compute(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> torch.Tensor:
        """Mean over anchors of ``embeddings`` (b, d) with ``labels`` (b,)."""
        s, positive, negative = compare(embeddings, labels, "cosine", reference)
        own, other = soft_histograms(2 - 2 * s, positive, negative, 0.0, 4.0, self.n_bins)
        own_below = own.cumsum(1)
        below = own_below + other.cumsum(1)
        filled = below > 0
        precision = own * own_below / torch.where(filled, below, 1.0) * filled
        counts = positive.sum(1)
        anchors = (counts > 0).to(s.dtype)
        ap = precision.sum(1) / counts.clamp(min=1)
        return self._mean(((1 - ap) * anchors).sum(), anchors.sum(), _both(positive, negative))


class HistogramLoss(MetricLoss):
    """Histogram loss: the probability that a negative pair is more similar than a positive one.

    With h⁺ and h⁻ the soft histograms of the cosines of all positive and all negative pairs, R
    nodes in [-1, 1]::

        Σ_r h⁻_r Σ_{q <= r} h⁺_q

    Ustinova and Lempitsky, "Learning Deep Embeddings with Histogram Loss", 2016 [1]_.

    Parameters
    ----------
    n_bins : int, default=100
        Intervals between nodes, R - 1, at least 1.

    See Also
    --------
    FastAPLoss : One for each anchor.

    Notes
    -----
    *Needs* labels, some rows of each class in a large batch.

    *Relations*: has no margin to choose; `FastAPLoss` makes a histogram for each anchor and is
    often better for retrieval.

    Time O(b² d), memory O(b²) for b rows of d dimensions.

    References
    ----------
    .. [1] Ustinova and Lempitsky, "Learning Deep Embeddings with Histogram Loss", NIPS 2016.
       :doi:`10.48550/arXiv.1611.00822`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import HistogramLoss
    >>> loss = HistogramLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    0.75
    """

    takes_reference = True

    _parameter_constraints: dict = {"n_bins": [at_least(1)]}

    def __init__(self, n_bins: int = 100) -> None:
        super().__init__()
        self.n_bins = n_bins
        check_ranges(self)

    def compute(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d) with ``labels`` (b,)."""
        s, positive, negative = compare(embeddings, labels, "cosine", reference)
        own, other = soft_histograms(s, positive, negative, -1.0, 1.0, self.n_bins)
        similar, dissimilar = positive.sum(), negative.sum()
        own, other = mean_over(own.sum(0), similar), mean_over(other.sum(0), dissimilar)
        self._active = torch.minimum(similar, dissimilar)
        return (other * own.cumsum(0)).sum()


class SmoothAPLoss(MetricLoss):
    """Smooth-AP: average precision with sigmoids for the comparisons of ranks.

    With ``s`` the cosine and ``G(x) = 1 / (1 + exp(-x/τ))``, over the anchors i with a positive::

        mean_i 1 - 1/|P_i| Σ_{p} (1 + Σ_{q ∈ P_i, q ≠ p} G(s_iq - s_ip))
                               / (1 + Σ_{j ≠ i, p} G(s_ij - s_ip))

    Brown, Xie, Kalogeiton and Zisserman, "Smooth-AP: Smoothing the Path Towards Large-Scale Image
    Retrieval", 2020 [1]_. Their code, and a library after it, needs classes of equal size in order;
    any batch will do here.

    Parameters
    ----------
    temperature : float, default=0.01
        τ, > 0.

    See Also
    --------
    FastAPLoss : By histograms.
    PNPLoss : Only negatives count.
    RecallAtKLoss : Recall among the first k.

    Notes
    -----
    *Needs* labels, some rows of each class in a large batch.

    *Relations*: like `FastAPLoss`, by sigmoids; `PNPLoss` counts only the negatives before a
    positive.

    Time O(b² (d + k)), memory O(b²) for b rows with k positives each; usual codes need b³.

    References
    ----------
    .. [1] Brown, Xie, Kalogeiton and Zisserman, "Smooth-AP: Smoothing the Path Towards Large-Scale
       Image Retrieval", ECCV 2020. :doi:`10.48550/arXiv.2007.12163`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import SmoothAPLoss
    >>> loss = SmoothAPLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    0.583
    """

    takes_reference = True

    _parameter_constraints: dict = {"temperature": [POSITIVE]}

    def __init__(self, temperature: float = 0.01) -> None:
        super().__init__()
        self.temperature = temperature
        check_ranges(self)

    def compute(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> torch.Tensor:
        """Mean over anchors of ``embeddings`` (b, d) with ``labels`` (b,)."""
        batch = compare(embeddings, labels, "cosine", reference)
        s, positive, negative = batch
        counts = positive.sum(1)
        share = 1 / counts.clamp(min=1)

        def precision(own, full):
            value = share * own / full
            return value, share / full, -value / full

        pairs = batch.positive_pairs()
        ap = rank_sum(s, pairs, positive, negative, self.temperature, precision)
        anchors = (counts > 0).sum()
        return self._mean(anchors - ap, anchors, _both(positive, negative))


class RecallAtKLoss(MetricLoss):
    """Surrogate of recall@k, averaged over several k.

    With ``s`` the cosine, σ the logistic function, over the anchors i with a positive::

        r_ip = 1 + Σ_{j ≠ i, p} σ((s_ij - s_ip) / τ₁)
        mean_i mean_k  1 - 1/min(k, |P_i|) Σ_{p} σ((k - r_ip) / τ₂)

    Patel, Tolias and Matas, "Recall@k Surrogate Loss with Large Batches and Similarity Mixup",
    2022 [1]_. The value can be a little below zero where the ranks of several positives round up.

    Parameters
    ----------
    ks : tuple of int, default=(1, 2, 4, 8, 16)
        Each at least 1.
    rank_temperature : float, default=0.01
        τ₁, > 0.
    temperature : float, default=1.0
        τ₂, > 0.

    See Also
    --------
    SmoothAPLoss : Average precision.

    Notes
    -----
    *Needs* labels, some rows of each class in a large batch.

    *Relations*: like `SmoothAPLoss` but what ranks after the k-th place no longer matters.

    Time O(b² (d + k)), memory O(b²) for b rows with k positives each.

    References
    ----------
    .. [1] Patel, Tolias and Matas, "Recall@k Surrogate Loss with Large Batches and Similarity
       Mixup", CVPR 2022. :doi:`10.48550/arXiv.2108.11179`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import RecallAtKLoss
    >>> loss = RecallAtKLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.163
    0.324
    """

    takes_reference = True

    _parameter_constraints: dict = {
        "ks": ["array-like"],
        "rank_temperature": [POSITIVE],
        "temperature": [POSITIVE],
    }

    def __init__(
        self,
        ks: tuple[int, ...] = (1, 2, 4, 8, 16),
        rank_temperature: float = 0.01,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.ks = ks
        self.rank_temperature = rank_temperature
        self.temperature = temperature
        check_ranges(self)
        if not len(ks) or min(ks) < 1:
            raise ValueError(f"ks must hold at least one k, each of them at least 1, got {ks}")

    def compute(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> torch.Tensor:
        """Mean over anchors of ``embeddings`` (b, d) with ``labels`` (b,)."""
        batch = compare(embeddings, labels, "cosine", reference)
        s, positive, negative = batch
        counts = positive.sum(1)
        ks = torch.as_tensor(self.ks, dtype=s.dtype, device=s.device)
        share = 1 / (torch.minimum(ks, counts[:, None]).clamp(min=1) * len(ks))

        def recall(own, full):
            inside = torch.sigmoid((ks - full[:, None]) / self.temperature)
            slope = -inside * (1 - inside) / self.temperature
            return (share * inside).sum(1), torch.zeros_like(own), (share * slope).sum(1)

        pairs = batch.positive_pairs()
        total = rank_sum(s, pairs, positive, negative, self.rank_temperature, recall)
        anchors = (counts > 0).sum()
        return self._mean(anchors - total, anchors, _both(positive, negative))


def _decreasing_slow(r, alpha, b):
    return torch.log1p(r), 1 / (1 + r)


def _decreasing_fast(r, alpha, b):
    return 1 - (1 + r) ** -alpha, alpha * (1 + r) ** (-alpha - 1)


def _increasing_unbounded(r, alpha, b):
    return (1 + r) * torch.log1p(r), torch.log1p(r) + 1


def _increasing_bounded(r, alpha, b):
    return (b * r - torch.log1p(b * r)) / b**2, r / (1 + b * r)


def _plain(r, alpha, b):
    return r, torch.ones_like(r)


#: Functions of the number of negatives before a positive, with their derivatives.
_PENALTIES = {
    "decreasing_slow": _decreasing_slow,
    "decreasing_fast": _decreasing_fast,
    "increasing_unbounded": _increasing_unbounded,
    "increasing_bounded": _increasing_bounded,
    "plain": _plain,
}


class PNPLoss(MetricLoss):
    """Penalizing negatives before positives: how many negatives rank before each positive.

    With ``s`` the cosine and ``G(x) = 1 / (1 + exp(-x/τ))``, over the anchors i with a positive::

        mean_i 1/|P_i| Σ_p h(r_ip),      r_ip = Σ_n G(s_in - s_ip)

        "plain"                 h(r) = r
        "decreasing_slow"       log(1 + r)
        "decreasing_fast"       1 - (1 + r)^-α
        "increasing_unbounded"  (1 + r) log(1 + r)
        "increasing_bounded"    (b r - log(1 + b r)) / b²

    where the slope of ``h`` falls or rises with r [1]_. The authors' code, and a library after
    it, counts the anchor among its own positives; here it is none.

    Parameters
    ----------
    variant : str, default="decreasing_fast"
        One of the above.
    alpha : float, default=4
        α, > 0, of "decreasing_fast"; the paper's choice.
    b : float, default=2
        > 0, of "increasing_bounded".
    temperature : float, default=0.01
        τ, > 0.

    See Also
    --------
    SmoothAPLoss : Average precision.
    RecallAtKLoss : Recall among the first k.

    Notes
    -----
    *Needs* labels, some rows of each class in a large batch.

    *Relations*: like `SmoothAPLoss`, which divides by the rank and so also sees the order of the
    positives; a slope that falls with r cares less for positives that are far off, which are often
    outliers.

    Time O(b² (d + k)), memory O(b²) for b rows with k positives each; usual codes need b³.

    References
    ----------
    .. [1] Li, Min, Song, Zhu, Kang, Wei, Wei and Jiang, "Rethinking the Optimization of Average
       Precision: Only Penalizing Negative Instances before Positive Ones is Enough", AAAI 2022.
       :doi:`10.48550/arXiv.2102.04640`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import PNPLoss
    >>> loss = PNPLoss(variant="plain")
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    1.5
    """

    takes_reference = True

    _parameter_constraints: dict = {
        "variant": [one_of(*_PENALTIES)],
        "alpha": [POSITIVE],
        "b": [POSITIVE],
        "temperature": [POSITIVE],
    }

    def __init__(
        self,
        variant: str = "decreasing_fast",
        alpha: float = 4.0,
        b: float = 2.0,
        temperature: float = 0.01,
    ) -> None:
        super().__init__()
        self.variant = variant
        self.alpha = alpha
        self.b = b
        self.temperature = temperature
        used = {"decreasing_fast": "alpha", "increasing_bounded": "b"}
        check_ranges(self, {of: f"by {kind!r}" for kind, of in used.items() if kind != variant})

    def compute(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> torch.Tensor:
        """Mean over anchors of ``embeddings`` (b, d) with ``labels`` (b,)."""
        batch = compare(embeddings, labels, "cosine", reference)
        s, positive, negative = batch
        counts = positive.sum(1)
        share = 1 / counts.clamp(min=1)

        def penalty(own, full):
            value, slope = _PENALTIES[self.variant]((full - own).clamp(min=0), self.alpha, self.b)
            return share * value, -share * slope, share * slope

        total = rank_sum(s, batch.positive_pairs(), positive, negative, self.temperature, penalty)
        return self._mean(total, (counts > 0).sum(), _both(positive, negative))
