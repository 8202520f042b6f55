"""The learners that are compared, and the few settings each is tuned over.

A new learner in the line-up is one function and one row of ``LINE_UP``.
"""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from metriclearn.compare._images import ImageScaler, shrinker
from metriclearn.compare._spaces import SEARCH_SPACES, check_spaces, concrete_space

# A linear metric has d² numbers to learn. Beyond this many features, or with
# fewer than two rows a feature, they are learned on principal components.
MAX_LINEAR_FEATURES = 200
PCA_COMPONENTS = 100


@dataclass(frozen=True)
class Setting:
    """What a learner may know of the data before it is fitted.

    Attributes
    ----------
    n_rows : int
        Rows of a training part.
    n_features : int
    n_classes : int
        Classes of a training part.
    smallest_class : int
        Fewest rows that a class has when a learner is fitted.
    image_shape : tuple or None
    """

    n_rows: int
    n_features: int
    n_classes: int
    smallest_class: int
    image_shape: tuple | None = None


@dataclass(frozen=True)
class Learner:
    """One row of the comparison.

    Attributes
    ----------
    key : str
        What ``--learners`` calls it.
    name : str
        What tables and charts call it.
    family : {"baseline", "linear", "deep", "own"}
    make : callable
        ``make(setting) -> (estimator, grid)``: an unfitted transformer and the
        list of the few settings that it is tuned over by default.
    max_rows : int or None
        Most rows it is fitted on, where its cost grows with the square of them.
    cost : float
        Seconds of a fit on a thousand rows, roughly: it orders the tasks and
        starts the estimate of the time left.
    space : dict
        What a search tries: parameter to values, as in ``SEARCH_SPACES``; of a
        learner of your own, the names of its ``set_params``.
    """

    key: str
    name: str
    family: str
    make: Callable
    max_rows: int | None = None
    cost: float = 0.1
    space: dict = field(default_factory=dict)


def needs_pca(setting):
    """Whether linear metrics are learned on principal components."""
    return setting.n_features > min(MAX_LINEAR_FEATURES, max(2, setting.n_rows // 2))


def n_pca_components(setting):
    """How many principal components they then get."""
    return max(2, min(PCA_COMPONENTS, setting.n_rows // 4, setting.n_features))


def _identity(setting):
    return FunctionTransformer(), [{}]


def _standardized(setting):
    return StandardScaler(), [{}]


def _scaler(setting):
    return StandardScaler() if setting.image_shape is None else ImageScaler()


def _linear(metric, setting, grid):
    steps = [("scale", _scaler(setting))]
    if needs_pca(setting):
        steps.append(("pca", PCA(n_pca_components(setting), svd_solver="randomized")))
    steps.append(("metric", metric))
    return Pipeline(steps), [{f"metric__{key}": value for key, value in p.items()} for p in grid]


def _mahalanobis(setting):
    from metriclearn.mahalanobis._covariance import Covariance

    return _linear(Covariance(), setting, [{}])


def _lmnn(setting):
    from metriclearn.mahalanobis._lmnn._lmnn import LMNN

    n_neighbors = min(3, max(1, setting.smallest_class - 1))
    # The smooth hinge scores the same and small problems are soon solved to the end.
    metric = LMNN(n_neighbors=n_neighbors, loss="squared_hinge")
    return _linear(metric, setting, [{"n_passes": 2, "mu": 0.8}, {"n_passes": 1, "mu": 0.5}])


def _mmc(setting):
    from metriclearn.mahalanobis._mmc import MMC

    # A feature that hardly varies within the classes would take all the weight.
    metric = MMC(ridge=0.1, tol=1e-5)
    return _linear(metric, setting, [{"variant": "full"}, {"variant": "diagonal"}])


def _nca(setting):
    from metriclearn.mahalanobis._soft_neighbors._nca import NCA

    width = n_pca_components(setting) if needs_pca(setting) else setting.n_features
    grid = [{"n_components": None}]
    if width >= 4:
        grid.append({"n_components": width // 2})
    return _linear(NCA(), setting, grid)


def _deep(setting, loss):
    from metriclearn.deep import DeepEmbedder

    # Training stops after so many updates, without a validation part of its own:
    # every loss gets as much, small data as much as large, and no row is spared.
    embedder = DeepEmbedder(loss=loss, validation=None)
    steps = []
    if setting.image_shape is None:
        embedder.set_params(module="mlp", n_components=32)
        n_updates = 400
    else:
        shrink, shape = shrinker(setting.image_shape), setting.image_shape
        if shrink is not None:
            steps, shape = [("shrink", shrink)], shrink.shape
        embedder.set_params(module="convnet", n_components=128, image_shape=shape)
        # Blocks that each halve the image, down to 2 to 4 pixels a side; what is
        # left of where things are in it is kept, small images are not shifted.
        channels = (32, 64) if min(shape[:2]) < 16 else (16, 32, 64)
        embedder.set_params(
            module_params={"channels": channels}, head_params={"pooling": "flatten"}
        )
        n_updates = 150
    # Long training serves known classes, a short and gentle one unseen ones.
    grid = [
        {"metric__lr": 3e-3, "metric__max_epochs": _epochs(setting, n_updates)},
        {"metric__lr": 1e-3, "metric__max_epochs": _epochs(setting, n_updates // 4)},
    ]
    return Pipeline([*steps, ("metric", embedder)]), grid


def _epochs(setting, n_updates, batch_size=128):
    return int(np.clip(np.ceil(n_updates * batch_size / setting.n_rows), 4, 100))


def _given(setting, estimator):
    return clone(estimator), [{}]


def _deep_learner(loss, name):
    return Learner(loss, f"Deep {name}", "deep", partial(_deep, loss=loss), cost=3)


_LEARNERS = (
    Learner("euclidean", "Euclidean", "baseline", _identity, cost=0.01),
    Learner("standardized", "Standardized Euclidean", "baseline", _standardized, cost=0.01),
    Learner("mahalanobis", "Mahalanobis", "linear", _mahalanobis, cost=0.02),
    Learner("lmnn", "LMNN", "linear", _lmnn, max_rows=5000, cost=0.5),
    Learner("mmc", "MMC", "linear", _mmc, cost=0.1),
    Learner("nca", "NCA", "linear", _nca, max_rows=3000, cost=1),
    _deep_learner("contrastive", "contrastive"),
    _deep_learner("triplet", "triplet"),
    _deep_learner("proxy_anchor", "Proxy-Anchor"),
    _deep_learner("arcface", "ArcFace"),
)
LINE_UP = {learner.key: replace(learner, space=SEARCH_SPACES[learner.key]) for learner in _LEARNERS}


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
    if learner.family == "own":
        return dict(learner.space)
    width = n_pca_components(setting) if needs_pca(setting) else setting.n_features
    epochs = grid[0].get("metric__max_epochs")
    space = concrete_space(learner.space, setting, width=width, epochs=epochs)
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
        if is_pipeline and isinstance(before := estimator.get_params().get("pca"), PCA):
            before.set_params(n_components=max(dimension, before.n_components))
        return estimator, grid, space
    reduce = ("reduce", PCA(dimension, svd_solver="full"))
    if is_pipeline:
        return Pipeline([*estimator.steps, reduce]), grid, space
    *grid, space = ({f"metric__{k}": v for k, v in d.items()} for d in (*grid, space))
    return Pipeline([("metric", estimator), reduce]), grid, space


def _without_dimension(params):
    return {k: v for k, v in params.items() if k.rpartition("__")[2] != "n_components"}


def resolve_learners(learners=None, search_spaces=None):
    """Turn what the caller asked for into rows of the comparison.

    Parameters
    ----------
    learners : None, list or dict
        None for the whole line-up; a list of names of the line-up and of
        transformers (scikit-learn estimators with ``fit`` and ``transform``);
        or a dict of display name to either.
    search_spaces : dict of str to dict, default=None
        By name of the learner, in place of its own search space.

    Returns
    -------
    list of Learner

    Raises
    ------
    ValueError
        For an unknown name, a double, an empty list or something that cannot
        transform.

    Examples
    --------
    >>> [learner.name for learner in resolve_learners(["lmnn", "euclidean"])]
    ['LMNN', 'Euclidean']
    """
    if learners is None:
        learners = list(LINE_UP)
    elif isinstance(learners, str):
        learners = [learners]
    elif hasattr(learners, "shape"):
        raise ValueError(
            f"learners is a {type(learners).__name__}; they come before the data, as in "
            f"compare(learners, X, y), None for the whole line-up"
        )
    elif not isinstance(learners, Iterable):
        raise ValueError(
            f"learners must be a list or a dict, as in [{learners!r}], got {learners!r} itself"
        )
    named = learners.items() if hasattr(learners, "items") else [(None, e) for e in learners]
    rows = [_resolve(name, entry) for name, entry in named]
    if not rows:
        raise ValueError("learners is empty; leave it None for the whole line-up")
    keys = [row.key for row in rows]
    double = next((key for key in keys if keys.count(key) > 1), None)
    if double is not None:
        raise ValueError(
            f"learners has {double!r} twice; give a dict of name to learner to compare two "
            f"settings of one class"
        )
    spaces = search_spaces or {}
    check_spaces(spaces, keys)
    return [replace(row, space=spaces[row.key]) if row.key in spaces else row for row in rows]


def _resolve(name, entry):
    if isinstance(entry, str):
        key = entry.strip().lower().replace("-", "_").removeprefix("deep_")
        key = key.replace("standardized", "standardized")
        if key not in LINE_UP:
            near = difflib.get_close_matches(key, LINE_UP, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ValueError(f"unknown learner {entry!r}{hint} There are: {', '.join(LINE_UP)}")
        row = LINE_UP[key]
        return row if name is None else replace(row, key=name, name=name)
    if not (hasattr(entry, "fit") and hasattr(entry, "transform")) or isinstance(entry, type):
        raise ValueError(
            f"learners: {entry!r} is neither a name of the line-up ({', '.join(LINE_UP)}) nor an "
            f"estimator instance with fit and transform"
        )
    name = name or type(entry).__name__
    return Learner(name, name, "own", partial(_given, estimator=entry), cost=2)
