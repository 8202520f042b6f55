"""A search over the settings of one learner, judged on a validation part."""

import warnings
from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning

from metriclearn.compare._measuring._measure import judge
from metriclearn.compare._measuring._splits import fit_capped
from metriclearn.compare._measuring._training import Training
from metriclearn.compare._plain import to_plain
from metriclearn.compare._records import Trial
from metriclearn.compare._tuning._networks import NetworkCache, current_networks
from metriclearn.compare._tuning._strategies import STRATEGIES


@dataclass(frozen=True)
class Judge:
    """Fits a setting on one part of the rows and judges it on the other.

    Attributes
    ----------
    X, y : ndarray
        The training part.
    fit_rows, judged_rows : ndarray of int
        Rows of it.
    protocol : {"closed", "open"}
    measure : str
    training : Training or None
        None for learners that say themselves how long they are trained.
    max_rows : int or None
        Most rows that are fitted on.
    seed : int
    networks : NetworkCache
        What stands on a network is tried on the same one, not on one trained again.
    """

    X: np.ndarray
    y: np.ndarray
    fit_rows: np.ndarray
    judged_rows: np.ndarray
    protocol: str
    measure: str
    training: Training | None = None
    max_rows: int | None = None
    seed: int = 0
    networks: NetworkCache = field(default_factory=current_networks, repr=False)

    def try_setting(self, estimator, params, n_rows=None):
        """Fit a setting and judge it; for longer and longer while a limit ends it and it rises.

        Returns
        -------
        Trial
        """
        rows = [n for n in (self.max_rows, n_rows, len(self.fit_rows)) if n is not None]
        stages = [{}]
        if self.training is not None:
            stages = self.training.stages(estimator, min(rows))
        best, is_cut, reached = None, False, []
        for stage in stages:
            attempt = self.networks.remembering(clone(estimator).set_params(**stage))
            score, k, warned = self._judged(attempt, min(rows))
            if self.training is not None:
                reached += self.training.reached(attempt, score)
            if best is not None and score <= best.score:
                is_cut = False
                break
            length, is_cut = None, warned
            if self.training is not None:
                length, is_cut = self.training.result(attempt, warned=warned)
            best = Trial(to_plain(params), score, n_rows, k, length)
            if score >= 1.0:  # there is nothing to gain
                is_cut = False
            if not is_cut:
                break
        return replace(best, rising=is_cut, reached=tuple(reached))

    def _judged(self, estimator, n_rows):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            self._fit(estimator, n_rows)
        warned = any(warning.category is ConvergenceWarning for warning in caught)
        return *self._score(estimator), warned

    def _fit(self, estimator, n_rows):
        X, y = self.X[self.fit_rows], self.y[self.fit_rows]
        fit_capped(estimator, X, y, n_rows, self.seed)

    def _score(self, estimator):
        """Return the score of a fitted estimator, and the k that it was reached with."""
        fitted, judged = (
            (self.X[rows], self.y[rows]) for rows in (self.fit_rows, self.judged_rows)
        )
        return judge(estimator, *fitted, *judged, self.protocol, self.measure, seed=self.seed)


def _search(estimator, space, tuning, judge, tried):
    """Try settings of a search space, as many as the tuning allows."""
    space = {f"learner__{name}": values for name, values in space.items()}
    validation = judge.fit_rows, judge.judged_rows
    search = STRATEGIES[tuning.method](
        _Judged(estimator, tried), space, tuning, validation, judge.y, judge.seed
    )
    with warnings.catch_warnings():
        # Settings that cannot be fitted, and spaces smaller than the budget, are in the result.
        for category in (FitFailedWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        try:
            search.fit(judge.X, judge.y)
        except ValueError:
            if tried.done or tried.error is None:
                raise


def choose(estimator, candidates, tuning, judge):
    """Try settings of a learner on a validation part.

    Parameters
    ----------
    estimator : transformer
    candidates : dict or list of dict
        A search space, or the settings themselves.
    tuning : Tuning
    judge : Judge

    Returns
    -------
    best : dict
        The parameters with the best score; the first of several.
    trial : Trial
        How these did.
    trials : tuple of Trial
        Every setting tried; with halving with the number of rows it was fitted on.
    """
    tried = _Tried(judge)
    if isinstance(candidates, dict):
        _search(estimator, candidates, tuning, judge, tried)
    else:
        for params in candidates:
            tried.add(clone(estimator).set_params(**params), params)
    if not tried.done:
        error = tried.error
        raise ValueError(f"no setting could be fitted: {type(error).__name__}: {error}")
    most = max(trial.n_rows or 0 for _, trial in tried.done)
    last = [pair for pair in tried.done if (pair[1].n_rows or 0) == most]
    best, trial = max(last, key=lambda pair: pair[1].score)
    return best, trial, tuple(tried.trials)


class _Tried:
    """Collects what was tried; scikit-learn's searches copy it, and all copies are the same."""

    def __init__(self, judge):
        self.judge = judge
        self.trials, self.done, self.error = [], [], None

    def __deepcopy__(self, memo):
        return self

    def add(self, estimator, params, n_rows=None):
        try:
            trial = self.judge.try_setting(estimator, params, n_rows)
        except Exception as error:
            self.error = self.error or error
            self.trials.append(Trial(to_plain(params), None, n_rows))
            raise
        self.trials.append(trial)
        self.done.append((params, trial))
        return trial.score


class _Judged(BaseEstimator):
    """A learner as scikit-learn's searches want it.

    Parameters
    ----------
    learner : transformer
    tried : _Tried
    n_rows : int, default=None
        Rows that halving gives it; all by default.
    """

    def __init__(self, learner, tried, n_rows=None):
        self.learner = learner
        self.tried = tried
        self.n_rows = n_rows

    def set_params(self, **params):
        """Set parameters, and remember those that a search asked for."""
        prefix = "learner__"
        asked = {k.removeprefix(prefix): v for k, v in params.items() if k.startswith(prefix)}
        self._asked = getattr(self, "_asked", {}) | asked
        return super().set_params(**params)

    def fit(self, X, y):
        """Fit and judge the learner."""
        asked = getattr(self, "_asked", {})
        self.score_ = self.tried.add(clone(self.learner), asked, self.n_rows)
        return self

    def score(self, X, y):
        """Return how the learner was judged."""
        return self.score_
