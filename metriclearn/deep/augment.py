"""Random changes of a batch of images that leave their class alone, in torch only."""

import math

import torch
from torch import nn

__all__ = ["AUGMENTS", "RandomAffine"]


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

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.augment import RandomAffine
    >>> RandomAffine(degrees=15)(torch.rand(8, 1, 28, 28)).shape
    torch.Size([8, 1, 28, 28])
    """

    def __init__(self, degrees=10.0, translate=0.08, scale=0.12, shear=0.12, fill=0.0):
        super().__init__()
        for name, value in (("degrees", degrees), ("translate", translate), ("shear", shear)):
            if value < 0:
                raise ValueError(f"{name}={value} must not be negative")
        if not 0 <= scale < 1:
            raise ValueError(f"scale={scale} must be in [0, 1)")
        self.degrees = degrees
        self.translate = translate
        self.scale = scale
        self.shear = shear
        self.fill = fill

    def forward(self, images):
        """Change a batch of shape (b, channels, height, width)."""
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


AUGMENTS = {"affine": RandomAffine}
