"""Words and numbers that the terminal and the report share."""

AXIS_NAMES = {
    "rows": "training rows",
    "dimensions": "dimensions",
    "shift": "Fréchet distance from train to test classes",
}


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
    return [*lines, tuning_line(result), *result.data["notes"]]


def tuning_line(result):
    """Say how settings were chosen, and what each learner might spend on it."""
    tuning = result.run["tuning"]
    if tuning["method"] == "off":
        return "Tuning: none, every learner has its first setting"
    budget = "the few settings of the line-up"
    if tuning["method"] != "few":
        spent = f"{tuning['n_fits']} fits"
        if tuning["seconds"] is not None:
            spent = f"{tuning['seconds']:g} seconds"
        search = {"grid": "grid", "random": "random search", "halving": "successive halving"}
        budget = f"{search[tuning['method']]}, at most {spent} for each learner in each fold"
    judged = "on validation rows of the training part"
    if "open" in result.protocols:
        judged += ", for the open set on validation classes"
    return f"Tuning: {budget}, {judged}"


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


def best_of(result):
    """The highest mean of each measure."""
    rows = result.rows()
    scores = {m: [row[m] for row in rows if row[m] is not None] for m in result.measures}
    return {measure: max(values, default=None) for measure, values in scores.items()}


def curve_tables(result, headlines):
    """Curves as tables: a list of (axis, protocol, places, curves), each with a score at all."""
    tables = []
    for axis in result.run["axes"]:
        for protocol in result.protocols:
            curves = result.curve(axis, headlines[protocol])
            places = sorted({point["place"] for curve in curves for point in curve["points"]})
            if places:
                tables.append((axis, protocol, places, curves))
    return tables


def place_text(axis, place):
    """A place on an axis, e.g. ``300`` rows or a distance of ``12.3``."""
    return f"{place:.3g}" if axis == "shift" else f"{place}"
