"""Laws of every display: what is drawn is what was measured, and can be read."""

from itertools import combinations

import numpy as np
import pytest
from helpers.displays import CASES, HARD, embedded, pairs_of, texts_of
from matplotlib import pyplot

from metriclearn import plots
from metriclearn.plots import RecallCurveDisplay, VerificationCurveDisplay

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.display.__name__)


def test_every_display_is_in_the_table():
    mine = {case.display.__name__ for case in CASES}
    assert {name for name in plots.__all__ if name.endswith("Display")} - mine <= {
        "TrainingDisplay",
        "CriticalDifferenceDisplay",
        "PairWeightsDisplay",
    }


def test_weights_of_pairs_are_points():
    S, W = np.array([[1, 0.9, 0.2], [0.9, 1, 0.4], [0.2, 0.4, 1]]), np.zeros((3, 3))
    W[0, 1] = W[1, 0] = -1.0
    display = plots.PairWeightsDisplay.from_predictions(S, W, [0, 0, 1], name="a loss")
    assert [len(points.get_offsets()) for points in display.points_] == [1, 2]
    np.testing.assert_array_equal(display.points_[0].get_offsets(), [[0.9, -1.0]])
    assert display.active_share == 1 / 3
    _, ax = pyplot.subplots()
    assert display.plot(ax=ax).ax_ is ax
    for similarities, weights, labels, message in (
        (S, W, [0, 0], "must be of shape"),
        (S, np.full((3, 3), np.nan), [0, 0, 1], "finite"),
        (S[:1, :1], W[:1, :1], [0], "fewer than two rows"),
    ):
        with pytest.raises(ValueError, match=message):
            plots.PairWeightsDisplay.from_predictions(similarities, weights, labels)


@every_case
def test_from_estimator_keeps_what_it_drew(case, small):
    estimator, arguments = case.make(*small)
    drawn = case.display.from_estimator(estimator, *arguments, **case.options)
    assert drawn.name == ("FrozenEstimator" if case.make is pairs_of else "Covariance")
    assert drawn.figure_ is drawn.ax_.figure
    for attribute, count in case.artists.items():
        artists = getattr(drawn, attribute)
        assert count is None or len(artists) == count
    # Drawn once more, elsewhere, from what was kept.
    _, ax = pyplot.subplots()
    assert drawn.plot(ax=ax) is drawn
    assert drawn.ax_ is ax


@every_case
def test_from_what_is_predicted_or_learned_the_same_is_drawn(case, small):
    estimator, arguments = case.make(*small)
    one = case.display.from_estimator(estimator, *arguments, **case.options)
    make = getattr(case.display, case.maker)
    other = make(*case.predicted(estimator, *arguments), **case.options)
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
    assert "mine" in " ".join(text for text, _ in texts_of(figure))


def assert_readable(figure):
    """No text on another, and none beyond the edge of the picture."""
    texts = texts_of(figure)
    assert texts
    for text, extent in texts:
        inside = figure.bbox.padded(1)
        assert inside.contains(*extent.min), text
        assert inside.contains(*extent.max), text
    for (one, extent), (other, behind) in combinations(texts, 2):
        # A pixel of touching is the margin that fonts have.
        assert not extent.padded(-1).overlaps(behind.padded(-1)), (one, other)


@every_case
def test_no_text_overlaps_another(case, small):
    estimator, arguments = case.make(*small)
    drawn = case.display.from_estimator(estimator, *arguments, **case.options)
    assert_readable(drawn.figure_)


@pytest.mark.parametrize("draw", HARD.values(), ids=HARD)
def test_many_classes_and_long_names_can_be_read(draw):
    make, *arguments = draw
    assert_readable(make(*arguments).figure_)


@pytest.mark.parametrize(
    "display",
    [
        RecallCurveDisplay([1, 2], [0.5, 1.0]),
        VerificationCurveDisplay(np.array([0.1, 1]), np.array([0.5, 1]), 0.3, 10),
    ],
    ids=lambda display: type(display).__name__,
)
def test_curves_on_the_same_axes_differ_in_color_and_in_stroke(display):
    first = display.plot()
    one = first.line_
    other = display.plot(ax=first.ax_).line_
    assert one.get_color() != other.get_color()
    assert one.get_linestyle() != other.get_linestyle()
    own = display.plot(ax=first.ax_, color="k", linestyle=":").line_
    assert (own.get_color(), own.get_linestyle()) == ("k", ":")


FLAT, CLASSES = np.arange(12.0).reshape(6, 2), [0, 0, 1, 1, 2, 2]
PAIRS = [1, 1, 0, 0], [0.2, 0.6, 0.4, 0.9]


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda: plots.EmbeddingDisplay.from_predictions(FLAT, CLASSES, method="pca"), "method"),
        (lambda: VerificationCurveDisplay.from_predictions(*PAIRS, confidence=0.5), "confidence"),
        (lambda: VerificationCurveDisplay.from_predictions(*PAIRS, n_resamples=9), "n_resamples"),
        (
            lambda: plots.TrainingDisplay.from_history([{"train_loss": 1.0}] * 3, best_epoch=2),
            "best_epoch",
        ),
    ],
)
def test_an_argument_without_effect_is_named(draw, name):
    with pytest.warns(UserWarning, match=rf"\w+Display: {name}=.* no effect here, it is only used"):
        draw()


@every_case
def test_bad_learners_are_one_clear_error(case, small):
    _, arguments = case.make(*small)
    with pytest.raises(ValueError, match=r"estimator must be a fitted|only linear learners"):
        case.display.from_estimator([], *arguments)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.predicted is embedded], ids=lambda case: case.display.__name__
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
