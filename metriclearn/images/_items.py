"""What a reader is given, in one form: image files (or Pillow's images) in a row, and boxes."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from metriclearn._extras import require
from metriclearn.images._datasets import Picture, is_encoded, is_picture, pictures_of, rows_of
from metriclearn.images._decode import SUFFIXES


class Items(NamedTuple):
    """Images one after the other.

    Attributes
    ----------
    files : list of Path, PIL.Image.Image or Picture
    boxes : ndarray of shape (n, 4) or None
    shape : tuple of int
        Of the array that they came in.
    """

    files: list
    boxes: np.ndarray | None
    shape: tuple


def items_of(images):
    """Return the items of `ImagePaths`, of a data set, or of a list, array or column of images.

    Parameters
    ----------
    images : object
        Paths, images of Pillow, contents of files; arrays of pixels are taken for images only where
        they differ in shape, or in a data set.

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
    rows = rows_of(images)
    if rows is not None:
        pictures = pictures_of(rows)
        return None if pictures is None else Items(pictures, None, (len(pictures),))
    if hasattr(images, "iloc") and getattr(images, "ndim", 1) == 2 and images.shape[1] == 1:
        images = images.iloc[:, 0]
    if hasattr(images, "to_list"):  # a column of a table
        images = images.to_list()
    if isinstance(images, np.ndarray):
        if images.dtype.kind not in "OUT" or images.ndim != 1:
            return None
        images = images.tolist()
    if not isinstance(images, (list, tuple)) or not images:
        return None
    if all(_is_file(each) or _is_pixels(each) for each in images) and any(map(_is_file, images)):
        files = [_as_file(images, row) for row in range(len(images))]
        return Items(files, None, (len(files),))
    if all(_is_pixels(image) for image in images) and len({each.shape for each in images}) > 1:
        return _pictures(images)
    return None


def check_items(images, name="images"):
    """Return the items, also of arrays of pixels and of arrays of paths of any shape.

    Parameters
    ----------
    images : object
    name : str
        Of the argument, for the message.

    Returns
    -------
    Items

    Raises
    ------
    TypeError, ValueError
        If they are no images.
    """
    several = isinstance(images, np.ndarray) and images.ndim > 1 and images.dtype.kind in "OUT"
    items = items_of(images.ravel() if several else images)
    if items is not None:
        return items._replace(shape=images.shape) if several else items
    if isinstance(images, np.ndarray) and images.ndim in (3, 4):
        if images.dtype != np.uint8:
            raise ValueError(f"{name}: pixels must be bytes (uint8), got {images.dtype}")
        if images.ndim == 4 and images.shape[-1] not in (1, 3, 4):
            raise ValueError(
                f"{name}: pixels must be of shape (n, height, width, 3), got {images.shape}; move "
                f"the channels last"
            )
        return _pictures(images)
    if isinstance(images, (list, tuple)) and images and all(map(_is_pixels, images)):
        return _pictures(images)
    raise TypeError(
        f"{name} must be ImagePaths, or a list or array of paths, of Pillow images or of pixels "
        f"(uint8), got {_described(images)}"
    )


def check_no_items(images, name, *, are_wanted=False):
    """Raise a ``TypeError`` for paths, pictures or bytes in a form that is not taken.

    Parameters
    ----------
    images : object
        What :func:`are_images` knows not to be images.
    name : str
        Of the argument.
    are_wanted : bool, default=False
        Whether images were asked for, so that only an array of numbers may pass.
    """
    if isinstance(images, np.ndarray) and images.ndim > 1 and holds_images(images):
        raise ValueError(
            f"{name}: images must be one after the other, got an array of shape "
            f"{images.shape}; give {name}.ravel()"
        )
    first = images[0] if isinstance(images, (list, tuple)) and images else images
    is_file = isinstance(first, (bytes, Path)) or (isinstance(first, str) and Path(first).suffix)
    is_array = hasattr(images, "shape") and not hasattr(images, "iloc")
    if is_file or is_picture(first) or (are_wanted and not is_array):
        check_items(images, name)


def holds_images(X):
    """Whether this is `ImagePaths`, or begins with an image of Pillow or the name of an image.

    Examples
    --------
    >>> holds_images(["a/1.jpg"]), holds_images(["red"]), holds_images([[1.0]])
    (True, False, False)
    """
    if hasattr(X, "files") and hasattr(X, "boxes"):
        return True
    first = X[0] if isinstance(X, (list, tuple)) and X else None
    if isinstance(X, np.ndarray) and X.dtype.kind in "OUT" and X.size:
        first = X.flat[0]
    is_name = isinstance(first, (str, Path)) and Path(first).suffix.lower() in SUFFIXES
    return is_name or is_picture(first)


def refuse_images(X, name):
    """Raise a ``TypeError`` for images where vectors are wanted."""
    if holds_images(X):
        raise TypeError(
            f"{name} holds images; make vectors of them first, as in "
            f"make_pipeline(metriclearn.images.Features('timm/NAME'), ...)"
        )


def _is_file(image):
    return isinstance(image, (str, Path)) or is_picture(image) or is_encoded(image)


def _as_file(images, row):
    image = images[row]
    if isinstance(image, (str, Path)):
        return Path(image)
    if is_encoded(image):
        return Picture(images, row)
    return _pictures([image]).files[0] if _is_pixels(image) else image


def _is_pixels(image):
    return (
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3, 4)))
    )


def _pictures(images):
    """Make Pillow's images of arrays of pixels."""
    image_module = require("PIL.Image", "images")
    flat = [each[..., 0] if each.ndim == 3 and each.shape[2] == 1 else each for each in images]
    return Items([image_module.fromarray(each) for each in flat], None, (len(flat),))


def _described(images):
    kind = type(images).__name__
    if isinstance(images, (str, Path)) and Path(images).is_dir():
        return "a folder; list its images by ImagePaths.from_folder"
    if _is_file(images):
        return f"one ({kind}); put it into a list"
    if (rows := rows_of(images)) is not None:
        row = rows.first()
        if not hasattr(row, "shape"):
            return f"{kind} of {type(row).__name__} rows"
        return f"{kind} of {str(row.dtype).removeprefix('torch.')} rows of shape {tuple(row.shape)}"
    if hasattr(images, "columns"):
        return f"{kind} with columns {', '.join(map(str, images.columns))}; give that of the paths"
    if isinstance(images, np.ndarray):
        return f"{kind} of {images.dtype}, of shape {images.shape}"
    if not isinstance(images, (list, tuple)):
        return kind
    if len(images) == 0:
        return f"an empty {kind}"
    are_images = [_is_file(each) or _is_pixels(each) for each in images]
    place = are_images.index(False) if False in are_images else 0
    return f"a {kind} that holds {type(images[place]).__name__} at {place}"
