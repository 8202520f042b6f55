"""Unpack archives without letting them write outside their folder."""

import errno
import shutil
import tarfile
import zipfile
from pathlib import PurePosixPath, PureWindowsPath

from metriclearn._packed import BROKEN, check_unpacked
from metriclearn._progress import progress

COPIED = {".mat", ".txt"}
# What a file takes on a disk at least.
_BLOCK = 512


def unpack(path, folder, *, verbose=0):
    """Unpack a zip or tar archive into a folder; copy a list or table there as it is.

    Parameters
    ----------
    path : Path
        A zip archive, a tar archive (also compressed), or a ``.txt`` or ``.mat`` file.
    folder : Path
        Made if missing.
    verbose : int, default=0
        Whether to show a progress bar.

    Raises
    ------
    ValueError
        If the file is no archive, is cut off or damaged, has a password, holds a
        member that leads out of the folder, or unpacks to far more than its size.
    OSError
        If the disk has not the room for it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in COPIED:
        shutil.copyfile(path, folder / path.name)
        return
    try:
        if zipfile.is_zipfile(path):
            _unpack_zip(path, folder, verbose)
        else:
            _unpack_tar(path, folder, verbose)
    except BROKEN as error:
        raise ValueError(
            f"{path} is not a whole zip or tar archive that can be unpacked here: {error}"
        ) from error


def _unpack_zip(path, folder, verbose):
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not _is_litter(member.filename)]
        for member in members:
            _refuse_escape(path, member.filename)
            if member.flag_bits & 1:
                raise ValueError(f"{path} has a password; unpack it and give the folder instead")
        _check_size(path, folder, sum(member.file_size for member in members))
        with progress(verbose, f"unpacking {path.name}", len(members)) as advance:
            for member in members:
                archive.extract(member, folder)
                advance()


def _unpack_tar(path, folder, verbose):
    with (
        tarfile.open(path) as archive,
        progress(verbose, f"unpacking {path.name}") as advance,
    ):
        n_bytes = 0
        for member in archive:
            n_bytes += max(member.size, _BLOCK)
            _check_size(path, folder, n_bytes, member.size)
            if _is_litter(member.name):
                continue
            _refuse_escape(path, member.name)
            archive.extract(member, folder, filter="data")
            advance()


def _check_size(path, folder, n_bytes, to_come=None):
    """Check what an archive unpacks to, before it does."""
    try:
        check_unpacked(n_bytes, path.stat().st_size)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None
    free = shutil.disk_usage(folder).free
    to_come = n_bytes if to_come is None else to_come
    if to_come > free:
        raise OSError(
            errno.ENOSPC,
            f"unpacking takes {to_come / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free",
            str(path),
        )


def _refuse_escape(path, name):
    windows = PureWindowsPath(name)
    if windows.drive or windows.root or ".." in windows.parts:
        raise ValueError(f"{path} is refused: its member {name!r} leads out of the folder")


def _is_litter(name):
    """Tell the files that macOS adds to archives, named like images but none."""
    parts = PurePosixPath(name).parts
    return bool(parts) and (parts[0] == "__MACOSX" or parts[-1].startswith("._"))
