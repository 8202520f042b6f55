"""What miners yield and losses accept: index tensors into a batch, and one check of the fit."""

from collections.abc import Callable
from typing import NamedTuple

import torch


class Pairs(NamedTuple):
    """Selected pairs of a batch.

    Attributes
    ----------
    positives : int64 tensor of shape (p, 2)
        Rows ``(anchor, other)`` of the same class.
    negatives : int64 tensor of shape (q, 2)
        Rows ``(anchor, other)`` of different classes.
    """

    positives: torch.Tensor
    negatives: torch.Tensor


class PairMasks(NamedTuple):
    """Selected pairs as two dense masks of shape (b, n), 1 where a pair is selected."""

    positive: torch.Tensor
    negative: torch.Tensor


class PairRule(NamedTuple):
    """Which pairs to select, by the comparisons that the loss makes anyway.

    ``choose(values, positive, negative)`` gets the loss's comparisons and the masks of all pairs,
    which it may write to, and returns `PairMasks`.
    """

    choose: Callable


class Triplets(NamedTuple):
    """Selected triplets of a batch: three int64 tensors of shape (t,)."""

    anchor: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor


class Window(NamedTuple):
    """All triplets with ``low < d(a, n) - d(a, p) < high``, without listing them.

    ``squared`` says whether ``d`` is the squared distance.
    """

    low: float
    high: float
    squared: bool


class Reference(NamedTuple):
    """Rows that a batch is compared with besides itself.

    They are columns behind the batch's own: index ``b + i`` is row ``i`` of the reference.
    """

    embeddings: torch.Tensor
    labels: torch.Tensor


_KIND = {
    Pairs: "pairs",
    PairMasks: "pairs",
    PairRule: "pairs",
    Triplets: "triplets",
    Window: "triplets",
}


def check_composition(loss, miner):
    """Refuse a loss and a miner that do not fit.

    Parameters
    ----------
    loss : Module
        Says by ``accepts`` which selections it takes: any of "pairs", "triplets".
    miner : callable
        Says by ``yields`` which one it gives.

    Raises
    ------
    ValueError
    """
    accepts = getattr(loss, "accepts", ())
    yields = getattr(miner, "yields", None)
    if yields in accepts:
        return
    takes = f"it accepts {' or '.join(accepts)}" if accepts else "it takes no miner"
    raise ValueError(
        f"{type(loss).__name__} does not work with {type(miner).__name__}, which yields "
        f"{yields}: {takes}"
    )


def check_selection(loss, selection):
    """Refuse a selection that a loss does not accept."""
    if selection is None:
        return
    kind = _KIND.get(type(selection))
    if kind is None:
        raise TypeError(
            f"selection must be Pairs or Triplets of index tensors, got {type(selection).__name__}"
        )
    if kind not in loss.accepts:
        raise ValueError(
            f"{type(loss).__name__} accepts {' or '.join(loss.accepts) or 'no selection'}, "
            f"got {kind}"
        )


def as_pairs(selection):
    """Pairs of a selection; those of triplets are ``(a, p)`` and ``(a, n)``, repeats included."""
    if isinstance(selection, Triplets):
        a, p, n = selection
        return Pairs(torch.stack([a, p], 1), torch.stack([a, n], 1))
    return selection
