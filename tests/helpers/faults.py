"""Faults that files meet: disks that are full, bits that flip, processes that are killed."""

import contextlib
import os
import signal
import time
import warnings
from pathlib import Path

import numpy as np


@contextlib.contextmanager
def full_disk(n_bytes):
    """Let no file grow past ``n_bytes``, by the limit of the operating system."""
    import resource  # not on Windows

    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def flipped(content, n, seed=0):
    """Yield ``n`` copies of the bytes with one random bit changed each."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        copy = bytearray(content)
        copy[int(rng.integers(len(copy)))] ^= 1 << int(rng.integers(8))
        yield bytes(copy)


def files_under(folder):
    """Every regular file of a folder, sorted."""
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


def fork_and_kill(work, fractions):
    """Run ``work`` in forked children and kill each outright after a share of its usual time.

    Parameters
    ----------
    work : callable
    fractions : iterable of float
        Of the time that one undisturbed run takes.

    Yields
    ------
    bool
        After each kill, whether the child was still at work.
    """
    took = None
    for fraction in (None, *fractions):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
            start, child = time.perf_counter(), os.fork()
        if child == 0:
            try:
                work()
            finally:
                os._exit(0)
        if fraction is not None:
            time.sleep(fraction * took)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        took = took or time.perf_counter() - start
        yield os.WIFSIGNALED(status)
