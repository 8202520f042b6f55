"""MNIST and Fashion-MNIST, through OpenML."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import fetch_openml
from sklearn.utils import Bunch

from metriclearn._files import open_regular, replacing
from metriclearn._packed import open_npz
from metriclearn._progress import progress
from metriclearn._sklearn import one_of, validate_params
from metriclearn._types import FilePath
from metriclearn.datasets._benchmark import FETCH_CONSTRAINTS, data_folder

SIZES = {"train": 60_000, "test": 10_000}
SIDE = 28
# Bytes of the largest of the authors' files, and some more.
_LARGEST = 2**26
_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_IDX = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_CONSTRAINTS = {
    "subset": [one_of("all", "train", "test")],
    **FETCH_CONSTRAINTS,
    "archive": [str, os.PathLike, None],
}


@validate_params(_CONSTRAINTS, prefer_skip_nested_validation=True)
def fetch_mnist(
    *,
    subset: str = "all",
    data_home: FilePath | None = None,
    download_if_missing: bool = True,
    archive: FilePath | None = None,
    return_X_y: bool = False,
    n_retries: int = 3,
    delay: float = 1.0,
    verbose: int = 0,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Fetch MNIST, handwritten digits ([1]_; 15 MB).

    The split is the authors': the first 60,000 images to train, the last 10,000 to
    test. Classes are the same in both; for the open set use
    :class:`~metriclearn.model_selection.ClassDisjointKFold`.

    Parameters
    ----------
    subset : {"all", "train", "test"}, default="all"
    data_home : str or path, default=None
        Folder that keeps the data; by default ``metriclearn`` in scikit-learn's
        :func:`~sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether to download what is not there yet, or to raise an ``OSError``.
    archive : str or path, default=None
        Used instead of the network: the folder of the four authors' files
        (``train-images-idx3-ubyte``, ...), also compressed to ``.gz``. Read in place.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` only.
    n_retries : int, default=3
        How often to try again after a broken connection.
    delay : float, default=1.0
        Seconds between retries.
    verbose : int, default=0
        Whether to show how long the download has been running.

    Returns
    -------
    data : Bunch
        - data : ndarray of shape (70000, 784), dtype uint8
          Ink is 255.
        - target : ndarray of shape (70000,), dtype int64
          The digit.
        - target_names : ndarray of shape (10,)
        - split : ndarray of shape (70000,)
          "train" or "test".
        - DESCR : str

        Rows of one part only with ``subset``.
    (data, target) : with ``return_X_y``
        The two alone.

    Raises
    ------
    ValueError
        If ``archive`` does not exist or is not this data set.
    OSError
        If the download fails, or the data are missing with
        ``download_if_missing=False``.

    See Also
    --------
    fetch_fashion_mnist : Clothes in the same format; harder.

    Notes
    -----
    Downloaded by :func:`~sklearn.datasets.fetch_openml`, which checks it against the
    checksum that OpenML states.

    References
    ----------
    .. [1] LeCun, Y., Bottou, L., Bengio, Y. & Haffner, P. "Gradient-based learning applied to
       document recognition", Proceedings of the IEEE 86, 1998. :doi:`10.1109/5.726791`

    Examples
    --------
    >>> from metriclearn.datasets import fetch_mnist
    >>> data = fetch_mnist()  # doctest: +SKIP
    """
    return _fetch(
        "mnist_784",
        _DIGITS,
        "MNIST (LeCun, Bottou, Bengio and Haffner, 1998)",
        subset=subset,
        data_home=data_home,
        download_if_missing=download_if_missing,
        archive=archive,
        return_X_y=return_X_y,
        n_retries=n_retries,
        delay=delay,
        verbose=verbose,
    )


@validate_params(_CONSTRAINTS, prefer_skip_nested_validation=True)
def fetch_fashion_mnist(
    *,
    subset: str = "all",
    data_home: Any = None,
    download_if_missing: Any = True,
    archive: FilePath | None = None,
    return_X_y: Any = False,
    n_retries: Any = 3,
    delay: Any = 1.0,
    verbose: Any = 0,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Fetch Fashion-MNIST, clothes in the format of MNIST ([1]_; 30 MB).

    The split is the authors': the first 60,000 images to train, the last 10,000 to
    test. Classes are the same in both; for the open set use
    :class:`~metriclearn.model_selection.ClassDisjointKFold`.

    Parameters
    ----------
    subset : {"all", "train", "test"}, default="all"
    data_home, download_if_missing
        See :func:`fetch_mnist`.
    archive : str or path, default=None
        Used instead of the network: the folder of the four authors' files
        (``train-images-idx3-ubyte``, ...), also compressed to ``.gz``. Read in place.
    return_X_y, n_retries, delay, verbose
        See :func:`fetch_mnist`.

    Returns
    -------
    data : Bunch
        - data : ndarray of shape (70000, 784), dtype uint8
        - target : ndarray of shape (70000,), dtype int64
          Class, 0 to 9.
        - target_names : ndarray of shape (10,)
          "T-shirt/top", "Trouser", ...
        - split : ndarray of shape (70000,)
          "train" or "test".
        - DESCR : str

        Rows of one part only with ``subset``.
    (data, target) : with ``return_X_y``
        The two alone.

    Raises
    ------
    ValueError
        If ``archive`` does not exist or is not this data set.
    OSError
        If the download fails, or the data are missing with
        ``download_if_missing=False``.

    See Also
    --------
    fetch_mnist : Digits in the same format.

    Notes
    -----
    Downloaded by :func:`~sklearn.datasets.fetch_openml`, which checks it against the
    checksum that OpenML states.

    References
    ----------
    .. [1] Xiao, H., Rasul, K. & Vollgraf, R. "Fashion-MNIST: a novel image dataset for benchmarking
       machine learning algorithms", 2017. https://arxiv.org/abs/1708.07747

    Examples
    --------
    >>> from metriclearn.datasets import fetch_fashion_mnist
    >>> data = fetch_fashion_mnist()  # doctest: +SKIP
    """
    return _fetch(
        "Fashion-MNIST",
        _CLOTHES,
        "Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017)",
        subset=subset,
        data_home=data_home,
        download_if_missing=download_if_missing,
        archive=archive,
        return_X_y=return_X_y,
        n_retries=n_retries,
        delay=delay,
        verbose=verbose,
    )


def _fetch(
    name,
    class_names,
    description,
    *,
    subset,
    data_home,
    download_if_missing,
    archive,
    return_X_y,
    n_retries,
    delay,
    verbose,
):
    if archive is not None:
        pixels, digits = _read_idx(Path(archive).expanduser())
    else:
        home = data_folder(data_home)
        kept = home / f"{name.lower()}.npz"
        if not kept.exists():
            if not download_if_missing:
                raise OSError(
                    f"{name} is not in {home} and download_if_missing=False; let it be "
                    f"downloaded, or give archive="
                )
            home.mkdir(parents=True, exist_ok=True)
            with progress(verbose, f"{name} from OpenML"):
                _keep(kept, *_download(name, data_home, n_retries, delay))
        pixels, digits = _load(kept)
    split = np.repeat(list(SIZES), list(SIZES.values()))
    rows = slice(None) if subset == "all" else split == subset
    if return_X_y:
        return pixels[rows], digits[rows]
    return Bunch(
        data=pixels[rows],
        target=digits[rows],
        target_names=np.array(class_names),
        split=split[rows],
        DESCR=description,
    )


def _download(name, data_home, n_retries, delay):
    # The pandas parser is quicker by far, but pandas need not be there.
    table = fetch_openml(
        name,
        version=1,
        data_home=data_home,
        as_frame=False,
        parser="liac-arff" if find_spec("pandas") is None else "pandas",
        n_retries=n_retries,
        delay=delay,
    )
    expected = (sum(SIZES.values()), SIDE * SIDE)
    if table.data.shape != expected:
        raise ValueError(f"{name} from OpenML is of shape {table.data.shape}, not {expected}")
    return table.data.astype(np.uint8), table.target.astype(np.int64)


def _keep(path, pixels, digits):
    with replacing(path) as stream:
        np.savez_compressed(stream, data=pixels, target=digits)


def _load(path):
    try:
        with open_npz(path) as table:
            return table["data"], table["target"]
    except ValueError as error:
        raise ValueError(
            f"{path} is no longer as it was saved ({error}); delete it and fetch it again"
        ) from error


def _read_idx(folder):
    """Read the four files of the authors from a folder."""
    if not folder.is_dir():
        raise ValueError(f"archive: {folder} is no folder; give the one of the four files")
    parts = []
    for part, names in _IDX.items():
        images, labels = (_read_idx_file(folder, name) for name in names)
        shape = (SIZES[part], SIDE, SIDE)
        if images.shape != shape or labels.shape != shape[:1]:
            raise ValueError(
                f"archive={str(folder)!r}: the {part} images are of shape {images.shape} and their "
                f"labels of {labels.shape}, not {shape} and {shape[:1]}"
            )
        parts.append((images.reshape(len(images), -1), labels.astype(np.int64)))
    pixels, digits = zip(*parts, strict=True)
    return np.concatenate(pixels), np.concatenate(digits)


def _read_idx_file(folder, name):
    """Read one array: two zero bytes, the type (8: uint8), the rank, the shape, the data."""
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise ValueError(f"archive={str(folder)!r} has no file {name} or {name}.gz")
    try:
        with open_regular(path) as stream:
            if path.suffix == ".gz":
                with gzip.open(stream) as unpacked:
                    content = unpacked.read(_LARGEST)
            else:
                content = stream.read(_LARGEST)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise ValueError(f"archive: {path} is damaged: {error}") from error
    rank = content[3] if content[:3] == b"\x00\x00\x08" and len(content) > 3 else 0
    start = 4 + 4 * rank
    shape = [int.from_bytes(content[k : k + 4], "big") for k in range(4, start, 4)]
    if rank == 0 or len(content) != start + math.prod(shape):
        raise ValueError(f"archive: {path} is no whole IDX file of bytes")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
