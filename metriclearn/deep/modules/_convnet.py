"""Convolutional networks: a small one, and residual ones (He et al. 2016), without a classifier."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from metriclearn._sklearn import BELOW_ONE
from metriclearn.deep.modules._input import Standardize
from metriclearn.deep.tensors._ranges import check_ranges, widths


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


class _Block(nn.Module):
    """A residual branch and its shortcut: two 3 × 3 convolutions, or 1 × 1, 3 × 3, 1 × 1."""

    def __init__(self, branch, in_channels, out_channels, stride):
        super().__init__()
        self.branch = branch
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut.extend(_convolution(in_channels, out_channels, 1, stride))
        self.activation = nn.ReLU(inplace=True)

    def forward(self, X):
        """Add the branch to the shortcut."""
        return self.activation(self.branch(X) + self.shortcut(X))


def _convolution(in_channels, out_channels, size, stride=1):
    """Return a convolution without bias and its batch normalization."""
    return [
        nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    ]


def _basic(in_channels, width, stride):
    branch = nn.Sequential(
        *_convolution(in_channels, width, 3, stride),
        nn.ReLU(inplace=True),
        *_convolution(width, width, 3),
    )
    return _Block(branch, in_channels, width, stride)


def _bottleneck(in_channels, width, stride):
    # The stride sits in the 3 x 3 convolution, as in later code of the authors.
    branch = nn.Sequential(
        *_convolution(in_channels, width, 1),
        nn.ReLU(inplace=True),
        *_convolution(width, width, 3, stride),
        nn.ReLU(inplace=True),
        *_convolution(width, 4 * width, 1),
    )
    return _Block(branch, in_channels, 4 * width, stride)


class ResNet(nn.Sequential):
    """Residual network: standardized input, stem, four stages of blocks; feature maps out.

    He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2016. The last batch
    normalization of each branch starts at zero, so that every block starts as its shortcut
    (Goyal et al., 2017).

    Parameters
    ----------
    in_channels : int
    blocks : tuple of int
        Blocks of each stage.
    bottleneck : bool
        Blocks of three convolutions, with four times the channels out.
    small_images : bool, default=False
        A 3 × 3 stem that keeps the resolution, for images of 32 pixels or so; the papers' 7 × 7
        convolution and max-pooling reduce it by four.
    """

    def __init__(
        self,
        in_channels: int,
        blocks: tuple[int, ...],
        bottleneck: bool,
        *,
        small_images: bool = False,
    ) -> None:
        if small_images:
            stem = [*_convolution(in_channels, 64, 3), nn.ReLU(inplace=True)]
        else:
            stem = [
                *_convolution(in_channels, 64, 7, 2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(3, 2, padding=1),
            ]
        super().__init__(Standardize(in_channels), nn.Sequential(*stem))
        make, expansion = (_bottleneck, 4) if bottleneck else (_basic, 1)
        channels = 64
        for stage, n_blocks in enumerate(blocks):
            width = 64 * 2**stage
            stack = nn.Sequential()
            for number in range(n_blocks):
                stride = 2 if stage > 0 and number == 0 else 1
                stack.append(make(channels, width, stride))
                channels = expansion * width
            self.append(stack)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(part, _Block):
                nn.init.zeros_(part.branch[-1].weight)


class ResNet18(ResNet):
    """ResNet of 18 layers [1]_: blocks of two convolutions, 512 feature maps.

    Parameters
    ----------
    in_channels : int
        Channels of an image.
    small_images : bool, default=False
        See :class:`ResNet`.

    See Also
    --------
    ResNet34 : Deeper.
    ConvNet : For small images.

    References
    ----------
    .. [1] He, K., Zhang, X., Ren, S. & Sun, J. "Deep residual learning for image recognition",
       CVPR, 2016. :doi:`10.1109/CVPR.2016.90`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import ResNet18
    >>> ResNet18(1).eval()(torch.zeros(1, 1, 32, 32)).shape[1]
    512
    """

    def __init__(self, in_channels: int, *, small_images: bool = False) -> None:
        super().__init__(in_channels, (2, 2, 2, 2), bottleneck=False, small_images=small_images)


class ResNet34(ResNet):
    """ResNet of 34 layers [1]_: blocks of two convolutions, 512 feature maps.

    Parameters
    ----------
    in_channels : int
        Channels of an image.
    small_images : bool, default=False
        See :class:`ResNet`.

    See Also
    --------
    ResNet18 : Shallower.
    ResNet50 : Deeper, with bottlenecks.

    References
    ----------
    .. [1] He, K., Zhang, X., Ren, S. & Sun, J. "Deep residual learning for image recognition",
       CVPR, 2016. :doi:`10.1109/CVPR.2016.90`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import ResNet34
    >>> ResNet34(1).eval()(torch.zeros(1, 1, 32, 32)).shape[1]
    512
    """

    def __init__(self, in_channels: int, *, small_images: bool = False) -> None:
        super().__init__(in_channels, (3, 4, 6, 3), bottleneck=False, small_images=small_images)


class ResNet50(ResNet):
    """ResNet of 50 layers [1]_: blocks of three convolutions, 2,048 feature maps.

    Parameters
    ----------
    in_channels : int
        Channels of an image.
    small_images : bool, default=False
        See :class:`ResNet`.

    See Also
    --------
    ResNet34 : Shallower, without bottlenecks.

    References
    ----------
    .. [1] He, K., Zhang, X., Ren, S. & Sun, J. "Deep residual learning for image recognition",
       CVPR, 2016. :doi:`10.1109/CVPR.2016.90`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.modules import ResNet50
    >>> ResNet50(1).eval()(torch.zeros(1, 1, 32, 32)).shape[1]
    2048
    """

    def __init__(self, in_channels: int, *, small_images: bool = False) -> None:
        super().__init__(in_channels, (3, 4, 6, 3), bottleneck=True, small_images=small_images)
