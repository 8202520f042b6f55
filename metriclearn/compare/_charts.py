"""Charts of the report, as inline SVG that takes its colours from the page.

Every chart is drawn for a width of about a phone's, so that its text is as
large there as the page's and it may grow on a desktop. Colours are classes of
the page's style sheet: one drawing serves light and dark.
"""

import base64
import io
import math
from html import escape

import numpy as np

from metriclearn._extras import require
from metriclearn.compare._result import MEASURE_NAMES
from metriclearn.compare._words import AXIS_NAMES, place_text

WIDTH, HEIGHT = 420, 300
# Scores crowd below 100 %. This much away from 100 % is the end of the scale.
NEAREST = 1e-3
SCORE_TICKS = (0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1)
N_CLASS_COLOURS = 10
LETTER = 6.3  # width of a letter of the chart's text, for keeping labels apart


def stretch(score):
    """Place a score on a scale stretched towards 100 %: even steps of ``log(1 - score)``."""
    return -math.log10(1 - min(max(score, 0), 1) + NEAREST)


class _Scale:
    """Linear map of an interval onto pixels."""

    def __init__(self, low, high, start, stop):
        self.low, self.high, self.start, self.stop = low, high, start, stop

    def __call__(self, value):
        part = (value - self.low) / ((self.high - self.low) or 1)
        return self.start + part * (self.stop - self.start)


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


def curve_chart(axis, places, curves):
    """Scores along an axis of every learner, named at its left end.

    Parameters
    ----------
    axis : {"rows", "dimensions", "shift"}
    places : list of float
    curves : list of dict
        As of ``ComparisonResult.curve``.

    Returns
    -------
    str
        An ``<svg>``; empty where there is nothing to draw.
    """
    # Distances are read as they are, numbers by their ratios.
    where = float if axis == "shift" else math.log2
    ticks = {where(place): place_text(axis, place) for place in places}
    lines = [
        (curve, {where(point["place"]): point["mean"] for point in curve["points"]})
        for curve in curves
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
    x = _Scale(min(ticks), max(ticks), left, right)
    y = _Scale(stretch(min(values)), stretch(max(values)), bottom, top)
    parts = [_score_grid(y, min(values), max(values), left, right, at_right=True)]
    reach = -math.inf
    for place, label in sorted(ticks.items()):
        width = LETTER * len(label)
        if x(place) - width / 2 > reach:
            parts.append(_text(x(place), bottom + 17, label, "middle", "tick"))
            reach = x(place) + width / 2 + 4
    parts.append(_text((left + right) / 2, HEIGHT - 3, axis_label, "middle", "tick"))

    lines = [(learner, sorted(line.items())) for learner, line in lines]
    lines.sort(key=lambda item: -item[1][0][1])
    ends = [y(stretch(points[0][1])) for _, points in lines]
    labels = _apart(ends, min(13, (bottom - top) / len(ends)), top, bottom)
    for (learner, points), end, label in zip(lines, ends, labels, strict=True):
        path = "M" + "L".join(f"{x(p):.1f} {y(stretch(v)):.1f}" for p, v in points)
        if len(points) == 1:
            path += "h0"
        told = ", ".join(f"{axis_label} {ticks[p]}: {v:.1%}" for p, v in points)
        parts.append(
            f'<g class="line {learner["family"]}">'
            f"<title>{escape(learner['name'] + ': ' + told)}</title>"
            f'<path class="lead" d="M{left - 20} {label:.1f}L{x(points[0][0]) - 2:.1f} {end:.1f}"/>'
            f'<path class="hit" d="{path}"/><path class="curve" d="{path}"/>'
            f"{_text(left - 24, label + 4, learner['name'], 'end', 'label')}</g>"
        )
    return _svg(WIDTH, HEIGHT, parts, alt)


def recall_curves(result, protocol):
    """Mean Recall@k over the folds: a list of (learner, {k: recall})."""
    curves = []
    for learner in result.learners:
        folds = [
            record["recall_at"]
            for record in result.records
            if record["learner"] == learner["key"]
            and record["protocol"] == protocol
            and not record["error"]
        ]
        if folds:
            ks = sorted(set.intersection(*(set(map(int, fold)) for fold in folds)))
            curve = {k: float(np.mean([fold[str(k)] for fold in folds])) for k in ks}
            curves.append((learner, curve))
    return curves


def time_chart(result, measure):
    """Score against fit time, with the spread over the folds.

    Parameters
    ----------
    result : ComparisonResult
    measure : str

    Returns
    -------
    str
        An ``<svg>``; empty where there is nothing to draw.
    """
    rows = [row for row in result.rows() if row[measure] is not None]
    if not rows:
        return ""
    left, right, top, bottom = 46, WIDTH - 14, 12, HEIGHT - 42
    times = [max(row["fit_seconds"], 1e-3) for row in rows]
    spread = [(row[measure], row[f"{measure}_std"] or 0) for row in rows]
    lowest = max(0, min(mean - std for mean, std in spread))
    highest = min(1, max(mean + std for mean, std in spread))
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)) + 1e-9)
    x = _Scale(low, max(high, low + 1), left + 8, right - 8)
    y = _Scale(stretch(lowest), stretch(highest), bottom, top)
    parts = [_score_grid(y, lowest, highest, left, right, at_right=False)]
    for power in range(low, max(high, low + 1) + 1):
        label = f"{10**power:g} s"
        parts.append(_text(x(power), bottom + 17, label, "middle", "tick"))
    parts.append(_text((left + right) / 2, HEIGHT - 6, "fit time", "middle", "tick"))

    points = [
        (x(math.log10(t)), y(stretch(mean))) for t, (mean, _) in zip(times, spread, strict=True)
    ]
    reaches = [
        (px - 1, y(stretch(min(1, mean + std))), px + 1, y(stretch(mean - std)))
        for (px, _), (mean, std) in zip(points, spread, strict=True)
    ]
    names = [row["name"] for row in rows]
    labels = place_labels(points, names, reaches, (left, right, top, bottom))
    for row, (px, py), (lx, ly, anchor), (mean, std) in zip(
        rows, points, labels, spread, strict=True
    ):
        tip = escape(f"{row['name']}: {mean:.1%} ± {std:.1%}, {row['fit_seconds']:.2g} s")
        reach = f"M{px:.1f} {y(stretch(mean - std)):.1f}V{y(stretch(min(1, mean + std))):.1f}"
        parts.append(
            f'<g class="dot {row["family"]}"><title>{tip}</title><path class="spread" d="{reach}"/>'
            f'<path class="lead" d="{_lead(px, py, lx, ly, anchor)}"/>'
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="5"/>'
            f"{_text(lx, ly, row['name'], anchor, 'label')}</g>"
        )
    return _svg(WIDTH, HEIGHT, parts, f"{MEASURE_NAMES[measure]} against fit time")


def ranks_chart(ranking):
    """Mean ranks, one row a learner; bars on the right join those not told apart.

    Parameters
    ----------
    ranking : dict
        As of ``RankedComparison.ranks``.

    Returns
    -------
    str
    """
    learners, groups = ranking["learners"], ranking["groups"]
    row, top = 22, 52
    left, right = 170, WIDTH - 24 - 14 * len(groups)
    bottom = top + row * len(learners)
    x = _Scale(1, len(learners), left, right)
    heights = {learner["name"]: top + row * i for i, learner in enumerate(learners)}
    parts = []
    for rank in range(1, len(learners) + 1):
        parts.append(f'<path class="grid" d="M{x(rank):.1f} {top - 14}V{bottom - 8}"/>')
        parts.append(_text(x(rank), top - 18, rank, "middle", "tick"))
    told = f"critical difference {ranking['critical_difference']:.2f}"
    difference = min(ranking["critical_difference"], len(learners) - 1)
    parts.append(
        f'<path class="ruler" d="M{left} 8v8m0 -4H{x(1 + difference):.1f}m0 -4v8"/>'
        + _text(left - 24, 16, told, "end", "tick")
    )
    for learner in learners:
        height, place = heights[learner["name"]], x(learner["mean_rank"])
        tip = escape(f"{learner['name']}: mean rank {learner['mean_rank']:.2f}")
        parts.append(
            f'<g class="dot {learner["family"]}"><title>{tip}</title>'
            f'<path class="lead" d="M{left - 20} {height}H{place:.1f}"/>'
            f'<circle cx="{place:.1f}" cy="{height}" r="5"/>'
            f"{_text(left - 24, height + 4, learner['name'], 'end', 'label')}</g>"
        )
    for i, group in enumerate(groups):
        ends = heights[group[0]] - 6, heights[group[-1]] + 6
        parts.append(f'<path class="tied" d="M{right + 20 + 14 * i} {ends[0]}V{ends[1]}"/>')
    return _svg(WIDTH, bottom, parts, "mean ranks with the critical difference")


def map_chart(drawn, class_names):
    """Draw a flat map of held-out embeddings: one colour a class, its name in its middle.

    Parameters
    ----------
    drawn : dict
        ``points`` in the unit square and their ``labels``.
    class_names : list of str

    Returns
    -------
    str
    """
    points = 18 + 174 * np.asarray(drawn["points"], dtype=float)
    points += (210 - points.min(axis=0) - points.max(axis=0)) / 2 - (5, 0)
    labels = np.asarray(drawn["labels"])
    present = np.unique(labels)
    size = min(8.0, max(4.4, 76 / math.sqrt(len(points))))
    parts, names = [], []
    for label in present:
        own = points[labels == label]
        dots = "".join(f"M{px:.1f} {py:.1f}h0" for px, py in own)
        colour, name = _class_colour(label, len(class_names)), escape(class_names[label])
        parts.append(
            f'<path class="dots" style="stroke:{colour};stroke-width:{size:.1f}" d="{dots}">'
            f"<title>{name}</title></path>"
        )
        middle = own[np.argmin(np.sum((own - np.median(own, axis=0)) ** 2, axis=1))]
        # The name of a tight group would hide it: it goes above.
        reach = np.quantile(np.abs(own - middle).max(axis=1), 0.9)
        names.append((middle - (0, reach + 8 if reach < 10 else 0), class_names[label]))
    if len(present) <= 20 and max(len(name) for _, name in names) <= 16:
        heights = _spread_names(names)
        parts += [
            _text(middle[0], height + 4, name, "middle", "name")
            for (middle, name), height in zip(names, heights, strict=True)
        ]
    return _svg(200, 206, parts, "map of held-out embeddings", "map")


def _class_colour(label, n_classes):
    """A named colour of the page while they last, then hues around the wheel."""
    if n_classes <= N_CLASS_COLOURS:
        return f"var(--c{label})"
    # Steps of the golden angle: classes that are neighbours in order are far apart in hue.
    return f"hsl({137.5 * label % 360:.0f} 60% {44 + 12 * (label % 3)}%)"


def _spread_names(names):
    """Heights of class names such that none is written over another."""
    placed, heights = [], {}
    for i in sorted(range(len(names)), key=lambda i: names[i][0][1]):
        (px, py), name = names[i]
        half = 3.4 * len(name)
        for other_x, other_y, other_half in placed:
            if abs(px - other_x) < half + other_half and py - other_y < 11:
                py = other_y + 11
        placed.append((px, py, half))
        heights[i] = py
    return [heights[i] for i in range(len(names))]


def matrix_chart(matrix, feature_names):
    """Draw a learned matrix as a heat map: named squares while they are few, else an image.

    Parameters
    ----------
    matrix : dict
        As of ``learned_matrix``.
    feature_names : list of str or None

    Returns
    -------
    str
    """
    values = np.asarray(matrix["values"], dtype=float)
    side = len(values)
    if feature_names is None or side > 16 or side != len(feature_names):
        return f'<img class="heat" alt="learned matrix" src="{_png(values, signed=True)}">'
    largest = np.abs(values).max() or 1
    cell, margin = 200 / side, 98
    parts = []
    for i, row in enumerate(values):
        parts.append(
            _text(margin - 6, (i + 0.5) * cell + 3.5, _short(feature_names[i], 15), "end", "tick")
        )
        for j, value in enumerate(row):
            sign = "plus" if value > 0 else "minus"
            tip = escape(f"{feature_names[i]} × {feature_names[j]}: {value:.3g}")
            parts.append(
                f'<rect class="{sign}" x="{margin + j * cell:.2f}" y="{i * cell:.2f}" '
                f'width="{cell:.2f}" height="{cell:.2f}" '
                f'fill-opacity="{abs(value) / largest:.2f}"><title>{tip}</title></rect>'
            )
    parts.append(f'<rect class="frame" x="{margin}" y="0" width="200" height="200"/>')
    return _svg(margin + 201, 200.5, parts, "learned matrix", "matrix")


def weights_image(matrix, image_shape):
    """Weight of each pixel, as an image of the data's own shape."""
    weights = np.asarray(matrix["weights"], dtype=float).reshape(image_shape)
    if weights.ndim == 3:
        weights = weights.sum(axis=2)
    return f'<img class="heat" alt="weight of each pixel" src="{_png(weights, signed=False)}">'


def heaviest_features(matrix, feature_names, n=3):
    """Names of the features that weigh most, in units of their standard deviation."""
    order = np.argsort(matrix["weights"])[::-1][:n]
    return [feature_names[i] for i in order]


def _png(values, *, signed):
    """A data URI: colour by sign, opacity by size, so that zero is the page itself."""
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


def _score_grid(y, lowest, highest, left, right, *, at_right):
    """Horizontal lines at round scores within the range, closest to its ends included."""
    ticks = [t for t in SCORE_TICKS if lowest - 1e-9 <= t <= highest + 1e-9]
    if len(ticks) < 3:
        ticks = [float(t) for t in _round_steps(lowest, highest)]
    parts, last = [], math.inf
    for tick in ticks:
        height = y(stretch(tick))
        if last - height < 15:
            continue
        last = height
        parts.append(f'<path class="grid" d="M{left} {height:.1f}H{right}"/>')
        where, anchor = (right + 6, "start") if at_right else (left - 6, "end")
        parts.append(_text(where, height + 4, f"{100 * tick:g}%", anchor, "tick"))
    return "".join(parts)


def _round_steps(low, high):
    step = 10 ** math.floor(math.log10(max(high - low, 1e-3)))
    for finer in (1, 2, 4, 10):
        ticks = np.arange(math.ceil(low / step * finer), math.floor(high / step * finer) + 1)
        if len(ticks) >= 3:
            return (ticks * step / finer).round(6)
    return [low, high]


def _apart(positions, gap, low, high):
    """Move sorted label heights so that neighbours are at least ``gap`` apart."""
    moved = list(positions)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    overflow = moved[-1] - high
    if overflow > 0:
        moved[-1] -= overflow
        for i in range(len(moved) - 2, -1, -1):
            moved[i] = min(moved[i], moved[i + 1] - gap)
    return moved


def place_labels(points, names, obstacles, frame):
    """A place for each point's name, near it and covering as little as can be."""
    # Names on names cannot be read, points under names cannot be seen; a line may be crossed.
    taken = [((px - 7, py - 7, px + 7, py + 7), 5) for px, py in points]
    taken += [(box, 0.2) for box in obstacles]
    placed = {}
    for i in sorted(range(len(points)), key=lambda i: points[i][1]):  # from the top down
        width = LETTER * len(names[i])
        costs = []
        for place, distance in _places(*points[i]):
            box = _text_box(*place, width)
            cost = distance + sum(weight * _overlap(box, other) for other, weight in taken)
            costs.append((cost + 10_000 * _leaves(box, frame), place, box))
        _, place, box = min(costs, key=lambda entry: entry[0])
        placed[i] = place
        taken.append((box, 5))
    return [placed[i] for i in range(len(points))]


def _places(px, py):
    """Where a point's name may go, and how far from the point that is."""
    for distance in (0, 13, 26, 39, 52):
        for side, anchor in ((9, "start"), (-9, "end")):
            yield (px + side, py + 4 - distance, anchor), distance
            yield (px + side, py + 4 + distance, anchor), distance
        yield (px, py - 10 - distance, "middle"), distance + 6
        yield (px, py + 18 + distance, "middle"), distance + 6


def _text_box(x, y, anchor, width):
    left = x - {"start": 0, "end": width, "middle": width / 2}[anchor]
    return left, y - 11, left + width, y + 3


def _leaves(box, frame):
    left, right, top, bottom = frame
    return box[0] < left or box[2] > right or box[1] < top - 10 or box[3] > bottom


def _lead(px, py, lx, ly, anchor):
    """A line from a point to its name, where that had to go further away."""
    if math.hypot(lx - px, ly - 4 - py) < 16:
        return ""
    end = lx + {"start": -2, "end": 2, "middle": 0}[anchor]
    height = ly - 4 if anchor != "middle" else ly + (3 if ly < py else -11)
    return f"M{px:.1f} {py:.1f}L{end:.1f} {height:.1f}"


def _overlap(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _short(text, length):
    return text if len(text) <= length else text[: length - 1] + "…"


def _text(x, y, text, anchor, css):
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{css}" {place}>{escape(str(text))}</text>'


def _svg(width, height, parts, title, css="chart"):
    return (
        f'<svg class="{css}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
