"""Rows of the table and points of the curves, from the records alone."""

import numpy as np

from metriclearn.compare._measure import HEADLINE
from metriclearn.compare._records import Curve, Point, Row, Score


def score_of(scores):
    """Summarize scores over folds; a single one has no standard deviation."""
    std = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
    return Score(float(np.mean(scores)), std, len(scores))


def table_row(learner, records, measures, protocols):
    """Summarize what one learner did.

    Parameters
    ----------
    learner : LearnerFacts
    records : list of FoldRecord
        Its own.
    measures, protocols : list of str

    Returns
    -------
    Row
    """
    done = [record for record in records if not record.error]
    scores = {m: [r.scores[m] for r in done if m in r.scores] for m in measures}
    # The closed set's fits are the larger ones, and every comparison has them.
    timed = [record for record in done if record.protocol == "closed"] or done
    errors = [record.error for record in records if record.error]
    error = errors[0] if errors else None
    if errors and done:
        error = f"failed in {len(errors)} of {len(records)} folds: {errors[0]}"
    elif not records:
        error = "not reached before the interrupt"
    return Row(
        key=learner.key,
        name=learner.name,
        family=learner.family,
        scores={measure: score_of(folds) for measure, folds in scores.items() if folds},
        fit_seconds=_mean([record.fit_seconds for record in timed]),
        tune_seconds=_mean([record.tune_seconds for record in timed]),
        n_tried=_mean([len(record.tuning) for record in done]),
        dimension=max((record.dimension for record in done), default=None),
        folds={p: sum(record.protocol == p for record in done) for p in protocols},
        notes=tuple(sorted({note for record in done for note in record.notes})),
        error=error,
    )


def _mean(values):
    return float(np.mean(values)) if values else None


def best_first(rows, protocols):
    """Sort rows by accuracy, then by MAP@R; failures last."""

    def rank(row):
        means = [row.mean(HEADLINE[protocol]) for protocol in protocols]
        return [-np.inf if mean is None else mean for mean in means]

    return sorted(rows, key=rank, reverse=True)


def curve_of(learner, records, measure, places=None):
    """Summarize a learner's scores along an axis.

    Parameters
    ----------
    learner : LearnerFacts
    records : list of FoldRecord
        Its own, of this axis.
    measure : str
    places : tuple of float, default=None
        What the numbers of the records stand for, where these are numbers of splits.

    Returns
    -------
    Curve
    """
    scores = {}
    for record in records:
        if measure in record.scores:
            place = record.place if places is None else places[record.place]
            scores.setdefault(place, []).append(record.scores[measure])
    points = []
    for place, folds in sorted(scores.items()):
        score = score_of(folds)
        points.append(Point(place, score.mean, score.std, score.n_folds))
    return Curve(learner.key, learner.name, learner.family, tuple(points))
