"""Images as rows, and back."""

from numbers import Integral

import numpy as np
from sklearn.utils.validation import validate_data

from metriclearn.deep.training._data import Rows, check_finite


def flatten_images(X):
    """Turn images into rows.

    Parameters
    ----------
    X : array-like
        Rows, or images of shape (n, height, width[, channels]).

    Returns
    -------
    X : array-like
        Rows: a view, where ``X`` was an array.
    image_shape : tuple of int or None
        (height, width, channels); None where ``X`` held rows.
    """
    if isinstance(X, list) and np.ndim(X) > 2:
        X = np.asarray(X)
    n_dims = getattr(X, "ndim", 2)
    if n_dims not in (3, 4):
        return X, None
    shape = tuple(X.shape[1:])
    # A memory-mapped array stays one, and so is known not to be copied.
    return X.reshape(len(X), -1), shape if n_dims == 4 else (*shape, 1)


def check_image_shape(found, given, n_features):
    """Shape of the images: as found, or as the argument ``image_shape`` says.

    Raises
    ------
    ValueError
        Where the two, or the number of features, do not agree.
    """
    if given is None:
        return found
    given = tuple(given)
    sides = all(isinstance(side, Integral) and side > 0 for side in given)
    if len(given) not in (2, 3) or not sides:
        raise ValueError(f"image_shape={given} is not (height, width) or (height, width, channels)")
    given = given if len(given) == 3 else (*given, 1)
    if found is not None and found != given:
        raise ValueError(f"image_shape={given} does not fit X, whose images are of shape {found}")
    if np.prod(given) != n_features:
        raise ValueError(
            f"image_shape={given} has {np.prod(given)} values, but X has {n_features} features"
        )
    return given


def kept_dtypes(X):
    """Dtypes that validation leaves alone: bytes, and any memory-mapped array, are not copied."""
    kept = [np.float32, np.uint8]
    if isinstance(X, np.memmap):
        kept.append(X.dtype)
    return kept


class RowsMixin:
    """What :class:`DeepEmbedder` takes for ``X``: rows, or images as rows."""

    def _validate_rows(self, X, y, reset, **checks):
        X, shape = flatten_images(X)
        checks |= {"ensure_min_samples": 2, "dtype": kept_dtypes(X)}
        checked = validate_data(self, X, y, reset=reset, **checks)
        X, y = checked if isinstance(checked, tuple) else (checked, None)
        if reset:
            self.image_shape_ = check_image_shape(shape, self.image_shape, X.shape[1])
            self._scale = 1 / 255 if X.dtype == np.uint8 else 1
        else:
            self._check_image_shape(shape)
        return X, y

    def _check_rows(self, X):
        X, shape = flatten_images(X)
        X = validate_data(self, X, reset=False, dtype=kept_dtypes(X), ensure_all_finite=False)
        check_finite(X, type(self).__name__)
        self._check_image_shape(shape)
        return X

    def _check_image_shape(self, shape):
        if shape is not None and shape != self.image_shape_:
            fitted = "rows" if self.image_shape_ is None else f"images of {self.image_shape_}"
            raise ValueError(
                f"X has images of shape {shape}, but {type(self).__name__} was fitted on {fitted}"
            )

    def _rows(self, X, device=None):
        device = self.net_.device if device is None else device
        return Rows(X, self.image_shape_, self._scale, device, isinstance(self.module, str))
