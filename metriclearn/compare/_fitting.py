"""Tuning and fitting of one learner, on the training rows alone."""

import time
from dataclasses import dataclass

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import StratifiedShuffleSplit
from threadpoolctl import threadpool_limits

from metriclearn.compare._learners._learner import Setting
from metriclearn.compare._plain import to_plain
from metriclearn.compare._records import Tuning
from metriclearn.compare._roster import at_dimension, search_space
from metriclearn.compare._rows import fit_capped
from metriclearn.compare._tuning._search import choose
from metriclearn.model_selection import ClassDisjointShuffleSplit
from metriclearn.model_selection._grouped import stratified_group_folds, without_groups_of

VALIDATION_PART = 0.25
DEFAULT = Tuning()


@dataclass(frozen=True)
class Fitted:
    """A fitted learner, and how it got there; see ``FoldRecord``."""

    estimator: object
    params: dict
    tuning: tuple
    fit_seconds: float
    tune_seconds: float
    notes: tuple


def fit_tuned(
    learner,
    X,
    y,
    *,
    protocol,
    seed=0,
    tuning=DEFAULT,
    image_shape=None,
    dimension=None,
    groups=None,
):
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
    tuning : Tuning, default=Tuning("few")
    image_shape : tuple, default=None
    dimension : int, default=None
        Dimension of the learned space, in place of the learner's own.
    groups : ndarray of int, shape (n,), default=None
        Rows that stay together when a validation part is drawn.

    Returns
    -------
    Fitted
    """
    inner = _validation_split(y, protocol, seed, groups)
    smallest = np.unique(y if inner is None else y[inner[0]], return_counts=True)[1].min()
    setting = Setting(len(X), X.shape[1], len(np.unique(y)), int(smallest), image_shape)
    estimator, grid = learner.make(setting)
    space = search_space(learner, setting, grid)
    if dimension is not None:
        estimator, grid, space = at_dimension(estimator, grid, space, dimension)
    estimator = _seeded(estimator, seed)
    candidates = space if tuning.is_search else grid
    is_choice = len(candidates) > 1 if tuning.is_few else bool(candidates)
    params, trials = grid[0], ()
    # Here and not earlier: make() may be what loads torch and its threads.
    with threadpool_limits(1):
        start = time.process_time()
        if inner is not None and tuning.method != "off" and is_choice:
            chosen, trials = choose(
                clone(estimator).set_params(**params),
                candidates,
                tuning,
                X,
                y,
                inner,
                protocol=protocol,
                max_rows=learner.max_rows,
                seed=seed,
            )
            params = params | chosen
        tuned = time.process_time()
        estimator.set_params(**params)
        n_fit = fit_capped(estimator, X, y, learner.max_rows, seed)
        fitted = time.process_time()
    notes = tuple(_notes(estimator, n_fit, len(X)))
    return Fitted(estimator, to_plain(params), trials, fitted - tuned, tuned - start, notes)


def _notes(estimator, n_fit, n_rows):
    notes = []
    if n_fit < n_rows:
        notes.append(f"learned from {n_fit} of {n_rows} training rows")
    steps = getattr(estimator, "named_steps", {})
    if "pca" in steps:
        notes.append(f"on {steps['pca'].n_components_} principal components")
    if "shrink" in steps:
        notes.append(f"on images shrunk to {' × '.join(map(str, steps['shrink'].shape))}")
    return notes


def _validation_split(y, protocol, seed, groups=None):
    """Rows to fit on and rows to judge a setting by; None where there are too few."""
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    if protocol == "open":
        n_val = max(2, len(counts) // 3)
        if len(counts) - n_val < 2:
            return None
        splitter = ClassDisjointShuffleSplit(1, test_size=n_val, random_state=seed)
        fit_rows, val_rows = next(splitter.split(codes, codes))
        fit_rows = without_groups_of(fit_rows, val_rows, groups)
        return (fit_rows, val_rows) if len(np.unique(codes[fit_rows])) >= 2 else None
    rows = np.flatnonzero(counts[codes] >= 4)
    n_val = int(VALIDATION_PART * len(rows))
    if len(np.unique(codes[rows])) < 2 or n_val < np.sum(counts >= 4):
        return None
    if groups is not None:
        folds = stratified_group_folds(codes[rows], groups[rows], round(1 / VALIDATION_PART), seed)
        fit_rows, val_rows = next(folds)
        enough = len(val_rows) and len(np.unique(codes[rows[fit_rows]])) >= 2
        return (rows[fit_rows], rows[val_rows]) if enough else None
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
