"""Random changes of a batch that leave the classes of its rows alone, in torch only."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import nn

from metriclearn._validation import check_share

__all__ = [
    "AUGMENTS",
    "ColorJitter",
    "CorruptFeatures",
    "Light",
    "PerImage",
    "RandomAffine",
    "RandomCrop",
    "RandomFlip",
    "Standard",
]


class RandomAffine(nn.Module):
    """Rotate, scale, shear and shift each image of a batch by its own random amount.

    Draws from torch's generator, which the embedder seeds. Bilinear; what
    comes in from outside the image is ``fill``.

    Parameters
    ----------
    degrees : float, default=10
        Rotation, uniform in ±degrees.
    translate : float, default=0.08
        Shift, uniform in ± this share of width and height.
    scale : float, default=0.12
        Size, uniform in 1 ± scale, of width and height apart.
    shear : float, default=0.12
        Horizontal shear, uniform in ±shear.
    fill : float, default=0.0
        Value outside the image.

    See Also
    --------
    metriclearn.deep.DeepEmbedder : Takes it as ``augment="affine"``, or ready-made.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.augment import RandomAffine
    >>> RandomAffine(degrees=15)(torch.rand(8, 1, 28, 28)).shape
    torch.Size([8, 1, 28, 28])
    """

    crop = None
    of_images = True

    def __init__(
        self,
        degrees: float = 10.0,
        translate: float = 0.08,
        scale: float = 0.12,
        shear: float = 0.12,
        fill: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in (("degrees", degrees), ("translate", translate), ("shear", shear)):
            if not isinstance(value, Real) or not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a number that is not negative, got {value!r}")
        if not isinstance(scale, Real) or not 0 <= scale < 1:
            raise ValueError(f"scale must be at least 0 and below 1, got {scale!r}")
        self.degrees = degrees
        self.translate = translate
        self.scale = scale
        self.shear = shear
        self.fill = fill

    def forward(self, images: Any) -> torch.Tensor:
        """Return a changed copy of a batch of shape (b, channels, height, width)."""
        angle, shear, width, height, dx, dy = (
            2 * torch.rand(6, len(images), device=images.device, dtype=images.dtype) - 1
        )
        angle = angle * math.radians(self.degrees)
        shear, width, height = self.shear * shear, 1 + self.scale * width, 1 + self.scale * height
        cos, sin = angle.cos(), angle.sin()
        # affine_grid's coordinates run from -1 to 1, so a share of the width counts double.
        matrix = torch.stack(
            [
                torch.stack([cos * width, (shear * cos - sin) * height, 2 * self.translate * dx]),
                torch.stack([sin * width, (shear * sin + cos) * height, 2 * self.translate * dy]),
            ]
        ).permute(2, 0, 1)
        grid = nn.functional.affine_grid(matrix, images.shape, align_corners=False)
        moved = nn.functional.grid_sample(images - self.fill, grid, align_corners=False)
        return moved + self.fill


class RandomCrop(nn.Module):
    """Cut a random part out of each image of a batch, and bring it to the size of the image.

    Of image files the part is cut when they are read, at the resolution of the file, and this
    module is not used.

    Parameters
    ----------
    scale : (float, float), default=(0.4, 1.0)
        Range of the share of the area.
    ratio : (float, float), default=(3/4, 4/3)
        Range of width over height, relative to that of the image.

    See Also
    --------
    RandomFlip : Mirrors images.
    Standard : Crops of random size.

    References
    ----------
    .. [1] C. Szegedy et al., "Going deeper with convolutions", CVPR 2015.
       :doi:`10.1109/CVPR.2015.7298594`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.augment import RandomCrop
    >>> RandomCrop()(torch.rand(8, 3, 28, 28)).shape
    torch.Size([8, 3, 28, 28])
    """

    def __init__(
        self, scale: tuple[float, float] = (0.4, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3)
    ) -> None:
        super().__init__()
        if not _is_range(scale) or scale[1] > 1:
            raise ValueError(f"scale must be two shares above 0, the lower first, got {scale!r}")
        if not _is_range(ratio):
            raise ValueError(f"ratio must be two numbers above 0, the lower first, got {ratio!r}")
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)

    def forward(self, images: Any) -> torch.Tensor:
        """Crop a batch of shape (b, channels, height, width)."""
        area, shape, x, y = torch.rand(4, len(images), device=images.device, dtype=images.dtype)
        area = self.scale[0] + (self.scale[1] - self.scale[0]) * area
        low, high = (math.log(bound) for bound in self.ratio)
        shape = torch.exp(low + (high - low) * shape)
        width, height = (area * shape).sqrt().clamp(max=1), (area / shape).sqrt().clamp(max=1)
        zero = torch.zeros_like(width)
        matrix = torch.stack(
            [
                torch.stack([width, zero, (1 - width) * (2 * x - 1)]),
                torch.stack([zero, height, (1 - height) * (2 * y - 1)]),
            ]
        ).permute(2, 0, 1)
        grid = nn.functional.affine_grid(matrix, images.shape, align_corners=False)
        return nn.functional.grid_sample(
            images, grid, align_corners=False, padding_mode="reflection"
        )


class RandomFlip(nn.Module):
    """Mirror each image of a batch with probability one half, left to right.

    See Also
    --------
    RandomCrop : Shifts images.
    Light : Flips with small shifts.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.augment import RandomFlip
    >>> RandomFlip()(torch.rand(8, 3, 28, 28)).shape
    torch.Size([8, 3, 28, 28])
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, images: Any) -> torch.Tensor:
        """Flip a batch of shape (b, channels, height, width)."""
        flipped = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
        if images.device.type != "cpu":
            return torch.where(flipped, images.flip(-1), images)
        changed = images.clone()  # image by image: a fifth of the time there
        for row in flipped.flatten().nonzero().flatten().tolist():
            changed[row] = images[row].flip(-1)
        return changed


class ColorJitter(nn.Module):
    """Change brightness, contrast and saturation of each image by its own random amount.

    Colors from 0 to 1 stay within these bounds.

    Parameters
    ----------
    brightness, contrast, saturation : float, default=0.2
        Factors are uniform in 1 ± this.

    See Also
    --------
    Standard : Crops and flips, with jitter on request.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.augment import ColorJitter
    >>> ColorJitter(brightness=0.4)(torch.rand(8, 3, 28, 28)).shape
    torch.Size([8, 3, 28, 28])
    """

    def __init__(
        self, brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2
    ) -> None:
        super().__init__()
        given = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        for name, value in given.items():
            check_share(value, name)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation

    def forward(self, images: Any) -> torch.Tensor:
        """Change a batch of shape (b, channels, height, width)."""
        shape = 3, len(images), 1, 1, 1
        amounts = 2 * torch.rand(shape, device=images.device, dtype=images.dtype) - 1
        scaled = (1 + self.brightness * amounts[0]) * (1 + self.contrast * amounts[1])
        # Channel by channel: in channels-last memory ``mean`` takes four times as long.
        gray = sum(images.unbind(1)).div_(images.shape[1]).unsqueeze(1)
        mean = gray.mean(dim=(2, 3), keepdim=True)
        # One after the other, these three are a color, a gray and a constant: few passes.
        constant = (1 + self.brightness * amounts[0] - scaled) * mean
        if images.shape[1] != 3:
            return (images * scaled).add_(constant).clamp_(0, 1)
        vivid = 1 + self.saturation * amounts[2]
        gray = gray.mul_((1 - vivid) * scaled).add_(constant)
        return (images * (vivid * scaled)).add_(gray).clamp_(0, 1)


class Light(nn.Sequential):
    """Random parts of 40 to 100% of the area, mirrored or not: for photos.

    Parameters
    ----------
    crop : bool, default=True
        False where the parts are cut elsewhere.

    See Also
    --------
    Standard : Crops of other sizes, too.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.augment import Light
    >>> Light()(torch.rand(8, 3, 28, 28)).shape
    torch.Size([8, 3, 28, 28])
    """

    #: Ranges of the crop, which image files are read by.
    crop = {"scale": (0.4, 1.0), "ratio": (3 / 4, 4 / 3)}
    of_images = True

    def __init__(self, crop: bool = True) -> None:
        super().__init__(*([RandomCrop(**self.crop)] if crop else []), RandomFlip())


class Standard(nn.Sequential):
    """Random parts of 16 to 100% of the area, mirrored or not, with changed colors: for photos.

    Parameters
    ----------
    crop : bool, default=True
        False where the parts are cut elsewhere.

    See Also
    --------
    Light : Changes less.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.augment import Standard
    >>> Standard()(torch.rand(8, 3, 28, 28)).shape
    torch.Size([8, 3, 28, 28])
    """

    #: Ranges of the crop, which image files are read by.
    crop = {"scale": (0.16, 1.0), "ratio": (3 / 4, 4 / 3)}
    of_images = True

    def __init__(self, crop: bool = True) -> None:
        super().__init__(*([RandomCrop(**self.crop)] if crop else []), RandomFlip(), ColorJitter())


class CorruptFeatures(nn.Module):
    """Replace a random share of the features of each row by those of other rows of the batch.

    ``x_ij ← x_kj`` with probability ``share``, with k drawn for each entry: a feature is replaced
    by a draw from its own distribution [1]_. For feature vectors, as one of two views of a row.

    Parameters
    ----------
    share : float, default=0.3
        From 0 to 1; the paper corrupts one view of two, by 0.6.

    See Also
    --------
    metriclearn.deep.losses.TwoViewLoss : Compares two views of each row.
    metriclearn.deep.modules.MLP : Adds noise to features in training.

    References
    ----------
    .. [1] Bahri, Jiang, Tay and Metzler, "SCARF: Self-Supervised Contrastive Learning using Random
       Feature Corruption", ICLR 2022. :doi:`10.48550/arXiv.2106.15147`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.augment import CorruptFeatures
    >>> rows = torch.arange(8.0).view(4, 2)
    >>> bool((CorruptFeatures(share=1.0)(rows) % 2 == rows % 2).all())  # columns stay apart
    True
    """

    crop = None
    of_images = False

    def __init__(self, share: float = 0.3) -> None:
        super().__init__()
        check_share(share, "share")
        self.share = share

    def forward(self, rows: Any) -> torch.Tensor:
        """Return a changed copy of a batch of shape (b, n_features)."""
        others = torch.randint(len(rows), rows.shape, device=rows.device)
        replaced = torch.rand(rows.shape, device=rows.device) < self.share
        return torch.where(replaced, rows.gather(0, others), rows)


class PerImage(nn.Module):
    """Apply a transform of single images to each image of a batch.

    Transforms of torchvision and albumentations are wrapped in one by the embedder.

    Parameters
    ----------
    transform : callable
        Of torchvision: from a tensor (channels, height, width) to another. Of albumentations:
        called with ``image=`` an array (height, width, channels) of float32 from 0 to 1.

    See Also
    --------
    Standard : Works on whole batches.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.augment import PerImage
    >>> PerImage(lambda image: image.flip(-1))(torch.rand(8, 3, 28, 28)).shape
    torch.Size([8, 3, 28, 28])
    """

    def __init__(self, transform: Callable[..., Any]) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, images: Any) -> torch.Tensor:
        """Change a batch of shape (b, channels, height, width)."""
        return torch.stack([self._changed(image) for image in images])

    def _changed(self, image):
        if not _is_of(self.transform, "albumentations"):
            return self.transform(image)
        changed = self.transform(image=image.permute(1, 2, 0).contiguous().cpu().numpy())["image"]
        if isinstance(changed, torch.Tensor):  # after ToTensorV2
            return changed.to(image)
        return torch.from_numpy(changed).to(image).permute(2, 0, 1)


def _is_range(bounds):
    """Whether these are two numbers above 0, the lower one first."""
    pair = isinstance(bounds, (tuple, list)) and len(bounds) == 2
    numbers = pair and all(isinstance(bound, Real) for bound in bounds)
    return numbers and 0 < bounds[0] <= bounds[1] < math.inf


def as_augment(augment):
    """Return an augmentation of batches; one of single images, of a known library, is wrapped."""
    single = any(_is_of(augment, library) for library in ("torchvision", "albumentations"))
    return PerImage(augment) if single else augment


def _is_of(transform, library):
    return any(kind.__module__.partition(".")[0] == library for kind in type(transform).__mro__)


AUGMENTS = {
    "affine": RandomAffine,
    "light": Light,
    "standard": Standard,
    "corrupt": CorruptFeatures,
}
