"""Photos: their pixels as a yardstick."""

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

from metriclearn.compare._images import ImageScaler


def pixels(setting):
    """Make the cosine of pixels, which says how much of the answer is color and light."""
    steps = [
        ("numbers", FunctionTransformer(_as_numbers)),
        ("scale", ImageScaler()),
        ("normalize", Normalizer()),
    ]
    return Pipeline(steps), [{}]


def _as_numbers(pixels):
    return pixels.astype("float32")
