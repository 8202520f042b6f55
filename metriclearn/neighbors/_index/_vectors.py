"""Rows of float32 vectors that grow, in memory or in a file that is mapped.

Checksums of the file are kept block by block, each verified when it is first read.
"""

import hashlib
import mmap
import os
import threading
import weakref

import numpy as np

# A common offset beyond this many standard deviations is subtracted before rounding to float32.
_FAR = 8


class Vectors:
    """A growing array of shape (n, d), float32.

    Rows are only ever appended to a file, so that the earlier ones can stay mapped; the file
    stays open, so that another of its name may replace it.

    Parameters
    ----------
    d : int
    file : str or None
        Where the rows are kept, row after row; None keeps them in memory. Only the
        part of the file that is read takes memory, and the system may take it back.
    n : int
        Rows that the file has already; what follows them is dropped at the next addition.
    offset : ndarray of shape (d,), float64, default=None
        Taken off all rows before they are stored.
    sums : BlockSums, default=None
        Of the rows that the file has already.
    new : bool, default=True
        Whether the file is to be made.
    """

    def __init__(self, d, file=None, n=0, *, offset=None, sums=None, new=True):
        self.d, self.file, self.n = d, file, n
        self.offset = offset
        self.sums = sums
        self._memory = np.empty((0, d), np.float32)
        self._mapped = None
        self._reading = threading.Lock()
        self._stream = None
        if file is not None:
            if new:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
                os.close(os.open(file, flags | getattr(os, "O_BINARY", 0), 0o666))
            self._open()

    def __getstate__(self):
        state = {name: getattr(self, name) for name in ("d", "file", "n", "offset", "sums")}
        return {**state, "memory": self._memory[: self.n]}

    def __setstate__(self, state):
        memory = state.pop("memory")
        vars(self).update(state, _memory=memory, _mapped=None, _reading=threading.Lock())
        self._stream = None
        if self.file is not None:
            self._open()

    def _open(self):
        """Open the file to read, until this object is gone."""
        descriptor = os.open(self.file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, descriptor)
        self._stream = open(descriptor, "rb", buffering=0, closefd=False)  # noqa: SIM115

    def stored(self, rows):
        """Return rows as they are stored."""
        if self.offset is not None:
            rows = rows - self.offset
        if rows.dtype != np.float32:
            largest = np.finfo(np.float32).max
            beyond = np.abs(rows).max(axis=1, initial=0) > largest
            if beyond.any():
                raise ValueError(
                    f"X: row {int(np.flatnonzero(beyond)[0])} has a value beyond {largest:.2g}, "
                    f"the largest of float32, in which vectors are kept; scale X"
                )
        return np.ascontiguousarray(rows, dtype=np.float32)

    def queries(self, rows):
        """Return rows in float64, shifted like those that are stored."""
        rows = rows.astype(np.float64, copy=False)
        return rows if self.offset is None else rows - self.offset

    def append(self, rows):
        """Add rows behind the last, as :meth:`stored` gave them."""
        if self.file is None:
            needed = self.n + len(rows)
            if needed > len(self._memory):
                # Room that is not used yet takes no memory.
                grown = np.empty((2 * needed, self.d), np.float32)
                grown[: self.n] = self._memory[: self.n]
                self._memory = grown
            self._memory[self.n : needed] = rows
        else:
            self._mapped = None
            self._append_to_file(rows)
        self.n += len(rows)

    def _append_to_file(self, rows):
        end = 4 * self.n * self.d
        try:
            with open(self.file, "r+b") as stream:
                stream.truncate(end)
                stream.seek(end)
                try:
                    stream.write(memoryview(rows).cast("B") if rows.size else b"")
                    stream.flush()
                except OSError:
                    os.truncate(self.file, end)
                    raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.file) from error

    def sync(self):
        """Flush the file to the disk."""
        with open(self.file, "r+b") as stream:
            os.fsync(stream.fileno())

    def blocks(self, size, start=0):
        """Yield ``(first, rows)`` from ``start`` on, verified, read without being mapped."""
        for first in range(start, self.n, size):
            stop = min(first + size, self.n)
            if self.file is None:
                yield first, self._memory[first:stop]
            else:
                self.verify(slice(first, stop))
                rows = np.frombuffer(self._read(first, stop), np.float32)
                yield first, rows.reshape(-1, self.d)

    def verify(self, rows=None):
        """Verify the checksums of rows of a saved file that are to be read; all by default."""
        if self.sums is not None:
            rows = slice(0, self.n) if rows is None else rows
            self.sums.verify(rows, self._read, self.file)

    def checksums(self):
        """Compute the checksums of all blocks; those of whole blocks that were saved stand."""
        known = np.empty((0, 32), np.uint8)
        if self.sums is not None:
            known = self.sums.sums[: self.sums.n // block_rows(self.d)]
        new = block_sums(self._read, len(known) * block_rows(self.d), self.n, self.d)
        return np.concatenate([known, new])

    def _read(self, first, stop):
        """Bytes of rows."""
        if self.file is None:
            return memoryview(self._memory[first:stop]).cast("B")
        content = bytearray(4 * self.d * (stop - first))
        view = memoryview(content)
        with self._reading:
            self._stream.seek(4 * self.d * first)
            while len(view) and (count := self._stream.readinto(view)):
                view = view[count:]
        if len(view):
            raise ValueError(f"path: {self.file} is cut short")
        return content

    def array(self):
        """Return all rows, as an array that reads them where they are, not verified."""
        if self.file is None:
            return self._memory[: self.n]
        if self.n == 0:
            return np.empty((0, self.d), np.float32)
        mapped = self._mapped
        if mapped is None or len(mapped) != self.n:
            mapped = np.memmap(self._stream, np.float32, "r", shape=(self.n, self.d))
            self._mapped = mapped
        return mapped

    def release(self):
        """Give back the memory of what was read from the file, where the system can."""
        mapped = self._mapped
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            # The pages stay in the system's cache: to read them again costs little.
            mapped._mmap.madvise(mmap.MADV_DONTNEED)


def offset_of(rows):
    """Return an offset that float32 could not hold beside the differences, or None."""
    if rows.dtype == np.float32 or len(rows) < 1:
        return None
    with np.errstate(over="ignore"):
        center, spread = rows.mean(axis=0), rows.std(axis=0).max()
    if not np.isfinite(spread) or np.abs(center).max(initial=0) <= _FAR * spread:
        return None
    return center


_BLOCK_BYTES = 2**16
_SUM_BYTES = 32


def block_rows(d):
    """Return the number of rows of a block; a row lies in one block."""
    return max(1, _BLOCK_BYTES // (4 * d))


def block_sums(read, start, n, d):
    """Compute the checksums of blocks.

    Parameters
    ----------
    read : callable
        ``read(first, stop)`` gives the bytes of rows.
    start, n : int
        First row, the first of a block, and the number of rows in all.
    d : int

    Returns
    -------
    ndarray of uint8, shape (n_blocks, 32)
    """
    step = block_rows(d)
    sums = [
        hashlib.sha256(read(first, min(first + step, n))).digest()
        for first in range(start, n, step)
    ]
    return np.frombuffer(b"".join(sums), np.uint8).reshape(-1, _SUM_BYTES)


class BlockSums:
    """Checksums of the blocks of a saved file, and which of them have been verified.

    Parameters
    ----------
    sums : ndarray of uint8, shape (n_blocks, 32)
    n, d : int
        Rows that the sums are of, and their length.
    """

    def __init__(self, sums, n, d):
        self.n, self.d = n, d
        self.step = block_rows(d)
        if sums.dtype != np.uint8 or sums.shape != (-(-n // self.step), _SUM_BYTES):
            raise ValueError("there are not as many checksums as blocks of vectors")
        self.sums = sums
        self._verified = np.zeros(len(sums), dtype=bool)

    def trust(self):
        """Mark all blocks as verified: they have just been written."""
        self._verified[:] = True

    def verify(self, rows, read, file):
        """Verify the blocks of some rows that were not verified yet.

        Parameters
        ----------
        rows : ndarray of int or slice
            Row numbers; others than those that the sums are of are passed over.
        read : callable
            See :func:`block_sums`.
        file : str
            Named in the error.
        """
        if self._verified.all():
            return
        if isinstance(rows, slice):
            blocks = np.arange(rows.start // self.step, -(-min(rows.stop, self.n) // self.step))
        else:
            blocks = rows[(rows >= 0) & (rows < self.n)] // self.step
            blocks = np.unique(blocks[~self._verified[blocks]])
        for block in blocks[~self._verified[blocks]]:
            first = int(block) * self.step
            found = hashlib.sha256(read(first, min(first + self.step, self.n))).digest()
            if found != self.sums[block].tobytes():
                raise ValueError(
                    f"path: {file} is damaged: rows {first} to "
                    f"{min(first + self.step, self.n) - 1} are not what was saved; save it again "
                    f"from the source"
                )
            self._verified[block] = True
