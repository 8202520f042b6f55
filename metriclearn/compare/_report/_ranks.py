"""Mean ranks over several data sets, and score against fit time."""

import math
from html import escape

from metriclearn._text import shortened
from metriclearn.compare._measuring._measure import MEASURE_NAMES
from metriclearn.compare._report._svg import (
    HEIGHT,
    NAME_LETTERS,
    WIDTH,
    Scale,
    lead_line,
    place_labels,
    score_grid,
    stretch,
    svg,
    text_at,
)


def ranks_chart(ranking):
    """Mean ranks, one row a learner; bars on the right join those not told apart."""
    learners, groups = ranking.learners, ranking.groups
    row, top = 22, 52
    left, right = 170, WIDTH - 24 - 14 * len(groups)
    bottom = top + row * len(learners)
    x = Scale(1, len(learners), left, right)
    heights = {learner.name: top + row * i for i, learner in enumerate(learners)}
    parts = []
    for rank in range(1, len(learners) + 1):
        parts.append(f'<path class="grid" d="M{x(rank):.1f} {top - 14}V{bottom - 8}"/>')
        parts.append(text_at(x(rank), top - 18, rank, "middle", "tick"))
    text = f"critical difference {ranking.critical_difference:.2f}"
    difference = min(ranking.critical_difference, len(learners) - 1)
    parts.append(
        f'<path class="ruler" d="M{left} 8v8m0 -4H{x(1 + difference):.1f}m0 -4v8"/>'
        + text_at(left - 24, 16, text, "end", "tick")
    )
    for learner in learners:
        height, place = heights[learner.name], x(learner.mean_rank)
        tip = escape(f"{learner.name}: mean rank {learner.mean_rank:.2f}")
        name = shortened(learner.name, NAME_LETTERS)
        parts.append(
            f'<g class="dot {escape(learner.family)}"><title>{tip}</title>'
            f'<path class="lead" d="M{left - 20} {height}H{place:.1f}"/>'
            f'<circle cx="{place:.1f}" cy="{height}" r="5"/>'
            f"{text_at(left - 24, height + 4, name, 'end', 'label')}</g>"
        )
    for i, group in enumerate(groups):
        ends = heights[group[0]] - 6, heights[group[-1]] + 6
        parts.append(f'<path class="tied" d="M{right + 20 + 14 * i} {ends[0]}V{ends[1]}"/>')
    return svg(WIDTH, bottom, parts, "mean ranks with the critical difference")


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
    rows = [row for row in result.rows() if row.mean(measure) is not None]
    if not rows:
        return ""
    left, right, top, bottom = 46, WIDTH - 14, 12, HEIGHT - 42
    times = [max(row.fit_seconds, 1e-3) for row in rows]
    spread = [(row.mean(measure), row.std(measure) or 0) for row in rows]
    lowest = max(0, min(mean - std for mean, std in spread))
    highest = min(1, max(mean + std for mean, std in spread))
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)) + 1e-9)
    x = Scale(low, max(high, low + 1), left + 8, right - 8)
    y = Scale(stretch(lowest), stretch(highest), bottom, top)
    parts = [score_grid(y, lowest, highest, left, right, at_right=False)]
    for power in range(low, max(high, low + 1) + 1):
        label = f"{10**power:g} s"
        parts.append(text_at(x(power), bottom + 17, label, "middle", "tick"))
    parts.append(text_at((left + right) / 2, HEIGHT - 6, "fit time", "middle", "tick"))

    points = [
        (x(math.log10(t)), y(stretch(mean))) for t, (mean, _) in zip(times, spread, strict=True)
    ]
    reaches = [
        (px - 1, y(stretch(min(1, mean + std))), px + 1, y(stretch(mean - std)))
        for (px, _), (mean, std) in zip(points, spread, strict=True)
    ]
    names = [shortened(row.name, NAME_LETTERS) for row in rows]
    labels = place_labels(points, names, reaches, (left, right, top, bottom))
    for row, name, (px, py), (lx, ly, anchor), (mean, std) in zip(
        rows, names, points, labels, spread, strict=True
    ):
        tip = escape(f"{row.name}: {mean:.1%} ± {std:.1%}, {row.fit_seconds:.2g} s")
        reach = f"M{px:.1f} {y(stretch(mean - std)):.1f}V{y(stretch(min(1, mean + std))):.1f}"
        parts.append(
            f'<g class="dot {escape(row.family)}"><title>{tip}</title>'
            f'<path class="spread" d="{reach}"/>'
            f'<path class="lead" d="{lead_line(px, py, lx, ly, anchor)}"/>'
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="5"/>'
            f"{text_at(lx, ly, name, anchor, 'label')}</g>"
        )
    return svg(WIDTH, HEIGHT, parts, f"{MEASURE_NAMES[measure]} against fit time")
