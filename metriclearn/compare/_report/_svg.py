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
