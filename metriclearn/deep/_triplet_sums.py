"""Sums over all triplets of a batch, without listing one.

The hinge sum is linear in the distances as long as the set of active triplets stays the same:
``Σ (d_ap - d_an + m)₊ = Σ W ∘ d + m A``, where ``W`` holds at (a, p) the number of active
negatives, at (a, n) minus the number of active positives, and ``A`` is the number of active
triplets. ``W`` takes one comparison of the distance matrix per rank of positive, so a batch of b
rows with at most k positives each costs O(b² k) time and O(b²) memory. The soft sum is a loop of
the same shape. Both hand their derivative over with the value.
"""

import math

import torch
from torch.nn.functional import softplus

from metriclearn.deep._pairwise import FAR, with_gradient


def pack_positives(values, positive):
    """Positive comparisons of each row, packed to the left.

    Returns
    -------
    packed : tensor of shape (b, k)
        Values, -inf behind a row's last positive; k is the most positives of a row.
    index : tuple of two tensors of shape (p,)
        Row and column in ``values`` of each positive.
    slot : tensor of shape (p,)
        Its column in ``packed``.
    """
    rows, columns = positive.nonzero(as_tuple=True)
    counts = torch.bincount(rows, minlength=len(values))
    slot = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    packed = values.new_full((len(values), int(counts.max())), -math.inf)
    packed[rows, slot] = values[rows, columns]
    return packed, (rows, columns), slot


def triplet_sum(
    d, positive, negative, margin, *, low=-math.inf, high=math.inf, soft=False, swap=False
):
    """Sum of ``φ(d_ap - d_an + m)`` over all triplets with ``low < d_an - d_ap < high``.

    Parameters
    ----------
    d : tensor of shape (b, n)
        Distances.
    positive, negative : tensors of shape (b, n)
        Masks, 0 or 1.
    margin : float or tensor of shape (b, n)
        A tensor holds one margin for each (anchor, negative).
    low, high : float
    soft : bool
        ``φ(z) = log(1 + exp z)`` in place of ``max(0, z)``.
    swap : bool
        Measure the negative from whichever of anchor and positive is nearer to it. Positives
        have to be rows of the batch.

    Returns
    -------
    total : scalar tensor
        Attached to ``d``.
    active : scalar tensor
        Number of selected triplets with ``d_ap - d_an + m > 0``.
    selected : scalar tensor
        Number of triplets in the window.
    """
    with torch.no_grad():
        far = d + (1 - negative) * FAR
        packed, index, slot = pack_positives(d, positive)
        partner = torch.arange(len(d), device=d.device)[:, None].repeat(1, packed.shape[1])
        partner[index[0], slot] = index[1]
        high = min(high, FAR / 2)  # a column that is no negative is FAR, hence never inside
        weights = torch.zeros_like(d)
        pulls = torch.zeros_like(packed)
        # Counts pass 2²⁴ in large batches: added up as integers, row by row.
        active, selected = d.new_zeros(2, len(d), dtype=torch.int64)
        total = d.new_zeros(len(d))
        for k in range(packed.shape[1]):
            near = packed[:, k : k + 1]
            other = near - far
            if swap:
                swapped = near - far[partner[:, k]]
                nearer = torch.gt(swapped, other, out=torch.empty_like(d))
                other = torch.maximum(swapped, other)
            inside = torch.gt(other, -high, out=torch.empty_like(d))
            if low > -math.inf:
                inside *= other < -low
            selected += inside.sum(1).long()
            violation = other.add_(margin)
            push = torch.gt(violation, 0, out=torch.empty_like(d)).mul_(inside)
            active += push.sum(1).long()
            if soft:
                push = torch.sigmoid(violation).mul_(inside)
                total += (softplus(violation) * inside).sum(1)
            else:
                total += (violation.clamp_(min=0) * inside).sum(1)
            pulls[:, k] = push.sum(1)
            if swap:
                swapped = push * nearer
                weights.index_add_(0, partner[:, k], swapped, alpha=-1)
                push = push.sub_(swapped)
            weights -= push
        weights[index] += pulls[index[0], slot]
    return with_gradient(d, total.sum(), weights), active.sum(), selected.sum()
