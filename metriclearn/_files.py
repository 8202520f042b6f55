"""The only way the package writes a file: all of it is there, or what was there before.

A file is written under a private scratch name beside its target, flushed to the disk and
renamed. Devices, pipes and the descriptors behind ``/dev/stdout`` cannot be renamed over and
are written in place; a link keeps pointing where it points, and its target is replaced.
"""

import contextlib
import csv
import errno
import io
import os
import secrets
import socket
import stat
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_SCRATCH_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_MOST_LINKS = 40


def write_text(path, text):
    """Write a text file as UTF-8, whole or not at all.

    Parameters
    ----------
    path : str or path-like
    text : str
    """
    write_bytes(path, text.encode("utf-8"))


def write_csv(path, columns):
    """Write columns of one length as a table with a header, whole or not at all.

    Parameters
    ----------
    path : str or path-like
    columns : dict of str to sequence
        Floats are written with all their digits.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_text(path, stream.getvalue())


def write_bytes(path, *parts):
    """Write a file, whole or not at all.

    Parameters
    ----------
    path : str or path-like
    *parts : bytes-like
        Written one after the other.
    """
    with replacing(path) as stream:
        for part in parts:
            stream.write(part)


def as_path(path, argument="path"):
    """Return a path of the user as one of pathlib; no text, or a zero in it, names no file."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{argument} must be a str or path-like, got {path!r:.60}")
    text = os.fspath(path)
    if not text or "\0" in text:
        raise ValueError(f"{argument}={text!r} is no name of a file or folder")
    return Path(path)


def as_folder(path, argument="path"):
    """Return the path of a folder to write to, which need not be there."""
    folder = as_path(path, argument)
    if os.path.lexists(folder) and not folder.is_dir():
        raise ValueError(f"{argument}={str(folder)!r} is a file, or leads nowhere; give a folder")
    return folder


def make_folder(path):
    """Make a folder, and those above it; return those that are new, the innermost first.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of Path
        For `remove_empty`, where what was to be written there fails.
    """
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except BaseException:
        remove_empty(new)
        raise
    return new


def remove_empty(folders):
    """Remove those of some folders, the innermost first, in which there is nothing."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextmanager
def replacing(path):
    """Open a binary stream whose content takes the place of a file at the end of the block.

    Where the block raises, the file is as it was and no scratch file is left. A new file has
    the mode that the umask gives; a file that is replaced keeps its mode and, where that is
    allowed, its owner.

    Parameters
    ----------
    path : str or path-like

    Yields
    ------
    file object
        Open for reading and writing, in binary.
    """
    target, in_place = _target(as_path(path))
    if in_place:
        # Appended, since opening a redirected /dev/stdout must not empty it.
        with open(target, "ab") as stream:
            yield stream
        return
    try:
        descriptor, scratch = _open_scratch(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    try:
        with _Remembering(descriptor) as stream:
            try:
                yield stream
            except OSError:
                raise
            except Exception as error:
                if stream.failure is None:
                    raise
                raise stream.failure from error
            stream.flush()
            os.fsync(descriptor)
        os.replace(scratch, target)
    except OSError as error:
        _remove(scratch)
        raise _named(error, path, os.fspath(scratch)) from error
    except BaseException:
        _remove(scratch)
        raise
    sync_folder(target.parent)


def sync_folder(folder):
    """Flush the names in a folder to the disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_writable(path, argument):
    """Find out before the work whether a file can be written after it.

    Parameters
    ----------
    path : str or path-like
    argument : str
        What the error calls it, e.g. ``"--report"``.
    """
    path = as_path(path, argument)
    if path.is_dir():
        raise ValueError(f"{argument} {path}: is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"{argument} {path}: there is no folder {path.parent}; make it first")
    if path.exists() and not os.access(path, os.W_OK):
        raise ValueError(f"{argument} {path}: the file exists and may not be written")
    try:
        target, in_place = _target(path)
        if in_place:
            os.stat(target)
        else:
            descriptor, scratch = _open_scratch(target)
            os.close(descriptor)
            _remove(scratch)
    except OSError as error:
        raise ValueError(f"{argument} {path}: cannot be written ({error.strerror})") from None


def check_folder(path, argument):
    """Find out before the work whether a folder is there, or can be made, and be written to.

    Parameters
    ----------
    path : str or path-like
    argument : str
        What the error calls it, e.g. ``"--save"``.

    Returns
    -------
    Path
    """
    folder = as_folder(path, argument)
    there = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    try:
        descriptor, scratch = _open_scratch(there / "folder")
    except OSError as error:
        raise ValueError(
            f"{argument} {folder}: {there} cannot be written to ({error.strerror})"
        ) from None
    os.close(descriptor)
    _remove(scratch)
    return folder


@contextmanager
def open_regular(path):
    """Open a regular file for reading; a pipe or device is an error, not an endless wait.

    Parameters
    ----------
    path : str or path-like

    Yields
    ------
    file object
        Open for reading, in binary.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if as_path(path).is_dir():
        raise ValueError(f"{os.fspath(path)!r} is a folder, not a file")
    with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise ValueError(f"{os.fspath(path)!r} is a pipe or a device, not a file")
        yield stream


class Lock:
    """A lock file that one process at a time holds, and that says which.

    It belongs to the process, so that a killed one leaves it free. Where the file system has no
    locks (some network shares), it holds nobody back.

    Parameters
    ----------
    path : str or path-like
        Made when taken and removed when released.
    """

    def __init__(self, path):
        self.path = os.fspath(path)
        self._descriptor = self._owner = None

    @property
    def held(self):
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def take(self):
        """Take the lock.

        Returns
        -------
        str or None
            None where it was taken (or held already); else who holds it.
        """
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        while self._descriptor is None:
            descriptor = os.open(self.path, flags, 0o666)
            try:
                _lock(descriptor)
            except BlockingIOError:
                holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
                os.close(descriptor)
                return holder or "another process"
            if _is_still(descriptor, self.path):
                os.ftruncate(descriptor, 0)
                holder = f"process {os.getpid()} on {socket.gethostname()}"
                with contextlib.suppress(OSError):  # a full disk; it is held all the same
                    os.write(descriptor, holder.encode())
                self._descriptor, self._owner = descriptor, os.getpid()
            else:  # its holder removed it between our two calls
                os.close(descriptor)
        return None

    def release(self):
        """Release the lock, if it is held."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            # In a forked child the lock is still the parent's.
            if self._owner == os.getpid():
                if _is_still(descriptor, self.path):
                    _remove(self.path)
                if fcntl is not None:
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def __del__(self):
        self.release()

    def __getstate__(self):
        return {"path": self.path, "_descriptor": None, "_owner": None}


def _lock(descriptor):
    """Lock an open file; BlockingIOError where another one has."""
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise


def _is_still(descriptor, path):
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


class _Remembering:
    """A stream that keeps its first failure, which some libraries turn into another error."""

    def __init__(self, descriptor):
        self._stream = os.fdopen(descriptor, "w+b")
        self.failure = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        try:
            self._stream.close()
        except OSError as failure:  # what is in the buffer of a full disk is lost anyway
            if error[0] is None:
                raise
            self.failure = self.failure or failure

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, data):
        try:
            return self._stream.write(data)
        except OSError as failure:
            self.failure = self.failure or failure
            raise

    def flush(self):
        try:
            self._stream.flush()
        except OSError as failure:
            self.failure = self.failure or failure
            raise


def _target(path):
    """Where a file is to be written, links followed, and whether in place."""
    path = Path(os.path.abspath(path))
    for _ in range(_MOST_LINKS):
        if path.parts[1:2] == ("proc",) or (path.exists() and not path.is_file()):
            return path, True
        if not path.is_symlink():
            return path, False
        path = Path(os.path.abspath(path.parent / os.readlink(path)))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))


def _open_scratch(target):
    """Open a new file beside the target, of its mode and owner."""
    scratch = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.part")
    try:
        old = os.stat(target)
    except FileNotFoundError:
        return os.open(scratch, _SCRATCH_FLAGS, 0o666), scratch
    descriptor = os.open(scratch, _SCRATCH_FLAGS, 0o600)
    if hasattr(os, "fchmod"):
        mine = os.fstat(descriptor)
        if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
            with contextlib.suppress(OSError):
                os.fchown(descriptor, old.st_uid, old.st_gid)
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
    return descriptor, scratch


def _remove(path):
    with contextlib.suppress(OSError):
        os.unlink(path)


def _named(error, path, scratch=None):
    """Return the error of the same kind that names the file the user asked for."""
    if error.errno is None or error.filename not in (None, os.fspath(path), scratch):
        return error
    return OSError(error.errno, error.strerror, os.fspath(path))
