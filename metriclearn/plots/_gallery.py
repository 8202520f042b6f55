"""Queries and what they find, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from metriclearn._extras import require
from metriclearn._types import Seed
from metriclearn.neighbors._exact import ExactSearch
from metriclearn.plots._axes import axes_for, finish, shorten
from metriclearn.plots._inputs import check_labeled, embed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.base import BaseEstimator

# Blue, unbroken: the same class. Orange, dashed: another.
RIGHT = {"edgecolor": "#2767c4", "linestyle": "-"}
WRONG = {"edgecolor": "#d05a16", "linestyle": "--"}
_MOST_FEATURES = 6
_LONGEST = 17
# Of a cell of side 1: to the next cell, to the next row, and behind the query.
_STEP, _ROW, _BEHIND_QUERY = 1.14, 1.42, 0.3
# Of a cell in inches, where the figure is our own, and of text in points that fits such a cell.
_SIDE, _FONT_SIZE = 1.1, 7.0


class NeighborsGalleryDisplay:
    """Gallery of queries, each with its nearest rows; right ones in an unbroken frame.

    Images are shown as images, rows of a table as the values of their first six
    features. Below each stands its class, and its distance from the query.

    Parameters
    ----------
    queries : ndarray of int, shape (n_queries,)
        Row numbers.
    indices : ndarray of int, shape (n_queries, n_neighbors)
        Rows that each query found, nearest first.
    distances : ndarray of shape (n_queries, n_neighbors)
        Their distances.
    labels : ndarray of shape (n,)
        Class of every row.
    shown : ndarray of shape (n, n_features), (n, height, width) or (n, height, width, 3)
        What is drawn of every row.
    feature_names : sequence of str, default=None
        Written beside the values of a table.
    name : str, default=None
        Title.

    Attributes
    ----------
    right : ndarray of bool, shape (n_queries, n_neighbors)
        Whether what was found is of the query's class.
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    cells_ : list of matplotlib.image.AxesImage or matplotlib.text.Text
        Queries and what they found, row by row.
    frames_ : list of matplotlib.patches.Rectangle
        One for each cell.

    See Also
    --------
    metriclearn.metrics.retrieve : Neighbors as numbers.
    EmbeddingDisplay : A map of all rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import Covariance
    >>> from metriclearn.plots import NeighborsGalleryDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> display = NeighborsGalleryDisplay.from_estimator(
    ...     Covariance().fit(X), X, y, queries=[0, 100], n_neighbors=3)
    >>> display.right
    array([[ True,  True,  True], [ True,  True, False]])
    """

    def __init__(
        self,
        queries: np.ndarray,
        indices: np.ndarray,
        distances: np.ndarray,
        labels: np.ndarray,
        shown: np.ndarray,
        *,
        feature_names: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        self.queries = queries
        self.indices = indices
        self.distances = distances
        self.labels = labels
        self.shown = shown
        self.feature_names = feature_names
        self.name = name
        self.right = labels[indices] == labels[queries][:, None]

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike,
        *,
        queries: int | ArrayLike = 4,
        n_neighbors: int = 6,
        shown: ArrayLike | None = None,
        metric: str = "euclidean",
        random_state: Seed = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> NeighborsGalleryDisplay:
        """Embed rows with a fitted learner and show what queries find among them.

        Parameters
        ----------
        estimator : fitted transformer
        X : array-like of shape (n, ...)
        y : array-like of shape (n,)
        queries : int or array-like of int, default=4
            Row numbers, or how many to draw at random.
        n_neighbors : int, default=6
            Each query is left out of what it finds.
        shown : array-like of shape (n, ...), default=None
            Images or table rows to draw; ``X`` by default.
        metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        random_state : int, RandomState instance or None, default=0
        name : str, default=None
            The class of the estimator by default.
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        NeighborsGalleryDisplay
        """
        return cls.from_predictions(
            embed(estimator, X),
            y,
            X if shown is None else shown,
            queries=queries,
            n_neighbors=n_neighbors,
            metric=metric,
            random_state=random_state,
            name=name or type(estimator).__name__,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        embeddings: ArrayLike,
        labels: ArrayLike,
        shown: ArrayLike,
        *,
        queries: int | ArrayLike = 4,
        n_neighbors: int = 6,
        metric: str = "euclidean",
        random_state: Seed = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> NeighborsGalleryDisplay:
        """Show what queries find among embeddings.

        Parameters
        ----------
        embeddings : array-like of shape (n, n_components)
        labels : array-like of shape (n,)
        shown : array-like of shape (n, ...)
            Images, (n, height, width) or with 1 or 3 channels first or last, or rows of
            a table; a DataFrame brings the names of its columns.
        queries, n_neighbors, metric, random_state, name, ax
            As in ``from_estimator``.

        Returns
        -------
        NeighborsGalleryDisplay
        """
        embeddings, labels = check_labeled(embeddings, labels)
        feature_names = getattr(shown, "columns", None)
        shown = _drawable(shown, len(embeddings))
        queries = _query_rows(queries, len(embeddings), random_state)
        search = ExactSearch(embeddings, metric)
        distances, indices = search.search(embeddings[queries], n_neighbors, exclude=queries)
        display = cls(
            queries, indices, distances, labels, shown, feature_names=feature_names, name=name
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> NeighborsGalleryDisplay:
        """Draw the gallery.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            New ones by default.

        Returns
        -------
        NeighborsGalleryDisplay
        """
        n_queries, n_neighbors = self.indices.shape
        width = _STEP * (n_neighbors + 1) + _BEHIND_QUERY
        named = self.shown.ndim == 2 and self.feature_names is not None
        margin = 1.1 if named else 0.0
        ax = axes_for(ax, figsize=(_SIDE * (width + margin) + 0.3, _SIDE * _ROW * n_queries + 0.9))
        n_texts = len(ax.texts)
        ax.axis("off")
        self.cells_, self.frames_ = [], []
        for i, query in enumerate(self.queries):
            top = _ROW * i
            self._draw_cell(ax, query, 0, top, {"edgecolor": "0.6", "linestyle": "-"}, 1)
            _write(ax, 0.5, top + 1.06, shorten(self.labels[query], _LONGEST))
            if named:
                names = "\n".join(
                    shorten(name, _LONGEST) for name in self.feature_names[:_MOST_FEATURES]
                )
                _write(ax, -0.06, top + 0.5, names, ha="right", va="center")
            for j, row in enumerate(self.indices[i]):
                left = _STEP * (j + 1) + _BEHIND_QUERY
                style = RIGHT if self.right[i, j] else WRONG
                self._draw_cell(ax, row, left, top, style, 2.2)
                text = f"{shorten(self.labels[row], _LONGEST)}\n{self.distances[i, j]:.3g}"
                _write(ax, left + 0.5, top + 1.06, text)
        _write(ax, 0.5, -0.08, "query", va="bottom", fontweight="bold")
        for j in range(n_neighbors):
            _write(ax, _STEP * (j + 1) + _BEHIND_QUERY + 0.5, -0.08, str(j + 1), va="bottom")
        # Last: an image sets the limits to its own extent.
        ax.set(xlim=(-margin - 0.08, width), ylim=(_ROW * n_queries - 0.1, -0.3), aspect="equal")
        _fit_text(ax, ax.texts[n_texts:])
        _legend(ax)
        return finish(self, ax)

    def _draw_cell(self, ax, row, left, top, style, linewidth):
        if self.shown.ndim == 2:
            values = "\n".join(f"{value:.4g}" for value in self.shown[row, :_MOST_FEATURES])
            cell = _write(ax, left + 0.5, top + 0.5, values, va="center")
        else:
            grey = {"cmap": "gray", "vmin": self.shown.min(), "vmax": self.shown.max()}
            cell = ax.imshow(
                self.shown[row],
                extent=(left, left + 1, top + 1, top),
                interpolation="nearest",
                **(grey if self.shown.ndim == 3 else {}),
            )
        rectangle = require("matplotlib.patches", "plots").Rectangle
        frame = rectangle((left, top), 1, 1, fill=False, linewidth=linewidth, zorder=3, **style)
        self.cells_.append(cell)
        self.frames_.append(ax.add_patch(frame))


def _drawable(shown, n):
    """Images of shape (n, height, width) or (n, height, width, 3), or a table of numbers."""
    shown = np.asarray(shown)
    if shown.ndim not in (2, 3, 4) or len(shown) != n or shown.dtype.kind not in "biuf":
        raise ValueError(
            f"shown must hold numbers, {n} table rows or images, got {shown.dtype} of shape "
            f"{shown.shape}"
        )
    if shown.ndim == 4 and shown.shape[1] in (1, 3) and shown.shape[3] not in (1, 3):
        shown = np.moveaxis(shown, 1, 3)
    if shown.ndim == 4 and shown.shape[3] == 1:
        shown = shown[..., 0]
    if shown.ndim == 4 and shown.shape[3] != 3:
        raise ValueError(f"shown: images must have 1 or 3 channels, got shape {shown.shape}")
    if shown.ndim == 4 and shown.dtype != np.uint8:
        low, high = float(shown.min()), float(shown.max())
        shown = (shown - low) / ((high - low) or 1.0)
    return shown


def _query_rows(queries, n, random_state):
    if isinstance(queries, Integral):
        if not 1 <= queries <= n:
            raise ValueError(f"queries={queries} must be from 1 to {n}, the rows there are")
        return check_random_state(random_state).choice(n, queries, replace=False)
    queries = np.asarray(queries)
    if queries.ndim != 1 or not len(queries) or queries.dtype.kind not in "iu":
        raise ValueError(f"queries must be a number or a list of row numbers, got {queries!r}")
    if queries.min() < 0 or queries.max() >= n:
        raise ValueError(f"queries must be rows from 0 to {n - 1}, got {queries.tolist()}")
    return queries


def _write(ax, x, y, text, **options):
    return ax.text(x, y, text, **{"ha": "center", "va": "top", "fontsize": _FONT_SIZE, **options})


def _fit_text(ax, texts):
    """Make the text smaller where axes that were given have no room for cells of full size."""
    ax.figure.draw_without_rendering()
    side = ax.get_window_extent().width / ax.figure.dpi / np.ptp(ax.get_xlim())
    for text in texts:
        text.set_fontsize(_FONT_SIZE * min(1.0, 1.1 * side / _SIDE))


def _legend(ax):
    line = require("matplotlib.lines", "plots").Line2D
    handles = [
        line([], [], color=style["edgecolor"], linestyle=style["linestyle"], linewidth=2.2)
        for style in (RIGHT, WRONG)
    ]
    ax.legend(
        handles,
        ["the query's class", "another class"],
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=2,
        frameon=False,
        fontsize="small",
    )
