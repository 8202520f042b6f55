"""Linear learners: scaled rows, in the span of the rows or on selected columns where wide."""

from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer

from metriclearn import mahalanobis
from metriclearn.compare._learners._baselines import scaler
from metriclearn.compare._learners._span import Span

# A metric that is found by iterations has d² numbers to find. With more features it gets the
# leading components, or the columns that differ most between classes, whichever does better.
MAX_ITERATED = 200
SELECTED = 50
#: Components that stand for the vectors of a network.
MAX_EMBEDDED = 128
#: Closed forms: they get all of the span of the rows, up to this many dimensions.
CLOSED_FORMS = ("Covariance", "RCA", "LFDA", "GMML")
MAX_CLOSED = 1000


def width_of(setting, class_name=""):
    """Count the features that a linear metric gets to see."""
    most = MAX_CLOSED if class_name in CLOSED_FORMS else MAX_ITERATED
    if setting.is_embedding:
        most = MAX_EMBEDDED
    return max(1, min(setting.n_features, most, setting.n_rows // 2))


def reductions(setting, class_name):
    """Return what stands between the rows and the metric, to choose from.

    Parameters
    ----------
    setting : Setting
    class_name : str

    Returns
    -------
    list of transformer or "passthrough"
    """
    width = width_of(setting, class_name)
    if width == setting.n_features:
        return ["passthrough"]
    # With half as many rows as dimensions the span has less than the rows allow to learn.
    spans = [Span(width, svd_solver="auto" if width > 500 else "randomized")]
    if setting.image_shape is None and not setting.is_embedding:
        spans.append(SelectKBest(k=min(SELECTED, setting.n_features)))
    return spans if not setting.is_wide else spans[::-1]


def piped(metric, setting, grid, class_name=""):
    """Put a metric behind a scaler and, where there are many features, a reduction.

    Returns
    -------
    estimator, grid
    """
    choices = reductions(setting, class_name)
    steps = [("scale", scaler(setting)), ("reduce", choices[0]), ("metric", metric)]
    grid = [{f"metric__{key}": value for key, value in params.items()} for params in grid]
    if len(choices) > 1:
        grid = [{"reduce": choices[0], **grid[0]}, {"reduce": choices[1], **grid[0]}, *grid[1:]]
    elif choices == ["passthrough"]:
        del steps[1]
    return Pipeline(steps), grid


def lmnn(setting, LMNN):
    """Make LMNN; its smooth hinge scores the same and solves small problems soon to the end."""
    n_neighbors = min(3, max(1, setting.smallest_class - 1))
    metric = LMNN(n_neighbors=n_neighbors, loss="squared_hinge")
    return metric, [{"n_passes": 2, "mu": 0.5}, {"n_passes": 5, "mu": 0.2}]


def mmc(setting, MMC):
    """Make MMC, first of all the diagonal one, whose weights the ridge spreads.

    The optimum of the full one has few directions, which is what it was made for, and costs nearest
    neighbors most of what they know.
    """
    grid = [{"variant": "diagonal", "ridge": 1.0}, {"variant": "full", "ridge": 0.1}]
    return MMC(tol=1e-5), grid


def nca(setting, NCA):
    """Make NCA, of full and of half the width."""
    grid, half = [{"n_components": None}], width_of(setting) // 2
    if 2 <= half <= setting.most_components:
        grid.append({"n_components": half})
    return NCA(), grid


def lfda(setting, LFDA):
    """Make LFDA with no more neighbors than the smallest class has."""
    n_neighbors = min(7, max(1, setting.smallest_class - 1))
    return LFDA(n_neighbors=n_neighbors), [{"shrinkage": 0.1}, {"shrinkage": 0.0}]


def lsml(setting, LSML):
    """Make LSML; in the unit of the distances themselves its loss hardly moves the prior."""
    typical = (2 * width_of(setting)) ** 0.5  # of standardized rows
    return LSML(), [{"unit": 0.03 * typical}, {"unit": 0.3 * typical}]


def kernel(setting, KernelMetric):
    """Make the kernel metric; of many rows some stand for all."""
    n_landmarks = 500 if setting.n_rows > 500 else None
    return KernelMetric(n_landmarks=n_landmarks), [{"gamma": "scale"}, {"kernel": "poly"}]


#: Learners that are made in a way of their own; all others are tuned over ``GRIDS``.
MAKERS = dict(LMNN=lmnn, MMC=mmc, NCA=nca, LFDA=lfda, LSML=lsml, KernelMetric=kernel)
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
    learner = getattr(mahalanobis, class_name)
    if class_name in MAKERS:
        metric, grid = MAKERS[class_name](setting, learner)
    else:
        metric, grid = learner(), GRIDS.get(class_name, [{}])
    return piped(metric, setting, grid, class_name)


def lda(setting):
    """Make linear discriminant analysis, with and without shrinkage."""
    metric = LinearDiscriminantAnalysis()
    if setting.is_embedding:
        estimator, _ = piped(metric.set_params(solver="eigen", shrinkage="auto"), setting, [{}])
        steps = [*estimator.steps, ("length", Normalizer())]
        return Pipeline(steps), [{"length": Normalizer()}, {"length": "passthrough"}]
    grid = [{"solver": "eigen", "shrinkage": "auto"}, {"solver": "svd", "shrinkage": None}]
    return piped(metric, setting, grid, "Covariance")
