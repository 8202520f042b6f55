"""The base of the miners, and the door for those that are not ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from metriclearn.deep.tensors._batches import (
    as_codes,
    check_batch,
    check_embeddings,
    check_reference,
    labeled_rows,
)
from metriclearn.deep.tensors._selections import MinedPairs, MinedTriplets, Reference, as_selection

if TYPE_CHECKING:
    from metriclearn.deep.losses._base import MetricLoss
    from metriclearn.deep.tensors._selections import Selection


class Miner:
    """Base class of the miners: which pairs or triplets of a batch a loss should look at.

    A subclass sets ``yields`` and must override `select`. Called, a miner checks its arguments,
    drops the unlabeled rows (label -1), and gives the rows of the batch that `select` chose.
    Nothing flows back through it.

    See Also
    --------
    as_miner : The same of any function of embeddings and labels.
    metriclearn.deep.losses.MinedLoss : A loss on what a miner selects.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import MinedTriplets, Miner
    >>> class First(Miner):
    ...     '''The first triplet there is.'''
    ...
    ...     yields = "triplets"
    ...
    ...     def select(self, embeddings, labels, reference=None):
    ...         anchor = torch.tensor([0])
    ...         positive = (labels == labels[0]).nonzero()[1:2, 0]
    ...         negative = (labels != labels[0]).nonzero()[:1, 0]
    ...         return MinedTriplets(anchor, positive, negative)
    >>> anchor, positive, negative = First()(torch.eye(4), torch.tensor([-1, 0, 1, 0]))
    >>> anchor.item(), positive.item(), negative.item()
    (1, 3, 2)
    """

    #: What it selects: "pairs" or "triplets"; None where that is known only from what it gives.
    yields: str | None = None
    #: What it can compare rows by: any of "distance", "sq_distance", "cosine", "dot".
    kinds: tuple = ()

    _parameter_constraints: dict = {}

    def select(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> MinedPairs | MinedTriplets:
        """Select from a batch that was checked.

        Parameters
        ----------
        embeddings : tensor of shape (b, d)
            At least one row; detached.
        labels : integer tensor of shape (b,)
            No row is unlabeled.
        reference : Reference, default=None
            Columns behind the batch's own.

        Returns
        -------
        MinedPairs or MinedTriplets
        """
        raise NotImplementedError(f"{type(self).__name__} has to define select")

    def selection_for(
        self,
        loss: MetricLoss,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        reference: Reference | None = None,
    ) -> Selection:
        """Return what ``loss`` is to look at; a list by default.

        A miner that can say what it selects without listing it overrides this.

        Parameters
        ----------
        loss : MetricLoss
            Its ``kind`` and ``takes_windows`` say what it makes of its own.
        embeddings, labels, reference
            See `select`.

        Returns
        -------
        Selection
        """
        return self.select(embeddings.detach(), labels, reference)

    def __call__(self, embeddings, labels, reference=None):
        """Select from a batch.

        Parameters
        ----------
        embeddings : tensor of shape (b, d)
        labels : integer tensor of shape (b,)
            -1 marks unlabeled rows, which are never selected.
        reference : Reference, default=None
            Further rows; the second index of a pair, and the positive and negative of a triplet,
            may point to one of them: row i is index b + i.

        Returns
        -------
        MinedPairs or MinedTriplets
        """
        check_embeddings(embeddings)
        check_batch(embeddings, labels)
        check_reference(embeddings, reference)
        labels = as_codes(labels)
        if reference is not None:
            reference = Reference(reference[0], as_codes(reference[1]))
        rows = labeled_rows(labels)
        columns = None if reference is None else labeled_rows(reference[1])
        n = len(labels)
        if rows is None:
            rows = torch.arange(n, device=labels.device)
        else:
            embeddings, labels = embeddings[rows], labels[rows]
        places = rows
        if reference is not None:
            if columns is None:
                columns = torch.arange(len(reference[1]), device=labels.device)
            places = torch.cat([rows, n + columns])
            reference = Reference(reference[0][columns], reference[1][columns])
        if not len(rows):
            return _nothing(self.yields, rows)
        chosen = self.select(embeddings.detach(), labels, reference)
        return type(chosen)(*(places[index] for index in chosen))


def _nothing(yields, like):
    """Return an empty selection."""
    if yields == "pairs":
        return MinedPairs(like.view(0, 2), like.view(0, 2))
    return MinedTriplets(like, like, like)


class CallableMiner(Miner):
    """A `Miner` made of any function of embeddings and labels; made by `as_miner`.

    Parameters
    ----------
    function : callable
    """

    def __init__(self, function):
        self.function = function
        self.yields = getattr(function, "yields", None)
        self._takes = list(inspect.signature(getattr(function, "forward", function)).parameters)

    def select(self, embeddings, labels, reference=None):
        """Call the function on ``embeddings`` (b, d) with ``labels`` (b,)."""
        if "ref_emb" in self._takes:
            return self._of_others(embeddings, labels, reference)
        # A function of one's own need not know of references.
        given = () if reference is None else (reference,)
        return _listed(self.function(embeddings, labels, *given))

    def _of_others(self, embeddings, labels, reference):
        """Call a miner of pytorch-metric-learning, which counts the columns by themselves."""
        if reference is None:
            return _listed(self.function(embeddings, labels))
        everyone = torch.cat([embeddings, reference.embeddings.to(embeddings)])
        classes = torch.cat([labels, reference.labels])
        chosen = _listed(self.function(embeddings, labels, everyone, classes))
        if isinstance(chosen, MinedTriplets):  # rows would be their own positives
            kept = chosen.anchor != chosen.positive
            return MinedTriplets(*(index[kept] for index in chosen))
        return MinedPairs(*(pairs[pairs[:, 0] != pairs[:, 1]] for pairs in chosen))


def _listed(given):
    """Take what a function of somebody else's selected."""
    if given is None:
        raise TypeError("a miner must return pairs or triplets of indices, got None")
    return as_selection(given)


def as_miner(miner: Callable[..., Any]) -> Miner:
    """Take a miner of any origin: ours as they are, others through an adapter.

    Parameters
    ----------
    miner : callable
        ``miner(embeddings, labels)`` to `MinedPairs`, `MinedTriplets`, or a tuple of three index
        tensors (anchors, positives, negatives) or four (anchors and positives, anchors and
        negatives), as those of pytorch-metric-learning. It may say by an attribute ``yields``
        whether that will be "pairs" or "triplets".

    Returns
    -------
    Miner
        The miner itself where it is one.

    Raises
    ------
    TypeError
        If it cannot be called.

    See Also
    --------
    Miner : The base class, for miners of one's own.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import as_miner
    >>> miner = as_miner(lambda x, y: (torch.tensor([0]), torch.tensor([1]), torch.tensor([2])))
    >>> miner(torch.eye(3), torch.tensor([0, 0, 1])).negative.tolist()
    [2]
    """
    if isinstance(miner, Miner):
        return miner
    if not callable(miner):
        raise TypeError(
            f"miner must be called with embeddings and labels, got {type(miner).__name__}"
        )
    return CallableMiner(miner)


def check_miner(loss, miner):
    """Check that a loss works on what a miner yields.

    Parameters
    ----------
    loss : MetricLoss
    miner : Miner
    """
    known = miner.yields is not None
    if miner.yields in loss.accepts if known else loss.accepts:
        return
    name = type(miner.function if isinstance(miner, CallableMiner) else miner).__name__
    what = f", which yields {miner.yields}" if known else ""
    takes = f"it accepts {' or '.join(loss.accepts)}" if loss.accepts else "it takes no miner"
    raise ValueError(f"{type(loss).__name__} does not work with {name}{what}: {takes}")


def draw_triplets(
    positive: torch.Tensor,
    negative: torch.Tensor,
    weigh: Callable[[], torch.Tensor],
    generator: torch.Generator | None = None,
) -> MinedTriplets:
    """Draw a negative for every pair of an anchor that has one.

    Parameters
    ----------
    positive, negative : tensors of shape (b, n)
    weigh : callable
        Gives the chances of the negatives, shape (b, n); called where there is something to draw.
    generator : torch.Generator, default=None

    Returns
    -------
    MinedTriplets
    """
    a, p = (positive * negative.amax(1, keepdim=True)).nonzero(as_tuple=True)
    if not len(a):
        return MinedTriplets(a, a, a)
    return MinedTriplets(a, p, draw_negatives(a, weigh(), generator))


def draw_negatives(
    anchors: torch.Tensor, weights: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Draw a column for each of some rows, which may be there several times, in order.

    Parameters
    ----------
    anchors : int64 tensor of shape (t,)
        Row numbers, sorted.
    weights : tensor of shape (b, n)
        Chances of the columns, up to a factor for each row.
    generator : torch.Generator, default=None

    Returns
    -------
    int64 tensor of shape (t,)
    """
    counts = torch.bincount(anchors, minlength=len(weights))
    rows = counts.nonzero(as_tuple=True)[0]
    drawn = weights.new_zeros(len(weights), int(counts.max()), dtype=torch.int64)
    drawn[rows] = torch.multinomial(
        weights[rows], drawn.shape[1], replacement=True, generator=generator
    )
    slot = torch.arange(len(anchors), device=anchors.device) - (counts.cumsum(0) - counts)[anchors]
    return drawn[anchors, slot]
