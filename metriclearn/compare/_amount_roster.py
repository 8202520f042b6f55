"""Learners of a target of amounts, by the names that they have among those of classes."""

from dataclasses import replace
from functools import partial

from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_selection import SelectKBest, f_regression

from metriclearn._text import option
from metriclearn.compare._learners._deep import deep
from metriclearn.compare._learners._linear import linear
from metriclearn.compare._roster import ROSTER, resolve_each

#: Losses that take amounts.
LOSSES = ("log_ratio", "label_distance_triplet")


def mean(setting):
    """Make the regressor that answers the mean."""
    return DummyRegressor(), [{}]


def boosting(setting):
    """Make gradient boosting, which is no metric: it says whether there is anything to learn."""
    return HistGradientBoostingRegressor(early_stopping=setting.n_rows > 2000), [{}]


def mlkr(setting):
    """Make MLKR, of full and of half the width."""
    estimator, _ = _by_amounts(*linear(setting, "MLKR"))
    width = min(setting.n_features, 200, max(1, setting.n_rows // 2))
    dimensions = [None, max(2, width // 2)] if width >= 4 else [None]
    return estimator, [{"metric__n_components": n} for n in dimensions]


def loss_of_amounts(setting, loss):
    """Make an embedder that is trained with a loss of amounts."""
    return _by_amounts(*deep(setting, loss))


def _by_amounts(estimator, grid):
    """Select columns by how they go with amounts, where any are selected."""
    for params in (estimator.get_params(), *grid):
        if isinstance(params.get("reduce"), SelectKBest):
            params["reduce"].set_params(score_func=f_regression)
    return estimator, grid


def _of_amounts(key, make=None, name=None):
    learner = ROSTER[key]
    return replace(
        learner,
        name=name or learner.name,
        make=make or learner.make,
        protocols=("closed",),
        default=True,
    )


_LEARNERS = (
    _of_amounts("majority", mean, "Mean"),
    _of_amounts("boosting", boosting),
    _of_amounts("euclidean"),
    _of_amounts("standardized"),
    _of_amounts("cosine"),
    _of_amounts("pca"),
    _of_amounts("mahalanobis"),
    _of_amounts("mlkr", mlkr),
    *(_of_amounts(loss, partial(loss_of_amounts, loss=loss)) for loss in LOSSES),
)
#: Key to learner.
AMOUNT_ROSTER = {learner.key: learner for learner in _LEARNERS}
_NAMES = {"mean": "majority", "covariance": "mahalanobis"}


def amount_learners(asked, search_spaces=None):
    """Turn what the caller asked for into learners of amounts.

    Parameters
    ----------
    asked : None, str, list or dict
        What ``resolve_learners`` takes, and has taken; words stand for those of the learners that
        take amounts.
    search_spaces : dict of str to dict, default=None
        By name of the learner, in place of its own search space.

    Returns
    -------
    tuple of Learner
    """
    spaces = search_spaces or {}
    learners = resolve_each(asked, _of_word, _taken)
    return tuple(replace(each, space=spaces.get(each.key, each.space)) for each in learners)


def _of_word(word):
    return [each for each in AMOUNT_ROSTER.values() if _is_of(each, word)]


def _taken(learner, entry):
    if learner.is_own:
        return replace(learner, protocols=("closed",))
    if learner.key not in AMOUNT_ROSTER:
        raise ValueError(
            f"learners: {entry!r} learns from classes, and the target holds amounts; there are "
            f"{', '.join(AMOUNT_ROSTER)}, or give {option('task', 'classes')}"
        )
    return AMOUNT_ROSTER[learner.key]


def _is_of(learner, word):
    return word in ("default", "all") or learner.family in ("reference", "baseline", word)
