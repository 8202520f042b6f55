"""Download a file: resumed where it broke off, refused where its checksum is wrong."""

import errno
import hashlib
import os
import re
import shutil
import tarfile
import time
import zipfile
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from metriclearn._packed import BROKEN, check_unpacked
from metriclearn._progress import progress

CHUNK = 2**20
TIMEOUT = 30  # seconds without a byte


@dataclass(frozen=True)
class RemoteFile:
    """A file on the network.

    Parameters
    ----------
    url : str
    filename : str
        Name of the local copy; its suffix tells how it is unpacked.
    sha256, md5 : str, default=None
        Published checksums, in hex. Those given are checked.
    """

    url: str
    filename: str
    sha256: str | None = None
    md5: str | None = None


def download(remote, folder, *, n_retries=3, delay=1.0, verbose=0):
    """Bring a remote file into a folder, or raise.

    The bytes go to ``filename.part``, which takes its final name only when it is
    complete and its checksums are right. A part left by a broken download is
    continued with an HTTP range request where the server says that the file has
    not changed since, and begun again where not.

    Parameters
    ----------
    remote : RemoteFile
    folder : Path
        Made if missing. A complete file that is there already is checked and kept.
    n_retries : int, default=3
        How often to go on after a broken connection.
    delay : float, default=1.0
        Seconds before each retry.
    verbose : int, default=0
        Whether to show a progress bar.

    Returns
    -------
    Path
    """
    target = Path(folder, remote.filename)
    tag = Path(folder, remote.filename + ".part.tag")
    if target.exists():
        arrived = target
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        arrived = Path(folder, remote.filename + ".part")
        _persist(remote, arrived, tag, n_retries, delay, verbose)
    wrong = _find_wrong_sum(remote, arrived)
    if wrong is not None:
        arrived.unlink()
        tag.unlink(missing_ok=True)
        raise OSError(
            f"{remote.filename} from {remote.url} has a wrong checksum ({wrong}): it was damaged "
            f"on the way or replaced at its source. It has been removed; call again, or give a "
            f"right copy as archive="
        )
    os.replace(arrived, target)
    tag.unlink(missing_ok=True)
    return target


def _find_wrong_sum(remote, path):
    """Return a text on the first checksum that is not the published one, or None."""
    for algorithm in ("sha256", "md5"):
        expected = getattr(remote, algorithm)
        if expected is None:
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(
                file, lambda name=algorithm: hashlib.new(name, usedforsecurity=False)
            )
        if digest.hexdigest() != expected:
            return f"{algorithm} {digest.hexdigest()}, should be {expected}"
    return None


def _persist(remote, part, tag, n_retries, delay, verbose):
    """Write ``part``, going on after broken connections."""
    while True:
        try:
            return _continue(remote, part, tag, verbose)
        except HTTPError as error:
            if error.code < HTTPStatus.INTERNAL_SERVER_ERROR or n_retries == 0:
                raise OSError(
                    f"{remote.url} answered {error.code} {error.reason}; if you have "
                    f"{remote.filename}, give it as archive="
                ) from error
        except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
            if n_retries == 0:
                raise OSError(
                    f"{remote.url}: {error}. What has arrived is kept: call again to go on, or "
                    f"give {remote.filename} as archive="
                ) from error
        n_retries -= 1
        time.sleep(delay)


def _continue(remote, part, tag, verbose):
    """Append what is missing to ``part``, or write it from the beginning."""
    # Without a tag nothing tells whether the part is of the file as it is now.
    offset = part.stat().st_size if part.exists() and tag.exists() else 0
    headers = {"User-Agent": "metriclearn", "Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": tag.read_text()}
    try:
        response = urlopen(Request(remote.url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not offset:
            raise
        error.close()
        if error.headers.get("Content-Range") != f"bytes */{offset}":
            part.unlink()
            _continue(remote, part, tag, verbose)
        return
    with response:
        if offset and not _continues_at(response, offset):
            offset = 0
        length = response.headers.get("Content-Length")
        total = None if length is None else offset + int(length)
        with part.open("ab" if offset else "wb") as file:
            if not offset:
                _write_tag(response, tag)
            _copy(response, file, offset, total, f"{remote.filename} (MiB)", verbose)
    if total is not None and part.stat().st_size != total:
        raise ConnectionError(f"the connection ended at {part.stat().st_size} of {total} bytes")


def _continues_at(response, offset):
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return False
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if start is None or int(start[1]) != offset:
        raise ConnectionError("the server sent another range than it was asked for")
    return True


def _write_tag(response, tag):
    """Keep what identifies this version of the file, where the server says it."""
    validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
    if validator is None or validator.startswith("W/"):
        validator = response.headers.get("Last-Modified")
    if validator is None:
        tag.unlink(missing_ok=True)
    else:
        tag.write_text(validator)


def _copy(response, file, offset, total, description, verbose):
    n_chunks = None if total is None else -(-total // CHUNK)
    with progress(verbose, description, n_chunks) as advance:
        advance(steps=offset // CHUNK)
        while chunk := response.read(CHUNK):
            file.write(chunk)
            advance()


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
