"""Rows of the table and points of the curves, from the records alone."""

import re

import numpy as np

from metriclearn.compare._measuring._measure import protocol_of
from metriclearn.compare._verdict._conclusions import Curve, Point, Row, Score


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
    scores = {m: list(fold_means(done, m).values()) for m in measures}
    # The closed set's fits are the larger ones, and every comparison has them.
    timed = [record for record in done if record.protocol == "closed"] or done
    errors = [record.error for record in records if record.error]
    error = errors[0] if errors else None
    if errors and done:
        error = f"failed in {len(errors)} of {len(records)} folds: {errors[0]}"
    elif not records:
        error = "not reached before the run ended"
    return Row(
        key=learner.key,
        name=learner.name,
        family=learner.family,
        scores={measure: score_of(folds) for measure, folds in scores.items() if folds},
        fit_seconds=_mean([record.fit_seconds for record in timed]),
        tune_seconds=_mean([record.tune_seconds for record in timed]),
        n_tried=_mean([len(record.tuning) for record in done]),
        dimension=max((r.dimension for r in done if r.dimension is not None), default=None),
        folds={p: len({r.fold for r in done if r.protocol == p}) for p in protocols},
        notes=tuple(_alike(note for record in done for note in record.notes)),
        error=error,
        embed_seconds=_mean([r.embed_seconds for r in timed if r.embed_seconds is not None]),
        bytes_per_row=max((r.bytes_per_row for r in timed if r.bytes_per_row), default=None),
        rising=bool(done) and sum(record.rising for record in done) >= len(done) / 2,
    )


def table_rows(result):
    """Summarize what each learner did, best first.

    Parameters
    ----------
    result : ComparisonResult

    Returns
    -------
    list of Row
    """
    rows = [
        table_row(
            learner,
            [record for record in result.records if record.learner == learner.key],
            result.measures,
            result.protocols,
        )
        for learner in result.learners
    ]
    return best_first(rows, [result.headline(protocol) for protocol in result.protocols])


def _alike(notes):
    """Return notes sorted; of those that differ in numbers alone one is enough."""
    kept = {}
    for note in sorted(notes):
        kept.setdefault(re.sub(r"\d+", "0", note), note)
    return kept.values()


def records_of(result, protocol, key=None):
    """Return the finished records of a protocol, of one learner or of all."""
    return [
        record
        for record in result.records
        if record.protocol == protocol and not record.error and key in (None, record.learner)
    ]


def fold_means(records, measure):
    """Return ``{fold: score}``, the mean over the seeds of a fold."""
    folds = {}
    for record in records:
        if measure in record.scores:
            folds.setdefault(record.fold, []).append(record.scores[measure])
    return {fold: float(np.mean(scores)) for fold, scores in sorted(folds.items())}


def _mean(values):
    return float(np.mean(values)) if values else None


def best_first(rows, headlines):
    """Sort rows by the measures that settle the winners, in this order; failures last."""

    def rank(row):
        means = [row.mean(measure) for measure in headlines]
        return [-np.inf if mean is None else mean for mean in means]

    return sorted(rows, key=rank, reverse=True)


def curves_along(result, axis, measure):
    """Return a curve of each learner that has any points, best first at the last place."""
    places = result.run.axes[axis] if axis == "shift" else None
    records = [
        record
        for record in result.curve_records
        if (record.axis, record.protocol) == (axis, protocol_of(measure)) and not record.error
    ]
    curves = [
        curve_of(learner, [r for r in records if r.learner == learner.key], measure, places)
        for learner in result.learners
    ]
    curves = [curve for curve in curves if curve.points]
    return sorted(curves, key=lambda curve: -curve.points[-1].mean)


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


def failed_points(records, learners):
    """Say which points of curves are missing, and why: one line a learner and axis."""
    failed = {}
    for record in records:
        if record.error:
            failed.setdefault((record.learner, record.axis), []).append(record.error)
    names = {learner.key: learner.name for learner in learners}
    return [
        f"{names[key]}, curve over {axis}: {len(errors)} fits failed: {errors[0]}"
        for (key, axis), errors in sorted(failed.items())
    ]
