"""The result as one matplotlib figure."""

from metriclearn._extras import require
from metriclearn.compare._charts import recall_curves
from metriclearn.compare._result import HEADLINE, MEASURE_NAMES
from metriclearn.plots._axes import without_frame
from metriclearn.plots._recall import RecallCurveDisplay

FAMILY_COLOURS = {
    "baseline": "#7b8087",
    "linear": "#2767c4",
    "deep": "#d05a16",
    "own": "#8a4fc0",
}
LINE_STYLES = ("-", "--", "-.", ":")


def draw(result):
    """Draw scores, Recall@k curves and score against fit time, one row a protocol.

    Parameters
    ----------
    result : ComparisonResult

    Returns
    -------
    matplotlib.figure.Figure
    """
    pyplot = require("matplotlib.pyplot", "plots")
    n_rows = len(result.protocols)
    figure, axes = pyplot.subplots(
        n_rows, 3, figsize=(15, 4.4 * n_rows), layout="constrained", squeeze=False
    )
    for protocol, (scores, recall, times) in zip(result.protocols, axes, strict=True):
        measure = HEADLINE[protocol]
        rows = [row for row in result.rows() if row[measure] is not None]
        rows.sort(key=lambda row: row[measure])
        _draw_scores(scores, rows, measure, protocol)
        _draw_recall(recall, result, protocol)
        _draw_times(times, rows, measure)
    return figure


def _draw_scores(ax, rows, measure, protocol):
    for height, row in enumerate(rows):
        ax.errorbar(
            row[measure],
            height,
            xerr=row[f"{measure}_std"] or 0,
            fmt="o",
            color=FAMILY_COLOURS[row["family"]],
            capsize=3,
        )
    ax.set_yticks(range(len(rows)), labels=[row["name"] for row in rows])
    ax.xaxis.set_major_formatter(_percent)
    ax.set(xlabel=MEASURE_NAMES[measure], title=f"{protocol.capitalize()} set")
    ax.grid(axis="x", alpha=0.3)
    without_frame(ax)


def _draw_recall(ax, result, protocol):
    drawn = {}
    for learner, curve in recall_curves(result, protocol):
        family = learner["family"]
        style = LINE_STYLES[drawn.get(family, 0) % len(LINE_STYLES)]
        drawn[family] = drawn.get(family, 0) + 1
        RecallCurveDisplay(list(curve), list(curve.values()), name=learner["name"]).plot(
            ax=ax, color=FAMILY_COLOURS[family], linestyle=style
        )
    if drawn:
        ax.legend(frameon=False, fontsize="x-small", ncols=2)


def _draw_times(ax, rows, measure):
    for row in rows:
        x, y = max(row["fit_seconds"], 1e-3), row[measure]
        ax.plot(x, y, "o", color=FAMILY_COLOURS[row["family"]])
        ax.annotate(
            row["name"], (x, y), xytext=(5, 4), textcoords="offset points", fontsize="x-small"
        )
    ax.set_xscale("log")
    ax.margins(x=0.2)
    ax.yaxis.set_major_formatter(_percent)
    ax.set(xlabel="fit time in seconds", ylabel=MEASURE_NAMES[measure])
    ax.grid(alpha=0.3)
    without_frame(ax)


def _percent(value, _):
    return f"{100 * value:g}%"
