"""Labeled rows, looked at: what every source ends in."""

import re
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.extmath import row_norms

from metriclearn._text import option
from metriclearn.compare._inspect._finding import listed
from metriclearn.compare._inspect._inspect import inspect
from metriclearn.compare._inspect._view import joined_groups
from metriclearn.compare._measuring._given_split import (
    check_groups,
    read_parts,
)
from metriclearn.compare._sources._features import names_of, read_features
from metriclearn.compare._sources._target import (
    checked_target,
    group_codes,
)
from metriclearn.compare._tables._labels import check_order
from metriclearn.images._items import holds_images

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
    features = read_features(
        X,
        names=feature_names,
        image_shape=image_shape,
        groups=groups,
        split=split,
        drop=drop,
        keep=keep,
        only=only,
    )
    n_rows, image_shape = features.n_rows, features.image_shape
    checked, faults = checked_target(
        y, n_rows, name=target_name, target=target, lines=lines, min_rows=min_rows, task=task
    )
    if faults := [*faults, *features.faults]:
        raise ValueError("; ".join(faults))
    rows, labels, limit, is_amount = checked
    X = features.part(rows.rows)
    groups = group_codes(features.groups, n_rows, rows.rows)
    parts = None
    if features.split is not None:
        split_name = split_name or getattr(features.split, "name", None)
        parts = read_parts(features.split, n_rows, split_name)[rows.rows]
    if parts is not None and groups is not None:
        check_groups(groups, parts)
    looked = inspect(
        X,
        labels,
        names=features.names,
        groups=groups,
        keep=keep if only is None else only,
        min_rows=limit,
        target=target,
        is_image=image_shape is not None or is_embedding,
        is_amount=is_amount,
    )
    X, feature_names = _kept(X, features.names, looked.left_out)
    stay = set(features.given if feature_names is None else feature_names)
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
            *features.notes,
            *rows.notes,
            *_looks_like_pixels(image_shape, feature_names),
            *_looks_like_embeddings(X, image_shape, is_embedding),
        ),
        findings=(*features.findings, *rows.findings, *_as_split(looked.findings, parts)),
        columns=_column_notes(features.columns, looked.left_out),
        left_out=tuple(name for name in features.given if name not in stay),
        groups=together if together.max() + 1 < len(together) else None,
        queries=None if looked.queries.all() else looked.queries,
        rows=None if len(rows.rows) == n_rows else rows.rows,
        parts=parts,
        form="embeddings" if is_embedding else None,
        task="amounts" if is_amount else "classes",
    )


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


def _as_split(findings, parts):
    """Say of equal rows that a split that was given parts them as it does."""
    if parts is None:
        return findings
    kept = "The split is kept as it was given."
    return tuple(
        replace(each, action=kept) if each.kind == "duplicates" else each for each in findings
    )


def _kept(X, feature_names, left_out):
    """Leave out columns; numbers without gaps become an array."""
    if not hasattr(X, "iloc"):
        names = names_of(X, feature_names)
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
