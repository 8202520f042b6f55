"""One learner on one split of judgments: tuned, fitted and measured."""

import inspect
import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from metriclearn.compare._fitting import fit_chosen
from metriclearn.compare._judged._measure import (
    HEADLINES,
    judged_scores,
    measure_name,
    pair_threshold,
)
from metriclearn.compare._judged._splits import judged_validation
from metriclearn.compare._learners._learner import Setting
from metriclearn.compare._measuring._measure import embed
from metriclearn.compare._measuring._pictures import learned_matrix
from metriclearn.compare._measuring._training import training_losses
from metriclearn.compare._tables._cleaning import cleaned_names, fit_cleaner, take_rows
from metriclearn.compare._tuning._search import Judge
from metriclearn.constraints import Quadruplets, Triplets


def run_judged(task, X, judged, blank):
    """Tune, fit and measure one learner on one split of judgments.

    Parameters
    ----------
    task : Task
    X : ndarray or DataFrame of shape (n_items, n_features)
    judged : Judged
    blank : FoldRecord
        To be filled in.

    Returns
    -------
    FoldRecord
    """
    split = task.split
    train, test = (judged.part(rows).constraints for rows in (split.train, split.test))
    items = np.unique(train.indices)
    cleaner = fit_cleaner(X, items)
    rows = take_rows(X, np.arange(len(X)), cleaner)
    fitted = _fit(task, rows, judged, len(items))
    with threadpool_limits(1):
        place, named = test.on_named_rows()
        start = time.process_time()
        Z = embed(fitted.estimator, rows[place])
        embed_seconds = (time.process_time() - start) / len(place)
        trained, known = train.on_named_rows()
        threshold = pair_threshold(embed(fitted.estimator, rows[trained]), known)
        matrix = None
        if task.pictures:
            matrix = learned_matrix(fitted.estimator, rows[items], cleaned_names(cleaner))
    return replace(
        blank,
        n_features=rows.shape[1],
        scores=judged_scores(Z, named, split.protocol, threshold),
        dimension=Z.shape[1],
        embed_seconds=embed_seconds,
        bytes_per_row=Z.shape[1] * Z.dtype.itemsize,
        matrix=matrix,
        losses=training_losses(fitted.estimator) if task.axis is None else (),
        **fitted.recorded(),
    )


def _fit(task, rows, judged, n_items):
    split, learner = task.split, task.learner
    inner = None
    if task.rules.tuning.method != "off":
        inner = judged_validation(judged, split.train, split.groups, split.protocol, task.seed)
    make_judge = None
    if inner is not None:
        make_judge = partial(
            ItemJudge,
            rows,
            judged,
            *inner,
            protocol=split.protocol,
            measure=measure_name(HEADLINES[judged.kind], split.protocol),
            max_rows=learner.max_rows,
            seed=task.seed,
        )
    n_named = n_items
    if inner is not None:
        n_named = len(np.unique(judged.constraints.indices[inner[0]]))
    return fit_chosen(
        learner,
        Setting(n_named, rows.shape[1], 2, 2, task.image_shape, task.rules.effort),
        make_judge,
        partial(_fit_capped, rows, judged, split.train, learner.max_rows, task.seed),
        part="judgments",
        n_rows=len(split.train),
        seed=task.seed,
        rules=task.rules,
        dimension=task.place if task.axis == "dimensions" else None,
    )


@dataclass(frozen=True)
class ItemJudge(Judge):
    """Fits a setting on some judgments and judges it by others; ``y`` is ``Judged``."""

    def _fit(self, estimator, n_rows):
        _fit_capped(self.X, self.y, self.fit_rows, n_rows, self.seed, estimator)

    def _score(self, estimator):
        place, named = self.y.part(self.judged_rows).constraints.on_named_rows()
        scores = judged_scores(embed(estimator, self.X[place]), named, self.protocol)
        return scores[self.measure], None


def _fit_capped(rows, judged, train, most, seed, estimator):
    """Fit on at most so many of some judgments; return on how many."""
    if most is not None and len(train) > most:
        train = np.sort(np.random.RandomState(seed).permutation(train)[:most])
    fit_items(estimator, rows, judged.part(train).constraints)
    return len(train)


def fit_items(estimator, X, constraints):
    """Fit an estimator on the items that constraints name.

    Parameters
    ----------
    estimator : transformer or pipeline
        Steps whose ``fit`` takes ``constraints`` get them; others learn from the items alone.
    X : ndarray of shape (n_items, n_features), or DataFrame
    constraints : Pairs or Triplets

    Returns
    -------
    estimator
    """
    place, named = constraints.on_named_rows()
    items = X.iloc[place] if hasattr(X, "iloc") else X[place]
    if not isinstance(estimator, Pipeline):
        given = {"constraints": _as_taken(estimator, named)} if _takes(estimator) else {}
        return estimator.fit(items, **given)
    given = {
        f"{name}__constraints": _as_taken(step, named)
        for name, step in estimator.steps
        if _takes(step)
    }
    return estimator.fit(items, **given)


def _takes(step):
    if isinstance(getattr(step, "_constraint_kinds", None), tuple) and not step._constraint_kinds:
        return False
    return hasattr(step, "fit") and "constraints" in inspect.signature(step.fit).parameters


def _as_taken(step, constraints):
    """Return triplets as quadruplets for learners that take these alone."""
    kinds = getattr(step, "_constraint_kinds", (Triplets,))
    if not isinstance(constraints, Triplets) or Triplets in kinds or Quadruplets not in kinds:
        return constraints
    indices = constraints.indices[:, [0, 1, 0, 2]]
    return Quadruplets(indices, constraints.weights, constraints.n_rows)
