"""Rows of float32 vectors that grow, in memory or in a file that is mapped."""

import mmap
import os

import numpy as np


class Vectors:
    """A growing array of shape (n, d), float32.

    Parameters
    ----------
    d : int
    file : str or None
        Where the rows are kept, row after row; None keeps them in memory. Only the
        part of the file that is read takes memory, and the system may take it back.
    n : int
        Rows that the file has already; what follows them is dropped.
    """

    def __init__(self, d, file=None, n=0):
        self.d, self.file, self.n = d, file, n
        self._memory = np.empty((0, d), np.float32)
        self._mapped = None

    def append(self, rows):
        """Add rows behind the last."""
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        if self.file is None:
            needed = self.n + len(rows)
            if needed > len(self._memory):
                grown = np.empty((max(needed, 2 * len(self._memory)), self.d), np.float32)
                grown[: self.n] = self._memory[: self.n]
                self._memory = grown
            self._memory[self.n : needed] = rows
        else:
            self._mapped = None
            with open(self.file, "r+b" if os.path.exists(self.file) else "w+b") as stream:
                stream.truncate(4 * self.n * self.d)
                stream.seek(0, os.SEEK_END)
                rows.tofile(stream)
        self.n += len(rows)

    def blocks(self, size, start=0):
        """Yield ``(first, rows)`` from ``start`` on, read without being mapped."""
        for first in range(start, self.n, size):
            stop = min(first + size, self.n)
            if self.file is None:
                yield first, self._memory[first:stop]
            else:
                count, offset = (stop - first) * self.d, 4 * first * self.d
                rows = np.fromfile(self.file, np.float32, count, offset=offset)
                yield first, rows.reshape(-1, self.d)

    def array(self):
        """All rows, as an array that reads them where they are."""
        if self.file is None:
            return self._memory[: self.n]
        if self.n == 0:
            return np.empty((0, self.d), np.float32)
        if self._mapped is None or len(self._mapped) != self.n:
            self._mapped = np.memmap(self.file, np.float32, "r", shape=(self.n, self.d))
        return self._mapped

    def release(self):
        """Give the memory of what was read from the file back, where the system can be told."""
        if self._mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            # The pages stay in the system's cache: to read them again costs little.
            self._mapped._mmap.madvise(mmap.MADV_DONTNEED)
