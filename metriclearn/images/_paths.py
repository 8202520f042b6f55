"""Image files as an array: indexed and split like one, read only when asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from metriclearn.images._items import items_of
from metriclearn.images._regions import check_boxes

# What goes with each image, and is sliced with it.
_COLUMNS = ("labels", "split", "is_query", "is_gallery", "boxes")


class ImagePaths:
    """An array of image files, read only when something asks for their pixels.

    Indexed like an array, also by scikit-learn's splitters: one index gives the
    :class:`~pathlib.Path` of one image; a slice, mask or array of indices gives
    ``ImagePaths`` of the same shape. ``images[pairs]``, for instance, is of shape
    ``(n_pairs, 2)``.

    Parameters
    ----------
    folder : str or Path
        What the names are relative to.
    names : array-like of str
        Of any shape, with ``/`` between the parts of a name. An absolute name stands for
        itself.
    labels : array-like, default=None
        The class of each image, of the shape of ``names``.
    split : array-like of str, default=None
        The part that each image belongs to, for instance ``"train"`` or ``"test"``.
    is_query, is_gallery : array-like of bool, default=None
        Whether each image is searched with, and whether it is searched among.
    boxes : array-like of shape (n, 4), default=None
        left, top, right, bottom of what is to be seen, in pixels of the upright image; NaN
        where it is all of it.

    Attributes
    ----------
    folder : Path
    names : ndarray of object (str)
    labels, split, is_query, is_gallery, boxes : ndarray or None
    rows : ndarray of int
        The place of each image in the list that it was taken from.
    n_listed : int
        The number of images in that list.
    shape : tuple of int

    See Also
    --------
    ImageReader : Reads them into an array.
    Features : Turns them into vectors of a pretrained network.

    Examples
    --------
    >>> from metriclearn.images import ImagePaths
    >>> images = ImagePaths("birds", ["a/1.jpg", "a/2.jpg", "b/1.jpg"], labels=["a", "a", "b"])
    >>> len(images), images[2].name, images[1:].labels.tolist()
    (3, '1.jpg', ['a', 'b'])
    >>> images[[[0, 1], [0, 2]]].shape
    (2, 2)
    """

    def __init__(
        self,
        folder: Path,
        names: Any,
        *,
        labels: np.ndarray | None = None,
        split: np.ndarray | None = None,
        is_query: np.ndarray | None = None,
        is_gallery: np.ndarray | None = None,
        boxes: np.ndarray | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.names = np.asarray(names, dtype=object)
        self.labels = self._column("labels", labels)
        self.split = self._column("split", split)
        self.is_query = self._column("is_query", is_query, dtype=bool)
        self.is_gallery = self._column("is_gallery", is_gallery, dtype=bool)
        self.boxes = boxes if self.names.ndim != 1 else check_boxes(boxes, self.names)
        self.n_listed = self.names.size
        self.rows = np.arange(self.n_listed).reshape(self.names.shape)

    @classmethod
    def from_folder(cls, folder: str | Path, *, recursive: bool = True) -> ImagePaths:
        """List the images of a folder that has one sub-folder for each class.

        Folders called train, val, valid, validation, dev, test, query and gallery, also in
        names such as ``train_set``, that all hold such sub-folders are taken for parts of the
        data: ``split`` says which, and query and gallery set ``is_query`` and ``is_gallery``.
        Other folders may stand beside these if no image is in them. What operating systems put
        beside files is passed over.

        Parameters
        ----------
        folder : str or Path
        recursive : bool, default=True
            Whether images deeper in a class's folder belong to it, too.

        Returns
        -------
        ImagePaths
            With ``labels``, the names of the sub-folders, sorted by name.

        Raises
        ------
        ValueError
            If there is no such folder, or no image in it, or in some of its sub-folders.
        """
        from metriclearn.images._listings import list_folder

        return cls(folder, **list_folder(folder, recursive))

    @classmethod
    def from_csv(
        cls,
        file: str | Path,
        *,
        folder: str | Path | None = None,
        path: str | None = None,
        label: str | None = None,
        split: str | None = None,
    ) -> ImagePaths:
        """List the images that a CSV file names, one a row.

        Parameters
        ----------
        file : str or Path
            With a column of paths and one of labels; ``split``, ``is_query``,
            ``is_gallery`` and boxes in pixels (``x_1, y_1, x_2, y_2``, ``xmin, ymin, xmax,
            ymax``, or ``x, y, width, height``) are read where they are there. UTF-8 or UTF-16;
            a blank in ``is_query`` or ``is_gallery`` is false.
        folder : str or Path, default=None
            What the paths are relative to; by default the folder of the file, or the working
            directory where the first image is found from there only.
        path, label, split : str, default=None
            Names of the columns; by default the one that is called path, file, filename or
            image, or else the only one that holds names of images, and the one that is called
            label, class, target or y, or else the only other one; split, subset, partition,
            is_train or is_test.

        Returns
        -------
        ImagePaths

        Raises
        ------
        ValueError
            If a column is missing, or an entry of it.
        """
        from metriclearn.images._listings import list_csv

        listed = list_csv(file, path, label, split)
        if folder is None:
            first, beside = listed["names"][0], Path(file).parent
            here = Path(first).exists() and not (beside / first).exists()
            folder = Path.cwd() if here else beside
        return cls(folder, **listed)

    def _file(self, name):
        return self.folder / name if isinstance(name, (str, Path)) else name

    def _column(self, name, values, dtype=None):
        if values is None:
            return None
        values = np.asarray(values, dtype=dtype)
        if values.shape != self.names.shape:
            raise ValueError(
                f"{name} must be of shape {self.names.shape}, as the names are, got {values.shape}"
            )
        return values

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array of names."""
        return self.names.shape

    @property
    def ndim(self) -> int:
        """Number of its dimensions."""
        return self.names.ndim

    @property
    def files(self) -> list[str]:
        """The files one after the other, as a list of `~pathlib.Path` (or Pillow images)."""
        return [self._file(name) for name in self.names.ravel()]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, key):
        names = self.names[key]
        if not isinstance(names, np.ndarray):
            return self._file(names)
        columns = {name: getattr(self, name) for name in _COLUMNS}
        part = ImagePaths(
            self.folder,
            names,
            **{name: column if column is None else column[key] for name, column in columns.items()},
        )
        part.rows, part.n_listed = self.rows[key], self.n_listed
        return part

    def __repr__(self):
        return f"<ImagePaths of shape {self.shape} in {self.folder}>"

    def load(
        self,
        size: int | tuple[int, int] | None = None,
        *,
        crop: str = "center",
        mode: str = "RGB",
        channels_first: bool = False,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Read the images into one array.

        Parameters
        ----------
        size : int or (height, width), default=None
            None keeps the images as they are, which then have to be of one size.
        crop : {"center", "pad", "squash"}, default="center"
            How an image of another shape is brought to ``size``: its middle; all of it on a
            black ground; stretched.
        mode : {"RGB", "L"}, default="RGB"
            Color, or gray.
        channels_first : bool, default=False
            Whether color images are of shape ``(3, height, width)``, as networks of torch
            want them. `DeepEmbedder` does not: it wants the channels last.
        n_jobs : int, default=None
            Number of threads that read, as in joblib.
        verbose : int, default=0
            Whether to show a progress bar.

        Returns
        -------
        ndarray of shape (..., height, width, 3), dtype uint8
            ``(..., 3, height, width)`` with ``channels_first``;
            ``(..., height, width)`` in gray, ``...`` the shape of this array.

        Raises
        ------
        ValueError
            If there are no images, some cannot be read (all of them are named), or they
            differ in size while ``size`` is None.
        FileNotFoundError
            If a file is missing.
        ImportError
            If Pillow is not installed.
        """
        from metriclearn.images._reader import ImageReader

        reader = ImageReader(size, crop=crop, mode=mode, n_jobs=n_jobs)
        pixels = reader.load(self, verbose=verbose)
        if channels_first and mode == "RGB":
            pixels = np.ascontiguousarray(np.moveaxis(pixels, -1, -3))
        return pixels  # type: ignore[return-value]


def as_paths(X):
    """Return ``X`` as `ImagePaths` where it is a list or array of image files.

    Parameters
    ----------
    X : object

    Returns
    -------
    ImagePaths or None
        None where ``X`` is something else.

    Examples
    --------
    >>> as_paths(["a/1.jpg", "a/2.png"]).shape, as_paths([[1.0, 2.0]]) is None
    ((2,), True)
    """
    if isinstance(X, ImagePaths):
        return X
    items = items_of(X)
    return None if items is None else paths_of(items.files)


def paths_of(files):
    """Return `ImagePaths` of a list of files, or of images that are none."""
    names = np.empty(len(files), dtype=object)
    names[:] = files
    return ImagePaths("", names)
