"""Recall@1 as the number of classes grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from metriclearn.metrics._growth import FEWEST_TO_EXTRAPOLATE, RecallGrowth, recall_growth
from metriclearn.plots._axes import axes_for, curve_style, without_frame
from metriclearn.plots._inputs import check_labeled, embed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.base import BaseEstimator

# How far beyond the classes tested the curve is drawn.
REACH = 4


class RecallGrowthDisplay:
    """Expected Recall@1 by the number of classes: exact as far as tested, dashed beyond.

    Make it with ``from_estimator`` or ``from_predictions``; give the ``ax_`` of one to the next
    to compare learners.

    Parameters
    ----------
    counts : ndarray of int, shape (n_classes,)
        ``counts[b]`` queries have rows of ``b`` other classes before the first of their own.
    name : str, default=None
        Label of the curve.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    line_ : matplotlib.lines.Line2D
        Exact means over subsets of the classes tested.
    beyond_ : matplotlib.lines.Line2D or None
        Extrapolated; None for fewer than ten classes.

    See Also
    --------
    metriclearn.metrics.recall_growth : The numbers.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from metriclearn.plots import RecallGrowthDisplay
    >>> display = RecallGrowthDisplay.from_predictions(*load_digits(return_X_y=True))
    >>> [round(float(recall), 3) for recall in display.line_.get_ydata()[:3]]
    [1.0, 0.999, 0.997]
    """

    def __init__(self, counts: np.ndarray, *, name: str | None = None) -> None:
        self.counts = counts
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike,
        *,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> RecallGrowthDisplay:
        """Embed rows with a fitted learner and draw their curve.

        Parameters
        ----------
        estimator : fitted transformer
        X : array-like of shape (n, n_features)
            Rows that the learner has not seen.
        y : array-like of shape (n,)
        name : str, default=None
            The class of the estimator by default.
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        RecallGrowthDisplay
        """
        name = name or type(estimator).__name__
        return cls.from_predictions(embed(estimator, X), y, name=name, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        embeddings: ArrayLike,
        labels: ArrayLike,
        *,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> RecallGrowthDisplay:
        """Draw the curve of embeddings.

        Parameters
        ----------
        embeddings : array-like of shape (n, n_components)
        labels : array-like of shape (n,)
        name : str, default=None
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        RecallGrowthDisplay
        """
        growth = recall_growth(*check_labeled(embeddings, labels))
        return cls(growth.counts, name=name).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None, color: Any = None) -> RecallGrowthDisplay:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            New ones by default.
        color : default=None
            As matplotlib takes it; by default unlike those of the curves there are.

        Returns
        -------
        RecallGrowthDisplay
        """
        ax = axes_for(ax, figsize=(5.5, 4))
        growth = RecallGrowth(np.asarray(self.counts))
        tested = growth_places(1, growth.n_classes)
        drawn = [line for line in ax.lines if line.get_gid() != "beyond"]
        style = curve_style(len(drawn))
        style |= {"color": color} if color is not None else {}
        marker = style.pop("marker")
        style["linestyle"] = "-"  # dashes are for what is not measured
        recall = [growth.recall(n) for n in tested]
        (self.line_,) = ax.plot(
            tested, recall, label=self.name, marker=marker, ms=4, markevery=0.15, **style
        )
        self.beyond_ = None
        if growth.n_classes >= FEWEST_TO_EXTRAPOLATE:
            beyond = growth_places(growth.n_classes, REACH * growth.n_classes)
            recall = [growth.recall(n) for n in beyond]
            style["linestyle"] = (0, (3, 2))
            (self.beyond_,) = ax.plot(beyond, recall, gid="beyond", **style)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
        ax.set(xlabel="classes (dashed: extrapolated)", ylabel="expected Recall@1")
        ax.grid(axis="y", alpha=0.3)
        without_frame(ax)
        if self.name:
            ax.legend(frameon=False, fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def growth_places(first, last, most=40):
    """Return numbers of classes from the first to the last, evenly by their ratios.

    Examples
    --------
    >>> growth_places(1, 5), growth_places(10, 1000, most=3)
    ([1, 2, 3, 4, 5], [10, 100, 1000])
    """
    return np.unique(np.geomspace(first, last, most).round().astype(int)).tolist()
