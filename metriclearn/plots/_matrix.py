"""The matrix of a linear metric as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from metriclearn.plots._axes import axes_for, color_bar, finish, hide_covered, shorten
from metriclearn.plots._inputs import (
    check_matrix,
    check_names,
    feature_names_of,
    mahalanobis_matrix,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.base import BaseEstimator

MOST_NAMED_FEATURES = 40


class MatrixDisplay:
    """Heat map of a Mahalanobis matrix: red is positive, blue negative, white zero.

    Parameters
    ----------
    matrix : ndarray of shape (n_features, n_features)
        The matrix of the metric.
    feature_names : sequence of str, default=None
        Written beside the rows, while there are no more than 40.
    name : str, default=None
        Title.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    image_ : matplotlib.image.AxesImage

    See Also
    --------
    FeatureImportanceDisplay : The diagonal, as bars.
    MetricEllipseDisplay : The metric in two features.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import Covariance
    >>> from metriclearn.plots import MatrixDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> display = MatrixDisplay.from_estimator(Covariance().fit(X))
    >>> display.feature_names[0]
    'sepal length (cm)'
    """

    def __init__(
        self,
        matrix: np.ndarray,
        *,
        feature_names: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        self.matrix = matrix
        self.feature_names = feature_names
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        *,
        feature_names: Sequence[str] | None = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> MatrixDisplay:
        """Draw the matrix of a fitted linear learner.

        Parameters
        ----------
        estimator : object with ``get_mahalanobis_matrix()``
        feature_names : sequence of str, default=None
            ``feature_names_in_`` of the learner by default, where it has them.
        name : str, default=None
            The class of the estimator by default.
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        MatrixDisplay
        """
        return cls.from_matrix(
            mahalanobis_matrix(estimator),
            feature_names=feature_names_of(estimator, feature_names),
            name=name or type(estimator).__name__,
            ax=ax,
        )

    @classmethod
    def from_matrix(
        cls,
        matrix: ArrayLike,
        *,
        feature_names: Sequence[str] | None = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> MatrixDisplay:
        """Draw a matrix, learned elsewhere, say.

        Parameters
        ----------
        matrix : array-like of shape (n_features, n_features)
            Symmetric.
        feature_names : sequence of str, default=None
        name : str, default=None
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        MatrixDisplay

        Raises
        ------
        ValueError
            If the matrix is not a metric's, or has not as many features as names.
        """
        matrix = check_matrix(matrix)
        check_names(feature_names, len(matrix))
        return cls(matrix, feature_names=feature_names, name=name).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None, colorbar: bool = True) -> MatrixDisplay:
        """Draw the heat map.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            New ones by default.
        colorbar : bool, default=True

        Returns
        -------
        MatrixDisplay
        """
        matrix = self.matrix
        named = self.feature_names is not None and len(matrix) <= MOST_NAMED_FEATURES
        side = max(4.6, 0.16 * len(matrix)) if named else 4.6
        ax = axes_for(ax, figsize=(side + 0.9, side), square=True)
        largest = np.abs(matrix).max() or 1.0
        self.image_ = ax.imshow(
            matrix, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest"
        )
        ax.set_xticks([])
        ax.set_yticks([])
        if named:
            names = [shorten(name) for name in self.feature_names]
            ax.set_yticks(range(len(matrix)), labels=names, fontsize="x-small")
            ax.tick_params(axis="y", length=0)
            ax.figure.draw_without_rendering()
            hide_covered(ax.get_yticklabels())
        if colorbar:
            color_bar(ax, self.image_, "entries of M")
        return finish(self, ax)
