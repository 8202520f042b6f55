"""Arrays and archives of strangers: how large they are is known before they are unpacked."""

import bz2
import gzip
import io
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
BROKEN_ARRAYS = (
    ValueError,
    OSError,
    KeyError,
    TypeError,
    SyntaxError,
    MemoryError,
    OverflowError,
    RuntimeError,
)
# What unpacks to more than both, in bytes and in times its size, is a trap.
_MUCH = 2**28
_MOST_TIMES = 100
_BLOCK = 2**20
_MAT_PACKED = 15
_OPENERS = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}


def check_unpacked(n_bytes, n_packed):
    """Check that a file does not unpack to far more than its size.

    Parameters
    ----------
    n_bytes : int
        What it would take, or takes so far, in memory or on a disk.
    n_packed : int
        Size of the file.
    """
    if n_bytes > _MUCH and n_bytes > _MOST_TIMES * n_packed:
        raise ValueError(
            f"unpacks to {n_bytes / 1e9:.1f} GB from {n_packed / 1e6:.1f} MB, as no data do; if it "
            f"is to be trusted, give it unpacked (arrays: by np.savez)"
        )


def check_cells(n_rows, n_columns, n_packed):
    """Check that a table has no more cells than its file's size can account for.

    One long line among many short ones, or one cell far below the others, makes a table of
    mostly empty cells.
    """
    check_unpacked(8 * n_rows * n_columns, n_packed)


def check_columns(metadata, n_packed):
    """Check that a Parquet file does not unpack to far more than its size.

    Parameters
    ----------
    metadata : pyarrow.parquet.FileMetaData
    n_packed : int
        Size of the file.
    """
    groups = (metadata.row_group(k) for k in range(metadata.num_row_groups))
    check_unpacked(sum(max(group.total_byte_size, 0) for group in groups), n_packed)
    check_cells(metadata.num_rows, metadata.num_columns, n_packed)


def decompress(data, kind):
    """Return bytes decompressed, stopping where they become far more than they were.

    Parameters
    ----------
    data : bytes
    kind : {"gzip", "bzip2", "xz"}
    """
    unpacked = io.BytesIO()
    with _OPENERS[kind](io.BytesIO(data)) as stream:
        while block := stream.read(_BLOCK):
            unpacked.write(block)
            check_unpacked(unpacked.tell(), len(data))
    return unpacked.getvalue()


def check_members(archive, n_packed):
    """Check that an open zip archive does not unpack to far more than its size.

    What a member holds beyond the length that the archive gives is never read.
    """
    check_unpacked(sum(member.file_size for member in archive.infolist()), n_packed)


def check_mat(content):
    """Check that a MATLAB file does not unpack to far more than its size.

    Parameters
    ----------
    content : bytes
        Of a file of version 5; nothing is packed in others.

    Raises
    ------
    ValueError
        If it unpacks to far more.
    zlib.error
        If it is damaged.
    """
    order, at, n_bytes = "<" if content[126:128] == b"IM" else ">", 128, 0
    while at + 8 <= len(content):
        kind, size = struct.unpack(f"{order}II", content[at : at + 8])
        rest = content[at + 8 : at + 8 + size] if kind == _MAT_PACKED else b""
        unpacker = zlib.decompressobj()
        while rest and not unpacker.eof:
            n_bytes += len(unpacker.decompress(rest, _BLOCK))
            check_unpacked(n_bytes, len(content))
            rest = unpacker.unconsumed_tail
        if kind == _MAT_PACKED and not unpacker.eof:  # the checksum stands at its end
            raise ValueError("is cut short")
        at += 8 + size


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
    """
    with _one_error(path, " is not a plain array: "):
        return _read_array(io.BytesIO(content), len(content))


def read_npy(path):
    """Read an ``.npy`` file of a plain array; whatever is wrong with it is one error.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    ndarray
    """
    with _one_error(path), open_regular(path) as stream:
        return _read_array(stream, os.fstat(stream.fileno()).st_size)


@contextmanager
def open_npz(path):
    """Open an ``.npz`` file of plain arrays; whatever is wrong with it is one error.

    Parameters
    ----------
    path : str or path-like

    Yields
    ------
    numpy.lib.npyio.NpzFile
    """
    with _one_error(path), open_regular(path) as stream:
        if stream.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
            raise ValueError("holds a single array, not an .npz archive")
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as arrays:
            check_members(arrays.zip, os.fstat(stream.fileno()).st_size)
            for member in arrays.zip.infolist():
                if member.filename.endswith(".npy"):
                    with arrays.zip.open(member) as content:
                        _check_length(content, member.file_size)
            yield arrays


def _read_array(stream, n_bytes):
    if _check_length(stream, n_bytes):
        raise ValueError("it holds pickled objects (allow_pickle)")
    stream.seek(0)
    return np.load(stream, allow_pickle=False)


def _check_length(stream, n_bytes):
    """Check that an array is as long as its header says; tell whether it holds objects.

    Objects are pickled, and as long as they like: numpy refuses to read them.
    """
    version = np.lib.format.read_magic(stream)
    # Version 3 is version 2 with names of fields in UTF-8.
    old = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        return True
    n_values = math.prod(shape)
    # Values of no width, as of dtype "V0", would be as many as anybody says.
    if n_values * dtype.itemsize != n_bytes - stream.tell() or (n_values and not dtype.itemsize):
        raise ValueError("it is not as long as it says")
    return False


@contextmanager
def _one_error(path, words=": "):
    """Turn whatever a damaged file of arrays raises into one ValueError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (*BROKEN, *BROKEN_ARRAYS) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if "allow_pickle" in str(error):
            reason = (
                "holds pickled Python objects, which may run code when read; save plain arrays of "
                "numbers or strings"
            )
        raise ValueError(f"{path}{words}{reason}") from None
