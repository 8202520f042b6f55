"""Embeddings kept apart by an adversary that tries to tell one from the other."""

import torch
from torch import nn

from metriclearn.deep.tensors._pairwise import unit_rows


class _Reversed(torch.autograd.Function):
    """Identity; backwards the gradient changes its sign."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


class AdversarialSeparation(nn.Module):
    """Keep two embeddings of the same rows apart, by gradient reversal.

    A small network g predicts the first embedding from the second. The value is
    ``-mean((u ∘ g(v))²)``: minimized by g, which so finds what the two share, while the gradient
    that reaches u and v has the other sign, so that they lose it. The output of g has length one,
    without which the two would drive each other to infinity.

    Parameters
    ----------
    first_dim, second_dim : int
    hidden : int, default=512
    """

    def __init__(self, first_dim, second_dim, hidden=512):
        super().__init__()
        self.predictor = nn.Sequential(
            nn.Linear(second_dim, hidden), nn.ReLU(), nn.Linear(hidden, first_dim)
        )

    def forward(self, first, second):
        """Value on two embeddings, (b, first_dim) and (b, second_dim), of length one."""
        predicted = unit_rows(self.predictor(_Reversed.apply(second)))
        return -(_Reversed.apply(first) * predicted).square().mean()

    def scaled(self, first, second):
        """Value times d², for d = first_dim: that of rows at random is near -1 for every d."""
        return first.shape[1] ** 2 * self(first, second)
