"""Words and numbers that the terminal and the report share."""

from metriclearn._text import option
from metriclearn.compare._measuring._measure import IN_UNITS, MEASURE_NAMES, MEASURED_ON
from metriclearn.compare._verdict._significance import MIN_FOLDS, SIGNIFICANT, detectable

SEARCH_NAMES = {"grid": "grid", "random": "random search", "halving": "successive halving"}
AXIS_NAMES = {
    "rows": "training rows",
    "dimensions": "dimensions",
    "shift": "Fréchet distance from train to test classes",
}


def headline(result):
    """Say in one line what was compared on."""
    return f"{result.data.name}: {size_text(result)}"


def size_text(result):
    """Return rows, features and classes of what was compared on."""
    data = result.data
    shape = data.image_shape
    what = f"{data.n_features} features"
    if shape:
        what = "images of " + " × ".join(str(side) for side in shape) + " pixels"
    target = f"{data.n_classes} classes"
    if data.amounts:
        target = f"amounts from {data.amounts[0]:g} to {data.amounts[-1]:g}"
    if data.judgments:
        judged = data.judgments
        return f"{data.n_rows} items, {what}, {judged.n_judgments} {judged.kind}"
    return f"{data.n_rows} rows, {what}, {target}"


def protocol_lines(result):
    """Say how it was measured, one line a protocol, and what was done to the data."""
    notes = result.run.protocol_notes
    if result.data.amounts:
        how = notes.get("closed", "")
        lines = [f"Regression by the mean of the nearest neighbors: {how}", amounts_line(result)]
        return [*lines, tuning_line(result), *result.data.notes]
    if result.data.judgments:
        lines = [
            f"Known items (new judgments of them): {notes.get('closed', '')}",
            f"New items (never judged in training): {notes.get('open', '')}",
        ]
        return [*lines, judgments_line(result), tuning_line(result), *result.data.notes]
    closed = notes.get("closed", f"{result.run.n_folds} stratified folds")
    lines = [
        f"Closed set (new rows of known classes): {closed}",
        f"Open set (classes never seen in training): {notes.get('open', '')}",
    ]
    return [*lines, classes_line(result), tuning_line(result), *result.data.notes]


def amounts_line(result):
    """Say how amounts are spread, in whose units the median error is."""
    least, low, middle, high, most = result.data.amounts
    return (
        f"Amounts from {least:g} to {most:g}, half of them from {low:g} to {high:g}; the median "
        f"is {middle:g}. R² is the share of their variance that is explained; the median error is "
        f"in their units"
    )


def judgments_line(result):
    """Say what the scores of judgments mean."""
    judged = result.data.judgments
    if judged.kind == "triplets":
        return (
            "Agreement is the share of triplets whose nearer item is nearer, equal distances "
            "counting half; guessing has 50%"
        )
    return (
        f"{judged.n_similar} of the pairs are similar. Pair AUC is the chance that a similar pair "
        f"is nearer than a dissimilar one (guessing has 50%), pair accuracy the share that is "
        f"decided right at a threshold chosen in training"
    )


def classes_line(result):
    """Say how large the classes are, and what guessing the largest one scores."""
    counts = result.data.class_counts
    if not counts:
        return "Classes: sizes unknown"
    least, most = min(counts), max(counts)
    sizes = f"of {least} to {most} rows" if least < most else f"of {most} rows each"
    share = most / sum(counts)
    return f"Classes {sizes}; guessing the largest is right in {share:.1%} of rows"


def tuning_line(result):
    """Say how settings were chosen, and what each learner might spend on it."""
    tuning = result.run.tuning
    if tuning.method == "off":
        return "Tuning: none, every learner has its first setting"
    budget = "the few settings of each learner"
    if tuning.method != "few":
        spent = f"{tuning.n_fits} fits"
        if tuning.seconds is not None:
            spent = f"{tuning.seconds:g} seconds"
        budget = f"{SEARCH_NAMES[tuning.method]}, at most {spent} for each learner in each fold"
    budget += f", effort {result.run.effort}"
    if result.run.time is not None:
        budget += f", all within {result.run.time:g} s"
    judged = "on validation rows of the training part"
    if result.data.judgments:
        return f"Tuning: {budget}, on judgments that are held out of the training part"
    if "open" in result.protocols:
        judged += ", for the open set on validation classes"
    return f"Tuning: {budget}, {judged}"


def notes_of(result):
    """Collect the learners' notes: note -> names of those it is true of."""
    collected = {}
    for row in result.rows():
        for note in row.notes:
            collected.setdefault(note, []).append(row.name)
    return collected


def unequal_folds(result):
    """Say how many folds each learner has, where an interrupt left them unequal: one line each."""
    if not result.interrupted:
        return []
    rows, lines = result.rows(), []
    for protocol in result.protocols:
        counts = {row.name: row.folds[protocol] for row in rows}
        if len(set(counts.values())) > 1:
            listing = ", ".join(f"{name} {count}" for name, count in counts.items())
            lines.append(f"{protocol.capitalize()} set, folds finished of each: {listing}")
    return lines


def score_text(row, measure, *, with_spread=True):
    """Return mean and spread in percent, e.g. ``98.4 ± 0.6``."""
    mean, std = row.mean(measure), row.std(measure)
    if mean is None:
        return "–"
    if measure in IN_UNITS:
        spread = f" ± {std:.2g}" if with_spread and std is not None else ""
        return f"{mean:.3g}{spread}"
    if std is None or not with_spread:
        return f"{100 * mean:.1f}"
    return f"{100 * mean:.1f} ± {100 * std:.1f}"


def shown_measures(result, protocol):
    """Return the measures of a protocol that tables show.

    Where classes are of one size, the mean over them says the same as the accuracy.
    """
    measures = result.measures_of(protocol)
    if result.headline(protocol) == "accuracy":
        return [measure for measure in measures if measure != "balanced_accuracy"]
    return measures


def best_of(result):
    """Return the highest mean of each measure."""
    rows = result.rows()
    scores = {m: [row.mean(m) for row in rows if m in row.scores] for m in result.measures}
    return {
        measure: (min if measure in IN_UNITS else max)(values, default=None)
        for measure, values in scores.items()
    }


def header_of(measure):
    """Return the name of a measure with its unit: percent, but for those in units of the target."""
    return MEASURE_NAMES[measure] + ("" if measure in IN_UNITS else " %")


def protocol_name(result, protocol):
    """Return what a protocol is called in a sentence."""
    return MEASURED_ON[result.headline(protocol)]


def curve_tables(result):
    """Curves as tables: a list of (axis, protocol, places, curves), each with a score at all."""
    tables = []
    for axis in result.run.axes:
        for protocol in result.protocols:
            curves = result.curve(axis, result.headline(protocol))
            places = sorted({point.place for curve in curves for point in curve.points})
            if places:
                tables.append((axis, protocol, places, curves))
    return tables


def place_text(axis, place):
    """Return a place on an axis, e.g. ``300`` rows or a distance of ``12.3``."""
    return f"{place:.3g}" if axis == "shift" else f"{place}"


UNFINISHED = "stopped before every family had a score, so there is no verdict."
QUESTION_TEXTS = {
    "scaling": "Is scaling enough?",
    "learning": "Is learning a metric worth it?",
    "deep": "Is a deep metric worth it over a linear one?",
    "linear_on_deep": "Is a linear metric on a deep one worth it?",
    "frozen": "Is training worth it over frozen features?",
    "fine_tuning": "Is fine-tuning worth it over a linear map?",
}


def verdict_text(verdict, run):
    """Say who wins a measure, from whom it cannot be told apart, and who was cut short."""
    name = MEASURE_NAMES[verdict.measure]
    text = f"{verdict.winner} has {name} {verdict.score:.1%}"
    if verdict.by_validation and verdict.against:
        text += ", and was the best on validation data"
    if verdict.chance is not None:
        text += f"; guessing has {verdict.chance:.1%}"
    parts = [f"{text}.", *_standing(verdict, run)]
    if verdict.rising:
        parts.append(f"{cut_short_text(run)}: {shortlist(verdict.rising)}.")
    return " ".join(parts)


def _standing(verdict, run):
    """Say how the winner stands to the others, in sentences."""
    if verdict.n_folds < MIN_FOLDS:
        return [too_few_text(verdict.n_folds)]
    if verdict.over_chance is False:
        return ["That is not told apart from guessing: there is no winner."]
    if not verdict.against:
        return []
    if not verdict.tied:
        return ["Its lead over every other metric is beyond the noise of the folds."]
    parts = [f"Not told apart from it: {shortlist(verdict.tied)}."]
    if verdict.simplest != verdict.winner:
        parts.append(f"The simplest not behind it even if tested alone is {verdict.simplest}.")
    leads = [entry.lead for entry in verdict.against if not entry.is_told]
    leads = [lead for lead in leads if lead.n_folds >= MIN_FOLDS]  # fewer after an interrupt
    return [*parts, *([power_text(verdict.winner, leads, run)] if leads else [])]


def cut_short_text(run):
    """Say what ended the training of learners that might gain from more."""
    if run.time is not None:
        return "Still rising when the time was up"
    if run.effort == "quick":
        return f"Cut short by {option('effort', 'quick')}"
    return "Still rising when its training was ended"


def too_few_text(n_folds):
    """Say that there is no test, and what to do."""
    folds = "fold is" if n_folds == 1 else "folds are"
    return f"{n_folds} {folds} too few to tell a lead from chance; {MIN_FOLDS} folds are needed."


def power_text(winner, leads, run):
    """Say which leads of the winner these folds could have detected, and how to detect smaller."""
    now, then = map(span_text, detectable(leads, run.repeats))
    by_whom = ", by the other learner" if " to " in now else ""
    return (
        f"The smallest lead of {winner} that these folds can detect is {now} "
        f"points{by_whom}; {option('repeats', 4)} brings it to about {then}."
    )


def span_text(scores):
    """Return the least and the greatest difference of scores in percentage points."""
    return " to ".join(dict.fromkeys([points_text(min(scores)), points_text(max(scores))]))


def answer_line(answer, among=()):
    """Return a question of the first card with its answer, in one line."""
    return f"{QUESTION_TEXTS[answer.question]} {answer_word(answer)}. {answer_text(answer, among)}"


def answer_word(answer):
    """Return the answer in a word or three."""
    word = answer.answer
    if answer.question == "scaling" and word == "yes":
        return "Yes, as far as these folds can tell"
    return word.capitalize()


def answer_text(answer, among=()):
    """Say how the two sides stand, and what they cost; once where those before it say the same."""
    before = among[: among.index(answer)] if among else ()
    if any(other.pair == answer.pair for other in before):
        return f"By the same lead, of {' over '.join(answer.pair)}. {answer.caveat}".rstrip()
    text = (
        f"{answer.learner} is {lead_text(answer.lead.mean)} {answer.against}"
        f"{interval_text(answer.lead)}; {price_text(answer.price, answer.price_against)}."
    )
    if answer.rising:
        text += f" Cut short in training: {listed(answer.rising)}."
    if answer.lead.is_close:
        text += " A close call: other folds, seeds or settings may answer otherwise."
    return f"{text} {answer.caveat}".rstrip()


def interval_text(lead):
    """Return the 95 % interval of a lead in parentheses; nothing with too few folds."""
    if lead.low is None:
        return ""
    return f" (95% interval {100 * lead.low:+.1f} to {100 * lead.high:+.1f})"


def price_text(price, other):
    """Say what a fit, the embedding of a row and its bytes cost on both sides."""
    fits = _both(seconds_text(price.fit_seconds), seconds_text(other.fit_seconds), "s")
    parts = [f"a fit takes {fits}"]
    if price.embed_seconds is not None and other.embed_seconds is not None:
        micro = micro_text(price.embed_seconds), micro_text(other.embed_seconds)
        parts.append("embedding a row " + _both(*micro, "µs"))
        parts.append("its vector " + _both(price.bytes_per_row, other.bytes_per_row, "bytes"))
    return ", ".join(parts)


def _both(first, second, unit):
    """Say two amounts of a unit; once where they are the same."""
    if first == second:
        return f"{first} {unit} on both sides"
    return f"{first} against {second} {unit}"


def micro_text(seconds):
    """Return seconds as microseconds."""
    micro = 1e6 * seconds
    return f"{micro:.1f}" if micro < 10 else f"{micro:.0f}"


def points_text(score):
    """Return a difference of scores in percentage points."""
    return f"{100 * score:.1f}"


def lead_text(lead):
    """Say how far ahead or behind a learner is, up to the name of the other one."""
    points = points_text(abs(lead))
    if points == "0.0":
        return "level with"
    return f"{points} points {'ahead of' if lead > 0 else 'behind'}"


def seconds_text(seconds):
    """Return seconds with as many digits as mean something."""
    if seconds is None:
        return "–"
    if seconds < 0.01:
        return "<0.01"
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"


def listed(names):
    """Return names as a person would list them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def shortlist(names):
    """Return names as a person would list them; of more than five the first four and a number."""
    names = list(names)
    if len(names) <= 5:
        return listed(names)
    return f"{', '.join(names[:4])} and {len(names) - 4} others"


def rank_answer_text(question):
    """Answer whether the best deep learner is worth it, by mean ranks."""
    if question.beyond_noise:
        return "Yes" if question.lead > 0 else "No"
    return "Not clearly" if question.lead > 0 else "No sign of it"


def rank_question_text(question):
    """Say how the best deep learner's mean rank stands to that of the best that is not."""
    how_far = "more" if question.beyond_noise else "less"
    return (
        f"{question.deep} has mean rank {question.deep_rank:.2f}, "
        f"{question.linear} {question.linear_rank:.2f} by "
        f"{MEASURE_NAMES[question.measure]}: {how_far} than the critical difference apart."
    )


def ranking_text(ranking):
    """Say who has the best mean rank, and from whom it cannot be told apart."""
    first, *others = ranking.learners
    name = MEASURE_NAMES[ranking.measure]
    text = (
        f"{first.name} has the best mean rank, {first.mean_rank:.2f} of {len(others) + 1} "
        f"by {name} on {len(ranking.datasets)} data sets"
    )
    friedman = ranking.friedman
    if friedman is not None and friedman.p_value >= SIGNIFICANT:
        return f"{text}; the Friedman test finds no difference (p = {friedman.p_value:.2g})."
    if friedman is not None:
        p = friedman.p_value
        text += f" (Friedman test p {'< 0.001' if p < 0.001 else f'= {p:.2g}'})"
    text += f". The critical difference is {ranking.critical_difference:.2f}"
    reach = first.mean_rank + ranking.critical_difference
    tied = [other.name for other in others if other.mean_rank < reach]
    if not tied:
        return f"{text}: every other learner is worse."
    return f"{text}: not told apart from it: {listed(tied)}."


def data_lines(result):
    """Return what was found out about the data and done about it, a line each."""
    told = [
        f"{note.column}: {note.text}"
        for note in result.data.columns
        if note.text and not note.text.endswith("left out")
    ]
    more = [f"and {len(told) - MAX_COLUMN_LINES} more columns, in the report"]
    return [
        *(f"{finding.text} {finding.action}" for finding in result.findings),
        *told[:MAX_COLUMN_LINES],
        *(more if len(told) > MAX_COLUMN_LINES else []),
    ]


MAX_COLUMN_LINES = 20


def sentences_of(result, with_answers):
    """Say what was found: one sentence a protocol, and the answers of the first card."""
    lines = []
    for protocol in result.protocols:
        verdict = result.verdict(result.headline(protocol))
        if verdict is None:
            if result.interrupted and any(r.protocol == protocol for r in result.records):
                lines.append(f"{protocol.capitalize()} set: {UNFINISHED}")
            continue
        where = protocol_name(result, protocol).capitalize()
        lines.append(f"{where}: {verdict_text(verdict, result.run)}")
        if with_answers:
            answers = result.answers(protocol)
            lines += [answer_line(answer, answers) for answer in answers]
    lines += _of_known_items_alone(result) if lines and result.data.judgments else []
    kinds = {finding.kind for finding in result.findings}
    return lines + [text for kind, text in CAVEATS.items() if lines and kind in kinds]


def _of_known_items_alone(result):
    """Say what a lead on known items is worth for others, where new items do not show it."""
    answers = {each: result.answer("learning", result.headline(each)) for each in result.protocols}
    worth = {each for each, answer in answers.items() if answer and answer.answer == "yes"}
    if worth != {"closed"}:
        return []
    return [
        f"What was learned of the known items may hold for these {result.data.n_rows} alone: how "
        f"they happen to lie is the same in all folds. New items are the test, and do not show it."
    ]


#: What a verdict takes for granted, by the kind of the finding.
CAVEATS = {
    "giveaway": "All of this rests on columns that give the label away: see the findings.",
    "repeated_measurements": "All of this may be for new rows of things that are known, and not "
    "for new things: see the findings.",
}
