"""How much each feature counts in a linear metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array

from metriclearn._validation import check_numeric
from metriclearn.plots._axes import axes_for, class_color, finish, shorten, without_frame
from metriclearn.plots._inputs import (
    check_matrix,
    check_names,
    feature_names_of,
    mahalanobis_matrix,
    warn_of_other_units,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.base import BaseEstimator


class FeatureImportanceDisplay:
    """Bar chart of the learned distance that a step in one feature makes.

    ::

        importance of feature j = s_j √M_jj

    where ``s_j`` is the feature's standard deviation if rows are given, else 1: a feature in
    small units has a large ``M_jj`` without counting for more.

    Parameters
    ----------
    importances : ndarray of shape (n_features,)
        Length of each bar.
    feature_names : sequence of str
        Label of each bar.
    per_deviation : bool
        Whether a step is a standard deviation, or one unit.
    max_features : int, default=20
        Only the most important features are drawn.
    name : str, default=None
        Title.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    bars_ : matplotlib.container.BarContainer
        From the most important down.

    See Also
    --------
    MatrixDisplay : All entries of the matrix.
    MetricEllipseDisplay : The metric in two features.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import Covariance
    >>> from metriclearn.plots import FeatureImportanceDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> display = FeatureImportanceDisplay.from_estimator(Covariance().fit(X), X)
    >>> display.ax_.get_yticklabels()[0].get_text()
    'petal length (cm)'
    """

    def __init__(
        self,
        importances: np.ndarray,
        feature_names: Sequence[str],
        *,
        per_deviation: bool,
        max_features: int = 20,
        name: str | None = None,
    ) -> None:
        self.importances = importances
        self.feature_names = feature_names
        self.per_deviation = per_deviation
        self.max_features = max_features
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike | None = None,
        *,
        feature_names: Sequence[str] | None = None,
        max_features: int = 20,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> FeatureImportanceDisplay:
        """Draw the importances of a fitted linear learner.

        Parameters
        ----------
        estimator : object with ``get_mahalanobis_matrix()``, or Pipeline that ends in one
            Fitted. Of a pipeline, the features are those that its last step was given.
        X : array-like of shape (n, n_features), default=None
            Rows whose standard deviations are the steps; one unit of each feature by
            default. They must be rows as the estimator was fitted with: where a scaler
            came before the learner, give the pipeline and the rows that it was fitted with.
        feature_names : sequence of str, default=None
            ``feature_names_in_`` of the learner by default, else x0, x1, ...
        max_features : int, default=20
            Only the most important features are drawn.
        name : str, default=None
            The class of the learner by default.
        ax : matplotlib.axes.Axes, default=None
            New ones by default.

        Returns
        -------
        FeatureImportanceDisplay

        Raises
        ------
        ValueError
            If the learner is not linear, or ``X`` has names of features and the learner was
            fitted with rows that had none.
        """
        if isinstance(estimator, Pipeline):
            estimator, X, feature_names = _last_step(estimator, X, feature_names)
        elif hasattr(X, "columns") and not hasattr(estimator, "feature_names_in_"):
            raise ValueError(
                f"X has names of features and the {type(estimator).__name__} was fitted with rows "
                f"without any, after a scaler for example: give the whole pipeline, or X as it "
                f"was fitted with"
            )
        matrix = mahalanobis_matrix(estimator)
        if X is not None:
            warn_of_other_units(estimator, X)
        return cls.from_matrix(
            matrix,
            X,
            feature_names=feature_names_of(estimator, feature_names),
            max_features=max_features,
            name=name or type(estimator).__name__,
            ax=ax,
        )

    @classmethod
    def from_matrix(
        cls,
        matrix: ArrayLike,
        X: ArrayLike | None = None,
        *,
        feature_names: ArrayLike | None = None,
        max_features: int = 20,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> FeatureImportanceDisplay:
        """Draw the importances of a matrix.

        Parameters
        ----------
        matrix : array-like of shape (n_features, n_features)
            Symmetric.
        X, feature_names, max_features, name, ax
            As in ``from_estimator``.

        Returns
        -------
        FeatureImportanceDisplay

        Raises
        ------
        ValueError
            If the matrix is not that of a metric, or ``X`` or the names do not fit it.
        """
        matrix = check_matrix(matrix)
        if max_features < 1:
            raise ValueError(f"max_features must be at least 1, got {max_features}")
        check_names(feature_names, len(matrix))
        if feature_names is None:
            feature_names = [f"x{j}" for j in range(len(matrix))]
        importances = np.sqrt(np.maximum(np.diag(matrix), 0))
        if X is not None:
            check_numeric(X)
            X = check_array(X, dtype=np.float64, input_name="X")
            if X.shape[1] != len(matrix):
                raise ValueError(f"X has {X.shape[1]} features, the metric has {len(matrix)}")
            importances = importances * X.std(axis=0)
        return cls(
            importances,
            feature_names,
            per_deviation=X is not None,
            max_features=max_features,
            name=name,
        ).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> FeatureImportanceDisplay:
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            New ones by default.

        Returns
        -------
        FeatureImportanceDisplay
        """
        order = np.argsort(-self.importances, kind="stable")[: self.max_features]
        ax = axes_for(ax, figsize=(5.5, 1.1 + 0.24 * len(order)))
        heights = np.arange(len(order))
        self.bars_ = ax.barh(heights, self.importances[order], color=class_color(0, 1))
        names = [shorten(self.feature_names[j], 32) for j in order]
        ax.set_yticks(heights, labels=names, fontsize="small")
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(order) - 0.4, -0.6)
        step = "standard deviation" if self.per_deviation else "unit"
        ax.set_xlabel(f"learned distance of one {step}")
        if len(order) < len(self.importances):
            ax.set_ylabel(f"{len(order)} of {len(self.importances)} features", fontsize="small")
        ax.grid(axis="x", alpha=0.3)
        ax.set_axisbelow(True)
        without_frame(ax)
        return finish(self, ax)


def _last_step(pipeline, X, feature_names):
    """Return the last step of a pipeline, and rows and names of features as it sees them."""
    before, learner = pipeline[:-1], pipeline[-1]
    if len(before) == 0:
        return learner, X, feature_names
    if feature_names is None:
        given = getattr(pipeline, "feature_names_in_", None)
        try:
            feature_names = before.get_feature_names_out(given)
        except (AttributeError, ValueError):  # a step that names no features
            feature_names = None
    return learner, None if X is None else before.transform(X), feature_names
