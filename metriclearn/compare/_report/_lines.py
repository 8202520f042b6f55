"""One line a learner: Recall@k, and scores by rows, dimensions or shift."""

import math
from html import escape

import numpy as np

from metriclearn._text import shortened
from metriclearn.compare._report._labels import apart, ticks_below
from metriclearn.compare._report._pair import records_of
from metriclearn.compare._report._svg import HEIGHT, WIDTH, Scale, score_grid, stretch, svg, text_at
from metriclearn.compare._words import AXIS_NAMES, place_text

NAME_LETTERS = 22  # of a name beside a line, as many as there is room for
N_DASHES = 4  # styles of lines in the style sheet


def recall_chart(result, protocol):
    """Recall@k of every learner, named at its left end in order of Recall@1.

    Parameters
    ----------
    result : ComparisonResult
    protocol : {"closed", "open"}

    Returns
    -------
    str
        An ``<svg>``; empty where there is nothing to draw.
    """
    curves = recall_curves(result, protocol)
    ks = sorted({k for _, curve in curves for k in curve})
    ticks = {math.log2(k): str(k) for k in ks}
    curves = [
        (learner, {math.log2(k): value for k, value in curve.items()}) for learner, curve in curves
    ]
    return _lines_chart(curves, ticks, "k", f"Recall at k, {protocol} set")


def recall_curves(result, protocol):
    """Mean Recall@k over the folds: a list of (learner, {k: recall})."""
    curves = []
    for learner in result.learners:
        folds = [record.recall_at for record in records_of(result, protocol, learner.key)]
        if folds:
            ks = sorted(set.intersection(*(set(map(int, fold)) for fold in folds)))
            curve = {k: float(np.mean([fold[str(k)] for fold in folds])) for k in ks}
            if curve:
                curves.append((learner, curve))
    return curves


def curve_chart(axis, places, curves):
    """Scores along an axis of every learner, named at its left end.

    Parameters
    ----------
    axis : {"rows", "dimensions", "shift"}
    places : list of float
    curves : list of Curve

    Returns
    -------
    str
        An ``<svg>``; empty where there is nothing to draw.
    """
    # Numbers are read by their ratios; splits follow one another, however near two of them are.
    where = sorted(places).index if axis == "shift" else math.log2
    ticks = {where(place): place_text(axis, place) for place in places}
    lines = [
        (curve, {where(point.place): point.mean for point in curve.points}) for curve in curves
    ]
    return _lines_chart(lines, ticks, AXIS_NAMES[axis], f"Score by {AXIS_NAMES[axis]}")


def _lines_chart(lines, ticks, axis_label, alt):
    """One line a learner over shared places.

    Parameters
    ----------
    lines : list of (learner, dict of place to score)
    ticks : dict of place to label
    axis_label, alt : str
    """
    if not lines:
        return ""
    values = [value for _, line in lines for value in line.values()]
    left, right, top, bottom = 170, WIDTH - 44, 12, HEIGHT - 34
    x = Scale(min(ticks), max(ticks), left, right)
    y = Scale(stretch(min(values)), stretch(max(values)), bottom, top)
    parts = [score_grid(y, min(values), max(values), left, right, at_right=True)]
    parts += ticks_below(x, bottom, ticks)
    parts.append(text_at((left + right) / 2, HEIGHT - 3, axis_label, "middle", "tick"))

    lines = [(learner, sorted(line.items())) for learner, line in lines]
    lines.sort(key=lambda item: -item[1][0][1])
    ends = [y(stretch(points[0][1])) for _, points in lines]
    labels = apart(ends, min(13, (bottom - top) / len(ends)), top, bottom)
    drawn = {}
    for (learner, points), end, label in zip(lines, ends, labels, strict=True):
        # Lines of one family share a color; their dashes tell them apart, in print as well.
        dash = drawn[learner.family] = drawn.get(learner.family, -1) + 1
        path = "M" + "L".join(f"{x(p):.1f} {y(stretch(v)):.1f}" for p, v in points)
        dot = ""
        if len(points) == 1:
            path, dot = path + "h0", " dot"
        name = shortened(learner.name, NAME_LETTERS)
        values = ", ".join(f"{axis_label} {ticks[p]}: {v:.1%}" for p, v in points)
        parts.append(
            f'<g class="line {escape(learner.family)} dash{dash % N_DASHES}">'
            f"<title>{escape(learner.name + ': ' + values)}</title>"
            f'<path class="lead" d="M{left - 20} {label:.1f}L{x(points[0][0]) - 2:.1f} {end:.1f}"/>'
            f'<path class="hit" d="{path}"/><path class="curve{dot}" d="{path}"/>'
            f"{text_at(left - 24, label + 4, name, 'end', 'label')}</g>"
        )
    return svg(WIDTH, HEIGHT, parts, alt)
