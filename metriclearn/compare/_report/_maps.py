"""Flat maps of held-out embeddings."""

import math
from html import escape

import numpy as np

from metriclearn.compare._report._labels import spread_names
from metriclearn.compare._report._svg import svg, text_at

N_CLASS_COLORS = 10
# Names that many, or that long, would hide the map; beyond that many a key helps no one.
MOST_NAMES = 20
LONGEST_NAME = 16


def map_chart(drawn, class_names):
    """Draw a flat map of held-out embeddings: one color a class, its name in its middle.

    Parameters
    ----------
    drawn : Map
    class_names : tuple of str

    Returns
    -------
    str
    """
    points = 18 + 174 * np.asarray(drawn.points, dtype=float)
    points += (210 - points.min(axis=0) - points.max(axis=0)) / 2 - (5, 0)
    labels = np.asarray(drawn.labels)
    present = np.unique(labels)
    size = min(8.0, max(4.4, 76 / math.sqrt(len(points))))
    parts, names = [], []
    for label in present:
        own = points[labels == label]
        dots = "".join(f"M{px:.1f} {py:.1f}h0" for px, py in own)
        color, name = _class_color(label, len(class_names)), escape(class_names[label])
        parts.append(
            f'<path class="dots" style="stroke:{color};stroke-width:{size:.1f}" d="{dots}">'
            f"<title>{name}</title></path>"
        )
        middle = own[np.argmin(np.sum((own - np.median(own, axis=0)) ** 2, axis=1))]
        # The name of a tight group would hide it: it goes above.
        reach = np.quantile(np.abs(own - middle).max(axis=1), 0.9)
        names.append((middle - (0, reach + 8 if reach < 10 else 0), class_names[label]))
    if _can_be_named(class_names):
        heights = spread_names(names)
        parts += [
            text_at(middle[0], height + 4, name, "middle", "name")
            for (middle, name), height in zip(names, heights, strict=True)
        ]
    return svg(200, 206, parts, "map of held-out embeddings", "map")


def class_key(class_names):
    """Colors and names of the classes, where the maps themselves do not name them.

    Returns
    -------
    list of (str, str)
        Empty where the maps do, and where there are too many classes for anyone to look up.
    """
    n_classes = len(class_names)
    if _can_be_named(class_names) or n_classes > MOST_NAMES:
        return []
    return [(_class_color(i, n_classes), name) for i, name in enumerate(class_names)]


def _can_be_named(class_names):
    longest = max(map(len, class_names), default=0)
    return len(class_names) <= MOST_NAMES and longest <= LONGEST_NAME


def _class_color(label, n_classes):
    """Return a named color of the page while they last, then hues around the wheel."""
    if n_classes <= N_CLASS_COLORS:
        return f"var(--c{label})"
    # Steps of the golden angle: classes that are neighbors in order are far apart in hue.
    return f"hsl({137.5 * label % 360:.0f} 60% {44 + 12 * (label % 3)}%)"
