"""Axes, legends, names and colors as every Display has them."""

from metriclearn._extras import require


def axes_for(ax, figsize=None, square=False):
    """Return the axes to draw on: those given, or those of a new figure.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
    figsize : tuple of float, default=None
    square : bool, default=False
        Whether a unit will be as high as wide, as in an image: the layout must know.

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is not None:
        return ax
    pyplot = require("matplotlib.pyplot", "plots")
    layout = "compressed" if square else "constrained"
    return pyplot.subplots(figsize=figsize, layout=layout)[1]


def color_bar(ax, image, label):
    """Draw the scale of an image's colors beside it, as high as the image.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    image : matplotlib.image.AxesImage
    label : str

    Returns
    -------
    matplotlib.colorbar.Colorbar
    """
    return ax.figure.colorbar(image, cax=ax.inset_axes([1.04, 0, 0.05, 1]), label=label)


def curve_style(position):
    """How to draw a curve apart from those before it: in color, in stroke and in mark."""
    return {
        "color": class_color(position % 10, 10),
        "linestyle": ("-", "--", "-.", ":")[position % 4],
        "marker": class_marker(position),
    }


def legend_beside(ax, handles, names, own_figure):
    """List classes to the right of the axes; a figure of one's own is widened for it."""
    legend = ax.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize="small",
        labelspacing=0.35,
    )
    if own_figure:
        ax.figure.draw_without_rendering()
        width = legend.get_window_extent().width / ax.figure.dpi
        ax.figure.set_figwidth(ax.figure.get_figwidth() + width)
    return legend


def hide_covered(texts):
    """Hide texts that would cover one before them; return whether all can be seen.

    Parameters
    ----------
    texts : sequence of matplotlib.text.Text
        Of a figure that was laid out, by ``draw_without_rendering``.

    Returns
    -------
    bool
    """
    taken = []
    for text in texts:
        extent = (text.get_bbox_patch() or text).get_window_extent()
        covered = any(extent.overlaps(other) for other in taken)
        text.set_visible(not covered)
        if not covered:
            taken.append(extent)
    return len(taken) == len(texts)


def shorten(text, longest=24):
    """Leave out the middle of a long name: names of kin differ at either end.

    Examples
    --------
    >>> from metriclearn.plots._axes import shorten
    >>> shorten("Chevrolet Silverado 1500 Extended Cab 2012", 16)
    'Chevrole…ab 2012'
    """
    text = str(text)
    if len(text) <= longest:
        return text
    return text[: longest // 2] + "…" + text[len(text) - (longest - longest // 2 - 1) :]


def finish(display, ax):
    """Write the name of a display above the axes, and keep them on the display."""
    if display.name:
        ax.set_title(display.name)
    display.ax_, display.figure_ = ax, ax.figure
    return display


def without_frame(ax):
    """Take away what says nothing: the upper and right-hand sides of the frame."""
    ax.spines[["top", "right"]].set_visible(False)


# Shapes tell classes apart where colors do not, to color-blind eyes among others.
_MARKERS = "osD^vP*X"


def class_color(position, n_classes):
    """Return an RGB color for a class, far from those of its neighbors in order.

    Parameters
    ----------
    position : int
    n_classes : int

    Returns
    -------
    tuple of float
        Red, green and blue from 0 to 1.

    Examples
    --------
    >>> from metriclearn.plots._axes import class_color
    >>> class_color(0, 3)
    (0.231, 0.49, 0.847)
    """
    if n_classes <= len(_PALETTE):
        code = _PALETTE[position]
        return tuple(round(int(code[i : i + 2], 16) / 255, 3) for i in (0, 2, 4))
    hue, lightness = 137.5 * position % 360, 0.42 + 0.12 * (position % 3)
    return tuple(_from_hsl(hue, 0.6, lightness, offset) for offset in (0, 8, 4))


def class_marker(position):
    """Return a shape for the rows of a class: neighbors in order have different ones.

    Examples
    --------
    >>> from metriclearn.plots._axes import class_marker
    >>> class_marker(0), class_marker(1), class_marker(8)
    ('o', 's', 'o')
    """
    return _MARKERS[position % len(_MARKERS)]


# Of middling lightness: readable on white and on black.
_PALETTE = (
    "3b7dd8",
    "e8743b",
    "19a979",
    "d6477f",
    "8d62d0",
    "b39a12",
    "13a4b4",
    "9a6248",
    "808891",
    "c93a3a",
)


def _from_hsl(hue, saturation, lightness, offset):
    k = (offset + hue / 30) % 12
    chroma = saturation * min(lightness, 1 - lightness)
    return round(lightness - chroma * max(-1, min(k - 3, 9 - k, 1)), 3)
