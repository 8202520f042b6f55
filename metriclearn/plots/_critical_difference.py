"""Critical-difference diagram: mean ranks of learners over data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from metriclearn.metrics._ranks import (
    critical_difference,
    friedman_test,
    not_told_apart,
    rank_scores,
)
from metriclearn.plots._axes import axes_for, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Heights, in lines of text below the axis.
FIRST_BAR, BAR_STEP, LINE = 0.55, 0.42, 1.0
# Widths, in inches: of the ranks at least, from a line's end to its name, and before the ranks.
RANKS, GAP, ELBOW = 3.2, 0.06, 0.15
FONT_SIZE = 9


class CriticalDifferenceDisplay:
    """Mean ranks on a line; a bar joins learners that cannot be told apart [1]_.

    Make it with ``from_scores``.

    Parameters
    ----------
    names : list of str
        Name of each learner.
    mean_ranks : array-like of shape (n_learners,)
        1 is the best.
    critical_difference : float
        Mean ranks that are closer are not told apart.
    p_value : float, default=None
        P-value of the Friedman test.

    Attributes
    ----------
    groups : list of list of int
        Learners of each bar.
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    texts_ : list of matplotlib.text.Text
        The names.

    See Also
    --------
    metriclearn.compare.compare : Comparisons over several data sets.

    References
    ----------
    .. [1] Demšar, J. "Statistical comparisons of classifiers over multiple data sets", JMLR 7,
       2006. https://jmlr.org/papers/v7/demsar06a.html

    Examples
    --------
    >>> from metriclearn.plots import CriticalDifferenceDisplay
    >>> scores = [[0.9, 0.8, 0.7], [0.8, 0.7, 0.75], [0.95, 0.9, 0.6], [0.7, 0.6, 0.5]]
    >>> display = CriticalDifferenceDisplay.from_scores(scores, ["LMNN", "NCA", "Euclid"])
    >>> display.mean_ranks.tolist(), round(display.critical_difference, 2)
    ([1.0, 2.25, 2.75], 1.66)
    >>> display.groups
    [[0, 1], [1, 2]]
    """

    def __init__(
        self,
        names: list[str],
        mean_ranks: ArrayLike,
        critical_difference: float,
        *,
        p_value: float | None = None,
    ) -> None:
        self.names = names
        self.mean_ranks = mean_ranks
        self.critical_difference = critical_difference
        self.p_value = p_value
        self.groups = not_told_apart(mean_ranks, critical_difference)

    @classmethod
    def from_scores(
        cls, scores: ArrayLike, names: list[str], *, alpha: float = 0.05, ax: Axes | None = None
    ) -> CriticalDifferenceDisplay:
        """Rank learners on each data set and draw the mean ranks.

        Parameters
        ----------
        scores : array-like of shape (n_datasets, n_learners)
            Higher is better; NaN, where a learner failed, is last.
        names : list of str
        alpha : float, default=0.05
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        CriticalDifferenceDisplay

        Raises
        ------
        ValueError
            If there are not as many names as columns, or fewer than two.
        """
        ranks = rank_scores(scores)
        n_datasets, n_learners = ranks.shape
        if len(names) != n_learners:
            raise ValueError(f"names has {len(names)} names for {n_learners} columns of scores")
        p_value = None
        if n_learners >= 3 and n_datasets >= 2:
            p_value = float(friedman_test(scores)["p_value"])
        difference = critical_difference(n_learners, n_datasets, alpha)
        return cls(list(names), ranks.mean(axis=0), difference, p_value=p_value).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> CriticalDifferenceDisplay:
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            New ones by default, as high as the names need.

        Returns
        -------
        CriticalDifferenceDisplay
        """
        ranks = np.asarray(self.mean_ranks, dtype=np.float64)
        n = len(ranks)
        order = np.argsort(ranks, kind="stable")
        n_left = (n + 1) // 2
        first_name = FIRST_BAR + BAR_STEP * len(self.groups) + 0.6
        depth = first_name + LINE * n_left
        own_figure = ax is None
        ax = axes_for(ax, figsize=(7.2, 0.9 + 0.24 * depth))
        ax.set(ylim=(depth, -2.6))
        ax.set_axis_off()
        self.texts_ = [
            self._write_name(ax, learner, left=place < n_left)
            for place, learner in enumerate(order)
        ]
        inch = self._make_room(ax, n_left, own_figure)

        ax.plot([1, n], [0, 0], color="0.25", lw=1)
        every = int(np.ceil(0.22 * inch))
        for rank in range(1, n + 1):
            ax.plot([rank, rank], [0, -0.25], color="0.25", lw=1)
            if (rank - 1) % every == 0:
                ax.text(rank, -0.4, str(rank), ha="center", va="bottom", fontsize=FONT_SIZE)
        width = min(self.critical_difference, n - 1)
        ax.plot([1, 1, 1, 1 + width, 1 + width, 1 + width],
                [-1.55, -1.85, -1.7, -1.7, -1.55, -1.85], color="0.25", lw=1)  # fmt: skip
        told = f"critical difference {self.critical_difference:.2f}"
        if self.p_value is not None:
            told += f"; Friedman test p {_p_text(self.p_value)}"
        ax.text(1, -1.95, told, ha="left", va="bottom", fontsize=FONT_SIZE)

        for i, group in enumerate(self.groups):
            height = FIRST_BAR + BAR_STEP * i
            ends = ranks[group[0]] - 0.04 * inch, ranks[group[-1]] + 0.04 * inch
            ax.plot(ends, [height, height], color="C1", lw=3.5, solid_capstyle="round")
        for place, (learner, text) in enumerate(zip(order, self.texts_, strict=True)):
            left = place < n_left
            height = first_name + LINE * (place if left else n - 1 - place)
            end, outwards = (1, -inch) if left else (n, inch)
            end += ELBOW * outwards
            ax.plot(
                [ranks[learner], ranks[learner], end], [0, height, height], color="0.55", lw=0.9
            )
            text.set_position((end + GAP * outwards, height))
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _write_name(self, ax, learner, left):
        name, rank = shorten(self.names[learner], 40), f"{self.mean_ranks[learner]:.2f}"
        return ax.text(
            1,
            0,
            f"{name}  {rank}" if left else f"{rank}  {name}",
            ha="right" if left else "left",
            va="center",
            fontsize=FONT_SIZE,
            in_layout=False,  # _make_room makes it
        )

    def _make_room(self, ax, n_left, own_figure):
        """Give the names the width that they need and the ranks the rest.

        Returns
        -------
        float
            Ranks to an inch.
        """
        figure = ax.figure
        figure.draw_without_rendering()
        widths = [text.get_window_extent().width / figure.dpi for text in self.texts_]
        left, right = (max(side) + GAP + 2 * ELBOW for side in (widths[:n_left], widths[n_left:]))
        if own_figure:
            figure.set_figwidth(max(figure.get_figwidth(), left + right + RANKS))
            figure.draw_without_rendering()
        n = len(widths)
        between = max(ax.get_window_extent().width / figure.dpi - left - right, RANKS / 4)
        inch = (n - 1) / between
        ax.set_xlim(1 - left * inch, n + right * inch)
        return inch


def _p_text(p_value):
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.2g}"
