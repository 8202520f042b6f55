"""Image files as rows: read a batch at a time, two batches ahead of the network."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from joblib import effective_n_jobs

from metriclearn.images._items import Items
from metriclearn.images._reader import unreadable

# How many batches are decoded ahead of the one that is used.
AHEAD = 2


class FileRows:
    """Rows that are image files; what :class:`Rows` is for arrays.

    Parameters
    ----------
    X : ImagePaths
    reader : ImageReader
        Its size is that of the batches.
    device : torch.device
    channels_last : bool
        Leave batches in the memory order they are decoded in.
    crop : dict or None
        ``scale`` and ``ratio`` of random crops in training; None for none.
    """

    integers = channels_first = False

    def __init__(self, X, reader, device, channels_last, crop=None):
        self.X = X
        self.reader = reader
        self.device = torch.device(device)
        self.channels_last = channels_last
        self.crop = crop
        self._items = Items(X.files, X.boxes, X.shape)
        width, height = reader.size
        self.image_shape = height, width, 3 if reader.mode == "RGB" else 1
        self._waiting = deque()

    def __len__(self):
        return len(self.X)

    @property
    def values_per_row(self):
        """Number of values in a row."""
        return int(np.prod(self.image_shape))

    def sample(self, n):
        """Identify up to ``n`` files spread over all of them, as bytes."""
        rows = np.linspace(0, len(self) - 1, min(len(self), n)).astype(np.intp)
        identities = self.reader.identities(self.X[rows])
        return np.frombuffer(b"".join(identities), dtype=np.uint8).reshape(len(rows), -1)

    def take(self, rows):
        """Return a batch of the rows given by number or by slice, as a tensor on the device."""
        if self._waiting and np.array_equal(self._waiting[0][0], self._numbers(rows)):
            numbers, futures = self._waiting.popleft()
            self._submit_next()
            results = [future.result() for future in futures]
        else:
            numbers = self._numbers(rows)
            with ThreadPoolExecutor(self._n_threads()) as pool:
                results = list(pool.map(self._read, numbers))
        return self._batch(numbers, results)

    @contextmanager
    def reading_ahead(self, parts, rng=None):
        """While the block runs, decode the batches that will be taken before they are.

        Parameters
        ----------
        parts : list of (ndarray of int or slice)
            Rows of each batch, in the order that they will be taken.
        rng : numpy.random.Generator, default=None
            For random crops, where there are to be any; None reads the middle.
        """
        self._pool = ThreadPoolExecutor(self._n_threads())
        self._parts = deque(self._numbers(rows) for rows in parts)
        self._seeds = None
        if rng is not None and self.crop is not None:
            self._seeds = np.random.SeedSequence(int(rng.integers(2**63)))
        try:
            for _ in range(AHEAD):
                self._submit_next()
            yield
        finally:
            self._waiting.clear()
            self._parts.clear()
            self._pool.shutdown(wait=True, cancel_futures=True)
            del self._pool

    def _submit_next(self):
        if not self._parts:
            return
        numbers = self._parts.popleft()
        if self._seeds is None:
            futures = [self._pool.submit(self._read, row) for row in numbers]
        else:
            seeds = self._seeds.spawn(len(numbers))
            pairs = zip(numbers, seeds, strict=True)
            futures = [self._pool.submit(self._read_crop, *pair) for pair in pairs]
        self._waiting.append((numbers, futures))

    def _read(self, row):
        return self._attempt(self.reader.read, row)

    def _read_crop(self, row, seed):
        rng = np.random.default_rng(seed)
        read = self.reader.read_random_crop
        return self._attempt(lambda file, box: read(file, rng, box, **self.crop), row)

    def _attempt(self, read, row):
        boxes = self._items.boxes
        try:
            return read(self._items.files[row], None if boxes is None else boxes[row])
        except (OSError, ValueError) as error:
            return error

    def _batch(self, numbers, results):
        failed = {
            row: result
            for row, result in zip(numbers, results, strict=True)
            if isinstance(result, Exception)
        }
        if failed:
            raise unreadable(self._all_failed())
        batch = torch.from_numpy(np.stack(results)).to(self.device)
        if batch.ndim == 3:
            batch = batch.unsqueeze(-1)
        batch = batch.permute(0, 3, 1, 2)
        if not self.channels_last:
            batch = batch.contiguous()
        return batch.float() * (1 / 255)  # as rows of bytes are scaled

    def _all_failed(self):
        """Return the errors of all files: who mends one wants to mend them all."""
        rows = np.arange(len(self))
        with ThreadPoolExecutor(self._n_threads()) as pool:
            results = zip(rows, pool.map(self._read, rows), strict=True)
            return {row: result for row, result in results if isinstance(result, Exception)}

    def _numbers(self, rows):
        return np.arange(len(self))[rows]

    def _n_threads(self):
        return effective_n_jobs(-1 if self.reader.n_jobs is None else self.reader.n_jobs)
