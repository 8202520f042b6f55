"""The result as a table on the terminal."""

from metriclearn._extras import require
from metriclearn._text import console_width, printable, shortened
from metriclearn.compare._measuring._measure import HEADLINE, MEASURE_NAMES
from metriclearn.compare._words import (
    AXIS_NAMES,
    QUESTION_TEXTS,
    answer_text,
    answer_word,
    best_of,
    curve_tables,
    data_lines,
    header_of,
    headline,
    listed,
    notes_of,
    place_text,
    protocol_lines,
    protocol_name,
    score_text,
    seconds_text,
    shown_measures,
    unequal_folds,
)

NARROWEST = 100
#: Of the name of a data set above its column.
HEADER_LETTERS = 18


def show(result):
    """Print the table and the findings on standard output.

    Parameters
    ----------
    result : ComparisonResult
    """
    console, escape = _console()
    console.print()
    for line in data_lines(result):
        console.print(escape(line), style="yellow")
    console.print(escape(headline(result)), style="bold")
    for line in protocol_lines(result):
        console.print(escape(line), style="dim")
    console.print(_fitting_table(result, console, escape))
    _show_curves(result, console, escape)
    _show_faults(result, console, escape)
    _show_answers(result, console, escape)
    for sentence in result.sentences(with_answers=False):
        console.print(escape(sentence))
    _show_extent(result, console, escape)


def _show_curves(result, console, escape):
    for axis, protocol, places, curves in curve_tables(result):
        console.print(
            f"{MEASURE_NAMES[result.headline(protocol)]} % by {AXIS_NAMES[axis]}", style="bold"
        )
        for part in _curve_tables(axis, places, curves, console, escape):
            console.print(part)
    if "dimensions" in result.run.axes and (ranking := result.ranks()) is not None:
        console.print(
            f"Mean ranks over dimensions by {MEASURE_NAMES[ranking.measure]} %", style="bold"
        )
        for part in _ranks_tables(ranking, console, escape):
            console.print(part)
        for group in ranking.groups:
            console.print(escape(f"Not told apart: {listed(group)}"))


def _show_faults(result, console, escape):
    for row in result.rows():
        if row.error:
            style = "bold" if row.left else "bold red"
            console.print(f"[{style}]{escape(row.name)}[/]: {escape(row.error)}")
    for note, names in notes_of(result).items():
        console.print(escape(f"{', '.join(names)}: {note}"), style="dim")
    for line in result.curve_notes():
        console.print(escape(line), style="red")


def _show_answers(result, console, escape):
    for protocol in result.protocols:
        answers = result.answers(protocol)
        for answer in answers:
            said = escape(answer_text(answer, answers))
            console.print(
                f"[bold]{escape(QUESTION_TEXTS[answer.question])} {answer_word(answer)}.[/] "
                f"[dim]({protocol_name(result, protocol)})[/] {said}"
            )


def _show_extent(result, console, escape):
    """Say how much of the work was kept from before, and how much is done."""
    if result.run.n_resumed:
        n_resumed, total = result.run.n_resumed, result.run.n_tasks
        console.print(f"{n_resumed} of {total} fits were kept from an earlier run", style="dim")
    elif result.run.n_found:
        console.print(
            f"None of the {result.run.n_found} kept fits was of use: they are of other data, "
            f"settings, learners or versions",
            style="dim",
        )
    if result.interrupted:
        done, total = len(result.records), result.run.n_tasks
        console.print(
            escape(f"{result.interrupted}: {done} of {total} fits are in this table"),
            style="bold yellow",
        )
        for line in unequal_folds(result):
            console.print(escape(line), style="yellow")


def show_ranks(result):
    """Print the table of every data set, and the mean ranks over them.

    Parameters
    ----------
    result : RankedComparison
    """
    for comparison in result.comparisons:
        show(comparison)
    console, escape = _console()
    for protocol in result.protocols:
        ranking = result.ranks(HEADLINE[protocol])
        if ranking is not None:
            console.print(f"Mean ranks by {MEASURE_NAMES[HEADLINE[protocol]]} %", style="bold")
            for part in _ranks_tables(ranking, console, escape):
                console.print(part)
    for sentence in result.sentences():
        console.print(escape(sentence))


def _ranks_tables(ranking, console, escape):
    columns = [("Mean rank", [f"{learner.mean_rank:.2f}" for learner in ranking.learners])]
    for i, dataset in enumerate(ranking.datasets):
        scores = [learner.scores[i] for learner in ranking.learners]
        texts = ["–" if score is None else f"{100 * score:.1f}" for score in scores]
        columns.append((shortened(dataset, HEADER_LETTERS), texts))
    return _parts([learner.name for learner in ranking.learners], columns, console, escape)


def _parts(names, columns, console, escape):
    """Return tables of as many columns each as fit the console, with the names before them."""

    def table_of(chosen):
        table = _empty_table()
        for header, _ in chosen:
            table.add_column(escape(header), justify="right", no_wrap=True)
        for i, name in enumerate(names):
            table.add_row(escape(name), *(cells[i] for _, cells in chosen))
        return table

    tables, chosen = [], []
    for column in columns:
        if chosen and not _fits(table_of([*chosen, column]), console):
            tables.append(table_of(chosen))
            chosen = []
        chosen.append(column)
    return [*tables, table_of(chosen)]


def _fits(table, console):
    """Whether a table fits the console without cutting a number or a name."""
    measurement = require("rich.measure", "cli").Measurement
    wide = console.options.update(width=1000)
    return measurement.get(console, wide, table).maximum <= console.width


def _console():
    """Return a console on standard output, and what makes text safe for it."""
    console_module = require("rich.console", "cli")

    class Console(console_module.Console):
        def on_broken_pipe(self):  # of rich, which would end the process
            raise BrokenPipeError

    console = Console(width=console_width(NARROWEST), highlight=False, soft_wrap=False)
    escape = require("rich.markup", "cli").escape
    return console, lambda text: escape(printable(text))


def _empty_table():
    table_module = require("rich.table", "cli")
    box = require("rich.box", "cli")
    table = table_module.Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("Learner")
    return table


def _curve_tables(axis, places, curves, console, escape):
    means = [{point.place: f"{100 * point.mean:.1f}" for point in curve.points} for curve in curves]
    columns = [
        (place_text(axis, place), [known.get(place, "–") for known in means]) for place in places
    ]
    return _parts([curve.name for curve in curves], columns, console, escape)


#: What is left out of the table, step by step, until it fits.
SHORTER = (
    {"spread": "all", "measures": "all"},
    {"spread": "headlines", "measures": "all"},
    {"spread": "none", "measures": "all"},
    {"spread": "none", "measures": "headlines"},
    {"spread": "none", "measures": "headlines", "cost": False},
)


def _fitting_table(result, console, escape):
    """Return the fullest table that fits the console without cutting a number or a name."""
    for shorter in SHORTER:
        table = _table(result, escape, **shorter)
        if _fits(table, console):
            break
    return table


def _shown_measures(result, which):
    headlines = [result.headline(protocol) for protocol in result.protocols]
    if which == "headlines":
        return headlines
    return [m for protocol in result.protocols for m in shown_measures(result, protocol)]


def _table(result, escape, spread, measures, cost=True):
    table = _empty_table()
    headlines = _shown_measures(result, "headlines")
    shown = _shown_measures(result, measures)
    for measure in shown:
        header = header_of(measure).replace(" ", "\n", 1)
        table.add_column(header, justify="right", no_wrap=True)
    if cost:
        table.add_column("Fit s", justify="right", no_wrap=True)
        table.add_column("Dim", justify="right", no_wrap=True)
    is_search = result.is_search and cost
    if is_search:
        table.add_column("Tried", justify="right", no_wrap=True)
    best = best_of(result)
    for row in result.rows():
        scores = []
        for measure in shown:
            with_spread = spread == "all" or (spread == "headlines" and measure in headlines)
            text = score_text(row, measure, with_spread=with_spread)
            wins = row.mean(measure) is not None and row.mean(measure) == best[measure]
            scores.append(f"[bold green]{text}[/]" if wins else text)
        if not row.scores and any(record.learner == row.key for record in result.records):
            scores[:1] = ["[dim]left[/]" if row.left else "[red]failed[/]"]
        dimension = "–" if row.dimension is None else str(row.dimension)
        cells = [*scores, *([seconds_text(row.fit_seconds), dimension] if cost else [])]
        if is_search:
            cells.append("–" if row.n_tried is None else f"{row.n_tried:.0f}")
        table.add_row(escape(row.name), *cells)
    return table
