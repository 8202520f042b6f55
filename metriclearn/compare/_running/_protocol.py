"""The protocol: how rows are split, how a learner is tuned, what is measured.

Two questions are asked of each learner.

closed set
    New rows of known classes: stratified folds, accuracy of the nearest neighbors
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

from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from metriclearn._text import one_line
from metriclearn.compare._fitting import DEFAULT, Rules, fit_tuned
from metriclearn.compare._judged._data import Judged
from metriclearn.compare._judged._run import run_judged
from metriclearn.compare._learners._learner import Learner
from metriclearn.compare._measuring._measure import are_amounts, growth_of, measure, tell_classes
from metriclearn.compare._measuring._pictures import find_rows, keep_map, learned_matrix
from metriclearn.compare._measuring._splits import Split, width
from metriclearn.compare._measuring._training import training_losses
from metriclearn.compare._records import FoldRecord
from metriclearn.compare._tables._cleaning import cleaned_names, fit_cleaner, take_rows


@dataclass(frozen=True)
class Task:
    """One learner on one split; ``pictures`` asks for its map and matrix as well.

    As a point of a curve it has an ``axis`` and a ``place`` on it: ``"rows"`` and
    their number, ``"dimensions"`` and their number, ``"shift"`` and the number of the split.
    ``repeat`` counts the seeds of one fold.
    """

    learner: Learner
    split: Split
    seed: int
    rules: Rules = DEFAULT
    pictures: bool = False
    image_shape: tuple | None = None
    axis: str | None = None
    place: int | None = None
    repeat: int = 0

    @property
    def cell(self):
        """What tells the task, as its record, from the others of a comparison."""
        split = self.split
        return self.learner.key, split.protocol, split.fold, self.axis, self.place, self.repeat


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
        repeat=task.repeat,
    )


def _run(task, X, y, blank):
    split, protocol = task.split, task.split.protocol
    if isinstance(y, Judged):
        return run_judged(task, X, y, blank)
    if task.learner.reads is not None:
        X = getattr(X, task.learner.reads)
    cleaner = fit_cleaner(X, split.train)
    X_train, X_test = (take_rows(X, rows, cleaner) for rows in (split.train, split.test))
    y_test, y_searched, gallery = y[split.test], y[split.test], None
    if split.searched is not None:
        y_searched = y[split.searched]
        gallery = take_rows(X, split.searched, cleaner), y_searched
    fitted = fit_tuned(
        task.learner,
        X_train,
        y[split.train],
        protocol=protocol,
        groups=split.groups,
        seed=task.seed,
        rules=task.rules,
        image_shape=task.image_shape,
        dimension=task.place if task.axis == "dimensions" else None,
    )
    with threadpool_limits(1):
        measured = measure(fitted.estimator, gallery, X_test, y_test, protocol, k=fitted.k)
        drawn = {}
        if task.pictures and measured.dimension is not None:
            if not are_amounts(y):
                drawn["map"] = keep_map(measured.Z, y_test, task.seed, split.test)
                drawn["found"] = find_rows(measured, split, y, task.seed)
            drawn["matrix"] = learned_matrix(fitted.estimator, X_train, cleaned_names(cleaner))
        if task.axis is None and not are_amounts(y):
            drawn["by_class"] = tell_classes(measured, y_searched, y_test)
            drawn["growth"] = growth_of(measured, y_searched, y_test, task.seed)
        if task.axis is None:
            drawn["losses"] = training_losses(fitted.estimator)
    return replace(
        blank,
        n_features=width(X_train),
        scores=measured.scores,
        recall_at=measured.recall_at,
        dimension=measured.dimension,
        k=fitted.k if protocol == "closed" and measured.dimension is not None else None,
        embed_seconds=measured.embed_seconds,
        bytes_per_row=measured.bytes_per_row,
        **fitted.recorded(),
        **drawn,
    )
