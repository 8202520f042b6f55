"""A lock for the threads of one process: one writes, or many read."""

import threading
from contextlib import contextmanager


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
