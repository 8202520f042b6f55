"""From an archive on the network or at hand to a checked, split data set."""

import glob
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch

from metriclearn._files import Lock
from metriclearn._sklearn import NOT_NEGATIVE, at_least
from metriclearn.datasets._fetch import download, unpack
from metriclearn.datasets._sources import BENCHMARKS
from metriclearn.images._paths import ImagePaths

FETCH_CONSTRAINTS = {
    "data_home": [str, os.PathLike, None],
    "download_if_missing": ["boolean"],
    "archive": [str, os.PathLike, list, tuple, None],
    "return_X_y": ["boolean"],
    "n_retries": [at_least(0)],
    "delay": [NOT_NEGATIVE],
    "verbose": ["verbose"],
}
_LOCK = "lock"
_OLD = 60  # seconds
# What a reader of a list or a folder of another layout stumbles over.
FOREIGN = (ValueError, KeyError, IndexError, TypeError, OSError, NotImplementedError)


@dataclass(frozen=True)
class Listing:
    """The images of a data set, one row each; nothing is read but their names.

    Parameters
    ----------
    folder : Path
    names : sequence of str
        Relative to ``folder``.
    classes : array-like of shape (n,)
        Name or number of the class of each image.
    split : array-like of str, shape (n,)
        Part of the standard split that each image belongs to.
    class_names : dict, default=None
        Name of each class, where ``classes`` holds numbers.
    columns : dict of str to ndarray of shape (n,)
        What else is known of each image.
    """

    folder: Path
    names: list
    classes: np.ndarray
    split: np.ndarray
    class_names: dict | None = None
    columns: dict = field(default_factory=dict)

    def encode(self):
        """Return the class codes of the images and the class names they stand for."""
        classes, target = np.unique(self.classes, return_inverse=True)
        if self.class_names is not None:
            classes = np.array([self.class_names[number] for number in classes])
        return target.reshape(-1).astype(np.int64), classes


def fetch_split(key, read, *, subset, return_X_y, **options):
    """Fetch a data set and return the wanted part of its standard split.

    Parameters
    ----------
    key, read, **options
        See :func:`fetch_listing`.
    subset : str
        A part of the split, or "all".
    return_X_y : bool

    Returns
    -------
    Bunch, or (ImagePaths, ndarray) with ``return_X_y``
    """
    listing = fetch_listing(key, read, **options)
    target, target_names = listing.encode()
    split = np.asarray(listing.split)
    rows = np.arange(len(split)) if subset == "all" else np.flatnonzero(split == subset)
    images = ImagePaths(listing.folder, listing.names)[rows]
    if return_X_y:
        return images, target[rows]
    return Bunch(
        images=images,
        target=target[rows],
        target_names=target_names,
        split=split[rows],
        **{name: column[rows] for name, column in listing.columns.items()},
        DESCR=describe(BENCHMARKS[key]),
    )


def describe(benchmark):
    """Return the text of the attribute ``DESCR``."""
    parts = [
        f"{part}: {n_images:,} images of {n_classes:,} classes"
        for part, (n_images, n_classes) in benchmark.counts.items()
    ]
    return "\n".join([f"{benchmark.title} ({benchmark.paper})", *parts])


def fetch_listing(key, read, *, data_home, download_if_missing, archive, n_retries, delay, verbose):
    """Find or fetch a data set, and list it.

    Parameters
    ----------
    key : str
        Name in ``BENCHMARKS``.
    read : callable
        ``read(folder, benchmark) -> Listing``, which raises one of ``FOREIGN`` where
        the folder holds something else.
    data_home, download_if_missing, archive, n_retries, delay, verbose
        See any of the loaders.

    Returns
    -------
    Listing
    """
    benchmark = BENCHMARKS[key]
    sources = _check_archive(archive)
    if len(sources) == 1 and sources[0].is_dir():
        return _read_checked(read, sources[0], benchmark, f"archive={str(archive)!r}")
    home = data_folder(data_home)
    folder = home / benchmark.folder
    if folder.is_dir():
        return _read_installed(read, folder, benchmark)
    if not sources and not download_if_missing:
        raise OSError(
            f"{benchmark.title} is not in {home} and download_if_missing=False; let it be "
            f"downloaded, or give archive="
        )
    home.mkdir(parents=True, exist_ok=True)
    if sources:
        _install(read, sources, folder, benchmark, f"archive={archive!r}", verbose)
    else:
        _download_and_install(read, folder, benchmark, n_retries, delay, verbose)
    return _read_installed(read, folder, benchmark)


def data_folder(data_home):
    """Return the folder that keeps the data."""
    home = Path(get_data_home(), "metriclearn") if data_home is None else Path(data_home)
    return home.expanduser()


def _check_archive(archive):
    """Return the paths that ``archive`` names, none for None."""
    if archive is None:
        return []
    paths = [archive] if isinstance(archive, (str, os.PathLike)) else archive
    paths = [Path(path).expanduser() for path in paths]
    if not paths:
        raise ValueError("archive is an empty list; give a file, a list of files or a folder")
    for path in paths:
        if not path.exists():
            raise ValueError(
                f"archive: there is no {path}; give a file, a list of files or a folder"
            )
        if path.is_dir() and len(paths) > 1:
            raise ValueError(
                f"archive: {path} is a folder in a list; give one folder that holds everything "
                f"unpacked, or a list of files"
            )
    return paths


def _download_and_install(read, folder, benchmark, n_retries, delay, verbose):
    downloads = folder.with_name(folder.name + "-download")
    sources = [
        download(remote, downloads, n_retries=n_retries, delay=delay, verbose=verbose)
        for remote in benchmark.files
    ]
    origin = "what came from " + " and ".join(remote.url for remote in benchmark.files)
    try:
        _install(read, sources, folder, benchmark, origin, verbose)
    except ValueError:
        # Refused: the next call has to begin with a new download.
        shutil.rmtree(downloads)
        raise
    shutil.rmtree(downloads)


def _install(read, sources, folder, benchmark, origin, verbose):
    """Unpack aside, check, and move into place: a folder in place is a whole one."""
    _clear_scratch(folder)
    with (
        TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary,
        _holding(Path(temporary, _LOCK)),
    ):
        staging = Path(temporary, folder.name)
        for source in sources:
            unpack(source, staging, verbose=verbose)
        _read_checked(read, staging, benchmark, origin)
        try:
            os.replace(staging, folder)
        except OSError:
            # Another process may have been first.
            if not folder.is_dir():
                raise


def _clear_scratch(folder):
    """Remove what processes that were killed while they unpacked have left."""
    for scratch in folder.parent.glob(f".{glob.escape(folder.name)}-*"):
        # One that is not locked yet may have been made this instant.
        if time.time() - scratch.stat().st_mtime > _OLD:
            lock = Lock(scratch / _LOCK)
            if lock.take() is None:
                shutil.rmtree(scratch, ignore_errors=True)
                lock.release()


@contextmanager
def _holding(path):
    """Hold a lock inside the block."""
    lock = Lock(path)
    lock.take()
    try:
        yield
    finally:
        lock.release()


def _read_installed(read, folder, benchmark):
    """List a folder that was checked when it was unpacked."""
    try:
        return read(folder, benchmark)
    except FOREIGN as error:
        raise ValueError(
            f"{folder} no longer holds {benchmark.title} as it was unpacked ({error}); delete the "
            f"folder and fetch it again"
        ) from error


def _read_checked(read, folder, benchmark, origin):
    """List a folder and compare it with what the data set must contain."""
    try:
        listing = read(folder, benchmark)
        _check_counts(listing, benchmark.counts)
        for name in listing.names:
            if not Path(listing.folder, name).is_file():
                raise FileNotFoundError(f"the image {name} is missing")
    except FOREIGN as error:
        raise ValueError(f"{origin} is not {benchmark.title}: {error}") from error
    return listing


def _check_counts(listing, counts):
    split, classes = np.asarray(listing.split), np.asarray(listing.classes)
    for part, (n_images, n_classes) in counts.items():
        rows = split == part
        found = int(rows.sum()), len(np.unique(classes[rows]))
        if found != (n_images, n_classes):
            raise ValueError(
                f"{part} has {found[0]} images of {found[1]} classes, {n_images} of {n_classes} "
                f"are expected"
            )


def locate(folder, name):
    """Find a file or folder by name, in ``folder`` or up to three levels below.

    Archives of the same data differ in how many folders they wrap it in.
    """
    for depth in range(4):
        found = sorted(folder.glob("*/" * depth + glob.escape(name)))
        if found:
            return found[0]
    raise FileNotFoundError(f"there is no {name} in it")


def read_table(path, n_columns, *, skip=0):
    """Read the columns of a text file of blank-separated words, the last to the line's end."""
    lines = path.read_text(encoding="utf-8").splitlines()[skip:]
    rows = [line.split(maxsplit=n_columns - 1) for line in lines if line.strip()]
    if not rows or any(len(row) != n_columns for row in rows):
        raise ValueError(f"{path.name} is not a list of {n_columns} columns")
    return [[row[k].strip() for row in rows] for k in range(n_columns)]
