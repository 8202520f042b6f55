"""Map-style data sets of torch, and tables of Hugging Face's datasets, as rows and labels.

What a data set gives for a row is asked for batch by batch, and again in each epoch, so that its
own transforms work. Images (Pillow's, paths) become `ImagePaths`, which are cropped and resized as
files are; arrays and tensors become a `DatasetArray`, which is indexed as an array is.
"""

from collections.abc import Mapping

import numpy as np
import torch

from metriclearn.images._datasets import LABELS, as_pixels, columns_of, pictures_of, rows_of
from metriclearn.images._paths import ImagePaths, paths_of


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
    rows = rows_of(X)
    if rows is None:
        return X, y
    first = rows.first()
    is_array = isinstance(first, np.ndarray | torch.Tensor)
    is_column = columns_of(X) is None and not isinstance(X, torch.utils.data.Dataset)
    pictures = None if is_array else pictures_of(rows)
    if is_column and not is_array and pictures is None:
        return X, y  # of numbers
    if y is None and with_labels and not is_column:
        y = _labels(rows.dataset, rows.first_item, rows.part, len(rows))
    return DatasetArray(rows, first) if pictures is None else paths_of(pictures), y


class DatasetArray:
    """Rows of a data set, as much of an array as batches are taken from.

    Parameters
    ----------
    rows : Rows
    first : object
        The first of them.
    """

    ndim = 2
    # Never moved to a device as a whole.
    nbytes = float("inf")

    def __init__(self, rows, first):
        self._rows, self._name = rows, rows.name
        values = _as_array(first)
        self.row_shape, self.dtype = values.shape, values.dtype
        if self.dtype.kind not in "fiub":
            raise TypeError(
                f"X is a {self._name} whose rows are {type(first).__name__}; they must be images, "
                f"arrays or tensors"
            )
        self.shape = len(rows), values.size

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        numbers = np.arange(len(self))[key]
        return np.stack([self._checked(row) for row in numbers])

    @property
    def described(self):
        """What the rows are, for errors."""
        return f"a {self._name} of {self.dtype} rows of shape {self.row_shape}"

    def as_images(self):
        """Return the rows as images of any size, to be read as files are.

        Returns
        -------
        ImagePaths or None
            None where they are no images of bytes.
        """
        if as_pixels(self._rows.first()) is None:
            return None
        return paths_of(pictures_of(self._rows))

    def _checked(self, number):
        value = self._rows[int(number)]
        if value is None:
            raise ValueError(f"X is a {self._name} whose row {number} is None; leave it out")
        row = _as_array(value)
        if row.shape != self.row_shape:
            are_images = len(row.shape) == len(self.row_shape) > 1
            hint = "; give image_size, or" if are_images else ";"
            raise ValueError(
                f"X is a {self._name} whose rows differ: row 0 is of shape {self.row_shape}, row "
                f"{number} of {row.shape}{hint} bring them to one, or collate them yourself"
            )
        return row.reshape(-1)


def _as_array(value):
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return np.asarray(value)


def _labels(X, first, part, n):
    """Return the labels that a data set knows of: without making its rows, where it can."""
    name = type(X).__name__
    if isinstance(first, Mapping):
        known = next((key for key in LABELS if key in first and key != part), None)
        if known is None:
            raise ValueError(f"X is a {name} without a column of labels; give y")
        is_table = columns_of(X) is not None
        return _plain(X[known][:] if is_table else [X[i][known] for i in range(n)])
    if isinstance(X, torch.utils.data.Subset):
        inner, chosen = X.dataset, np.asarray(X.indices)
        first = inner[0] if len(inner) else first
        return _labels(inner, first, part, len(inner))[chosen]
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
    return np.asarray(
        [_as_array(each) if isinstance(each, torch.Tensor) else each for each in labels]
    )
