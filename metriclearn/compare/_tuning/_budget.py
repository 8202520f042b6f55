"""Which search the caller asked for, and how much of it."""

from numbers import Integral

import numpy as np

from metriclearn.compare._records import Tuning
from metriclearn.compare._tuning._strategies import STRATEGIES, n_settings_of

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
    is_number = isinstance(given, Integral) and not isinstance(given, bool)
    if not is_number or given < 1:
        raise ValueError(
            f"tune_budget={given!r} must be a number of fits, at least 1, or seconds as in '90s'"
        )
    return int(given), None
