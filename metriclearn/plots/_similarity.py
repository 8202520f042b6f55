"""All similarities, rows in the order of their classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from metriclearn._pairs import pairwise_sq_distances
from metriclearn._types import Seed
from metriclearn.neighbors._search._ranker import row_norms
from metriclearn.plots._axes import axes_for, color_bar, finish, hide_covered, shorten
from metriclearn.plots._inputs import check_labeled, embed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.base import BaseEstimator

MOST_NAMED_CLASSES = 20


class SimilarityMatrixDisplay:
    """Similarities of all rows, ordered by class: good metrics show blocks on the diagonal.

    Parameters
    ----------
    similarities : ndarray of shape (n, n)
        Rows of a class next to each other; larger is more alike.
    labels : ndarray of shape (n,)
        Sorted.
    metric : {"euclidean", "cosine"}
        What the similarities are: minus the learned distance, or the cosine.
    name : str, default=None
        Title.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    image_ : matplotlib.image.AxesImage
    boundaries_ : list of matplotlib.lines.Line2D
        Between classes, while there are no more than 20.

    See Also
    --------
    DistanceHistogramDisplay : Distributions of distances.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn.plots import SimilarityMatrixDisplay
    >>> display = SimilarityMatrixDisplay.from_predictions(*load_iris(return_X_y=True))
    >>> display.similarities.shape
    (150, 150)
    """

    def __init__(
        self,
        similarities: np.ndarray,
        labels: np.ndarray,
        *,
        metric: str = "euclidean",
        name: str | None = None,
    ) -> None:
        self.similarities = similarities
        self.labels = labels
        self.metric = metric
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike,
        *,
        metric: str = "euclidean",
        max_rows: int = 1000,
        random_state: Seed = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> SimilarityMatrixDisplay:
        """Embed rows with a fitted learner and draw their similarities.

        Parameters
        ----------
        estimator : fitted transformer
        X : array-like of shape (n, ...)
        y : array-like of shape (n,)
        metric, max_rows, random_state
            As in ``from_predictions``.
        name : str, default=None
            The class of the estimator by default.
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        SimilarityMatrixDisplay
        """
        return cls.from_predictions(
            embed(estimator, X),
            y,
            metric=metric,
            max_rows=max_rows,
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
        metric: str = "euclidean",
        max_rows: int = 1000,
        random_state: Seed = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> SimilarityMatrixDisplay:
        """Draw the similarities of embeddings.

        Parameters
        ----------
        embeddings : array-like of shape (n, n_components)
        labels : array-like of shape (n,)
        metric : {"euclidean", "cosine"}, default="euclidean"
        max_rows : int, default=1000
            Of more rows, as many are drawn at random.
        random_state : int, RandomState instance or None, default=0
        name : str, default=None
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        SimilarityMatrixDisplay

        Raises
        ------
        ValueError
            For another ``metric``, ``max_rows`` below 1, or labels of another length.
        """
        if metric not in ("euclidean", "cosine"):
            raise ValueError(f"metric must be 'euclidean' or 'cosine', got {metric!r}")
        if max_rows < 1:
            raise ValueError(f"max_rows must be at least 1, got {max_rows}")
        Z, labels = check_labeled(embeddings, labels)
        if len(Z) > max_rows:
            chosen = check_random_state(random_state).choice(len(Z), max_rows, replace=False)
            Z, labels = Z[chosen], labels[chosen]
        order = np.argsort(labels, kind="stable")
        Z, labels = Z[order], labels[order]
        if metric == "cosine":
            Z = Z / row_norms(Z, "embeddings")[:, None]
            similarities = Z @ Z.T
        else:
            similarities = -np.sqrt(pairwise_sq_distances(Z, Z))
        return cls(similarities, labels, metric=metric, name=name).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None, colorbar: bool = True) -> SimilarityMatrixDisplay:
        """Draw the matrix.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            New ones by default.
        colorbar : bool, default=True

        Returns
        -------
        SimilarityMatrixDisplay
        """
        ax = axes_for(ax, figsize=(5.8, 4.8), square=True)
        self.image_ = ax.imshow(self.similarities, cmap="cividis", interpolation="nearest")
        classes, starts, counts = np.unique(self.labels, return_index=True, return_counts=True)
        ax.set_xticks([])
        ax.set_yticks([])
        self.boundaries_ = []
        if len(classes) <= MOST_NAMED_CLASSES:
            for start in starts[1:]:
                for line in (ax.axhline, ax.axvline):
                    self.boundaries_.append(line(start - 0.5, color="white", linewidth=0.8))
            middles = starts + (counts - 1) / 2
            names = [shorten(label) for label in classes]
            ax.set_yticks(middles, labels=names, fontsize="x-small")
            ax.tick_params(axis="y", length=0)
            ax.figure.draw_without_rendering()
            hide_covered(ax.get_yticklabels())
        else:
            ax.set_ylabel(f"{len(classes)} classes, in order", fontsize="small")
        if colorbar:
            cosine = self.metric == "cosine"
            bar = color_bar(ax, self.image_, "cosine" if cosine else "learned distance")
            if not cosine:
                bar.ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        return finish(self, ax)
