"""Rows without labels, for a model that exists: a table, an array, image files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metriclearn._extras import require
from metriclearn._packed import open_npz, read_npy
from metriclearn._text import one_line
from metriclearn.compare._names import SOURCE_NAMES
from metriclearn.compare._sources._load import load_source
from metriclearn.compare._tables._read import read_file, table_suffix
from metriclearn.images._decode import SUFFIXES
from metriclearn.images._listings import images_within, is_list_of_images
from metriclearn.images._paths import ImagePaths


@dataclass(frozen=True)
class NewRows:
    """What a saved model embeds.

    Parameters
    ----------
    X : DataFrame, ndarray or ImagePaths
        Anything that can be sliced.
    ids : ndarray of int or str
        Number of each row in its file, from 0; names of image files.
    labels : ndarray or None
        Where the source has some: sub-folders of images, ``y`` of an ``.npz`` file.

    See Also
    --------
    read_rows : Reads them.

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.compare import NewRows
    >>> NewRows(np.zeros((2, 3)), ids=np.arange(2)).labels is None
    True
    """

    X: Any
    ids: np.ndarray
    labels: np.ndarray | None = None

    def __len__(self):
        return len(self.ids)

    def part(self, rows: slice | np.ndarray) -> Any:
        """Return some rows of ``X``, by a slice or by their numbers."""
        return self.X.iloc[rows] if hasattr(self.X, "iloc") else self.X[rows]


def read_rows(source: str | Path, *, as_table: bool = False) -> NewRows:
    """Read rows for a saved model.

    Parameters
    ----------
    source : str or Path
        A table of any kind that ``compare`` reads, with or without the label column; an ``.npz``
        file with ``X``, or an ``.npy`` file; a folder of images, one image, or a CSV file that
        lists images; or a built-in name, unless there is a file or a folder called so.
    as_table : bool, default=False
        Whether a table is one even if it names images, as for a model of its other columns.

    Returns
    -------
    NewRows
        Rows, their numbers or names, and labels where there are some.

    Raises
    ------
    ValueError
        If it is none of these, or cannot be read.

    See Also
    --------
    metriclearn.load : Reads the model that embeds them.
    compare : Reads rows with labels.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from metriclearn.compare import read_rows
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "rows.csv"
    ...     pd.DataFrame({"height": [1.5, 0.5], "width": [2, 4]}).to_csv(path, index=False)
    ...     rows = read_rows(path)
    >>> list(rows.X.columns), rows.ids.tolist()
    (['height', 'width'], [0, 1])
    """
    path = Path(source)
    if path.is_dir():
        return _image_folder(path)
    if not path.exists():
        if str(source) in SOURCE_NAMES:
            return _built_in(str(source))
        raise ValueError(f"{source}: no such file or folder")
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return NewRows(ImagePaths(path.parent, [path.name]), np.array([path.name]))
    if suffix in (".npz", ".npy"):
        return _arrays(path, suffix)
    if table_suffix(path) is not None:
        return _table(path, as_table)
    raise ValueError(
        f"{source}: must be a table, an .npz or .npy file, an image or a folder of images, got "
        f"{suffix or 'no suffix'!r}"
    )


def _built_in(name):
    source = load_source(name)
    X = source.X
    if source.feature_names is not None:
        X = require("pandas", "cli").DataFrame(X, columns=source.feature_names)
    return NewRows(X, np.arange(len(X)), source.y)


def _image_folder(path):
    files = images_within(path)
    if not files:
        raise ValueError(f"{path}: there are no images in this folder")
    names = [file.relative_to(path).as_posix() for file in files]
    folders = np.array([file.parent.name if file.parent != path else "" for file in files])
    labels = folders if all(folders) and len(set(folders)) > 1 else None
    return NewRows(ImagePaths(path, names), np.array(names), labels)


def _arrays(path, suffix):
    try:
        X, y = (read_npy(path), None) if suffix == ".npy" else _members(path)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: cannot be read ({one_line(error)})") from None
    if X.ndim < 2 or len(X) == 0:
        raise ValueError(f"{path}: X must have rows and columns, got shape {X.shape}")
    if X.dtype.kind in "cmMV":
        raise ValueError(f"{path}: X must hold numbers, got {X.dtype}")
    labels = y if y is not None and y.shape == (len(X),) else None
    return NewRows(X, np.arange(len(X)), labels)


def _members(path):
    with open_npz(path) as arrays:
        if "X" not in arrays.files:
            raise ValueError(f"has no array 'X'; there are: {', '.join(arrays.files)}")
        return arrays["X"], arrays["y"] if "y" in arrays.files else None


def _table(path, as_table):
    try:
        frame = read_file(path).frame
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: {one_line(error)}") from None
    rows = frame.head(20).astype(str).to_numpy().tolist()
    if not as_table and is_list_of_images(
        [str(name) for name in frame.columns], rows, Path(path).parent
    ):
        images = ImagePaths.from_csv(path)
        return NewRows(images, images.names.astype(str), images.labels)
    return NewRows(frame, np.arange(len(frame)))
