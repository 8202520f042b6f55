"""First layers: what is done to the input before anything is learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import nn


class Standardize(nn.Module):
    """``(x - mean) / std`` of each feature (or channel), measured on the training rows.

    Not learned: set once by :meth:`measure` before training, so that a batch
    of one row and a network in evaluation mode see the same.

    Parameters
    ----------
    n_features : int
        Features, or channels of an image.
    mean, std : sequence of float, default=None
        What the weights behind it were trained with; not measured then, as long as the rows are
        from 0 to 1, as these are.

    See Also
    --------
    SmoothClip : Against outliers, behind it.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import Standardize
    >>> layer = Standardize(1)
    >>> rows = torch.tensor([[1.0], [3.0]])
    >>> _ = layer.measure(rows)
    >>> layer(rows).mean().item()
    0.0
    """

    def __init__(
        self,
        n_features: int,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.given = mean is not None and std is not None
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))
        if self.given:
            self.mean.copy_(torch.tensor(mean))
            self.std.copy_(torch.tensor(std))

    def measure(self, X: ArrayLike) -> None:
        """Take mean and standard deviation from rows ``X``; constant features keep their scale."""
        if self.given and X.min() >= 0 and X.max() <= 1:
            return
        X = X.double().flatten(2).transpose(1, 2).flatten(0, 1) if X.ndim > 2 else X.double()
        mean, std = X.mean(dim=0), X.std(dim=0, correction=0)
        std[std <= 1e-6 * mean.abs()] = 1
        std[std == 0] = 1
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(self, X: ArrayLike) -> torch.Tensor:
        """Standardize a batch."""
        shape = (-1, *(1,) * (X.ndim - 2))
        return (X - self.mean.view(shape)) / self.std.view(shape)


class SmoothClip(nn.Module):
    """``z / sqrt(1 + (z / bound)²)``: near the identity at zero, within ``±bound`` far out.

    A standardized feature that is nearly always the same is rarely, but then
    very far, from zero; unclipped it would drown all others.

    Parameters
    ----------
    bound : float
        Greater than 0, in standard deviations.

    See Also
    --------
    Standardize : What comes before it.
    Noise : Against overfitting.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import SmoothClip
    >>> bool((SmoothClip(3.0)(torch.tensor([1e6])) <= 6).all())
    True
    """

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.bound = bound

    def forward(self, Z: Any) -> torch.Tensor:
        """Clip a batch."""
        return Z * (1 + (Z / self.bound).square()).rsqrt()


class Noise(nn.Module):
    """Gaussian noise on the features, in training only.

    Parameters
    ----------
    std : float
        Standard deviation.

    See Also
    --------
    SmoothClip : Against outliers.
    Standardize : One scale for all features.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import Noise
    >>> Noise(0.1).eval()(torch.ones(1, 2))  # in training only
    tensor([[1., 1.]])
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, Z: Any) -> torch.Tensor:
        """Add noise to a batch."""
        return torch.randn_like(Z).mul_(self.std).add_(Z) if self.training else Z
