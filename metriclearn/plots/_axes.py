"""What every Display does with its axes."""

from metriclearn._extras import require


def axes_for(ax, figsize=None):
    """Return the axes to draw on: those given, or those of a new figure.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
    figsize : tuple of float, default=None

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is not None:
        return ax
    pyplot = require("matplotlib.pyplot", "plots")
    return pyplot.subplots(figsize=figsize, layout="constrained")[1]


def without_frame(ax):
    """Take away what says nothing: the upper and right-hand sides of the frame."""
    ax.spines[["top", "right"]].set_visible(False)
