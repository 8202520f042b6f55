"""A flat map of embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from metriclearn._types import Seed
from metriclearn._unused import warn_without_effect
from metriclearn.plots._axes import (
    axes_for,
    class_color,
    class_marker,
    finish,
    hide_covered,
    legend_beside,
    shorten,
)
from metriclearn.plots._inputs import check_labeled, embed
from metriclearn.plots._layout import METHODS, lay_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.base import BaseEstimator

MOST_NAMED_CLASSES = 20
LONGEST_NAME_ON_CLASS = 10


class EmbeddingDisplay:
    """Map of embeddings in two dimensions, one color and shape a class.

    Make it with ``from_estimator`` or ``from_predictions``.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Coordinates in the map.
    labels : ndarray of shape (n,)
        Class of each point.
    name : str, default=None
        Title of the map.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    points_ : list of matplotlib.collections.PathCollection
        One for each class.
    names_ : list of matplotlib.text.Text
        Class names at the middle of their classes, long ones shortened; those that would
        cover another are not visible, and up to 20 classes are then in a legend too.

    See Also
    --------
    NeighborsGalleryDisplay : What single queries find.
    sklearn.manifold.TSNE : The map by default.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import Covariance
    >>> from metriclearn.plots import EmbeddingDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> display = EmbeddingDisplay.from_estimator(Covariance().fit(X), X, y, method="pca")
    >>> len(display.points_)
    3
    """

    def __init__(self, points: np.ndarray, labels: np.ndarray, *, name: str | None = None) -> None:
        self.points = points
        self.labels = labels
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike,
        *,
        method: str = "tsne",
        random_state: Seed = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> EmbeddingDisplay:
        """Embed rows with a fitted learner and draw their map.

        Parameters
        ----------
        estimator : fitted transformer
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,)
        method : {"tsne", "pca", "umap"}, default="tsne"
        random_state : int, RandomState instance or None, default=0
        name : str, default=None
            The class of the estimator by default.
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        EmbeddingDisplay
        """
        return cls.from_predictions(
            embed(estimator, X),
            y,
            method=method,
            random_state=random_state,
            name=name or type(estimator).__name__,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        embeddings: ArrayLike,
        labels: ArrayLike,
        *,
        method: str = "tsne",
        random_state: Seed = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> EmbeddingDisplay:
        """Draw the map of embeddings.

        Parameters
        ----------
        embeddings : array-like of shape (n, n_components)
        labels : array-like of shape (n,)
        method : {"tsne", "pca", "umap"}, default="tsne"
        random_state : int, RandomState instance or None, default=0
        name : str, default=None
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        EmbeddingDisplay
        """
        embeddings, labels = check_labeled(embeddings, labels)
        if embeddings.shape[1] <= 2 and method in METHODS and method != "tsne":
            when = "where embeddings have more than the two columns that are drawn"
            warn_without_effect(cls.__name__, "method", method, when)
        return cls(lay_out(embeddings, method, random_state), labels, name=name).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> EmbeddingDisplay:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            New ones by default.

        Returns
        -------
        EmbeddingDisplay
        """
        own_figure = ax is None
        ax = axes_for(ax, figsize=(5, 5))
        classes = np.unique(self.labels)
        few = len(classes) <= MOST_NAMED_CLASSES
        # A long name on its class would cover much of the map.
        beside = not few or max(len(str(label)) for label in classes) > LONGEST_NAME_ON_CLASS
        self.points_, self.names_ = [], []
        for position, label in enumerate(classes):
            own = self.points[self.labels == label]
            color = class_color(position, len(classes))
            self.points_.append(
                ax.scatter(
                    *own.T,
                    s=14,
                    color=[color],
                    marker=class_marker(position),
                    alpha=0.8,
                    linewidths=0,
                    label=str(label),
                )
            )
            self.names_.append(_named(ax, own, label, color, beside))
        ax.set_aspect("equal", adjustable="datalim")
        ax.set_xticks([])
        ax.set_yticks([])
        for side in ax.spines.values():
            side.set_alpha(0.3)
        finish(self, ax)
        if not _place(self.names_, ax) and few:
            legend_beside(ax, self.points_, [shorten(label) for label in classes], own_figure)
            _place(self.names_, ax)
        return self


def _place(names, ax):
    """Move names that stand out of the axes into them and hide those that would cover one."""
    for name in names:
        name.set_visible(True)
        name.xyann = (0, name.xyann[1])
    ax.figure.draw_without_rendering()
    inside = ax.get_window_extent()
    for name in names:
        extent = name.get_bbox_patch().get_window_extent()
        beyond = max(inside.x0 - extent.x0, 0) - max(extent.x1 - inside.x1, 0)
        name.xyann = (beyond * 72 / ax.figure.dpi, name.xyann[1])
    ax.figure.draw_without_rendering()
    return hide_covered(names)


def _named(ax, own, label, color, beside):
    """Write a class's name at its middle row, or above it, dark on a light patch."""
    distances = np.sum((own - np.median(own, axis=0)) ** 2, axis=1)
    patch = {"boxstyle": "round,pad=0.15", "facecolor": (1, 1, 1, 0.75)}
    patch |= {"edgecolor": "none"} if beside else {"edgecolor": color, "linewidth": 0.8}
    return ax.annotate(
        shorten(label, 16),
        own[np.argmin(distances)],
        xytext=(0, 7 if beside else 0),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize="xx-small" if beside else "small",
        fontweight="normal" if beside else "bold",
        color="black",
        bbox=patch,
    )
