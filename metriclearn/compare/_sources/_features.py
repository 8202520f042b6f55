"""The features of rows as they come: an array, images, or a table with typed columns."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from metriclearn._extras import require
from metriclearn._text import counted, option
from metriclearn._types import is_whole
from metriclearn.compare._inspect._finding import listed
from metriclearn.compare._measuring._given_split import looks_like_parts
from metriclearn.compare._measuring._images import as_floats
from metriclearn.compare._sources._target import choose_columns, no_such_column
from metriclearn.compare._tables._columns import read_columns
from metriclearn.compare._tables._labels import as_frame
from metriclearn.images._parts import flag_of
from metriclearn.images._regions import channels_in_front, check_channels, has_channels_first


@dataclass(frozen=True)
class ReadFeatures:
    """The features of all rows, before their labels choose among them.

    Attributes
    ----------
    X : ndarray, DataFrame or None
        A frame has typed columns; None where they are at fault.
    n_rows : int
    given : list of str
        Columns that the rows were given with.
    names : list of str or None
        Of an array that has some.
    image_shape : tuple of int or None
    groups, split : array-like or None
        As given, or the columns that were named.
    notes, columns, findings : tuple
        See ``Source``.
    faults : list of str
    """

    X: object
    n_rows: int
    given: list
    names: list | None = None
    image_shape: tuple | None = None
    groups: object = None
    split: object = None
    notes: tuple = ()
    columns: tuple = ()
    findings: tuple = ()
    faults: tuple = ()

    def part(self, rows):
        """Return some rows of ``X``, by their numbers."""
        if hasattr(self.X, "iloc"):
            return self.X.iloc[rows].reset_index(drop=True)
        return self.X[rows]


def read_features(X, *, names, image_shape, groups, split, drop, keep, only):
    """Read features, as ``as_source`` is given them.

    Returns
    -------
    ReadFeatures
    """
    frame = as_frame(X)
    if frame is None:
        X, frame, image_shape = _as_array(X, image_shape, names)
    if only is not None and frame is None:
        X, names = _chosen(X, names, only)
    if frame is None and (named := _named(drop=drop, keep=keep, groups=groups, split=split)):
        if image_shape is not None:
            raise ValueError(f"{named} names columns, and the rows are images; leave it out")
        frame = _with_names(X, names)
    if frame is None:
        return ReadFeatures(X, len(X), names_of(X, names), names, image_shape, groups, split)
    n_rows, given = len(frame), [str(column) for column in frame.columns]
    frame, groups, split, faults = choose_columns(
        frame, groups, split, drop=drop, keep=keep, only=only
    )
    typed, untyped = _typed(frame, drop)
    image_shape, misshapen = _image_shape_of_columns(image_shape, frame)
    return ReadFeatures(
        None if typed is None else typed.frame,
        n_rows,
        given,
        names,
        image_shape,
        groups,
        split,
        notes=_looks_like_split(frame),
        columns=() if typed is None else typed.notes,
        findings=() if typed is None else typed.findings,
        faults=(*faults, *untyped, *misshapen),
    )


def _as_array(X, image_shape, feature_names):
    """Numbers without gaps as an array; anything else as a frame."""
    X = np.asarray(X)
    if X.ndim in (3, 4) and X.dtype.kind in "buif":
        if image_shape is not None and tuple(image_shape) != X.shape[1:]:
            raise ValueError(
                f"image_shape={image_shape!r}, but X holds images of shape {X.shape[1:]}; leave "
                f"image_shape out"
            )
        if image_shape is None:
            _check_channels_last(X.shape[1:])
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
        image_shape = _as_image_shape(image_shape, X.shape[1])
    if X.dtype.kind not in "buifOSU":
        raise ValueError(f"X must hold real numbers, got dtype {X.dtype}")
    if X.dtype.kind in "buif":
        X = as_floats(X)
        if np.isfinite(np.sum(X, dtype=np.float64)) or np.isfinite(X).all():
            return X, None, image_shape
        if image_shape is not None:
            rows = np.flatnonzero(~np.isfinite(X).all(axis=1))
            raise ValueError(
                f"X has pixels that are NaN or infinite, in {counted(len(rows), 'image')} (the "
                f"first: {rows[0]}); fill them or leave these images out"
            )
    if X.dtype.kind == "S":
        X = X.astype(object)
    return X, _with_names(X, feature_names), image_shape


def _check_channels_last(shape):
    """Refuse channels in front: a learner by rows would not mind, those by images would."""
    if has_channels_first(shape):
        raise ValueError(channels_in_front(shape))
    check_channels(shape)


def names_of(X, names):
    """Return the names of columns, ``x0``, ``x1``, ... where they have none."""
    return [f"x{j}" for j in range(X.shape[1])] if names is None else list(names)


def _with_names(X, names):
    return require("pandas", "cli").DataFrame(X, columns=names_of(X, names))


def _chosen(X, names, only):
    """Return some columns of an array, and their names."""
    names, only = names_of(X, names), list(only)
    if faults := [no_such_column(name, names) for name in only if name not in names]:
        raise ValueError("; ".join(faults))
    return X if names == only else X[:, [names.index(name) for name in only]], only


def _named(**arguments):
    """Return the first argument that names columns, if any does."""
    return next(
        (
            name
            for name, value in arguments.items()
            if isinstance(value, str) or (name in ("drop", "keep") and len(value))
        ),
        None,
    )


def _image_shape_of_columns(image_shape, frame):
    """Image shape of the columns of a frame, or what is wrong with it."""
    if image_shape is None:
        return None, []
    try:
        return _as_image_shape(image_shape, frame.shape[1]), []
    except ValueError as error:
        return None, [str(error)]


def _as_image_shape(given, n_values):
    sides = tuple(given) if isinstance(given, Iterable) else ()
    if len(sides) not in (2, 3) or not all(is_whole(side) and side >= 1 for side in sides):
        raise ValueError(
            f"image_shape={given!r} must be (height, width) or (height, width, channels)"
        )
    if int(np.prod(sides)) != n_values:
        raise ValueError(
            f"image_shape={tuple(map(int, sides))} has {int(np.prod(sides))} values, the rows of X "
            f"have {n_values}"
        )
    return tuple(int(side) for side in sides)


def _typed(frame, drop):
    if frame.shape[1] == 0:
        dropped = f"; drop leaves out {listed(drop)}" if drop else ""
        return None, [f"there are no columns of features{dropped}"]
    try:
        return read_columns(frame), []
    except ValueError as error:
        return None, [str(error)]


def _looks_like_split(frame):
    """Say that a column may hold a split of the user's own."""
    return tuple(
        f"Column {name!r} seems to say which rows are for training and which for testing; "
        f"{option('split', name)} tests on those alone."
        for name, column in frame.items()
        if column.dtype.kind not in ("biufmM" if flag_of(name) is None else "mM")
        and looks_like_parts(column.head(1000).tolist(), name)
    )
