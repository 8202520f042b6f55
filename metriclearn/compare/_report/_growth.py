"""Expected Recall@1 as classes grow: exact as far as tested, dashed beyond."""

import math
from html import escape

import numpy as np

from metriclearn._text import shortened
from metriclearn.compare._report._labels import apart, ticks_below
from metriclearn.compare._report._pair import records_of
from metriclearn.compare._report._svg import HEIGHT, WIDTH, Scale, score_grid, stretch, svg, text_at
from metriclearn.metrics._growth import FEWEST_TO_EXTRAPOLATE, RecallGrowth
from metriclearn.plots._growth import REACH, growth_places

FEWEST_CLASSES = 5  # among which there is something to see


def growth_curves(result, protocol):
    """Average the folds, for the best metric of each family.

    Parameters
    ----------
    result : ComparisonResult
    protocol : {"closed", "open"}

    Returns
    -------
    curves : list of (Row, dict of int to float)
        Recall@1 by number of classes.
    n_tested : int
        Classes that were tested; what is beyond is extrapolated. 0 where there is nothing.
    """
    curves, n_tested, families = [], 0, set()
    for row in result.rows():
        kept = [r.growth for r in records_of(result, protocol, row.key) if r.growth is not None]
        if row.family in families or not kept:
            continue
        families.add(row.family)
        folds = [_as_growth(growth) for growth in kept]
        n_tested = min(growth.n_classes for growth in folds)
        if n_tested < FEWEST_CLASSES:
            return [], 0
        places = _places(n_tested)
        curves.append((row, {n: float(np.mean([g.recall(n) for g in folds])) for n in places}))
    return curves, n_tested


def _as_growth(kept):
    counts = np.zeros(kept.n_classes, dtype=int)
    for nearer, count in kept.counts:
        counts[nearer] = count
    return RecallGrowth(counts)


def _places(n_tested):
    last = n_tested * (REACH if n_tested >= FEWEST_TO_EXTRAPOLATE else 1)
    return sorted({*growth_places(2, last, 24), n_tested, *_told(n_tested)})


def _told(n_tested):
    """Return the numbers of classes that the table tells."""
    told = {max(2, round(n_tested * share)) for share in (0.1, 0.25, 0.5, 1)}
    if n_tested >= FEWEST_TO_EXTRAPOLATE:
        told |= {2 * n_tested, REACH * n_tested}
    return sorted(told)


def growth_table(curves, n_tested):
    """Return the numbers of classes, and each curve's name and texts of its values there."""
    told = _told(n_tested)
    marks = [f"{n} *" if n > n_tested else str(n) for n in told]
    return marks, [(row, [f"{100 * curve[n]:.1f}" for n in told]) for row, curve in curves]


def growth_chart(curves, n_tested, title):
    """Draw the curves.

    Parameters
    ----------
    curves : list of (Row, dict of int to float)
    n_tested : int
    title : str

    Returns
    -------
    str
        An ``<svg>``; empty where there is nothing to draw.
    """
    if not curves:
        return ""
    values = [value for _, curve in curves for value in curve.values()]
    places = sorted(curves[0][1])
    left, right, top, bottom = 46, WIDTH - 150, 12, HEIGHT - 34
    x = Scale(math.log(places[0]), math.log(places[-1]), left, right)
    y = Scale(stretch(min(values)), stretch(max(values)), bottom, top)
    parts = [score_grid(y, min(values), max(values), left, right, at_right=False)]
    parts += ticks_below(x, bottom, {math.log(place): str(place) for place in _told(n_tested)})
    parts.append(text_at((left + right) / 2, HEIGHT - 3, "classes", "middle", "tick"))
    if places[-1] > n_tested:
        at = x(math.log(n_tested))
        parts.append(f'<path class="grid" d="M{at:.1f} {top}V{bottom}"/>')
        parts.append(text_at(at + 4, top + 2, "extrapolated →", "start", "tick"))
    curves = sorted(curves, key=lambda item: -item[1][places[-1]])
    ends = [y(stretch(curve[places[-1]])) for _, curve in curves]
    labels = apart(ends, 13, top, bottom)
    for (row, curve), end, label in zip(curves, ends, labels, strict=True):
        tested, beyond = (
            "M" + "L".join(f"{x(math.log(n)):.1f} {y(stretch(curve[n])):.1f}" for n in part)
            for part in (
                [n for n in places if n <= n_tested],
                [n for n in places if n >= n_tested],
            )
        )
        tip = escape(f"{row.name}: {curve[n_tested]:.1%} among {n_tested} classes")
        name = shortened(row.name, 20)
        parts.append(
            f'<g class="line {escape(row.family)}"><title>{tip}</title>'
            f'<path class="hit" d="{tested}"/><path class="curve" d="{tested}"/>'
            f'<path class="curve beyond" d="{beyond}"/>'
            f'<path class="lead" d="M{right + 2} {end:.1f}L{right + 14} {label:.1f}"/>'
            f"{text_at(right + 17, label + 4, name, 'start', 'label')}</g>"
        )
    return svg(WIDTH, HEIGHT, parts, title)
