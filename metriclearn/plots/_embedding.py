"""A flat map of embeddings."""

import numpy as np

from metriclearn.plots._axes import axes_for
from metriclearn.plots._layout import class_colour, lay_out

MOST_NAMED_CLASSES = 20


class EmbeddingDisplay:
    """Map of embeddings in two dimensions, one colour a class.

    Make it with ``from_estimator`` or ``from_embeddings``.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
    labels : ndarray of shape (n,)
    name : str, default=None
        Title of the map.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    points_ : list of matplotlib.collections.PathCollection
        One for each class.
    names_ : list of matplotlib.text.Text
        Class names at the middle of their classes, while there are no more than 20.

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

    def __init__(self, points, labels, *, name=None):
        self.points = points
        self.labels = labels
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, X, y, *, method="tsne", random_state=0, name=None, ax=None):
        """Embed rows with a fitted learner and draw their map.

        Parameters
        ----------
        estimator : fitted transformer
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,)
        method : {"tsne", "pca"}, default="tsne"
        random_state : int, RandomState instance or None, default=0
        name : str, default=None
            The class of the estimator by default.
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        EmbeddingDisplay
        """
        return cls.from_embeddings(
            estimator.transform(X),
            y,
            method=method,
            random_state=random_state,
            name=name or type(estimator).__name__,
            ax=ax,
        )

    @classmethod
    def from_embeddings(
        cls, embeddings, labels, *, method="tsne", random_state=0, name=None, ax=None
    ):
        """Draw the map of embeddings.

        Parameters
        ----------
        embeddings : array-like of shape (n, n_components)
        labels : array-like of shape (n,)
        method : {"tsne", "pca"}, default="tsne"
        random_state : int, RandomState instance or None, default=0
        name : str, default=None
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        EmbeddingDisplay
        """
        points = lay_out(embeddings, method, random_state)
        return cls(points, np.asarray(labels), name=name).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            New ones by default.

        Returns
        -------
        EmbeddingDisplay
        """
        ax = axes_for(ax, figsize=(5, 5))
        classes = np.unique(self.labels)
        self.points_, self.names_ = [], []
        for position, label in enumerate(classes):
            own = self.points[self.labels == label]
            colour = class_colour(position, len(classes))
            self.points_.append(
                ax.scatter(*own.T, s=14, color=[colour], alpha=0.8, linewidths=0, label=label)
            )
            if len(classes) <= MOST_NAMED_CLASSES:
                self.names_.append(_named(ax, own, label, colour))
        ax.set_aspect("equal", adjustable="datalim")
        ax.set_xticks([])
        ax.set_yticks([])
        for side in ax.spines.values():
            side.set_alpha(0.3)
        if self.name:
            ax.set_title(self.name)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _named(ax, own, label, colour):
    """Write a class's name at its middle row, dark on a light patch of its own colour."""
    distances = np.sum((own - np.median(own, axis=0)) ** 2, axis=1)
    return ax.text(
        *own[np.argmin(distances)],
        str(label),
        ha="center",
        va="center",
        fontsize="small",
        fontweight="bold",
        color="black",
        bbox={
            "boxstyle": "round,pad=0.15",
            "facecolor": (1, 1, 1, 0.75),
            "edgecolor": colour,
            "linewidth": 0.8,
        },
    )
