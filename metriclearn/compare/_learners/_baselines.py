"""What is free: guessing, distances that learn nothing from labels, and a reference."""

from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from metriclearn.compare._measuring._images import ImageScaler

#: Columns that are selected where there are more of them than rows.
SELECTED = (20, 50, 150)


def scaler(setting):
    """Make what brings features to one scale: one number for all pixels of images.

    Vectors that a network made are brought to length one, then centered and divided by one
    number: their cosine says more than what standardized columns would.
    """
    if setting.is_embedding:
        return Pipeline([("unit", Normalizer()), ("spread", ImageScaler())])
    return StandardScaler() if setting.image_shape is None else ImageScaler()


def majority(setting):
    """Make the classifier that answers the largest class."""
    return DummyClassifier(strategy="most_frequent"), [{}]


def boosting(setting):
    """Make gradient boosting, which is no metric: it says whether there is anything to learn."""
    return HistGradientBoostingClassifier(early_stopping=setting.n_rows > 2000), [{}]


def euclidean(setting):
    """Make what leaves the rows as they are."""
    # Floats of whatever holds numbers, as all others make of it: bytes, text of a file.
    return StandardScaler(with_mean=False, with_std=False), [{}]


def standardized(setting):
    """Make what brings every feature to unit variance."""
    return StandardScaler(), [{}]


def cosine(setting):
    """Make what brings every row to unit length, after scaling; vectors of networks as they are."""
    if setting.is_embedding:
        return Normalizer(), [{}]
    return Pipeline([("scale", scaler(setting)), ("normalize", Normalizer())]), [{}]


def selected(setting):
    """Make what keeps the columns that differ most between classes, by their F values."""
    steps = [("scale", scaler(setting)), ("metric", SelectKBest())]
    counts = [k for k in SELECTED if k < setting.n_features] or ["all"]
    middle = counts[len(counts) // 2]
    counts = [middle, *(k for k in counts if k != middle)]
    return Pipeline(steps), [{"metric__k": k} for k in counts]


def pca(setting):
    """Make principal components of scaled rows, as many as hold a share of their variance."""
    steps = [("scale", scaler(setting)), ("metric", PCA(svd_solver="full"))]
    return Pipeline(steps), [{"metric__n_components": share} for share in (0.9, 0.5, 0.99)]
