"""Losses on rankings and distributions: FastAP, Smooth-AP, recall@k, histogram."""

import torch
from torch import nn

from metriclearn.deep.tensors._masked_sums import mean_over
from metriclearn.deep.tensors._pairwise import compare, list_positives
from metriclearn.deep.tensors._ranges import POSITIVE, at_least, check_ranges
from metriclearn.deep.tensors._rank_sums import rank_sum, soft_histograms


class FastAPLoss(nn.Module):
    """FastAP: average precision from histograms of distances.

    With the squared distances of each anchor (rows of length one) in L soft bins over [0, 4], h⁺
    the histogram of its positives, H⁺ and H the cumulated histograms of positives and of all::

        mean over anchors with a positive of  1 - 1/|P_i| Σ_l h⁺_l H⁺_l / H_l

    Cakir, He, Xia, Kulis and Sclaroff, "Deep Metric Learning to Rank", 2019.

    Parameters
    ----------
    n_bins : int, default=10
        L, at least 1.

    Notes
    -----
    Embeddings are brought to length one. Time O(b² d), memory O(b² + b L) for b rows of d
    dimensions; codes that compare every entry with every bin need O(b² L).

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

    accepts = ()

    _parameter_constraints: dict = {"n_bins": [at_least(1)]}

    def __init__(self, n_bins=10):
        super().__init__()
        self.n_bins = n_bins
        check_ranges(self)

    def forward(self, embeddings, labels, reference=None):
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
        return mean_over(((1 - ap) * anchors).sum(), anchors.sum())


class HistogramLoss(nn.Module):
    """Histogram loss: the probability that a negative pair is more similar than a positive one.

    With h⁺ and h⁻ the soft histograms of the cosines of all positive and all negative pairs, R
    nodes in [-1, 1]::

        Σ_r h⁻_r Σ_{q <= r} h⁺_q

    Ustinova and Lempitsky, "Learning Deep Embeddings with Histogram Loss", 2016.

    Parameters
    ----------
    n_bins : int, default=100
        Intervals between nodes, R - 1, at least 1.

    Notes
    -----
    Time O(b² d), memory O(b²) for b rows of d dimensions.

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

    accepts = ()

    _parameter_constraints: dict = {"n_bins": [at_least(1)]}

    def __init__(self, n_bins=100):
        super().__init__()
        self.n_bins = n_bins
        check_ranges(self)

    def forward(self, embeddings, labels, reference=None):
        """Value on ``embeddings`` (b, d) with ``labels`` (b,)."""
        s, positive, negative = compare(embeddings, labels, "cosine", reference)
        own, other = soft_histograms(s, positive, negative, -1.0, 1.0, self.n_bins)
        own = mean_over(own.sum(0), positive.sum())
        other = mean_over(other.sum(0), negative.sum())
        return (other * own.cumsum(0)).sum()


class SmoothAPLoss(nn.Module):
    """Smooth-AP: average precision with sigmoids for the comparisons of ranks.

    With ``s`` the cosine and ``G(x) = 1 / (1 + exp(-x/τ))``, over the anchors i with a positive::

        mean_i 1 - 1/|P_i| Σ_{p} (1 + Σ_{q ∈ P_i, q ≠ p} G(s_iq - s_ip))
                               / (1 + Σ_{j ≠ i, p} G(s_ij - s_ip))

    Brown, Xie, Kalogeiton and Zisserman, "Smooth-AP: Smoothing the Path Towards Large-Scale Image
    Retrieval", 2020. Their code, and a library after it, needs classes of equal size in order; any
    batch will do here.

    Parameters
    ----------
    temperature : float, default=0.01
        τ, > 0.

    Notes
    -----
    Time O(b² (d + k)), memory O(b²) for b rows with k positives each; usual codes need b³.

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

    accepts = ()

    _parameter_constraints: dict = {"temperature": [POSITIVE]}

    def __init__(self, temperature=0.01):
        super().__init__()
        self.temperature = temperature
        check_ranges(self)

    def forward(self, embeddings, labels, reference=None):
        """Mean over anchors of ``embeddings`` (b, d) with ``labels`` (b,)."""
        s, positive, negative = compare(embeddings, labels, "cosine", reference)
        counts = positive.sum(1)
        share = 1 / counts.clamp(min=1)

        def precision(own, full):
            value = share * own / full
            return value, share / full, -value / full

        pairs = list_positives(positive, labels if reference is None else None)
        ap = rank_sum(s, pairs, positive, negative, self.temperature, precision)
        anchors = (counts > 0).sum()
        return mean_over(anchors - ap, anchors)


class RecallAtKLoss(nn.Module):
    """Surrogate of recall@k, averaged over several k.

    With ``s`` the cosine, σ the logistic function, over the anchors i with a positive::

        r_ip = 1 + Σ_{j ≠ i, p} σ((s_ij - s_ip) / τ₁)
        mean_i mean_k  1 - 1/min(k, |P_i|) Σ_{p} σ((k - r_ip) / τ₂)

    Patel, Tolias and Matas, "Recall@k Surrogate Loss with Large Batches and Similarity Mixup",
    2022. The value can be a little below zero where the ranks of several positives round up.

    Parameters
    ----------
    ks : tuple of int, default=(1, 2, 4, 8, 16)
        Each at least 1.
    rank_temperature : float, default=0.01
        τ₁, > 0.
    temperature : float, default=1.0
        τ₂, > 0.

    Notes
    -----
    Time O(b² (d + k)), memory O(b²) for b rows with k positives each.

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

    accepts = ()

    _parameter_constraints: dict = {
        "ks": ["array-like"],
        "rank_temperature": [POSITIVE],
        "temperature": [POSITIVE],
    }

    def __init__(self, ks=(1, 2, 4, 8, 16), rank_temperature=0.01, temperature=1.0):
        super().__init__()
        self.ks = ks
        self.rank_temperature = rank_temperature
        self.temperature = temperature
        check_ranges(self)
        if not len(ks) or min(ks) < 1:
            raise ValueError(f"ks must hold at least one k, each of them at least 1, got {ks}")

    def forward(self, embeddings, labels, reference=None):
        """Mean over anchors of ``embeddings`` (b, d) with ``labels`` (b,)."""
        s, positive, negative = compare(embeddings, labels, "cosine", reference)
        counts = positive.sum(1)
        ks = torch.as_tensor(self.ks, dtype=s.dtype, device=s.device)
        share = 1 / (torch.minimum(ks, counts[:, None]).clamp(min=1) * len(ks))

        def recall(own, full):
            inside = torch.sigmoid((ks - full[:, None]) / self.temperature)
            slope = -inside * (1 - inside) / self.temperature
            return (share * inside).sum(1), torch.zeros_like(own), (share * slope).sum(1)

        pairs = list_positives(positive, labels if reference is None else None)
        total = rank_sum(s, pairs, positive, negative, self.rank_temperature, recall)
        anchors = (counts > 0).sum()
        return mean_over(anchors - total, anchors)
