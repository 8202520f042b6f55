"""A linear map that begins as the metric of the features that it is given."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.nn.functional import linear, normalize


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
        vectors = torch.linalg.eigh(X.T @ X).eigenvectors
        self.start.copy_(vectors.flip(1)[:, : len(self.start)].T)

    def forward(self, X: ArrayLike) -> torch.Tensor:
        """Map a batch."""
        return linear(normalize(X.flatten(1), dim=1), self.start + self.change)
