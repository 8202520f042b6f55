"""Columns drawn at random for rows that are there several times."""

from __future__ import annotations

import torch


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
