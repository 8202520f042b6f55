"""Maps of embeddings, learned matrices, and the weights of pixels, features and columns."""

import base64
import io
import math
from html import escape

import numpy as np

from metriclearn._extras import require
from metriclearn._text import shortened
from metriclearn.compare._report._svg import spread_names, svg, text_at


def matrix_chart(matrix, feature_names):
    """Draw a learned matrix as a heat map: named squares while they are few, else an image."""
    values = np.asarray(matrix.values, dtype=float)
    side = len(values)
    if feature_names is None or side > 16 or side != len(feature_names):
        return f'<img class="heat" alt="learned matrix" src="{_png(values, signed=True)}">'
    largest = np.abs(values).max() or 1
    cell, margin = 200 / side, 98
    parts = []
    for i, row in enumerate(values):
        name = shortened(feature_names[i], 15)
        parts.append(text_at(margin - 6, (i + 0.5) * cell + 3.5, name, "end", "tick"))
        for j, value in enumerate(row):
            sign = "plus" if value > 0 else "minus"
            tip = escape(f"{feature_names[i]} × {feature_names[j]}: {value:.3g}")
            parts.append(
                f'<rect class="{sign}" x="{margin + j * cell:.2f}" y="{i * cell:.2f}" '
                f'width="{cell:.2f}" height="{cell:.2f}" '
                f'fill-opacity="{abs(value) / largest:.2f}"><title>{tip}</title></rect>'
            )
    parts.append(f'<rect class="frame" x="{margin}" y="0" width="200" height="200"/>')
    return svg(margin + 201, 200.5, parts, "learned matrix", "matrix")


def weights_image(matrix, image_shape):
    """Weight of each pixel, as an image of the data's own shape."""
    weights = np.asarray(matrix.weights, dtype=float).reshape(image_shape)
    if weights.ndim == 3:
        weights = weights.sum(axis=2)
    return f'<img class="heat" alt="weight of each pixel" src="{_png(weights, signed=False)}">'


def shown_names(names):
    """Return names of columns as a reader knows them: not scikit-learn's for what is missing."""
    gap = "missingindicator_"
    return [
        f"{name.removeprefix(gap)} is missing" if name.startswith(gap) else name for name in names
    ]


def heaviest_features(matrix, feature_names):
    """Return the names of the three features that weigh most, standardized."""
    order = np.argsort(matrix.weights)[::-1][:3]
    return [feature_names[i] for i in order]


def _png(values, *, signed):
    """Return a data URI: color by sign, opacity by size, so that zero is the page itself."""
    image_module = require("PIL.Image", "cli")
    # A few dominant entries would leave all the others blank.
    largest = np.quantile(np.abs(values), 0.995) or np.abs(values).max() or 1
    opacity = np.clip(np.abs(values) / largest, 0, 1)
    pixels = np.empty((*values.shape, 4), dtype=np.uint8)
    pixels[..., :3] = np.where((values < 0)[..., None] & signed, (59, 125, 216), (232, 116, 59))
    pixels[..., 3] = (255 * opacity).round()
    buffer = io.BytesIO()
    image_module.fromarray(pixels, "RGBA").save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


MOST_COLUMNS = 20


def column_table(named):
    """Compare the shares of the columns in squared distances.

    Parameters
    ----------
    named : list of (str, Matrix, list of str)
        Name of a metric, its matrix and the names of the columns.

    Returns
    -------
    metrics : list of str
    rows : list of (str, list of float)
        Column and its share under each metric, the largest first.
    n_left_out : int
        Columns that are not shown.
    """
    if not named:
        return [], [], 0
    columns = named[0][2]
    named = [entry for entry in named if entry[2] == columns]
    shares = []
    for _, matrix, _ in named:
        weights = np.asarray(matrix.weights, dtype=float)
        shares.append(weights / (weights.sum() or 1.0))
    shares = np.array(shares).T
    order = np.argsort(-shares.max(axis=1), kind="stable")
    rows = [(columns[i], shares[i].tolist()) for i in order[:MOST_COLUMNS]]
    return [name for name, *_ in named], rows, len(columns) - len(rows)


N_CLASS_COLORS = 10
# Names that many, or that long, would hide the map; beyond that many a key helps no one.
MOST_NAMES = 20
LONGEST_NAME = 16


def map_chart(drawn, class_names):
    """Draw a flat map of held-out embeddings: one color a class, its name in its middle."""
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
            text_at(_within(middle[0], name), height + 4, name, "middle", "name")
            for (middle, name), height in zip(names, heights, strict=True)
        ]
    return svg(200, 206, parts, "map of held-out embeddings", "map")


def _within(middle, name):
    """Return where a name is in the middle of itself and within the map, 200 wide."""
    half = min(100, 3.4 * len(name))
    return min(max(middle, half), 200 - half)


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
