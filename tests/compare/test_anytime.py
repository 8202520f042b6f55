"""A run that ends in time: who gets it, who leaves, what is said."""

import signal
import threading
import time

import numpy as np
import pytest
from helpers.comparisons import without_seconds

from metriclearn.compare import compare
from metriclearn.compare._measuring._splits import Split
from metriclearn.compare._plan import make_seconds
from metriclearn.compare._records import FoldRecord
from metriclearn.compare._roster import ROSTER
from metriclearn.compare._running._anytime import MAX_TESTED, Deadline, run_in_time, sampled_tests
from metriclearn.compare._running._protocol import Task


class Clock:
    """A deadline that knows of no real time."""

    def __init__(self, left):
        self.left = left


def tasks_of(keys, n_rows, n_folds=5):
    return [
        Task(ROSTER[key], Split("closed", fold, np.arange(n_rows), np.arange(9)), fold)
        for fold in range(n_folds)
        for key in keys
    ]


class World:
    """Runs tasks by formulas: validation and seconds by learner and rows."""

    def __init__(self, validation, seconds, clock=None):
        self.validation, self.seconds, self.clock = validation, seconds, clock
        self.ran = []

    def __call__(self, tasks):
        for task in tasks:
            key, rows = task.learner.key, task.learner.max_rows or 10**9
            self.ran.append((key, task.split.fold, rows))
            seconds = self.seconds(key, rows)
            if self.clock is not None:
                self.clock.left -= seconds
            yield FoldRecord(
                key,
                "closed",
                task.split.fold,
                n_train=rows,
                n_test=9,
                validation=self.validation(key, rows),
                task_seconds=seconds,
                error=None if self.validation(key, rows) is not None else "ValueError: no",
                scores={"accuracy": 0.9},
            )


KEYS = ["euclidean", "lda", "lmnn", "nca", "rca", "triplet", "contrastive", "margin"]
STRENGTH = {key: i / 10 for i, key in enumerate(KEYS)}


def run(world, keys=KEYS, n_rows=20_000, left=1e9):
    clock = Clock(left)
    world.clock = clock
    kept = {}
    for record in run_in_time(tasks_of(keys, n_rows), n_rows, world, 1, clock):
        kept[record.cell] = record
    return list(kept.values())


def test_the_free_ones_come_first_and_the_field_halves():
    world = World(lambda key, rows: STRENGTH[key], lambda key, rows: 1.0)
    records = run(world)
    assert [key for key, _, _ in world.ran[:5]] == ["euclidean"] * 5
    first = {key for key, _, rows in world.ran if rows == 1000}
    assert first == set(KEYS) - {"euclidean"}
    second = {key for key, _, rows in world.ran if rows == 4000}
    # Of seven the better four stay, and the best of each family.
    assert second == {"rca", "triplet", "contrastive", "margin"}
    left = {r.learner: r.error for r in records if r.error}
    assert {"lda", "lmnn", "nca"} <= set(left)
    assert all("left the field" in error for error in left.values())
    finished = {r.learner for r in records if not r.error and r.n_train >= 20_000}
    assert finished == {"euclidean", "margin", "contrastive", "rca"}


def test_with_time_enough_those_left_have_all_rows_and_folds():
    world = World(lambda key, rows: STRENGTH[key], lambda key, rows: rows / 1e4)
    records = run(world)
    best = [r for r in records if r.learner == "margin"]
    assert [r.n_train for r in best] == [20_000] * 5
    assert not any(r.rising for r in best)


def test_the_last_round_begins_with_one_fold_of_all_and_the_best_of_each_family():
    world = World(lambda key, rows: STRENGTH[key], lambda key, rows: rows / 1e4)
    run(world, n_rows=4000)
    last = [(key, fold) for key, fold, rows in world.ran if rows == 4000 and fold > 0]
    assert [key for key, fold in last if fold == 1] == ["margin", "rca", "contrastive"]
    assert last == [(key, fold) for key in dict(last) for fold in range(1, 5)]


def test_with_little_time_the_costly_get_fewer_rows_and_are_said_to_rise():
    world = World(
        lambda key, rows: STRENGTH[key] + np.log10(rows) / 20,
        lambda key, rows: 1.0 if key == "euclidean" else rows / 100,
    )
    records = run(world, left=2000.0)
    best = [r for r in records if r.learner == "margin"]
    assert max(r.n_train for r in best) < 20_000
    assert all(r.rising for r in best)
    assert world.clock.left > 0


def test_a_learner_that_fails_leaves_with_its_own_error():
    def validation(key, rows):
        return None if key == "margin" else STRENGTH[key]

    world = World(validation, lambda key, rows: 1.0)
    (record,) = [r for r in run(world) if r.learner == "margin"]
    assert record.error == "ValueError: no"


def test_a_single_learner_of_few_rows_is_fitted_once_a_fold():
    world = World(lambda key, rows: 0.5, lambda key, rows: 1.0)
    run(world, ["lda"], n_rows=300)
    assert sorted(world.ran) == [("lda", fold, 300) for fold in range(5)]


def test_test_parts_are_sampled_alike():
    split = Split("closed", 1, np.arange(5), np.arange(10_000))
    parts = [
        sampled_tests(Task(ROSTER[key], split, 0), lambda split: np.random.RandomState(split.fold))
        for key in ("lda", "nca")
    ]
    assert len(parts[0].split.test) == MAX_TESTED
    np.testing.assert_array_equal(parts[0].split.test, parts[1].split.test)


def test_with_time_enough_the_scores_are_those_without(blobs):
    X, y = blobs
    few = X[y < 3], y[y < 3]
    learners = "majority,euclidean,standardized,lda"
    timed = compare(*few, learners=learners, time="10m")
    plain = compare(*few, learners=learners, effort="quick")
    assert timed.run.time == 600
    assert sorted(r.cell for r in timed.records) == sorted(r.cell for r in plain.records)
    for one, other in zip(timed.records, plain.records, strict=True):
        assert without_seconds(one) == without_seconds(other)


def test_the_run_ends_when_the_time_is_up(blobs):
    class Sleeping(type(ROSTER["euclidean"].make(None)[0])):
        def fit(self, X, y=None):
            time.sleep(60)

    start = time.monotonic()
    result = compare(*blobs, learners={"e": "euclidean", "s": Sleeping()}, time=1, n_folds=2)
    assert time.monotonic() - start < 30
    assert not result.interrupted
    assert result.verdict("accuracy") is None  # a family is missing
    assert {record.learner for record in result.records} == {"e"}


def test_however_little_the_time_the_free_ones_are_there(blobs):
    learners = ["majority", "euclidean", "standardized", "lmnn"]
    result = compare(*blobs, learners=learners, time=1e-3, n_folds=2)
    done = {(r.learner, r.protocol) for r in result.records if r.error is None}
    assert done >= {("majority", "closed"), ("euclidean", "closed"), ("standardized", "open")}
    assert result.sentences() == []  # and no verdict on one fold


def test_the_time_is_up_for_a_background_job_too():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Deadline(0.2):
            signal.raise_signal(signal.SIGINT)  # of the user: ignored, as before
            with pytest.raises(KeyboardInterrupt):
                time.sleep(30)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def in_a_thread(call):
    """Run ``call`` in a thread; return what it returned, or raised, while this one sleeps."""
    answers = []

    def run():
        try:
            answers.append(call())
        except BaseException as error:
            answers.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():  # a signal would interrupt this
        time.sleep(0.01)
    return answers[0]


def test_a_thread_is_interrupted_itself_and_not_the_main_one():
    def wait():
        with Deadline(0.1):
            while True:
                time.sleep(0.01)

    assert isinstance(in_a_thread(wait), KeyboardInterrupt)


@pytest.mark.parametrize("place", [in_a_thread, lambda call: call()], ids=["thread", "main"])
def test_nothing_is_interrupted_once_the_block_is_left(place):
    def leave():
        for _ in range(200):
            try:
                with Deadline(0.001):
                    time.sleep(0.001)
            except KeyboardInterrupt:
                pass
            for _ in range(20):
                time.sleep(0)
        return "whole"

    assert place(leave) == "whole"


def test_a_comparison_in_a_thread_ends_in_time(blobs):
    class Slow(type(ROSTER["euclidean"].make(None)[0])):
        def fit(self, X, y=None):
            while True:
                time.sleep(0.01)

    start = time.monotonic()
    learners = {"e": "euclidean", "s": Slow()}
    result = in_a_thread(lambda: compare(*blobs, learners=learners, time=1, n_folds=2, n_jobs=1))
    assert time.monotonic() - start < 30
    assert {record.learner for record in result.records} == {"e"}
    assert not result.interrupted


@pytest.mark.parametrize("given", ["0s", "-1", "x", "10 min", True, float("inf"), ""])
def test_bad_times_are_one_clear_error(blobs, given):
    with pytest.raises(ValueError, match=r"time=.* must be seconds, or as in '90s'"):
        compare(*blobs, time=given)


def test_times():
    assert [make_seconds(t) for t in (5, "90s", "2m", "1h", "0.5")] == [5, 90, 120, 3600, 0.5]


def test_time_is_of_the_comparison_itself(blobs):
    with pytest.raises(ValueError, match="leave rows, dimensions, shift out"):
        compare(*blobs, time=9, rows=[20])
