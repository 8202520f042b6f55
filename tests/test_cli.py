"""The command: a table, a report and numbers out, and what an interrupt leaves."""

import builtins
import io
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers.commands import compare, write_images

from metriclearn import __version__, cli
from metriclearn.compare import LEARNER_NAMES, ComparisonResult
from metriclearn.compare import _run as run
from metriclearn.compare import compare as compare_metrics
from metriclearn.compare._running._protocol import run_task


@pytest.fixture(scope="module")
def compared_six():
    y = np.repeat(np.arange(6), 6)
    X = np.random.RandomState(0).randn(36, 3) + 2 * np.random.RandomState(1).randn(6, 3)[y]
    learners = "majority,euclidean,standardized,mahalanobis,lda"
    result = compare_metrics(X, y, learners=learners, n_folds=2, effort="quick")
    *short, lda = result.learners
    assert lda.key == "lda"
    return replace(result, learners=(*short, replace(lda, name="RCA or LFDA on Proxy-Anchor")))


# What comes out


def test_table_report_and_numbers(tmp_path, capsys):
    report, numbers = tmp_path / "r.html", tmp_path / "r.json"
    assert compare("iris", "--report", report, "--json", numbers) == 0
    printed = capsys.readouterr().out
    assert "iris: 150 rows, 4 features, 3 classes" in printed
    assert "3 classes are too few" in printed
    assert "accuracy %" in printed
    assert "MAP@R" not in printed
    assert printed.index("Euclidean  ") < printed.index("Mahalanobis (whitened)  ")
    assert f"wrote {report}" in printed
    result = ComparisonResult.from_json(numbers)
    assert result.run.command.startswith("metriclearn compare iris --report ")
    assert "metriclearn compare iris" in report.read_text()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["r.html", "r.json"]


def test_both_protocols_side_by_side(tmp_path, capsys):
    y = np.repeat(np.arange(6), 6)
    X = np.random.RandomState(0).randn(36, 3) + 4 * y[:, None]
    np.savez(tmp_path / "six.npz", X=X, y=y)
    assert compare(tmp_path / "six.npz") == 0
    printed = capsys.readouterr().out
    for measure in ("accuracy %", "Recall@1", "R-precision", "MAP@R"):
        assert measure in printed


def test_several_sources_are_ranked(tmp_path, iris_frame, capsys):
    iris_frame.to_csv(tmp_path / "flowers.csv", index=False)
    report, numbers = tmp_path / "r.html", tmp_path / "r.json"
    sources = ["wine", tmp_path / "flowers.csv", "iris", "--target", "species"]
    assert compare(*sources, "--report", report, "--json", numbers) == 0
    printed = capsys.readouterr().out
    assert re.search(r"Learner +Mean rank +wine +flowers +iris *\n", printed)
    assert "has the best mean rank" in printed
    assert "3 data sets: which distance?" in report.read_text()
    assert "critical_difference" in numbers.read_text()


def test_curves_are_printed(tmp_path, capsys):
    assert compare("iris", "--rows", "20,70", "--dimensions", "1,3") == 0
    printed = capsys.readouterr().out
    assert "k-NN accuracy % by training rows" in printed
    assert re.search(r"Learner +20 +70 *\n", printed)
    assert re.search(r"Learner +1 +3 *\n", printed)


def test_tuning_says_what_it_spends(tmp_path, capsys):
    report = tmp_path / "r.html"
    tune = ["--tune", "random", "--budget", "3", "--report", report]
    assert (
        cli.main(
            [
                *map(str, ["compare", "iris", "--folds", 2, "--n-jobs", 1]),
                *map(str, tune),
                "--learners",
                "lmnn,mahalanobis",
            ]
        )
        == 0
    )
    printed = " ".join(capsys.readouterr().out.split())
    assert "Tuning: random search, at most 3 fits for each learner in each fold" in printed
    assert "Tried" in printed
    assert "random search, at most 3 fits" in report.read_text()
    assert "n_neighbors=" in report.read_text()


def test_a_table_goes_through_the_whole_command(tmp_path, iris_frame, capsys):
    iris_frame.to_csv(tmp_path / "flowers.csv", index=False)
    report = tmp_path / "r.html"
    assert compare(tmp_path / "flowers.csv", "--target", "species", "--report", report) == 0
    assert "heaviest: " in report.read_text()
    assert "flowers: 150 rows" in capsys.readouterr().out


def test_images_go_through_the_whole_command(tmp_path, capsys):
    assert compare(write_images(tmp_path / "photos")) == 0
    assert "images of 6 × 8 pixels" in capsys.readouterr().out


def test_a_failing_learner_fails_neither_the_table_nor_the_command(capsys, monkeypatch):
    def fail_one(task, X, y):
        record = run_task(task, X, y)
        if task.learner.key == "mahalanobis":
            record = replace(record, error="ValueError: no reason [at all]", scores={})
        return record

    monkeypatch.setattr(run, "run_task", fail_one)
    assert compare("iris") == 0
    printed = capsys.readouterr().out
    assert "failed" in printed
    assert "Mahalanobis (whitened): ValueError: no reason [at all]" in printed


# The reader of a pipe leaves, a signal comes


def test_files_are_written_though_nobody_reads_what_is_printed(tmp_path, monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

        def fileno(self):
            return os.open(os.devnull, os.O_WRONLY)

    monkeypatch.setattr(sys, "stdout", Gone())
    report, numbers = tmp_path / "r.html", tmp_path / "r.json"
    assert compare("iris", "--report", report, "--json", numbers) == 0
    assert len(ComparisonResult.from_json(numbers).records) == 4
    assert "</html>" in report.read_text()


def test_a_second_request_to_end_does_not_interrupt_the_writing():
    from metriclearn.cli._main import _Termination

    stop = _Termination()
    with stop:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.happened


def test_a_request_to_end_writes_what_is_finished(tmp_path, capsys, monkeypatch):
    finished = []

    def task_or_signal(task, X, y):
        if len(finished) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        finished.append(task)
        return run_task(task, X, y)

    monkeypatch.setattr(run, "run_task", task_or_signal)
    before = signal.getsignal(signal.SIGTERM)
    numbers = tmp_path / "r.json"
    assert compare("iris", "--json", numbers) == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert "interrupted: 3 of 4 fits" in capsys.readouterr().out
    assert len(ComparisonResult.from_json(numbers).records) == 3


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_table_fits_the_terminal_without_cutting_a_number(compared_six, capsys, width):
    from rich.console import Console

    from metriclearn.compare import _terminal

    console = Console(width=width)
    console.print(_terminal._fitting_table(compared_six, console, str))
    printed = capsys.readouterr().out
    assert "…" not in printed
    for row in compared_six.rows():
        assert row.name in printed
        for protocol in compared_six.protocols:
            score = row.mean(compared_six.headline(protocol))
            assert score is None or f"{100 * score:.1f}" in printed


# Ctrl-C


def test_an_interrupt_writes_what_is_finished(tmp_path, capsys, monkeypatch):
    finished = []

    def task_or_interrupt(task, X, y):
        if len(finished) == 3:
            raise KeyboardInterrupt
        finished.append(task)
        return run_task(task, X, y)

    monkeypatch.setattr(run, "run_task", task_or_interrupt)
    report, numbers = tmp_path / "r.html", tmp_path / "r.json"
    model = tmp_path / "model"
    assert compare("iris", "--report", report, "--json", numbers, "--save", model) == 130
    told = capsys.readouterr()
    assert "interrupted: 3 of 4 fits" in told.out
    assert "no model was kept: the comparison is not whole" in told.err
    assert not model.exists()
    assert ComparisonResult.from_json(numbers).interrupted == "interrupted"
    assert "Stopped early" in report.read_text()


def test_what_is_finished_is_kept_for_the_next_run(tmp_path, capsys):
    assert compare("iris", "--resume", tmp_path / "fits") == 0
    assert "kept from" not in capsys.readouterr().out
    assert compare("iris", "--resume", tmp_path / "fits") == 0
    assert "4 of 4 fits were kept from an earlier run" in capsys.readouterr().out
    assert compare("iris", "--seed", "1", "--resume", tmp_path / "fits") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "None of the 4 kept fits was of use: they are of other data" in printed


def test_an_interrupt_before_anything_writes_nothing(tmp_path, capsys, monkeypatch):
    def interrupt(task, X, y):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_task", interrupt)
    assert compare("iris", "--report", tmp_path / "r.html") == 130
    error = capsys.readouterr().err.lstrip("\n")  # before it, some versions of rich end a line
    assert error == "metriclearn: interrupted before anything was finished\n"
    assert list(tmp_path.iterdir()) == []


INTERRUPTED_IMPORT = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name in ("numpy", "metriclearn.compare"):
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from metriclearn.cli import main
raise SystemExit(main(["compare", "iris"]))
"""


def test_an_interrupt_of_the_imports_is_one_line():
    command = [sys.executable, "-c", INTERRUPTED_IMPORT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert done.stderr == "metriclearn: interrupted before anything was finished\n"


@pytest.mark.slow
def test_a_real_interrupt_of_two_processes(tmp_path):
    numbers = tmp_path / "r.json"
    command = [sys.executable, "-m", "metriclearn", "compare", "digits", "--n-jobs", "2"]
    learners = ["--learners", "euclidean,mahalanobis,nca,contrastive", "--json", str(numbers)]
    process = subprocess.Popen(
        [*command, *learners],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "FORCE_COLOR": "1", "TTY_INTERACTIVE": "1", "COLUMNS": "160"},
    )
    shown = ""
    while not re.search(r"\b[1-9]\d*/40\b", shown):  # something is finished
        piece = process.stderr.read(200)
        assert piece, shown
        shown += piece
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in shown + err
    assert "fits are in this table" in out
    assert ComparisonResult.from_json(numbers).records


# The command itself


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"metriclearn {__version__}\n"


def test_module_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "metriclearn", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == f"metriclearn {__version__}\n"


def test_help_needs_no_learner(capsys, monkeypatch):
    real_import = builtins.__import__

    def no_heavy(name, *args, **kwargs):
        assert name.partition(".")[0] not in ("torch", "sklearn", "pandas", "matplotlib")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_heavy)
    with pytest.raises(SystemExit):
        cli.main(["compare", "--help"])
    printed = capsys.readouterr().out
    assert "--report FILE" in printed
    assert "metriclearn compare wine" in printed
    listed = printed.partition("Learners: ")[2].partition("\n\n")[0]
    assert tuple(listed.replace(",", " ").split()) == LEARNER_NAMES


@pytest.mark.parametrize("failing", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_what_is_not_written_is_named(tmp_path, capsys, monkeypatch, failing):
    pytest.importorskip("rich")

    def fail(result, path):
        raise failing

    monkeypatch.setattr(ComparisonResult, "to_json", fail)
    report, numbers = tmp_path / "r.html", tmp_path / "r.json"
    is_interrupt = failing is KeyboardInterrupt
    code = compare("iris", "--report", report, "--json", numbers)
    assert code == (130 if is_interrupt else 2)
    out, error = capsys.readouterr()
    assert "Euclidean" in out
    last = error.strip().splitlines()[-1]
    if is_interrupt:
        assert last == f"metriclearn: interrupted; not written: {numbers}, {report}"
    else:  # the other file is written all the same
        assert last.endswith("the result could not be written: [Errno 28] No space left on device")
        assert f"wrote {report}" in out
    assert report.exists() != is_interrupt
