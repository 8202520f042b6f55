"""Recall of each class, and what it is taken for."""

from collections import Counter
from dataclasses import dataclass

from metriclearn.compare._verdict._table import records_of

MOST_CLASSES = 60
MOST_CONFUSIONS = 2


@dataclass(frozen=True)
class ClassTable:
    """Classes as rows, metrics as columns.

    Attributes
    ----------
    names : tuple of str
        Of the metrics.
    rows : tuple of (str, int, tuple of (float, tuple of (str, int)))
        Class, test rows over all folds, and for each metric its recall and which classes how many
        rows are taken for.
    n_left_out : int
        Classes that are not shown: those that fare best.
    """

    names: tuple
    rows: tuple
    n_left_out: int


def class_table(result, protocol, keys):
    """Sum the classes over the folds, worst first; None where nothing is known of them."""
    counted = {key: _count(records_of(result, protocol, key)) for key in keys}
    counted = {key: counts for key, counts in counted.items() if counts[0]}
    if not counted:
        return None
    names = {learner.key: learner.name for learner in result.learners}
    class_names = result.data.class_names
    n_rows = next(iter(counted.values()))[0]

    def cell(key, code):
        rows, right, confused = counted[key]
        most = confused.get(code, Counter()).most_common(MOST_CONFUSIONS)
        taken = tuple((class_names[other], n) for other, n in most)
        return (right[code] / rows[code] if rows[code] else None), taken

    rows = [
        (class_names[code], n_rows[code], tuple(cell(key, code) for key in counted))
        for code in sorted(n_rows)
    ]
    rows.sort(key=lambda row: min(recall for recall, _ in row[2] if recall is not None))
    kept = tuple(rows[:MOST_CLASSES])
    return ClassTable(tuple(names[key] for key in counted), kept, len(rows) - len(kept))


def _count(records):
    rows, right, confused = Counter(), Counter(), {}
    for told in (record.by_class for record in records if record.by_class is not None):
        for code, n, n_right in zip(told.classes, told.n_rows, told.n_right, strict=True):
            rows[code] += n
            right[code] += n_right
        for true, taken, n in told.confused:
            confused.setdefault(true, Counter())[taken] += n
    return rows, right, confused
