"""Labeled rows, looked at: what every source ends in."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.extmath import row_norms

from metriclearn._extras import require
from metriclearn._text import counted, option
from metriclearn._types import is_whole
from metriclearn.compare._inspect._finding import listed
from metriclearn.compare._inspect._inspect import inspect
from metriclearn.compare._inspect._view import joined_groups
from metriclearn.compare._measuring._given_split import (
    check_groups,
    looks_like_parts,
    read_parts,
)
from metriclearn.compare._measuring._images import as_floats
from metriclearn.compare._sources._target import (
    checked_target,
    choose_columns,
    group_codes,
    no_such_column,
)
from metriclearn.compare._tables._columns import read_columns
from metriclearn.compare._tables._labels import as_frame, check_order
from metriclearn.images._items import holds_images
from metriclearn.images._parts import flag_of
from metriclearn.images._regions import channels_in_front, check_channels, has_channels_first

# Fewest columns of vectors that a network made.
_WIDE = 16


@dataclass(frozen=True)
class Source:
    """Labeled rows and what is known about them.

    Attributes
    ----------
    X : ndarray of shape (n, n_features), float32 or float64, or DataFrame
        Images are flattened. A frame where something is to be learned before there are numbers:
        categories, medians for gaps. Then ``_tables._cleaning.split_rows`` makes arrays of it,
        fitted on training rows.
    y : ndarray of shape (n,)
        Class labels, or amounts in float64.
    name : str
    feature_names : list of str or None
    image_shape : tuple of int or None
        (height, width) or (height, width, channels); None for tabular rows.
    notes : tuple of str
        How the data were read.
    findings : tuple of Finding
        What is remarkable about them.
    columns : tuple of ColumnNote
        What was done to each column of a table.
    left_out : tuple of str
        Columns that the rows were given with and are not compared by.
    groups : ndarray of int, shape (n,), or None
        Rows with one number stay on one side of every split: those of one group of the user's,
        and equal rows. None where every row is on its own.
    queries : ndarray of bool, shape (n,), or None
        Rows that can be tested on; the others are of classes too small. None for all.
    rows : ndarray of int, shape (n,), or None
        Place of each row among those given, where some had no label.
    parts : ndarray of str, shape (n,), or None
        What the user's own split says of each row; see ``_given_split.read_parts``.
    form : {"photos", "embeddings"} or None
        What the rows are, where it is more than their shape tells: pixels of photos, or vectors
        that a network made.
    backbone : str, module or callable
        Of photos: what made these vectors.
    task : {"classes", "amounts", "judgments"}
        What ``y`` holds; of judgments ``Judged`` items.
    """

    X: object
    y: np.ndarray
    name: str = "data"
    feature_names: list | None = None
    image_shape: tuple | None = None
    notes: tuple = ()
    findings: tuple = ()
    columns: tuple = ()
    left_out: tuple = ()
    groups: np.ndarray | None = None
    queries: np.ndarray | None = None
    rows: np.ndarray | None = None
    parts: np.ndarray | None = None
    form: str | None = None
    backbone: object = None
    task: str = "classes"

    @property
    def kind(self):
        """``form``, or else ``"tabular"`` or ``"image"``."""
        return self.form or ("tabular" if self.image_shape is None else "image")


def as_source(
    X,
    y,
    *,
    name="data",
    image_shape=None,
    target_name="y",
    target="y",
    notes=(),
    feature_names=None,
    groups=None,
    split=None,
    split_name=None,
    drop=(),
    keep=(),
    only=None,
    min_rows=None,
    lines=None,
    is_embedding=False,
    task=None,
):
    """Read labeled rows, look at them and wrap them.

    Parameters
    ----------
    X : array-like of shape (n, n_features), (n, height, width) or (n, height, width, channels), \
DataFrame or structured array
        More than two axes means images. Columns may hold anything that a table holds.
    y : array-like of shape (n,)
    name : str, default="data"
    image_shape : tuple, default=None
        Shape of one image where the rows of ``X`` are flattened images.
    target_name : str, default="y"
        What errors call the labels.
    target : str, default="y"
        Name of their column, for findings.
    notes : tuple of str, default=()
        How the data were read.
    feature_names : list of str, default=None
        Of an array.
    groups : array-like of shape (n,) or str, default=None
        What each row is a measurement of, or the column of ``X`` that says it.
    split : array-like of shape (n,) or str, default=None
        Which rows are for training and which for testing, or the column of ``X`` that says it.
    split_name : str, default=None
        What an array of these is called, which may say what yes and no mean in it.
    drop, keep : iterable of str, default=()
        Columns to leave out, and columns to keep that would be left out.
    only : iterable of str, default=None
        The columns to keep, in this order, and no others: those that a comparison was by.
    min_rows : int, default=None
        Classes with fewer rows are not tested on; 5 by default, fewer where most classes are
        small.
    lines : list of int, default=None
        Line of the file of each row, by which rows are named.
    is_embedding : bool, default=False
        Whether rows are vectors that a network made: their columns are not looked at one by one.
    task : {"classes", "amounts"}, default=None
        What ``y`` holds; by default amounts where most of many numbers are there once or twice.

    Returns
    -------
    Source
    """
    if issparse(X):
        raise ValueError("X is sparse: deep learners need dense rows; give X.toarray()")
    for what, values in ((target_name, y), ("groups", groups), ("split", split)):
        check_order(X, values, what)
    frame = as_frame(X)
    if frame is None:
        X, frame, image_shape = _as_array(X, image_shape, feature_names)
    if only is not None and frame is None:
        X, feature_names = _chosen(X, feature_names, only)
    if frame is None and (named := _named(drop=drop, keep=keep, groups=groups, split=split)):
        if image_shape is not None:
            raise ValueError(f"{named} names columns, and the rows are images; leave it out")
        frame = _with_names(X, feature_names)
    n_rows = len(X if frame is None else frame)
    given = list(map(str, _names_of(X, feature_names) if frame is None else frame.columns))
    split_name = split_name or (split if isinstance(split, str) else getattr(split, "name", None))
    checked, faults = checked_target(
        y, n_rows, name=target_name, target=target, lines=lines, min_rows=min_rows, task=task
    )
    if frame is not None:
        frame, groups, split, more = choose_columns(
            frame, groups, split, drop=drop, keep=keep, only=only
        )
        faults += more
        notes = (*notes, *_looks_like_split(frame))
        typed, more = _typed(frame, drop)
        faults += more
        image_shape, more = _image_shape_of_columns(image_shape, frame)
        faults += more
    if faults:
        raise ValueError("; ".join(faults))
    rows, labels, limit, is_amount = checked
    if frame is None:
        X, columns, findings = X[rows.rows], (), ()
    else:
        X, columns, findings = typed.frame.iloc[rows.rows], typed.notes, typed.findings
        X = X.reset_index(drop=True)
    groups = group_codes(groups, n_rows, rows.rows)
    parts = None if split is None else read_parts(split, n_rows, split_name)[rows.rows]
    if parts is not None and groups is not None:
        check_groups(groups, parts)
    looked = inspect(
        X,
        labels,
        names=feature_names,
        groups=groups,
        keep=keep if only is None else only,
        min_rows=limit,
        target=target,
        is_image=image_shape is not None or is_embedding,
        is_amount=is_amount,
    )
    X, feature_names = _kept(X, feature_names, looked.left_out)
    stay = set(given if feature_names is None else feature_names)
    if image_shape is not None and hasattr(X, "iloc"):
        raise ValueError("image_shape: the columns must be pixels, numbers without gaps")
    if is_embedding and (image_shape is not None or hasattr(X, "iloc")):
        raise ValueError("features: rows must be vectors, numbers without gaps, one a row")
    together = joined_groups(groups, looked.equal)
    return Source(
        X,
        labels,
        name,
        feature_names,
        image_shape,
        notes=(
            *notes,
            *rows.notes,
            *_looks_like_pixels(image_shape, feature_names),
            *_looks_like_embeddings(X, image_shape, is_embedding),
        ),
        findings=(*findings, *rows.findings, *_as_split(looked.findings, parts)),
        columns=_column_notes(columns, looked.left_out),
        left_out=tuple(name for name in given if name not in stay),
        groups=together if together.max() + 1 < len(together) else None,
        queries=None if looked.queries.all() else looked.queries,
        rows=None if len(rows.rows) == n_rows else rows.rows,
        parts=parts,
        form="embeddings" if is_embedding else None,
        task="amounts" if is_amount else "classes",
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


def _names_of(X, names):
    """Return the names of columns, ``x0``, ``x1``, ... where they have none."""
    return [f"x{j}" for j in range(X.shape[1])] if names is None else list(names)


def _with_names(X, names):
    return require("pandas", "cli").DataFrame(X, columns=_names_of(X, names))


def _chosen(X, names, only):
    """Return some columns of an array, and their names."""
    names, only = _names_of(X, names), list(only)
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


def _check_channels_last(shape):
    """Refuse channels in front: a learner by rows would not mind, those by images would."""
    if has_channels_first(shape):
        raise ValueError(channels_in_front(shape))
    check_channels(shape)


def _looks_like_pixels(image_shape, names):
    """Say that columns called ``pixel0``, ``pixel1``, ... can be taken for images."""
    if image_shape is not None or not names or len(names) < 16:
        return ()
    side = round(len(names) ** 0.5)
    if side**2 != len(names) or not all(
        re.fullmatch(r"(?i)(pixel|px|p)_?\d+(x\d+)?", n) for n in names
    ):
        return ()
    return (
        f"The columns look like the pixels of {side} × {side} images; "
        f"{option('image_shape', (side, side))} takes them for such.",
    )


def _looks_like_embeddings(X, image_shape, is_embedding):
    """Say that rows of length one can be taken for vectors that a network made."""
    if is_embedding or image_shape is not None or hasattr(X, "iloc") or X.shape[1] < _WIDE:
        return ()
    if not all(np.allclose(row_norms(rows), 1, atol=1e-3) for rows in (X[:1000], X)):
        return ()
    return (
        f"Every row has length 1, as vectors of networks have; {option('features', True)} compares "
        f"them by their cosine, without scaling columns.",
    )


def _looks_like_split(frame):
    """Say that a column may hold a split of the user's own."""
    return tuple(
        f"Column {name!r} seems to say which rows are for training and which for testing; "
        f"{option('split', name)} tests on those alone."
        for name, column in frame.items()
        if column.dtype.kind not in ("biufmM" if flag_of(name) is None else "mM")
        and looks_like_parts(column.head(1000).tolist(), name)
    )


def _as_split(findings, parts):
    """Say of equal rows that a split that was given parts them as it does."""
    if parts is None:
        return findings
    kept = "The split is kept as it was given."
    return tuple(
        replace(each, action=kept) if each.kind == "duplicates" else each for each in findings
    )


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


def _kept(X, feature_names, left_out):
    """Leave out columns; numbers without gaps become an array."""
    if not hasattr(X, "iloc"):
        names = _names_of(X, feature_names)
        stay = [j for j, name in enumerate(names) if name not in left_out]
        if not stay:
            raise ValueError(_nothing_left(left_out))
        if len(stay) == X.shape[1]:
            return X, feature_names
        return X[:, stay], [names[j] for j in stay]
    of_images = [name for name in left_out if name in X and holds_images(X[name].tolist())]
    X = X.drop(columns=list(left_out))
    if X.shape[1] == 0:
        raise ValueError(_nothing_left(left_out, of_images))
    names = list(X.columns)
    if all(dtype.kind == "f" for dtype in X.dtypes):
        values = X.to_numpy(dtype=np.float64)
        if not np.isnan(values).any():
            return values, names
    return X, names


def _nothing_left(left_out, of_images=()):
    what = (
        f"no column is left to compare by: {listed(left_out)} "
        f"{'is' if len(left_out) == 1 else 'are'} left out as row numbers, ids or empty"
    )
    if of_images:
        return (
            f"{what}; {listed(of_images)} names photos: for these give a CSV file of their names "
            f"and labels, or metriclearn.images.ImagePaths"
        )
    return f"{what}; give other columns, or keep one with {option('keep')}"


def _column_notes(columns, left_out):
    return tuple(
        replace(note, text="; ".join(filter(None, [note.text, "left out"])))
        if note.column in left_out
        else note
        for note in columns
    )
