"""A pretrained network as a backbone that is trained further."""

from __future__ import annotations

import copy

import torch
from torch import nn

from metriclearn.images._backbones import find_backbone
from metriclearn.images._torch_backbones import TorchBackbone, pooled, unpooled


class Pretrained(nn.Module):
    """A pretrained network, given the colors that its weights were trained with.

    From images of colors 0 to 1 to vectors. Gray images are given to it as color ones.

    Parameters
    ----------
    backbone : str, class or nn.Module
        As `~metriclearn.images.Features` takes it: ``"timm/NAME"``, ``"torchvision/NAME"``,
        ``"hf/REPOSITORY"`` or ``"hf/FOLDER"``, ``"package.module:Class"``, or a module of one's
        own on normalized images, which is copied.
    image_size : int or (height, width), default=None
        Of the images, for networks that are made for one size; None is the network's own.
    pooling : {"cls", "mean", "maps"}, default=None
        How a transformer's tokens become one vector, where it does not say so itself. "maps"
        leaves maps and tokens as they are, for the ``pooling`` of `Head`, in place of the pooling
        that networks of timm and transformers have; torchvision's keep theirs.
    mean, std : tuple of float, default=None
        Of the colors; None for what the weights were trained with, else ImageNet's.

    Attributes
    ----------
    image_size : tuple of int
        (height, width) of the images that the weights were trained with, or of those asked for.

    Raises
    ------
    ValueError
        If the backbone is no network of torch.

    See Also
    --------
    metriclearn.images.Features : The network as it is, for a learner on its vectors.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import Pretrained
    >>> Pretrained(torch.nn.Conv2d(3, 8, 3), image_size=16)(torch.rand(2, 3, 16, 16)).shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        backbone: str | type | nn.Module,
        *,
        image_size: int | tuple[int, int] | None = None,
        pooling: str | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__()
        own = copy.deepcopy(backbone) if isinstance(backbone, nn.Module) else backbone
        size = (image_size, image_size) if isinstance(image_size, int) else image_size
        found = find_backbone(own, size=size, pooling=pooling, mean=mean, std=std)
        if not isinstance(found, TorchBackbone):
            raise ValueError(
                f"backbone={backbone!r} is no network of torch, so that its weights cannot be "
                f"trained; give 'timm/NAME', 'torchvision/NAME', 'hf/NAME' or a module"
            )
        self.network = found.module.cpu()  # as of other modules, until it is trained
        self.pooling = pooling
        self.image_size = tuple(found.preprocessing.size)
        colors = {"mean": found.preprocessing.mean, "std": found.preprocessing.std}
        for name, values in colors.items():
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return the features of a batch of images."""
        X = (X - self.mean) / self.std
        if self.pooling == "maps":
            return unpooled(self.network, X)
        return pooled(self.network(X), self.pooling)
