"""Checksums of a file of vectors, block by block, each verified when it is first read."""

import hashlib

import numpy as np

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
        First row, of a block's beginning, and the end.
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
    """What the blocks of a saved file must be, and which were found to be so.

    Parameters
    ----------
    sums : ndarray of uint8, shape (n_blocks, 32)
    n, d : int
        Rows that the sums are of, and their length.

    Raises
    ------
    ValueError
        If there are not as many sums as blocks.
    """

    def __init__(self, sums, n, d):
        self.n, self.d = n, d
        self.step = block_rows(d)
        if sums.dtype != np.uint8 or sums.shape != (-(-n // self.step), _SUM_BYTES):
            raise ValueError("there are not as many checksums as blocks of vectors")
        self.sums = sums
        self._verified = np.zeros(len(sums), dtype=bool)

    def trust(self):
        """Take all blocks for verified: they were written by us, this instant."""
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

        Raises
        ------
        ValueError
            If a block is not what was saved.
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
