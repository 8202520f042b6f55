"""Linear learners: scaled rows, on principal components where there are many features."""

from importlib import import_module

from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from metriclearn.compare._images import ImageScaler
from metriclearn.mahalanobis import LEARNERS

# A linear metric has d² numbers to learn. Beyond this many features, or with
# fewer than two rows a feature, they are learned on principal components.
MAX_LINEAR_FEATURES = 200
PCA_COMPONENTS = 100


def needs_pca(setting):
    """Whether linear metrics are learned on principal components."""
    return setting.n_features > min(MAX_LINEAR_FEATURES, max(2, setting.n_rows // 2))


def n_pca_components(setting):
    """Count the principal components that they then get."""
    return max(2, min(PCA_COMPONENTS, setting.n_rows // 4, setting.n_features))


def width_of(setting):
    """Count the features that a linear metric gets to see."""
    return n_pca_components(setting) if needs_pca(setting) else setting.n_features


def identity(setting):
    """Make what leaves the rows as they are."""
    return FunctionTransformer(), [{}]


def standardized(setting):
    """Make what brings every feature to unit variance."""
    return StandardScaler(), [{}]


def _scaler(setting):
    return StandardScaler() if setting.image_shape is None else ImageScaler()


def _piped(metric, setting, grid):
    steps = [("scale", _scaler(setting))]
    if needs_pca(setting):
        steps.append(("pca", PCA(n_pca_components(setting), svd_solver="randomized")))
    steps.append(("metric", metric))
    return Pipeline(steps), [{f"metric__{key}": value for key, value in p.items()} for p in grid]


def lmnn(setting, LMNN):
    """Make LMNN; its smooth hinge scores the same and solves small problems soon to the end."""
    n_neighbors = min(3, max(1, setting.smallest_class - 1))
    metric = LMNN(n_neighbors=n_neighbors, loss="squared_hinge")
    return metric, [{"n_passes": 2, "mu": 0.8}, {"n_passes": 1, "mu": 0.5}]


def mmc(setting, MMC):
    """Make MMC with a ridge: a feature that hardly varies in the classes takes all weight else."""
    return MMC(ridge=0.1, tol=1e-5), [{"variant": "full"}, {"variant": "diagonal"}]


def nca(setting, NCA):
    """Make NCA, of full and of half the width."""
    grid = [{"n_components": None}]
    if width_of(setting) >= 4:
        grid.append({"n_components": width_of(setting) // 2})
    return NCA(), grid


def lfda(setting, LFDA):
    """Make LFDA with no more neighbors than the smallest class has."""
    n_neighbors = min(7, max(1, setting.smallest_class - 1))
    return LFDA(n_neighbors=n_neighbors), [{"shrinkage": 0.1}, {"shrinkage": 0.0}]


#: Learners that are made in a way of their own; all others are tuned over ``GRIDS``.
MAKERS = {"LMNN": lmnn, "MMC": mmc, "NCA": nca, "LFDA": lfda}
GRIDS = {
    "RCA": [{"shrinkage": 0.1}, {"shrinkage": 0.0}],
    "GMML": [{"t": 0.5}, {"t": 0.2}],
    "ITML": [{"gamma": 0.1}, {"gamma": 1.0}],
    "SDML": [{"sparsity": 0.01}, {"sparsity": 0.1}],
    "SCML": [{"beta": 1e-3}, {"beta": 1e-5}],
    "MahalanobisLearner": [{"C": 100.0}, {"C": 1.0}],
}


def linear(setting, class_name):
    """Make a learner of the library by the name of its class."""
    learner = getattr(import_module(LEARNERS[class_name]), class_name)
    if class_name in MAKERS:
        metric, grid = MAKERS[class_name](setting, learner)
    else:
        metric, grid = learner(), GRIDS.get(class_name, [{}])
    return _piped(metric, setting, grid)
