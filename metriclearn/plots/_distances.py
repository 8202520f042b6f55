"""Distances of same and of different pairs."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from metriclearn._types import Seed
from metriclearn._validation import as_count
from metriclearn.plots._axes import axes_for, class_color, finish, without_frame
from metriclearn.plots._inputs import check_labeled, embed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.base import BaseEstimator


class DistanceHistogramDisplay:
    """Histogram of the distances between rows of one class and of different classes.

    The less the two overlap, the better a threshold on the distance tells
    same from different.

    Parameters
    ----------
    same, different : ndarray of shape (n_pairs,)
        Distances.
    threshold : float, default=None
        Drawn as a line.
    name : str, default=None
        Title.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    See Also
    --------
    VerificationCurveDisplay : Accept rates at every threshold.
    SimilarityMatrixDisplay : Mean distances between classes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn.plots import DistanceHistogramDisplay
    >>> display = DistanceHistogramDisplay.from_predictions(*load_iris(return_X_y=True))
    >>> bool(display.same.mean() < display.different.mean())
    True
    """

    def __init__(
        self,
        same: np.ndarray,
        different: np.ndarray,
        *,
        threshold: float | None = None,
        name: str | None = None,
    ) -> None:
        self.same = same
        self.different = different
        self.threshold = threshold
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike,
        *,
        threshold: float | None = None,
        n_pairs: int = 20_000,
        random_state: Seed = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> DistanceHistogramDisplay:
        """Embed rows with a fitted learner and draw the distances between them.

        Parameters
        ----------
        estimator : fitted transformer
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,)
        threshold : float, default=None
        n_pairs : int, default=20_000
            Pairs of each kind, drawn at random.
        random_state : int, RandomState instance or None, default=0
        name : str, default=None
            The class of the estimator by default.
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        DistanceHistogramDisplay
        """
        return cls.from_predictions(
            embed(estimator, X),
            y,
            threshold=threshold,
            n_pairs=n_pairs,
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
        threshold: float | None = None,
        n_pairs: int = 20_000,
        random_state: Seed = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> DistanceHistogramDisplay:
        """Draw the distances between embeddings.

        Parameters
        ----------
        embeddings : array-like of shape (n, n_components)
        labels : array-like of shape (n,)
        threshold : float, default=None
        n_pairs : int, default=20_000
        random_state : int, RandomState instance or None, default=0
        name : str, default=None
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        DistanceHistogramDisplay

        Raises
        ------
        ValueError
            For labels of another length, ``n_pairs`` below 1, or a ``threshold`` that is no number.
        """
        Z, labels = check_labeled(embeddings, labels)
        as_count(n_pairs, "n_pairs")
        if threshold is not None and not isinstance(threshold, Real):
            raise ValueError(f"threshold must be a number or None, got {threshold!r}")
        _, codes = np.unique(labels, return_inverse=True)
        rng = check_random_state(random_state)
        same, different = _same_pairs(codes, n_pairs, rng), _different_pairs(codes, n_pairs, rng)
        distances = [np.linalg.norm(Z[i] - Z[j], axis=1) for i, j in (same, different)]
        return cls(*distances, threshold=threshold, name=name).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> DistanceHistogramDisplay:
        """Draw the histogram.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            New ones by default.

        Returns
        -------
        DistanceHistogramDisplay
        """
        ax = axes_for(ax, figsize=(5.5, 3.6))
        largest = max(self.same.max(initial=0), self.different.max(initial=0)) or 1.0
        bins = np.linspace(0, largest, 61)
        for position, (name, distances) in enumerate(
            (("same class", self.same), ("different classes", self.different))
        ):
            color = class_color(position, 2)
            ax.hist(distances, bins, density=True, alpha=0.55, color=color, label=name)
        if self.threshold is not None:
            ax.axvline(self.threshold, color="0.4", linestyle="--", label="threshold")
        ax.set(xlabel="learned distance", ylabel="density")
        without_frame(ax)
        ax.legend(frameon=False, fontsize="small")
        return finish(self, ax)


def _same_pairs(codes, n_pairs, rng):
    """Pairs of two different rows of one class."""
    counts = np.bincount(codes)
    if counts.max() < 2:
        raise ValueError("labels: no class has two rows, so there are no pairs of one class")
    rows = np.flatnonzero(counts[codes] > 1)
    first = rng.choice(rows, n_pairs)
    order = np.argsort(codes, kind="stable")
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(codes), dtype=np.intp)
    rank[order] = np.arange(len(codes)) - starts[codes[order]]
    size = counts[codes[first]]
    step = 1 + (rng.random_sample(n_pairs) * (size - 1)).astype(np.intp)
    return first, order[starts[codes[first]] + (rank[first] + step) % size]


def _different_pairs(codes, n_pairs, rng):
    """Pairs of rows of two different classes."""
    if codes.max() == 0:
        raise ValueError("labels has one class only, so there are no pairs of different classes")
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    ends = np.cumsum(counts)
    first = rng.randint(len(codes), size=n_pairs)
    others = len(codes) - counts[codes[first]]
    # The other classes follow the row's own in sorted order, round the end.
    step = (rng.random_sample(n_pairs) * others).astype(np.intp)
    return first, order[(ends[codes[first]] + step) % len(codes)]
