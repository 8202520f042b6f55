"""What a loss looks at: the weight of a pair against its similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from metriclearn.plots._axes import axes_for, class_color, finish, without_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class PairWeightsDisplay:
    """Weights that a loss gives to pairs, by their similarity.

    Each pair of a batch is a point. Below zero the loss draws a pair together, above it pushes it
    apart; pairs at zero do not count. Where the points of one kind lie on a curve the loss looks at
    the similarity of the pair itself, and where they do not, at others as well.

    Parameters
    ----------
    similarities, weights : ndarray of shape (n_pairs,)
        Of each pair.
    same : ndarray of bool, shape (n_pairs,)
        Whether a pair is of one class.
    name : str, default=None
        Title.

    Attributes
    ----------
    points_ : list of matplotlib.collections.PathCollection
        Of pairs of one class, and of different classes.
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    See Also
    --------
    metriclearn.deep.losses.pair_weights : Computes both for any loss on pairs or triplets.
    DistanceHistogramDisplay : Distances of pairs, without a loss.

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.plots import PairWeightsDisplay
    >>> S = np.array([[1, 0.9, 0.2], [0.9, 1, 0.4], [0.2, 0.4, 1]])
    >>> weights = np.array([[0, -1, 0.1], [-1, 0, 0.3], [0.1, 0.3, 0]])
    >>> display = PairWeightsDisplay.from_predictions(S, weights, [0, 0, 1])
    >>> display.active_share
    1.0
    """

    def __init__(
        self,
        similarities: np.ndarray,
        weights: np.ndarray,
        same: np.ndarray,
        *,
        name: str | None = None,
    ) -> None:
        self.similarities = similarities
        self.weights = weights
        self.same = same
        self.name = name

    @property
    def active_share(self) -> float:
        """Share of the pairs whose weight is not zero."""
        return float(np.mean(self.weights != 0))

    @classmethod
    def from_predictions(
        cls,
        similarities: ArrayLike,
        weights: ArrayLike,
        labels: ArrayLike,
        *,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> PairWeightsDisplay:
        """Draw the weights of all pairs of a batch.

        Parameters
        ----------
        similarities, weights : array-like of shape (b, b)
            As `metriclearn.deep.losses.pair_weights` returns them.
        labels : array-like of shape (b,)
        name : str, default=None
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        PairWeightsDisplay

        Raises
        ------
        ValueError
            For other shapes, values that are not finite, or fewer than two rows.
        """
        S, W, labels = np.asarray(similarities), np.asarray(weights), np.asarray(labels)
        n = len(labels)
        if labels.ndim != 1 or S.shape != (n, n) or W.shape != (n, n):
            raise ValueError(
                f"similarities and weights must be of shape (b, b) for labels of shape (b,), got "
                f"{S.shape}, {W.shape} and {labels.shape}"
            )
        if not (np.isfinite(S).all() and np.isfinite(W).all()):
            raise ValueError("similarities and weights must be finite")
        i, j = np.triu_indices(n, 1)
        if not len(i):
            raise ValueError("labels has fewer than two rows, so there are no pairs")
        return cls(S[i, j], W[i, j], labels[i] == labels[j], name=name).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> PairWeightsDisplay:
        """Draw the weights.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            New ones by default.

        Returns
        -------
        PairWeightsDisplay
        """
        ax = axes_for(ax, figsize=(5.5, 3.6))
        ax.axhline(0, color="0.8", linewidth=0.8)
        self.points_ = [
            ax.scatter(
                self.similarities[kind],
                self.weights[kind],
                s=8,
                alpha=0.6,
                color=class_color(position, 2),
                label=label,
            )
            for position, (label, kind) in enumerate(
                (("same class", self.same), ("different classes", ~self.same))
            )
        ]
        ax.set(xlabel="similarity", ylabel="weight of the pair")
        without_frame(ax)
        ax.legend(frameon=False, fontsize="small")
        return finish(self, ax)
