"""Mean ranks of learners over experiments: data sets, or dimensions on one of them."""

import numpy as np

from metriclearn.compare._verdict._conclusions import Friedman, Ranked, Ranking
from metriclearn.compare._verdict._significance import SIGNIFICANT
from metriclearn.compare._words import place_text
from metriclearn.metrics._ranks import (
    critical_difference,
    friedman_test,
    not_told_apart,
    rank_scores,
)


def make_ranking(measure, experiments, learners, scores):
    """Rank learners by their scores in several experiments.

    Parameters
    ----------
    measure : str
    experiments : list of str
        Their names.
    learners : sequence of LearnerFacts
    scores : ndarray of shape (n_experiments, n_learners)
        NaN where a learner failed, which counts as last.

    Returns
    -------
    Ranking
    """
    mean_ranks = rank_scores(scores).mean(axis=0)
    n_experiments, n_learners = scores.shape
    difference = critical_difference(n_learners, n_experiments, SIGNIFICANT)
    friedman = None
    if n_learners >= 3:
        test = friedman_test(scores)
        friedman = Friedman(**{name: float(value) for name, value in test.items()})
    names = [learner.name for learner in learners]
    ranked = tuple(
        Ranked(
            key=learners[i].key,
            name=names[i],
            family=learners[i].family,
            mean_rank=float(mean_ranks[i]),
            scores=tuple(None if np.isnan(s) else float(s) for s in scores[:, i]),
        )
        for i in np.argsort(mean_ranks, kind="stable")
    )
    groups = not_told_apart(mean_ranks, difference)
    return Ranking(
        measure=measure,
        datasets=tuple(experiments),
        learners=ranked,
        critical_difference=float(difference),
        friedman=friedman,
        groups=tuple(tuple(names[i] for i in group) for group in groups),
    )


def rank_places(axis, measure, curves):
    """Rank learners over the places of their curves, each of them one experiment.

    Parameters
    ----------
    axis : str
    measure : str
    curves : list of Curve

    Returns
    -------
    Ranking or None
        None for fewer than two places or learners.
    """
    places = sorted({point.place for curve in curves for point in curve.points})
    if len(places) < 2 or len(curves) < 2:
        return None
    scores = np.full((len(places), len(curves)), np.nan)
    for column, curve in enumerate(curves):
        for point in curve.points:
            scores[places.index(point.place), column] = point.mean
    return make_ranking(measure, [place_text(axis, place) for place in places], curves, scores)
