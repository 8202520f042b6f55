"""Sum over all pairs of a positive pair and a negative pair of other classes, by counting.

``Σ (d_ij - d_lk + m)₊`` over positive pairs (i, j) and negative pairs (l, k) of classes other than
that of i is linear in the distances given who is active. Each negative pair finds its place among
the sorted positive pairs, in all classes and in its own two, which are subtracted; cumulated counts
of the places give each positive pair its number of negatives. O(b² log b) for b rows.
"""

import math

import torch

from metriclearn.deep.tensors._pairwise import with_gradient
from metriclearn.deep.tensors._triplet_sums import pack_positives


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
