"""Learners from judgments, by the names that they have among those of classes."""

from dataclasses import replace
from functools import partial

from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest

from metriclearn import mahalanobis
from metriclearn.compare._learners._deep import deep
from metriclearn.compare._learners._linear import width_of
from metriclearn.compare._names import LOSS_NAMES
from metriclearn.compare._roster import ROSTER, resolve_each
from metriclearn.mahalanobis import LEARNERS

BASELINES = ("euclidean", "standardized", "cosine", "pca", "mahalanobis")
#: Losses that take part by default, of those that take the kind.
DEFAULT_LOSSES = {
    "pairs": ("contrastive", "infonce"),
    "triplets": ("triplet", "contrastive", "infonce"),
}


def linear_names(kind):
    """Return the linear learners that are learned from a kind of constraints, by their keys.

    A triplet is a quadruplet, too: d(a, p) < d(a, n).

    Examples
    --------
    >>> linear_names("triplets")
    ['lmnn', 'lsml', 'scml', 'mahalanobislearner']
    """
    wanted = {"pairs": {"Pairs"}, "triplets": {"Triplets", "Quadruplets"}}[kind]
    taken = []
    for name in LEARNERS:
        learner = getattr(mahalanobis, name)
        if wanted & {each.__name__ for each in getattr(learner, "_constraint_kinds", ())}:
            taken.append(name.lower())
    return taken


def loss_names(kind):
    """Return the losses that are trained on a kind of constraints."""
    from metriclearn.deep.losses import LOSSES

    return [name for name in LOSS_NAMES if kind in LOSSES[name].accepts]


def judged_learners(asked, kind):
    """Turn what the caller asked for into learners from judgments.

    Parameters
    ----------
    asked : None, str, list or dict
        What ``resolve_learners`` takes, and has taken; words stand for those of the learners that
        take the kind.
    kind : {"pairs", "triplets"}

    Returns
    -------
    tuple of Learner
    """
    return resolve_each(
        asked,
        lambda word: [_from_judgments(ROSTER[key], kind) for key in _of_word(word, kind)],
        partial(_taken, kind=kind),
    )


def _taken(learner, entry, kind):
    if learner.is_own:
        return learner
    is_loss = learner.family == "deep" and learner.key in loss_names(kind)
    if not (is_loss or learner.key in BASELINES or learner.key in linear_names(kind)):
        names = ", ".join([*BASELINES, *linear_names(kind), *DEFAULT_LOSSES[kind]])
        raise ValueError(
            f"learners: {entry!r} is not learned from {kind}; there are {names} and other losses"
        )
    return _from_judgments(learner, kind)


def _of_word(word, kind):
    linear = linear_names(kind)
    if word == "linear":
        return [*BASELINES, *linear]
    losses = DEFAULT_LOSSES[kind] if word in ("default", "features") else loss_names(kind)
    return [*BASELINES, *losses] if word == "deep" else [*BASELINES, *linear, *losses]


def _from_judgments(learner, kind):
    name = learner.name.replace("from pairs", f"from {kind}")
    return replace(learner, name=name, make=partial(_make, learner=learner), max_rows=None)


def _make(setting, learner):
    """Make a learner that needs no labels on the way to its metric."""
    if learner.family == "deep":
        # A network gets all columns: none can be selected by how they differ between classes.
        return deep(replace(setting, n_rows=max(setting.n_rows, setting.n_features)), learner.key)
    estimator, grid = learner.make(setting)
    width = width_of(setting)
    if isinstance(getattr(estimator, "named_steps", {}).get("reduce"), SelectKBest):
        estimator.set_params(reduce=PCA(width, svd_solver="full"))
    kept = []
    for params in grid:
        params = {k: v for k, v in params.items() if k != "reduce" or isinstance(v, PCA)}
        kept += [params] if params not in kept else []
    return estimator, kept
