"""Labeled Faces in the Wild: pairs of faces, of one person or of two."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from metriclearn._sklearn import one_of, validate_params
from metriclearn._types import FilePath
from metriclearn.datasets._benchmark import (
    FETCH_CONSTRAINTS,
    Listing,
    describe,
    fetch_listing,
    locate,
)
from metriclearn.datasets._sources import BENCHMARKS
from metriclearn.images._paths import ImagePaths

_LISTS = {"10_folds": "pairs.txt", "train": "pairsDevTrain.txt", "test": "pairsDevTest.txt"}


@validate_params(
    {"subset": [one_of(*_LISTS)], "funneled": ["boolean"], **FETCH_CONSTRAINTS},
    prefer_skip_nested_validation=True,
)
def fetch_lfw_pairs(
    *,
    subset: str = "10_folds",
    funneled: bool = True,
    data_home: Any = None,
    download_if_missing: Any = True,
    archive: FilePath | list[Any] | None = None,
    return_X_y: bool = False,
    n_retries: Any = 3,
    delay: Any = 1.0,
    verbose: Any = 0,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Fetch the pairs of Labeled Faces in the Wild ([1]_; 230 MB).

    The benchmark is ``"10_folds"``: 6,000 pairs in ten folds of 300 of the same
    person and 300 of two, no person in two folds. ``"train"`` (2,200 pairs) and
    ``"test"`` (1,000 pairs) are the authors' lists for development.

    Unlike :func:`sklearn.datasets.fetch_lfw_pairs` this reads no image before it is
    asked for, and it says who is in each image and in which fold a pair is.

    Parameters
    ----------
    subset : {"10_folds", "train", "test"}, default="10_folds"
    funneled : bool, default=True
        Whether to take the images aligned by funneling, or those as found.
    data_home, download_if_missing
        See :func:`fetch_cub200`.
    archive : str, path or list of them, default=None
        Used instead of the network. Files, ``[lfw-funneled.tgz, pairsDevTrain.txt,
        pairsDevTest.txt, pairs.txt]``, are unpacked into ``data_home`` unless the
        data are there; a folder that holds them unpacked is read in place, as
        ``lfw_home`` in scikit-learn's data home does.
    return_X_y : bool, default=False
        Whether to return ``(images[pairs], same)`` only.
    n_retries, delay, verbose
        See :func:`fetch_cub200`.

    Returns
    -------
    data : Bunch
        - images : ImagePaths of shape (13233,)
          Read by ``images.load(size=...)``.
        - target : ndarray of shape (13233,), dtype int64
          Person, 0 to 5,748.
        - target_names : ndarray of shape (5749,)
          As "George_W_Bush".
        - pairs : ndarray of shape (n_pairs, 2), dtype int64
          Rows of ``images``.
        - same : ndarray of shape (n_pairs,), dtype bool
          Whether both are of one person.
        - fold : ndarray of shape (n_pairs,), dtype int64
          Fold of each pair, 0 to 9; 0 for "train" and "test".
        - DESCR : str
    (images[pairs], same) : with ``return_X_y``
        ``images[pairs]`` is an ImagePaths of shape (n_pairs, 2).

    Raises
    ------
    ValueError
        If ``archive`` does not exist or is not this data set.
    OSError
        If the download fails or its checksum is wrong, or the data are missing
        with ``download_if_missing=False``.

    See Also
    --------
    sklearn.datasets.fetch_lfw_pairs : The same pairs, in gray and smaller.
    metriclearn.verification.PairClassifier : Decides whether a pair is one person.

    Notes
    -----
    Downloads are checked against the sha256 that scikit-learn publishes; local
    archives or folders by the numbers of images and people.

    References
    ----------
    .. [1] Huang, G. B., Ramesh, M., Berg, T. & Learned-Miller, E. "Labeled faces in the wild",
       University of Massachusetts, Amherst, Technical Report 07-49, 2007.
       https://vis-www.cs.umass.edu/lfw/

    Examples
    --------
    >>> from metriclearn.datasets import fetch_lfw_pairs
    >>> data = fetch_lfw_pairs()  # doctest: +SKIP
    """
    key = "lfw_funneled" if funneled else "lfw"
    listing = fetch_listing(
        key,
        _read_lfw,
        data_home=data_home,
        download_if_missing=download_if_missing,
        archive=archive,
        n_retries=n_retries,
        delay=delay,
        verbose=verbose,
    )
    target, target_names = listing.encode()
    images = ImagePaths(listing.folder, listing.names)
    pairs, same, fold = _read_pairs(locate(listing.folder, _LISTS[subset]), listing.names)
    if return_X_y:
        return images[pairs], same
    return Bunch(
        images=images,
        target=target,
        target_names=target_names,
        pairs=pairs,
        same=same,
        fold=fold,
        DESCR=describe(BENCHMARKS[key]),
    )


def _read_lfw(folder, benchmark):
    # Both archives hold one folder, named as the benchmark's own.
    people = locate(folder, benchmark.folder)
    names = [path.relative_to(folder).as_posix() for path in sorted(people.glob("*/*.jpg"))]
    for name in _LISTS.values():
        _read_pairs(locate(folder, name), names)
    return Listing(
        folder,
        names,
        np.array([name.split("/")[-2] for name in names]),
        np.full(len(names), "all"),
    )


def _read_pairs(path, names):
    """Read one of the authors' lists.

    Its first line is ``[n_folds] n``; each fold then has ``n`` lines ``person i j``
    and ``n`` lines ``person i other j``.
    """
    row = {name.rpartition("/")[2]: k for k, name in enumerate(names)}
    header, *lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    n_folds = int(header[0]) if len(header) == 2 else 1
    n = int(header[-1])
    same = np.tile(np.repeat([True, False], n), n_folds)
    if [len(line) == 3 for line in lines] != same.tolist():
        raise ValueError(
            f"{path.name} does not have the {n_folds} x 2 x {n} pairs that it announces"
        )
    images = [
        [(line[0], line[1]), (line[0] if len(line) == 3 else line[2], line[-1])] for line in lines
    ]
    pairs = [[row[f"{person}_{int(k):04d}.jpg"] for person, k in pair] for pair in images]
    return np.array(pairs, dtype=np.int64), same, np.repeat(np.arange(n_folds), 2 * n)
