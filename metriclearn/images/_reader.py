"""Image files to arrays of bytes: in threads, ahead of whoever takes them, cached if asked."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike

from metriclearn._extras import require
from metriclearn._progress import progress
from metriclearn.images._cache import RowCache, digest
from metriclearn.images._decode import (
    INTERPOLATIONS,
    UnreadableImageError,
    missing_file,
    opened,
    orientation,
    read_region,
    to_bytes,
    upright_size,
)
from metriclearn.images._items import check_items
from metriclearn.images._regions import (
    CROPS,
    center_crop,
    check_boxes,
    check_size,
    padded_size,
    random_crop,
    whole,
)

MODES = ("RGB", "L")
# How many batches are decoded ahead of the one that is used.
_AHEAD = 2
_BATCH = 64
# How many images are in one part of a cache.
_PART = 512
_MOST_LISTED = 20
# So many missing files are each named, where all are missing.
_FEW = 10


class ImageReader:
    """Reads image files at one size: upright, aspect kept, no more decoded than needed.

    JPEGs are decoded at a half, a quarter or an eighth of their size where that is enough.
    EXIF orientation is applied; 12-bit, 16-bit, 32-bit and float pixels are scaled to bytes, what
    is transparent is shown on white, and of moving pictures the first is read. White of wide
    integers is the largest of 8, 12 or 16 bits that all pixels fit in, where the file does not
    say it. A file that ends early cannot be read, however little is missing: a JPEG without its
    last byte is an error, as what is missing would be gray. So are gaps of zeros and wrong
    checksums, where a format tells them: see "Damaged image files" in the guide on data.

    Parameters
    ----------
    size : int or (height, width), default=None
        None keeps the images as they are, which then have to be of one size.
    crop : {"center", "pad", "squash"}, default="center"
        How an image of another shape is brought to ``size``: its middle; all of it on a black
        ground; stretched.
    share : float, default=1.0
        With ``crop="center"``, the share of the middle's sides that is kept: 0.875 is what
        many pretrained networks are evaluated with.
    mode : {"RGB", "L"}, default="RGB"
        Color, or gray.
    interpolation : {"bicubic", "bilinear", "lanczos", "box"}, default="bicubic"
        How pixels are resized; each averages over what it shrinks.
    cache : str or Path, default=None
        A folder that the pixels are kept in, by the identity of a file (its path, size and
        time of change) and what is asked of it. Runs, folds and processes share it.
    n_jobs : int, default=None
        Number of threads that read, as in joblib; None is all that the process may use, since
        threads that decode do not get in each other's way.

    See Also
    --------
    ImagePaths : The files.

    Examples
    --------
    >>> from metriclearn.images import ImagePaths, ImageReader
    >>> reader = ImageReader(size=(32, 48), crop="pad")
    >>> pixels = reader.load(ImagePaths("photos", ["a.jpg"]))  # doctest: +SKIP
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        *,
        crop: str = "center",
        share: float = 1.0,
        mode: str = "RGB",
        interpolation: str = "bicubic",
        cache: str | Path | None = None,
        n_jobs: int | None = None,
    ) -> None:
        if crop not in CROPS:
            raise ValueError(f"crop must be one of {', '.join(map(repr, CROPS))}, got {crop!r}")
        if mode not in MODES:
            raise ValueError(f"mode must be 'RGB' or 'L', got {mode!r}")
        if interpolation not in INTERPOLATIONS:
            known = ", ".join(map(repr, INTERPOLATIONS))
            raise ValueError(f"interpolation must be one of {known}, got {interpolation!r}")
        if not isinstance(share, Real) or not 0 < share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {share!r}")
        if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
            raise ValueError(f"n_jobs must be a number of threads but 0, or None, got {n_jobs!r}")
        self.size = None if size is None else check_size(size)
        self.crop = crop
        self.share = share
        self.mode = mode
        self.interpolation = interpolation
        self.cache = cache
        self.n_jobs = n_jobs

    def read(self, file: Any, box: ArrayLike | None = None) -> np.ndarray:
        """Read one image.

        Parameters
        ----------
        file : path-like or PIL.Image.Image
        box : array-like of shape (4,), default=None
            left, top, right, bottom of what is to be seen, in pixels of the upright image.

        Returns
        -------
        ndarray of shape (height, width, 3) or (height, width), dtype uint8

        Raises
        ------
        UnreadableImageError
            A ``ValueError``: if the file is no image, or damaged.
        FileNotFoundError
            If there is no such file.
        """
        box = None if box is None else check_boxes([box], [file])[0]
        with opened(file) as image:
            region = whole(*upright_size(image), box)  # type: ignore[call-arg]
            if self.size is None:
                size = round(region[2] - region[0]), round(region[3] - region[1])
                return self._region(image, region, size)
            if self.crop == "pad":
                return self._padded(self._region(image, region, padded_size(region, self.size)))
            if self.crop == "center":
                region = _middle(center_crop(region, self.size), self.share)
            return self._region(image, region, self.size)

    def read_random_crop(
        self, file: Any, rng: np.random.Generator, box: ArrayLike | None = None, **ranges: Any
    ) -> np.ndarray:
        """Read a random part of one image, cut from the pixels of the file.

        Parameters
        ----------
        file : path-like or PIL.Image.Image
        rng : numpy.random.Generator
        box : array-like of shape (4,), default=None
            See :meth:`read`.
        **ranges : pair of float
            ``scale`` and ``ratio``: the share of the area, and width over height.

        Returns
        -------
        ndarray of shape (height, width, 3) or (height, width), dtype uint8
        """
        box = None if box is None else check_boxes([box], [file])[0]
        with opened(file) as image:
            region = random_crop(whole(*upright_size(image), box), rng, **ranges)  # type: ignore[call-arg]
            return self._region(image, region, self.size)

    def load(
        self, images: Any, *, on_error: str = "raise", verbose: int = 0
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Read all images into one array.

        Parameters
        ----------
        images : ImagePaths, data set, or list or array of paths or of images
            Of any shape.
        on_error : {"raise", "skip"}, default="raise"
            Whether files that cannot be read (none there, damaged, cut off, of another format) are
            one error that names all of them, or are left out: the numbers of those that are left
            are then returned as well.
        verbose : int, default=0
            Whether to show a progress bar.

        Returns
        -------
        pixels : ndarray of shape (..., height, width, 3), dtype uint8
            ``(..., height, width)`` in gray, ``...`` the shape of ``images``.
        kept : ndarray of int
            With ``on_error="skip"`` only.

        Raises
        ------
        ValueError
            If there are no images, some cannot be read, or they differ in size while
            ``size`` is None.
        """
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
        items = check_items(images)
        n = len(items.files)
        if not n:
            raise ValueError("load: there are no images to load")
        pixels, failed = [None] * n, {}
        with progress(verbose, "reading images", n) as advance:
            for rows, found, errors in self._attempts(items, np.arange(n), _BATCH):
                failed |= errors
                for row, image in zip(rows, found, strict=True):
                    pixels[row] = image
                advance(steps=len(rows))
        if failed and (on_error == "raise" or len(failed) == n):
            raise unreadable(failed, n)
        kept = np.array([row for row in range(n) if row not in failed])
        pixels = _stacked([pixels[row] for row in kept], items, kept)
        return (
            (pixels, kept) if on_error == "skip" else pixels.reshape(items.shape + pixels.shape[1:])
        )

    def batches(self, images: Any, batch_size: int = _BATCH) -> Iterator[np.ndarray]:
        """Read the images batch by batch, two batches ahead of the one that is used.

        Parameters
        ----------
        images : ImagePaths, data set, or list or array of paths or of images
        batch_size : int, default=64

        Yields
        ------
        ndarray of shape (b, height, width[, 3]), dtype uint8

        Raises
        ------
        ValueError
            If some cannot be read: after the last image was tried, naming all of them.
        """
        items = check_items(images)
        failed, everything = {}, np.arange(len(items.files))
        for rows, pixels, errors in self._attempts(items, everything, batch_size):
            failed |= errors
            if not failed:
                yield _stacked(pixels, items, rows)
        if failed:
            raise unreadable(failed)

    def identities(self, images: Any) -> list[bytes]:
        """Return what tells each image, as this reader reads it, from all others.

        Parameters
        ----------
        images : ImagePaths, data set, or list or array of paths or of images

        Returns
        -------
        list of bytes
            Hashes of 16 bytes, of the file's path, size, time of change, box and settings.
        """
        items, settings = check_items(images), self.settings()
        boxes = [b""] * len(items.files) if items.boxes is None else map(bytes, items.boxes)
        return [
            digest(settings, _identity(file), box)
            for file, box in zip(items.files, boxes, strict=True)
        ]

    def settings(self) -> str:
        """Return what decides the pixels beside the file, as text."""
        return f"{self.size} {self.crop} {self.share:g} {self.mode} {self.interpolation}"

    def _attempts(self, items, rows, batch_size):
        """Yield rows, their pixels (None where it failed) and {row: error}, batch by batch."""
        starts = range(0, len(rows), batch_size)
        batches = [rows[start : start + batch_size] for start in starts]
        if self.cache is None:
            yield from self._decoded(items, batches)
            return
        if self.size is None:
            raise ValueError("size=None: images of any size cannot be cached; give a size")
        keys = self.identities(items)
        cache = RowCache(Path(self.cache) / digest(self.settings()).hex())
        cache.make_folder(self.cache)
        failed = self._fill(cache, items, keys, rows)
        for batch in batches:
            errors = {row: failed[row] for row in batch if row in failed}
            good = [row for row in batch if row not in failed]
            found = dict(
                zip(good, cache.take([keys[row] for row in good]) if good else (), strict=True)
            )
            yield batch, [found.get(row) for row in batch], errors

    def _fill(self, cache, items, keys, rows):
        """Decode what the cache lacks, a part at a time; return {row: error}."""
        missing = rows[cache.missing([keys[row] for row in rows])]
        failed = {}
        parts = [missing[k : k + _PART] for k in range(0, len(missing), _PART)]
        for part, pixels, errors in self._decoded(items, parts):
            failed |= errors
            good = [k for k, row in enumerate(part) if row not in errors]
            if good:
                block = [pixels[k] for k in good]
                cache.add([keys[part[k]] for k in good], [block], block[0].shape, np.uint8)
        return failed

    def _decoded(self, items, batches):
        """Decode batches in threads, two of them ahead."""
        require("PIL.Image", "images")
        files, boxes, _ = items

        def submit(rows):
            given = [(files[row], None if boxes is None else boxes[row]) for row in rows]
            return [pool.submit(_attempt, self.read, *item) for item in given]

        with ThreadPoolExecutor(
            effective_n_jobs(-1 if self.n_jobs is None else self.n_jobs)
        ) as pool:
            waiting = deque()
            for rows in itertools.chain(batches, [None] * _AHEAD):
                if rows is not None:
                    waiting.append((rows, submit(rows)))
                if len(waiting) > _AHEAD or (rows is None and waiting):
                    first, futures = waiting.popleft()
                    results = [future.result() for future in futures]
                    errors = {
                        row: result
                        for row, result in zip(first, results, strict=True)
                        if isinstance(result, Exception)
                    }
                    yield first, [None if isinstance(r, Exception) else r for r in results], errors

    def _region(self, image, region, size):
        return read_region(image, region, size, self.mode, self.interpolation)

    def _padded(self, pixels):
        width, height = self.size
        padded = np.zeros((height, width, *pixels.shape[2:]), dtype=np.uint8)
        top, left = (height - pixels.shape[0]) // 2, (width - pixels.shape[1]) // 2
        padded[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        return padded


def unreadable(failed, n_images=0):
    """Make one error of all files that cannot be read, of so many images."""
    errors = [failed[row] for row in sorted(failed)]
    if len(errors) == 1:
        return errors[0]
    missing = sum(isinstance(error, FileNotFoundError) for error in errors)
    if missing == n_images > _FEW:
        return FileNotFoundError(
            f"none of {n_images} images is there, for instance {errors[0]}; names are relative to "
            f"the folder of their list or the one that is given with them"
        )
    kinds = [type(error) for error in errors if not isinstance(error, ValueError)]
    listed = "\n  ".join(str(error) for error in errors[:_MOST_LISTED])
    rest = len(errors) - _MOST_LISTED
    more = f"\n  and {rest} more" if rest > 0 else ""
    kind = kinds[0] if kinds else UnreadableImageError
    return kind(f"{len(errors)} images cannot be read:\n  {listed}{more}")


def _attempt(read, file, box):
    """Read one image; an error is a result, too."""
    try:
        return read(file, box)
    except (OSError, ValueError) as error:
        return error


def missing_files(files):
    """Return {row: error} of the files that are not there.

    Parameters
    ----------
    files : list of Path, or of what is no file
    """
    missing = {}
    for row, file in enumerate(files):
        if isinstance(file, (str, Path)) and not os.path.exists(file):
            missing[row] = missing_file(file)
    return missing


def _identity(file):
    if not isinstance(file, (str, Path)):
        try:
            with opened(file) as image:
                image.load()
                # Of palettes and of what is transparent, the values alone do not tell all.
                return digest(orientation(image), image.size, to_bytes(image, "RGB").tobytes())
        except (OSError, ValueError) as error:  # reading it says so, of all such images
            return str(error)
    try:
        found = os.stat(file)
    except (OSError, ValueError) as error:
        return str(error)
    # Programs that copy set the time of the last change back, but not that of the entry.
    return f"{Path(file).resolve()} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _middle(region, share):
    left, top, right, bottom = region
    across, down = (right - left) * (1 - share) / 2, (bottom - top) * (1 - share) / 2
    return left + across, top + down, right - across, bottom - down


def _stacked(pixels, items, rows):
    for row, image in zip(rows, pixels, strict=True):
        if image.shape != pixels[0].shape:
            raise ValueError(
                f"size=None: images differ in size, {items.files[rows[0]]} is "
                f"{pixels[0].shape[:2]} and {items.files[row]} is {image.shape[:2]} (height, "
                f"width); give a size"
            )
    return np.stack(pixels)
