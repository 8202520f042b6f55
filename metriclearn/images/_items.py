"""What a reader is given, in one form: image files (or Pillow's images) in a row, and boxes."""

from pathlib import Path
from typing import NamedTuple

import numpy as np


class Items(NamedTuple):
    """Images one after the other.

    Attributes
    ----------
    files : list of Path or PIL.Image.Image
    boxes : ndarray of shape (n, 4) or None
    shape : tuple of int
        Of the array that they came in.
    """

    files: list
    boxes: np.ndarray | None
    shape: tuple


def items_of(images):
    """Return the items of `ImagePaths`, or of a list or array of paths or of Pillow images.

    Parameters
    ----------
    images : object

    Returns
    -------
    Items or None
        None where it is something else.

    Examples
    --------
    >>> items_of(["a/1.jpg", "a/2.png"]).shape, items_of([[1.0, 2.0]]) is None
    ((2,), True)
    """
    if hasattr(images, "files") and hasattr(images, "boxes"):
        boxes = images.boxes
        return Items(images.files, None if boxes is None else boxes.reshape(-1, 4), images.shape)
    scalar = isinstance(images, np.ndarray) and images.ndim == 0
    if not isinstance(images, (list, tuple, np.ndarray)) or scalar or len(images) == 0:
        return None
    if all(isinstance(image, (str, Path)) for image in images):
        return Items([Path(image) for image in images], None, (len(images),))
    # Pillow is not loaded to find out: its images can be drafted, arrays cannot.
    if not isinstance(images, np.ndarray) and all(hasattr(image, "draft") for image in images):
        return Items(list(images), None, (len(images),))
    return None


def check_items(images, name="images"):
    """Return the items, or raise a ``TypeError`` that says what is taken."""
    items = items_of(images)
    if items is None:
        raise TypeError(
            f"{name} must be ImagePaths, or a list of paths or of Pillow images, got "
            f"{type(images).__name__}"
        )
    return items
