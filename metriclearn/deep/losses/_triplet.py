"""Losses on triplets: an anchor, a positive, a negative."""

import torch
from torch import nn
from torch.nn.functional import softplus

from metriclearn.deep._pairwise import compare, mean_over
from metriclearn.deep._triplet_sums import triplet_sum
from metriclearn.deep._tuples import Triplets, Window, check_selection


class TripletLoss(nn.Module):
    """Triplet loss over all triplets of the batch, or those a miner selects.

    ::

        mean over (a, p, n) of  φ(d(a, p) - d(a, n) + m)

    with ``φ(z) = max(0, z)``, or ``log(1 + exp z)`` where ``soft``.

    Schroff, Kalenichenko and Philbin, "FaceNet", 2015: squared distances of rows of length one,
    m = 0.2. Hermans, Beyer and Leibe, "In Defense of the Triplet Loss", 2017: unsquared, soft
    (theirs is ``margin=0, soft=True``), and the mean over the triplets whose term is not zero,
    which is the default here and in most libraries. Swap: Balntas et al., 2016.

    Parameters
    ----------
    margin : float, default=0.2
        At least 0; in units of the (squared) distance.
    squared : bool, default=True
        Squared Euclidean distances.
    soft : bool, default=False
        The soft margin; it has no zero terms, so its mean is over all triplets.
    swap : bool, default=False
        Take ``min(d(a, n), d(p, n))`` for the negative.
    reduction : {"mean_nonzero", "mean"}, default="mean_nonzero"
        Mean over the triplets with a positive term, or over all selected ones.

    Notes
    -----
    Time O(b² (d + k)), memory O(b²) for b rows with k positives each: triplets are never listed,
    unless a miner lists them.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import TripletLoss
    >>> embeddings = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> TripletLoss(margin=0.5)(embeddings, torch.tensor([0, 0, 1])).item()  # one active: 1 - 1 + ½
    0.5
    """

    accepts = ("triplets",)

    def __init__(self, margin=0.2, squared=True, soft=False, swap=False, reduction="mean_nonzero"):
        super().__init__()
        if reduction not in ("mean_nonzero", "mean"):
            raise ValueError(f"reduction must be 'mean_nonzero' or 'mean', got {reduction!r}")
        self.margin = margin
        self.squared = squared
        self.soft = soft
        self.swap = swap
        self.reduction = reduction

    def forward(self, embeddings, labels, selection=None, reference=None):
        """Mean over triplets of ``embeddings`` (b, d) with ``labels`` (b,)."""
        check_selection(self, selection)
        kind = "sq_distance" if self.squared else "distance"
        d, positive, negative = compare(embeddings, labels, kind, reference)
        if self.swap:
            positive[:, len(d) :] = 0  # distances from a reference's rows are not known
        if isinstance(selection, Triplets):
            total, active, selected = self._listed(d, selection)
        else:
            low, high = (-torch.inf, torch.inf) if selection is None else selection[:2]
            total, active, selected = triplet_sum(
                d, positive, negative, self.margin,
                low=low, high=high, soft=self.soft, swap=self.swap,
            )  # fmt: skip
        return mean_over(total, self._count(active, selected))

    def _count(self, active, selected):
        return active if self.reduction == "mean_nonzero" and not self.soft else selected

    def _listed(self, d, triplets):
        a, p, n = triplets
        push = d[a, n]
        if self.swap:
            if (p >= len(d)).any():
                raise ValueError("swap=True needs positives from the batch, not from a reference")
            push = torch.minimum(push, d[p, n])
        violation = d[a, p] - push + self.margin
        terms = softplus(violation) if self.soft else violation.relu()
        return terms.sum(), (violation > 0).sum(), torch.tensor(len(a), device=d.device)

    def takes_window(self, window):
        """Whether a miner's window is on the distance of this loss, so that it need not list."""
        return isinstance(window, Window) and window.squared == self.squared
