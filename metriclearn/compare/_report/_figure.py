"""The result as one matplotlib figure."""

import numpy as np

from metriclearn._extras import require
from metriclearn._progress import in_notebook
from metriclearn.compare._measuring._measure import MEASURE_NAMES
from metriclearn.compare._report._lines import recall_curves
from metriclearn.compare._report._svg import NEAREST, SCORE_TICKS, place_labels
from metriclearn.plots._axes import without_frame
from metriclearn.plots._recall import RecallCurveDisplay

FAMILY_COLORS = {
    "baseline": "#7b8087",
    "linear": "#2767c4",
    "deep": "#d05a16",
    "own": "#8a4fc0",
    "reference": "#7b8087",
    "kernel": "#1c8a9c",
    "stacked": "#b3367e",
}
LINE_STYLES = ("-", "--", "-.", ":")


def draw(result):
    """Draw scores, Recall@k curves and score against fit time, one row a protocol."""
    pyplot = require("matplotlib.pyplot", "plots")
    n_rows = len(result.protocols)
    figure, axes = pyplot.subplots(
        n_rows, 3, figsize=(15, 4.4 * n_rows), layout="constrained", squeeze=False
    )
    for protocol, (scores, recall, times) in zip(result.protocols, axes, strict=True):
        measure = result.headline(protocol)
        rows = [row for row in result.rows() if row.mean(measure) is not None]
        rows.sort(key=lambda row: row.mean(measure))
        _draw_scores(scores, rows, measure, protocol)
        _draw_recall(recall, result, protocol)
        _draw_times(times, rows, measure)
    if in_notebook():  # which would show it once more, behind what the cell ends with
        pyplot.close(figure)
    return figure


def _draw_scores(ax, rows, measure, protocol):
    for height, row in enumerate(rows):
        ax.errorbar(
            row.mean(measure),
            height,
            xerr=row.std(measure) or 0,
            fmt="o",
            color=FAMILY_COLORS[row.family],
            capsize=3,
        )
    ax.set_yticks(range(len(rows)), labels=[row.name for row in rows])
    ax.xaxis.set_major_formatter(_percent)
    ax.set(xlabel=MEASURE_NAMES[measure], title=f"{protocol.capitalize()} set")
    ax.grid(axis="x", alpha=0.3)
    without_frame(ax)


def _draw_recall(ax, result, protocol):
    drawn = {}
    for learner, curve in recall_curves(result, protocol):
        family = learner.family
        style = LINE_STYLES[drawn.get(family, 0) % len(LINE_STYLES)]
        drawn[family] = drawn.get(family, 0) + 1
        RecallCurveDisplay(list(curve), list(curve.values()), name=learner.name).plot(
            ax=ax, color=FAMILY_COLORS[family], linestyle=style
        )
    if drawn:
        ax.legend(frameon=False, fontsize="x-small", ncols=2)


def _draw_times(ax, rows, measure):
    points = [(max(row.fit_seconds, 1e-3), row.mean(measure)) for row in rows]
    for row, point in zip(rows, points, strict=True):
        ax.plot(*point, "o", color=FAMILY_COLORS[row.family])
    ax.set_xscale("log")
    ax.set_yscale("function", functions=(_stretch, _unstretch))
    ax.margins(x=0.3, y=0.15)
    low, high = ax.get_ylim()
    ticks = [tick for tick in SCORE_TICKS if low <= tick <= high]
    if len(ticks) >= 3:
        ax.set_yticks(ticks)
    ax.yaxis.set_major_formatter(_percent)
    ax.set(xlabel="fit time in seconds", ylabel=MEASURE_NAMES[measure])
    ax.grid(alpha=0.3)
    without_frame(ax)
    # Names are placed in points of a panel of about the size that it is drawn at.
    width, height = 300, 240
    to_axes = ax.transData + ax.transAxes.inverted()
    places = [(x * width, (1 - y) * height) for x, y in to_axes.transform(points)]
    names = [row.name for row in rows]
    labels = place_labels(places, names, [], (0, width, 0, height))
    for name, point, place, (x, y, anchor) in zip(names, points, places, labels, strict=True):
        ax.annotate(
            name,
            point,
            xytext=(x - place[0], place[1] - y),
            textcoords="offset points",
            ha={"start": "left", "end": "right", "middle": "center"}[anchor],
            fontsize=8,
            arrowprops={"arrowstyle": "-", "lw": 0.5, "alpha": 0.5, "shrinkA": 0, "shrinkB": 4},
        )


def _stretch(scores):
    """Scores crowd below 100 %: even steps of ``log(1 - score)``, as in the report."""
    return -np.log10(np.maximum(1 - scores, 0) + NEAREST)


def _unstretch(heights):
    return 1 + NEAREST - 10 ** -np.asarray(heights)


def _percent(value, _):
    return f"{100 * value:g}%"
