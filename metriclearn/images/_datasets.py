"""Data sets of other libraries: rows that are made when they are asked for.

Tables and columns of Hugging Face's datasets, data sets of torch, and other sequences that are no
lists. None of these libraries is imported to know them.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from metriclearn.images._regions import CHANNELS, has_channels_first

# Names of columns, of those that a table has the first is taken.
LABELS = ("label", "labels", "target", "targets", "y", "class", "fine_label")
_ROWS = ("image", "images", "img", "pixel_values", "x", "X", "input", "inputs", "features")
# Forms of a table whose rows are tables of another library.
_TABLES = ("pandas", "arrow", "polars")
# How many rows are looked at for one that is not missing.
_LOOKED_AT = 1000


class Rows:
    """The part of each item of a data set that is the row.

    One thread asks at a time, as data sets expect.

    Parameters
    ----------
    dataset : sequence
    part : str, int or None
        Where the row is in an item; None where the item is the row.
    first_item : object
        Not asked for again.
    name : str
        Of the data set, for errors.
    """

    def __init__(self, dataset, part, first_item, name):
        self.dataset, self.part, self.first_item, self.name = dataset, part, first_item, name
        self._lock = threading.Lock()

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, number):
        with self._lock:
            item = self.dataset[number]
        return self._row(item)

    def _row(self, item):
        return item if self.part is None else item[self.part]

    def __getstate__(self):
        return {**vars(self), "_lock": None}

    def __setstate__(self, state):
        vars(self).update(state, _lock=threading.Lock())

    def first(self):
        """Return the first row that is not missing."""
        row = self._row(self.first_item)
        if row is not None:
            return row
        found = (self[number] for number in range(1, min(len(self), _LOOKED_AT)))
        return next((row for row in found if row is not None), None)


class Picture:
    """An image that a data set makes each time it is asked for it, or that is in an array.

    Parameters
    ----------
    rows : Rows or array
    number : int
    """

    def __init__(self, rows, number):
        self._rows, self._number = rows, number

    def make(self):
        """Ask for the image: Pillow's, a file, its bytes, or pixels."""
        return self._rows[self._number]

    def __repr__(self):
        return f"row {self._number}"


def rows_of(X):
    """Return the rows of a data set; None of what is none.

    Parameters
    ----------
    X : object

    Returns
    -------
    Rows or None

    Raises
    ------
    TypeError, ValueError
        If it has no rows by number, or none at all, or it is not known where in an item they are.
    """
    columns = columns_of(X)
    if columns is None and not _is_torch(X) and not _is_sequence(X):
        return None
    name = type(X).__name__
    if getattr(X, "format", None) and X.format.get("type") in _TABLES:
        X = X.with_format(None)
    try:
        n, first = len(X), X[0]
    except (TypeError, NotImplementedError):
        raise TypeError(
            f"X is a {name} that is read in one go; give a map-style data set, with a length and "
            f"rows by number, or arrays"
        ) from None
    except IndexError:
        n = 0
    if not n:
        raise ValueError(f"X is a {name} without rows")
    if columns is not None and not isinstance(first, dict):
        return None  # of pyarrow, whose rows are columns
    return Rows(X, None if _is_sequence(X) else _part_of_rows(first, name), first, name)


def columns_of(X):
    """Return the names of the columns of a table of Hugging Face's; None of what is none."""
    try:
        names = X.column_names
    except AttributeError:
        return None
    if isinstance(names, dict):
        raise TypeError(f"X is a {type(X).__name__}; give one of its parts: {', '.join(names)}")
    return list(names) if isinstance(names, (list, tuple)) else None


def pictures_of(rows):
    """Return rows that are images, one after the other, as files or what makes them.

    Parameters
    ----------
    rows : Rows

    Returns
    -------
    list of Path or Picture, or None
        None where the rows are no images.
    """
    first = rows.first()
    if isinstance(first, (str, Path)):
        files = [rows[row] for row in range(len(rows))]
        return [
            Path(f) if isinstance(f, str) else f or Picture(rows, k) for k, f in enumerate(files)
        ]
    if not is_picture(first) and not is_encoded(first) and as_pixels(first) is None:
        return None
    return [Picture(rows, row) for row in range(len(rows))]


def pictures_of_pixels(X):
    """Return the images of an array of bytes, or of a list of such, as what makes them.

    Parameters
    ----------
    X : object

    Returns
    -------
    list of Picture, or None
        None of what is no array of bytes of shape (n, height, width[, channels]), also with the
        channels in front.
    """
    if isinstance(X, (list, tuple)):
        are_pixels = len(X) and all(as_pixels(each) is not None for each in X)
    else:
        are_pixels = getattr(X, "ndim", 0) in (3, 4) and len(X) and as_pixels(X[0]) is not None
    return [Picture(X, row) for row in range(len(X))] if are_pixels else None


def is_picture(value):
    """Whether this is an image of Pillow, which is not loaded to find out."""
    return any(kind.__module__ == "PIL.Image" for kind in type(value).__mro__)


def is_encoded(value):
    """Whether this is the content of an image file: bytes, or what Hugging Face's tables hold."""
    if isinstance(value, dict):
        return "bytes" in value and set(value) <= {"bytes", "path"}
    return isinstance(value, (bytes, bytearray, memoryview))


def as_pixels(value):
    """Return pixels of shape (height, width[, channels]); None of what is none.

    Parameters
    ----------
    value : object
        An array or tensor of bytes is taken, with the channels in front or at the end.

    Returns
    -------
    ndarray or None
    """
    if hasattr(value, "detach") and hasattr(value, "numpy"):  # of torch; files detach, too
        value = value.detach().cpu().numpy()
    shape, dtype = getattr(value, "shape", ()), getattr(value, "dtype", None)
    if len(shape) not in (2, 3) or str(dtype) != "uint8":
        return None
    pixels = np.asarray(value)
    if len(shape) == 3 and shape[-1] not in CHANNELS:
        return np.moveaxis(pixels, 0, -1) if has_channels_first(shape) else None
    return pixels


def _is_torch(X):
    """Whether this is a data set of torch, which is not loaded to find out."""
    return any(kind.__module__ == "torch.utils.data.dataset" for kind in type(X).__mro__)


def _is_sequence(X):
    """Whether this is a sequence that is no list, such as a column of a table."""
    known = (list, tuple, str, bytes, bytearray, memoryview, range)
    return isinstance(X, Sequence) and not isinstance(X, known)


def _part_of_rows(item, name):
    """Return where in an item the row is: a name, 0 in a pair, None where the item is the row."""
    if isinstance(item, Mapping):
        for known in _ROWS:
            if known in item:
                return known
        rest = [key for key in item if key not in LABELS]
        if len(rest) == 1:
            return rest[0]
        raise ValueError(
            f"X is a {name} with columns {', '.join(map(str, item))}; which holds the rows? keep "
            f"that and the labels, or call it one of {', '.join(_ROWS)}"
        )
    return 0 if isinstance(item, (tuple, list)) else None
