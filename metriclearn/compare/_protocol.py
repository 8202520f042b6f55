"""The protocol: how rows are split, how a learner is tuned, what is measured.

Two questions are asked of each learner.

closed set
    New rows of known classes: stratified folds, 3-nearest-neighbor accuracy
    with the training rows as the gallery.
open set
    Classes never seen in training: repeated splits that share no class,
    Recall@1, R-precision and MAP@R among the rows of the unseen classes.

A learner is tuned and fitted by ``fit_tuned``, which is handed the training
rows alone; test rows and test labels reach ``measure`` only.
"""

import time
import warnings
from dataclasses import dataclass, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from metriclearn._text import one_line
from metriclearn.compare._fitting import fit_tuned
from metriclearn.compare._learners._learner import Learner
from metriclearn.compare._measure import measure
from metriclearn.compare._pictures import draw_map, learned_matrix
from metriclearn.compare._records import FoldRecord, Tuning
from metriclearn.model_selection import ClassDisjointShuffleSplit

# Two classes to fit on, two to tune on and two to test on.
MIN_TRAIN_CLASSES = 4
MIN_OPEN_CLASSES = 6


@dataclass(frozen=True)
class Split:
    """One fold of one protocol, as row numbers."""

    protocol: str
    fold: int
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Task:
    """One learner on one split; ``pictures`` asks for its map and matrix as well.

    As a point of a curve it has an ``axis`` and a ``place`` on it: ``"rows"`` and
    their number, ``"dimensions"`` and their number, ``"shift"`` and the number of the split.
    """

    learner: Learner
    split: Split
    seed: int
    tuning: Tuning
    pictures: bool
    image_shape: tuple | None = None
    axis: str | None = None
    place: int | None = None

    @property
    def cell(self):
        """What tells the task, as its record, from the others of a comparison."""
        return self.learner.key, self.split.protocol, self.split.fold, self.axis, self.place


def make_splits(y, n_folds, seed):
    """Split the rows for both protocols.

    Parameters
    ----------
    y : ndarray of shape (n,), integer codes of the classes
    n_folds : int
        Folds of each protocol; no more than the smallest class has rows.
    seed : int

    Returns
    -------
    splits : list of Split
    notes : dict of str to str
        What is remarkable about a protocol, or why it was left out.
    """
    counts = np.bincount(y)
    notes = {}
    n_closed = min(n_folds, counts.min())
    if n_closed < n_folds:
        notes["closed"] = f"{n_closed} folds, as the smallest class has {counts.min()} rows"
    folds = StratifiedKFold(n_closed, shuffle=True, random_state=seed).split(y, y)
    splits = [Split("closed", i, train, test) for i, (train, test) in enumerate(folds)]
    n_classes = len(counts)
    if n_classes < MIN_OPEN_CLASSES:
        notes["open"] = (
            f"left out: {n_classes} classes are too few; {MIN_OPEN_CLASSES} are needed, 2 to "
            f"fit on, 2 to tune on and 2 to test on"
        )
        return splits, notes
    n_test = min(n_classes // 2, n_classes - 4)
    notes["open"] = (
        f"{n_folds} splits, each fitted on {n_classes - n_test} classes and tested on the other "
        f"{n_test}"
    )
    disjoint = ClassDisjointShuffleSplit(n_folds, test_size=n_test, random_state=seed)
    splits += [Split("open", i, *rows) for i, rows in enumerate(disjoint.split(y, y))]
    return splits, notes


def run_task(task, X, y):
    """Tune, fit and measure one learner on one split.

    Returns
    -------
    FoldRecord
        An exception of the learner is its ``error``, not an exception.
    """
    blank = _blank_record(task)
    start = time.perf_counter()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", ConvergenceWarning)
            record = _run(task, X, y, blank)
        warned = sorted({one_line(warning.message) for warning in caught})
        record = replace(record, notes=(*record.notes, *warned))
    except Exception as error:
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        record = replace(blank, error=kind + one_line(error))
    return replace(record, task_seconds=time.perf_counter() - start)


def failed(task, reason):
    """Return the record of a task that came to nothing."""
    return replace(_blank_record(task), error=reason)


def _blank_record(task):
    return FoldRecord(
        learner=task.learner.key,
        protocol=task.split.protocol,
        fold=task.split.fold,
        n_train=len(task.split.train),
        n_test=len(task.split.test),
        axis=task.axis,
        place=task.place,
    )


def _run(task, X, y, blank):
    train, test, protocol = task.split.train, task.split.test, task.split.protocol
    X_train, y_train = X[train], y[train]
    fitted = fit_tuned(
        task.learner,
        X_train,
        y_train,
        protocol=protocol,
        seed=task.seed,
        tuning=task.tuning,
        image_shape=task.image_shape,
        dimension=task.place if task.axis == "dimensions" else None,
    )
    with threadpool_limits(1):
        measured = measure(fitted.estimator, X_train, y_train, X[test], y[test], protocol)
        drawn = {}
        if task.pictures:
            drawn["map"] = draw_map(fitted.estimator, X[test], y[test], task.seed)
            drawn["matrix"] = learned_matrix(fitted.estimator, X_train)
    return replace(
        blank,
        scores=measured.scores,
        recall_at=measured.recall_at,
        dimension=measured.dimension,
        fit_seconds=fitted.fit_seconds,
        tune_seconds=fitted.tune_seconds,
        params=fitted.params,
        tuning=fitted.tuning,
        notes=fitted.notes,
        **drawn,
    )
