"""Birds and cars: CUB-200-2011 and Cars196, split by class number."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from metriclearn._files import open_regular
from metriclearn._packed import BROKEN, check_mat
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

_CONSTRAINTS = {"subset": [one_of("all", "train", "test")], **FETCH_CONSTRAINTS}


@validate_params(_CONSTRAINTS, prefer_skip_nested_validation=True)
def fetch_cub200(
    *,
    subset: str = "all",
    data_home: FilePath | None = None,
    download_if_missing: bool = True,
    archive: FilePath | list[Any] | None = None,
    return_X_y: bool = False,
    n_retries: int = 3,
    delay: float = 1.0,
    verbose: int = 0,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Fetch CUB-200-2011, birds of 200 species ([1]_; 1.2 GB).

    The split is that of the metric learning papers, with classes apart: the first
    100 species to train (5,864 images), the last 100 to test (5,924 images).

    Parameters
    ----------
    subset : {"all", "train", "test"}, default="all"
    data_home : str or path, default=None
        Folder that keeps the data; by default ``metriclearn`` in scikit-learn's
        :func:`~sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether to download what is not there yet, or to raise an ``OSError``.
    archive : str, path or list of them, default=None
        Used instead of the network. A file, ``CUB_200_2011.tgz``, is unpacked into
        ``data_home`` unless the data are there; a folder that holds it unpacked is
        read in place.
    return_X_y : bool, default=False
        Whether to return ``(images, target)`` only.
    n_retries : int, default=3
        How often to go on after a broken connection.
    delay : float, default=1.0
        Seconds between retries.
    verbose : int, default=0
        Whether to show a progress bar.

    Returns
    -------
    data : Bunch
        - images : ImagePaths of shape (11788,)
          Read by ``images.load(size=...)``.
        - target : ndarray of shape (11788,), dtype int64
          Species, 0 to 199.
        - target_names : ndarray of shape (200,)
        - split : ndarray of shape (11788,)
          "train" or "test".
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
    fetch_cars196 : Cars, split in the same way.
    metriclearn.model_selection.ClassDisjointKFold : Splits other data by whole classes.

    Notes
    -----
    The download is checked against its published sha256; a local archive or folder
    by the numbers of images and classes.

    References
    ----------
    .. [1] Wah, C., Branson, S., Welinder, P., Perona, P. & Belongie, S. "The Caltech-UCSD
       Birds-200-2011 dataset", California Institute of Technology, 2011.
       https://resolver.caltech.edu/CaltechAUTHORS:20111026-120541847

    Examples
    --------
    >>> from metriclearn.datasets import fetch_cub200
    >>> data = fetch_cub200()  # doctest: +SKIP
    """
    return fetch_split(
        "cub200",
        _read_cub200,
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
def fetch_cars196(
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
    """Fetch Cars196, cars of 196 models ([1]_; 1.9 GB).

    The split is that of the metric learning papers, with classes apart: the first
    98 models to train (8,054 images), the last 98 to test (8,131 images).

    Parameters
    ----------
    subset : {"all", "train", "test"}, default="all"
    data_home, download_if_missing
        See :func:`fetch_cub200`.
    archive : str, path or list of them, default=None
        Used instead of the network. Files, ``CARS196.zip`` or ``[car_ims.tgz,
        cars_annos.mat]`` or ``[cars_train.tgz, cars_test.tgz, car_devkit.tgz,
        cars_test_annos_withlabels.mat]``, are unpacked into ``data_home`` unless the
        data are there; a folder that holds them unpacked is read in place.
    return_X_y, n_retries, delay, verbose
        See :func:`fetch_cub200`.

    Returns
    -------
    data : Bunch
        - images : ImagePaths of shape (16185,)
          Read by ``images.load(size=...)``.
        - target : ndarray of shape (16185,), dtype int64
          Model, 0 to 195.
        - target_names : ndarray of shape (196,)
        - split : ndarray of shape (16185,)
          "train" or "test".
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
    fetch_cub200 : Birds, split in the same way.
    metriclearn.model_selection.ClassDisjointKFold : Splits other data by whole classes.

    Notes
    -----
    The authors' own site is gone. The archive that Stanford's vision group keeps has
    no published checksum: it is checked, as a local one is, by the numbers of images
    and classes (and by the checksums inside every zip).

    References
    ----------
    .. [1] Krause, J., Stark, M., Deng, J. & Fei-Fei, L. "3D object representations for fine-grained
       categorization", ICCV workshops, 2013. :doi:`10.1109/ICCVW.2013.77`

    Examples
    --------
    >>> from metriclearn.datasets import fetch_cars196
    >>> data = fetch_cars196()  # doctest: +SKIP
    """
    return fetch_split(
        "cars196",
        _read_cars196,
        subset=subset,
        data_home=data_home,
        download_if_missing=download_if_missing,
        archive=archive,
        return_X_y=return_X_y,
        n_retries=n_retries,
        delay=delay,
        verbose=verbose,
    )


def _split_by_number(classes, benchmark):
    return np.where(np.asarray(classes) <= benchmark.n_train_classes, "train", "test")


def _read_cub200(folder, benchmark):
    root = locate(folder, "image_class_labels.txt").parent
    image_ids, names = read_table(root / "images.txt", 2)
    labeled_ids, classes = read_table(root / "image_class_labels.txt", 2)
    if image_ids != labeled_ids:
        raise ValueError("images.txt and image_class_labels.txt do not list the same images")
    classes = np.array(classes, dtype=int)
    numbers, class_names = read_table(root / "classes.txt", 2)
    return Listing(
        root / "images",
        names,
        classes,
        _split_by_number(classes, benchmark),
        class_names=dict(zip(map(int, numbers), class_names, strict=True)),
    )


def _read_cars196(folder, benchmark):
    try:
        path = locate(folder, "cars_annos.mat")
    except FileNotFoundError:
        root, names, classes, class_names = _read_cars_devkit(folder)
    else:
        root, table = path.parent, _read_mat(path)
        names = [str(car["relative_im_path"]) for car in table["annotations"]]
        classes = [int(car["class"]) for car in table["annotations"]]
        class_names = table["class_names"]
    return Listing(
        root,
        names,
        np.array(classes),
        _split_by_number(classes, benchmark),
        class_names={k: str(name) for k, name in enumerate(class_names, start=1)},
    )


def _read_cars_devkit(folder):
    """Read the layout of the Cars challenge, which has the same images in two folders."""
    names, classes = [], []
    for part, table in [
        ("cars_train", "cars_train_annos.mat"),
        ("cars_test", "cars_test_annos_withlabels.mat"),
    ]:
        annotations = _read_mat(locate(folder, table))["annotations"]
        images = locate(folder, f"{part}/{annotations[0]['fname']}").parent.relative_to(folder)
        names += [f"{images.as_posix()}/{car['fname']}" for car in annotations]
        classes += [int(car["class"]) for car in annotations]
    meta = _read_mat(locate(folder, "cars_meta.mat"))
    return folder, names, classes, meta["class_names"]


def _read_mat(path):
    with open_regular(path) as stream:
        content = stream.read()
    try:
        check_mat(content)
        return loadmat(io.BytesIO(content), simplify_cells=True)
    except (
        MatReadError,
        MemoryError,
        LookupError,
        TypeError,
        ValueError,
        OSError,
        *BROKEN,
    ) as error:
        raise ValueError(f"{path.name} is no whole MATLAB file: {error}") from error
