"""Columns drawn at random for rows that are there several times."""

from __future__ import annotations

from collections.abc import Callable

import torch

from metriclearn.deep.tensors._selections import MinedTriplets


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
