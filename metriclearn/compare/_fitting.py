"""Tuning and fitting of one learner, on the training rows alone."""

import time
import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedShuffleSplit
from threadpoolctl import threadpool_limits

from metriclearn._text import one_line
from metriclearn.compare._effort import NORMAL, Effort
from metriclearn.compare._learners._fine_tuned import is_fine_tuned, stayed_frozen
from metriclearn.compare._learners._learner import Setting
from metriclearn.compare._measuring._amounts import amount_validation
from metriclearn.compare._measuring._measure import DEFAULT_K, HEADLINE, are_amounts
from metriclearn.compare._measuring._splits import fit_capped, width
from metriclearn.compare._measuring._training import Training
from metriclearn.compare._plain import to_plain
from metriclearn.compare._records import Tuning
from metriclearn.compare._roster import at_dimension, search_space
from metriclearn.compare._tuning._networks import current_networks, fit_remembering
from metriclearn.compare._tuning._search import Judge, choose
from metriclearn.model_selection import ClassDisjointShuffleSplit
from metriclearn.model_selection._disjoint import stratified_group_folds, without_groups_of

VALIDATION_PART = 0.25
# From this many classes on, a network that learns for unseen ones is stopped by held-out ones.
MANY_CLASSES = 20


@dataclass(frozen=True)
class Rules:
    """How a learner is tuned; the same for every learner and fold.

    Attributes
    ----------
    tuning : Tuning
    effort : Effort
    measures : dict of str to str
        By protocol, what settings are judged by.
    """

    tuning: Tuning = Tuning()  # noqa: RUF009 it is frozen
    effort: Effort = NORMAL
    measures: tuple = tuple(HEADLINE.items())

    def measure(self, protocol):
        """Return what settings are judged by."""
        return dict(self.measures)[protocol]


DEFAULT = Rules()


@dataclass(frozen=True)
class Fitted:
    """A fitted learner, and how it got there; see ``FoldRecord``."""

    estimator: object
    params: dict
    tuning: tuple
    k: int
    validation: float | None
    rising: bool
    fit_seconds: float
    tune_seconds: float
    notes: tuple

    def recorded(self):
        """Return what a record keeps as it is, by its names there."""
        names = ("params", "tuning", "validation", "rising", "fit_seconds", "tune_seconds", "notes")
        return {name: getattr(self, name) for name in names}


def fit_tuned(
    learner,
    X,
    y,
    *,
    protocol,
    groups=None,
    seed=0,
    rules=DEFAULT,
    image_shape=None,
    dimension=None,
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
    groups : ndarray of shape (n,), default=None
        Rows of a group are all fitted on or all judged by.
    seed : int, default=0
        Also given to every ``random_state`` of the learner that is None.
    rules : Rules, default=Rules()
    image_shape : tuple, default=None
    dimension : int, default=None
        Dimension of the learned space, in place of the learner's own.

    Returns
    -------
    Fitted
    """
    inner = None
    if rules.tuning.method != "off":
        inner = validation_split(y, protocol, seed, groups)
    # Amounts are as if all were of one class.
    classes = np.zeros(len(y), dtype=int) if are_amounts(y) else y
    fit_codes = classes if inner is None else classes[inner[0]]
    sizes = np.unique(fit_codes, return_counts=True)[1]
    by_classes = protocol == "open" and len(sizes) >= MANY_CLASSES
    part = "open" if by_classes else "closed"
    make_judge = None
    if inner is not None:
        make_judge = partial(
            Judge,
            X,
            y,
            *inner,
            protocol=protocol,
            measure=rules.measure(protocol),
            max_rows=learner.max_rows,
            seed=seed,
        )
    return fit_chosen(
        learner,
        Setting(
            len(X),
            width(X),
            len(np.unique(classes)),
            int(sizes.min()),
            image_shape,
            rules.effort,
            fewest_rows=len(fit_codes),
        ),
        make_judge,
        partial(fit_capped, X=X, y=y, max_rows=learner.max_rows, seed=seed),
        part="amounts" if are_amounts(y) else part,
        n_rows=len(X),
        seed=seed,
        rules=rules,
        dimension=dimension,
    )


def fit_chosen(
    learner,
    setting,
    make_judge,
    fit,
    *,
    part,
    n_rows,
    seed=0,
    rules=DEFAULT,
    dimension=None,
):
    """Choose a learner's settings by a judge, then fit it.

    Parameters
    ----------
    learner : Learner
    setting : Setting
    make_judge : callable or None
        ``make_judge(training=training) -> Judge``; None where nothing is held out to judge by.
    fit : callable
        ``fit(estimator) -> n_fit``: fits on the training part, and says on how much of it.
    part : {"closed", "open", "amounts", "judgments"}
        Of ``Training``.
    n_rows : int
        Rows, or judgments, of the training part.
    seed : int, default=0
    rules : Rules, default=Rules()
    dimension : int, default=None

    Returns
    -------
    Fitted
    """
    tuning = rules.tuning
    estimator, grid = learner.make(setting)
    space = search_space(learner, setting, grid)
    if dimension is not None:
        estimator, grid, space = at_dimension(estimator, grid, space, dimension)
    estimator = _seeded(estimator, seed)
    if learner.family != "baseline":  # these cost nothing
        grid = grid[: rules.effort.n_settings]
    is_searched = tuning.is_search and bool(space)
    untried = is_fine_tuned(learner) and not rules.effort.tries_networks
    if len(grid) == 1 and not is_searched and (untried or not hasattr(estimator, "transform")):
        make_judge = None  # neither a setting nor a number of neighbors is to be chosen
    training = None
    if not learner.is_own and not learner.sets_length:
        training = Training(part, rules.effort, setting.image_shape is not None)
    params, trial, trials = grid[0], None, ()
    networks = current_networks()
    networks.begin()
    # Here and not earlier: make() may be what loads torch and its threads.
    with threadpool_limits(1):
        start = time.process_time()
        if make_judge is not None:
            candidates = space if is_searched else grid
            first = clone(estimator).set_params(**params)
            chosen, trial, trials = choose(first, candidates, tuning, make_judge(training=training))
            params = params | chosen
        if training is not None and trial is not None:
            params = params | training.final(estimator, trial.epochs)
        elif training is not None:
            params = params | training.untried(estimator, n_rows)
        tuned = time.process_time()
        tune_seconds = tuned - start + networks.settle()
        estimator.set_params(**params)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            n_fit = fit_remembering(networks, fit, estimator)
        fit_seconds = time.process_time() - tuned + networks.settle()
    warned = sorted(
        {one_line(each.message) for each in caught if each.category is ConvergenceWarning}
    )
    if trial is not None:
        rising = trial.rising
    elif training is not None:
        rising = training.result(estimator, warned=bool(warned))[1]
    else:
        rising = bool(warned)
    if not learner.is_own:  # what the caller could change is nothing that the command takes
        warned = [without_remedy(text, rising=rising) for text in warned]
    return Fitted(
        estimator=estimator,
        params=to_plain(params),
        tuning=trials,
        k=DEFAULT_K if trial is None or trial.k is None else trial.k,
        validation=None if trial is None else trial.score,
        rising=rising,
        fit_seconds=fit_seconds,
        tune_seconds=tune_seconds,
        notes=(*_notes(estimator, n_fit, n_rows, part, untried), *warned),
    )


def without_remedy(warning, *, rising):
    """Return what a warning of a learner of the roster says, without what to change.

    Examples
    --------
    >>> without_remedy("NCA did not converge in max_iter=9 iterations; raise tol", rising=True)
    'NCA did not converge in 9 iterations'
    """
    said = warning.partition("; ")[0].replace("max_iter=", "")
    return said if rising else f"{said}; no gain from more was seen on validation data"


def _notes(estimator, n_fit, n_rows, part, untried):
    notes, what = [], "judgments" if part == "judgments" else "rows"
    if n_fit < n_rows:
        notes.append(f"learned from {n_fit} of {n_rows} training {what}")
    if stayed_frozen(estimator):
        notes.append("left the features as they are: that did better on validation data")
    steps = getattr(estimator, "named_steps", {})
    if "shrink" in steps:
        notes.append(f"on images shrunk to {' × '.join(map(str, steps['shrink'].shape))}")
    if untried:
        notes.append("fitted once, without a trial on validation data")
    return notes


def validation_split(y, protocol, seed, groups=None):
    """Return rows to fit on and rows to judge a setting by; None where there are too few."""
    if are_amounts(y):
        return amount_validation(y, seed, groups)
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
