"""Handwritten characters of fifty alphabets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from metriclearn._sklearn import one_of, validate_params
from metriclearn._types import FilePath
from metriclearn.datasets._benchmark import FETCH_CONSTRAINTS, Listing, fetch_split, locate

if TYPE_CHECKING:
    from sklearn.utils import Bunch


@validate_params(
    {"subset": [one_of("all", "background", "evaluation")], **FETCH_CONSTRAINTS},
    prefer_skip_nested_validation=True,
)
def fetch_omniglot(
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
    """Fetch Omniglot, 1,623 characters by 20 people each ([1]_; 16 MB).

    The split is the authors', with alphabets apart: a background set to train, 964
    characters of 30 alphabets (19,280 images), and an evaluation set, 659 characters
    of 20 alphabets (13,180 images). Images are of 105 x 105 pixels, ink black.

    Parameters
    ----------
    subset : {"all", "background", "evaluation"}, default="all"
    data_home, download_if_missing
        See :func:`fetch_cub200`.
    archive : str, path or list of them, default=None
        Used instead of the network. Files, ``[images_background.zip,
        images_evaluation.zip]``, are unpacked into ``data_home`` unless the data are
        there; a folder that holds them unpacked is read in place.
    return_X_y, n_retries, delay, verbose
        See :func:`fetch_cub200`.

    Returns
    -------
    data : Bunch
        - images : ImagePaths of shape (32460,)
          Read by ``images.load(size=28, mode="L")``, for instance.
        - target : ndarray of shape (32460,), dtype int64
          Character, 0 to 1,622.
        - target_names : ndarray of shape (1623,)
          As "Greek/character01".
        - split : ndarray of shape (32460,)
          "background" or "evaluation".
        - alphabet : ndarray of shape (32460,)
          As "Greek".
        - drawer : ndarray of shape (32460,), dtype int64
          Which of an alphabet's drawers drew the image, 1 to 20.
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
    fetch_mnist : Ten classes only, of many images each.

    Notes
    -----
    Downloads are checked against their published sha256; local archives or folders
    by the numbers of images and classes.

    References
    ----------
    .. [1] Lake, B. M., Salakhutdinov, R. & Tenenbaum, J. B. "Human-level concept learning through
       probabilistic program induction", Science 350, 2015. :doi:`10.1126/science.aab3050`

    Examples
    --------
    >>> from metriclearn.datasets import fetch_omniglot
    >>> data = fetch_omniglot()  # doctest: +SKIP
    """
    return fetch_split(
        "omniglot",
        _read_omniglot,
        subset=subset,
        data_home=data_home,
        download_if_missing=download_if_missing,
        archive=archive,
        return_X_y=return_X_y,
        n_retries=n_retries,
        delay=delay,
        verbose=verbose,
    )


def _read_omniglot(folder, benchmark):
    root = locate(folder, "images_background").parent
    names, split = [], []
    for part in benchmark.counts:
        # images_<part>/<alphabet>/<character>/<character number>_<drawer>.png
        paths = sorted((root / f"images_{part}").glob("*/*/*.png"))
        names += [path.relative_to(root).as_posix() for path in paths]
        split += [part] * len(paths)
    _, alphabets, characters, files = zip(*(name.split("/") for name in names), strict=True)
    return Listing(
        root,
        names,
        np.array([f"{a}/{c}" for a, c in zip(alphabets, characters, strict=True)]),
        np.array(split),
        columns={
            "alphabet": np.array(alphabets),
            "drawer": np.array([int(file[:-4].rpartition("_")[2]) for file in files]),
        },
    )
