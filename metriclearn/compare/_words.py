"""Words and numbers that the terminal and the report share."""

from metriclearn.compare._measure import MEASURE_NAMES
from metriclearn.compare._significance import SIGNIFICANT

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
    """Rows, features and classes of what was compared on."""
    data = result.data
    shape = data.image_shape
    what = f"{data.n_features} features"
    if shape:
        what = "images of " + " × ".join(str(side) for side in shape) + " pixels"
    return f"{data.n_rows} rows, {what}, {data.n_classes} classes"


def protocol_lines(result):
    """Say how it was measured, one line a protocol, and what was done to the data."""
    notes = result.run.protocol_notes
    closed = notes.get("closed", f"{result.run.n_folds} stratified folds")
    lines = [
        f"Closed set (new rows of known classes): {closed}",
        f"Open set (classes never seen in training): {notes.get('open', '')}",
    ]
    return [*lines, tuning_line(result), *result.data.notes]


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
    judged = "on validation rows of the training part"
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


def score_text(row, measure):
    """Mean and spread in percent, e.g. ``98.4 ± 0.6``."""
    mean, std = row.mean(measure), row.std(measure)
    if mean is None:
        return "–"
    return f"{100 * mean:.1f}" if std is None else f"{100 * mean:.1f} ± {100 * std:.1f}"


def best_of(result):
    """Return the highest mean of each measure."""
    rows = result.rows()
    scores = {m: [row.mean(m) for row in rows if m in row.scores] for m in result.measures}
    return {measure: max(values, default=None) for measure, values in scores.items()}


def curve_tables(result, headlines):
    """Curves as tables: a list of (axis, protocol, places, curves), each with a score at all."""
    tables = []
    for axis in result.run.axes:
        for protocol in result.protocols:
            curves = result.curve(axis, headlines[protocol])
            places = sorted({point.place for curve in curves for point in curve.points})
            if places:
                tables.append((axis, protocol, places, curves))
    return tables


def place_text(axis, place):
    """Return a place on an axis, e.g. ``300`` rows or a distance of ``12.3``."""
    return f"{place:.3g}" if axis == "shift" else f"{place}"


def verdict_text(verdict):
    """Say who wins a measure, and from whom it cannot be told apart."""
    name = MEASURE_NAMES[verdict.measure]
    text = f"{verdict.winner} is first, {name} {verdict.score:.1%}"
    if not verdict.against:
        return text + "."
    nearest = verdict.against[0]
    text += f", {lead_text(nearest.lead)} {nearest.name}: {noise_text(nearest)}."
    if not verdict.tied:
        return text + " Its lead over every other learner is beyond the noise of the folds."
    return text + f" Not told apart from it by these folds: {listed(verdict.tied)}."


def question_text(question):
    """Say how the best deep learner stands to the best that is not."""
    deep, linear = seconds_text(question.deep_seconds), seconds_text(question.linear_seconds)
    return (
        f"{question.deep} is {lead_text(question.lead)} {question.linear} in "
        f"{MEASURE_NAMES[question.measure]}, {noise_text(question)}. "
        f"A fit takes {deep} s against {linear} s."
    )


def noise_text(test):
    """Say what a test found."""
    p = test.p_value
    p_text = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
    return f"{'beyond' if test.beyond_noise else 'within'} the noise of the folds ({p_text})"


def lead_text(lead):
    """Say how far ahead or behind a learner is, up to the name of the other one."""
    points = f"{100 * abs(lead):.1f}"
    if points == "0.0":
        return "level with"
    return f"{points} points {'ahead of' if lead > 0 else 'behind'}"


def answer_text(question):
    """Answer whether the best deep learner is worth it, in a word or three."""
    if question.beyond_noise:
        return "Yes" if question.lead > 0 else "No"
    return "Not clearly" if question.lead > 0 else "No sign of it"


def seconds_text(seconds):
    """Seconds with as many digits as mean something."""
    if seconds is None:
        return "–"
    if seconds < 0.01:
        return "< 0.01"
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"


def listed(names):
    """Names as a person would list them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


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
    """What was found out about the data and done about it, a line each."""
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
