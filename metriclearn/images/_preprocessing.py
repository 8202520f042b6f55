"""What a pretrained network wants of its images."""

import json
from dataclasses import asdict, dataclass

#: Where an ONNX file of ours says what images it takes.
ONNX_KEY = "metriclearn.preprocessing"
#: Mean and deviation of ImageNet's colors, which most networks were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """Size, crop, interpolation and colors of a network's images.

    Attributes
    ----------
    size : tuple of int
        (height, width).
    share : float
        Share of the middle square's sides that is kept.
    interpolation : {"bilinear", "bicubic", "lanczos", "box"}
    mean, std : tuple of float
        Subtracted from, and divided out of, colors from 0 to 1.
    """

    size: tuple = (224, 224)
    share: float = 0.875
    interpolation: str = "bicubic"
    mean: tuple = IMAGENET_MEAN
    std: tuple = IMAGENET_STD

    def __str__(self):
        return f"{self.size} {self.share:g} {self.interpolation} {self.mean} {self.std}"

    def to_json(self):
        """Write it as a line of text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text):
        """Read what :meth:`to_json` wrote."""
        values = json.loads(text)
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
