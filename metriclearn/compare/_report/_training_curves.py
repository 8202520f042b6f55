"""How the networks were trained: loss by epoch, and what validation rows scored on the way."""

from dataclasses import dataclass

from metriclearn.compare._report._pair import records_of
from metriclearn.compare._report._svg import Scale, svg, text_at

WIDTH, HEIGHT = 300, 190


@dataclass(frozen=True)
class TrainingCard:
    """A network's chart, and what it says in words."""

    name: str
    svg: str
    text: str


def training_cards(result, protocol):
    """Draw the training of every network, in the first fold.

    Parameters
    ----------
    result : ComparisonResult
    protocol : {"closed", "open"}

    Returns
    -------
    list of TrainingCard
    """
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
        text += f" On validation rows {trial.reached[0][1]:.1%}; no longer training was tried."
    if trial.rising:
        return f"{text} Still rising when its training was ended."
    return text + (" No longer rising." if len(trial.reached) > 1 else "")


def _chart(losses, reached, row):
    left, right = 46, WIDTH - 8
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
    group = f'<g class="line {row.family}">{"".join(parts)}</g>'
    return svg(WIDTH, HEIGHT if reached else 110, [group], f"Training of {row.name}")


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
