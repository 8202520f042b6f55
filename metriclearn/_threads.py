"""Blocks of work on threads, each with one BLAS thread of its own.

A loop over blocks makes many products too small to be shared out inside BLAS: two
BLAS threads there mostly wait for each other. So BLAS is held to one thread, and as
many whole blocks are computed at a time as BLAS would have used threads. Results are
put together in the order of the blocks: their bits do not depend on the number of
threads.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

_Function = TypeVar("_Function", bound=Callable[..., Any])

_allowed = ContextVar("threads that blocks may take", default=None)


@cache
def _blas():
    return ThreadpoolController().select(user_api="blas")


@cache
def thread_pool(n_threads, prepare=None):
    """Return the threads of this process, the same at each call.

    Parameters
    ----------
    n_threads : int
    prepare : callable, default=None
        Called once on each thread; threads that another function prepares are others.

    Returns
    -------
    ThreadPoolExecutor
    """
    return ThreadPoolExecutor(n_threads, "metriclearn", prepare)


# Threads do not survive a fork: the child makes its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=thread_pool.cache_clear)


def n_block_threads():
    """Return the number of threads that blocks may take: as many as BLAS may use."""
    allowed = _allowed.get()
    return _blas_threads() if allowed is None else allowed


def _blas_threads():
    return max((library.num_threads for library in _blas().lib_controllers), default=1)


@contextmanager
def block_threads():
    """Hold BLAS to one thread inside; ``map_blocks`` takes the threads it had."""
    token = _allowed.set(n_block_threads())
    # Whoever finds it held, by another thread say, must not hold it on when that lets go.
    held = _blas_threads() == 1
    try:
        with nullcontext() if held else _blas().limit(limits=1):
            yield
    finally:
        _allowed.reset(token)


def in_block_threads(function: _Function) -> _Function:
    """Decorate a function whose whole body is to run in ``block_threads``."""

    @wraps(function)
    def wrapped(*args, **kwargs):
        with block_threads():
            return function(*args, **kwargs)

    return wrapped  # type: ignore[return-value]


def map_blocks(function, blocks):
    """Yield ``function(block)`` for each block, in order.

    Parameters
    ----------
    function : callable
        Must not change what another block reads.
    blocks : iterable
        At most two for each thread are computed ahead of the one that is asked for.
    """
    n_threads = n_block_threads()
    if n_threads == 1:
        with block_threads():
            yield from map(function, blocks)
        return
    blocks = iter(blocks)
    with block_threads():
        ahead, executor = deque(), thread_pool(n_threads)
        try:
            for block in blocks:
                ahead.append(executor.submit(function, block))
                if len(ahead) > 2 * n_threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


class ReadWriteLock:
    """Let any number of threads read at once, or one write; waiting writers go first.

    Not to be taken twice by one thread.
    """

    def __init__(self):
        self._condition = threading.Condition()
        self._n_readers = self._n_waiting = 0
        self._writing = False

    def __getstate__(self):
        return {}

    def __setstate__(self, state):
        self.__init__()

    @contextmanager
    def reading(self):
        """Hold the lock to read."""
        with self._condition:
            self._condition.wait_for(lambda: not self._writing and not self._n_waiting)
            self._n_readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._n_readers -= 1
                self._condition.notify_all()

    @contextmanager
    def writing(self):
        """Hold the lock to change something."""
        with self._condition:
            self._n_waiting += 1
            try:
                self._condition.wait_for(lambda: not self._writing and not self._n_readers)
                self._writing = True
            finally:
                self._n_waiting -= 1
        try:
            yield
        finally:
            with self._condition:
                self._writing = False
                self._condition.notify_all()
