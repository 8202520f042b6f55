"""A loss on polynomial features of the embeddings."""

from __future__ import annotations

import copy
from typing import Any, Self

import torch
from torch import nn

from metriclearn._sklearn import at_least
from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._wrappers import Composite
from metriclearn.deep.tensors._pairwise import products, unit_rows, widen
from metriclearn.deep.tensors._ranges import check_ranges


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
        shown = zip(self.parts(), self._orders(x), strict=True)
        return sum(loss(z, labels, None, None, indices, features) for loss, z in shown)

    def _orders(self, x):
        """Yield embeddings, and their moments of the orders behind the first."""
        yield x
        moment = products(x, self.projections[0])
        for projection in self.projections[1:]:
            moment = moment * products(x, projection)
            yield unit_rows(moment)

    def refresh(
        self, embeddings: torch.Tensor, labels: torch.Tensor, features: torch.Tensor | None = None
    ) -> None:
        """Show each loss its order of the training set."""
        if self.refreshes:
            self._refresh_parts(self._orders(widen(embeddings)), labels, features)


class HighOrderLoss(Composite):
    """Higher moments of the local features are embeddings in training, too (HORDE).

    With x_p the features of an image at place p of the backbone's last map::

        loss(x) + Σ_{k=2..K} loss_k(A_k mean_p φ_k(x_p)),
        φ_k(x_p) = (W_1 x_p) ∘ … ∘ (W_k x_p)

    where A_k is a learned linear map to length one and inner products of the φ_k estimate the k-th
    power of those of the x_p: random Maclaurin features, W of random signs [2]_. The mean over
    places is a moment of order k of their distribution, of which the pooled features are the first
    only. See [1]_.

    Parameters
    ----------
    loss : Module
        Copied for each order, what it learns included.
    n_orders : int, default=5
        K, at least 2.
    dim : int, default=1024
        Rows of each W, at least 1; 8,192 in the paper.
    n_components : int, default=128
        Rows of each A_k, at least 1; 512 in the paper.
    trainable : bool, default=False
        Whether the W are learned; the paper has both.
    feature_dim, embedding_dim : int, default=None
        Channels of the maps and width of the embeddings, if known; else by ``build``.

    Attributes
    ----------
    projections : buffer or Parameter of shape (n_orders, dim, feature_dim)
        The W; no saved embedder holds them.

    See Also
    --------
    EmbeddingMomentsLoss : Powers of the embedding itself, of any network.
    SelfDistillationLoss : Wide embeddings that teach the one that is kept.

    Notes
    -----
    *Needs* what the loss needs, and a backbone that gives maps, as convolutional networks do.

    *Relations*: costs nothing once trained: the embedding is that of the plain loss.

    Time O(K b p D c), memory O(b p D) for maps of c channels at p places, b images, and D rows of
    each W.

    References
    ----------
    .. [1] Jacob, Picard, Histace and Klein, "Metric Learning with HORDE: High-Order Regularizer for
       Deep Embeddings", ICCV 2019. :doi:`10.48550/arXiv.1908.02735`
    .. [2] Kar and Karnick, "Random Feature Maps for Dot Product Kernels", AISTATS 2012.
       :doi:`10.48550/arXiv.1201.6530`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import HighOrderLoss, SupConLoss
    >>> loss = HighOrderLoss(SupConLoss(), feature_dim=3, embedding_dim=2)
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> maps = torch.randn(4, 3, 5, 5)
    >>> bool(torch.isfinite(loss(x, torch.tensor([0, 0, 1, 1]), features=maps)))
    True
    """

    _parameter_constraints: dict = {
        "n_orders": [at_least(2)],
        "dim": [at_least(1)],
        "n_components": [at_least(1)],
        "trainable": ["boolean"],
    }

    needs_features = True
    needs_maps = True
    #: Maps of a reference's rows are not known.
    takes_reference = False
    training_only = ("projections", "heads", "high_order")

    def __init__(
        self,
        loss: nn.Module,
        n_orders: int = 5,
        dim: int = 1024,
        n_components: int = 128,
        trainable: bool = False,
        feature_dim: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.loss = as_metric_loss(loss)
        self.n_orders = n_orders
        self.dim = dim
        self.n_components = n_components
        self.trainable = trainable
        self.feature_dim = feature_dim
        check_ranges(self)
        self.high_order = nn.ModuleList(copy.deepcopy(self.loss) for _ in range(n_orders - 1))
        self.heads = nn.ModuleList()
        set_projections(self, None)
        if feature_dim is not None and embedding_dim is not None:
            self.embedding_dim = embedding_dim
            self._project(feature_dim)

    def _project(self, feature_dim):
        self.feature_dim = feature_dim
        set_projections(self, random_signs(self.n_orders, self.dim, feature_dim))
        self.heads = nn.ModuleList(
            nn.Linear(self.dim, self.n_components, bias=False) for _ in self.high_order
        )

    def parts(self) -> list[Any]:
        """Return the loss of the embeddings, and those of the orders behind it."""
        return [self.loss, *self.high_order]

    def build(
        self,
        n_classes: int | None,
        embedding_dim: int,
        feature_dim: int | None = None,
        **known: Any,
    ) -> Self:
        """Draw the projections, create what the losses learn, and return self."""
        if feature_dim is None:
            raise ValueError("feature_dim is needed by HighOrderLoss")
        self.n_classes, self.embedding_dim = n_classes, embedding_dim
        self._project(feature_dim)
        widths = [embedding_dim] + [self.n_components] * (self.n_orders - 1)
        self._build_parts(n_classes, widths, feature_dim=feature_dim, **known)
        return self

    def refresh(
        self, embeddings: torch.Tensor, labels: torch.Tensor, features: torch.Tensor | None = None
    ) -> None:
        """Show the loss of the embeddings the training set; moments of all of it are too many."""
        if self.loss.refreshes:
            self.loss.refresh(embeddings, labels, features)

    def moments(self, maps: torch.Tensor | None) -> list[torch.Tensor]:
        """Return the mean over places of φ_2, …, φ_K of maps (b, c, …): a list of (b, dim).

        Raises
        ------
        ValueError
            If these are no maps, or have other channels than it was built for.
        RuntimeError
            If it was not built.
        """
        if maps is None or maps.ndim < 3:
            shape = None if maps is None else tuple(maps.shape)
            raise ValueError(
                f"features are needed by HighOrderLoss as maps, (b, channels, height, width), of a "
                f"convolutional network; got {shape}"
            )
        if self.projections is None:
            raise RuntimeError(
                "HighOrderLoss has no projections yet: give feature_dim and embedding_dim, or call "
                "build(n_classes, embedding_dim, feature_dim=...)"
            )
        if maps.shape[1] != self.feature_dim:
            raise ValueError(
                f"features must have the {self.feature_dim} channels that HighOrderLoss was built "
                f"for, got {maps.shape[1]}"
            )
        places = maps.flatten(2).to(self.projections.dtype)
        lifted, means = self.projections[0] @ places, []
        for projection in self.projections[1:]:
            lifted = lifted * (projection @ places)
            means.append(lifted.mean(2))
        return means

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Sum over the orders on ``embeddings`` (b, d), ``labels`` (b,) and maps ``features``."""
        value = self.loss(widen(embeddings), labels, None, None, indices, features)
        orders = zip(self.high_order, self.heads, self.moments(features), strict=True)
        for loss, head, moment in orders:
            # Products of many numbers: of length one before they are mapped.
            x = unit_rows(head(unit_rows(moment)))
            value = value + loss(x, labels, None, None, indices, features)
        return value
