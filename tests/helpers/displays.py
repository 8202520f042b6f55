"""Every display, as cheap cases; laws run over the table (``tests/plots/test_displays.py``)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from unittest.mock import patch

import numpy as np
from matplotlib.text import Text
from sklearn.frozen import FrozenEstimator

from metriclearn import Covariance
from metriclearn.plots import (
    CriticalDifferenceDisplay,
    DistanceHistogramDisplay,
    EmbeddingDisplay,
    FeatureImportanceDisplay,
    MatrixDisplay,
    MetricEllipseDisplay,
    NeighborsGalleryDisplay,
    RecallCurveDisplay,
    RecallGrowthDisplay,
    SimilarityMatrixDisplay,
    TrainingDisplay,
    VerificationCurveDisplay,
)
from metriclearn.verification import PairClassifier


@dataclass
class Case:
    """A display, made by ``from_estimator`` and from what that predicts."""

    display: type
    make: Callable  # (X, y) -> estimator and what from_estimator takes after it
    predicted: Callable  # (estimator, X, y) -> what the other maker takes
    options: dict = field(default_factory=dict)
    artists: dict = field(default_factory=dict)  # attribute -> how many
    maker: str = "from_predictions"


def _rows(X, y):
    return Covariance().fit(X), (X, y)


def pairs_of(X, y):
    pairs = np.stack([X, X[::-1]], axis=1)
    pairs[:3, 1] = pairs[:3, 0] + 0.1
    same = (y == y[::-1]).astype(int)
    return PairClassifier(FrozenEstimator(Covariance().fit(X))).fit(pairs, same), (pairs, same)


def _two(X, y):
    return Covariance().fit(X[:, :2]), (X[:, :2], y)


def _matrix_of(estimator, *arguments):
    return estimator.get_mahalanobis_matrix(), *arguments


def embedded(estimator, X, y):
    return estimator.transform(X), y


CASES = [
    Case(EmbeddingDisplay, _rows, embedded, {"method": "pca"}, {"points_": 3, "names_": 3}),
    Case(RecallCurveDisplay, _rows, embedded, {}, {"line_": None}),
    Case(RecallGrowthDisplay, _rows, embedded, {}, {"line_": None}),
    Case(DistanceHistogramDisplay, _rows, embedded),
    Case(
        NeighborsGalleryDisplay,
        _rows,
        lambda estimator, X, y: (estimator.transform(X), y, X),
        {"queries": 3, "n_neighbors": 2},
        {"cells_": 9, "frames_": 9},
    ),
    Case(SimilarityMatrixDisplay, _rows, embedded, {}, {"image_": None, "boundaries_": 4}),
    Case(
        VerificationCurveDisplay,
        pairs_of,
        lambda estimator, pairs, same: (same, estimator.paired_distances(pairs)),
        {},
        {"line_": None, "point_": None, "band_": None},
    ),
    Case(MetricEllipseDisplay, _two, _matrix_of, {}, {"ellipses_": 3, "points_": 3}, "from_matrix"),
    Case(
        MatrixDisplay,
        lambda X, y: (Covariance().fit(X), ()),
        _matrix_of,
        {},
        {"image_": None},
        "from_matrix",
    ),
    Case(
        FeatureImportanceDisplay,
        lambda X, y: (Covariance().fit(X), (X,)),
        _matrix_of,
        {},
        {"bars_": 4},
        "from_matrix",
    ),
]


def texts_of(figure):
    """Texts that are drawn, with their extents."""
    drawn = []
    figure.draw_without_rendering()  # the layout first
    with patch.object(Text, "draw", lambda text, renderer: drawn.append(text)):
        figure.draw_without_rendering()
    return [
        (text.get_text(), text.get_window_extent())
        for text in drawn
        if text.get_visible() and text.get_text()
    ]


def _classes(n_classes, long, n_columns=2):
    """Rows of some classes, three of each, with short names or long ones that differ early."""
    rng = np.random.RandomState(0)
    names = np.array([f"{i} of a name without end" if long else i for i in range(n_classes)])
    codes = np.repeat(np.arange(n_classes), 3)
    return 3 * rng.randn(n_classes, n_columns)[codes] + rng.randn(len(codes), n_columns), names[
        codes
    ]


def _matrix(n_features, long):
    names = [f"{i} of a name without end" if long else f"x{i}" for i in range(n_features)]
    return 1000 * np.eye(n_features) - 500, names


def _ranks(n_learners, long):
    names = [f"learner {i}" + long * " with settings that are told at length" for i in range(20)]
    scores = np.random.RandomState(0).rand(6, n_learners)
    return CriticalDifferenceDisplay.from_scores(scores, names[:n_learners])


def _training(n_epochs, best):
    recall = np.linspace(0.9, 0.95, n_epochs)
    return TrainingDisplay(
        list(recall[::-1]), list(recall), best_epoch=best, name="DeepEmbedder"
    ).plot()


def _recall(level):
    """Curves one after the other on the same axes."""
    first = RecallCurveDisplay([1, 2, 4], [level, 1, 1], name="LMNN").plot()
    return RecallCurveDisplay([1, 2, 4], [level, level, 1], name="NCA").plot(ax=first.ax_)


def _growth(n_classes):
    """A curve that is extrapolated where there are classes enough."""
    counts = np.zeros(n_classes, dtype=int)
    counts[:3] = (90, 7, 3)
    return RecallGrowthDisplay(counts, name="LMNN").plot()


def _importance(n_features, long):
    matrix, names = _matrix(n_features, long)
    return FeatureImportanceDisplay(np.diag(matrix), names, per_deviation=True).plot()


# What is hard to lay out: many, long, close to a limit. No text may cover another or be cut off.
HARD = {
    f"{kind}, {n} {'long' if long else 'short'}": (draw, n, long)
    for kind, sizes, draw in (
        ("map", (3, 20, 100), lambda *a: EmbeddingDisplay.from_predictions(*_classes(*a))),
        (
            "similarities",
            (3, 20, 100),
            lambda *a: SimilarityMatrixDisplay.from_predictions(*_classes(*a)),
        ),
        (
            "gallery",
            (3,),
            lambda *a: NeighborsGalleryDisplay.from_predictions(
                *(2 * _classes(*a, 8))[:3], n_neighbors=4
            ),
        ),
        (
            "ellipses",
            (3, 20),
            lambda *a: MetricEllipseDisplay(np.eye(2), *_classes(*a)).plot(),
        ),
        (
            "matrix",
            (4, 40),
            lambda *a: MatrixDisplay(_matrix(*a)[0], feature_names=_matrix(*a)[1]).plot(),
        ),
        ("importance", (4, 40), _importance),
        ("ranks", (2, 10, 20), _ranks),
    )
    for n in sizes
    for long in (False, True)
} | {
    "training, best first": (_training, 3, 1),
    "training, best last": (_training, 60, 60),
    "growth, 3": (_growth, 3),
    "growth, 1000": (_growth, 1000),
    "recall, low": (_recall, 0.05),
    "recall, high": (_recall, 0.9983),
    "recall, all right": (_recall, 1.0),
}
