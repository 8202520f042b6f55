"""Map-style data sets of torch, and tables of Hugging Face's datasets, as rows and labels.

What a data set gives for a row is asked for batch by batch, and again in each epoch, so that its
own transforms work. Images (Pillow's, paths) become `ImagePaths`, which are cropped and resized as
files are; arrays and tensors become a `DatasetArray`, which is indexed as an array is.
"""

import threading
from pathlib import Path

import numpy as np
import torch

from metriclearn.images._paths import ImagePaths

# Names of columns, of those that a table has the first is taken.
_LABELS = ("label", "labels", "target", "targets", "y", "class", "fine_label")
_ROWS = ("image", "images", "img", "pixel_values", "x", "X", "input", "inputs", "features")


def from_dataset(X, y=None, *, with_labels=True):
    """Return rows and labels of a data set; anything else as it is.

    Parameters
    ----------
    X : object
    y : array-like, default=None
        Labels given beside it, which take the place of its own.
    with_labels : bool, default=True
        Whether labels are wanted where none are given.

    Returns
    -------
    X : ImagePaths, DatasetArray, or what was given
    y : ndarray, or what was given
    """
    if isinstance(X, torch.utils.data.DataLoader):
        raise TypeError("X is a DataLoader; give its dataset: batches are made here")
    if isinstance(X, ImagePaths) and y is None and with_labels:
        y = X.labels
    columns = _columns(X)
    if columns is None and not isinstance(X, torch.utils.data.Dataset):
        return X, y
    name = type(X).__name__
    try:
        n, first = len(X), X[0]
    except (TypeError, NotImplementedError):
        raise TypeError(
            f"X is a {name} that is read in one go; give a map-style data set, with a length and "
            f"rows by number, or arrays"
        ) from None
    except IndexError:
        raise ValueError(f"X is a {name} without rows") from None
    if columns is not None and not isinstance(first, dict):
        return X, y  # of pyarrow, whose rows are columns
    part = _part_of_rows(first, name)
    if y is None and with_labels:
        y = _labels(X, columns, first, part, n)
    rows = _Rows(X, part)
    value = first if part is None else first[part]
    if isinstance(value, (str, Path)):
        return ImagePaths("", np.array([rows[i] for i in range(n)], dtype=object)), y
    if _is_picture(value):
        names = np.empty(n, dtype=object)
        names[:] = [_Picture(rows, i) for i in range(n)]
        return ImagePaths("", names), y
    return DatasetArray(rows, value, n, name), y


class DatasetArray:
    """Rows of a data set, as much of an array as batches are taken from.

    Parameters
    ----------
    rows : _Rows
    first : object
        The first of them.
    n : int
    name : str
        Of the data set, for errors.
    """

    ndim = 2
    # Never moved to a device as a whole.
    nbytes = float("inf")

    def __init__(self, rows, first, n, name):
        self._rows, self._name = rows, name
        values = _as_array(first)
        self.row_shape, self.dtype = values.shape, values.dtype
        if self.dtype.kind not in "fiub":
            raise TypeError(
                f"X is a {name} whose rows are {type(first).__name__}; they must be images, "
                f"arrays or tensors"
            )
        self.shape = n, values.size

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        numbers = np.arange(len(self))[key]
        return np.stack([self._checked(row) for row in numbers])

    def _checked(self, number):
        row = _as_array(self._rows[int(number)])
        if row.shape != self.row_shape:
            raise ValueError(
                f"X is a {self._name} whose rows differ: row 0 is of shape {self.row_shape}, row "
                f"{number} of {row.shape}; bring them to one, or collate them yourself"
            )
        return row.reshape(-1)


def _as_array(value):
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return np.asarray(value)


class _Rows:
    """The part of each item that is the row; one thread at a time, as data sets expect."""

    def __init__(self, dataset, part):
        self.dataset, self.part = dataset, part
        self._lock = threading.Lock()

    def __getitem__(self, number):
        with self._lock:
            item = self.dataset[number]
        return item if self.part is None else item[self.part]


class _Picture:
    """An image that a data set makes each time it is asked for, in the place of one of Pillow."""

    def __init__(self, rows, number):
        self._rows, self._number = rows, number

    def copy(self):
        """Ask for the image."""
        return self._rows[self._number]

    @property
    def mode(self):
        """The mode of the image."""
        return self.copy().mode

    @property
    def size(self):
        """Width and height of the image."""
        return self.copy().size

    def tobytes(self):
        """Return the pixels."""
        return self.copy().tobytes()

    def __repr__(self):
        return f"row {self._number}"


def _columns(X):
    """Return the names of the columns of a table of Hugging Face's; None of what is none."""
    try:
        names = X.column_names
    except AttributeError:
        return None
    if isinstance(names, dict):
        raise TypeError(f"X is a {type(X).__name__}; give one of its parts: {', '.join(names)}")
    return list(names) if isinstance(names, (list, tuple)) else None


def _part_of_rows(item, name):
    """Return where in an item the row is: a name, 0 in a pair, None where the item is the row."""
    if isinstance(item, dict):
        for known in _ROWS:
            if known in item:
                return known
        rest = [key for key in item if key not in _LABELS]
        if len(rest) == 1:
            return rest[0]
        raise ValueError(
            f"X is a {name} with columns {', '.join(map(str, item))}; which holds the rows? keep "
            f"that and the labels, or call it one of {', '.join(_ROWS)}"
        )
    return 0 if isinstance(item, (tuple, list)) else None


def _labels(X, columns, first, part, n):
    """Return the labels that a data set knows of: without making its rows, where it can."""
    name = type(X).__name__
    if isinstance(first, dict):
        known = next((key for key in _LABELS if key in first and key != part), None)
        if known is None:
            raise ValueError(f"X is a {name} without a column of labels; give y")
        return _plain(X[known] if columns is not None else [X[i][known] for i in range(n)])
    if isinstance(X, torch.utils.data.Subset):
        inner, chosen = X.dataset, np.asarray(X.indices)
        first = inner[0] if len(inner) else first
        return _labels(inner, _columns(inner), first, part, len(inner))[chosen]
    for attribute in ("targets", "labels"):
        found = vars(X).get(attribute)
        if found is not None and len(found) == n:
            return _plain(found)
    if isinstance(X, torch.utils.data.TensorDataset) and len(X.tensors) > 1:
        return _plain(X.tensors[1])
    if part is None or len(first) < 2:
        raise ValueError(f"X is a {name} without labels; give y")
    return _plain([X[i][1] for i in range(n)])


def _plain(labels):
    if isinstance(labels, torch.Tensor):
        return labels.detach().cpu().numpy()
    return np.asarray([each.item() if isinstance(each, torch.Tensor) else each for each in labels])


def _is_picture(value):
    """Whether this is an image of Pillow, which is not loaded to find out."""
    return any(kind.__module__ == "PIL.Image" for kind in type(value).__mro__)
