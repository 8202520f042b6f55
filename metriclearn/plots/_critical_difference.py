"""Critical-difference diagram: mean ranks of learners over data sets."""

import numpy as np

from metriclearn.metrics._ranks import (
    critical_difference,
    friedman_test,
    not_told_apart,
    rank_scores,
)
from metriclearn.plots._axes import axes_for

# Heights, in lines of text below the axis.
FIRST_BAR, BAR_STEP, LINE = 0.55, 0.42, 1.0


class CriticalDifferenceDisplay:
    """Mean ranks on a line; a bar joins learners that cannot be told apart (Demšar, 2006).

    Make it with ``from_scores``.

    Parameters
    ----------
    names : list of str
    mean_ranks : array-like of shape (n_learners,)
        1 is the best.
    critical_difference : float
        Mean ranks that are closer are not told apart.
    p_value : float, default=None
        Of the Friedman test.

    Attributes
    ----------
    groups : list of list of int
        Learners of each bar.
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    texts_ : list of matplotlib.text.Text
        The names.

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

    def __init__(self, names, mean_ranks, critical_difference, *, p_value=None):
        self.names = names
        self.mean_ranks = mean_ranks
        self.critical_difference = critical_difference
        self.p_value = p_value
        self.groups = not_told_apart(mean_ranks, critical_difference)

    @classmethod
    def from_scores(cls, scores, names, *, alpha=0.05, ax=None):
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

    def plot(self, *, ax=None):
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
        ax = axes_for(ax, figsize=(7.2, 0.9 + 0.24 * depth))
        # The names have a share of the width beside the ranks, whatever the ranks are.
        room = 0.62 * (n - 1)
        ax.set(xlim=(1 - room, n + room), ylim=(depth, -2.6))
        ax.set_axis_off()

        ax.plot([1, n], [0, 0], color="0.25", lw=1)
        for rank in range(1, n + 1):
            ax.plot([rank, rank], [0, -0.25], color="0.25", lw=1)
            ax.text(rank, -0.4, str(rank), ha="center", va="bottom", fontsize=9)
        width = min(self.critical_difference, n - 1)
        ax.plot([1, 1, 1, 1 + width, 1 + width, 1 + width],
                [-1.55, -1.85, -1.7, -1.7, -1.55, -1.85], color="0.25", lw=1)  # fmt: skip
        told = f"critical difference {self.critical_difference:.2f}"
        if self.p_value is not None:
            told += f"; Friedman test p {_p_text(self.p_value)}"
        ax.text(1, -1.95, told, ha="left", va="bottom", fontsize=9)

        for i, group in enumerate(self.groups):
            height = FIRST_BAR + BAR_STEP * i
            ends = ranks[group[0]] - 0.01 * n, ranks[group[-1]] + 0.01 * n
            ax.plot(ends, [height, height], color="C1", lw=3.5, solid_capstyle="round")
        self.texts_ = []
        for place, learner in enumerate(order):
            left = place < n_left
            height = first_name + LINE * (place if left else n - 1 - place)
            end = 1 - 0.04 * n if left else n + 0.04 * n
            ax.plot(
                [ranks[learner], ranks[learner], end], [0, height, height], color="0.55", lw=0.9
            )
            name, rank = self.names[learner], f"{ranks[learner]:.2f}"
            text = f"{name}  {rank}" if left else f"{rank}  {name}"
            self.texts_.append(
                ax.text(
                    end - 0.02 * n if left else end + 0.02 * n,
                    height,
                    text,
                    ha="right" if left else "left",
                    va="center",
                    fontsize=9,
                )
            )
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _p_text(p_value):
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.2g}"
