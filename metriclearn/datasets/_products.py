"""Things for sale: Stanford Online Products and In-Shop Clothes Retrieval."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from metriclearn._sklearn import one_of, validate_params
from metriclearn._types import FilePath
from metriclearn.datasets._benchmark import (
    FETCH_CONSTRAINTS,
    Listing,
    fetch_split,
    locate,
    read_table,
)

if TYPE_CHECKING:
    from sklearn.utils import Bunch


@validate_params(
    {"subset": [one_of("all", "train", "test")], **FETCH_CONSTRAINTS},
    prefer_skip_nested_validation=True,
)
def fetch_sop(
    *,
    subset: str = "all",
    data_home: Any = None,
    download_if_missing: Any = True,
    archive: FilePath | list[Any] | None = None,
    return_X_y: Any = False,
    n_retries: Any = 3,
    delay: Any = 1.0,
    verbose: Any = 0,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Fetch Stanford Online Products, 22,634 things sold on eBay ([1]_; 3.1 GB).

    The split is the authors', with classes apart (``Ebay_train.txt`` and
    ``Ebay_test.txt``): 11,318 products to train (59,551 images), 11,316 to test
    (60,502 images). A product has 2 to 12 images.

    Parameters
    ----------
    subset : {"all", "train", "test"}, default="all"
    data_home, download_if_missing
        See :func:`fetch_cub200`.
    archive : str, path or list of them, default=None
        Used instead of the network. A file, ``Stanford_Online_Products.zip``, is
        unpacked into ``data_home`` unless the data are there; a folder that holds it
        unpacked is read in place.
    return_X_y, n_retries, delay, verbose
        See :func:`fetch_cub200`.

    Returns
    -------
    data : Bunch
        - images : ImagePaths of shape (120053,)
          Read by ``images.load(size=...)``.
        - target : ndarray of shape (120053,), dtype int64
          Product, 0 to 22,633.
        - target_names : ndarray of shape (22634,)
          The authors' class numbers, as text.
        - split : ndarray of shape (120053,)
          "train" or "test".
        - category : ndarray of shape (120053,)
          One of 12 kinds of product: "bicycle", "cabinet", ...
        - DESCR : str

        Rows of one part only with ``subset``.
    (images, target) : with ``return_X_y``
        The two alone.

    Raises
    ------
    ValueError
        If ``archive`` does not exist or is not this data set.
    OSError
        If the download fails or its checksum is wrong, or the data are missing
        with ``download_if_missing=False``.

    See Also
    --------
    fetch_inshop : Clothes of one shop, with queries and gallery.

    Notes
    -----
    The download is checked against its published sha256; a local archive or folder
    by the numbers of images and classes.

    References
    ----------
    .. [1] Oh Song, H., Xiang, Y., Jegelka, S. & Savarese, S. "Deep metric learning via lifted
       structured feature embedding", CVPR, 2016. :doi:`10.1109/CVPR.2016.434`

    Examples
    --------
    >>> from metriclearn.datasets import fetch_sop
    >>> data = fetch_sop()  # doctest: +SKIP
    """
    return fetch_split(
        "sop",
        _read_sop,
        subset=subset,
        data_home=data_home,
        download_if_missing=download_if_missing,
        archive=archive,
        return_X_y=return_X_y,
        n_retries=n_retries,
        delay=delay,
        verbose=verbose,
    )


@validate_params(
    {"subset": [one_of("all", "train", "query", "gallery")], **FETCH_CONSTRAINTS},
    prefer_skip_nested_validation=True,
)
def fetch_inshop(
    *,
    subset: str = "all",
    data_home: Any = None,
    download_if_missing: Any = True,
    archive: FilePath | list[Any] | None = None,
    return_X_y: Any = False,
    n_retries: Any = 3,
    delay: Any = 1.0,
    verbose: Any = 0,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Fetch DeepFashion's In-Shop Clothes Retrieval, 7,982 garments [1]_.

    The split is the authors': 3,997 garments to train (25,882 images); 3,985 others
    to test, in a query (14,218 images) and a gallery (12,612 images) of the same
    garments.

    Parameters
    ----------
    subset : {"all", "train", "query", "gallery"}, default="all"
    data_home, download_if_missing
        See :func:`fetch_cub200`.
    archive : str, path or list of them, default=None
        Used instead of the network. Files, ``[img.zip, list_eval_partition.txt]``,
        are unpacked into ``data_home`` unless the data are there; a folder that holds
        them unpacked is read in place.
    return_X_y, n_retries, delay, verbose
        See :func:`fetch_cub200`.

    Returns
    -------
    data : Bunch
        - images : ImagePaths of shape (52712,)
          Read by ``images.load(size=...)``.
        - target : ndarray of shape (52712,), dtype int64
          Garment, 0 to 7,981.
        - target_names : ndarray of shape (7982,)
          The authors' names, "id_00000001" and so on.
        - split : ndarray of shape (52712,)
          "train", "query" or "gallery".
        - category : ndarray of shape (52712,)
          Kind of garment, as "WOMEN/Dresses".
        - DESCR : str

        Rows of one part only with ``subset``.
    (images, target) : with ``return_X_y``
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
    fetch_sop : Products of many shops, with no gallery of its own.

    Notes
    -----
    For research that is not commercial, on DeepFashion's terms. The authors publish
    no checksum: the download from their Google Drive is checked, as a local archive
    is, by the numbers of images and classes (and by the checksums inside every zip).
    Google may refuse it on a busy day; then fetch the two files with a browser and
    give them as ``archive``.

    References
    ----------
    .. [1] Liu, Z., Luo, P., Qiu, S., Wang, X. & Tang, X. "DeepFashion: powering robust clothes
       recognition and retrieval with rich annotations", CVPR, 2016. :doi:`10.1109/CVPR.2016.124`

    Examples
    --------
    >>> from metriclearn.datasets import fetch_inshop
    >>> data = fetch_inshop()  # doctest: +SKIP
    """
    return fetch_split(
        "inshop",
        _read_inshop,
        subset=subset,
        data_home=data_home,
        download_if_missing=download_if_missing,
        archive=archive,
        return_X_y=return_X_y,
        n_retries=n_retries,
        delay=delay,
        verbose=verbose,
    )


def _read_sop(folder, benchmark):
    root = locate(folder, "Ebay_train.txt").parent
    names, classes, split = [], [], []
    for part in benchmark.counts:
        _, part_classes, _, part_names = read_table(root / f"Ebay_{part}.txt", 4, skip=1)
        names += part_names
        classes += part_classes
        split += [part] * len(part_names)
    return Listing(
        root,
        names,
        np.array(classes, dtype=int),
        np.array(split),
        class_names={int(number): number for number in classes},
        columns={
            "category": np.array([name.partition("/")[0].removesuffix("_final") for name in names])
        },
    )


def _read_inshop(folder, benchmark):
    names, garments, split = read_table(locate(folder, "list_eval_partition.txt"), 3, skip=2)
    unknown = set(split) - set(benchmark.counts)
    if unknown:
        raise ValueError(
            f"list_eval_partition.txt has a part {min(unknown)[:40]!r}, not only "
            f"{', '.join(benchmark.counts)}"
        )
    root = locate(folder, names[0])
    root = root.parents[len(PurePosixPath(names[0]).parts) - 1]
    return Listing(
        root,
        names,
        np.array(garments),
        np.array(split),
        columns={"category": np.array(["/".join(name.split("/")[1:3]) for name in names])},
    )
