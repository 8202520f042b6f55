"""Line charts: Recall@k, scores by rows, dimensions or shift, training, growth of classes."""

import math
from dataclasses import dataclass
from html import escape

import numpy as np

from metriclearn._text import shortened
from metriclearn.compare._report._svg import (
    HEIGHT,
    NAME_LETTERS,
    WIDTH,
    Scale,
    apart,
    score_grid,
    stretch,
    svg,
    text_at,
    ticks_below,
)
from metriclearn.compare._verdict._table import records_of
from metriclearn.compare._words import AXIS_NAMES, place_text
from metriclearn.metrics._growth import FEWEST_TO_EXTRAPOLATE, RecallGrowth
from metriclearn.plots._growth import REACH, growth_places

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
    """One line a learner over shared places."""
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
    labels = apart(ends, min(13, (bottom - top) / len(ends)), bottom)
    drawn = {}
    for (learner, points), end, label in zip(lines, ends, labels, strict=True):
        # Lines of one color are told apart by their dashes, in print as well.
        color = "baseline" if learner.family == "reference" else learner.family
        dash = drawn[color] = drawn.get(color, -1) + 1
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


CARD_WIDTH, CARD_HEIGHT = 300, 190


@dataclass(frozen=True)
class TrainingCard:
    """A network's chart, and what it says in words."""

    name: str
    svg: str
    text: str


def training_cards(result, protocol):
    """Draw the training of every network, in the first fold."""
    cards = []
    for row in result.rows():
        record = next((r for r in records_of(result, protocol, row.key) if r.losses), None)
        if record is not None:
            trial = _chosen(record)
            reached = trial.reached if trial else ()
            text = _words(record, trial)
            cards.append(TrainingCard(row.name, _chart(record.losses, reached, row), text))
    return cards


def _chosen(record):
    """Return the trial whose settings were taken: the best on validation rows."""
    tried = [trial for trial in record.tuning if trial.score is not None and trial.reached]
    return max(tried, key=lambda trial: trial.score, default=None)


def _words(record, trial):
    text = f"{len(record.losses)} epochs; loss {record.losses[0]:.3g} to {record.losses[-1]:.3g}."
    if trial is None:
        return text
    if len(trial.reached) > 1:
        told = trial.reached if len(trial.reached) <= 4 else (trial.reached[0], trial.reached[-1])
        scores = ", ".join(f"{score:.1%} after {epoch:g}" for epoch, score in told)
        text += f" On validation rows {scores}."
    else:
        text += f" On validation rows {trial.reached[0][1]:.1%}; longer training was not tried."
        return text + (" It may have been cut short." if trial.rising else "")
    if trial.rising:
        return f"{text} Still rising when its training was ended."
    return text + (" No longer rising." if len(trial.reached) > 1 else "")


def _chart(losses, reached, row):
    left, right = 46, CARD_WIDTH - 8
    most = max([len(losses), *(epoch for epoch, _ in reached)])
    x = Scale(1, max(2, most), left, right)
    parts = _panel([(i + 1, loss) for i, loss in enumerate(losses)], x, 14, 82, "loss", "{:.3g}")
    if reached:
        percent = [(epoch, 100 * score) for epoch, score in reached]
        parts += _panel(percent, x, 104, 160, "validation", "{:.1f}%", dots=True)
    bottom = 160 if reached else 82
    for epoch in {1, int(max(2, most))}:
        parts.append(text_at(x(epoch), bottom + 14, epoch, "middle", "tick"))
    parts.append(text_at((left + right) / 2, bottom + 14, "epochs", "middle", "tick"))
    group = f'<g class="line {escape(row.family)}">{"".join(parts)}</g>'
    return svg(CARD_WIDTH, CARD_HEIGHT if reached else 110, [group], f"Training of {row.name}")


def _panel(points, x, top, bottom, name, form, dots=False):
    values = [value for _, value in points]
    low, high = min(values), max(values)
    y = Scale(low, high, bottom, top)
    flat = low == high
    path = "M" + "L".join(
        f"{x(epoch):.1f} {bottom if flat else y(value):.1f}" for epoch, value in points
    )
    parts = [text_at(x.start, top - 4, name, "start", "tick")]
    for value in {low, high}:
        height = bottom if flat else y(value)
        parts.append(f'<path class="grid" d="M{x.start} {height:.1f}H{x.stop}"/>')
        parts.append(text_at(x.start - 4, height + 4, form.format(value), "end", "tick"))
    parts.append(f'<path class="curve" d="{path}"/>')
    if dots or len(points) == 1:
        marks = "".join(
            f"M{x(epoch):.1f} {bottom if flat else y(value):.1f}h0" for epoch, value in points
        )
        parts.append(f'<path class="curve dot" d="{marks}"/>')
    return parts


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
    left, right, top, bottom = 46, WIDTH - 166, 12, HEIGHT - 34
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
    labels = apart(ends, 13, bottom)
    for (row, curve), end, label in zip(curves, ends, labels, strict=True):
        tested, beyond = (
            "M" + "L".join(f"{x(math.log(n)):.1f} {y(stretch(curve[n])):.1f}" for n in part)
            for part in (
                [n for n in places if n <= n_tested],
                [n for n in places if n >= n_tested],
            )
        )
        tip = escape(f"{row.name}: {curve[n_tested]:.1%} among {n_tested} classes")
        name = shortened(row.name, NAME_LETTERS)
        parts.append(
            f'<g class="line {escape(row.family)}"><title>{tip}</title>'
            f'<path class="hit" d="{tested}"/><path class="curve" d="{tested}"/>'
            f'<path class="curve beyond" d="{beyond}"/>'
            f'<path class="lead" d="M{right + 2} {end:.1f}L{right + 14} {label:.1f}"/>'
            f"{text_at(right + 17, label + 4, name, 'start', 'label')}</g>"
        )
    return svg(WIDTH, HEIGHT, parts, title)
