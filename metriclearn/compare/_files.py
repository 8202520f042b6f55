"""Files that are there whole or not at all."""

import os
from pathlib import Path


def check_writable(path, argument):
    """Find out before the work whether a file can be written after it.

    Parameters
    ----------
    path : str or path
    argument : str
        What the error calls it, e.g. ``"--report"``.

    Raises
    ------
    ValueError
        If the folder does not exist or nothing can be written there.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{argument} {path}: is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"{argument} {path}: there is no folder {path.parent}; make it first")
    if path.exists() and not os.access(path, os.W_OK):
        raise ValueError(f"{argument} {path}: the file exists and may not be written")
    try:
        _write_beside(path, "").unlink()
    except OSError as error:
        raise ValueError(f"{argument} {path}: cannot be written ({error.strerror})") from None


def write_whole(path, text):
    """Write a text file so that a reader sees all of it or what was there before."""
    path = Path(path)
    os.replace(_write_beside(path, text), path)


def _write_beside(path, text):
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8")
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return beside
