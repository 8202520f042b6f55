"""The run: the same numbers however it is run, nothing lost on the way."""

import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers.comparisons import CHEAP, Broken, without_seconds
from scipy.sparse import csr_matrix
from sklearn.preprocessing import StandardScaler

from metriclearn.compare import _run as run
from metriclearn.compare import compare
from metriclearn.compare._measuring._splits import Split
from metriclearn.compare._plan import Plan
from metriclearn.compare._records import FoldRecord
from metriclearn.compare._roster import ROSTER, resolve_learners
from metriclearn.compare._running._progress import OVERHEAD, TimeLeft
from metriclearn.compare._running._protocol import Task, run_task
from metriclearn.compare._sources._rows import as_source
from metriclearn.compare._words import unequal_folds


def test_same_seed_same_numbers_in_one_process_and_in_two(blobs, compared):
    again = compare(*blobs, learners=[*CHEAP, Broken()], name="blobs", n_folds=3, n_jobs=2)
    assert [*map(without_seconds, again.records)] == [*map(without_seconds, compared.records)]


def test_another_seed_other_splits(blobs, compared):
    other = compare(*blobs, learners=CHEAP, n_folds=3, random_state=1)
    assert other.rows()[0].mean("accuracy") != compared.rows()[0].mean("accuracy")


def test_a_learner_that_fails_is_a_row_that_says_why(compared):
    rows = {row.name: row for row in compared.rows()}
    assert rows["Broken"].error == "RuntimeError: the machine is on strike"
    assert rows["Broken"].mean("accuracy") is None
    assert compared.rows()[-1].name == "Broken"
    assert rows["Euclidean"].error is None
    assert rows["Euclidean"].folds == {"closed": 3, "open": 3}


def test_missing_torch_is_a_row_with_the_install_command(blobs, monkeypatch):
    make = ROSTER["triplet"].make
    monkeypatch.delitem(sys.modules, "metriclearn.deep", raising=False)

    def without_torch(setting):
        # Away only while the learner is made: scipy itself stumbles over a torch that is None.
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "torch", None)
            return make(setting)

    monkeypatch.setitem(ROSTER, "triplet", replace(ROSTER["triplet"], make=without_torch))
    rows = compare(*blobs, learners=["triplet", "euclidean"], n_folds=2).rows()
    assert rows[0].name == "Euclidean"
    assert rows[1].error == (
        "torch is not installed; it comes with: pip install 'metriclearn[deep]'"
    )


@pytest.fixture
def interrupted_after(monkeypatch):
    def after(n_tasks):
        finished = []

        def task_or_interrupt(task, X, y):
            if len(finished) == n_tasks:
                raise KeyboardInterrupt
            finished.append(task)
            return run_task(task, X, y)

        monkeypatch.setattr(run, "run_task", task_or_interrupt)

    return after


def test_an_interrupt_keeps_what_is_finished(blobs, interrupted_after, tmp_path):
    interrupted_after(5)
    with pytest.warns(UserWarning, match="interrupted: 5 of 12 fits were finished"):
        result = compare(*blobs, learners=CHEAP, n_folds=3)
    assert result.interrupted == "interrupted"
    assert len(result.records) == 5
    assert all(row.mean("accuracy") is not None for row in result.rows())
    result.to_html(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "Stopped early" in text
    assert unequal_folds(result) == [
        "Closed set, folds finished of each: Euclidean 2, Mahalanobis (whitened) 1",
    ]
    assert unequal_folds(result)[0] in text
    assert unequal_folds(replace(result, interrupted=None)) == []


def test_a_learner_not_reached_says_so(blobs, interrupted_after):
    interrupted_after(1)
    with pytest.warns(UserWarning, match="1 of 12"):
        result = compare(*blobs, learners=CHEAP, n_folds=3)
    assert result.rows()[-1].error == "not reached before the run ended"


def test_an_interrupt_before_anything_is_finished_is_an_interrupt(blobs, interrupted_after):
    interrupted_after(0)
    with pytest.raises(KeyboardInterrupt):
        compare(*blobs, learners=CHEAP)


def test_time_left_learns_from_what_is_done():
    learners = resolve_learners(["euclidean", "lmnn"])
    tasks = [
        Task(learner, Split("closed", fold, None, None), 0)
        for fold in range(3)
        for learner in learners
    ]
    left = TimeLeft(tasks, n_jobs=2)
    left.finished(FoldRecord("euclidean", "closed", 0, 2, 1, task_seconds=1.0))
    ratio = (OVERHEAD + ROSTER["lmnn"].cost) / (OVERHEAD + ROSTER["euclidean"].cost)
    assert left.seconds() == pytest.approx((2 * 1.0 + 3 * ratio) / 2)
    left.finished(FoldRecord("lmnn", "closed", 0, 2, 1, task_seconds=10.0))
    assert left.seconds() == pytest.approx((2 * 1.0 + 2 * 10.0) / 2)


def test_progress_names_what_runs(blobs, capsys, monkeypatch):
    for name, value in (("FORCE_COLOR", "1"), ("TTY_INTERACTIVE", "1"), ("COLUMNS", "160")):
        monkeypatch.setenv(name, value)
    compare(*blobs, learners=CHEAP, n_folds=2, verbose=1)
    captured = capsys.readouterr()
    assert captured.out == ""
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", captured.err)
    assert "8/8" in shown
    assert "left" in shown


def test_a_log_has_a_line_for_each_fit(blobs, capsys):
    compare(*blobs, learners=[*CHEAP, Broken()], n_folds=2, verbose=1)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"{i} of 12" for i in range(1, 13)]
    assert sum("Euclidean (closed set, fold 2): k-NN accuracy" in line for line in lines) == 1
    assert sum("Broken (open set, fold 1) failed: RuntimeError" in line for line in lines) == 1
    assert all(line.endswith(" left") for line in lines[:-1])
    assert not lines[-1].endswith("left")


@pytest.mark.parametrize("on_a_terminal", [True, False])
def test_what_a_learner_reached_is_a_line_as_soon_as_it_is_known(
    blobs, capsys, monkeypatch, on_a_terminal
):
    if on_a_terminal:
        for name, value in (("FORCE_COLOR", "1"), ("TTY_INTERACTIVE", "1"), ("COLUMNS", "160")):
            monkeypatch.setenv(name, value)
    learners = ["lda", "euclidean", Broken()]
    result = compare(*blobs, learners=learners, n_folds=3, n_jobs=1, verbose=1)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    said = re.findall(r"(\w+) \((\w+) set[^\n]*?: [^\n]*?([\d.]+)% over 3 fits", shown)
    rows = {row.name: row for row in result.rows()}
    measures = {"closed": "accuracy", "open": "map_at_r"}
    assert said == [
        (name, protocol, f"{100 * rows[name].mean(measures[protocol]):.1f}")
        # The free one first; nothing of the one that failed.
        for name in ("Euclidean", "LDA")
        for protocol in ("closed", "open")
    ]


def test_the_free_come_first_then_a_fold_of_everyone_then_learner_by_learner(blobs):
    source = as_source(*blobs, name="blobs")
    plan = Plan.make(learners=["lmnn", "euclidean", "lda"], n_folds=3).on(source)
    tasks = [(task.learner.key, task.split.fold) for task in plan.schedule().tasks]
    free = [("euclidean", fold) for fold in (0, 0, 1, 1, 2, 2)]
    first = [("lda", 0), ("lmnn", 0)] * 2
    rest = [(key, fold) for key in ("lda", "lmnn") for fold in (1, 1, 2, 2)]
    assert tasks == free + first + rest


def test_silent_by_default(blobs, capsys):
    compare(*blobs, learners=CHEAP, n_folds=2)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_bad_arguments_are_one_clear_error(blobs):
    with pytest.raises(ValueError, match="X and y are both needed"):
        compare(blobs[0], learners=CHEAP)
    with pytest.raises(ValueError, match="n_folds must be an integer of at least 2, got 1"):
        compare(*blobs, learners=CHEAP, n_folds=1)
    with pytest.raises(ValueError, match=r"image_shape=\(2, 2\) has 4 values"):
        compare(*blobs, learners=CHEAP, image_shape=(2, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_folds": 2.5}, "n_folds must be an integer of at least 2, got 2.5"),
        ({"n_folds": "3"}, "n_folds must be an integer of at least 2, got '3'"),
        ({"n_folds": True}, "n_folds must be an integer of at least 2, got True"),
        ({"random_state": None}, "random_state=None must be a whole number from 0"),
        ({"random_state": -1}, "random_state=-1 must be a whole number from 0"),
        ({"random_state": np.random.RandomState(0)}, "random_state=RandomState.* must be a whole"),
        ({"n_jobs": 0}, "n_jobs=0 must be a number of processes, -1 for all cores"),
        ({"n_jobs": "2"}, "n_jobs='2' must be a number of processes"),
        ({"learners": 3}, r"learners must be a list or a dict, as in \[3\]"),
        (
            {"learners": StandardScaler()},
            r"learners must be a list .* as in \[StandardScaler\(\)\]",
        ),
        ({"image_shape": 5}, r"image_shape=5 must be \(height, width\)"),
        ({"image_shape": (-1, -5)}, r"image_shape=\(-1, -5\) must be \(height, width\)"),
        ({"image_shape": (5,)}, r"image_shape=\(5,\) must be \(height, width\)"),
        ({"X": csr_matrix(np.eye(80))}, "X is sparse: .* give X.toarray"),
    ],
)
def test_arguments_of_another_kind_are_refused_before_any_work(
    blobs, monkeypatch, arguments, message
):
    monkeypatch.setattr(run, "run_task", None)
    X, y = blobs
    with pytest.raises(ValueError, match=message):
        compare(**{"learners": CHEAP, "X": X, "y": y, **arguments})
