"""Results as JSON files, of one name and version, older ones read; and as tables of pandas."""

import json

from metriclearn._extras import require
from metriclearn._files import check_writable, open_regular, write_text
from metriclearn._format import Format, checksum, parse_json
from metriclearn.compare._plain import to_plain

#: Fields that were added since a version have defaults, so that any of them is read as it is.
FORMAT = Format("metriclearn comparison", {3: dict})
# Before version 3 the version was part of the name.
OLDER = ("metriclearn comparison 2", "metriclearn ranking 1")


def write_document(path, document):
    """Write a document, whole or not at all.

    Parameters
    ----------
    path : str or path
    document : dict
    """
    check_writable(path, "to_json:")
    document = json.loads(json.dumps({**FORMAT.head, **document}))
    document = {**document, "sha256": checksum(document)}
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def read_document(path):
    """Read a document of this version or an older one.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict
    """
    with open_regular(path) as stream:
        document = parse_json(stream.read(), path)
    if isinstance(document, dict) and document.get("format") in OLDER:
        return document
    read = FORMAT.reader(document, path)
    written = document.pop("sha256", None)
    if written is not None and written != checksum(document):
        raise ValueError(f"{path} is damaged or was edited: its checksum is another")
    return read(document)


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
