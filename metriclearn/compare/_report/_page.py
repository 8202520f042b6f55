"""The report: one HTML file with everything in it."""

import base64
import hashlib
import re
from collections import Counter, defaultdict
from importlib.resources import files
from itertools import product

from metriclearn._extras import require
from metriclearn._text import JOINTS, breakable
from metriclearn.compare._measuring._measure import HEADLINE, IN_UNITS, MEASURE_NAMES
from metriclearn.compare._names import FAMILIES
from metriclearn.compare._report._classes import class_table
from metriclearn.compare._report._explore import Explorer, two_metrics
from metriclearn.compare._report._lines import (
    curve_chart,
    growth_chart,
    growth_curves,
    growth_table,
    recall_chart,
    training_cards,
)
from metriclearn.compare._report._matrices import (
    class_key,
    column_table,
    heaviest_features,
    map_chart,
    matrix_chart,
    shown_names,
    weights_image,
)
from metriclearn.compare._report._photos import photo_gallery, pictured
from metriclearn.compare._report._ranks import ranks_chart, time_chart
from metriclearn.compare._verdict._table import records_of
from metriclearn.compare._words import (
    QUESTION_TEXTS,
    answer_text,
    answer_word,
    best_of,
    curve_tables,
    data_lines,
    headline,
    lead_text,
    listed,
    micro_text,
    notes_of,
    protocol_lines,
    rank_answer_text,
    rank_question_text,
    ranking_text,
    score_text,
    seconds_text,
    shown_measures,
    size_text,
    unequal_folds,
    verdict_text,
)

TITLES = {"closed": "Known classes", "open": "Unseen classes"}
CURVE_WORDS = {
    "rows": (
        "Score by training rows",
        "Each learner once more on this many rows of each training part, drawn evenly over the "
        "classes; a longer draw holds the shorter one.",
    ),
    "dimensions": (
        "Score by dimension",
        "The learned space has this many dimensions; learners that cannot choose it are followed "
        "by PCA. A linear metric has no more than the rows have features.",
    ),
    "shift": (
        "Score by shift",
        "Splits of the classes from easy to hard, in the order of the distance between test and "
        "training classes. A line that falls less generalizes better.",
    ),
}


def render(result):
    """Render a comparison as one self-contained HTML page."""
    template = _template("page.html.j2")
    script = _text_of("page.js") + _text_of("explore.js")
    shown = [protocol for protocol in result.protocols if records_of(result, protocol)]
    headlines = {protocol: result.headline(protocol) for protocol in shown}
    has_photos = result.samples is not None and result.samples.pixels
    galleries = {p: photo_gallery(result, p) for p in shown} if has_photos else {}
    galleries = {protocol: gallery for protocol, gallery in galleries.items() if gallery}
    columns = column_table(_named_matrices(result))
    explorer = Explorer(result, pictured, [name for name, _ in columns[1]])
    return template.render(
        style=_text_of("style.css"),
        galleries=galleries,
        pictures=explorer.pictures(set().union(*(g.places for g in galleries.values()))),
        explored={**explorer.data(shown), "joints": JOINTS},
        apart={p: apart for p in shown if (apart := explorer.apart(p)) is not None},
        shown_columns=explorer.columns,
        question_texts=QUESTION_TEXTS,
        script=script,
        policy=_policy(script),
        result=result,
        rows=result.rows(),
        best=best_of(result),
        measures={protocol: shown_measures(result, protocol) for protocol in shown},
        measure_names=MEASURE_NAMES,
        headlines=headlines,
        protocols=shown,
        titles=_titles(result),
        in_units=IN_UNITS,
        score_text=score_text,
        families=FAMILIES,
        verdicts={protocol: result.verdict(headlines[protocol]) for protocol in shown},
        answers={protocol: result.answers(protocol) for protocol in shown},
        findings=data_lines(result),
        protocol_lines=protocol_lines(result),
        notes=notes_of(result),
        unequal_folds=unequal_folds(result),
        recall={protocol: recall_chart(result, protocol) for protocol in shown},
        times={protocol: time_chart(result, headlines[protocol]) for protocol in shown},
        maps={protocol: _maps(result, protocol) for protocol in shown},
        class_key=class_key(result.data.class_names),
        curves=_curves(result),
        class_tables=_class_tables(result, shown),
        growth=_growth(result, shown),
        training=training_cards(result, shown[0]) if shown else [],
        columns=columns,
        matrices=_matrices(result),
        tuned=_tuned(result),
    )


def _titles(result):
    if result.data.judgments:
        return {"closed": "Known items", "open": "New items"}
    return {"closed": "New rows"} if result.data.amounts else TITLES


def render_ranks(result):
    """Render ranks over several data sets as one self-contained HTML page."""
    rankings, questions = [], {}
    for protocol in result.protocols:
        ranking = result.ranks(HEADLINE[protocol])
        if ranking is not None:
            columns = zip(*(learner.scores for learner in ranking.learners), strict=True)
            best = [
                max((score for score in column if score is not None), default=None)
                for column in columns
            ]
            rankings.append((protocol, ranking, best, ranks_chart(ranking)))
            questions[protocol] = result.deep_or_linear(HEADLINE[protocol])
    return _template("ranks.html.j2").render(
        style=_text_of("style.css"),
        policy=_policy(),
        result=result,
        names=[comparison.data.name for comparison in result.comparisons],
        rankings=rankings,
        questions=questions,
        run=result.comparisons[0].run,
        titles=TITLES,
        measure_names=MEASURE_NAMES,
    )


def _policy(script=None):
    """Return what a browser lets the page do: nothing but its own styles, pictures and script."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    if script is not None:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy += f"; script-src 'sha256-{digest}'"
    return policy


def _template(name):
    jinja2 = require("jinja2", "cli")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    words = (
        answer_text,
        answer_word,
        headline,
        lead_text,
        listed,
        micro_text,
        protocol_lines,
        rank_question_text,
        ranking_text,
        seconds_text,
        rank_answer_text,
        size_text,
        verdict_text,
    )
    environment.filters |= {word.__name__: word for word in words}
    environment.filters |= {
        "breakable": _breakable,
        "options_whole": _options_whole,
        "unbroken": _unbroken,
    }
    return environment.from_string(_text_of(name))


def _options_whole(command):
    """Return a command whose options are not broken after their dashes."""
    markup = require("markupsafe", "cli")
    whole = markup.Markup('<span class="option">{}</span>').format
    words = command.split(" ")
    return markup.Markup(" ").join(whole(w) if w.startswith("--") else w for w in words)


def _unbroken(text):
    """Text in which no line ends within ``p = 0.2``, ``< 0.001`` or ``3 s``."""
    return re.sub(r" (= )|(?<=<) |(?<=\d) (?=s\b)", lambda gap: gap[0].replace(" ", "\u00a0"), text)


def _breakable(name):
    """Markup of a name that a narrow column breaks between its words, not within them."""
    markup = require("markupsafe", "cli")
    return markup.Markup("<wbr>").join(breakable(name).split("\N{ZERO WIDTH SPACE}"))


def _text_of(name):
    return files("metriclearn.compare._report").joinpath(name).read_text(encoding="utf-8")


def _curves(result):
    """Charts by axis: a list of (axis, heading, words, [(protocol, svg)])."""
    drawn = {}
    for axis, protocol, places, curves in curve_tables(result):
        drawn.setdefault(axis, []).append((protocol, curve_chart(axis, places, curves)))
    return [(axis, *CURVE_WORDS[axis], cards) for axis, cards in drawn.items()]


def _maps(result, protocol):
    shown = []
    for row in result.rows():
        record = pictured(result, row.key, protocol)
        if record is not None:
            svg = map_chart(record.map, result.data.class_names)
            score = record.scores[result.headline(protocol)]
            shown.append({"key": row.key, "name": row.name, "score": score, "svg": svg})
    return shown


def _class_tables(result, protocols):
    tables = {p: class_table(result, p, two_metrics(result, p)) for p in protocols}
    return {protocol: table for protocol, table in tables.items() if table is not None}


def _growth(result, protocols):
    """Return charts and tables of the growth of classes: {protocol: (svg, marks, rows)}."""
    drawn = {}
    for protocol in protocols:
        curves, n_tested = growth_curves(result, protocol)
        if curves:
            title = f"Expected Recall@1 by number of classes, {protocol} set"
            chart = growth_chart(curves, n_tested, title)
            drawn[protocol] = (chart, *growth_table(curves, n_tested))
    return drawn


def _matrix_of(result, key):
    """Return what a learner learned in the first protocol that was run; None without a matrix."""
    records = [r for r in result.records if (r.learner, r.protocol) == (key, result.protocols[0])]
    return next((record.matrix for record in records if record.matrix is not None), None)


def _named_matrices(result):
    """Return the metrics on columns that have names: a list of (name, Matrix, columns)."""
    found = []
    for row in result.rows():
        matrix = _matrix_of(result, row.key)
        if result.data.image_shape or matrix is None:
            continue
        names = matrix.names or result.data.feature_names
        if matrix.space != "dimensions of an embedding" and names:
            found.append((row.name, matrix, shown_names(names)))
    return found


def _matrices(result):
    shape, sizes = result.data.image_shape, {0, result.data.n_features}
    shown = []
    for row in result.rows():
        matrix = _matrix_of(result, row.key)
        if matrix is None:
            continue
        of_features = matrix.is_of_features
        names = (matrix.names or result.data.feature_names) if of_features else None
        shown.append(
            {
                "name": row.name,
                "svg": matrix_chart(matrix, names),
                "size": matrix.n_features,
                "space": matrix.space
                if len(names or ()) in sizes
                else "numbers made of the columns",
                "weights": weights_image(matrix, shape) if shape and of_features else None,
                "heaviest": heaviest_features(matrix, shown_names(names)) if names else None,
            }
        )
    return shown


def _tuned(result):
    """How often each setting was chosen: a list of (learner, protocol, text)."""
    counts = defaultdict(Counter)
    for record in result.records:
        if not record.error and len(record.tuning) > 1:
            settings = (f"{k.removeprefix('metric__')}={v}" for k, v in record.params.items())
            counts[record.learner, record.protocol][", ".join(settings)] += 1
    lines = []
    for learner, protocol in product(result.learners, result.protocols):
        if chosen := counts.get((learner.key, protocol)):
            total = chosen.total()
            text = "; ".join(f"{text} ({n} of {total})" for text, n in chosen.most_common())
            lines.append((learner.name, _titles(result)[protocol].lower(), text))
    return lines
