"""A small convolutional network, and its block."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from metriclearn.deep.modules._input import Standardize
from metriclearn.deep.tensors._groups import widths
from metriclearn.deep.tensors._ranges import BELOW_ONE, check_ranges


def block(in_channels: int, width: int, dropout: float = 0.0) -> list[nn.Module]:
    """Return the layers of a block, which halves height and width."""
    layers = [
        nn.Conv2d(in_channels, width, 3, padding=1, bias=False),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]
    return [*layers, nn.Dropout2d(dropout)] if dropout else layers


class ConvNet(nn.Sequential):
    """Blocks of 3 × 3 convolution, 2 × 2 max-pooling, batch normalization, ReLU: for small images.

    Pooling comes before the normalization, which then has a quarter of the work.

    Parameters
    ----------
    in_channels : int
        Channels of an image.
    channels : int or sequence of int, default=(32, 64, 128)
        Output channels of each block; each block halves height and width.
    dropout : float in [0, 1), default=0.0
        Whole channels, after each block.
    standardize : bool, default=True
        Standardize each channel with the training images' mean and deviation.

    See Also
    --------
    ResNet18 : Deeper, for larger images.
    MLP : For feature vectors.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import ConvNet
    >>> ConvNet(1, (4, 8)).eval()(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 8, 2, 2])
    """

    _parameter_constraints: dict = {"dropout": [BELOW_ONE]}

    def __init__(
        self,
        in_channels: int,
        channels: int | Sequence[int] = (32, 64, 128),
        *,
        dropout: float = 0.0,
        standardize: bool = True,
    ) -> None:
        super().__init__()
        check_ranges(self, dropout=dropout)
        if standardize:
            self.append(Standardize(in_channels))
        for width in widths("channels", channels):
            self.extend(block(in_channels, width, dropout))
            in_channels = width
