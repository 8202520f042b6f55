"""Labeled rows, checked: what every source ends in."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.multiclass import type_of_target

from metriclearn._validation import check_labels


@dataclass(frozen=True)
class Source:
    """Labeled rows and what is known about them.

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


def as_source(X, y, *, name="data", image_shape=None, target_name="y", notes=()):
    """Check labeled rows, as arrays or a DataFrame, and wrap them.

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
    if image_shape is not None:
        image_shape = _as_image_shape(image_shape)
    if image_shape is not None and int(np.prod(image_shape)) != X.shape[1]:
        raise ValueError(
            f"image_shape={image_shape} has {int(np.prod(image_shape))} values, the rows "
            f"of X have {X.shape[1]}"
        )
    _check_finite(X, feature_names)
    y = _as_labels(y, len(X), target_name)
    return Source(X, y, name, feature_names, image_shape, tuple(notes))


def _as_image_shape(given):
    sides = tuple(given) if isinstance(given, Iterable) else ()
    if len(sides) not in (2, 3) or not all(
        isinstance(side, Integral) and side >= 1 for side in sides
    ):
        raise ValueError(
            f"image_shape={given!r} must be (height, width) or (height, width, channels)"
        )
    return tuple(int(side) for side in sides)


def _as_numbers(X, feature_names):
    if issparse(X):
        raise ValueError("X is sparse: deep learners need dense rows; give X.toarray()")
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


def one_line(error):
    """Return what an exception says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
