"""Displays: what is drawn is what was measured."""

import numpy as np
import pytest
from matplotlib import pyplot

from metriclearn import Covariance
from metriclearn.metrics import recall_at_k
from metriclearn.plots import (
    DistanceHistogramDisplay,
    EmbeddingDisplay,
    MatrixDisplay,
    RecallCurveDisplay,
    TrainingDisplay,
)
from metriclearn.plots._distances import _different_pairs, _same_pairs
from metriclearn.plots._layout import class_colour, lay_out


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


@pytest.fixture
def fitted(small):
    return Covariance().fit(small[0])


@pytest.mark.parametrize(
    "display", [EmbeddingDisplay, RecallCurveDisplay, DistanceHistogramDisplay]
)
def test_from_estimator_draws_what_from_embeddings_draws(display, fitted, small):
    X, y = small
    options = {"method": "pca"} if display is EmbeddingDisplay else {}
    one = display.from_estimator(fitted, X, y, **options)
    other = display.from_embeddings(fitted.transform(X), y, **options)
    assert one.name == "Covariance"
    assert one.figure_ is one.ax_.figure
    shared = set(vars(one)) - {"name", "ax_", "figure_", "points_", "names_", "line_"}
    for attribute in shared:
        np.testing.assert_array_equal(getattr(one, attribute), getattr(other, attribute))
    one.figure_.canvas.draw()


@pytest.mark.parametrize(
    "display", [EmbeddingDisplay, RecallCurveDisplay, DistanceHistogramDisplay]
)
def test_given_axes_are_drawn_on(display, fitted, small):
    figure, ax = pyplot.subplots()
    drawn = display.from_estimator(fitted, *small, ax=ax)
    assert drawn.ax_ is ax
    assert drawn.figure_ is figure


def test_map_has_a_colour_and_a_name_for_each_class(fitted, small):
    display = EmbeddingDisplay.from_estimator(fitted, *small, method="pca")
    assert [text.get_text() for text in display.names_] == ["0", "1", "2"]
    assert sum(len(points.get_offsets()) for points in display.points_) == 45


def test_map_of_many_classes_is_not_covered_by_names(rng):
    display = EmbeddingDisplay.from_embeddings(rng.randn(60, 2), np.repeat(np.arange(30), 2))
    assert display.names_ == []
    assert len(display.points_) == 30


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
        DistanceHistogramDisplay.from_embeddings(np.eye(3), labels)


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
    with pytest.raises(ValueError, match="method='umap' is unknown; take 'tsne' or 'pca'"):
        lay_out(np.eye(3), "umap")


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
