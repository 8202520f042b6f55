"""One image file to an array of bytes, whatever it stores: upright, cropped, resized."""

import io
import os
import stat
import threading
import unicodedata
import warnings
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

from metriclearn._extras import require
from metriclearn.images._content import check_content, may_hold_late_exif
from metriclearn.images._datasets import Picture, as_pixels, is_encoded

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
#: Pictures that are not read.
OTHER_SUFFIXES = frozenset(
    (
        *(".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".psd", ".eps", ".raw"),
        *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2"),
    )
)
#: How pixels may be resized; all of them average over what they shrink.
INTERPOLATIONS = ("bicubic", "bilinear", "lanczos", "box")
_ORIENTATION = 0x0112  # the EXIF tag
_BITS, _MOST = 258, 281  # tags of TIFF: bits of a value, and the largest one
_QUARTER_TURNED = (5, 6, 7, 8)
# Pillow shrinks by whole factors first where that leaves this many times the size that is
# asked for; 2 looks like 3 and is faster.
_REDUCING_GAP = 2.0
_HEADER_LOCK = threading.Lock()


class UnreadableImageError(ValueError):
    """A file that is no image, or a damaged one."""


@contextmanager
def opened(image):
    """Open an image for reading, without decoding it yet where it is a file.

    Parameters
    ----------
    image : path-like, Picture or PIL.Image.Image

    Yields
    ------
    PIL.Image.Image
        One's own, which may be changed.

    Raises
    ------
    UnreadableImageError, FileNotFoundError
        Errors name the image.
    """
    name = image
    if isinstance(image, Picture):
        with _reading(name):
            image = image.make()
    if isinstance(image, dict):
        image = image["bytes"] or image["path"]
    if image is None:
        raise UnreadableImageError(f"{name}: there is no image, but None; leave it out")
    if isinstance(image, (str, os.PathLike)):
        _check_file(image, image if image is name else f"{name}, {image}")
        with _decoder(image, image if image is name else f"{name}, {image}") as found:
            yield found
    elif is_encoded(image):
        with _decoder(io.BytesIO(image), name) as found:
            yield found
    else:
        pixels = as_pixels(image)
        with _reading(name):
            if pixels is None:
                # Others hold this one, too, and a file of it is decoded only once.
                found = image.copy()
            else:
                flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
                found = require("PIL.Image", "images").fromarray(flat)
        with _reading(name):
            yield found


def _check_file(file, name):
    """Check that there is something to decode, without opening it: pipes may hang."""
    try:
        found = os.stat(file)
    except FileNotFoundError:
        raise missing_file(file, name) from None
    except OSError as error:  # of links that go in circles, or a folder that may not be read
        raise UnreadableImageError(f"{name}: cannot be opened ({error.strerror})") from None
    except ValueError as error:  # of a zero byte
        raise UnreadableImageError(f"{os.fspath(file)!r}: no name of a file ({error})") from None
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableImageError(f"{name}: not a regular file")
    if not found.st_size:
        raise UnreadableImageError(f"{name}: the file is empty")


@contextmanager
def _decoder(file, name):
    """Open a file, or what is in one, by the decoders that strangers may reach."""
    image_module = require("PIL.Image", "images")
    with _reading(name, file):
        # Filters of warnings belong to all threads: one at a time.
        with _HEADER_LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes that are allowed
            image = image_module.open(file, formats=FORMATS)
        with image:
            if may_hold_late_exif(image):
                check_content(image)
                image.load()  # reads up to there
            with _HEADER_LOCK, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _exif(image)
            if image.format == "TIFF" and orientation(image) != 1:
                image.load()  # Pillow turns these upright itself, which changes their size
                _exif(image).pop(_ORIENTATION, None)  # older ones leave it there
            yield image


@contextmanager
def _reading(name, file=os.devnull):
    """Turn whatever a decoder or a data set makes of a damaged image into an error with a name."""
    try:
        yield
    except (UnreadableImageError, FileNotFoundError, ImportError):
        raise
    except Exception as error:
        if type(error).__name__ == "UnidentifiedImageError":  # of Pillow
            known = ", ".join(FORMATS)
            raise UnreadableImageError(
                f"{name}: no image of a known format ({known}){_what_it_is(file, name)}"
            ) from None
        text = getattr(error, "strerror", None) or str(error)
        reason = " ".join(text.split()) or type(error).__name__
        raise UnreadableImageError(f"{name}: the image cannot be read ({reason})") from None


def _what_it_is(file, name):
    """Say what a file is that holds no image of a known format, and what to do with it."""
    if isinstance(file, io.BytesIO):
        head = file.getvalue()[:64]
    else:
        with open(file, "rb") as stream:
            head = stream.read(64)
    text = head.lstrip().lower()
    if head[4:8] == b"ftyp":
        suffix = ".avif" if head[8:11] == b"avi" else ".heic"
    elif text.startswith((b"<!doctype html", b"<html")):
        return "; it is a web page, which downloads that fail leave behind"
    elif text.startswith(b"version https://git-lfs"):
        return "; it is a pointer of Git LFS, fetch the file by: git lfs pull"
    else:
        suffix = os.path.splitext(str(name))[1].lower()
    return f"; convert {suffix} to JPEG or PNG" if suffix in OTHER_SUFFIXES else ""


def missing_file(file, name=None):
    """Make the error of a file that is not there, with what is there instead."""
    parts = os.fspath(file).split(os.sep)
    is_address = any(part.lower() in ("http:", "https:", "s3:", "gs:") for part in parts)
    near = None if is_address else near_file(file)
    hint = f"; is {near} meant?" if near else ""
    hint = ", but an address; download it first" if is_address else hint
    return FileNotFoundError(f"{file if name is None else name}: there is no such file{hint}")


def near_file(file):
    r"""Return a file whose name differs in capitals, in how accents are written, or by ``\``.

    Parameters
    ----------
    file : path-like

    Returns
    -------
    Path or None
    """
    parts = Path(os.fspath(file).replace("\\", "/")).parts
    here = Path()
    for part in parts:
        if os.path.lexists(here / part):
            here /= part
            continue
        try:
            names = _names_in(os.fspath(here), os.stat(here).st_mtime_ns)
        except OSError:
            return None
        if _plain(part) not in names:
            return None
        here /= names[_plain(part)]
    return here if here != Path(file) else None


@lru_cache(maxsize=16)
def _names_in(folder, changed):
    return {_plain(name): name for name in os.listdir(folder)}


def _plain(name):
    return unicodedata.normalize("NFC", name).casefold()


def orientation(image):
    """Return the EXIF orientation of an image, from 1 to 8; 1 where there is none."""
    value = _exif(image).get(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _exif(image):
    """Return the EXIF that has been read; that of a PNG would decode its pixels to find more."""
    return require("PIL.Image", "images").Image.getexif(image)


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
    check_content(image)
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

    Of integers wider than a byte, white is what a TIFF says it is, or else the largest of 8, 12
    or 16 bits that all pixels of the image fit in: cameras and microscopes store 12 bits in 16,
    other programs 16 in 32. Floats are taken for shares of white where none is above 1, else for
    0 to 255. What is transparent
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
    white = _white(image, high)
    if low < 0 or high > white:
        raise ValueError(
            f"its pixels go from {low:g} to {high:g}, which is none of 0..1, 0..255, 0..65535; "
            f"save it with 8 or 16 bits"
        )
    pixels = np.rint(values * (255 / white)).astype(np.uint8)
    if isinstance(image.info.get("transparency"), int):  # the value that stands for nothing
        pixels[values == image.info["transparency"]] = 255
    return require("PIL.Image", "images").fromarray(pixels)


def _white(image, high):
    """Return the value that stands for white, where none is higher than ``high``."""
    if image.mode == "F":
        return 1.0 if high <= 1 else 255.0
    tags = getattr(image, "tag_v2", {})
    said = [tags.get(_MOST), 2 ** _first(tags.get(_BITS, 0)) - 1]
    said = [float(_first(value)) for value in said if value and high <= _first(value) <= 65535]
    fitting = (float(2**bits - 1) for bits in (8, 12, 16) if high < 2**bits)
    return min(said) if said and min(said) < 65535 else next(fitting, 65535.0)


def _first(value):
    return value[0] if isinstance(value, tuple) else value


def _over_background(image):
    image = image.convert("RGBA")
    background = require("PIL.Image", "images").new("RGBA", image.size, BACKGROUND)
    background.alpha_composite(image)
    return background.convert("RGB")
