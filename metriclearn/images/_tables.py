"""Features that are there already, as a file of one row for each image of a list."""

import os

import numpy as np

from metriclearn.images._paths import ImagePaths


def rows_of_table(file, X, items):
    """Return the rows of images in a file of features.

    Parameters
    ----------
    file : path-like
        An array of shape (n, d): the rows of all images of the folder that the images are in,
        in the order of `ImagePaths.from_folder`; or the rows of just these images.
    X : ImagePaths
        The images.
    items : Items
        The same.

    Returns
    -------
    ndarray of shape (n_images, d), dtype float32

    Raises
    ------
    ValueError
        If the numbers do not agree, or the array is none of features.
    """
    try:
        table = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"backbone={os.fspath(file)!r}: cannot be read ({error})") from None
    if table.ndim != 2 or table.dtype.kind not in "fiu":
        raise ValueError(
            f"backbone={os.fspath(file)!r}: must hold numbers of shape (n, d), got {table.dtype} "
            f"of shape {table.shape}"
        )
    rows = _places(file, table, X, items)
    vectors = np.asarray(table[rows], dtype=np.float32)
    if not np.all(np.isfinite(vectors)):
        raise ValueError(f"backbone={os.fspath(file)!r}: holds NaN or infinity")
    return vectors


def _places(file, table, X, items):
    n = len(items.files)
    if isinstance(X, ImagePaths):
        if len(table) != X.n_listed:
            raise ValueError(
                f"backbone={os.fspath(file)!r}: has {len(table):,} rows, but {X.n_listed:,} images "
                f"are listed"
            )
        return X.rows.ravel()
    if len(table) != n:
        raise ValueError(
            f"backbone={os.fspath(file)!r}: has {len(table):,} rows, but there are {n:,} images; "
            f"give ImagePaths of the whole list, of which any part may be taken"
        )
    return np.arange(n)
