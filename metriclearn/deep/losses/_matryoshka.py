"""Nested dimensions trained together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from torch import nn

from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._wrappers import Composite, as_meant
from metriclearn.deep.tensors._pairwise import widen
from metriclearn.deep.tensors._ranges import check_ranges

if TYPE_CHECKING:
    import torch


class Matryoshka(Composite):
    """Matryoshka: the first dimensions of an embedding are an embedding, too.

    ::

        Σ_k w_k loss_k(x_{1:d_k})

    with the first d_k dimensions of each row, brought to length one unless the loss is meant for
    embeddings of any length, and a copy of the loss, its proxies included, for each d_k.

    See [1]_.

    Parameters
    ----------
    loss : Module
        Copied for each number of dimensions.
    dims : sequence of int, default=None
        d_k, each at least 1. None: the whole width and its halves down to 8.
    weights : sequence of float, default=None
        w_k, one for each of ``dims``; all 1 by default.
    embedding_dim : int, default=None
        Width of the embeddings, if known; else by ``build``.

    Attributes
    ----------
    losses : ModuleList
        The copies, in the order of ``dims``; empty before they are built where ``dims`` is None.

    See Also
    --------
    WeightedSum : Losses on the whole embedding.

    Notes
    -----
    *Needs* what the loss needs.

    *Relations*: a `WeightedSum` over prefixes of the embedding. Whoever embeds cuts rows to d_k
    dimensions and normalizes them again: short ones for a first search, long ones to rank.

    Time and memory O(sum of the losses' own).

    References
    ----------
    .. [1] Kusupati, Bhatt, Rege, Wallingford, Sinha, Ramanujan, Howard-Snyder, Chen, Kakade, Jain
       and Farhadi, "Matryoshka Representation Learning", NeurIPS 2022.
       :doi:`10.48550/arXiv.2205.13147`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import Matryoshka, SupConLoss
    >>> loss = Matryoshka(SupConLoss(), dims=(1, 2))
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> labels = torch.tensor([0, 0, 1, 1])
    >>> bool(loss(x, labels) == SupConLoss()(x[:, :1], labels) + SupConLoss()(x, labels))
    True
    """

    _parameter_constraints: dict = {"dims": ["array-like", None]}

    #: A reference's rows would have to be cut as well.
    takes_reference = False
    #: Groups of a prefix are none of the whole.
    group_sizes = group_lengths = None

    def __init__(
        self,
        loss: nn.Module,
        dims: Sequence[int] | None = None,
        weights: Sequence[float] | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.dims = dims
        self.weights = weights
        self.embedding_dim = embedding_dim
        self.loss = as_metric_loss(loss)
        check_ranges(self)
        if dims is not None and (not len(dims) or min(dims) < 1):
            raise ValueError(f"dims must hold at least one number, each at least 1, got {dims}")
        if weights is not None and (dims is None or len(weights) != len(dims)):
            raise ValueError(
                f"weights must be one for each of dims={dims}, got {len(weights)} of them"
            )
        self.losses = nn.ModuleList()
        self._settle(dims)
        if embedding_dim is not None:
            self._settle(self._widths(embedding_dim))

    def _settle(self, widths):
        if widths is not None and not self.losses:
            self.losses.extend(copy.deepcopy(self.loss) for _ in widths)

    def _widths(self, embedding_dim):
        """Return the numbers of dimensions."""
        if self.dims is not None:
            if max(self.dims) > embedding_dim:
                raise ValueError(
                    f"dims must be at most the {embedding_dim} dimensions of the embeddings, got "
                    f"{max(self.dims)}"
                )
            return list(self.dims)
        widths = [embedding_dim]
        while widths[-1] >= 16:
            widths.append(widths[-1] // 2)
        return widths[::-1]

    def parts(self) -> list[Any]:
        """Return the copies of the loss."""
        return list(self.losses) or [self.loss]

    def build(self, n_classes: int | None, embedding_dim: int, **known: Any) -> Self:
        """Create the copies and what they learn, and return self."""
        self.n_classes, self.embedding_dim = n_classes, embedding_dim
        widths = self._widths(embedding_dim)
        self._settle(widths)
        self._build_parts(n_classes, widths, **known)
        return self

    def refresh(
        self, embeddings: torch.Tensor, labels: torch.Tensor, features: torch.Tensor | None = None
    ) -> None:
        """Show each copy its part of the training set."""
        self._refresh_parts(self._prefixes(embeddings), labels, features)

    def _prefixes(self, embeddings):
        x = widen(embeddings)
        for loss, width in zip(self.losses, self._widths(x.shape[1]), strict=True):
            yield as_meant(loss, x[:, :width])

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Sum over the numbers of dimensions of ``embeddings`` (b, d) with ``labels`` (b,)."""
        self._settle(self._widths(embeddings.shape[1]))
        weights = [1.0] * len(self.losses) if self.weights is None else self.weights
        values = (
            loss(part, labels, None, None, indices, features)
            for loss, part in zip(self.losses, self._prefixes(embeddings), strict=True)
        )
        return sum(weight * value for weight, value in zip(weights, values, strict=True))
