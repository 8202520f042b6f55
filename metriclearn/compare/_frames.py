"""A result as tables of pandas."""

from metriclearn._extras import require
from metriclearn.compare._plain import to_plain


def learner_frame(result):
    """Return a row for each learner, best first: means and deviations, then the price."""
    kept = (
        *("fit_seconds", "tune_seconds", "n_tried", "dimension"),
        *("embed_seconds", "bytes_per_row", "error"),
    )
    table = []
    for row in result.rows():
        line = {"learner": row.name, "family": row.family}
        for measure in result.measures:
            line |= {measure: row.mean(measure), f"{measure}_std": row.std(measure)}
        table.append(line | {name: getattr(row, name) for name in kept})
    return _frame(table)


def fold_frame(result):
    """Return a row for each learner, protocol and fold."""
    names = {learner.key: learner.name for learner in result.learners}
    kept = ("protocol", "fold", "fit_seconds", "tune_seconds", "dimension", "error")
    return _frame(
        [
            {
                "learner": names[record.learner],
                **{name: getattr(record, name) for name in kept},
                **record.scores,
            }
            for record in result.records
        ]
    )


def curve_frame(result, axis):
    """Return a row for each learner, measure and place of a curve."""
    return _frame(
        [
            {"learner": drawn.name, "measure": measure, **to_plain(point)}
            for measure in result.measures
            for drawn in result.curve(axis, measure)
            for point in drawn.points
        ]
    )


def _frame(rows):
    return require("pandas", "cli").DataFrame(rows)
