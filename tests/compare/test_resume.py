"""Finished fits kept on disk, and taken up again."""

import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers.comparisons import CHEAP, Broken, without_seconds
from scipy.stats import uniform
from sklearn.preprocessing import StandardScaler

from metriclearn.compare import _run as run
from metriclearn.compare import compare
from metriclearn.compare._running._protocol import run_task
from metriclearn.mahalanobis._soft_neighbors._nca import NCA


@pytest.fixture
def counted(monkeypatch):
    """The tasks that were really run."""
    ran = []

    def count(task, X, y):
        ran.append(task.cell)
        return run_task(task, X, y)

    monkeypatch.setattr(run, "run_task", count)
    return ran


@pytest.fixture(scope="module")
def kept(blobs, tmp_path_factory):
    """A finished comparison and the folder of its fits."""
    folder = tmp_path_factory.mktemp("kept") / "fits"
    return compare(*blobs, learners=[*CHEAP, Broken()], n_folds=3, resume=folder), folder


@pytest.fixture
def folder(kept, tmp_path):
    return shutil.copytree(kept[1], tmp_path / "fits")


KILLED = """
import os, signal, sys
import numpy as np
from metriclearn.compare import _run, compare

def run_then_die(task, X, y, run_task=_run.run_task):
    if len(os.listdir(sys.argv[1])) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return run_task(task, X, y)

_run.run_task = run_then_die
blobs = np.load(sys.argv[2])
learners = ["euclidean", "mahalanobis"]
compare(blobs["X"], blobs["y"], learners=learners, n_folds=3, resume=sys.argv[1])
"""


def test_a_killed_run_goes_on_from_what_it_has(blobs, compared, counted, tmp_path):
    X, y = blobs
    np.savez(tmp_path / "blobs.npz", X=X, y=y)
    command = [sys.executable, "-c", KILLED, tmp_path / "fits", tmp_path / "blobs.npz"]
    assert subprocess.run(command, timeout=120).returncode == -signal.SIGKILL
    result = compare(X, y, learners=CHEAP, n_folds=3, resume=tmp_path / "fits")
    assert len(counted) == 7
    assert result.run.n_resumed == 5
    whole = [record for record in compared.records if record.learner in CHEAP]
    assert [*map(without_seconds, result.records)] == [*map(without_seconds, whole)]


def test_failures_are_tried_again_and_all_else_is_kept(blobs, kept, folder, counted):
    result = compare(*blobs, learners=[*CHEAP, Broken()], n_folds=3, resume=folder)
    assert {cell[0] for cell in counted} == {"Broken"}
    assert len(counted) == 6
    assert list(result.records) == [
        replace(record, task_seconds=again.task_seconds)
        for record, again in zip(kept[0].records, result.records, strict=True)
    ]


def test_a_cell_that_is_not_whole_is_computed_again(blobs, kept, folder, counted):
    cut, changed, *_ = sorted(folder.iterdir())
    cut.write_text(cut.read_text()[:-40])
    changed.write_text(changed.read_text().replace('"error": null', '"error":  "x"'))
    result = compare(*blobs, learners=CHEAP, n_folds=3, resume=folder)
    assert len(counted) == 2
    assert [*map(without_seconds, result.records)] == [
        without_seconds(record) for record in kept[0].records if record.learner in CHEAP
    ]
    assert compare(*blobs, learners=CHEAP, n_folds=3, resume=folder).run.n_resumed == 12


CHANGES = {
    "nothing": ({}, 12),
    "seed": ({"random_state": 1}, 0),
    "tuning": ({"tune": "random"}, 0),
    "budget": ({"tune": "random", "tune_budget": 3}, 0),
    "folds": ({"n_folds": 4}, 6),  # the first three open splits stay what they are
    "space": ({"search_spaces": {"mahalanobis": {"scaler__a": uniform(0, 1)}}}, 6),
    "rows": ({"X": lambda X: X + 1e-12}, 0),
    "labels": ({"y": lambda y: y[::-1]}, 0),
    "shape": ({"image_shape": (5, 1)}, 0),
}


@pytest.mark.parametrize(("change", "n_kept"), CHANGES.values(), ids=CHANGES)
def test_changed_settings_are_not_mixed_up(blobs, folder, change, n_kept):
    X, y = blobs
    change = dict(change)
    X, y = change.pop("X", lambda X: X)(X), change.pop("y", lambda y: y)(y)
    result = compare(X, y, learners=CHEAP, **{"n_folds": 3, **change}, resume=folder)
    assert result.run.n_resumed == n_kept
    again = compare(X, y, learners=CHEAP, **{"n_folds": 3, **change}, resume=folder)
    assert again.run.n_resumed == again.run.n_tasks
    assert again.records == result.records


def test_settings_of_ones_own_learner_are_not_mixed_up(blobs, tmp_path):
    first = compare(*blobs, learners={"mine": NCA(2, max_iter=3)}, n_folds=2, resume=tmp_path)
    other = compare(*blobs, learners={"mine": NCA(3, max_iter=3)}, n_folds=2, resume=tmp_path)
    assert [first.rows()[0].dimension, other.rows()[0].dimension] == [2, 3]
    again = compare(*blobs, learners={"mine": NCA(2, max_iter=3)}, n_folds=2, resume=tmp_path)
    assert again.records == first.records


def test_a_disk_that_fills_up_costs_no_result(blobs, tmp_path, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("metriclearn.compare._running._cells.write_text", full)
    result = compare(*blobs, learners=CHEAP, n_folds=2, resume=tmp_path)
    assert len(result.records) == 8
    assert "could be kept in" in result.data.notes[0]


def test_a_folder_that_cannot_be_used_is_one_clear_error(blobs, tmp_path, counted):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"resume .*file: is not a folder"):
        compare(*blobs, learners=CHEAP, resume=tmp_path / "file")
    with pytest.raises(ValueError, match=r"resume .*no/fits: there is no folder .*no"):
        compare(*blobs, learners=CHEAP, resume=tmp_path / "no" / "fits")

    class Mine(StandardScaler):
        pass

    with pytest.raises(ValueError, match="resume: learner 'Mine' cannot be pickled"):
        compare(*blobs, learners=[Mine()], resume=tmp_path)
    assert counted == []
