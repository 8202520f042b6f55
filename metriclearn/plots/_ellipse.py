"""The ellipse of a metric in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from metriclearn.plots._axes import (
    axes_for,
    class_color,
    class_marker,
    finish,
    legend_beside,
    shorten,
)
from metriclearn.plots._inputs import (
    check_labeled,
    check_matrix,
    check_names,
    feature_names_of,
    mahalanobis_matrix,
    warn_of_other_units,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.base import BaseEstimator

_ANGLES = np.linspace(0, 2 * np.pi, 181)
# Times the spread of the data: an axis that the metric does not see ends there.
_LONGEST_AXIS = 10
_MOST_NAMED_CLASSES, _MOST_NAMED_INSIDE = 20, 5


class MetricEllipseDisplay:
    """Ellipses of equal learned distance around class means, for two features.

    ::

        {x : (x - c)ᵀ M (x - c) = r²}

    Long where the metric sees little, short where it sees much.

    Parameters
    ----------
    matrix : ndarray of shape (2, 2)
        The matrix of the metric.
    points : ndarray of shape (n, 2)
        Drawn behind.
    labels : ndarray of shape (n,)
        Class of each point.
    radius : float, default=None
        Learned distance from the mean; by default the median of the points from the
        means of their classes.
    feature_names : sequence of str of length 2, default=None
        Names of the axes.
    name : str, default=None
        Title.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    ellipses_ : list of matplotlib.lines.Line2D
        One for each class.
    points_ : list of matplotlib.collections.PathCollection
        One for each class.

    See Also
    --------
    FeatureImportanceDisplay : What each feature counts.
    MatrixDisplay : All entries of the matrix.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import Covariance
    >>> from metriclearn.plots import MetricEllipseDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> display = MetricEllipseDisplay.from_estimator(Covariance().fit(X[:, :2]), X[:, :2], y)
    >>> len(display.ellipses_)
    3
    """

    def __init__(
        self,
        matrix: np.ndarray,
        points: np.ndarray,
        labels: np.ndarray,
        *,
        radius: float | None = None,
        feature_names: Sequence[Any] | None = None,
        name: str | None = None,
    ) -> None:
        self.matrix = matrix
        self.points = points
        self.labels = labels
        self.radius = radius
        self.feature_names = feature_names
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        radius: float | None = None,
        feature_names: Sequence[str] | None = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> MetricEllipseDisplay:
        """Draw the ellipses of a linear learner that was fitted on two features.

        Parameters
        ----------
        estimator : object with ``get_mahalanobis_matrix()``
        X : array-like of shape (n, 2)
        y : array-like of shape (n,), default=None
            None draws one ellipse, around the mean.
        radius : float, default=None
        feature_names : sequence of str, default=None
            ``feature_names_in_`` of the learner by default, where it has them.
        name : str, default=None
            The class of the estimator by default.
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        MetricEllipseDisplay
        """
        matrix = mahalanobis_matrix(estimator)
        warn_of_other_units(estimator, X)
        return cls.from_matrix(
            matrix,
            X,
            y,
            radius=radius,
            feature_names=feature_names_of(estimator, feature_names),
            name=name or type(estimator).__name__,
            ax=ax,
        )

    @classmethod
    def from_matrix(
        cls,
        matrix: ArrayLike,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        radius: float | None = None,
        feature_names: ArrayLike | None = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> MetricEllipseDisplay:
        """Draw the ellipses of a matrix, learned elsewhere, say.

        Parameters
        ----------
        matrix : array-like of shape (2, 2)
            Symmetric.
        X, y, radius, feature_names, name, ax
            As in ``from_estimator``.

        Returns
        -------
        MetricEllipseDisplay

        Raises
        ------
        ValueError
            If the matrix is not a metric's, or not of two features.
        """
        matrix = check_matrix(matrix)
        if len(matrix) != 2:
            raise ValueError(
                f"an ellipse needs a metric of two features, this one has {len(matrix)}; fit it on "
                f"two, or draw it as MatrixDisplay"
            )
        check_names(feature_names, 2)
        points, labels = check_labeled(X, np.zeros(len(X), int) if y is None else y)
        return cls(
            matrix, points, labels, radius=radius, feature_names=feature_names, name=name
        ).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> MetricEllipseDisplay:
        """Draw the points and the ellipses.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            New ones by default.

        Returns
        -------
        MetricEllipseDisplay
        """
        own_figure = ax is None
        ax = axes_for(ax, figsize=(5, 4.6), square=True)
        classes = np.unique(self.labels)
        groups = [self.points[self.labels == label] for label in classes]
        outline = self._outline(groups)
        self.ellipses_, self.points_ = [], []
        for position, own in enumerate(groups):
            color = class_color(position, len(classes))
            marker = class_marker(position)
            self.points_.append(
                ax.scatter(*own.T, s=12, color=[color], marker=marker, alpha=0.6, linewidths=0)
            )
            center = own.mean(axis=0)[:, None]
            # A dark rim behind keeps the line apart from points of its own color.
            ax.plot(*(center + outline), color="0.15", linewidth=3)
            (line,) = ax.plot(*(center + outline), color=color, linewidth=1.8)
            self.ellipses_.append(line)
        middle, spread = self.points.mean(axis=0), np.ptp(self.points, axis=0)
        margin = 0.75 * max(spread.max(), 1e-12)
        ax.set_aspect("equal")
        ax.set(
            xlim=(middle[0] - margin, middle[0] + margin),
            ylim=(middle[1] - margin, middle[1] + margin),
        )
        if self.feature_names is not None:
            ax.set(xlabel=self.feature_names[0], ylabel=self.feature_names[1])
        if 1 < len(classes) <= _MOST_NAMED_CLASSES:
            # A long list would stand on the points: beside them.
            names = [shorten(label) for label in classes]
            if len(classes) <= _MOST_NAMED_INSIDE:
                ax.legend(self.points_, names, frameon=False, fontsize="small")
            else:
                legend_beside(ax, self.points_, names, own_figure)
        return finish(self, ax)

    def _outline(self, groups):
        """Return the ellipse around the origin, shape (2, n_angles)."""
        values, vectors = np.linalg.eigh(self.matrix)
        centered = np.concatenate([own - own.mean(axis=0) for own in groups])
        radius = self.radius
        if radius is None:
            squares = np.einsum("ij,jk,ik->i", centered, self.matrix, centered)
            radius = float(np.sqrt(max(np.median(squares), 0))) or 1.0
        longest = _LONGEST_AXIS * (np.abs(centered).max() or 1.0)
        axes = radius / np.sqrt(np.maximum(values, (radius / longest) ** 2))
        return (vectors * axes) @ np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])
