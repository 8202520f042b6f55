"""One image file to an array of bytes, whatever it stores: upright, cropped, resized."""

import os
import stat
import threading
import warnings
from contextlib import contextmanager

import numpy as np

from metriclearn._extras import require

#: The decoders that files of strangers may reach. Pillow has forty more, some of which start
#: other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
#: How their files are called.
SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif"),
        *(".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
    )
)
#: How pixels may be resized; all of them average over what they shrink.
INTERPOLATIONS = ("bicubic", "bilinear", "lanczos", "box")
_ORIENTATION = 0x0112  # the EXIF tag
_QUARTER_TURNED = (5, 6, 7, 8)
# Pillow shrinks by whole factors first where that leaves this many times the size that is
# asked for; 2 looks like 3 and is faster.
_REDUCING_GAP = 2.0
_HEADER_LOCK = threading.Lock()


class UnreadableImageError(ValueError):
    """A file that is no image, or a damaged one."""


@contextmanager
def opened(file):
    """Open an image file for reading, without decoding it yet.

    Parameters
    ----------
    file : path-like

    Yields
    ------
    PIL.Image.Image
    """
    image_module = require("PIL.Image", "images")
    try:
        found = os.stat(file)
    except FileNotFoundError:
        parts = os.fspath(file).split(os.sep)
        is_address = any(part.lower() in ("http:", "https:", "s3:", "gs:") for part in parts)
        hint = ", but an address; download it first" if is_address else ""
        raise FileNotFoundError(f"{file}: there is no such file{hint}") from None
    except OSError as error:  # of links that go in circles, or a folder that may not be read
        raise UnreadableImageError(f"{file}: cannot be opened ({error.strerror})") from None
    except ValueError as error:  # of a zero byte
        raise UnreadableImageError(f"{os.fspath(file)!r}: no name of a file ({error})") from None
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableImageError(f"{file}: not a regular file")
    if not found.st_size:
        raise UnreadableImageError(f"{file}: the file is empty")
    try:
        # Filters of warnings belong to all threads: one at a time.
        with _HEADER_LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes that are allowed
            image = image_module.open(file, formats=FORMATS)
        with image:
            with _HEADER_LOCK, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image.getexif()
            if image.format == "TIFF" and orientation(image) != 1:
                image.load()  # Pillow turns these upright itself, which changes their size
                image.getexif().pop(_ORIENTATION, None)  # older ones leave it there
            yield image
    except UnreadableImageError:
        raise
    except image_module.UnidentifiedImageError:
        raise UnreadableImageError(
            f"{file}: no image of a known format ({', '.join(FORMATS)})"
        ) from None
    except Exception as error:  # whatever a decoder makes of a damaged file
        text = getattr(error, "strerror", None) or str(error)
        reason = " ".join(text.split()) or type(error).__name__
        raise UnreadableImageError(f"{file}: the image cannot be read ({reason})") from None


def orientation(image):
    """Return the EXIF orientation of an image, from 1 to 8; 1 where there is none."""
    value = image.getexif().get(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def upright_size(image):
    """Return width and height of an opened image as a person sees it."""
    width, height = image.size
    return (height, width) if orientation(image) in _QUARTER_TURNED else (width, height)


def read_region(image, region, size, mode, interpolation="bicubic"):
    """Read a part of an opened image at a size.

    A JPEG is decoded at a half, a quarter or an eighth of its size where that is enough.

    Parameters
    ----------
    image : PIL.Image.Image
        Just opened.
    region : tuple of float
        left, top, right, bottom in pixels of the upright image.
    size : tuple of int
        (width, height) of the result.
    mode : {"RGB", "L"}
    interpolation : str, default="bicubic"
        One of ``INTERPOLATIONS``.

    Returns
    -------
    ndarray of shape (height, width, 3) or (height, width), dtype uint8
    """
    image_module = require("PIL.Image", "images")
    turn = orientation(image)
    width, height = upright_size(image)
    # The size that the whole image would have if the region were at the size asked for.
    enlarged = (
        size[0] * width / max(region[2] - region[0], 1e-6),
        size[1] * height / max(region[3] - region[1], 1e-6),
    )
    stored = enlarged[::-1] if turn in _QUARTER_TURNED else enlarged
    image.draft("L" if mode == "L" else "RGB", tuple(max(1, int(np.ceil(s))) for s in stored))
    image.load()
    pixels = to_bytes(image, mode)
    if turn != 1:
        pixels = pixels.transpose(_transposes(image_module)[turn])
    across, down = pixels.width / width, pixels.height / height
    box = (region[0] * across, region[1] * down, region[2] * across, region[3] * down)
    box = (*np.maximum(box[:2], 0), min(box[2], pixels.width), min(box[3], pixels.height))
    resampling = image_module.Resampling[interpolation.upper()]
    return np.asarray(pixels.resize(size, resampling, box=box, reducing_gap=_REDUCING_GAP))


def _transposes(image_module):
    transpose = image_module.Transpose
    return {
        2: transpose.FLIP_LEFT_RIGHT,
        3: transpose.ROTATE_180,
        4: transpose.FLIP_TOP_BOTTOM,
        5: transpose.TRANSPOSE,
        6: transpose.ROTATE_270,
        7: transpose.TRANSVERSE,
        8: transpose.ROTATE_90,
    }


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
    if isinstance(image.info.get("transparency"), int):  # the value that stands for nothing
        pixels[values == image.info["transparency"]] = 255
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
