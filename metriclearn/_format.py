"""What every kind of file of ours says of itself: its name, its version, its checksum.

CONTRIBUTING.md says what to do when one of them changes.
"""

import hashlib
import io
import json
import lzma
import math
import os
import struct
import tarfile
import zipfile
import zlib
from contextlib import contextmanager

import numpy as np

from metriclearn._files import open_regular

# What damaged archives raise, beside ValueError and OSError.
BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a compression that zipfile does not know
    struct.error,
)
# What reading arrays of a damaged archive raises besides; RuntimeError where a flipped bit says
# that one is encrypted.
_OF_ARRAYS = (ValueError, OSError, KeyError, TypeError, MemoryError, OverflowError, RuntimeError)
# An archive that unpacks to more than both, in bytes and in times its size, is a trap.
_MUCH = 2**30
_MOST_TIMES = 100
# Of the line that :func:`seal` makes.
_LONGEST_HEAD = 1000


class Format:
    """A kind of file, by name, with a reader for each version that was ever written.

    Parameters
    ----------
    name : str
        As it stands in the file.
    readers : dict of int to callable
        For each version, what brings its content to that of the present one. The present
        version is the largest.

    Examples
    --------
    >>> shoes = Format("shoes", {1: lambda size: {"size": size}, 2: dict})
    >>> shoes.version
    2
    >>> shoes.reader({"format": "shoes", "version": 1}, "a.json")(43)
    {'size': 43}
    >>> shoes.reader({"format": "shoes", "version": 3}, "a.json")
    Traceback (most recent call last):
    ValueError: a.json has version 3 of the format 'shoes'; this metriclearn reads up to 2: \
upgrade it
    """

    def __init__(self, name, readers):
        self.name = name
        self.readers = readers
        self.version = max(readers)

    @property
    def head(self):
        """The entries by which a file says what it is."""
        return {"format": self.name, "version": self.version}

    def reader(self, head, path):
        """Return the reader for what a file says it is.

        Parameters
        ----------
        head : object
            What was read where ``format`` and ``version`` should stand.
        path : str or path-like
            Named in the error.

        Raises
        ------
        ValueError
            If it is another kind of file, or of a newer version.
        """
        if not isinstance(head, dict) or head.get("format") != self.name:
            raise ValueError(f"{path} is not a {self.name}")
        version = head.get("version")
        if type(version) is not int or version < 1:
            raise ValueError(f"{path} is damaged: its version of the format is {version!r:.40}")
        if version not in self.readers:
            raise ValueError(
                f"{path} has version {version} of the format {self.name!r}; this metriclearn reads "
                f"up to {self.version}: upgrade it"
            )
        return self.readers[version]


def seal(kind, payload):
    """Return what stands before a payload in a file: what it is, with the payload's checksum.

    Parameters
    ----------
    kind : Format
    payload : bytes-like

    Returns
    -------
    bytes
        One line of JSON.
    """
    return json.dumps({**kind.head, "sha256": digest(payload)}).encode() + b"\n"


def unseal(kind, content, path):
    """Return the payload of a file that :func:`seal` begins.

    Parameters
    ----------
    kind : Format
    content : bytes
        The whole file.
    path : str or path-like
        Named in the error.

    Returns
    -------
    object
        What the reader of the file's version makes of the payload, a memoryview.

    Raises
    ------
    ValueError
        If it is another kind of file, of a newer version, cut short or damaged.
    """
    line, _, _ = content[:_LONGEST_HEAD].partition(b"\n")
    try:
        head = json.loads(line)
    except (ValueError, RecursionError):
        head = None
    read = kind.reader(head, path)
    payload = memoryview(content)[len(line) + 1 :]
    if head.get("sha256") != digest(payload):
        raise ValueError(f"{path} is damaged or cut short: its checksum is another")
    return read(payload)


def parse_json(text, path):
    """Parse JSON of a file.

    Parameters
    ----------
    text : str or bytes
    path : str or path-like
        Named in the error.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        If it is not JSON, not UTF-8, or nested too deep.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise ValueError(f"{path} is not valid JSON ({reason}); it may be damaged") from None


def checksum(value):
    """Compute the SHA-256 checksum of a value of JSON, whatever the order of its keys.

    Examples
    --------
    >>> checksum({"a": 1, "b": 2}) == checksum({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest(*parts):
    """Compute the SHA-256 checksum of bytes-like parts, one after the other."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.hexdigest()


def parse_array(content, path):
    """Read an array in numpy's format, of which nothing is unpickled.

    Parameters
    ----------
    content : bytes
        A whole file.
    path : str or path-like
        Named in the error.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        If it is no plain array, or not as long as it says; nothing large is made before that
        is known.
    """
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(stream)
        if dtype.hasobject:
            raise ValueError("it holds objects")
        if math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
            raise ValueError("it is not as long as it says")
        stream.seek(0)
        return np.load(stream, allow_pickle=False)
    except (ValueError, KeyError, TypeError, SyntaxError, EOFError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} is not a plain array: {reason}") from None


@contextmanager
def open_npz(path):
    """Open an ``.npz`` file of plain arrays; whatever is wrong with it is one error.

    Parameters
    ----------
    path : str or path-like

    Yields
    ------
    numpy.lib.npyio.NpzFile

    Raises
    ------
    ValueError
        If it is no such file, holds pickled objects, is damaged, or unpacks to far more than
        its size; also for what is wrong with an array that is read inside the block.
    """
    try:
        with open_regular(path) as stream:
            arrays = np.load(stream, allow_pickle=False)
            if not hasattr(arrays, "files"):
                raise ValueError("holds a single array, not an .npz archive")
            with arrays:
                members = arrays.zip.infolist()
                check_unpacked(sum(m.file_size for m in members), os.fstat(stream.fileno()).st_size)
                yield arrays
    except (*BROKEN, *_OF_ARRAYS) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if "allow_pickle" in str(error):
            reason = (
                "holds pickled Python objects, which may run code when read; save plain arrays of "
                "numbers or strings"
            )
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path}: {reason}") from None


def check_unpacked(n_bytes, n_packed):
    """Check that an archive does not unpack to far more than its size.

    Raises
    ------
    ValueError
    """
    if n_bytes > _MUCH and n_bytes > _MOST_TIMES * n_packed:
        raise ValueError(
            f"unpacks to {n_bytes / 1e9:.1f} GB from {n_packed / 1e6:.1f} MB, as no data do; if it "
            f"is to be trusted, unpack it by hand"
        )
