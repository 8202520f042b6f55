"""Pixels of an opened image as bytes, whatever the file stores them as."""

import numpy as np

from metriclearn._extras import require

#: Where transparent pixels are seen through to.
BACKGROUND = "white"
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
#: Modes of pictures without color.
GRAY_MODES = ("1", "L", "I", "F", *_SIXTEEN_BITS)


def to_bytes(image, mode):
    """Convert an image to 8 bits a channel.

    16-bit pixels are scaled by 1/257. 32-bit integers are taken for 16-bit ones, which is
    what most programs store in them, or for 8-bit ones where none is above 255; floats are
    taken for shares of white where none is above 1, else for 0 to 255. What is transparent
    shows white, not the color that is hidden there. Palettes, CMYK, LAB and the like are
    converted by Pillow.

    Parameters
    ----------
    image : PIL.Image.Image
        Already decoded, or about to be.
    mode : {"RGB", "L"}

    Returns
    -------
    PIL.Image.Image
        Of this mode.

    Raises
    ------
    ValueError
        If numbers are outside these ranges.
    """
    if image.mode in _SIXTEEN_BITS or image.mode in ("I", "F"):
        image = _gray_bytes(image)
    elif "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = _over_background(image)
    return image if image.mode == mode else image.convert(mode)


def _gray_bytes(image):
    values = np.asarray(image).astype(np.float64)
    if not np.all(np.isfinite(values)):
        raise ValueError("its pixels hold NaN or infinity")
    low, high = values.min(initial=0), values.max(initial=0)
    white = _white(image.mode, high)
    if low < 0 or high > white:
        raise ValueError(
            f"its pixels go from {low:g} to {high:g}, which is none of 0..1, 0..255, 0..65535; "
            f"save it with 8 or 16 bits"
        )
    pixels = np.rint(values * (255 / white)).astype(np.uint8)
    return require("PIL.Image", "images").fromarray(pixels)


def _white(mode, high):
    """Return the value that stands for white."""
    if mode == "F":
        return 1.0 if high <= 1 else 255.0
    return 255.0 if mode == "I" and high <= 255 else 65535.0


def _over_background(image):
    image = image.convert("RGBA")
    background = require("PIL.Image", "images").new("RGBA", image.size, BACKGROUND)
    background.alpha_composite(image)
    return background.convert("RGB")
