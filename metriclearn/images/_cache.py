"""Rows of bytes or numbers that were computed once, kept in a folder and found by key.

A folder holds parts, each two files: the rows, memory-mapped when read, and an index with their
shape, their keys and a checksum of each. The index is written last, so that a part is there
whole or not at all. Several processes may add to one folder; a row that two of them computed
is kept twice.
"""

import hashlib
import json
import os
import secrets
import zlib
from pathlib import Path

import numpy as np

from metriclearn._files import replacing, write_bytes

_KEYS = np.dtype([("key", "V16"), ("checksum", "<u4")])


def default_folder():
    """Return the folder that caches go to: ``METRICLEARN_CACHE``, or the user's own."""
    given = os.environ.get("METRICLEARN_CACHE")
    if given:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "metriclearn"


def digest(*parts):
    """Hash strings and bytes into 16 bytes.

    Examples
    --------
    >>> len(digest("a", b"b")), digest("ab", "") == digest("a", "b")
    (16, False)
    """
    hashed = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode(errors="surrogatepass")
        hashed.update(len(data).to_bytes(8, "little") + data)
    return hashed.digest()


class RowCache:
    """Rows of one shape and dtype, found by key.

    Parameters
    ----------
    folder : path-like
        Made by :meth:`make_folder`.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self._places = {}
        self._parts = {}
        self._mapped = {}

    def make_folder(self, given):
        """Make the folder, before the work that would be lost.

        Parameters
        ----------
        given : path-like
            What the user called it, for the message.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"cache: nothing can be written in {given} ({error.strerror}); give a folder that "
                f"is yours, or leave the cache out"
            ) from None

    def missing(self, keys):
        """Return the numbers of the keys that have no row yet.

        Parameters
        ----------
        keys : sequence of bytes
            Of 16 bytes each.

        Returns
        -------
        ndarray of int
        """
        self._refresh()
        return np.array([i for i, key in enumerate(keys) if key not in self._places], dtype=int)

    def add(self, keys, batches, shape, dtype):
        """Add a part.

        Parameters
        ----------
        keys : sequence of bytes
        batches : iterable of ndarray
            Together one row for each key; taken one after the other.
        shape : tuple of int
            Of a row.
        dtype : dtype
        """
        name, dtype = secrets.token_hex(8), np.dtype(dtype)
        table = np.zeros(len(keys), dtype=_KEYS)
        table["key"] = [np.void(key) for key in keys]
        done = 0
        with replacing(self.folder / f"{name}.rows") as stream:
            for batch in batches:
                for row in np.ascontiguousarray(batch, dtype=dtype):
                    table["checksum"][done] = zlib.crc32(row)
                    done += 1
                    stream.write(row.data)
        head = json.dumps({"shape": [len(keys), *shape], "dtype": dtype.str}).encode()
        index = head + b"\n" + table.tobytes()
        write_bytes(self.folder / f"{name}.index", index, digest(index))

    def take(self, keys):
        """Return the rows of keys that all are there, each checked.

        Parameters
        ----------
        keys : sequence of bytes

        Returns
        -------
        ndarray of shape (n, ...)
        """
        self._refresh()
        rows = []
        for key in keys:
            part, place, checksum = self._places[key]
            row = self._rows(part)[place]
            if zlib.crc32(np.ascontiguousarray(row)) != checksum:
                raise _damaged(self.folder / f"{part}.rows")
            rows.append(row)
        return np.stack(rows)

    def _refresh(self):
        if not self.folder.is_dir():
            return
        for file in sorted(self.folder.glob("*.index")):
            if file.stem in self._parts:
                continue
            data = file.read_bytes()
            index = data[:-16]
            if digest(index) != data[-16:]:
                raise _damaged(file)
            head, _, table = index.partition(b"\n")
            head = json.loads(head)
            self._parts[file.stem] = tuple(head["shape"]), np.dtype(head["dtype"])
            for place, (key, checksum) in enumerate(np.frombuffer(table, dtype=_KEYS)):
                self._places[bytes(key)] = (file.stem, place, checksum)

    def _rows(self, part):
        if part not in self._mapped:
            shape, dtype = self._parts[part]
            file = self.folder / f"{part}.rows"
            try:
                self._mapped[part] = np.memmap(file, dtype=dtype, mode="r", shape=shape)
            except (OSError, ValueError):
                raise _damaged(file) from None
        return self._mapped[part]


def _damaged(file):
    return ValueError(f"{file}: damaged or missing; remove the folder, it is made again")
