"""Every learner of the library by name, and how names and estimators become learners."""

import difflib
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from importlib import import_module

from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline

from metriclearn.compare._learners._baselines import (
    boosting,
    cosine,
    euclidean,
    majority,
    pca,
    selected,
    standardized,
)
from metriclearn.compare._learners._deep import deep, linear_on_deep
from metriclearn.compare._learners._fine_tuned import FINE_TUNED, adapter, pixels
from metriclearn.compare._learners._learner import Learner, Setting
from metriclearn.compare._learners._linear import lda, linear, width_of
from metriclearn.compare._learners._spaces import SEARCH_SPACES, check_spaces, concrete_space
from metriclearn.compare._measuring._training import is_embedder
from metriclearn.compare._names import ALIASES, LOSS_NAMES
from metriclearn.mahalanobis import LEARNERS

# What tables call a learner, where that is not the name of its class, and what it costs.
_LINEAR = {
    "Covariance": {"name": "Mahalanobis (whitened)", "family": "baseline", "cost": 0.02},
    "LMNN": {"cost": 0.5},
    "NCA": {"cost": 1},
    "MCML": {"max_rows": 1000, "cost": 3},
    "MLKR": {"cost": 1},
    "KernelMetric": {"name": "Kernel metric", "family": "kernel", "cost": 1},
    "MahalanobisLearner": {"name": "Mahalanobis, from pairs", "cost": 1},
}
_DEFAULT = ("Covariance", "LMNN", "MMC", "NCA", "KernelMetric")
_DEFAULT_LOSSES = ("contrastive", "triplet", "proxy_anchor")


def _linear_learner(class_name):
    key = ALIASES.get(class_name.lower(), class_name.lower())
    facts = {"name": class_name, "family": "linear", **_LINEAR.get(class_name, {})}
    make = partial(linear, class_name=class_name)
    return Learner(key, make=make, default=class_name in _DEFAULT, **facts)


def _deep_learner(loss, name):
    is_default = loss in _DEFAULT_LOSSES
    space = SEARCH_SPACES.get(loss, SEARCH_SPACES["deep"])
    make = partial(deep, loss=loss)
    return Learner(loss, f"Deep {name}", "deep", make, cost=3, space=space, default=is_default)


def _reference(key, name, make, cost):
    return Learner(key, name, "reference", make, cost=cost, default=True, protocols=("closed",))


def _baseline(key, name, make, **facts):
    return Learner(key, name, "baseline", make, cost=0.01, default=True, **facts)


_LEARNERS = (
    _reference("majority", "Majority class", majority, 0.001),
    _reference("boosting", "Gradient boosting", boosting, 0.5),
    _baseline("euclidean", "Euclidean", euclidean),
    _baseline("standardized", "Standardized Euclidean", standardized),
    _baseline("cosine", "Cosine", cosine),
    Learner("pca", "PCA", "baseline", pca, cost=0.02),
    _baseline("selected", "Selected columns", selected, needs_wide=True),
    Learner("lda", "LDA", "linear", lda, cost=0.05, default=True),
    *map(_linear_learner, LEARNERS),
    *(_deep_learner(*item) for item in LOSS_NAMES.items()),
    Learner(
        "linear_on_deep",
        "Linear on Proxy-Anchor",
        "stacked",
        partial(linear_on_deep, loss="proxy_anchor"),
        cost=4,
        default=True,
        stands_on="proxy_anchor",
    ),
    Learner(
        "adapter_proxy_anchor",
        "Adapter, Proxy-Anchor",
        "linear",
        partial(adapter, loss="proxy_anchor"),
        cost=2,
        of_embeddings=True,
        sets_length=True,
    ),
    Learner(
        "adapter_supcon",
        "Adapter, SupCon",
        "linear",
        partial(adapter, loss="supcon"),
        cost=2,
        of_embeddings=True,
        sets_length=True,
    ),
    Learner("pixels", "Pixels", "reference", pixels, cost=0.2, reads="pixels"),
)
#: Key to learner.
ROSTER = {
    each.key: replace(each, space=SEARCH_SPACES.get(each.key, each.space)) for each in _LEARNERS
}
_FREE = ("reference", "baseline")


def _is_of_rows(learner):
    """Whether a learner takes rows of any kind."""
    return learner.reads is None and not learner.of_embeddings


#: Words that stand for several of them.
GROUPS = {
    "default": [key for key, each in ROSTER.items() if each.default],
    "all": [key for key, each in ROSTER.items() if _is_of_rows(each)],
    "features": [
        *("majority", "pixels", "cosine", "mahalanobis", "lda", "lmnn", "nca"),
        *("adapter_proxy_anchor", "adapter_supcon"),
    ],
    "linear": [
        key
        for key, each in ROSTER.items()
        if _is_of_rows(each) and each.family in (*_FREE, "linear")
    ],
    "deep": [
        key for key, each in ROSTER.items() if _is_of_rows(each) and each.family in (*_FREE, "deep")
    ],
}


def for_rows(learner, form):
    """Return a learner as it is made for rows of a form, such as vectors of a network.

    Parameters
    ----------
    learner : Learner
    form : str

    Returns
    -------
    Learner
    """
    if form != "embeddings" or learner.is_own:
        return learner
    return replace(learner, make=partial(_for_embeddings, make=learner.make))


def _for_embeddings(setting, make):
    return make(replace(setting, form="embeddings"))


def search_space(learner, setting, grid):
    """Return what a search tries on these data: parameters of the whole estimator.

    Parameters
    ----------
    learner : Learner
    setting : Setting
    grid : list of dict
        The few settings that ``learner.make`` returned.

    Returns
    -------
    dict
        Empty where there is nothing to tune.
    """
    if learner.is_own:
        return dict(learner.space)
    space = concrete_space(learner.space, setting, width=width_of(setting))
    return {f"metric__{name}": values for name, values in space.items()}


def at_dimension(estimator, grid, space, dimension):
    """Give a learner another dimension: its own parameter for it, else PCA after it.

    Parameters
    ----------
    estimator : transformer
        Unfitted.
    grid : list of dict
    space : dict
    dimension : int

    Returns
    -------
    estimator, grid, space
        The dimension is no longer among what is tuned.
    """
    grid = [_without_dimension(params) for params in grid]
    space = _without_dimension(space)
    is_pipeline = isinstance(estimator, Pipeline)
    metric = estimator[-1] if is_pipeline else estimator
    if "n_components" in metric.get_params():
        metric.set_params(n_components=dimension)
        for params in (estimator.get_params(), *grid):
            _widen(params.get("reduce"), dimension)
        return estimator, grid, space
    reduce = ("reduce", PCA(dimension, svd_solver="full"))
    if is_pipeline:
        return Pipeline([*estimator.steps, reduce]), grid, space
    *grid, space = ({f"metric__{k}": v for k, v in d.items()} for d in (*grid, space))
    return Pipeline([("metric", estimator), reduce]), grid, space


def _widen(reduction, dimension):
    """Let a reduction leave at least as many features as the metric is to have dimensions."""
    for name in ("n_components", "k"):
        if isinstance(getattr(reduction, name, None), int):
            reduction.set_params(**{name: max(dimension, getattr(reduction, name))})


def _without_dimension(params):
    return {k: v for k, v in params.items() if k.rpartition("__")[2] != "n_components"}


def named_entries(learners):
    """Return what the caller asked for as pairs: a display name or None, and a name or learner."""
    learners = "default" if learners is None else learners
    if isinstance(learners, str):
        learners = learners.split(",")
    if hasattr(learners, "items"):
        return learners.items()
    return [each if _is_named(each) else (None, each) for each in learners]


def _is_named(entry):
    """Whether an entry is a pair of a name and a learner, as those of a ``Pipeline`` are."""
    return isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str)


def resolve_learners(learners=None, search_spaces=None):
    """Turn what the caller asked for into rows of the comparison.

    Parameters
    ----------
    learners : None, str, list or dict
        None for the default ones; a word of ``GROUPS``, a name of ``ROSTER``, a path
        ``package.module:Class`` or several of these separated by commas; a list of such names
        and of transformers (scikit-learn estimators with ``fit`` and ``transform``); or a dict
        of display name to either, or a list of such pairs.
    search_spaces : dict of str to dict, default=None
        By name of the learner, in place of its own search space.

    Returns
    -------
    tuple of Learner

    Examples
    --------
    >>> [learner.name for learner in resolve_learners(["lmnn", "euclidean"])]
    ['LMNN', 'Euclidean']
    >>> [learner.family for learner in resolve_learners("gmml,supcon")]
    ['linear', 'deep']
    """
    if hasattr(learners, "shape"):
        raise ValueError(
            f"learners is a {type(learners).__name__}; the data come first, as in "
            f"compare(X, y, learners=['lmnn'])"
        )
    if learners is not None and not isinstance(learners, Iterable):
        raise ValueError(
            f"learners must be a list or a dict, as in [{learners!r}], got {learners!r} itself"
        )
    rows = []
    for name, each in named_entries(learners):
        spelled = _spelled_out(each) if name is None else [each]
        further = [_resolve(name, entry) for entry in spelled]
        if len(spelled) > 1:  # groups share their baselines
            there = {row.key for row in rows}
            further = [row for row in further if row.key not in there]
        rows += further
    if not rows:
        raise ValueError("learners is empty; leave it None for the default ones")
    keys = [row.key for row in rows]
    double = next((key for key in keys if keys.count(key) > 1), None)
    if double is not None:
        raise ValueError(
            f"learners has {double!r} twice; give a dict of name to learner to compare two "
            f"settings of one class"
        )
    spaces = search_spaces or {}
    check_spaces(spaces, keys)
    for row in rows:
        _check_parameters(row, spaces.get(row.key, {}))
    return tuple(replace(row, space=spaces[row.key]) if row.key in spaces else row for row in rows)


def resolve_each(asked, of_word, take):
    """Turn what the caller asked for into learners of another target than classes.

    Parameters
    ----------
    asked : None, str, list or dict
        What ``resolve_learners`` takes, and has taken.
    of_word : callable
        From a word of ``GROUPS`` to those of its learners that take part.
    take : callable
        From a learner, and what was asked for, to the learner that takes part; it refuses the
        others.

    Returns
    -------
    tuple of Learner
        Each once, as groups share their baselines.
    """
    found = {}
    for name, entry in named_entries(asked):
        entry = entry.strip() if isinstance(entry, str) else entry
        if isinstance(entry, str) and entry in GROUPS:
            learners = of_word(entry)
        else:
            (known,) = resolve_learners([entry])
            learner = take(known, entry)
            learners = [learner if name is None else replace(learner, key=name, name=name)]
        found |= {each.key: each for each in learners}
    return tuple(found.values())


def _check_parameters(learner, space):
    """Check that what a search space varies are parameters of the learner."""
    names = [name for name in space if "__" not in name]  # others are of what it holds
    if not names:
        return
    try:
        estimator, _ = learner.make(Setting(100, 8, 3, 30))
    except ImportError:  # the fit itself says what is missing
        return
    metric = estimator if learner.is_own else estimator[-1]
    known = metric.get_params(deep=False)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"search_spaces[{learner.key!r}]: {unknown[0]!r} is not a parameter; there are "
            f"{', '.join(sorted(known))}"
        )


def _spelled_out(entry):
    """Return the names that a word stands for; anything else as it is."""
    if isinstance(entry, str) and entry.strip() in GROUPS:
        return GROUPS[entry.strip()]
    return [entry]


def _resolve(name, entry):
    if isinstance(entry, str) and ":" in entry:
        entry = _imported(entry)
        name = name or type(entry).__name__
    if isinstance(entry, str):
        row = _by_name(entry)
        return row if name is None else replace(row, key=name, name=name)
    if not (hasattr(entry, "fit") and hasattr(entry, "transform")) or isinstance(entry, type):
        raise ValueError(
            f"learners: {entry!r} is neither a name of the roster ({_some_names()}) nor an "
            f"estimator instance with fit and transform"
        )
    name = name or type(entry).__name__
    make = partial(_given, estimator=entry)
    return Learner(name, name, family_of(entry), make, is_own=True, cost=2)


def _by_name(entry):
    key = entry.strip().lower().replace("-", "_").removeprefix("deep_")
    key = ALIASES.get(key, key)
    known = ROSTER | FINE_TUNED
    if key in known:
        return known[key]
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ValueError(
        f"unknown learner {entry!r}{hint} There are: {', '.join(known)}; a class of your own "
        f"is package.module:Class"
    )


def _imported(path):
    module_name, _, class_name = path.strip().partition(":")
    try:
        made = getattr(import_module(module_name), class_name)()
    except Exception as error:  # whatever a module of the caller's raises
        raise ValueError(
            f"learners: {path.strip()!r} cannot be made ({type(error).__name__}: "
            f"{' '.join(str(error).split())}); give package.module:Class of an importable class "
            f"whose arguments all have defaults"
        ) from None
    return made


def _some_names():
    return ", ".join([*GROUPS["default"], "…"])


def family_of(estimator):
    """Return the family that an estimator belongs to: that of its last step.

    Parameters
    ----------
    estimator : transformer or pipeline

    Returns
    -------
    {"deep", "linear", "stacked", "own"}
        Stacked is a linear metric behind an embedder.

    Examples
    --------
    >>> from metriclearn import LMNN
    >>> family_of(Pipeline([("metric", LMNN())]))
    'linear'
    """
    below = []
    if isinstance(estimator, Pipeline):
        *below, (_, estimator) = estimator.steps
    if is_embedder(estimator):
        return "deep"
    bases = {(base.__module__, base.__name__) for base in type(estimator).__mro__}
    if ("metriclearn.mahalanobis._base", "MahalanobisTransformer") not in bases:
        return "own"
    return "stacked" if any(is_embedder(step) for _, step in below) else "linear"


def _given(setting, estimator):
    return clone(estimator), [{}]
