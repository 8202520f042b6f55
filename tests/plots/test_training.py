"""The picture of a training, of a stand-in for what a fitted embedder keeps."""

import numpy as np
import pytest
from matplotlib import pyplot

from metriclearn.plots import TrainingDisplay


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
    assert display.axes_[1].get_title("right") == "best, epoch 2: 75.0%"
    assert display.ax_.get_shared_x_axes().joined(*display.axes_)
    display.figure_.canvas.draw()


def test_a_history_draws_what_its_embedder_draws():
    trained = Trained([3.0, 2.0, 1.0], [0.5, 0.75])
    one = TrainingDisplay.from_estimator(trained)
    other = TrainingDisplay.from_history(trained.history_, best_epoch=2)
    for attribute in ("train_loss", "valid_recall", "best_epoch"):
        np.testing.assert_array_equal(getattr(one, attribute), getattr(other, attribute))
    for bad in ([], [{"loss": 1.0}], [1.0]):
        with pytest.raises(ValueError, match="history must hold a dict with 'train_loss'"):
            TrainingDisplay.from_history(bad)


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
