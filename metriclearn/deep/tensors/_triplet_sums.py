"""Sums over all triplets of a batch, without listing one.

The hinge sum is linear in the distances as long as the set of active triplets stays the same:
``Σ (d_ap - d_an + m)₊ = Σ W ∘ d + m A``, where ``W`` holds at (a, p) the number of active
negatives, at (a, n) minus the number of active positives, and ``A`` is the number of active
triplets. ``W`` takes one comparison of the distance matrix per rank of positive, so a batch of b
rows with at most k positives each costs O(b² k) time and O(b²) memory. The soft sum is a loop of
the same shape. Both hand their derivative over with the value.

The sum over quadruplets, ``Σ (d_ij - d_lk + m)₊`` over positive pairs (i, j) and negative pairs
(l, k) of classes other than that of i, is linear in the distances given who is active. Each
negative pair finds its place among the sorted positive pairs, in all classes and in its own two,
which are subtracted; cumulated counts of the places give each positive pair its number of
negatives. O(b² log b) for b rows.
"""

import math

import torch
from torch.autograd import Function
from torch.nn.functional import softplus

from metriclearn.deep.tensors._masked_sums import FAR
from metriclearn.deep.tensors._pairwise import first_derivative_only, with_gradient


def pack_positives(values, pairs):
    """Positive comparisons of each row, packed to the left.

    Parameters
    ----------
    values : tensor of shape (b, n)
    pairs : tuple of two tensors of shape (p,)
        Row and column in ``values`` of each positive, row by row.

    Returns
    -------
    packed : tensor of shape (b, k)
        Values, -inf behind a row's last positive; k is the most positives of a row.
    slot : tensor of shape (p,)
        The column in ``packed`` of each positive.
    """
    rows, columns = pairs
    counts = torch.bincount(rows, minlength=len(values))
    slot = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    packed = values.new_full((len(values), int(counts.max())), -math.inf)
    packed[rows, slot] = values[rows, columns]
    return packed, slot


def triplet_sum(
    d, pairs, negative, margin, *, low=-math.inf, high=math.inf, soft=False, swap=False
):
    """Sum of ``φ(d_ap - d_an + m)`` over all triplets with ``low < d_an - d_ap < high``.

    Parameters
    ----------
    d : tensor of shape (b, n)
        Distances.
    pairs : tuple of two tensors of shape (p,)
        Rows and columns of the positive pairs, row by row.
    negative : tensor of shape (b, n)
        Mask, 0 or 1.
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
        Number of selected triplets whose term is not zero.
    selected : scalar tensor
        Number of triplets in the window.
    """
    bounded = low > -math.inf or high < math.inf
    with torch.no_grad():
        far = (1 - negative).mul_(FAR).add_(d)
        packed, slot = pack_positives(d, pairs)
        partner = torch.arange(len(d), device=d.device)[:, None].repeat(1, packed.shape[1])
        partner[pairs[0], slot] = pairs[1]
        weights = torch.zeros_like(d)
        pulls = torch.zeros_like(packed)
        selected = d.new_zeros(len(d), dtype=torch.int64)
        total = d.new_zeros(len(d))
        z, push, inside = torch.empty_like(d), torch.empty_like(d), None
        for k in range(packed.shape[1]):
            near = packed[:, k : k + 1]
            torch.sub(near, far, out=z)  # d_ap - d_an, far below zero where n is no negative
            if swap:
                swapped = near - far[partner[:, k]]
                nearer = torch.gt(swapped, z).to(d.dtype)
                torch.maximum(z, swapped, out=z)
            if bounded:
                inside = _inside(z, low, high, inside)
                selected += inside.sum(1).long()
            z += margin
            if soft:
                torch.sigmoid(z, out=push)
                softplus(z, out=z)
            else:
                z.clamp_(min=0)
                torch.sign(z, out=push)
            if bounded:
                z *= inside
                push *= inside
            total += z.sum(1)
            pulls[:, k] = push.sum(1)
            if swap:
                swapped = push * nearer
                weights.index_add_(0, partner[:, k], swapped, alpha=-1)
                push -= swapped
            weights -= push
        weights[pairs] += pulls[pairs[0], slot]
        # Counts pass 2²⁴ in large batches: added up as integers, row by row.
        selected = (selected if bounded else negative.sum(1).long()[pairs[0]]).sum()
        active = selected if soft else pulls.sum(1).long().sum()
    return with_gradient(d, total.sum(), weights), active, selected


def _inside(z, low, high, out):
    """1 where ``low < -z < high`` and the column is a negative, of the dtype of ``z``."""
    out = torch.gt(z, -min(high, FAR / 2), out=torch.empty_like(z) if out is None else out)
    if low > -math.inf:
        out *= z < -low
    return out


def quadruplet_sum(d, pairs, negative, labels, margin):
    """Hinge sum over all quadruplets of a batch and the number of active ones.

    Parameters
    ----------
    d : tensor of shape (b, b)
        Symmetric distances.
    pairs : tuple of two tensors of shape (p,)
        Rows and columns of the positive pairs.
    negative : tensor of shape (b, b)
        Mask, 0 or 1.
    labels : tensor of shape (b,)
    margin : float

    Returns
    -------
    total : scalar tensor
        Attached to ``d``.
    active : scalar tensor
    """
    rows, columns = pairs
    if not (len(rows) and negative.any()):
        return d.sum() * 0, d.new_zeros(())
    with torch.no_grad():
        code = torch.unique(labels, return_inverse=True)[1]
        n_classes = int(code.max()) + 1
        similar, order = d[rows, columns].sort()
        rows, columns = rows[order], columns[order]
        # The positive pairs of a class are a row of `own`, ascending, with inf behind.
        by_class, rank = code[rows].sort(stable=True)
        own, slot = pack_positives(similar.expand(n_classes, -1), (by_class, rank))
        own = own.masked_fill(own == -math.inf, math.inf)
        n_own = torch.bincount(by_class, minlength=n_classes)[:, None]

        reach = d - margin  # a positive pair with a larger distance is active
        place = torch.searchsorted(similar, reach, right=True)
        own_place = torch.searchsorted(own[code], reach, right=True)
        own_active = (n_own[code] - own_place).clamp_(min=0)
        pushes = (len(similar) - place - own_active - own_active.T) * negative

        listed = negative > 0
        pulls = torch.bincount(place[listed], minlength=len(similar) + 1).cumsum(0)[:-1]
        width = own.shape[1] + 1
        flat = own_place + (code * width)[:, None]
        own_pulls = torch.bincount(flat[listed], minlength=n_classes * width)
        own_pulls = own_pulls.view(n_classes, width).cumsum(1)[:, :-1]
        # Rows of a class and, the distances being symmetric, its columns.
        pulls[rank] -= 2 * own_pulls[by_class, slot]

        weights = -pushes
        weights[rows, columns] = pulls.to(d.dtype)
        active = pulls.sum()
        total = (weights * d).sum() + margin * active.to(d.dtype)
    return with_gradient(d, total, weights), active


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
