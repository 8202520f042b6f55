"""Recall@k curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from metriclearn._types import is_whole
from metriclearn.metrics._retrieval import retrieval_scores
from metriclearn.plots._axes import axes_for, curve_style, without_frame
from metriclearn.plots._inputs import embed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.base import BaseEstimator

DEFAULT_KS = (1, 2, 4, 8, 16, 32)


class RecallCurveDisplay:
    """Recall@k: how often a row of the same class is among the k nearest.

    Make it with ``from_estimator`` or ``from_predictions``; give the ``ax_`` of
    one to the next to compare learners.

    Parameters
    ----------
    ks : list of int
        Numbers of neighbors.
    recall : list of float
        Recall at each k, from 0 to 1.
    name : str, default=None
        Label of the curve.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    line_ : matplotlib.lines.Line2D

    See Also
    --------
    metriclearn.metrics.recall_at_k : One point of the curve.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn.plots import RecallCurveDisplay
    >>> display = RecallCurveDisplay.from_predictions(*load_iris(return_X_y=True))
    >>> [round(recall, 2) for recall in display.recall[:3]]
    [0.96, 0.96, 0.99]
    """

    def __init__(self, ks: list[int], recall: list[float], *, name: str | None = None) -> None:
        self.ks = ks
        self.recall = recall
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike,
        *,
        ks: Sequence[int] = DEFAULT_KS,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> RecallCurveDisplay:
        """Embed rows with a fitted learner and draw their curve.

        Parameters
        ----------
        estimator : fitted transformer
        X : array-like of shape (n, n_features)
            Rows that the learner has not seen.
        y : array-like of shape (n,)
        ks : sequence of int, default=(1, 2, 4, 8, 16, 32)
            Those larger than the gallery are left out.
        name : str, default=None
            The class of the estimator by default.
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        RecallCurveDisplay
        """
        name = name or type(estimator).__name__
        return cls.from_predictions(embed(estimator, X), y, ks=ks, name=name, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        embeddings: ArrayLike,
        labels: ArrayLike,
        *,
        ks: Sequence[int] = DEFAULT_KS,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> RecallCurveDisplay:
        """Draw the curve of embeddings.

        Parameters
        ----------
        embeddings : array-like of shape (n, n_components)
        labels : array-like of shape (n,)
        ks : sequence of int, default=(1, 2, 4, 8, 16, 32)
        name : str, default=None
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        RecallCurveDisplay

        Raises
        ------
        ValueError
            If no k of ``ks`` is from 1 to the number of other rows.
        """
        ks = np.ravel(ks).tolist()
        if not all(map(is_whole, ks)) or min(ks, default=0) < 1 or min(ks) >= len(labels):
            raise ValueError(
                f"ks must be integers of at least 1, one of them less than {len(labels)}, the rows "
                f"there are; got {ks}"
            )
        ks = [k for k in sorted(ks) if k < len(labels)]
        scores = retrieval_scores(embeddings, labels, [f"recall_at_{k}" for k in ks])
        return cls(ks, list(scores.values()), name=name).plot(ax=ax)

    def plot(
        self, *, ax: Axes | None = None, color: Any = None, linestyle: Any = None
    ) -> RecallCurveDisplay:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            New ones by default.
        color, linestyle : default=None
            As matplotlib takes them; by default unlike those of the curves there are.

        Returns
        -------
        RecallCurveDisplay
        """
        ax = axes_for(ax, figsize=(5.5, 4))
        style = curve_style(len(ax.lines))
        style |= {"color": color} if color is not None else {}
        style |= {"linestyle": linestyle} if linestyle is not None else {}
        (self.line_,) = ax.plot(self.ks, self.recall, ms=4, label=self.name, **style)
        ax.set_xscale("log", base=2)
        ax.set_xticks(self.ks, labels=[str(k) for k in self.ks])
        ax.minorticks_off()
        ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
        # Never so near that a tick above 100% is drawn.
        lowest = min(0.99, *(float(np.min(line.get_ydata())) for line in ax.lines))
        room = 0.05 * (1 - lowest)
        ax.set(xlabel="k", ylabel="Recall@k", ylim=(lowest - room, 1 + room))
        ax.grid(axis="y", alpha=0.3)
        without_frame(ax)
        if self.name:
            ax.legend(frameon=False, fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self
