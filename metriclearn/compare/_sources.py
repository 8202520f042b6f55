"""Where the rows come from: a built-in set, a table, an array file, a folder of images."""

import difflib
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sklearn.utils.multiclass import type_of_target

from metriclearn._extras import require
from metriclearn._validation import check_labels

BUILT_IN = ("digits", "wine", "iris", "breast_cancer", "olivetti")

# Images of a folder are brought to at most this many pixels a side: it bounds
# the time of a comparison on two cores, and the report says so.
MAX_IMAGE_SIDE = 64


@dataclass(frozen=True)
class Source:
    """Labelled rows and what is known about them.

    Attributes
    ----------
    X : ndarray of shape (n, n_features), float32 or float64
        Images are flattened.
    y : ndarray of shape (n,)
        Class labels.
    name : str
    feature_names : list of str or None
    image_shape : tuple of int or None
        (height, width) or (height, width, channels); None for tabular rows.
    notes : tuple of str
        What was done to the data that a reader of the result should know.
    """

    X: np.ndarray
    y: np.ndarray
    name: str = "data"
    feature_names: list | None = None
    image_shape: tuple | None = None
    notes: tuple = field(default=())

    @property
    def kind(self):
        """``"tabular"`` or ``"image"``."""
        return "tabular" if self.image_shape is None else "image"


def load_source(source, target=None):
    """Load labelled rows from a built-in name, a file or a folder.

    Parameters
    ----------
    source : str or path
        One of ``BUILT_IN``, a ``.csv`` or ``.parquet`` file, an ``.npz`` file
        with ``X`` and ``y``, or a folder with one sub-folder of images per class.
    target : str, default=None
        The label column of a ``.csv`` or ``.parquet`` file.

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        If there is no such source, or it cannot be read as labelled rows.
    ImportError
        If the reader it needs is not installed.
    """
    path = Path(source)
    suffix = path.suffix.lower()
    is_table = suffix in (".csv", ".parquet")
    if target is not None and not is_table:
        raise ValueError(
            f"{source} has its labels built in; --target names a column of a .csv or .parquet file"
        )
    if str(source) in BUILT_IN:
        loaded = _read_built_in(str(source))
    elif path.is_dir():
        loaded = _read_image_folder(path)
    elif not path.exists():
        raise ValueError(_no_such_source(str(source)))
    elif is_table:
        loaded = _read_table(path, suffix, target)
    elif suffix == ".npz":
        loaded = _read_npz(path)
    else:
        raise ValueError(
            f"{source}: a file must be .csv, .parquet or .npz, got {suffix or 'no suffix'!r}"
        )
    return loaded


def as_source(X, y, *, name="data", image_shape=None, target_name="y", notes=()):
    """Check labelled rows, as arrays or a DataFrame, and wrap them.

    Parameters
    ----------
    X : array-like of shape (n, n_features), (n, height, width) or (n, height, width, channels)
        More than two axes means images.
    y : array-like of shape (n,)
    name : str, default="data"
    image_shape : tuple, default=None
        Shape of one image where the rows of ``X`` are flattened images.
    target_name : str, default="y"
        What errors call the labels.
    notes : tuple of str, default=()

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        If a number is missing, infinite or no number at all, if the labels are
        not classes, if a class is too small, or the lengths differ.
    """
    feature_names = [str(column) for column in X.columns] if hasattr(X, "columns") else None
    X = _as_numbers(X, feature_names)
    if X.ndim in (3, 4):
        image_shape = X.shape[1:]
        X = X.reshape(len(X), -1)
    if X.ndim != 2:
        raise ValueError(
            f"X must have rows and columns, (n, n_features), or be images (n, height, width"
            f"[, channels]); got shape {X.shape}"
        )
    if len(X) == 0 or X.shape[1] == 0:
        raise ValueError(f"X is empty: {X.shape[0]} rows of {X.shape[1]} features")
    if image_shape is not None and int(np.prod(image_shape)) != X.shape[1]:
        raise ValueError(
            f"image_shape={tuple(image_shape)} has {int(np.prod(image_shape))} values, the rows "
            f"of X have {X.shape[1]}"
        )
    _check_finite(X, feature_names)
    y = _as_labels(y, len(X), target_name)
    shape = None if image_shape is None else tuple(int(side) for side in image_shape)
    return Source(X, y, name, feature_names, shape, tuple(notes))


def _as_numbers(X, feature_names):
    if feature_names is None:
        X = np.asarray(X)
        if X.dtype.kind in "OSU":
            try:
                X = X.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise ValueError(f"X must hold numbers: {error}") from None
    else:
        columns = [_numeric_column(X.iloc[:, j], name) for j, name in enumerate(feature_names)]
        X = np.stack(columns, axis=1) if columns else np.empty((len(X), 0))
    if X.dtype.kind not in "buif":
        raise ValueError(f"X must hold real numbers, got dtype {X.dtype}")
    return X if X.dtype in (np.float32, np.float64) else X.astype(_float_for(X.dtype))


def _float_for(dtype):
    return np.float32 if dtype == np.uint8 else np.float64


def _numeric_column(column, name):
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        bad = next((value for value in column if not _is_number(value)), column.iloc[0])
        raise ValueError(
            f"column {name!r} holds {bad!r}, which is not a number; drop the column or encode it "
            f"(for instance one-hot)"
        ) from None


def _is_number(value):
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _check_finite(X, feature_names):
    if np.isfinite(np.sum(X, dtype=np.float64)):
        return
    rows, columns = np.nonzero(~np.isfinite(X))
    if len(rows) == 0:  # only the sum overflowed
        return
    row, column = rows[0], columns[0]
    what = "NaN" if np.isnan(X[row, column]) else "infinity"
    where = f"X[:, {column}]" if feature_names is None else f"column {feature_names[column]!r}"
    n_rows = len(np.unique(rows))
    raise ValueError(
        f"{where} holds {what} in row {row}, counting from 0 ({n_rows} such "
        f"{'row' if n_rows == 1 else 'rows'} in all); fill or drop what is missing"
    )


def _as_labels(y, n_rows, target_name):
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise ValueError(f"{target_name} must be one label per row, got shape {y.shape}")
    if len(y) != n_rows:
        raise ValueError(f"{target_name} has {len(y)} labels for the {n_rows} rows of X")
    if y.dtype.kind == "O":
        missing = [i for i, label in enumerate(y) if label is None or label != label]
        if missing:
            raise ValueError(_missing_label(target_name, missing))
        y = y.astype(str)
    if y.dtype.kind == "f":
        missing = np.flatnonzero(~np.isfinite(y))
        if len(missing):
            raise ValueError(_missing_label(target_name, missing))
    n_classes = len(np.unique(y))
    if len(y) > 2 and n_classes == len(y):
        raise ValueError(
            f"{target_name} has a different label in every one of its {len(y)} rows: that is a "
            f"name or a measurement, not a class; choose a column whose labels repeat"
        )
    if type_of_target(y).startswith("continuous"):
        raise ValueError(
            f"{target_name} holds continuous numbers ({n_classes} distinct, for instance "
            f"{y[y != np.floor(y)][0]}): bin them into classes or choose another column"
        )
    if y.dtype.kind == "f":
        y = y.astype(np.int64)
    # Three rows are what a class needs to leave one out and still give a learner two.
    check_labels(y, min_rows=3, argument=target_name)
    return y


def _missing_label(target_name, rows):
    return (
        f"{target_name} has no label in row {rows[0]}, counting from 0 ({len(rows)} such rows in "
        f"all); drop these rows"
    )


def _no_such_source(source):
    names = ", ".join(BUILT_IN)
    if Path(source).suffix or "/" in source or "\\" in source:
        return f"{source}: no such file or folder (built-in names: {names})"
    near = difflib.get_close_matches(source.lower(), BUILT_IN, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return (
        f"unknown source {source!r}{hint} Built-in names: {names}; or give a .csv, .parquet or "
        f".npz file, or a folder with one sub-folder of images per class"
    )


def _read_built_in(name):
    from sklearn import datasets

    if name == "olivetti":
        try:
            bunch = datasets.fetch_olivetti_faces()
        except OSError as error:
            raise ValueError(
                f"olivetti is fetched from the internet by scikit-learn, and that failed: {error}"
            ) from None
        return as_source(bunch.images, bunch.target, name=name)
    bunch = getattr(datasets, f"load_{name}")()
    if name == "digits":
        return as_source(bunch.images.astype(np.float32), bunch.target, name=name)
    labels = np.asarray(bunch.target_names)[bunch.target]
    source = as_source(bunch.data, labels, name=name)
    return Source(source.X, source.y, name, [str(feature) for feature in bunch.feature_names])


def _read_table(path, suffix, target):
    pandas = require("pandas", "cli")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty")
    try:
        if suffix == ".csv":
            frame = pandas.read_csv(path)
        else:
            require("pyarrow", "cli")
            frame = pandas.read_parquet(path)
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: cannot be read as {suffix[1:]}: {_one_line(error)}") from None
    columns = [str(column) for column in frame.columns]
    frame.columns = columns
    if target not in columns:
        raise ValueError(_no_such_column(path, target, columns))
    if len(frame) == 0:
        raise ValueError(f"{path}: the file has a header and no rows")
    if len(columns) == 1:
        raise ValueError(f"{path}: {target!r} is the only column; features are needed beside it")
    return as_source(
        frame.drop(columns=target),
        frame[target].to_numpy(),
        name=path.stem,
        target_name=f"target column {target!r}",
    )


def _no_such_column(path, target, columns):
    shown = ", ".join(columns[:30]) + (f", … ({len(columns)} in all)" if len(columns) > 30 else "")
    if target is None:
        return f"{path}: say which column holds the labels with --target; there are: {shown}"
    near = difflib.get_close_matches(target, columns, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{path}: no column {target!r}{hint} There are: {shown}"


def _read_npz(path):
    try:
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not hasattr(arrays, "files"):
                raise ValueError("holds a single array, not an .npz archive of X and y")
            missing = [key for key in ("X", "y") if key not in arrays.files]
            if missing:
                raise ValueError(
                    f"has no array {missing[0]!r}; arrays X and y are needed, there are: "
                    f"{', '.join(arrays.files) or 'none'}"
                )
            X, y = arrays["X"], arrays["y"]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        reason = _one_line(error)
        if "allow_pickle" in reason:
            reason = (
                "holds pickled Python objects, which may run code when read, and is refused; "
                "save plain arrays of numbers or strings"
            )
        raise ValueError(f"{path}: {reason}") from None
    return as_source(X, y, name=path.stem)


def _read_image_folder(folder):
    image_module = require("PIL.Image", "cli")
    suffixes = {
        suffix
        for suffix, format_name in image_module.registered_extensions().items()
        if format_name in image_module.OPEN
    }
    classes = sorted(
        child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")
    )
    if len(classes) < 2:
        raise ValueError(
            f"{folder}: needs one sub-folder of images per class, at least 2; there are "
            f"{len(classes)}"
        )
    files, labels = [], []
    for class_folder in classes:
        images = sorted(
            file
            for file in class_folder.iterdir()
            if file.suffix.lower() in suffixes and not file.name.startswith(".")
        )
        if not images:
            raise ValueError(f"{class_folder}: no images for this class; add some or remove it")
        files += images
        labels += [class_folder.name] * len(images)

    sizes, grey = _survey(image_module, files)
    width, height = _common_size(sizes)
    pixels = np.empty((len(files), height, width) + (() if grey else (3,)), dtype=np.float32)
    for i, file in enumerate(files):
        pixels[i] = _read_image(image_module, file, "L" if grey else "RGB", (width, height))
    notes = ()
    if sizes != {(width, height)}:
        notes = (f"Images were resized to {width} × {height} pixels.",)
    return as_source(pixels, np.array(labels), name=folder.resolve().name, notes=notes)


def _survey(image_module, files):
    """Sizes of all images, and whether none of them has colour."""
    sizes, grey = set(), True
    for file in files:
        with _opened(image_module, file) as image:
            sizes.add(image.size)
            grey = grey and image.mode in ("1", "L", "I", "I;16", "F")
    return sizes, grey


def _common_size(sizes):
    width, height = np.median(np.array(sorted(sizes)), axis=0)
    shrink = min(1, MAX_IMAGE_SIDE / max(width, height))
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def _read_image(image_module, file, mode, size):
    with _opened(image_module, file) as image:
        try:
            if image.mode.startswith("I;16"):  # Pillow clips these at 255 instead of scaling
                image = image_module.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            image = image.convert(mode)
        except Exception as error:  # whatever a decoder makes of a broken file
            raise ValueError(_broken(file, error)) from None
        if image.size != size:
            image = image.resize(size, image_module.Resampling.BOX)
        return np.asarray(image)


def _opened(image_module, file):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", image_module.DecompressionBombWarning)
            return image_module.open(file)
    except Exception as error:  # as above
        raise ValueError(_broken(file, error)) from None


def _broken(file, error):
    return f"{file}: the image cannot be read ({_one_line(error)}); mend or remove it"


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__
