"""Backbones, and the head that turns their features into embeddings.

A backbone is an ``nn.Module`` from a batch of rows, (b, n_features) or
(b, channels, height, width), to features. :class:`EmbeddingNetwork` puts a
:class:`Head` on it. ``MODULES`` maps short names to classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from metriclearn._sklearn import BELOW_ONE, NOT_NEGATIVE, one_of
from metriclearn.deep.modules._convnet import ConvNet, ResNet18, ResNet34, ResNet50
from metriclearn.deep.modules._ensembles import AttentionEnsemble, MultiLevel
from metriclearn.deep.modules._input import Adapter, Noise, SmoothClip, Standardize
from metriclearn.deep.modules._pretrained import Pretrained
from metriclearn.deep.tensors._ranges import check_ranges, group_sizes, unit_weights, widths

__all__ = [
    "MLP",
    "MODULES",
    "Adapter",
    "AttentionEnsemble",
    "ConvNet",
    "EmbeddingNetwork",
    "Head",
    "Linear",
    "MultiLevel",
    "Noise",
    "Pretrained",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "SmoothClip",
    "Standardize",
]

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


class Linear(nn.Sequential):
    """No hidden layer: the head alone, a linear map, on standardized features.

    Parameters
    ----------
    in_features : int
        Values of a row.
    standardize : bool, default=True
        Standardize the features with the training rows' mean and deviation.

    See Also
    --------
    Adapter : A linear map that begins as the metric of the features.
    MLP : With hidden layers.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import Linear
    >>> Linear(3).eval()(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """

    def __init__(self, in_features: int, *, standardize: bool = True) -> None:
        super().__init__(nn.Flatten())
        if standardize:
            self.append(Standardize(in_features))


class MLP(nn.Sequential):
    """Fully connected layers, for feature vectors.

    Parameters
    ----------
    in_features : int
        Values of a row.
    hidden_units : int or sequence of int, default=(512, 256)
        Width of each hidden layer.
    activation : {"relu", "gelu", "silu", "tanh"}, default="gelu"
    batch_norm : bool, default=True
        Batch normalization before each activation.
    dropout : float in [0, 1), default=0.0
        After each activation.
    standardize : bool, default=True
        Standardize the features with the training rows' mean and deviation,
        and clip them smoothly at three deviations (:class:`SmoothClip`).
    noise : float, default=0.1
        Standard deviation of the noise added to each feature in training, at least 0.

    See Also
    --------
    Linear : No hidden layer.
    ConvNet : For images.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import MLP
    >>> MLP(4, (8, 2)).eval()(torch.zeros(3, 4)).shape
    torch.Size([3, 2])
    """

    _parameter_constraints: dict = {
        "activation": [one_of(*ACTIVATIONS)],
        "dropout": [BELOW_ONE],
        "noise": [NOT_NEGATIVE],
    }

    def __init__(
        self,
        in_features: int,
        hidden_units: int | Sequence[int] = (512, 256),
        *,
        activation: str = "gelu",
        batch_norm: bool = True,
        dropout: float = 0.0,
        standardize: bool = True,
        noise: float = 0.1,
    ) -> None:
        super().__init__(nn.Flatten())
        check_ranges(self, activation=activation, dropout=dropout, noise=noise)
        if standardize:
            self.extend([Standardize(in_features), SmoothClip(3.0)])
        if noise:
            self.append(Noise(noise))
        for width in widths("hidden_units", hidden_units):
            self.append(nn.Linear(in_features, width, bias=not batch_norm))
            if batch_norm:
                self.append(nn.BatchNorm1d(width))
            self.append(ACTIVATIONS[activation]())
            if dropout:
                self.append(nn.Dropout(dropout))
            in_features = width


# Of feature maps, of tokens, and of either.
MAP_POOLINGS, TOKEN_POOLINGS = ("avg", "max", "avg+max", "gem"), ("mean", "cls")


class Head(nn.Module):
    """Features to embeddings: pooling, a linear layer, layer norm, unit length.

    Parameters
    ----------
    feature_shape : tuple of int
        Shape of the backbone's output for one row.
    embedding_dim : int or None
        Dimension of the embedding; None leaves the linear layer out.
    pooling : {"avg", "max", "avg+max", "gem", "mean", "cls", "flatten"}, default="avg"
        How features that are no vectors become some. Of feature maps, (c, h, w) or (c, length):
        "avg", "max", their sum, or "gem" over all but the first axis. Of tokens, (tokens, width):
        their "mean", or the first, "cls". "flatten" takes all values.
    layer_norm : bool, default=False
        Normalize each embedding to mean zero and variance one before its
        length; no learned scale.
    normalize : bool, default=True
        Scale each embedding to unit length. In `DeepEmbedder` the default is False for losses
        that were published for embeddings of any length.
    groups : int or sequence of int, default=None
        Groups of consecutive dimensions that are scaled to unit length each by itself: their
        number, which divides the dimension, or their sizes. In `DeepEmbedder` the default is that
        of the loss.
    group_weights : sequence of float, default=None
        w_k, positive, one for each group; scaled so that Σ w_k² = 1, and all the same by default.
        The embedding is the concatenation of w_k z_k, of unit length, and the cosine of two
        embeddings is Σ w_k² times the cosines of their groups.

    Attributes
    ----------
    feature_dim : int
        Width of the features behind the pooling.
    power : Parameter of shape ()
        p of "gem", the generalized mean ``(mean max(x, 1e-6)^p)^(1/p)`` [1]_, learned from 3 on: 1
        is the mean of what is positive, and the maximum is where it goes as p grows.

    See Also
    --------
    EmbeddingNetwork : A backbone with a head.
    metriclearn.deep.losses.GroupedLoss : A loss on groups of dimensions.

    References
    ----------
    .. [1] Radenović, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation",
       TPAMI 2019. :doi:`10.48550/arXiv.1711.02512`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import Head
    >>> Head((8, 2, 2), 3)(torch.ones(5, 8, 2, 2)).norm(dim=1).round(decimals=4)
    tensor([1., 1., 1., 1., 1.], grad_fn=<RoundBackward1>)
    """

    _parameter_constraints: dict = {"pooling": [one_of(*MAP_POOLINGS, *TOKEN_POOLINGS, "flatten")]}

    def __init__(
        self,
        feature_shape: tuple[int, ...],
        embedding_dim: int | None,
        *,
        pooling: str = "avg",
        layer_norm: bool = False,
        normalize: bool = True,
        groups: int | Sequence[int] | None = None,
        group_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        check_ranges(self, pooling=pooling)
        self.pooling = pooling
        self.normalize = normalize
        self.feature_shape = tuple(feature_shape)
        if pooling in TOKEN_POOLINGS and len(feature_shape) != 2:
            raise ValueError(
                f"pooling={pooling!r} is for tokens, (tokens, width) for each row; the backbone "
                f"gives features of shape {tuple(feature_shape)}"
            )
        if len(feature_shape) == 1 and pooling not in ("avg", "flatten"):
            raise ValueError(
                f"pooling={pooling!r} is for maps, (channels, ...) for each row; the backbone "
                f"gives vectors of {feature_shape[0]} features (for maps, give module_params "
                f"{{'global_pool': ''}} to timm's, {{'pooling': 'maps'}} to 'hf/...', Pretrained)"
            )
        if groups is not None and not normalize:
            raise ValueError(
                f"groups={groups!r} are scaled to length one each, which normalize=False forbids; "
                f"leave one of them out"
            )
        if pooling in TOKEN_POOLINGS:
            width = feature_shape[1]
        elif len(feature_shape) > 1 and pooling in MAP_POOLINGS:
            width = feature_shape[0]
        else:
            width = math.prod(feature_shape)
        if pooling == "gem":
            self.power = nn.Parameter(torch.tensor(3.0))
        self.feature_dim = width
        self.linear = nn.Identity() if embedding_dim is None else nn.Linear(width, embedding_dim)
        width = width if embedding_dim is None else embedding_dim
        self.norm = nn.LayerNorm(width, elementwise_affine=False) if layer_norm else nn.Identity()
        self.embedding_dim = width
        self.set_groups(groups, group_weights)

    def set_groups(
        self, groups: int | Sequence[int] | None, weights: Sequence[float] | None = None
    ) -> None:
        """Scale these groups of dimensions to unit length; see the parameters of the class."""
        self.group_sizes = group_sizes(groups, self.embedding_dim)
        self.group_weights = unit_weights(weights, len(self.group_sizes))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Embed a batch of features."""
        return self.embed(self.pool(features))

    def embed(self, pooled: torch.Tensor) -> torch.Tensor:
        """Embed a batch of pooled features."""
        embeddings = self.norm(self.linear(pooled))
        if not self.normalize:
            return embeddings
        if len(self.group_sizes) == 1:
            return nn.functional.normalize(embeddings, dim=1)
        groups = embeddings.split(self.group_sizes, dim=1)
        weighted = zip(groups, self.group_weights, strict=True)
        return torch.cat([w * nn.functional.normalize(z, dim=1) for z, w in weighted], dim=1)

    def activations(self, pooled: torch.Tensor) -> torch.Tensor:
        """Return ``w_kᵀ h / ‖w_k‖`` of pooled features h, which get no gradient, (b, d)."""
        rows = nn.functional.normalize(self.linear.weight, dim=1)
        return nn.functional.linear(pooled.detach(), rows)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """Make vectors of a batch of features, (b, feature_dim)."""
        if maps.ndim == 2:
            return maps
        if self.pooling == "flatten":
            return maps.flatten(1)
        if self.pooling in TOKEN_POOLINGS:
            return maps.mean(dim=1) if self.pooling == "mean" else maps[:, 0]
        maps = maps.flatten(2)
        if self.pooling == "avg":
            return maps.mean(dim=2)
        if self.pooling == "max":
            return maps.amax(dim=2)
        if self.pooling == "gem":
            # The largest is taken out, so that no power leaves the range.
            maps = maps.float().clamp(min=1e-6)
            top = maps.amax(dim=2, keepdim=True)
            mean = (maps / top).pow(self.power).mean(dim=2)
            return top.squeeze(2) * mean.pow(1 / self.power)
        return maps.mean(dim=2) + maps.amax(dim=2)


class EmbeddingNetwork(nn.Module):
    """A backbone and its head.

    Parameters
    ----------
    backbone : nn.Module
        From rows to features.
    head : Head
        From features to embeddings.

    See Also
    --------
    metriclearn.deep.DeepEmbedder : Makes and trains one.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import EmbeddingNetwork
    >>> from metriclearn.deep.modules import MLP, Head
    >>> network = EmbeddingNetwork(MLP(4, 8), Head((8,), 2)).eval()
    >>> network(torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(
        self, X: torch.Tensor, also: str | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Embed a batch of rows.

        Parameters
        ----------
        X : tensor of shape (b, ...)
        also : {"features", "maps", "activations"}, default=None
            Give what the head pools ("maps"), has pooled ("features") or makes of them
            ("activations"), too.

        Returns
        -------
        embeddings : tensor of shape (b, embedding_dim)
        features : tensor of shape (b, feature_dim), (b, channels, ...) or (b, embedding_dim)
            Where asked for.
        """
        return self.embed(self.features(X), also)

    def embed(
        self, maps: torch.Tensor, also: str | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Embed a batch of features, and give them, too, as `forward` does."""
        pooled = self.head.pool(maps)
        embeddings = self.head.embed(pooled)
        if also is None:
            return embeddings
        if also == "activations":
            return embeddings, self.head.activations(pooled)
        return embeddings, maps if also == "maps" else pooled

    def features(self, X: torch.Tensor) -> torch.Tensor:
        """Return what the backbone makes of a batch.

        Raises
        ------
        ValueError
            If the backbone gives something else than a tensor.
        """
        features = self.backbone(X)
        if not isinstance(features, torch.Tensor):
            raise ValueError(
                f"the module gives a {type(features).__name__} in training, not a tensor; build it "
                f"without auxiliary outputs (GoogLeNet, Inception: "
                f"module_params={{'aux_logits': False}})"
            )
        return features


MODULES = {
    "mlp": MLP,
    "linear": Linear,
    "adapter": Adapter,
    "convnet": ConvNet,
    "attention": AttentionEnsemble,
    "multi_level": MultiLevel,
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
}
# What they give is the embedding: no linear layer is put on it.
EMBEDDINGS = (Adapter, AttentionEnsemble, MultiLevel)
