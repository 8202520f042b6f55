"""The protocol: how rows are split, how a learner is tuned, what is measured.

Two questions are asked of each learner.

closed set
    New rows of known classes: stratified folds, 3-nearest-neighbour accuracy
    with the training rows as the gallery.
open set
    Classes never seen in training: repeated splits that share no class,
    Recall@1, R-precision and MAP@R among the rows of the unseen classes.

A learner is tuned and fitted by ``fit_tuned``, which is handed the training
rows alone; test rows and test labels reach ``measure`` only.
"""

import time
import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from metriclearn.compare._lineup import Learner, Setting
from metriclearn.compare._pictures import draw_map, learned_matrix
from metriclearn.metrics._retrieval import retrieval_scores
from metriclearn.model_selection import ClassDisjointShuffleSplit

N_NEIGHBORS = 3
RECALL_KS = (1, 2, 4, 8, 16, 32)
MEASURES = {"closed": ("accuracy",), "open": ("recall_at_1", "r_precision", "map_at_r")}
# Two classes to fit on, two to tune on and two to test on.
MIN_OPEN_CLASSES = 6
VALIDATION_PART = 0.25


@dataclass(frozen=True)
class Split:
    """One fold of one protocol, as row numbers."""

    protocol: str
    fold: int
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Task:
    """One learner on one split; ``pictures`` asks for its map and matrix as well."""

    learner: Learner
    split: Split
    seed: int
    tune: bool
    pictures: bool
    image_shape: tuple | None = None


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
    dict
        Plain numbers, strings and lists only. An exception of the learner is
        an entry ``error``, not an exception.
    """
    record = {
        "learner": task.learner.key,
        "protocol": task.split.protocol,
        "fold": task.split.fold,
        "n_train": len(task.split.train),
        "n_test": len(task.split.test),
        "notes": [],
        "error": None,
    }
    start = time.perf_counter()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", ConvergenceWarning)
            record |= _run(task, X, y)
        record["notes"] += sorted({_one_line(warning.message) for warning in caught})
    except Exception as error:
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        record["error"] = kind + _one_line(error)
    record["task_seconds"] = time.perf_counter() - start
    return record


def _run(task, X, y):
    train, test, protocol = task.split.train, task.split.test, task.split.protocol
    X_train, y_train = X[train], y[train]
    fitted = fit_tuned(
        task.learner,
        X_train,
        y_train,
        protocol=protocol,
        seed=task.seed,
        tune=task.tune,
        image_shape=task.image_shape,
    )
    with threadpool_limits(1):
        scores = measure(fitted.estimator, X_train, y_train, X[test], y[test], protocol)
        record = {**fitted.report(), **scores}
        if task.pictures:
            record["map"] = draw_map(fitted.estimator, X[test], y[test], task.seed)
            record["matrix"] = learned_matrix(fitted.estimator, X_train)
    return record


@dataclass
class Fitted:
    """A learner after ``fit_tuned``, and how it got there."""

    estimator: object
    params: dict
    tuning: list
    fit_seconds: float
    tune_seconds: float
    notes: list

    def report(self):
        """Everything but the estimator, as plain values."""
        return {
            "params": self.params,
            "tuning": self.tuning,
            "fit_seconds": self.fit_seconds,
            "tune_seconds": self.tune_seconds,
            "notes": self.notes,
        }


def fit_tuned(learner, X, y, *, protocol, seed=0, tune=True, image_shape=None):
    """Choose a learner's settings on a part of the training rows, then fit it on all of them.

    Parameters
    ----------
    learner : Learner
    X : ndarray of shape (n, n_features)
        The training rows; no others are ever seen.
    y : ndarray of shape (n,)
    protocol : {"closed", "open"}
        The validation part is drawn and scored as the test part will be: by
        rows for ``"closed"``, by classes for ``"open"``.
    seed : int, default=0
        Also given to every ``random_state`` of the learner that is None.
    tune : bool, default=True
        False takes the first setting.
    image_shape : tuple, default=None

    Returns
    -------
    Fitted
    """
    inner = _validation_split(y, protocol, seed)
    smallest = np.unique(y if inner is None else y[inner[0]], return_counts=True)[1].min()
    setting = Setting(len(X), X.shape[1], len(np.unique(y)), int(smallest), image_shape)
    estimator, grid = learner.make(setting)
    estimator = _seeded(estimator, seed)
    # Here and not earlier: make() may be what loads torch and its threads.
    with threadpool_limits(1):
        start = time.perf_counter()
        tuning = []
        if tune and inner is not None and len(grid) > 1:
            for params in grid:
                trial = clone(estimator).set_params(**params)
                score = _validate(trial, X, y, *inner, protocol, learner.max_rows, seed)
                tuning.append({"params": params, "score": score})
        best = max(range(len(tuning)), key=lambda i: tuning[i]["score"], default=0)
        tuned = time.perf_counter()
        estimator.set_params(**grid[best])
        n_fit = _fit_capped(estimator, X, y, learner.max_rows, seed)
        fitted = time.perf_counter()
    notes = []
    if n_fit < len(X):
        notes.append(f"learned from {n_fit} of {len(X)} training rows")
    steps = getattr(estimator, "named_steps", {})
    if "pca" in steps:
        notes.append(f"on {steps['pca'].n_components_} principal components")
    if "shrink" in steps:
        notes.append(f"on images shrunk to {' × '.join(map(str, steps['shrink'].shape))}")
    return Fitted(estimator, grid[best], tuning, fitted - tuned, tuned - start, notes)


def _validate(trial, X, y, fit_rows, val_rows, protocol, max_rows, seed):
    _fit_capped(trial, X[fit_rows], y[fit_rows], max_rows, seed)
    scores = measure(
        trial, X[fit_rows], y[fit_rows], X[val_rows], y[val_rows], protocol, curve=False
    )
    return scores["scores"][MEASURES[protocol][-1]]


def _validation_split(y, protocol, seed):
    """Rows to fit on and rows to judge a setting by; None where there are too few."""
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    if protocol == "open":
        n_val = max(2, len(counts) // 3)
        if len(counts) - n_val < 2:
            return None
        splitter = ClassDisjointShuffleSplit(1, test_size=n_val, random_state=seed)
        return next(splitter.split(codes, codes))
    rows = np.flatnonzero(counts[codes] >= 4)
    n_val = int(VALIDATION_PART * len(rows))
    if len(np.unique(codes[rows])) < 2 or n_val < np.sum(counts >= 4):
        return None
    splitter = StratifiedShuffleSplit(1, test_size=n_val, random_state=seed)
    fit_rows, val_rows = next(splitter.split(rows, codes[rows]))
    return rows[fit_rows], rows[val_rows]


def _seeded(estimator, seed):
    params = {
        key: seed
        for key, value in estimator.get_params(deep=True).items()
        if (key == "random_state" or key.endswith("__random_state")) and value is None
    }
    return estimator.set_params(**params)


def _fit_capped(estimator, X, y, max_rows, seed):
    """Fit on at most ``max_rows`` rows, drawn evenly over the classes; return how many."""
    if max_rows is not None and len(X) > max_rows:
        splitter = StratifiedShuffleSplit(1, train_size=max_rows, random_state=seed)
        rows, _ = next(splitter.split(X, y))
        X, y = X[rows], y[rows]
    estimator.fit(X, y)
    return len(X)


def measure(estimator, X_train, y_train, X_test, y_test, protocol, *, curve=True):
    """Score a fitted learner on rows that it has not seen.

    Returns
    -------
    dict
        ``scores``, ``dimension`` and, with ``curve``, ``recall_at`` (k -> score).
    """
    Z = _embed(estimator, X_test)
    gallery = None if protocol == "open" else _embed(estimator, X_train)
    n_gallery = len(Z) - 1 if gallery is None else len(gallery)
    ks = [k for k in RECALL_KS if k <= n_gallery] if curve else []
    curve_measures = [f"recall_at_{k}" for k in ks]
    scores = {}
    if protocol == "open":
        scores = retrieval_scores(Z, y_test, {*MEASURES["open"], *curve_measures})
    else:
        search = KNeighborsClassifier(N_NEIGHBORS).fit(gallery, y_train)
        scores["accuracy"] = float(search.score(Z, y_test))
        if curve:
            scores |= retrieval_scores(
                Z, y_test, curve_measures, gallery=gallery, gallery_labels=y_train
            )
    result = {
        "dimension": Z.shape[1],
        "scores": {measure: scores[measure] for measure in MEASURES[protocol]},
    }
    if curve:
        result["recall_at"] = {str(k): scores[f"recall_at_{k}"] for k in ks}
    return result


def _embed(estimator, X):
    Z = np.asarray(estimator.transform(X))
    if not np.all(np.isfinite(Z)):
        raise ValueError("the embedding holds NaN or infinity")
    return Z


def _one_line(message):
    return " ".join(str(message).split()) or type(message).__name__
