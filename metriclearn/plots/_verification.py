"""The ROC curve of verification, where false accepts are rare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from metriclearn._types import Seed
from metriclearn._unused import warn_ignored
from metriclearn.metrics._bootstrap import bootstrap_over_identities
from metriclearn.metrics._verification import equal_error_rate, verification_curve
from metriclearn.plots._axes import axes_for, curve_style, without_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.base import BaseEstimator

_GRID = 60


class VerificationCurveDisplay:
    """True accept rate over false accept rate (ROC), with the equal error rate.

    False accepts are on a logarithmic scale: verification is used where they are rare.
    Give the ``ax_`` of one to the next to compare learners.

    Parameters
    ----------
    far, tar : ndarray of shape (m,)
        False and true accept rates, rising.
    equal_error : float
        Where false accepts and false rejects are equally frequent.
    n_different : float
        Pairs of different identities; rates below one over it cannot be told from 0.
    interval : tuple of float, default=None
        Of the equal error rate.
    band : tuple of three ndarrays, default=None
        False accept rates, and lowest and highest true accept rate at each.
    name : str, default=None
        Label of the curve.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    line_ : matplotlib.lines.Line2D
    point_ : matplotlib.lines.Line2D
        The equal error rate.
    band_ : matplotlib.collections.PolyCollection or None

    See Also
    --------
    metriclearn.metrics.verification_curve : The numbers.
    DistanceHistogramDisplay : Distances of both kinds of pairs.

    Examples
    --------
    >>> from metriclearn.plots import VerificationCurveDisplay
    >>> display = VerificationCurveDisplay.from_predictions([1, 1, 0, 0], [0.2, 0.6, 0.4, 0.9])
    >>> display.equal_error
    0.5
    """

    def __init__(
        self,
        far: np.ndarray,
        tar: np.ndarray,
        equal_error: float,
        n_different: float,
        *,
        interval: tuple[float, ...] | None = None,
        band: tuple[Any, ...] | None = None,
        name: str | None = None,
    ) -> None:
        self.far = far
        self.tar = tar
        self.equal_error = equal_error
        self.n_different = n_different
        self.interval = interval
        self.band = band
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike,
        *,
        identities: ArrayLike | None = None,
        confidence: float = 0.95,
        n_resamples: int = 200,
        random_state: Seed = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> VerificationCurveDisplay:
        """Draw the curve of a fitted verifier on pairs it has not seen.

        Parameters
        ----------
        estimator : PairClassifier
            Or another with ``paired_distances(pairs)``.
        X : array-like of shape (n, 2, n_features), or of int, shape (n, 2)
            Pairs, as the estimator takes them.
        y : array-like of shape (n,)
            Two values, the larger for pairs that are the same.
        identities, confidence, n_resamples, random_state
            As in ``from_predictions``.
        name : str, default=None
            The class of the estimator's learner by default.
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        VerificationCurveDisplay

        Raises
        ------
        ValueError
            If the estimator is no verifier of pairs, or ``y`` does not hold two values.
        """
        if not hasattr(estimator, "paired_distances"):
            raise ValueError(
                f"estimator must be a fitted verifier of pairs, such as PairClassifier, got "
                f"{type(estimator).__name__}"
            )
        values = np.unique(y)
        if len(values) != 2:
            raise ValueError(f"y must hold two values, got {len(values)}: {values[:5].tolist()}")
        return cls.from_predictions(
            np.asarray(y) == values[1],
            estimator.paired_distances(X),
            identities=identities,
            confidence=confidence,
            n_resamples=n_resamples,
            random_state=random_state,
            name=name or type(getattr(estimator, "learner", estimator)).__name__,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        same: ArrayLike,
        distances: ArrayLike,
        *,
        identities: ArrayLike | None = None,
        confidence: float = 0.95,
        n_resamples: int = 200,
        random_state: Seed = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> VerificationCurveDisplay:
        """Draw the curve of distances of pairs.

        Parameters
        ----------
        same : array-like of shape (n,)
            True (or 1) for pairs of the same identity, False (or 0, or -1) for others.
        distances : array-like of shape (n,)
        identities : array-like of shape (n, 2), default=None
            Identity of the first and of the second of each pair. With them, a band and
            an interval by bootstrap over identities.
        confidence : float, default=0.95
        n_resamples : int, default=200
        random_state : int, RandomState instance or None, default=0
        name : str, default=None
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        VerificationCurveDisplay
        """
        curve = verification_curve(same, distances)
        interval = band = None
        if identities is None:
            given = {"confidence": confidence, "n_resamples": n_resamples}
            warn_ignored(cls.from_predictions, given, "with identities")
        else:
            grid = np.geomspace(1 / curve.n_different, 1, _GRID)

            def rates(same, distances, sample_weight):
                error = equal_error_rate(same, distances, sample_weight=sample_weight)
                drawn = verification_curve(same, distances, sample_weight=sample_weight)
                return np.append(drawn.tar_at(grid), error)

            low, high = bootstrap_over_identities(
                rates,
                same,
                distances,
                identities,
                confidence=confidence,
                n_resamples=n_resamples,
                random_state=random_state,
            )
            band, interval = (grid, low[:-1], high[:-1]), (float(low[-1]), float(high[-1]))
        display = cls(
            curve.far,
            curve.tar,
            equal_error_rate(same, distances),
            curve.n_different,
            interval=interval,
            band=band,
            name=name,
        )
        return display.plot(ax=ax)

    def plot(
        self, *, ax: Axes | None = None, color: Any = None, linestyle: Any = None
    ) -> VerificationCurveDisplay:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            New ones by default.
        color, linestyle : default=None
            As matplotlib takes them; by default unlike those of the curves there are.

        Returns
        -------
        VerificationCurveDisplay
        """
        ax = axes_for(ax, figsize=(5.5, 4))
        least = min(ax.get_xlim()[0] if ax.lines else 1.0, 1 / self.n_different)
        # Each display has two lines: its curve, and the mark of its equal error rate.
        style = curve_style(len(ax.lines) // 2)
        drawn = self.far > 0
        (self.line_,) = ax.step(
            self.far[drawn],
            self.tar[drawn],
            where="post",
            color=style["color"] if color is None else color,
            linestyle=style["linestyle"] if linestyle is None else linestyle,
            label=self._label(),
        )
        color = self.line_.get_color()
        (self.point_,) = ax.plot(
            max(self.equal_error, 1 / self.n_different),
            1 - self.equal_error,
            style["marker"],
            color=color,
        )
        self.band_ = None
        if self.band is not None:
            self.band_ = ax.fill_between(*self.band, color=color, alpha=0.2, linewidth=0)
        ax.set_xscale("log")
        ax.set(xlabel="false accept rate", ylabel="true accept rate", xlim=(least, 1))
        ax.set_ylim(0, 1.02)
        ax.grid(alpha=0.3)
        without_frame(ax)
        ax.legend(frameon=False, fontsize="small", loc="lower right")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _label(self):
        error = f"EER {100 * self.equal_error:.2g}%"
        if self.interval is not None:
            low, high = (100 * end for end in self.interval)
            error += f" ({low:.2g}–{high:.2g})"
        return f"{self.name}: {error}" if self.name else error
