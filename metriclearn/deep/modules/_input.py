"""First layers, before anything is learned, and a linear map that begins as the input's metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from torch import nn
from torch.nn.functional import linear, normalize


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
        X = X.double()
        if X.ndim > 2 and X[0].numel() == len(self.mean):  # every pixel is a feature
            X = X.flatten(1)
        elif X.ndim > 2:
            X = X.flatten(2).transpose(1, 2).flatten(0, 1)
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


class Adapter(nn.Module):
    """A linear map of vectors of unit length that begins at their principal components.

    ::

        f(x) = (S + C) x / ‖x‖

    The rows of ``S`` span the space that holds most of the vectors' lengths: before training,
    the cosine of embeddings is nearly that of the vectors. ``C`` begins at zero and is what is
    trained, so that weight decay pulls the map to where it began, not to zero.

    Parameters
    ----------
    in_features : int
        Values of a row.
    n_components : int, default=128
        Dimension of the embedding; not more than there are features.

    See Also
    --------
    Linear : A linear map that begins at random.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import Adapter
    >>> Adapter(4, n_components=2)  # doctest: +ELLIPSIS
    Adapter(...)
    """

    def __init__(self, in_features: int, n_components: int = 128) -> None:
        super().__init__()
        n_components = min(n_components, in_features)
        self.register_buffer("start", torch.eye(n_components, in_features))
        self.change = nn.Parameter(torch.zeros(n_components, in_features))

    @torch.no_grad()
    def measure(self, X: ArrayLike) -> None:
        """Take the start from rows ``X``."""
        X = normalize(X.flatten(1).double(), dim=1)
        products = (X.T @ X).cpu().numpy()
        # The vectors of the largest values alone take less time than all.
        places = len(products) - len(self.start), len(products) - 1
        vectors = eigh(products, subset_by_index=places, overwrite_a=True)[1].T[::-1]
        largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
        self.start.copy_(torch.from_numpy(vectors * np.sign(largest)))  # signs are free

    def forward(self, X: ArrayLike) -> torch.Tensor:
        """Map a batch."""
        return linear(normalize(X.flatten(1), dim=1), self.start + self.change)
