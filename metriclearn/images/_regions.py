"""Which part of an image is read, and at which size: pure geometry."""

from numbers import Integral

import numpy as np

from metriclearn._text import option
from metriclearn._types import is_whole

#: Numbers of channels that an image may have: gray, color, color with transparency.
CHANNELS = (1, 3, 4)
#: How an image of another shape than asked for is brought to it.
CROPS = ("center", "pad", "squash")


def has_channels_first(shape):
    """Whether images of this shape have their channels in front.

    Examples
    --------
    >>> [has_channels_first(shape) for shape in ((3, 9, 7), (9, 7, 3), (9, 7), (2, 9, 7))]
    [True, False, False, False]
    """
    return len(shape) == 3 and shape[0] in CHANNELS and shape[2] not in CHANNELS


def check_channels(shape, name="X"):
    """Raise a ``ValueError`` for images that seem to have another number of channels in front.

    Parameters
    ----------
    shape : tuple of int
        Of an image.
    name : str
        Of the argument.
    """
    if len(shape) != 3 or {shape[0], shape[2]} & {*CHANNELS} or 4 * shape[0] > min(shape[1:]):
        return
    raise ValueError(channels_in_front(shape, name))


def channels_in_front(shape, name="X"):
    """Say what to do with images that have their channels in front."""
    return (
        f"{name}: images of shape {tuple(shape)} seem to have {shape[0]} channels in front; move "
        f"them to the end, numpy.moveaxis({name}, 1, -1), or give {option('image_shape', shape)} "
        f"if they are {shape[0]} pixels high"
    )


def check_size(size, name="size"):
    """Return a size as (width, height).

    Parameters
    ----------
    size : int or (height, width)
        An int is a square.
    name : str
        Of the argument, for the message.

    Returns
    -------
    width, height : int
    """
    pair = [size, size] if isinstance(size, Integral) else size
    if (
        not isinstance(pair, (list, tuple, np.ndarray))
        or len(pair) != 2
        or not all(is_whole(side) and side >= 1 for side in pair)
    ):
        raise ValueError(
            f"{name} must be a positive int or a pair (height, width) of them, got {size!r}"
        )
    height, width = pair
    return int(width), int(height)


def check_boxes(boxes, names):
    """Return boxes as floats of shape (n, 4), or None.

    Parameters
    ----------
    boxes : array-like of shape (n, 4) or None
        left, top, right, bottom in pixels of the upright image; NaN where an image has none.
    names : sequence
        Of the images, for messages.
    """
    n_images = len(names)
    if boxes is None:
        return None
    try:
        boxes = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"boxes must be numbers of shape ({n_images}, 4), got {boxes!r}") from None
    if boxes.shape != (n_images, 4):
        raise ValueError(
            f"boxes must be of shape ({n_images}, 4), left, top, right and bottom of each image, "
            f"got {boxes.shape}"
        )
    lacking = np.isnan(boxes)
    given = ~lacking.all(axis=1)
    empty = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    for wrong, what in (
        (given & lacking.any(axis=1), "lacks a number"),
        (given & empty, "is empty"),
        (given & _are_shares(boxes), "is in shares of the image; multiply by width and height"),
    ):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ValueError(
                f"boxes: box {boxes[row].tolist()} of image {row}, {names[row]}, {what}"
            )
    return boxes


def _are_shares(boxes):
    """Whether boxes, which are in pixels, end within the first one with a fraction."""
    return (boxes[:, 2:] <= 1).all(axis=1) & (boxes != np.trunc(boxes)).any(axis=1)


def whole(width, height, box=None):
    """Return the region that a box leaves of an image: all of it without one."""
    if box is None or np.isnan(box).any():
        return 0.0, 0.0, float(width), float(height)
    left, top = max(float(box[0]), 0.0), max(float(box[1]), 0.0)
    right, bottom = min(float(box[2]), float(width)), min(float(box[3]), float(height))
    if right <= left or bottom <= top:
        box = np.asarray(box).tolist()
        raise ValueError(f"its box {box} lies outside its {width} × {height} pixels")
    return left, top, right, bottom


def center_crop(region, size):
    """Return the largest region of the shape of ``size``, in the middle.

    Parameters
    ----------
    region : tuple of float
        left, top, right, bottom.
    size : tuple of int
        (width, height) of the result.

    Returns
    -------
    tuple of float

    Examples
    --------
    >>> center_crop((0, 0, 60, 40), (10, 10))
    (10.0, 0.0, 50.0, 40.0)
    """
    left, top, right, bottom = region
    width, height = right - left, bottom - top
    scale = min(width / size[0], height / size[1])
    across, down = (width - scale * size[0]) / 2, (height - scale * size[1]) / 2
    return left + across, top + down, right - across, bottom - down


def padded_size(region, size):
    """Return the (width, height) of a region that is shrunk until it fits into ``size``.

    Examples
    --------
    >>> padded_size((0, 0, 60, 40), (30, 30))
    (30, 20)
    """
    width, height = region[2] - region[0], region[3] - region[1]
    scale = min(size[0] / width, size[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def random_crop(region, rng, scale=(0.4, 1.0), ratio=(3 / 4, 4 / 3)):
    """Draw a part of a region: a random share of its area, of a random shape, anywhere.

    The crop of Szegedy et al. (2015) that nearly all training on photos uses.

    Parameters
    ----------
    region : tuple of float
        left, top, right, bottom.
    rng : numpy.random.Generator
    scale : tuple of float, default=(0.4, 1.0)
        Range of the share of the area.
    ratio : tuple of float, default=(3/4, 4/3)
        Range of width over height, uniform in its logarithm.

    Returns
    -------
    tuple of float
        The largest part of an allowed shape, in the middle, where ten draws do not fit.

    References
    ----------
    .. [1] C. Szegedy et al., "Going deeper with convolutions", CVPR 2015.
       :doi:`10.1109/CVPR.2015.7298594`
    """
    left, top, right, bottom = region
    width, height = right - left, bottom - top
    for _ in range(10):
        area = width * height * rng.uniform(*scale)
        shape = np.exp(rng.uniform(*np.log(ratio)))
        across, down = np.sqrt(area * shape), np.sqrt(area / shape)
        if across <= width and down <= height:
            x, y = rng.uniform(0, width - across), rng.uniform(0, height - down)
            return left + x, top + y, left + x + across, top + y + down
    allowed = min(max(width / height, ratio[0]), ratio[1])
    return center_crop(region, (allowed, 1.0))
