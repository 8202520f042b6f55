"""What images need before a learner: one scale for all pixels, a size that can be afforded."""

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin

from metriclearn.images._reader import ImageReader

# Longest side that a small ConvNet is trained on: a bound on time, on two cores.
MAX_CONVNET_SIDE = 32


class PhotoReader(TransformerMixin, BaseEstimator):
    """Read photos as rows of pixels, as a comparison by pixels does.

    Parameters
    ----------
    size : tuple of int
        (height, width) that they are read at, their aspect kept.
    mode : {"L", "RGB"}
        Gray or color.
    """

    def __init__(self, size, mode):
        self.size = size
        self.mode = mode

    def fit(self, X, y=None):
        """Do nothing."""
        return self

    def transform(self, X):
        """Read photos, (n,); rows of pixels, (n, n_pixels), stay as they are."""
        if hasattr(X, "columns"):
            raise ValueError("X is a table, and the metric was learned from photos")
        if getattr(X, "ndim", 1) == 2:
            return X
        pixels = ImageReader(self.size, mode=self.mode).load(X)
        return pixels.reshape(len(pixels), -1).astype(np.float32)

    def __sklearn_is_fitted__(self):
        return True


class ImageRows(TransformerMixin, BaseEstimator):
    """Take images as rows of pixels, as a comparison does.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width) or (height, width, channels).
    """

    def __init__(self, image_shape):
        self.image_shape = image_shape

    def fit(self, X, y=None):
        """Do nothing."""
        return self

    def transform(self, X):
        """Flatten images, (n, *image_shape); rows of pixels, (n, n_pixels), stay as they are."""
        X, shape = np.asarray(X), tuple(self.image_shape)
        if X.shape[1:] not in (shape, (np.prod(shape),)):
            raise ValueError(
                f"X has shape {X.shape}, and the metric was learned from images of shape {shape}"
            )
        return as_floats(X).reshape(len(X), -1)

    def __sklearn_is_fitted__(self):
        return True


def as_floats(X):
    """Return an array of numbers in float32, if it is or holds bytes, or else in float64."""
    if X.dtype in (np.float32, np.float64):
        return X
    return X.astype(np.float32 if X.dtype == np.uint8 else np.float64)


class ImageScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Subtract the mean image and divide by one number for all pixels.

    ``StandardScaler`` would blow the noise of the corners up to the size of the
    strokes in the middle.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
    n_features_in_ : int
    scale_ : float
        Root mean square of what is left after the mean image.
    """

    def fit(self, X, y=None):
        """Measure the mean image and the scale."""
        self.mean_ = X.mean(axis=0)
        self.n_features_in_ = X.shape[1]
        self.scale_ = float(np.sqrt(np.mean((X - self.mean_) ** 2))) or 1.0
        return self

    def transform(self, X):
        """Scale images."""
        return (X - self.mean_) / X.dtype.type(self.scale_)


class ImageShrinker(TransformerMixin, BaseEstimator):
    """Average square blocks of pixels; what is left over at the far edges is cut off.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width) or (height, width, channels) of the flattened rows.
    factor : int
        Side of a block.
    """

    def __init__(self, image_shape, factor):
        self.image_shape = image_shape
        self.factor = factor

    def fit(self, X, y=None):
        """Do nothing."""
        return self

    def transform(self, X):
        """Shrink flattened images."""
        height, width, *channels = self.shape
        cut = X.reshape(-1, *self.image_shape)[:, : height * self.factor, : width * self.factor]
        blocks = cut.reshape(-1, height, self.factor, width, self.factor, *channels)
        return blocks.mean(axis=(2, 4)).reshape(len(X), -1)

    @property
    def shape(self):
        """Shape of a shrunk image."""
        height, width, *channels = self.image_shape
        return height // self.factor, width // self.factor, *channels

    def __sklearn_is_fitted__(self):
        return True


def shrinker(image_shape):
    """Return an ``ImageShrinker`` for images too large for the ConvNet, else None."""
    factor = -(-max(image_shape[:2]) // MAX_CONVNET_SIDE)
    # Blocks must fit into a narrow image.
    factor = min(factor, *image_shape[:2])
    return ImageShrinker(image_shape, factor) if factor > 1 else None
