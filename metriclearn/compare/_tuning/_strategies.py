"""The searches: each makes a scikit-learn search of a learner, a space and a budget.

A strategy is ``strategy(judged, space, tuning, validation, y, seed)``: ``judged`` is a learner
that scores itself, ``space`` holds parameters to values, ``validation`` the rows to fit on and
those to score on, ``y`` the labels of all. It returns a search that is not fitted yet.
Successive halving plans its rounds so that they cost what is asked.
"""

import time

import numpy as np
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    ParameterGrid,
    ParameterSampler,
    RandomizedSearchCV,
)

from metriclearn._types import is_whole
from metriclearn.compare._arguments import is_one_of
from metriclearn.compare._records import Tuning

# Fewest rows of a class, on average, that a round of halving starts with.
HALVING_ROWS_PER_CLASS = 8
# Of a search that only time ends.
ENDLESS = 100_000


def grid(judged, space, tuning, validation, y, seed):
    """Try every setting; a draw without doubles where they are more than the budget."""
    if tuning.seconds is None and n_settings_of(space) <= tuning.n_fits:
        return GridSearchCV(judged, space, cv=[validation], refit=False)
    return random(judged, space, tuning, validation, y, seed)


def random(judged, space, tuning, validation, y, seed):
    """Try settings drawn at random: a number of them, or for a time."""
    given = {"cv": [validation], "random_state": seed, "refit": False}
    if tuning.seconds is not None:
        return TimedSearchCV(judged, space, seconds=tuning.seconds, **given)
    return RandomizedSearchCV(judged, space, n_iter=tuning.n_fits, **given)


def halving(judged, space, tuning, validation, y, seed):
    """Try many settings on few rows, the best third on three times as many, and so on."""
    n_rows = len(validation[0])
    n_classes = 2 if y.dtype.kind == "f" else len(np.unique(y))  # of amounts a few rows, too
    fewest = min(n_rows, HALVING_ROWS_PER_CLASS * n_classes)
    n_candidates, least = plan_halving(tuning.n_fits, n_rows, fewest, n_settings_of(space))
    return HalvingRandomSearchCV(
        judged,
        space,
        n_candidates=n_candidates,
        factor=FACTOR,
        resource="n_rows",
        min_resources=least,
        max_resources=n_rows,
        cv=[validation],
        random_state=seed,
        refit=False,
    )


STRATEGIES = {"grid": grid, "random": random, "halving": halving}


class TimedSearchCV(RandomizedSearchCV):
    """A random search that ends after a time; at least one setting is tried.

    Parameters
    ----------
    estimator, param_distributions, cv, random_state, refit, error_score
        See ``RandomizedSearchCV``.
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


def n_settings_of(space):
    """How many settings a space has; None where it has no end."""
    if any(hasattr(values, "rvs") for values in space.values()):
        return None
    return len(ParameterGrid(space))


FACTOR = 3


def plan_halving(n_fits, n_rows, fewest_rows, n_settings=None):
    """Plan rounds of successive halving that cost as much as a number of fits on all rows.

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
    most_rounds = 1 + int(np.log(n_rows / max(1, fewest_rows)) / np.log(FACTOR) + 1e-9)
    best = (1, n_rows)
    n_candidates = 0
    while n_settings is None or n_candidates < n_settings:
        n_candidates += 1
        rounds = min(most_rounds, 1 + int(np.log(n_candidates) / np.log(FACTOR) + 1e-9))
        first_rows = n_rows // FACTOR ** (rounds - 1)
        cost, kept = 0, n_candidates
        for i in range(rounds):
            cost += kept * first_rows * FACTOR**i
            kept = -(-kept // FACTOR)
        if cost > n_fits * n_rows:
            if rounds == most_rounds:
                break
            continue
        best = (n_candidates, first_rows)
    return best


SEARCHES = tuple(STRATEGIES)
DEFAULT_FITS = 20


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
    if not is_one_of(tune, SEARCHES):
        raise ValueError(
            f"tune={tune!r} is unknown; give 'grid', 'random', 'halving', None (the few settings "
            f"of the roster) or False (the first of them)"
        )
    endless = [key for key, space in (search_spaces or {}).items() if n_settings_of(space) is None]
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
    if not is_whole(given) or given < 1:
        raise ValueError(
            f"tune_budget={given!r} must be a number of fits, at least 1, or seconds as in '90s'"
        )
    return int(given), None
