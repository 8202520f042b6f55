"""How rows are split, and that no learner sees what it is tested on."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin

from metriclearn.compare._effort import Effort
from metriclearn.compare._fitting import Rules, fit_tuned
from metriclearn.compare._measuring import _splits as splits_module
from metriclearn.compare._measuring._splits import make_splits
from metriclearn.compare._records import Tuning
from metriclearn.compare._roster import (
    GROUPS,
    ROSTER,
    resolve_learners,
)
from metriclearn.compare._running._protocol import Task, run_task

SHORT = Effort("short", 2, (4,), (4,), 3, 1)


def learned_parameters(estimator):
    """Every array that fitting left behind, in every step."""
    steps = [step for _, step in getattr(estimator, "steps", [("", estimator)])]
    arrays = []
    for step in steps:
        if hasattr(step, "net_"):
            arrays += [p.detach().numpy() for p in step.net_.module_.state_dict().values()]
            arrays += [p.detach().numpy() for p in step.net_.criterion_.state_dict().values()]
        else:
            named = [v for k, v in sorted(vars(step).items()) if k.endswith("_")]
            arrays += [v for v in named if isinstance(v, np.ndarray | float | int)]
    return arrays


@pytest.mark.parametrize(
    "tuning",
    [Tuning("few"), pytest.param(Tuning("random", 3), marks=pytest.mark.slow)],
    ids=["few", "random"],
)
@pytest.mark.parametrize("name", ["closed", "open"])
@pytest.mark.parametrize(
    "key",
    [
        pytest.param(k, marks=[] if k in GROUPS["default"] else pytest.mark.slow)
        for k in ROSTER
        if ROSTER[k].reads is None  # others read pixels beside features, which blobs have not
    ],
)
def test_test_labels_never_reach_a_learner(blobs, key, name, tuning):
    X, y = blobs
    splits, _ = make_splits(y, 3, seed=0)
    split = next(split for split in splits if split.protocol == name)
    if name not in ROSTER[key].protocols:
        pytest.skip("a classifier knows nothing of unseen classes")
    kept = []

    def make(setting):
        estimator, grid = ROSTER[key].make(setting)
        kept.append(estimator)
        return estimator, grid

    rules = Rules(tuning, SHORT)
    task = Task(replace(ROSTER[key], make=make), split, seed=0, rules=rules)
    shuffled = y.copy()
    shuffled[split.test] = np.random.RandomState(1).permutation(y[split.test])
    honest, blinded = run_task(task, X, y), run_task(task, X, shuffled)
    assert honest.error is None
    learned = [*map(learned_parameters, kept)]
    assert key in ("euclidean", "cosine") or learned[0]
    for one, other in zip(*learned, strict=True):
        np.testing.assert_array_equal(one, other)
    assert honest.params == blinded.params
    assert honest.tuning == blinded.tuning
    assert len(honest.tuning) <= 3
    assert key == "majority" or honest.scores != blinded.scores


def test_closed_folds_cover_every_row_once(blobs):
    splits, _ = make_splits(blobs[1], 5, seed=0)
    tested = np.concatenate([split.test for split in splits if split.protocol == "closed"])
    np.testing.assert_array_equal(np.sort(tested), np.arange(80))


def test_open_splits_share_no_class(blobs):
    y = blobs[1]
    splits, notes = make_splits(y, 5, seed=0)
    opened = [split for split in splits if split.protocol == "open"]
    assert len(opened) == 5
    for split in opened:
        assert not set(y[split.train]) & set(y[split.test])
        assert len(np.unique(y[split.train])) >= 4
    assert "4 classes and tested on the other 4" in notes["open"]


@pytest.mark.parametrize(("n_classes", "has_open"), [(5, False), (6, True)])
def test_too_few_classes_leave_the_open_set_out(n_classes, has_open):
    splits, notes = make_splits(np.repeat(np.arange(n_classes), 6), 3, seed=0)
    assert any(split.protocol == "open" for split in splits) is has_open
    assert ("5 classes are too few" in notes["open"]) is not has_open


def test_fewer_folds_where_a_class_is_small():
    splits, notes = make_splits(np.r_[np.zeros(20, int), np.ones(3, int)], 5, seed=0)
    assert len(splits) == 3
    assert notes["closed"] == "3 folds, as the smallest class has 3 rows"


@pytest.mark.parametrize("name", ["closed", "open"])
def test_a_setting_is_chosen_on_validation_rows(blobs, name):
    X, y = blobs
    noise = np.c_[X, 40 * np.random.RandomState(0).randn(len(X), 2)]

    class Take(TransformerMixin, BaseEstimator):
        def __init__(self, columns=2):
            self.columns = columns

        def fit(self, X, y):
            self.n_fit_ = len(X)
            return self

        def transform(self, X):
            return X[:, : self.columns]

    own = resolve_learners({"take": Take()})[0]
    grid = [{"columns": 7}, {"columns": 3}, {"columns": 1}]
    learner = replace(own, make=lambda setting: (Take(), grid), family="baseline")
    fitted = fit_tuned(learner, noise, y, protocol=name)
    scores = [trial.score for trial in fitted.tuning]
    assert fitted.params == {"columns": 3}
    assert scores[1] == max(scores) > max(scores[0], scores[2])
    assert fitted.estimator.n_fit_ == len(y)
    untuned = fit_tuned(learner, noise, y, protocol=name, rules=Rules(Tuning("off")))
    assert untuned.params == {"columns": 7}
    assert untuned.tuning == ()


def test_costly_learners_see_a_share_of_many_rows(blobs):
    learner = replace(ROSTER["mahalanobis"], max_rows=40)
    fitted = fit_tuned(learner, *blobs, protocol="closed")
    assert fitted.notes == ("learned from 40 of 80 training rows",)


def test_closed_scores_against_loops(blobs):
    X, y = blobs
    split = next(s for s in make_splits(y, 3, seed=0)[0] if s.protocol == "closed")
    record = run_task(Task(ROSTER["euclidean"], split, 0, Rules(Tuning("off"))), X, y)
    hits = {1: [], 4: []}
    votes = []
    for row in split.test:
        order = np.argsort([np.sum((X[row] - X[other]) ** 2) for other in split.train])
        labels = y[split.train][order]
        votes.append(np.bincount(labels[:3]).argmax() == y[row])
        for k, found in hits.items():
            found.append(y[row] in labels[:k])
    assert record.scores["accuracy"] == pytest.approx(np.mean(votes))
    assert record.recall_at["1"] == pytest.approx(np.mean(hits[1]))
    assert record.recall_at["4"] == pytest.approx(np.mean(hits[4]))


def test_protocol_constants_leave_room_for_each_part():
    assert splits_module.MIN_OPEN_CLASSES == 6
