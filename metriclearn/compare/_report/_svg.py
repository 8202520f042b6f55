"""What all charts are made of: scales, grids and text, as inline SVG.

Every chart is drawn for a width of about a phone's, so that its text is as
large there as the page's and it may grow on a desktop. Colors are classes of
the page's style sheet: one drawing serves light and dark.

A new chart is a file beside this one that returns ``svg(...)``, and a card of the page.
"""

import math
from html import escape

import numpy as np

WIDTH, HEIGHT = 420, 300
NAME_LETTERS = 22  # of a learner's name in a chart, as many as there is room for
# Scores crowd below 100 %. This much away from 100 % is the end of the scale.
NEAREST = 1e-3
SCORE_TICKS = (0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1)


def stretch(score):
    """Place a score on a scale stretched towards 100 %: even steps of ``log(1 - score)``."""
    return -math.log10(1 - min(max(score, 0), 1) + NEAREST)


class Scale:
    """Linear map of an interval onto pixels."""

    def __init__(self, low, high, start, stop):
        self.low, self.high, self.start, self.stop = low, high, start, stop

    def __call__(self, value):
        part = (value - self.low) / ((self.high - self.low) or 1)
        return self.start + part * (self.stop - self.start)


def score_grid(y, lowest, highest, left, right, *, at_right):
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
        parts.append(text_at(where, height + 4, f"{100 * tick:g}%", anchor, "tick"))
    return "".join(parts)


def _round_steps(low, high):
    step = 10 ** math.floor(math.log10(max(high - low, 1e-3)))
    for finer in (1, 2, 4, 10):
        ticks = np.arange(math.ceil(low / step * finer), math.floor(high / step * finer) + 1)
        if len(ticks) >= 3:
            return (ticks * step / finer).round(6)
    return [low, high]


def text_at(x, y, text, anchor, css):
    """One piece of text; ``anchor`` is ``"start"``, ``"middle"`` or ``"end"``."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{css}" {place}>{escape(str(text))}</text>'


def svg(width, height, parts, title, css="chart"):
    """Return the whole drawing; ``title`` is what a screen reader says of it."""
    return (
        f'<svg class="{css}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


LETTER = 7.1  # width of a letter at the size that it has on a phone, for keeping labels apart


def place_labels(points, names, obstacles, frame):
    """Find a place for each point's name, near it and covering as little as can be."""
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
    for distance in range(0, 160, 6):
        for side, anchor in ((9, "start"), (-9, "end"), (22, "start"), (40, "start")):
            cost = distance + abs(side) - 9
            yield (px + side, py + 4 - distance, anchor), cost
            yield (px + side, py + 4 + distance, anchor), cost
        yield (px, py - 10 - distance, "middle"), distance + 6
        yield (px, py + 18 + distance, "middle"), distance + 6


def _text_box(x, y, anchor, width):
    left = x - {"start": 0, "end": width, "middle": width / 2}[anchor]
    return left, y - 11, left + width, y + 3


def _leaves(box, frame):
    left, right, top, bottom = frame
    return box[0] < left or box[2] > right or box[1] < top - 10 or box[3] > bottom


def _overlap(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def lead_line(px, py, lx, ly, anchor):
    """Draw a line from a point to its name, where that had to go further away."""
    if math.hypot(lx - px, ly - 4 - py) < 16:
        return ""
    end = lx + {"start": -2, "end": 2, "middle": 0}[anchor]
    height = ly - 4 if anchor != "middle" else ly + (3 if ly < py else -11)
    return f"M{px:.1f} {py:.1f}L{end:.1f} {height:.1f}"


def ticks_below(x, bottom, ticks):
    """Return the labels of an axis, from left to right, without those that would touch.

    Parameters
    ----------
    x : Scale
    bottom : float
        Height of the axis.
    ticks : dict of float to str

    Returns
    -------
    list of str
    """
    parts, reach = [], -math.inf
    for place, label in sorted(ticks.items()):
        half = LETTER * len(label) / 2
        if x(place) - half > reach:
            parts.append(text_at(x(place), bottom + 17, label, "middle", "tick"))
            reach = x(place) + half + 4
    return parts


def apart(positions, gap, high):
    """Move sorted label heights so that neighbors are ``gap`` apart, none beyond ``high``."""
    moved = list(positions)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    overflow = moved[-1] - high
    if overflow > 0:
        moved[-1] -= overflow
        for i in range(len(moved) - 2, -1, -1):
            moved[i] = min(moved[i], moved[i + 1] - gap)
    return moved


def spread_names(names):
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
