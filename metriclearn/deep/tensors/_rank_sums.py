"""Smoothed ranks and soft histograms of a matrix of comparisons, in O(b²) memory."""

import torch
from torch.autograd import Function

from metriclearn.deep.tensors._pairwise import first_derivative_only, with_gradient
from metriclearn.deep.tensors._triplet_sums import pack_positives


def rank_sum(s, pairs, positive, negative, temperature, term):
    """Sum over the positive pairs (i, p) of a function of the smoothed rank of p for i.

    The rank is one plus the sum of ``sigmoid((s_ij - s_ip) / temperature)``, over all other rows j
    and over the positives j alone.

    Parameters
    ----------
    s : tensor of shape (b, n)
        Similarities.
    pairs : tuple of two tensors of shape (p,)
        Rows and columns of the positive pairs, row by row.
    positive, negative : tensors of shape (b, n)
        Masks, 0 or 1.
    temperature : float
    term : callable
        ``term(own_rank, full_rank)``, each a tensor of shape (b,), to values and their derivatives
        in either rank, each of shape (b,).

    Returns
    -------
    scalar tensor
        Attached to ``s``.
    """
    with torch.no_grad():
        packed, slot = pack_positives(s, pairs)
        everyone = positive + negative
        weights = torch.zeros_like(s)
        pulls = torch.zeros_like(packed)
        total = s.new_zeros(len(s))
        for k in range(packed.shape[1]):
            exists = packed[:, k] > -torch.inf
            at = torch.where(exists, packed[:, k], 0)
            above = torch.sigmoid((s - at[:, None]).div_(temperature))
            own = (above * positive).sum(1).add_(0.5)  # 1, less the positive's own ½
            full = (above * everyone).sum(1).add_(0.5)
            value, in_own, in_full = (x * exists for x in term(own, full))
            total += value
            slope = above.mul_(1 - above).div_(temperature)
            slope *= positive * in_own[:, None] + everyone * in_full[:, None]
            weights += slope
            pulls[:, k] = -slope.sum(1)
        # A positive's comparison with itself is in both sums and cancels.
        weights[pairs] += pulls[pairs[0], slot]
    return with_gradient(s, total.sum(), weights)


class _SoftHistograms(Function):
    @staticmethod
    def forward(ctx, values, positive, negative, low, step, n_bins):
        place = ((values - low) / step).clamp_(0, n_bins)
        lower = place.floor().clamp_(max=n_bins - 1)
        part = place.sub_(lower)
        # Two histograms side by side, similar first.
        width = n_bins + 1
        at = lower.add_(negative, alpha=width).long()
        listed = positive + negative
        counts = values.new_zeros(len(values), 2 * width)
        counts.scatter_add_(1, at, (1 - part).mul_(listed))
        counts.scatter_add_(1, at + 1, part.mul_(listed))
        ctx.step = step
        ctx.save_for_backward(at, listed)
        return counts

    @staticmethod
    @first_derivative_only
    def backward(ctx, gradient):
        at, listed = ctx.saved_tensors
        slope = torch.zeros_like(gradient)
        slope[:, :-1] = (gradient[:, 1:] - gradient[:, :-1]) / ctx.step
        return slope.gather(1, at).mul_(listed), None, None, None, None, None


def soft_histograms(values, positive, negative, low, high, n_bins):
    """Histograms of each row's positives and negatives, an entry shared by its two nearest nodes.

    Parameters
    ----------
    values, positive, negative : tensors of shape (b, n)
    low, high : float
        First and last node; values outside count at the ends.
    n_bins : int
        Number of intervals between the nodes.

    Returns
    -------
    positives, negatives : tensors of shape (b, n_bins + 1)
    """
    step = (high - low) / n_bins
    counts = _SoftHistograms.apply(values, positive, negative, low, step, n_bins)
    return counts[:, : n_bins + 1], counts[:, n_bins + 1 :]
