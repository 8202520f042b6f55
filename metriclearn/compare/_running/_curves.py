"""Curves in place of single numbers: over rows, over dimensions, over growing shift."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from metriclearn._types import is_whole
from metriclearn.compare._measuring._splits import MIN_TRAIN_CLASSES, make_split, stratified_order
from metriclearn.compare._tables._cleaning import split_rows
from metriclearn.model_selection import ClassShiftSplit
from metriclearn.model_selection._disjoint import without_groups_of

# The shift is measured in no more principal components than this.
SHIFT_FEATURES = 50


@dataclass(frozen=True)
class Curves:
    """What the comparison is repeated over.

    Attributes
    ----------
    rows : tuple of int
        Training rows.
    dimensions : tuple of int
        Dimensions of the learned space.
    shift : int
        Splits of growing distance between the classes of train and test; 0 for none.
    """

    rows: tuple = ()
    dimensions: tuple = ()
    shift: int = 0


def make_curves(rows=None, dimensions=None, shift=None):
    """Check what the caller asked for.

    Parameters
    ----------
    rows, dimensions : list of int, default=None
    shift : int, default=None

    Returns
    -------
    Curves

    Examples
    --------
    >>> make_curves(rows=[200, 50, 200])
    Curves(rows=(50, 200), dimensions=(), shift=0)
    """
    if shift is not None and (not is_whole(shift) or shift < 2):
        raise ValueError(f"shift={shift!r} must be a number of splits, at least 2")
    rows = _counts("rows", rows, "of training rows, as in [100, 300, 1000]")
    dimensions = _counts("dimensions", dimensions, "of dimensions, as in [16, 64]")
    return Curves(rows, dimensions, int(shift or 0))


def _counts(name, values, what):
    if values is None:
        return ()
    listed = isinstance(values, Iterable) and not isinstance(values, str | bytes | dict)
    given = list(values) if listed else []
    if not given or not all(is_whole(value) and value >= 1 for value in given):
        raise ValueError(
            f"{name}={given if listed else values!r:.80} must be a list of whole numbers {what}, "
            f"each at least 1"
        )
    return tuple(sorted({int(value) for value in given}))


def curve_tasks(curves, tasks, X, y, groups=None):
    """Tasks of all curves, made from those of the comparison itself.

    Parameters
    ----------
    curves : Curves
    tasks : list of Task
        One for each learner and split.
    X : ndarray or DataFrame of shape (n, n_features)
    y : ndarray of shape (n,), integer codes of the classes
    groups : ndarray of int, shape (n,), default=None
        Rows that stay together.

    Returns
    -------
    tasks : list of Task
    axes : dict of str to tuple of float
        The places on each axis that is drawn.
    """
    axes, made = {}, []
    if curves.rows:
        axes["rows"] = curves.rows
        made += _row_tasks(curves.rows, tasks, y)
    if curves.dimensions:
        axes["dimensions"] = curves.dimensions
        made += [
            replace(task, pictures=False, axis="dimensions", place=d)
            for task in tasks
            for d in curves.dimensions
            # A linear map of the rows has no more dimensions than they have.
            if task.learner.family != "reference"
            and (d <= X.shape[1] or task.learner.is_own or task.learner.family == "deep")
        ]
    if curves.shift:
        splits, axes["shift"] = shift_splits(curves.shift, X, y, tasks[0].image_shape, groups)
        learners = {task.learner.key: task for task in tasks}.values()
        made += [
            replace(task, split=split, pictures=False, axis="shift", place=split.fold)
            for split in splits
            for task in learners
            if "open" in task.learner.protocols
        ]
    return made, axes


def _row_tasks(sizes, tasks, y):
    n_classes = 1 if y.dtype.kind == "f" else len(np.unique(y))
    most = max(len(task.split.train) for task in tasks)
    if sizes[0] < 2 * n_classes:
        raise ValueError(
            f"rows: {sizes[0]} training rows are too few for {n_classes} classes; give at least "
            f"{2 * n_classes}, two of each"
        )
    if sizes[-1] > most:
        raise ValueError(
            f"rows: {sizes[-1]} is more than the {most} rows of the largest training part; leave "
            f"it out"
        )
    made = []
    for task in tasks:
        train = task.split.train
        order = stratified_order(y[train], task.seed)
        for size in sizes:
            if size <= len(train):
                split = task.split.trained_on(np.sort(order[:size]))
                made.append(replace(task, split=split, pictures=False, axis="rows", place=size))
    return made


def shift_splits(n_splits, X, y, image_shape=None, groups=None):
    """Split whole classes, train and test ever further apart.

    Parameters
    ----------
    n_splits : int
    X : ndarray or DataFrame of shape (n, n_features)
    y : ndarray of shape (n,), integer codes of the classes
    image_shape : tuple, default=None
    groups : ndarray of int, shape (n,), default=None
        Rows that stay together.

    Returns
    -------
    splits : list of Split
    shifts : tuple of float
        Fréchet distance between the parts of each, in standardized features (of images: in
        pixels), on principal components where there are many.
    """
    n_classes = len(np.unique(y))
    if n_classes - n_classes // 2 < MIN_TRAIN_CLASSES:
        raise ValueError(
            f"shift: {n_classes} classes are too few; {2 * MIN_TRAIN_CLASSES - 1} are needed, half "
            f"of them to fit and tune on"
        )
    (X,) = split_rows(X, np.arange(len(y)))  # the shift is a description, not a score
    features = X if image_shape is not None else StandardScaler().fit_transform(X)
    if features.shape[1] > SHIFT_FEATURES:
        n_components = min(SHIFT_FEATURES, len(X))
        features = PCA(n_components, svd_solver="full").fit_transform(features)
    splitter = ClassShiftSplit(n_splits)
    shifts = splitter.shifts(features, y).tolist()
    # Few classes make few different splits: those that are the same come once.
    distinct = dict(zip(shifts, splitter.split(features, y), strict=True))
    splits = [
        make_split("open", i, without_groups_of(train, test, groups), test, groups)
        for i, (train, test) in enumerate(distinct.values())
    ]
    return splits, tuple(distinct)
