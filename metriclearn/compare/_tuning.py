"""How settings are chosen: on validation rows or classes, the same budget for each learner.

The searches are scikit-learn's. A learner goes into them as ``Judged``, which keeps
the rows that it was fitted on: they are the gallery of the closed set.
"""

import time
import warnings
from dataclasses import asdict, dataclass
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    ParameterGrid,
    ParameterSampler,
    RandomizedSearchCV,
)

from metriclearn.compare._measure import HEADLINE, measure

SEARCHES = ("grid", "random", "halving")
DEFAULT_FITS = 20
HALVING_FACTOR = 3
# Fewest rows of a class, on average, that a round of halving starts with.
HALVING_ROWS_PER_CLASS = 8
# Of a search that only time ends.
ENDLESS = 100_000


@dataclass(frozen=True)
class Tuning:
    """How, and how long, each learner is tuned.

    Attributes
    ----------
    method : {"few", "off", "grid", "random", "halving"}
        ``"few"`` tries the settings of the line-up, ``"off"`` takes the first of them.
    n_fits : int or None
        Fits that a search may spend on a learner in each fold.
    seconds : float or None
        Seconds instead; the fit that is running when they end is finished.
    """

    method: str = "few"
    n_fits: int | None = None
    seconds: float | None = None

    @property
    def is_search(self):
        """Whether search spaces are used."""
        return self.method in SEARCHES

    @property
    def is_few(self):
        """Whether the line-up's few settings are tried."""
        return self.method == "few"

    def to_dict(self):
        """Return it as plain values."""
        return asdict(self)


def make_tuning(tune=None, tune_budget=None, search_spaces=None):
    """Check what the caller asked for.

    Parameters
    ----------
    tune : None, bool or {"grid", "random", "halving"}
    tune_budget : int, str or None
        Fits for each learner and fold, or seconds as in ``"90s"``.
    search_spaces : dict of str to dict, default=None
        Those that the caller gave.

    Returns
    -------
    Tuning

    Raises
    ------
    ValueError

    Examples
    --------
    >>> make_tuning("random", "1.5s")
    Tuning(method='random', n_fits=None, seconds=1.5)
    """
    if tune is None or isinstance(tune, bool):
        if tune_budget is not None:
            raise ValueError(
                f"tune_budget={tune_budget!r} needs a search: tune='grid', 'random' or 'halving'"
            )
        return Tuning("off" if tune is False else "few")
    if tune not in SEARCHES:
        raise ValueError(
            f"tune={tune!r} is unknown; give 'grid', 'random', 'halving', None (the few settings "
            f"of the line-up) or False (the first of them)"
        )
    endless = [key for key, space in (search_spaces or {}).items() if _size(space) is None]
    if tune == "grid" and endless:
        raise ValueError(
            f"search_spaces[{endless[0]!r}] holds a distribution, which has no end: give a list "
            f"of values, or tune='random'"
        )
    n_fits, seconds = _budget(DEFAULT_FITS if tune_budget is None else tune_budget)
    if seconds is not None and tune == "halving":
        raise ValueError(
            f"tune_budget={tune_budget!r}: halving plans its rounds ahead; give a number of fits"
        )
    return Tuning(tune, n_fits, seconds)


def _budget(given):
    text = given.strip() if isinstance(given, str) else ""
    try:
        if text.endswith("s"):
            seconds = float(text[:-1])
            if 0 < seconds < np.inf:
                return None, seconds
        elif text:
            given = int(text)
    except ValueError:
        pass  # refused below
    is_number = isinstance(given, Integral) and not isinstance(given, bool)
    if not is_number or given < 1:
        raise ValueError(
            f"tune_budget={given!r} must be a number of fits, at least 1, or seconds as in '90s'"
        )
    return int(given), None


class Judged(BaseEstimator):
    """A learner together with how it is scored on validation rows.

    Parameters
    ----------
    learner : transformer
    protocol : {"closed", "open"}
    max_rows : int, default=None
        Most rows it is fitted on.
    n_rows : int, default=None
        Rows that halving gives it; all by default.
    seed : int, default=0
        Of the draw of these rows.
    """

    def __init__(self, learner, protocol, *, max_rows=None, n_rows=None, seed=0):
        self.learner = learner
        self.protocol = protocol
        self.max_rows = max_rows
        self.n_rows = n_rows
        self.seed = seed

    def fit(self, X, y):
        """Fit the learner and keep the rows."""
        most = min((n for n in (self.max_rows, self.n_rows) if n is not None), default=None)
        self.learner_ = clone(self.learner)
        fit_capped(self.learner_, X, y, most, self.seed)
        self.X_, self.y_ = X, y
        return self

    def score(self, X, y):
        """Score rows that were not fitted on, by the measure that settles the protocol."""
        judged = measure(self.learner_, self.X_, self.y_, X, y, self.protocol, curve=False)
        return judged["scores"][HEADLINE[self.protocol]]


class TimedSearchCV(RandomizedSearchCV):
    """A random search that ends after so many seconds; at least one setting is tried.

    Parameters
    ----------
    estimator, param_distributions, cv, random_state, refit, error_score
        As of ``RandomizedSearchCV``.
    seconds : float
    """

    def __init__(
        self,
        estimator,
        param_distributions,
        *,
        seconds,
        cv=None,
        random_state=None,
        refit=False,
        error_score=np.nan,
    ):
        super().__init__(
            estimator,
            param_distributions,
            n_iter=ENDLESS,
            cv=cv,
            random_state=random_state,
            refit=refit,
            error_score=error_score,
        )
        self.seconds = seconds

    def _run_search(self, evaluate_candidates):
        end = time.perf_counter() + self.seconds
        sampler = ParameterSampler(
            self.param_distributions, self.n_iter, random_state=self.random_state
        )
        for params in sampler:
            evaluate_candidates([params])
            if time.perf_counter() >= end:
                break


def choose(estimator, candidates, tuning, X, y, validation, *, protocol, max_rows=None, seed=0):
    """Try settings of a learner on a validation part.

    Parameters
    ----------
    estimator : transformer
    candidates : dict or list of dict
        A search space, or with ``"few"`` the settings themselves.
    tuning : Tuning
    X, y : ndarray
        The training part.
    validation : pair of ndarray
        Rows of it to fit on, and rows to score on.
    protocol : {"closed", "open"}
    max_rows : int, default=None
    seed : int, default=0

    Returns
    -------
    best : dict
        The parameters with the best score; the first of several.
    trials : list of dict
        ``params`` and ``score`` of every setting tried, as plain values; with
        halving ``n_rows`` as well, the rows it was fitted on.

    Raises
    ------
    ValueError
        If no setting could be fitted.
    """
    judged = Judged(estimator, protocol, max_rows=max_rows, seed=seed)
    search = _search(judged, candidates, tuning, len(validation[0]), y, [validation], seed)
    try:
        with warnings.catch_warnings():
            # Settings that cannot be fitted, and spaces smaller than the budget: both are told.
            for told_elsewhere in (FitFailedWarning, UserWarning):
                warnings.simplefilter("ignore", told_elsewhere)
            search.fit(X, y)
    except ValueError as error:
        if "fits failed" not in str(error):
            raise
        raise ValueError(f"no setting could be fitted: {_last_line(error)}") from None
    results = search.cv_results_
    trials = [
        {
            "params": {name: plain(value) for name, value in _own(params).items()},
            "score": None if np.isnan(score) else float(score),
        }
        for params, score in zip(results["params"], results["mean_test_score"], strict=True)
    ]
    for trial, n_rows in zip(trials, results.get("n_resources", ()), strict=False):
        trial["n_rows"] = int(n_rows)
    return _own(search.best_params_), trials


def _search(judged, candidates, tuning, n_rows, y, cv, seed):
    if tuning.method == "few":
        grid = [_judged({name: [v] for name, v in params.items()}) for params in candidates]
        return GridSearchCV(judged, grid, cv=cv, refit=False, error_score="raise")
    space = _judged(candidates)
    n_settings = _size(space)
    if tuning.seconds is not None:
        return TimedSearchCV(judged, space, seconds=tuning.seconds, cv=cv, random_state=seed)
    if tuning.method == "halving":
        n_classes = len(np.unique(y))
        fewest = min(n_rows, HALVING_ROWS_PER_CLASS * n_classes)
        n_candidates, least = plan_halving(tuning.n_fits, n_rows, fewest, n_settings)
        return HalvingRandomSearchCV(
            judged,
            space,
            n_candidates=n_candidates,
            factor=HALVING_FACTOR,
            resource="n_rows",
            min_resources=least,
            max_resources=n_rows,
            cv=cv,
            random_state=seed,
            refit=False,
        )
    if tuning.method == "grid" and n_settings <= tuning.n_fits:
        return GridSearchCV(judged, space, cv=cv, refit=False)
    # A grid larger than the budget: so many of its settings, none twice.
    return RandomizedSearchCV(
        judged, space, n_iter=tuning.n_fits, cv=cv, random_state=seed, refit=False
    )


def plan_halving(n_fits, n_rows, fewest_rows, n_settings=None, factor=HALVING_FACTOR):
    """Plan rounds of successive halving that cost as much as so many fits on all rows.

    Each round keeps the best third and gives them three times the rows; the last
    round has all rows.

    Parameters
    ----------
    n_fits : int
    n_rows : int
    fewest_rows : int
        The first round has no fewer.
    n_settings : int, default=None
        Size of the search space, where it ends.
    factor : int, default=3

    Returns
    -------
    n_candidates : int
        Settings in the first round.
    first_rows : int
        Rows that each of them gets.

    Examples
    --------
    >>> plan_halving(20, 900, 80)
    (57, 100)
    """
    most_rounds = 1 + int(np.log(n_rows / max(1, fewest_rows)) / np.log(factor) + 1e-9)
    best = (1, n_rows)
    n_candidates = 0
    while n_settings is None or n_candidates < n_settings:
        n_candidates += 1
        rounds = min(most_rounds, 1 + int(np.log(n_candidates) / np.log(factor) + 1e-9))
        first_rows = n_rows // factor ** (rounds - 1)
        cost, kept = 0, n_candidates
        for i in range(rounds):
            cost += kept * first_rows * factor**i
            kept = -(-kept // factor)
        if cost > n_fits * n_rows:
            if rounds == most_rounds:
                break
            continue
        best = (n_candidates, first_rows)
    return best


def _size(space):
    """How many settings a space has; None where it has no end."""
    if any(hasattr(values, "rvs") for values in space.values()):
        return None
    return len(ParameterGrid(space))


def _judged(params):
    return {f"learner__{name}": value for name, value in params.items()}


def _own(params):
    """Parameters of the learner itself; halving lists the number of rows among them."""
    prefix = "learner__"
    return {k.removeprefix(prefix): v for k, v in params.items() if k.startswith(prefix)}


def _last_line(error):
    """The first exception of a report that scikit-learn makes of all."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip()


def plain(value):
    """Return a parameter as JSON keeps it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | Real | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    return repr(value)


def fit_capped(estimator, X, y, max_rows, seed):
    """Fit on at most ``max_rows`` rows, drawn evenly over the classes; return how many."""
    if max_rows is not None and len(X) > max_rows:
        rows = np.sort(stratified_order(y, seed)[:max_rows])
        X, y = X[rows], y[rows]
    estimator.fit(X, y)
    return len(X)


def stratified_order(y, seed):
    """Order rows at random so that every beginning has each class in its share.

    The first two rows of each class come before all others, so that even a short
    beginning has pairs of every class. A longer beginning holds every shorter one.

    Parameters
    ----------
    y : ndarray of shape (n,)
    seed : int

    Returns
    -------
    ndarray of shape (n,)
    """
    rng = np.random.RandomState(seed)
    place = np.empty(len(y))
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        place[rows] = (np.arange(len(rows)) + rng.uniform(size=len(rows))) / len(rows)
        place[rows[:2]] -= 1
    return np.argsort(place, kind="stable")
