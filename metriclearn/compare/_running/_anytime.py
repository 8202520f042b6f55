"""A comparison that ends in time: everyone on little, then more for those that can still win.

First come the learners that cost nothing. The others start on few rows of one fold; after each
rung those in the worse half by validation leave the field, though never the best of its family,
and the rest get four times the rows (successive halving). When another rung would cost too much,
those that are left run on every fold, on as many rows as there is time for.
"""

import _thread
import ctypes
import signal
import threading
import time
from dataclasses import dataclass, replace

from metriclearn.compare._records import LEFT
from metriclearn.compare._running._protocol import failed

FIRST_ROWS = 1000
GROWTH = 4
# Of the time that is left, what a rung, and what the last round may be planned to take.
RUNG_SHARE, LAST_SHARE = 0.25, 0.8
# A gain in validation below this is no gain.
GAIN = 0.002
# Test rows of a fold are a sample of this many.
MAX_TESTED = 4000


class Deadline:
    """Interrupts the thread that entered it when the time is up.

    The main thread is woken by a signal, which it raises as ``KeyboardInterrupt``. Another
    thread gets the exception between two instructions of its own: what it calls in compiled
    code ends first. Nothing is interrupted once the block is left.

    Parameters
    ----------
    seconds : float
    """

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds
        self.is_over = False
        self._timer = threading.Timer(seconds, self._interrupt)
        self._timer.daemon = True
        self._ignores = False
        self._thread = None
        self._lock = threading.Lock()

    def __enter__(self):
        self._thread = threading.current_thread()
        # A shell starts its background jobs with the signal ignored.
        self._ignores = self._is_main() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        if self._ignores:
            signal.signal(signal.SIGINT, self._when_over)
        self._timer.start()
        return self

    def __exit__(self, *exc_info):
        self._timer.cancel()
        with self._lock:  # what is on its way arrives here, and nothing sets out any more
            thread, self._thread = self._thread, None
            if self.is_over and thread is not threading.main_thread():
                _raise_in(thread, None)
        if self._ignores:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _is_main(self):
        return self._thread is threading.main_thread()

    def _when_over(self, signum, frame):
        if self.is_over:
            raise KeyboardInterrupt

    def _interrupt(self):
        with self._lock:
            if self._thread is None:
                return
            self.is_over = True
            if not self._is_main():
                _raise_in(self._thread, KeyboardInterrupt)
            elif hasattr(signal, "pthread_kill"):  # which wakes what sleeps, too
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            else:
                _thread.interrupt_main()

    @property
    def left(self):
        """Seconds that are left."""
        return max(0.0, self.end - time.monotonic())


def _raise_in(thread, exception):
    """Raise an exception in a thread before its next instruction; None takes back what waits."""
    value = None if exception is None else ctypes.py_object(exception)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), value)


@dataclass
class Standing:
    """How a learner stands in the field.

    Attributes
    ----------
    learner : Learner
    rows : list of int
        Rows of each rung that it took part in.
    validation, seconds : list of float
        What it scored there, and what that took.
    error : str or None
    """

    learner: object
    rows: list
    validation: list
    seconds: list
    error: str | None = None

    @property
    def best(self):
        """The last validation score, the worst possible of a learner that failed."""
        return self.validation[-1] if self.validation and self.error is None else -1.0

    @property
    def is_rising(self):
        """Whether the last rung did better than the one before; of a single one nobody knows."""
        return len(self.validation) < 2 or self.validation[-1] > self.validation[-2] + GAIN

    def seconds_on(self, rows):
        """Expect how long a fit on a number of rows takes, from those before."""
        exponent = 1.0
        if len(self.seconds) > 1:
            ratio = self.seconds[-1] / max(self.seconds[-2], 1e-9)
            exponent = 2.0 if ratio > GROWTH**1.5 else 1.0
        return self.seconds[-1] * (rows / self.rows[-1]) ** exponent


def run_in_time(tasks, n_rows, run, n_jobs, deadline):
    """Run what can be run until a deadline.

    Parameters
    ----------
    tasks : list of Task
        All that would be run with time enough.
    n_rows : int
        Rows of the largest training part.
    run : callable
        ``run(tasks)`` yields their records.
    n_jobs : int
    deadline : Deadline

    Yields
    ------
    FoldRecord
        A later one of a cell takes the place of an earlier one.
    """
    free = [task for task in tasks if task.learner.family in ("reference", "baseline")]
    yield from run(free)
    field = {}
    for task in tasks:
        if task not in free:
            field.setdefault(task.learner.key, Standing(task.learner, [], [], []))
    if not field:
        return
    rows = min(FIRST_ROWS, n_rows)
    last = {}
    while True:
        first = [_first_task(tasks, key, rows) for key in field]
        for record in run(first):
            standing = field[record.learner]
            standing.rows.append(rows)
            standing.error = record.error
            standing.validation.append(_score(record))
            standing.seconds.append(record.task_seconds)
            last[record.learner] = record
            yield record
        for key in _leaving(field):
            standing = field.pop(key)
            yield _left(tasks, last[key], standing)
        if rows == n_rows or _too_long(field, min(rows * GROWTH, n_rows), n_jobs, deadline):
            break
        rows = min(rows * GROWTH, n_rows)
    plan = _share_out(field, tasks, n_rows, n_jobs, deadline)
    again = []
    for task in tasks:
        key = task.learner.key
        if key not in plan:
            continue
        is_done = task.cell == last[key].cell and plan[key] == field[key].rows[-1]
        if not is_done:
            again.append(_capped(task, plan[key]))
    turns = _turns(field)
    again.sort(key=lambda task: (task.split.fold > 0, turns.index(task.learner.key)))
    for key in plan:
        if field[key].rows[-1] < n_rows:
            yield _marked(last[key], field[key], True)
    for record in run(again):
        standing = field[record.learner]
        yield _marked(record, standing, plan[record.learner] < n_rows)


def _score(record):
    return -1.0 if record.validation is None else record.validation


def _first_task(tasks, key, rows):
    task = next(task for task in tasks if task.learner.key == key)
    return _capped(task, rows)


def _capped(task, rows):
    own = task.learner.max_rows
    most = rows if own is None else min(rows, own)
    return replace(task, learner=replace(task.learner, max_rows=most))


def _leaving(field):
    """Return who leaves: the worse half and who failed, but for the best of each family."""
    ranked = sorted(field, key=lambda key: -field[key].best)
    kept = set(ranked[: -(-len(ranked) // 2)])
    families = {}
    for key in ranked:
        if field[key].error is None:
            families.setdefault(field[key].learner.family, key)
    kept |= set(families.values())
    return [key for key in ranked if key not in kept or field[key].error is not None]


def _turns(field):
    """Return the best of each family, which a verdict needs, and then the others, best first."""
    ranked = sorted(field, key=lambda key: -field[key].best)
    leaders = {}
    for key in ranked:
        leaders.setdefault(field[key].learner.family, key)
    return [*leaders.values(), *(key for key in ranked if key not in leaders.values())]


def _left(tasks, record, standing):
    task = next(task for task in tasks if task.learner.key == record.learner)
    if standing.error is not None:
        return record
    return failed(
        task,
        f"{LEFT}: {100 * standing.best:.1f}% on validation data after {standing.rows[-1]} "
        f"rows, in the worse half",
    )


def _too_long(field, rows, n_jobs, deadline):
    planned = sum(standing.seconds_on(rows) for standing in field.values()) / n_jobs
    return planned > RUNG_SHARE * deadline.left


def _share_out(field, tasks, n_rows, n_jobs, deadline):
    """Give each learner rows for the last round; the costly ones get fewer until it fits."""
    n_tasks = {key: sum(task.learner.key == key for task in tasks) for key in field}
    plan = dict.fromkeys(field, n_rows)

    def planned(key):
        return n_tasks[key] * field[key].seconds_on(plan[key])

    while plan and sum(map(planned, plan)) / n_jobs > LAST_SHARE * deadline.left:
        costly = max(plan, key=planned)
        fewer = plan[costly] // 2
        if fewer < field[costly].rows[0] // 2:
            break
        plan[costly] = fewer
    # A size that was tried already spares its fit.
    for key, rows in plan.items():
        tried = field[key].rows[-1]
        if tried <= rows < 1.5 * tried and rows < n_rows:
            plan[key] = tried
    return plan


def _marked(record, standing, is_cut):
    """Mark a learner that was cut short while more rows still helped it."""
    return replace(record, rising=record.rising or (is_cut and standing.is_rising))


def sampled_tests(task, seed_of):
    """Return a task whose test part is a sample, the same for all learners."""
    split = task.split
    if len(split.test) <= MAX_TESTED:
        return task
    rows = seed_of(split).choice(len(split.test), MAX_TESTED, replace=False)
    rows.sort()
    return replace(task, split=replace(split, test=split.test[rows]))
