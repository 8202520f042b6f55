"""Displays: what is drawn is what was measured."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.text import Text
from scipy.spatial.distance import cdist
from sklearn.frozen import FrozenEstimator

from metriclearn import Covariance, plots
from metriclearn.metrics import (
    bootstrap_over_identities,
    equal_error_rate,
    recall_at_k,
    verification_curve,
)
from metriclearn.neighbors import ExactSearch
from metriclearn.plots import (
    DistanceHistogramDisplay,
    EmbeddingDisplay,
    FeatureImportanceDisplay,
    MatrixDisplay,
    MetricEllipseDisplay,
    NeighborsGalleryDisplay,
    RecallCurveDisplay,
    SimilarityMatrixDisplay,
    TrainingDisplay,
    VerificationCurveDisplay,
)
from metriclearn.plots._distances import _different_pairs, _same_pairs
from metriclearn.plots._layout import class_colour, class_marker, lay_out
from metriclearn.verification import PairClassifier


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


@pytest.fixture
def fitted(small):
    return Covariance().fit(small[0])


@dataclass
class Case:
    """A display, made by ``from_estimator`` and from what that predicts."""

    display: type
    make: Callable  # (X, y) -> estimator and what from_estimator takes after it
    predicted: Callable | None = None  # (estimator, X, y) -> what from_predictions takes
    options: dict = field(default_factory=dict)
    artists: dict = field(default_factory=dict)  # attribute -> how many


def _rows(X, y):
    return Covariance().fit(X), (X, y)


def _pairs(X, y):
    pairs = np.stack([X, X[::-1]], axis=1)
    pairs[:3, 1] = pairs[:3, 0] + 0.1
    same = (y == y[::-1]).astype(int)
    return PairClassifier(FrozenEstimator(Covariance().fit(X))).fit(pairs, same), (pairs, same)


def _two(X, y):
    return Covariance().fit(X[:, :2]), (X[:, :2], y)


def _embedded(estimator, X, y):
    return estimator.transform(X), y


CASES = [
    Case(EmbeddingDisplay, _rows, _embedded, {"method": "pca"}, {"points_": 3, "names_": 3}),
    Case(RecallCurveDisplay, _rows, _embedded, {}, {"line_": None}),
    Case(DistanceHistogramDisplay, _rows, _embedded),
    Case(
        NeighborsGalleryDisplay,
        _rows,
        lambda estimator, X, y: (estimator.transform(X), y, X),
        {"queries": 3, "n_neighbors": 2},
        {"cells_": 9, "frames_": 9},
    ),
    Case(SimilarityMatrixDisplay, _rows, _embedded, {}, {"image_": None, "boundaries_": 4}),
    Case(
        VerificationCurveDisplay,
        _pairs,
        lambda estimator, pairs, same: (same, estimator.paired_distances(pairs)),
        {},
        {"line_": None, "point_": None, "band_": None},
    ),
    Case(MetricEllipseDisplay, _two, None, {}, {"ellipses_": 3, "points_": 3}),
    Case(MatrixDisplay, lambda X, y: (Covariance().fit(X), ()), None, {}, {"image_": None}),
    Case(
        FeatureImportanceDisplay, lambda X, y: (Covariance().fit(X), (X,)), None, {}, {"bars_": 4}
    ),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.display.__name__)


def _texts(figure):
    """Texts as drawn, with their extents."""
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    return [(text.get_text(), text.get_window_extent()) for text in texts]


def test_every_display_is_in_the_table():
    mine = {case.display.__name__ for case in CASES}
    assert {name for name in plots.__all__ if name.endswith("Display")} - mine <= {
        "TrainingDisplay",
        "CriticalDifferenceDisplay",
    }


@every_case
def test_from_estimator_keeps_what_it_drew(case, small):
    estimator, arguments = case.make(*small)
    drawn = case.display.from_estimator(estimator, *arguments, **case.options)
    assert drawn.name == ("FrozenEstimator" if case.make is _pairs else "Covariance")
    assert drawn.figure_ is drawn.ax_.figure
    for attribute, count in case.artists.items():
        artists = getattr(drawn, attribute)
        assert count is None or len(artists) == count
    # Drawn once more, elsewhere, from what was kept.
    _, ax = pyplot.subplots()
    assert drawn.plot(ax=ax) is drawn
    assert drawn.ax_ is ax


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.predicted], ids=lambda case: case.display.__name__
)
def test_from_predictions_draws_what_from_estimator_draws(case, small):
    estimator, arguments = case.make(*small)
    one = case.display.from_estimator(estimator, *arguments, **case.options)
    other = case.display.from_predictions(*case.predicted(estimator, *arguments), **case.options)
    kept = {name for name in vars(one) if not name.endswith("_")} - {"name"}
    assert kept
    for attribute in kept:
        np.testing.assert_array_equal(getattr(one, attribute), getattr(other, attribute))


@every_case
def test_given_axes_are_drawn_on(case, small):
    figure, ax = pyplot.subplots()
    estimator, arguments = case.make(*small)
    drawn = case.display.from_estimator(estimator, *arguments, **case.options, name="mine", ax=ax)
    assert drawn.ax_ is ax
    assert drawn.figure_ is figure
    assert pyplot.get_fignums() == [figure.number]
    assert "mine" in " ".join(text for text, _ in _texts(figure))


@every_case
def test_no_text_overlaps_another(case, small):
    estimator, arguments = case.make(*small)
    drawn = case.display.from_estimator(estimator, *arguments, **case.options)
    texts = _texts(drawn.figure_)
    assert texts
    for (one, extent), (other, behind) in combinations(texts, 2):
        # A pixel of touching is the margin that fonts have.
        assert not extent.padded(-1).overlaps(behind.padded(-1)), (one, other)


@every_case
def test_bad_learners_are_one_clear_error(case, small):
    _, arguments = case.make(*small)
    with pytest.raises(ValueError, match=r"estimator must be a fitted|only linear learners"):
        case.display.from_estimator([], *arguments)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.predicted is _embedded], ids=lambda case: case.display.__name__
)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda Z, y: (Z * np.nan, y), "embeddings contains NaN"),
        (lambda Z, y: (Z, y[:-1]), "labels"),
    ],
)
def test_bad_embeddings_are_one_clear_error(case, small, spoil, message):
    with pytest.raises(ValueError, match=message):
        case.display.from_predictions(*spoil(*small), **case.options)


def test_map_has_a_colour_and_a_name_for_each_class(fitted, small):
    display = EmbeddingDisplay.from_estimator(fitted, *small, method="pca")
    assert [text.get_text() for text in display.names_] == ["0", "1", "2"]
    assert sum(len(points.get_offsets()) for points in display.points_) == 45


@pytest.mark.parametrize("n_classes", [3, 20, 100])
def test_names_on_the_map_never_cover_each_other(rng, n_classes):
    points = rng.randn(n_classes, 2)
    points[1] = points[0]
    display = EmbeddingDisplay.from_predictions(points, np.arange(n_classes))
    assert len(display.points_) == len(display.names_) == n_classes
    display.figure_.draw_without_rendering()
    seen = [name.get_window_extent() for name in display.names_ if name.get_visible()]
    assert 1 < len(seen) < n_classes
    assert not any(one.overlaps(other) for one, other in combinations(seen, 2))
    # A name that cannot be seen is in the legend, while that is short enough to read.
    legend = display.ax_.get_legend()
    assert (legend is not None) == (n_classes <= 20)
    if legend is not None:
        assert len(legend.get_texts()) == n_classes


def test_gallery_finds_neighbours_and_frames_the_right_ones(fitted, small):
    X, y = small
    queries = [0, 20, 44]
    display = NeighborsGalleryDisplay.from_estimator(fitted, X, y, queries=queries, n_neighbors=5)
    distances, indices = ExactSearch(fitted.transform(X)).search(
        fitted.transform(X)[queries], 5, exclude=np.array(queries)
    )
    np.testing.assert_array_equal(display.indices, indices)
    np.testing.assert_array_equal(display.distances, distances)
    np.testing.assert_array_equal(display.right, y[indices] == y[queries][:, None])
    dashed = np.array([f.get_linestyle() == "--" for f in display.frames_]).reshape(3, 6)
    assert not dashed[:, 0].any()
    np.testing.assert_array_equal(dashed[:, 1:], ~display.right)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3), (1, 5, 4), (3, 5, 4)])
def test_gallery_of_images(rng, shape):
    images = rng.rand(12, *shape) * 3 - 1
    display = NeighborsGalleryDisplay.from_predictions(
        rng.randn(12, 2), np.arange(12) % 2, images, queries=[7], n_neighbors=2
    )
    (query, *_), n_channels = display.cells_, shape[0] if shape[0] != 5 else (*shape, 1)[2]
    drawn = np.asarray(query.get_array())
    assert drawn.shape[:2] == (5, 4)
    assert drawn.ndim == (3 if n_channels == 3 else 2)
    assert np.ptp(drawn) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queries": 46}, "queries=46 must be from 1 to 45"),
        ({"queries": [45]}, "queries must be rows from 0 to 44"),
        ({"queries": []}, "queries must be a number or a list"),
        ({"n_neighbors": 45}, "k=45 neighbours were asked for"),
        ({"shown": np.ones((3, 2))}, r"shown must hold numbers, 45 table rows or images"),
        ({"shown": np.ones((45, 4, 4, 2))}, "images must have 1 or 3 channels"),
    ],
)
def test_galleries_that_cannot_be_are_one_clear_error(fitted, small, options, message):
    with pytest.raises(ValueError, match=message):
        NeighborsGalleryDisplay.from_estimator(fitted, *small, **options)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_similarities_are_ordered_by_class(rng, small, metric):
    X, y = small
    order = rng.permutation(len(X))
    display = SimilarityMatrixDisplay.from_predictions(X[order], y[order], metric=metric)
    np.testing.assert_array_equal(display.labels, np.sort(y))
    rows = X[order][np.argsort(y[order], kind="stable")]
    expected = -cdist(rows, rows) if metric == "euclidean" else 1 - cdist(rows, rows, "cosine")
    np.testing.assert_allclose(display.similarities, expected, atol=1e-6)
    fewer = SimilarityMatrixDisplay.from_predictions(X, y, metric=metric, max_rows=10)
    assert fewer.similarities.shape == (10, 10)
    with pytest.raises(ValueError, match="metric must be 'euclidean' or 'cosine'"):
        SimilarityMatrixDisplay.from_predictions(X, y, metric="dot")


def test_points_of_the_ellipse_are_at_its_radius(small):
    X, y = small[0][:, :2], small[1]
    learner = Covariance().fit(X)
    display = MetricEllipseDisplay.from_estimator(learner, X, y, radius=0.7)
    for label, line in enumerate(display.ellipses_):
        outline = line.get_xydata()
        centre = np.broadcast_to(X[y == label].mean(axis=0), outline.shape)
        np.testing.assert_allclose(learner.paired_distances(outline, centre), 0.7, rtol=1e-6)
    alone = MetricEllipseDisplay.from_estimator(learner, X)
    assert len(alone.ellipses_) == 1
    # A metric that sees one direction only has an ellipse without end.
    flat = MetricEllipseDisplay(np.diag([1.0, 0.0]), X, y).plot()
    assert np.isfinite(flat.ellipses_[0].get_xydata()).all()
    with pytest.raises(ValueError, match="needs a metric of two features, this one has 4"):
        MetricEllipseDisplay.from_estimator(Covariance().fit(small[0]), *small)


def test_importance_is_the_distance_of_a_step(fitted, small):
    X = small[0]
    units = FeatureImportanceDisplay.from_estimator(fitted)
    origin = np.zeros((4, 4))
    np.testing.assert_allclose(
        units.importances, fitted.paired_distances(np.eye(4), origin), rtol=1e-6
    )
    steps = FeatureImportanceDisplay.from_estimator(
        fitted, X, feature_names=list("abcd"), max_features=2
    )
    np.testing.assert_allclose(steps.importances, units.importances * X.std(axis=0))
    order = np.argsort(-steps.importances)[:2]
    assert [t.get_text() for t in steps.ax_.get_yticklabels()] == list(
        np.array(list("abcd"))[order]
    )
    np.testing.assert_allclose([bar.get_width() for bar in steps.bars_], steps.importances[order])
    for options, message in (
        ({"X": X[:, :2]}, "X has 2 features, the metric has 4"),
        ({"feature_names": ["a"]}, "feature_names has 1 names for 4 features"),
        ({"max_features": 0}, "max_features must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            FeatureImportanceDisplay.from_estimator(fitted, **options)


def test_verification_curve_and_its_band(rng):
    names = rng.randint(15, size=(400, 2))
    names[:150, 1] = names[:150, 0]
    same = names[:, 0] == names[:, 1]
    distances = rng.rand(400) + 0.5 * ~same
    display = VerificationCurveDisplay.from_predictions(
        same, distances, identities=names, n_resamples=40, name="A"
    )
    curve = verification_curve(same, distances)
    np.testing.assert_array_equal(display.line_.get_xdata(), curve.far[curve.far > 0])
    np.testing.assert_array_equal(display.line_.get_ydata(), curve.tar[curve.far > 0])
    assert display.equal_error == equal_error_rate(same, distances)
    expected = bootstrap_over_identities(
        equal_error_rate, same, distances, names, n_resamples=40, random_state=0
    )
    assert display.interval == pytest.approx(expected)
    grid, low, high = display.band
    assert np.all((low <= curve.tar_at(grid)) & (curve.tar_at(grid) <= high))
    assert display.band_ is not None
    second = VerificationCurveDisplay.from_predictions(same, distances + 1, ax=display.ax_)
    assert second.band_ is None
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels[0].startswith("A: EER ")
    assert labels[1].startswith("EER ")
    with pytest.raises(ValueError, match="y must hold two values, got 1"):
        VerificationCurveDisplay.from_estimator(Covariance(), [], [1, 1])


def test_recall_curve_is_recall(fitted, small):
    X, y = small
    display = RecallCurveDisplay.from_estimator(fitted, X, y, ks=(1, 4, 1000))
    assert display.ks == [1, 4]
    expected = [recall_at_k(fitted.transform(X), y, k=k) for k in (1, 4)]
    assert display.recall == pytest.approx(expected)
    np.testing.assert_allclose(display.line_.get_ydata(), expected)


def test_matrix_is_the_learners(fitted):
    display = MatrixDisplay.from_estimator(fitted, feature_names=list("abcd"))
    np.testing.assert_array_equal(display.image_.get_array(), fitted.get_mahalanobis_matrix())
    low, high = display.image_.get_clim()
    assert low == -high
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == list("abcd")


def test_only_linear_learners_have_a_matrix():
    with pytest.raises(ValueError, match="list has no matrix"):
        MatrixDisplay.from_estimator([])


def test_histogram_shows_the_threshold(fitted, small):
    display = DistanceHistogramDisplay.from_estimator(fitted, *small, threshold=1.5, n_pairs=50)
    assert len(display.same) == len(display.different) == 50
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert set(names) == {"same class", "different classes", "threshold"}


@pytest.mark.parametrize("counts", [[2, 2], [1, 5, 3], [7, 1, 1, 4]])
def test_drawn_pairs_are_what_they_are_called_and_all_occur(counts, rng):
    codes = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    for draw, same in ((_same_pairs, True), (_different_pairs, False)):
        first, second = draw(codes, 3000, rng)
        assert np.all(first != second)
        assert np.all((codes[first] == codes[second]) == same)
        possible = (codes[:, None] == codes) == same
        np.fill_diagonal(possible, False)
        assert len({*zip(first, second, strict=True)}) == possible.sum()


@pytest.mark.parametrize(("labels", "message"), [([0, 1, 2], "no class"), ([0, 0, 0], "one class")])
def test_pairs_that_do_not_exist_are_one_clear_error(labels, message):
    with pytest.raises(ValueError, match=message):
        DistanceHistogramDisplay.from_predictions(np.eye(3), labels)


@pytest.mark.parametrize("method", ["tsne", "pca"])
@pytest.mark.parametrize(
    "Z",
    [np.eye(12), np.eye(3), np.ones((12, 4)), np.arange(12.0)[:, None], np.ones((1, 5))],
    ids=["rows", "few rows", "all alike", "one column", "one row"],
)
def test_layout_is_flat_and_finite(Z, method):
    points = lay_out(Z, method, random_state=0)
    assert points.shape == (len(Z), 2)
    assert np.all(np.isfinite(points))
    np.testing.assert_array_equal(points, lay_out(Z, method, random_state=0))


def test_layout_keeps_two_columns_as_they_are(rng):
    Z = rng.randn(20, 2)
    np.testing.assert_allclose(lay_out(Z), Z - Z.mean(axis=0))


def test_an_unknown_layout_is_one_clear_error():
    with pytest.raises(ValueError, match=r"method='som' is unknown; take one of \('tsne', 'pca'"):
        lay_out(np.eye(3), "som")


def test_umap_where_it_is_installed(rng, monkeypatch):
    class UMAP:
        def __init__(self, **options):
            self.options = options

        def fit_transform(self, Z):
            assert self.options == {"n_neighbors": 15, "random_state": 3, "n_jobs": 1}
            return Z[:, :2]

    Z = rng.randn(40, 4)
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    np.testing.assert_allclose(lay_out(Z, "umap", 3), (Z - Z.mean(axis=0))[:, :2])
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r"pip install 'metriclearn\[umap\]'"):
        lay_out(Z, "umap")


@pytest.mark.parametrize("n_classes", [2, 10, 100])
def test_class_colours_differ_and_are_neither_black_nor_white(n_classes):
    colours = np.array([class_colour(i, n_classes) for i in range(n_classes)])
    assert len(np.unique(colours, axis=0)) == n_classes
    lightness = colours @ [0.299, 0.587, 0.114]
    assert lightness.min() > 0.2
    assert lightness.max() < 0.8


class Trained:
    """What a fitted embedder keeps of its training."""

    best_epoch_ = 2

    def __init__(self, loss, recall=()):
        self.history_ = [{"epoch": i, "train_loss": value} for i, value in enumerate(loss, 1)]
        # An embedder trained on before it was validated has epochs without.
        for row, value in zip(self.history_[::-1], recall[::-1], strict=False):
            row["valid_recall_at_1"] = value


def test_training_is_loss_above_recall_with_the_best_epoch_marked():
    display = TrainingDisplay.from_estimator(Trained([3.0, 2.0, 1.0], [0.5, 0.75, 0.625]))
    above, below = display.lines_
    np.testing.assert_array_equal(above.get_xydata(), [[1, 3], [2, 2], [3, 1]])
    np.testing.assert_array_equal(below.get_xydata(), [[1, 0.5], [2, 0.75], [3, 0.625]])
    assert [ax.get_ylabel() for ax in display.axes_] == ["training loss", "validation Recall@1"]
    assert display.axes_[1].texts[0].get_text() == "best, epoch 2: 75.0%"
    assert display.ax_.get_shared_x_axes().joined(*display.axes_)
    display.figure_.canvas.draw()


def test_training_without_validation_is_the_loss_alone():
    display = TrainingDisplay.from_estimator(Trained([3.0, 2.0]), name="run")
    assert display.valid_recall is display.best_epoch is None
    assert len(display.axes_) == len(display.lines_) == 1
    assert display.ax_.get_title() == "run"


def test_epochs_that_were_not_validated_are_gaps():
    display = TrainingDisplay.from_estimator(Trained([3.0, 2.0, 1.0], [0.75, 0.625]))
    np.testing.assert_array_equal(display.valid_recall, [np.nan, 0.75, 0.625])


@pytest.mark.parametrize("recall", [(), [0.5, 0.75]])
def test_training_on_given_axes(recall):
    figure, (left, right) = pyplot.subplots(1, 2)
    display = TrainingDisplay.from_estimator(Trained([3.0, 2.0], recall), ax=left)
    assert display.figure_ is figure
    assert right not in display.axes_
    figure.canvas.draw()
    whole = left.get_position()
    for ax in display.axes_:
        drawn = ax.get_position()
        assert whole.x0 <= drawn.x0 < drawn.x1 <= whole.x1
        assert whole.y0 <= drawn.y0 < drawn.y1 <= whole.y1


def test_what_has_no_training_to_draw_is_refused(fitted):
    with pytest.raises(ValueError, match="Covariance has no history of epochs"):
        TrainingDisplay.from_estimator(fitted)
    ax = pyplot.figure().add_axes([0.1, 0.1, 0.8, 0.8])
    with pytest.raises(ValueError, match="cannot be divided"):
        TrainingDisplay([1.0], [0.5]).plot(ax=ax)


# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB.
COLOUR_BLIND = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


@pytest.mark.parametrize("eyes", COLOUR_BLIND)
def test_colour_and_shape_together_tell_ten_classes_apart(eyes):
    colours = np.array([class_colour(i, 10) for i in range(10)])
    seen = np.clip((colours**2.2) @ np.transpose(COLOUR_BLIND[eyes]), 0, 1) ** (1 / 2.2)
    for i, j in combinations(range(10), 2):
        if class_marker(i) == class_marker(j):
            assert np.linalg.norm(seen[i] - seen[j]) > 0.2


@pytest.mark.parametrize("eyes", COLOUR_BLIND)
def test_the_colours_of_two_kinds_differ_to_all_eyes(eyes):
    colours = np.array([class_colour(i, 2) for i in range(2)])
    seen = np.clip((colours**2.2) @ np.transpose(COLOUR_BLIND[eyes]), 0, 1) ** (1 / 2.2)
    assert np.linalg.norm(seen[0] - seen[1]) > 0.4
