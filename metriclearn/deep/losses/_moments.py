"""A loss on polynomial features of the embeddings."""

from __future__ import annotations

import copy
from typing import Any, Self

import torch
from torch import nn

from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._wrappers import Composite
from metriclearn.deep.tensors._pairwise import products, unit_rows, widen
from metriclearn.deep.tensors._ranges import at_least, check_ranges


def random_signs(*shape):
    """Draw 1 or -1 for each entry of a tensor."""
    return torch.randint(0, 2, shape).float().mul_(2).sub_(1)


def set_projections(loss, projections):
    """Keep projections as a parameter where the loss learns them, else as a buffer."""
    if loss.trainable:
        parameter = None if projections is None else nn.Parameter(projections)
        loss.register_parameter("projections", parameter)
    else:
        loss.register_buffer("projections", projections)


class EmbeddingMomentsLoss(Composite):
    """The same loss on polynomial features of the embeddings, too.

    ::

        loss(x) + Σ_{k=2..K} loss_k(φ_k(x) / ‖φ_k(x)‖),      φ_k(x) = (W_1 x) ∘ … ∘ (W_k x)

    where inner products of ``φ_k`` estimate the k-th power of those of ``x``: random Maclaurin
    features [2]_, W of random signs.

    The idea is that of HORDE [1]_, 2019, which takes the moments of the *local* features of an
    image, of which the embedding is but the mean. The powers of the embedding itself, as here, are
    functions of it and add nothing but emphasis and noise.

    Parameters
    ----------
    loss : Module
        Copied for each order.
    n_orders : int, default=5
        K, at least 2.
    dim : int, default=512
        Rows of each W, at least 1.
    trainable : bool, default=False
        Whether the W are learned; the paper has both.
    embedding_dim : int, default=None
        If known; else by ``build``.

    Attributes
    ----------
    projections : buffer or Parameter of shape (n_orders, dim, embedding_dim)

    See Also
    --------
    WeightedSum : Different losses on the same embeddings.

    Notes
    -----
    *Needs* what the loss needs.

    *Relations*: not the published HORDE, which needs the maps of a convolutional network.

    Time O(K (b d D + c)), memory O(K (D d + b D) + c) for b rows of d dimensions, D rows of each
    W, and c the cost of the loss on b rows of D dimensions.

    References
    ----------
    .. [1] Jacob, Picard, Histace and Klein, "Metric Learning with HORDE: High-Order Regularizer for
       Deep Embeddings", ICCV 2019. :doi:`10.48550/arXiv.1908.02735`
    .. [2] Kar and Karnick, "Random Feature Maps for Dot Product Kernels", AISTATS 2012.
       :doi:`10.48550/arXiv.1201.6530`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import EmbeddingMomentsLoss, SupConLoss
    >>> loss = EmbeddingMomentsLoss(SupConLoss(), embedding_dim=2)
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> bool(torch.isfinite(loss(x, torch.tensor([0, 0, 1, 1]))))
    True
    """

    _parameter_constraints: dict = {
        "n_orders": [at_least(2)],
        "dim": [at_least(1)],
        "trainable": ["boolean"],
    }

    def __init__(
        self,
        loss: nn.Module,
        n_orders: int = 5,
        dim: int = 512,
        trainable: bool = False,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.loss = as_metric_loss(loss)
        self.n_orders = n_orders
        self.dim = dim
        self.trainable = trainable
        self.embedding_dim = embedding_dim
        check_ranges(self)
        self.high_order = nn.ModuleList(copy.deepcopy(self.loss) for _ in range(n_orders - 1))
        set_projections(self, None)
        if embedding_dim is not None:
            self._project(embedding_dim)

    #: Moments of a reference's rows are not known.
    takes_reference = False

    def parts(self) -> list[Any]:
        """Return the loss of the embeddings, and those of the orders behind it."""
        return [self.loss, *self.high_order]

    def _project(self, embedding_dim):
        self.embedding_dim = embedding_dim
        set_projections(self, random_signs(self.n_orders, self.dim, embedding_dim))

    def build(self, n_classes: int | None, embedding_dim: int, **known: Any) -> Self:
        """Draw the projections, create what the losses learn, and return self."""
        self._project(embedding_dim)
        widths = [embedding_dim] + [self.dim] * (self.n_orders - 1)
        self._build_parts(n_classes, widths, **known)
        return self

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Sum over the orders on ``embeddings`` (b, d) with ``labels`` (b,)."""
        if self.projections is None:
            raise RuntimeError(
                "EmbeddingMomentsLoss has no projections yet: give embedding_dim, or call "
                "build(n_classes, embedding_dim)"
            )
        x = widen(embeddings)
        if x.shape[1] != self.projections.shape[2]:
            raise ValueError(
                f"embeddings must have the {self.projections.shape[2]} dimensions that "
                f"EmbeddingMomentsLoss was built for, got {x.shape[1]}"
            )
        value = self.loss(x, labels, None, None, indices, features)
        moment = products(x, self.projections[0])
        for loss, projection in zip(self.high_order, self.projections[1:], strict=True):
            moment = moment * products(x, projection)
            value = value + loss(unit_rows(moment), labels, None, None, indices, features)
        return value
