"""What a loss looks at in a batch: all pairs and triplets, or those that a miner selected.

A `Selection` answers two questions, whatever it was made from: which pairs enter the masks of a
comparison (`Selection.pair_masks`), and which triplets count (`Selection.triplets`, or all of those
between the bounds `low` and `high`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch


class Reference(NamedTuple):
    """Rows that a batch is compared with besides itself.

    They are columns behind the batch's own: index ``b + i`` is row ``i`` of the reference.

    Parameters
    ----------
    embeddings : tensor of shape (r, d)
        No gradient flows to them.
    labels : integer tensor of shape (r,)
        -1 marks unlabeled rows, which take no part.

    See Also
    --------
    metriclearn.deep.losses.CrossBatchMemory : Keeps the rows of earlier batches as one.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import NTXentLoss
    >>> from metriclearn.deep.miners import Reference
    >>> x, labels = torch.eye(2), torch.tensor([0, 1])
    >>> seen = Reference(torch.tensor([[1.0, 0.1]]), torch.tensor([0]))
    >>> round(NTXentLoss(temperature=1.0)(x, labels, reference=seen).item(), 3)
    0.315
    """

    embeddings: torch.Tensor
    labels: torch.Tensor


def masks(labels, reference_labels=None, dtype=torch.float32):
    """Return positive and negative mask of a batch against itself and a reference, as floats."""
    n = len(labels)
    columns = labels if reference_labels is None else torch.cat([labels, reference_labels])
    same = torch.empty(n, len(columns), dtype=dtype, device=labels.device)
    torch.eq(labels[:, None], columns[None, :], out=same)
    negative = 1 - same
    same[:, :n].fill_diagonal_(0)
    return same, negative


class Selection:
    """All pairs and all triplets of a batch; the base of the selections that choose some.

    A subclass sets ``yields`` and overrides what it narrows; the rest is right as it stands.

    See Also
    --------
    MinedPairs : Listed pairs.
    MinedTriplets : Listed triplets.
    InBatchNegatives : Listed pairs and the rest of the batch.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import Selection
    >>> positive, negative = Selection().pair_masks(torch.zeros(3, 3), torch.tensor([0, 0, 1]))
    >>> positive.tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    __slots__ = ()

    #: "pairs", "triplets" or "quadruplets"; None where every loss can work on it.
    yields = None
    #: Whether it names rows by number, and so can do without labels.
    lists = False
    #: Whether every pair of the labels is in it, so that pairs may be found from the labels.
    whole = False
    #: Bounds on ``d(a, n) - d(a, p)`` of the triplets that count.
    low, high = -math.inf, math.inf

    def pair_masks(
        self,
        values: torch.Tensor,
        labels: torch.Tensor,
        reference_labels: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the masks of the selected pairs.

        Parameters
        ----------
        values : tensor of shape (b, n)
            Distances or similarities of the rows to the batch and the reference behind it.
        labels : integer tensor of shape (b,) or None
            None where the selection needs no labels.
        reference_labels : integer tensor of shape (n - b,), default=None

        Returns
        -------
        positive, negative : tensors of shape (b, n)
            1 where a pair is selected, else 0; of the dtype of ``values``.
        """
        return masks(labels, reference_labels, values.dtype)

    def triplets(self) -> Any:
        """Return `MinedTriplets` where they are listed, else None: all between the bounds."""
        return None

    def indices(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return every row and every column that it lists, two tensors; None where it lists none.

        Returns
        -------
        rows, columns : int64 tensors, or None
        """
        return None


class _Everything(Selection):
    __slots__ = ()
    whole = True


#: The selection of a loss that is given none.
EVERYTHING = _Everything()


class _PairLists(NamedTuple):
    positives: torch.Tensor
    negatives: torch.Tensor


class MinedPairs(_PairLists, Selection):
    """Selected pairs of a batch; unpacks as ``positives, negatives``.

    Parameters
    ----------
    positives : int64 tensor of shape (p, 2)
        Rows ``(anchor, other)`` that belong together.
    negatives : int64 tensor of shape (q, 2)
        Rows ``(anchor, other)`` that do not.

    See Also
    --------
    MinedTriplets : Three rows at a time.
    metriclearn.constraints.Pairs : Pairs of rows of a training set.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import ContrastiveLoss
    >>> from metriclearn.deep.miners import MinedPairs
    >>> pairs = MinedPairs(torch.tensor([[0, 1]]), torch.tensor([[0, 2]]))
    >>> x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.6, 0.0]])
    >>> round(ContrastiveLoss(margin=1.0)(x, None, pairs).item(), 3)  # (½ + ½·0.16)/2
    0.29
    """

    __slots__ = ()
    yields = "pairs"
    lists = True

    def pair_masks(
        self,
        values: torch.Tensor,
        labels: torch.Tensor,
        reference_labels: torch.Tensor | None = None,
    ) -> Any:
        """Return the masks of the listed pairs, each counted once; see `Selection.pair_masks`.

        A pair that is listed as both is a contradiction, and counts as neither.
        """
        positive, negative = _listed(self.positives, values), _listed(self.negatives, values)
        both = positive * negative
        return positive - both, negative - both

    def indices(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows and columns of all pairs; see `Selection.indices`."""
        return tuple(torch.cat([self.positives, self.negatives]).T)


class _Masks(NamedTuple):
    positive: torch.Tensor
    negative: torch.Tensor


class PairMasks(_Masks, Selection):
    """Selected pairs as two dense masks of shape (b, n), 1 where a pair is selected."""

    __slots__ = ()
    yields = "pairs"
    lists = True

    def pair_masks(self, values, labels, reference_labels=None):
        """Return the masks in the dtype of ``values``; see `Selection.pair_masks`."""
        return self.positive.to(values.dtype), self.negative.to(values.dtype)


class PairRule(Selection):
    """Pairs chosen by the comparisons that the loss makes anyway.

    Parameters
    ----------
    choose : callable
        ``choose(values, positive, negative)`` gets the loss's comparisons and the masks of all
        pairs, which it may write to, and returns `PairMasks`.
    """

    __slots__ = ("choose",)
    yields = "pairs"

    def __init__(self, choose: Callable):
        self.choose = choose

    def pair_masks(self, values, labels, reference_labels=None):
        """Return the masks of the chosen pairs; see `Selection.pair_masks`."""
        given = masks(labels, reference_labels, values.dtype)
        return tuple(self.choose(values.detach(), *given))


class InBatchNegatives(Selection):
    """Listed pairs, with every row that is not linked to the anchor as one more negative.

    The rule of retrieval training: for (question, passage) pairs the other passages of the batch
    are the negatives. Rows of one group are linked and never each other's negatives.

    Parameters
    ----------
    listed : MinedPairs or MinedTriplets
        Its pairs are kept as they are, negatives that were listed included.
    groups : integer tensor of shape (b,), default=None
        Rows with the same number belong together. By default those that the listed positives of
        the batch connect, directly or through others.

    See Also
    --------
    MinedPairs : Listed pairs by themselves.
    metriclearn.deep.losses.NTXentLoss : The usual loss on them.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import NTXentLoss
    >>> from metriclearn.deep.miners import InBatchNegatives, MinedPairs
    >>> none = torch.zeros(0, 2, dtype=torch.int64)
    >>> pairs = MinedPairs(torch.tensor([[0, 1], [2, 3]]), none)
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> loss = NTXentLoss(temperature=1.0)
    >>> loss(x, None, pairs).item(), round(loss(x, None, InBatchNegatives(pairs)).item(), 3)
    (0.0, 0.674)
    """

    __slots__ = ("groups", "listed")
    yields = "pairs"
    lists = True

    def __init__(
        self, listed: MinedPairs | MinedTriplets, groups: torch.Tensor | None = None
    ) -> None:
        self.listed = listed
        self.groups = groups

    def pair_masks(
        self,
        values: torch.Tensor,
        labels: torch.Tensor,
        reference_labels: torch.Tensor | None = None,
    ) -> Any:
        """Return the listed pairs and all rows of other groups; see `Selection.pair_masks`."""
        positive, negative = self.listed.pair_masks(values, labels, reference_labels)
        groups = _linked(positive) if self.groups is None else self.groups
        _, apart = masks(groups, reference_labels, values.dtype)
        return positive, torch.maximum(negative, apart) * (1 - positive)

    def indices(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows and columns of the listed pairs; see `Selection.indices`."""
        return self.listed.indices()


class _TripletLists(NamedTuple):
    anchor: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor


class MinedTriplets(_TripletLists, Selection):
    """Selected triplets of a batch; unpacks as ``anchor, positive, negative``.

    Parameters
    ----------
    anchor, positive, negative : int64 tensors of shape (t,)
        Row numbers.

    See Also
    --------
    MinedPairs : Two rows at a time.
    metriclearn.constraints.Triplets : Triplets of rows of a training set.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import TripletLoss
    >>> from metriclearn.deep.miners import MinedTriplets
    >>> triplets = MinedTriplets(torch.tensor([0]), torch.tensor([1]), torch.tensor([2]))
    >>> x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> TripletLoss(margin=0.5)(x, None, triplets).item()
    0.5
    """

    __slots__ = ()
    yields = "triplets"
    lists = True

    def pair_masks(
        self,
        values: torch.Tensor,
        labels: torch.Tensor,
        reference_labels: torch.Tensor | None = None,
    ) -> Any:
        """Return the masks of the pairs (a, p) and (a, n); see `Selection.pair_masks`."""
        return self.as_pairs().pair_masks(values, labels, reference_labels)

    def triplets(self) -> Any:
        """Return itself."""
        return self

    def as_pairs(self) -> MinedPairs:
        """Return the pairs (a, p) and (a, n), repeats included."""
        a, p, n = self
        return MinedPairs(torch.stack([a, p], 1), torch.stack([a, n], 1))

    def indices(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows and columns of all triplets; see `Selection.indices`."""
        return self.anchor, torch.cat([self.positive, self.negative])


class _QuadrupletLists(NamedTuple):
    i: torch.Tensor
    j: torch.Tensor
    k: torch.Tensor
    l: torch.Tensor


class MinedQuadruplets(_QuadrupletLists, Selection):
    """Selected quadruplets of a batch, ``d(i, j) < d(k, l)``; unpacks as ``i, j, k, l``.

    Parameters
    ----------
    i, j, k, l : int64 tensors of shape (t,)
        Row numbers.

    See Also
    --------
    MinedTriplets : Two pairs that share a row.
    metriclearn.constraints.Quadruplets : Quadruplets of rows of a training set.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import QuadrupletLoss
    >>> from metriclearn.deep.miners import MinedQuadruplets
    >>> quadruplets = MinedQuadruplets(*torch.tensor([[0], [1], [2], [3]]))
    >>> x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.5]])
    >>> QuadrupletLoss(second_margin=0.5)(x, None, quadruplets).item()  # 1 - 0.25 + 0.5
    1.25
    """

    __slots__ = ()
    yields = "quadruplets"
    lists = True

    def indices(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows and columns of both pairs; see `Selection.indices`."""
        return torch.cat([self.i, self.k]), torch.cat([self.j, self.l])


class TripletWindow(Selection):
    """All triplets with ``low < d(a, n) - d(a, p) < high``, without listing them.

    Parameters
    ----------
    low, high : float
    kind : {"distance", "sq_distance"}
        What ``d`` is.
    """

    __slots__ = ("high", "kind", "low")
    yields = "triplets"

    def __init__(self, low, high, kind):
        self.low = low
        self.high = high
        self.kind = kind


def _listed(pairs, like):
    mask = torch.zeros_like(like)
    mask[pairs[:, 0], pairs[:, 1]] = 1
    return mask


def _linked(positive):
    """Return a number for each row, the same for rows that the positives connect."""
    n = len(positive)
    linked = positive[:, :n] > 0
    linked = linked | linked.T
    groups = torch.arange(n, device=positive.device)
    while True:  # the smallest number spreads along the links
        nearest = torch.where(linked, groups, n).amin(1)
        spread = torch.minimum(groups, nearest)
        spread = torch.minimum(spread, spread[spread])
        if torch.equal(spread, groups):
            return groups
        groups = spread


def as_selection(given):
    """Take what a loss is given as ``selection``, tuples of indices included.

    Parameters
    ----------
    given : Selection, tuple of tensors or None
        Three tensors are anchors, positives and negatives; four are anchors and positives, anchors
        and negatives, as pytorch-metric-learning's miners have them.

    Returns
    -------
    Selection
        `EVERYTHING` for None.
    """
    if given is None:
        return EVERYTHING
    if isinstance(given, Selection):
        return given
    of_tensors = isinstance(given, tuple | list) and all(
        isinstance(part, torch.Tensor) for part in given
    )
    if of_tensors and len(given) == 3:
        return MinedTriplets(*(part.long() for part in given))
    if of_tensors and len(given) == 4:
        anchors, positives, others, negatives = (part.long() for part in given)
        return MinedPairs(torch.stack([anchors, positives], 1), torch.stack([others, negatives], 1))
    raise TypeError(
        f"selection must be MinedPairs or MinedTriplets of index tensors, or a tuple of 3 or 4 of "
        f"these, got {type(given).__name__}"
    )
