"""Processes that die, parents that die, and what is left of the run."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.comparisons import CHEAP, without_seconds
from joblib import Parallel
from sklearn.base import BaseEstimator, TransformerMixin

from metriclearn.compare import compare
from metriclearn.compare._running import _workers


class Dying(TransformerMixin, BaseEstimator):
    """Ends its process as often as its file allows."""

    def __init__(self, folder, times, parent):
        self.folder = folder
        self.times = times
        self.parent = parent

    def fit(self, X, y=None):
        assert os.getpid() != self.parent
        n_before = len(list(Path(self.folder).iterdir()))
        if n_before < self.times:
            (Path(self.folder) / f"{n_before}").touch()
            os._exit(9)
        return self

    def transform(self, X):
        return X


@pytest.fixture
def few(blobs):
    """Three classes: no open set."""
    X, y = blobs
    return X[y < 3], y[y < 3]


def test_a_process_that_dies_once_costs_nothing(few, tmp_path):
    dying = Dying(tmp_path, 1, os.getpid())
    result = compare(*few, learners=[*CHEAP, dying], n_folds=2, n_jobs=2)
    assert not result.interrupted
    assert [row.error for row in result.rows()] == [None] * 3
    alone = compare(*few, learners=CHEAP, n_folds=2)
    kept = [without_seconds(r) for r in result.records if r.learner in CHEAP]
    assert kept == [*map(without_seconds, alone.records)]


def test_no_more_processes_are_started_than_there_are_fits(few, monkeypatch):
    asked = []

    def pool(n_jobs, **options):
        asked.append(n_jobs)
        return Parallel(1, **options)

    monkeypatch.setattr(_workers, "Parallel", pool)
    compare(*few, learners="euclidean", n_folds=3, n_jobs=10**6)
    assert asked == [3]


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals of POSIX")
def test_an_interrupt_waits_for_the_start_of_processes_and_spares_them():
    ask = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    started = []

    def start_during_an_interrupt():
        with _workers._without_interrupts(is_for_processes=True):
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            child = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
            started.append(child.stdout)

    with pytest.raises(KeyboardInterrupt):
        start_during_an_interrupt()
    assert "SIGINT" in started[0]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


class Growing(TransformerMixin, BaseEstimator):
    """Keeps so much memory that its process is taken for one that leaks."""

    kept = []

    def fit(self, X, y=None):
        time.sleep(1.1)
        self.kept.append(np.ones(int(5e7)))
        return self

    def transform(self, X):
        return X


@pytest.mark.slow
def test_a_process_that_is_replaced_for_its_size_is_not_warned_of(few):
    result = compare(*few, learners=[*CHEAP, Growing()], n_folds=5, n_jobs=2)
    assert [row.error for row in result.rows()] == [None] * 3


@pytest.mark.slow
def test_a_process_that_dies_again_is_a_failure_of_its_fit_alone(few, tmp_path):
    dying = Dying(tmp_path, 10**6, os.getpid())
    result = compare(*few, learners=[*CHEAP, dying], n_folds=2, n_jobs=2)
    rows = {row.key: row for row in result.rows()}
    assert rows["Dying"].error.startswith("its process died twice, perhaps for want of memory")
    assert [rows[key].error for key in CHEAP] == [None, None]
    assert len(result.records) == 6


SLEEPING = """
import sys, time
import numpy as np
from pathlib import Path
from sklearn.base import BaseEstimator, TransformerMixin
from metriclearn.compare import compare

class Sleeping(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        import os
        Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["FOLDER"], str(os.getpid())).touch()
        time.sleep(60)
    def transform(self, X):
        return X

rng = np.random.RandomState(0)
compare(rng.randn(40, 2), np.repeat([0, 1], 20), learners=[Sleeping()], n_folds=2, n_jobs=2)
"""


def _is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    env = {**os.environ, "FOLDER": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", SLEEPING, str(tmp_path)], env=env)
    end = time.monotonic() + 60
    while len(workers := [int(file.name) for file in tmp_path.iterdir()]) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while any(map(_is_alive, workers)):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_names_of_a_hostile_table_reach_neither_terminal_nor_bar(capsys, monkeypatch, blobs):
    for name, value in (("FORCE_COLOR", "1"), ("TTY_INTERACTIVE", "1"), ("COLUMNS", "200")):
        monkeypatch.setenv(name, value)
    hostile = "a [/b] c\x1b]0;OWNED\x07"
    result = compare(*blobs, learners={hostile: "euclidean"}, name=hostile, n_folds=2, verbose=1)
    result.show()
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert "\x1b]0;" not in text
        assert "\x07" not in text
        assert "a [/b] c\\x1b]0;OWNED\\x07" in text
    assert np.isfinite(result.rows()[0].mean("accuracy"))
