"""Networks that embed each image several times: through masks, or at several depths."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import torch
from torch import nn

from metriclearn._sklearn import BELOW_ONE, at_least
from metriclearn.deep.modules._convnet import block
from metriclearn.deep.modules._input import Standardize
from metriclearn.deep.tensors._ranges import check_ranges, group_sizes, widths


class AttentionEnsemble(nn.Module):
    """Attention-based ensemble (ABE): embeddings of what several masks let through, one network.

    ::

        z_m = W G(S(x) ∘ A_m(S(x))),   m = 1, …, M

    S is the first part of a convolutional network, G the rest of it with pooling, W a linear map;
    all three are shared. A_m is a mask in (0, 1) of the shape of S(x), a 1 × 1 convolution with a
    sigmoid. The embedding is the concatenation of the z_m. See [1]_.

    Parameters
    ----------
    in_channels : int
        Channels of an image.
    n_components : int, default=64
        Dimensions of all z_m together.
    channels : int or sequence of int, default=(32, 64, 128)
        Output channels of each block.
    n_masks : int, default=4
        M, which divides ``n_components``.
    n_shared : int, default=1
        Blocks before the masks, at least 1.
    blocks : sequence of Modules, default=None
        Stages to take in place of the blocks, of as many output channels as ``channels`` says:
        ``list(ResNet18(3))`` with ``channels=(3, 64, 64, 128, 256, 512)``.
    dropout : float in [0, 1), default=0.0
        Whole channels, after each block.

    See Also
    --------
    metriclearn.deep.losses.GroupedLoss : Trains each z_m, and keeps them apart by ``divergence``.
    MultiLevel : Embeddings at several depths.

    Notes
    -----
    G runs M times: this costs more than groups of dimensions on one network, less than M networks.
    The paper's masks have layers of their own before the last convolution.

    References
    ----------
    .. [1] Kim, Goyal, Chawla, Lee and Kwon, "Attention-based Ensemble for Deep Metric Learning",
       ECCV 2018. :doi:`10.48550/arXiv.1804.00382`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import AttentionEnsemble
    >>> AttentionEnsemble(1, 16, (4, 8), n_masks=2).eval()(torch.zeros(3, 1, 8, 8)).shape
    torch.Size([3, 16])
    """

    _parameter_constraints: dict = {
        "n_masks": [at_least(1)],
        "n_shared": [at_least(1)],
        "dropout": [BELOW_ONE],
    }

    def __init__(
        self,
        in_channels: int,
        n_components: int = 64,
        channels: int | Sequence[int] = (32, 64, 128),
        *,
        n_masks: int = 4,
        n_shared: int = 1,
        blocks: Sequence[nn.Module] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_ranges(self, n_masks=n_masks, n_shared=n_shared, dropout=dropout)
        channels = widths("channels", channels)
        if n_shared > len(channels):
            raise ValueError(f"n_shared must be at most the {len(channels)} blocks, got {n_shared}")
        (size,) = {*_sizes("n_masks", n_masks, n_components)}
        stages = _stages(in_channels, channels, blocks, dropout)
        self.n_masks = n_masks
        self.trunk = nn.Sequential(*stages[:n_shared])
        self.masks = nn.Conv2d(channels[n_shared - 1], n_masks * channels[n_shared - 1], 1)
        self.rest = nn.Sequential(*stages[n_shared:])
        self.linear = nn.Linear(channels[-1], size)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Embed a batch of images, (b, channels, height, width), to (b, n_components)."""
        x = self.trunk(X)
        masks = self.masks(x).sigmoid().unflatten(1, (self.n_masks, -1))
        seen = (x[:, None] * masks).flatten(0, 1)
        z = self.linear(self.rest(seen).mean((2, 3)))
        return z.unflatten(0, (-1, self.n_masks)).flatten(1)


class MultiLevel(nn.Module):
    """Embeddings at several depths of one convolutional network, shallow to deep.

    ::

        z_k = W_k pool(F_k(x)),    F_k = F_(k-1) with one more block

    The embedding is the concatenation of the z_k. See [1]_ and [2]_.

    Parameters
    ----------
    in_channels : int
        Channels of an image.
    n_components : int, default=66
        Dimensions of all z_k together.
    channels : int or sequence of int, default=(32, 64, 128)
        Output channels of each block.
    levels : int or sequence of int, default=3
        How many of the last blocks have an embedding, or the sizes of theirs, shallow to deep; a
        number divides ``n_components``.
    blocks : sequence of Modules, default=None
        Stages to take in place of the blocks, of as many output channels as ``channels`` says:
        ``list(ResNet18(3))`` with ``channels=(3, 64, 64, 128, 256, 512)``.
    dropout : float in [0, 1), default=0.0
        Whole channels, after each block.

    See Also
    --------
    metriclearn.deep.losses.CascadedLoss : Trains deeper levels on harder pairs (HDC).
    metriclearn.deep.losses.GroupedLoss : Trains each level by itself; with `RankedListLoss` this is
        its (L, M, H) form [2]_.
    AttentionEnsemble : Embeddings at the same depth.

    References
    ----------
    .. [1] Yuan, Yang and Zhang, "Hard-Aware Deeply Cascaded Embedding", ICCV 2017.
       :doi:`10.48550/arXiv.1611.05720`
    .. [2] Wang, Hua, Kodirov, Hu, Garnier and Robertson, "Ranked List Loss for Deep Metric
       Learning", CVPR 2019. :doi:`10.48550/arXiv.1903.03238`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import MultiLevel
    >>> MultiLevel(1, 16, (4, 8), levels=2).eval()(torch.zeros(3, 1, 8, 8)).shape
    torch.Size([3, 16])
    """

    _parameter_constraints: dict = {"dropout": [BELOW_ONE]}

    def __init__(
        self,
        in_channels: int,
        n_components: int = 66,
        channels: int | Sequence[int] = (32, 64, 128),
        *,
        levels: int | Sequence[int] = 3,
        blocks: Sequence[nn.Module] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_ranges(self, dropout=dropout)
        channels = widths("channels", channels)
        sizes = _sizes("levels", levels, n_components)
        if len(sizes) > len(channels):
            raise ValueError(
                f"levels must be at most one for each of {len(channels)} blocks, got {levels}"
            )
        self.stages = nn.ModuleList(_stages(in_channels, channels, blocks, dropout))
        self.linears = nn.ModuleList(
            nn.Linear(width, size)
            for width, size in zip(channels[-len(sizes) :], sizes, strict=True)
        )

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Embed a batch of images, (b, channels, height, width), to (b, n_components)."""
        maps = []
        for stage in self.stages:
            X = stage(X)
            maps.append(X)
        levels = zip(self.linears, maps[-len(self.linears) :], strict=True)
        return torch.cat([linear(x.mean((2, 3))) for linear, x in levels], dim=1)


def _stages(in_channels, channels, blocks, dropout):
    """Return a stage of a network for each number of channels, the first standardizes."""
    if blocks is None:
        ins = [in_channels, *channels[:-1]]
        parts = [block(a, b, dropout) for a, b in zip(ins, channels, strict=True)]
        parts[0] = [Standardize(in_channels), *parts[0]]
        return [nn.Sequential(*part) for part in parts]
    if len(blocks) != len(channels):
        raise ValueError(
            f"blocks must be one for each of {len(channels)} numbers of channels, got {len(blocks)}"
        )
    return list(blocks)


def _sizes(name, given, n_components):
    """Return the sizes of groups of the embedding; errors name the argument."""
    if isinstance(given, Integral) and (given < 1 or n_components % given):
        raise ValueError(f"{name} must divide n_components={n_components}, got {given}")
    return group_sizes(given, n_components)
