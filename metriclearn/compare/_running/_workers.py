"""Where fits are run: processes of this machine, or the workers of a Dask cluster."""

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections import deque
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import chain, islice
from multiprocessing import resource_tracker

from joblib import Parallel, delayed, effective_n_jobs, parallel_config

from metriclearn._extras import require
from metriclearn._memory import keep_freed_memory
from metriclearn._types import is_whole
from metriclearn.compare._running._protocol import failed
from metriclearn.compare._tuning._networks import sharing_networks

# Fits handed to a Dask worker ahead, so that it never waits for the next.
AHEAD = 2
# How soon a worker process notices that its parent is gone.
WATCH_SECONDS = 0.5
_watched = None
_one_at_a_time = threading.Lock()


class WorkersLostError(Exception):
    """All workers of a cluster died; what they had finished is not lost."""


class Processes:
    """Processes of this machine.

    Parameters
    ----------
    n_jobs : int or None
        As joblib takes it.
    """

    def __init__(self, n_jobs=None):
        if n_jobs is not None and (not is_whole(n_jobs) or n_jobs == 0):
            raise ValueError(
                f"n_jobs={n_jobs!r} must be a number of processes, -1 for all cores, or None"
            )
        self.n_jobs = n_jobs

    def __len__(self):
        return effective_n_jobs(self.n_jobs)

    def run(self, run_task, tasks, X, codes, bar, *, together=False):
        """Yield the records of the tasks as they are finished.

        With ``together``, what stands on the network of another task is run after it, in the same
        process, so that the network is trained once.

        Where a process dies, each task that was running is tried once more, alone, and the run
        goes on; one that dies again has failed.
        """
        waiting = deque(tasks)
        while waiting:
            running = {}
            try:
                yield from self._run_pool(
                    run_task, waiting, running, X, codes, bar.started, together
                )
            except BrokenProcessPool as error:
                for task in running.values():
                    yield self._run_alone(run_task, task, X, codes, error)

    def _run_alone(self, run_task, task, X, codes, error):
        try:
            pool = self._run_pool(run_task, deque([task]), {}, X, codes, bool)
            return next(pool)
        except BrokenProcessPool:
            reason = (
                f"its process died twice, perhaps for want of memory ({_first_sentence(error)})"
            )
            return failed(task, reason)

    def _run_pool(self, run_task, waiting, running, X, codes, started, together=False):
        """Yield records from one pool; ``running`` holds what it has begun, by cell."""
        parent = os.getpid()
        # A worker that grows by 300 MB after its first task is taken for one that leaks and is
        # replaced: torch is loaded within the first task, not by the first deep learner.
        is_deep = any(task.learner.family in ("deep", "stacked") for task in waiting)

        def begun():
            while waiting:
                tasks = _take_next(waiting) if together else [waiting.popleft()]
                for task in tasks:
                    running[task.cell] = task
                    started(task)
                yield delayed(_run_in_process)(run_task, tasks, X, codes, parent, is_deep)

        # One thread a process: the learners are small, and two of them that share
        # the cores with more threads than cores are slower than one after the other.
        n_jobs = self.n_jobs
        if len(self) > 2:  # no processes that would wait, and never this one for a lone task
            n_jobs = min(len(self), max(2, len(waiting)))
        with parallel_config("loky", inner_max_num_threads=1):
            pool = Parallel(
                n_jobs, return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1
            )
            with _without_interrupts(is_for_processes=len(self) > 1):
                finished = pool(begun())
            try:
                for record in chain.from_iterable(finished):
                    del running[record.cell]
                    yield record
            finally:
                # joblib warns of what it leaves undone, which is what was asked for.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    finished.close()


class DaskWorkers:
    """Workers of a Dask cluster; the rows are sent to each of them once.

    Parameters
    ----------
    client : dask.distributed.Client
    """

    def __init__(self, client):
        self._distributed = require("distributed", "dask")
        if not isinstance(client, self._distributed.Client) or client.asynchronous:
            raise ValueError(
                f"client must be a dask.distributed.Client that is not asynchronous, got {client!r}"
            )
        self.client = client
        if not len(self):
            raise ValueError("client: its cluster has no worker yet; see Client.wait_for_workers")

    def __len__(self):
        return len(self.client.nthreads())

    def run(self, run_task, tasks, X, codes, bar, *, together=False):
        """Yield the records of the tasks as they are finished; each is a fit of its own."""
        X, codes = self.client.scatter([X, codes], broadcast=True, hash=False)
        waiting = iter(tasks)
        running = {}

        def start(count):
            futures = []
            for task in islice(waiting, count):
                bar.started(task)
                future = self.client.submit(_run_on_cluster, run_task, task, X, codes, pure=False)
                futures.append(future)
            running.update((future.key, future) for future in futures)
            return futures

        finished = self._distributed.as_completed(start(AHEAD * len(self)))
        lost = (
            self._distributed.KilledWorker,
            self._distributed.comm.CommClosedError,
            CancelledError,
        )
        try:
            for future in finished:
                record = future.result()
                del running[future.key]
                finished.update(start(1))
                yield record
        except lost as error:
            raise WorkersLostError(_first_sentence(error)) from None
        finally:
            self.client.cancel(list(running.values()))


def make_workers(n_jobs=None, client=None):
    """Choose where the fits are run.

    Parameters
    ----------
    n_jobs : int, default=None
    client : dask.distributed.Client, default=None
    """
    if client is None:
        return Processes(n_jobs)
    if n_jobs is not None:
        raise ValueError(f"n_jobs={n_jobs} and client are two answers to one question; give one")
    return DaskWorkers(client)


@contextmanager
def _without_interrupts(*, is_for_processes):
    """Put off Ctrl-C, for good in processes and threads that are started meanwhile.

    It reaches every process of the terminal: one that is about to load its modules would end with
    a traceback of its own.
    """
    if not is_for_processes or not hasattr(signal, "pthread_sigmask"):  # Windows has none
        yield
        return
    resource_tracker.ensure_running()  # its start, up to Python 3.13, lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _take_next(waiting):
    """Take the next task, and those that stand on the network that it trains."""
    first = waiting.popleft()
    key, *place = first.cell
    above = [
        task for task in waiting if task.learner.stands_on == key and [*task.cell[1:]] == place
    ]
    for task in above:
        waiting.remove(task)
    return [first, *above]


def _run_in_process(run_task, tasks, X, codes, parent, is_deep):
    if os.getpid() != parent and multiprocessing.current_process().name != "MainProcess":
        # Ctrl-C reaches every process of the terminal; the parent decides.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end_with(os.getppid())
    keep_freed_memory()
    if is_deep:
        with suppress(ImportError):  # the fit itself says what is missing
            require("torch", "deep")
    if len(tasks) == 1:
        return [run_task(tasks[0], X, codes)]
    with sharing_networks():
        return [run_task(task, X, codes) for task in tasks]


def _end_with(parent):
    """End this process once its parent is gone, however that died."""
    global _watched
    if _watched == parent:
        return
    _watched = parent

    def watch():
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run_on_cluster(run_task, task, X, codes):
    # Threads of a worker share torch's seed and the number of threads.
    with _one_at_a_time:
        return run_task(task, X, codes)


def _first_sentence(error):
    return " ".join(str(error).split()).partition(". ")[0] or type(error).__name__
