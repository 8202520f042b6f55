"""Images that stay on disk until they are asked for."""

from numbers import Integral
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from metriclearn._extras import require
from metriclearn._progress import progress


class ImagePaths:
    """An array of image files, read only by :meth:`load`.

    Indexed like an array, also by scikit-learn's splitters: one index gives the
    :class:`~pathlib.Path` of one image; a slice, mask or array of indices gives
    ``ImagePaths`` of the same shape. ``images[pairs]``, for instance, is of shape
    ``(n_pairs, 2)``.

    Parameters
    ----------
    folder : str or Path
        What the names are relative to.
    names : array-like of str
        Of any shape, with ``/`` between the parts of a name.

    Attributes
    ----------
    folder : Path
    names : ndarray of object (str)
    shape : tuple of int

    Examples
    --------
    >>> from metriclearn.datasets import ImagePaths
    >>> images = ImagePaths("birds", ["a/1.jpg", "a/2.jpg", "b/1.jpg"])
    >>> len(images), images[2].name
    (3, '1.jpg')
    >>> images[[[0, 1], [0, 2]]].shape
    (2, 2)
    """

    def __init__(self, folder, names):
        self.folder = Path(folder)
        self.names = np.asarray(names, dtype=object)

    @property
    def shape(self):
        """Shape of the array of names."""
        return self.names.shape

    def __len__(self):
        return len(self.names)

    def __getitem__(self, key):
        names = self.names[key]
        if np.ndim(names) == 0:
            return self.folder / str(names)
        return ImagePaths(self.folder, names)

    def __repr__(self):
        return f"<ImagePaths of shape {self.shape} in {self.folder}>"

    def load(self, size=None, *, mode="RGB", channels_first=False, n_jobs=None, verbose=0):
        """Read the images into one array.

        Parameters
        ----------
        size : int or (height, width), default=None
            Each image is scaled until it covers this size, keeping its aspect
            ratio, and cropped at the center; an int is a square. None keeps the
            images as they are, which then have to be of one size.
        mode : {"RGB", "L"}, default="RGB"
            Color, or grey.
        channels_first : bool, default=False
            Whether color images are of shape ``(3, height, width)``, as torch
            wants them.
        n_jobs : int, default=None
            Number of threads that read, as in joblib.
        verbose : int, default=0
            Whether to show a progress bar.

        Returns
        -------
        ndarray of shape (..., height, width, 3), dtype uint8
            ``(..., 3, height, width)`` with ``channels_first``;
            ``(..., height, width)`` in grey, ``...`` the shape of this array.

        Raises
        ------
        ValueError
            If there are no images, they differ in size while ``size`` is None, or
            ``size`` or ``mode`` is none of those above.
        OSError
            If a file is missing or no image.
        ImportError
            If Pillow is not installed.
        """
        if self.names.size == 0:
            raise ValueError("load: there are no images to load")
        if mode not in ("RGB", "L"):
            raise ValueError(f"mode must be 'RGB' or 'L', got {mode!r}")
        size = _check_size(size)
        require("PIL.Image", "cli")
        names = self.names.ravel()
        first = _read(self.folder / names[0], size, mode)
        pixels = np.empty((len(names), *first.shape), dtype=np.uint8)

        def fill(k):
            image = _read(self.folder / names[k], size, mode)
            if image.shape != first.shape:
                raise ValueError(
                    f"size=None: images differ in size, {names[0]} is {first.shape[:2]} and "
                    f"{names[k]} is {image.shape[:2]} (height, width); give a size"
                )
            pixels[k] = image
            advance()

        with progress(verbose, "reading images", len(names)) as advance:
            # Threads: Pillow decodes and scales outside the interpreter's lock.
            Parallel(n_jobs=n_jobs, backend="threading")(
                delayed(fill)(k) for k in range(len(names))
            )
        if channels_first and mode == "RGB":
            pixels = np.ascontiguousarray(np.moveaxis(pixels, -1, 1))
        return pixels.reshape(self.shape + pixels.shape[1:])


def _check_size(size):
    """Return ``size`` as Pillow's (width, height), or None."""
    if size is None:
        return None
    pair = [size, size] if isinstance(size, Integral) else np.ravel(size).tolist()
    if len(pair) != 2 or not all(isinstance(side, Integral) and side >= 1 for side in pair):
        raise ValueError(
            f"size must be None, a positive int or a pair (height, width) of them, got {size!r}"
        )
    height, width = pair
    return int(width), int(height)


def _read(path, size, mode):
    image_class, operations = require("PIL.Image", "cli"), require("PIL.ImageOps", "cli")
    with image_class.open(path) as image:
        image = image.convert(mode)
    if size is not None:
        image = operations.fit(image, size, method=image_class.Resampling.BICUBIC)
    return np.asarray(image)
