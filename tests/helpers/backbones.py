"""A tiny network for photos, with weights that are the same each time it is made."""

import torch
from torch import nn


class Tiny(nn.Module):
    """Two convolutions on normalized images; to maps of eight features."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = nn.Sequential(
                nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3)
            )

    def forward(self, images):
        return self.layers(images)


def write_dino(transformers, folder):
    """Save a transformer of some thousand random weights, and what it wants of images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.Dinov2Config(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
        )
        model = transformers.Dinov2Model(config).eval()
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        '{"image_processor_type": "BitImageProcessor", "crop_size": {"height": 28, "width": 28},'
        ' "size": {"shortest_edge": 32}, "resample": 2, "image_mean": [0.1, 0.2, 0.3],'
        ' "image_std": [0.4, 0.5, 0.6]}'
    )
    return model
