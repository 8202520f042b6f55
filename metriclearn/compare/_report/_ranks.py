"""Mean ranks over several data sets."""

from html import escape

from metriclearn._text import shortened
from metriclearn.compare._report._svg import WIDTH, Scale, svg, text_at


def ranks_chart(ranking):
    """Mean ranks, one row a learner; bars on the right join those not told apart.

    Parameters
    ----------
    ranking : Ranking

    Returns
    -------
    str
    """
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
        parts.append(
            f'<g class="dot {escape(learner.family)}"><title>{tip}</title>'
            f'<path class="lead" d="M{left - 20} {height}H{place:.1f}"/>'
            f'<circle cx="{place:.1f}" cy="{height}" r="5"/>'
            f"{text_at(left - 24, height + 4, shortened(learner.name, 22), 'end', 'label')}</g>"
        )
    for i, group in enumerate(groups):
        ends = heights[group[0]] - 6, heights[group[-1]] + 6
        parts.append(f'<path class="tied" d="M{right + 20 + 14 * i} {ends[0]}V{ends[1]}"/>')
    return svg(WIDTH, bottom, parts, "mean ranks with the critical difference")
