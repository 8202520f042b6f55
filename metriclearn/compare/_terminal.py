"""The result as a table on the terminal."""

import os
import sys

from metriclearn._extras import require
from metriclearn.compare._result import HEADLINE, MEASURE_NAMES

NARROWEST = 100


def show(result, *, report=None, json=None):
    """Print the table and the findings on standard output.

    Parameters
    ----------
    result : ComparisonResult
    report, json : str, default=None
        Files that were written, to be named at the end.
    """
    console_module = require("rich.console", "cli")
    # A pipe or a file has no width; 80 columns would break the table there.
    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", NARROWEST))
    console = console_module.Console(width=width, highlight=False, soft_wrap=False)
    escape = require("rich.markup", "cli").escape
    console.print()
    console.print(escape(headline(result)), style="bold")
    for line in protocol_lines(result):
        console.print(escape(line), style="dim")
    console.print(_table(result, escape))
    for row in result.rows():
        if row["error"]:
            console.print(f"[bold red]{escape(row['name'])}[/]: {escape(row['error'])}")
    for note, names in notes_of(result).items():
        console.print(escape(f"{', '.join(names)}: {note}"), style="dim")
    for sentence in result.sentences():
        console.print(escape(sentence))
    if result.interrupted:
        done, total = len(result.records), result.run["n_tasks"]
        console.print(
            escape(f"{result.interrupted}: {done} of {total} fits are in this table"),
            style="bold yellow",
        )
    for path in (report, json):
        if path:
            console.print(f"wrote {escape(str(path))}", soft_wrap=True)


def headline(result):
    """Say in one line what was compared on."""
    data = result.data
    shape = data["image_shape"]
    what = f"{data['n_features']} features"
    if shape:
        what = "images of " + " × ".join(str(side) for side in shape) + " pixels"
    return f"{data['name']}: {data['n_rows']} rows, {what}, {data['n_classes']} classes"


def protocol_lines(result):
    """Say how it was measured, one line a protocol, and what was done to the data."""
    notes = result.run["protocol_notes"]
    closed = notes.get("closed", f"{result.run['n_folds']} stratified folds")
    lines = [
        f"Closed set (new rows of known classes): {closed}",
        f"Open set (classes never seen in training): {notes['open']}",
    ]
    return lines + result.data["notes"]


def notes_of(result):
    """Collect the learners' notes: note -> names of those it is true of."""
    collected = {}
    for row in result.rows():
        for note in row["notes"]:
            collected.setdefault(note, []).append(row["name"])
    return collected


def score_text(row, measure):
    """Mean and spread in percent, e.g. ``98.4 ± 0.6``."""
    mean, std = row[measure], row[f"{measure}_std"]
    if mean is None:
        return "–"
    return f"{100 * mean:.1f}" if std is None else f"{100 * mean:.1f} ± {100 * std:.1f}"


def seconds_text(seconds):
    """Seconds with as many digits as mean something."""
    if seconds is None:
        return "–"
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"


def best_of(result):
    """The highest mean of each measure."""
    rows = result.rows()
    scores = {m: [row[m] for row in rows if row[m] is not None] for m in result.measures}
    return {measure: max(values, default=None) for measure, values in scores.items()}


def _table(result, escape):
    table_module = require("rich.table", "cli")
    box = require("rich.box", "cli")
    table = table_module.Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("Learner", no_wrap=True)
    for measure in result.measures:
        table.add_column(f"{MEASURE_NAMES[measure]} %", justify="right", no_wrap=True)
    table.add_column("Fit s", justify="right", no_wrap=True)
    table.add_column("Dim", justify="right", no_wrap=True)
    best = best_of(result)
    for row in result.rows():
        scores = []
        for measure in result.measures:
            text = score_text(row, measure)
            wins = row[measure] is not None and row[measure] == best[measure]
            scores.append(f"[bold green]{text}[/]" if wins else text)
        if row["error"] and row[HEADLINE["closed"]] is None:
            scores[0] = "[red]failed[/]"
        dimension = "–" if row["dimension"] is None else str(row["dimension"])
        table.add_row(escape(row["name"]), *scores, seconds_text(row["fit_seconds"]), dimension)
    return table
