"""Progress of a comparison: what runs now, how much is done, time left.

On a terminal a bar, in a notebook a line that changes in place, in a log a line for each fit.
"""

import sys
import time
from collections import Counter
from threading import Lock

from metriclearn._extras import require
from metriclearn._progress import NotebookBar, in_notebook, terminal_bar
from metriclearn._text import printable
from metriclearn.compare._measuring._measure import MEASURE_NAMES, MEASURED_ON


def make_progress(tasks, n_jobs, n_before=0):
    """Return what shows progress where the caller is: notebook, terminal or log.

    Parameters
    ----------
    tasks : list of Task
    n_jobs : int
        How many run at a time.
    n_before : int, default=0
        How many were finished before.
    """
    if in_notebook():
        return NotebookProgress(tasks, n_jobs, n_before)
    is_terminal = require("rich.console", "cli").Console(stderr=True).is_terminal
    return (RichProgress if is_terminal else LineProgress)(tasks, n_jobs, n_before)


def told_of(record):
    """Return the measure that a line tells and what it was measured on."""
    measure = next((each for each in MEASURED_ON if each in record.scores), None)
    return measure, MEASURED_ON.get(measure, f"{record.protocol} set")


# Seconds that a fit takes beside its learner: splitting, searching, scoring.
OVERHEAD = 0.1


class NoProgress:
    """Shows nothing; takes what the others take."""

    def __init__(self, tasks, n_jobs, n_before=0):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        return None

    def started(self, task):
        """Hear that a task was handed to a worker."""

    def finished(self, record):
        """Hear that a task is done."""


class TimeLeft:
    """Estimate of the time left, from how long each learner took so far.

    Parameters
    ----------
    tasks : list of Task
    n_jobs : int

    Notes
    -----
    A learner not seen yet counts as its rough cost, scaled by how the learners
    seen so far compare with theirs.
    """

    def __init__(self, tasks, n_jobs):
        self.n_jobs = n_jobs
        self.costs = {task.learner.key: OVERHEAD + task.learner.cost for task in tasks}
        self.left = {}
        for task in tasks:
            key = (task.learner.key, task.split.protocol, task.axis)
            self.left[key] = self.left.get(key, 0) + 1
        self.seen = {}

    def finished(self, record):
        """Count one task as done."""
        key = (record.learner, record.protocol, record.axis)
        self.left[key] -= 1
        self.seen.setdefault(key, []).append(record.task_seconds)

    def seconds(self):
        """Return the estimate; a first task must be done."""
        spent = sum(sum(times) for times in self.seen.values())
        rough = sum(self.costs[key[0]] * len(times) for key, times in self.seen.items())
        total = 0.0
        for key, count in self.left.items():
            times = self.seen.get(key)
            each = sum(times) / len(times) if times else self.costs[key[0]] * spent / rough
            total += count * each
        return total / self.n_jobs


class Standings:
    """What each learner reaches in a protocol, known once its last fold is done.

    Parameters
    ----------
    tasks : list of Task
    """

    def __init__(self, tasks):
        keys = [(task.learner.key, task.split.protocol) for task in tasks if task.axis is None]
        self._left, self._done = Counter(keys), {}

    def finished(self, record):
        """Return what was reached, where this was the last of several fits; None before."""
        key = record.learner, record.protocol
        if record.axis is not None:
            return None
        done = self._done.setdefault(key, [])
        done.append(record)
        self._left[key] -= 1
        measure, _ = told_of(record)
        scores = [each.scores[measure] for each in done if measure in each.scores]
        if self._left[key] or len(done) < 2 or not scores:
            return None
        mean = sum(scores) / len(scores)
        seconds = sum(each.task_seconds for each in done) / len(done)
        return f"{MEASURE_NAMES[measure]} {mean:.1%} over {len(scores)} fits, {seconds:.1f} s each"


class LineProgress(NoProgress):
    """A line on standard error for each fit: what was reached, how long it took, time left.

    The last of a learner says what it reached over all of its folds.

    Parameters
    ----------
    tasks : list of Task
    n_jobs : int
    n_before : int, default=0
    """

    def __init__(self, tasks, n_jobs, n_before=0):
        self._left = TimeLeft(tasks, n_jobs)
        self._standings = Standings(tasks)
        self._names = {task.learner.key: task.learner.name for task in tasks}
        self._done, self._total = n_before, n_before + len(tasks)
        self._lock = Lock()

    def finished(self, record):
        """Say how the fit went."""
        with self._lock:
            self._done += 1
            self._left.finished(record)
            line = fit_line(record, self._names[record.learner])
            left = f"; {_clock(self._left.seconds())} left" if self._done < self._total else ""
            if (standing := self._standings.finished(record)) is not None:
                line += f"; {standing}"
            self._write(f"{self._done} of {self._total}: {line}{left}")

    def _write(self, line):
        print(printable(line), file=sys.stderr, flush=True)


class NotebookProgress(LineProgress):
    """The like of it in one place of a notebook's output."""

    def __enter__(self):
        self._bar = NotebookBar("compare", self._total)
        self._bar.show(self._done)
        return self

    def __exit__(self, *exc_info):
        self._bar.show(self._done, is_last=True)

    def _write(self, line):
        self._bar.show(self._done, line.partition(": ")[2])


def fit_line(record, name):
    """Say in a line what a fit was, what it reached and how long it took."""
    measure, measured_on = told_of(record)
    where = f"{measured_on}, fold {record.fold + 1}"
    if record.axis is not None:
        where += f", {record.axis} {record.place}"
    if record.error:
        return f"{name} ({where}) failed: {record.error}"
    score = record.scores.get(measure)
    reached = "" if score is None else f": {MEASURE_NAMES[measure]} {score:.1%}"
    return f"{name} ({where}){reached}, {record.task_seconds:.1f} s"


class RichProgress:
    """A bar on standard error, and above it a line for each learner that is done.

    Parameters
    ----------
    tasks : list of Task
    n_jobs : int
        How many run at a time.
    n_before : int, default=0
        How many were finished before.
    """

    def __init__(self, tasks, n_jobs, n_before=0):
        console = require("rich.console", "cli").Console(stderr=True)
        self._left, self._standings = TimeLeft(tasks, n_jobs), Standings(tasks)
        self._names = {task.learner.key: printable(task.learner.name) for task in tasks}
        self._running = []
        self._lock = Lock()
        self._bar = terminal_bar(
            "{task.percentage:>3.0f}%", self._time_left, console=console, transient=True
        )
        self._task = self._bar.add_task(
            "", total=n_before + len(tasks), completed=n_before, status="starting"
        )
        self._estimate = None

    def __enter__(self):
        self._bar.start()
        return self

    def __exit__(self, *exc_info):
        self._bar.stop()

    def started(self, task):
        """Show a task as running."""
        with self._lock:
            self._running.append(task.cell)
            self._show()

    def finished(self, record):
        """Advance the bar and update the time left."""
        with self._lock:
            self._running.remove(record.cell)
            self._left.finished(record)
            self._estimate = (self._left.seconds(), time.monotonic())
            if (standing := self._standings.finished(record)) is not None:
                name = self._names[record.learner]
                line = f"{name} ({told_of(record)[1]}): {standing}"
                self._bar.console.print(line, highlight=False, markup=False)
            self._show(advance=1)

    def _show(self, advance=0):
        now = ", ".join(
            f"{self._names[key]} ({protocol} {fold + 1}{f', {place} {axis}' if axis else ''})"
            for key, protocol, fold, axis, place, _ in self._running
        )
        self._bar.update(self._task, advance=advance, status=now)

    def _time_left(self):
        """Count down from the last estimate, which only comes with each finished task."""
        if self._estimate is None:
            return ""
        seconds, made_at = self._estimate
        return f"{_clock(max(1, seconds - (time.monotonic() - made_at)))} left"


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
