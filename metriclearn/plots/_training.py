"""How a training went, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metriclearn._extras import require
from metriclearn._unused import warn_without_effect
from metriclearn.plots._axes import without_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.base import BaseEstimator

# Okabe and Ito's blue and vermilion, told apart with any color vision and in grey.
LOSS_COLOR, RECALL_COLOR = "#0072b2", "#d55e00"


class TrainingDisplay:
    """Training loss and validation Recall@1 of each epoch, one above the other.

    The epoch whose weights were kept is marked. Without validation there is the loss alone.

    Parameters
    ----------
    train_loss : list of float
        Mean loss of each epoch.
    valid_recall : list of float, default=None
        Recall@1 after each epoch, from 0 to 1; NaN where nothing was measured.
    best_epoch : int, default=None
        Number of the epoch to mark, from 1.
    name : str, default=None
        Title.

    Attributes
    ----------
    axes_ : list of matplotlib.axes.Axes
        Of the loss and, where there is validation, of Recall@1.
    ax_ : matplotlib.axes.Axes
        The first of them.
    figure_ : matplotlib.figure.Figure
    lines_ : list of matplotlib.lines.Line2D
        The curve in each of the axes.

    See Also
    --------
    metriclearn.deep.DeepEmbedder : Keeps the history that is drawn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn.deep import DeepEmbedder
    >>> from metriclearn.plots import TrainingDisplay
    >>> embedder = DeepEmbedder(max_epochs=3, validation="stratified", random_state=0)
    >>> display = TrainingDisplay.from_estimator(embedder.fit(*load_iris(return_X_y=True)))
    >>> len(display.train_loss), len(display.valid_recall)
    (3, 3)
    """

    def __init__(
        self,
        train_loss: list[float],
        valid_recall: list[float] | None = None,
        *,
        best_epoch: int | None = None,
        name: str | None = None,
    ) -> None:
        self.train_loss = train_loss
        self.valid_recall = valid_recall
        self.best_epoch = best_epoch
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, *, name: str | None = None, ax: Axes | None = None
    ) -> TrainingDisplay:
        """Draw the history of a fitted embedder.

        Parameters
        ----------
        estimator : fitted DeepEmbedder
        name : str, default=None
            Title; none by default.
        ax : matplotlib.axes.Axes, default=None
            Axes of ``subplots()`` to draw on, divided where there are two curves.

        Returns
        -------
        TrainingDisplay

        Raises
        ------
        ValueError
            If the estimator has no history of epochs.
        """
        history = getattr(estimator, "history_", None)
        if not _is_history(history):
            raise ValueError(
                f"{type(estimator).__name__} has no history of epochs; give a fitted DeepEmbedder"
            )
        validated = any("valid_recall_at_1" in row for row in history)
        best_epoch = getattr(estimator, "best_epoch_", None) if validated else None
        return cls.from_history(history, best_epoch=best_epoch, name=name, ax=ax)

    @classmethod
    def from_history(
        cls,
        history: Sequence[dict[str, Any]],
        *,
        best_epoch: int | None = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> TrainingDisplay:
        """Draw a history of epochs, read from a log, say.

        Parameters
        ----------
        history : sequence of dict
            One of each epoch, with ``train_loss`` and, where it was validated,
            ``valid_recall_at_1``, as in ``history_`` of an embedder.
        best_epoch : int, default=None
            Number of the epoch to mark, from 1.
        name, ax
            As in ``from_estimator``.

        Returns
        -------
        TrainingDisplay

        Raises
        ------
        ValueError
            If there is no epoch in it.
        """
        if not _is_history(history):
            raise ValueError("history must hold a dict with 'train_loss' for each epoch")
        recall = None
        if any("valid_recall_at_1" in row for row in history):
            recall = [row.get("valid_recall_at_1", float("nan")) for row in history]
        if recall is None and best_epoch is not None:
            when = "where epochs were validated"
            warn_without_effect("TrainingDisplay", "best_epoch", best_epoch, when)
            best_epoch = None
        loss = [row["train_loss"] for row in history]
        return cls(loss, recall, best_epoch=best_epoch, name=name).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> TrainingDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes of ``subplots()`` to draw on, divided where there are two curves; new ones by
            default.

        Returns
        -------
        TrainingDisplay
        """
        curves = [("training loss", self.train_loss, LOSS_COLOR)]
        if self.valid_recall is not None:
            curves.append(("validation Recall@1", self.valid_recall, RECALL_COLOR))
        self.axes_ = _stacked(ax, len(curves))
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        self.lines_ = [
            _draw(panel, values, color, title)
            for panel, (title, values, color) in zip(self.axes_, curves, strict=True)
        ]
        for panel in self.axes_[:-1]:
            panel.tick_params(labelbottom=False)
        self.axes_[-1].set_xlabel("epoch")
        self.figure_.align_ylabels(self.axes_)
        if self.name:
            self.ax_.set_title(self.name)
        if self.valid_recall is not None:
            self.axes_[1].yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
            if self.best_epoch is not None:
                self._mark_best()
        return self

    def _mark_best(self):
        for panel in self.axes_:
            panel.axvline(self.best_epoch, color="0.45", linestyle=(0, (4, 3)), lw=1, zorder=0)
        best = self.valid_recall[self.best_epoch - 1]
        self.axes_[1].plot(self.best_epoch, best, "o", ms=7, color=RECALL_COLOR)
        # Above the panel: inside, the curve may be anywhere.
        text = f"best, epoch {self.best_epoch}: {100 * best:.1f}%"
        self.axes_[1].set_title(text, loc="right", fontsize="small", pad=3)


def _is_history(history):
    return bool(history) and isinstance(history[0], dict) and "train_loss" in history[0]


def _draw(ax, values, color, title):
    ticker = require("matplotlib.ticker", "plots")
    # A single epoch, and a run with few, would be no visible line.
    marker = "o" if len(values) <= 40 else None
    (line,) = ax.plot(range(1, len(values) + 1), values, color=color, marker=marker, ms=3)
    ax.set_ylabel(title)
    ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.grid(axis="y", alpha=0.3)
    without_frame(ax)
    return line


def _stacked(ax, n_panels):
    """Panels one above the other: a new figure's, or what one axes is cut into."""
    pyplot = require("matplotlib.pyplot", "plots")
    if ax is None:
        _, panels = pyplot.subplots(
            n_panels, figsize=(5.5, 1.2 + 2 * n_panels), sharex=True, layout="constrained"
        )
        return [panels] if n_panels == 1 else list(panels)
    if n_panels == 1:
        return [ax]
    if ax.get_subplotspec() is None:
        raise ValueError("ax is not of a grid, so it cannot be divided; take one of subplots()")
    grid = ax.get_subplotspec().subgridspec(n_panels, 1)
    ax.set_axis_off()
    panels = [ax.figure.add_subplot(cell) for cell in grid]
    for panel in panels[1:]:
        panel.sharex(panels[0])
    return panels
