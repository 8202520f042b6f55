"""A source by its name: which reader it needs."""

import difflib
from pathlib import Path

import numpy as np

from metriclearn.compare._names import SOURCE_NAMES
from metriclearn.compare._sources._arrays import read_npz
from metriclearn.compare._sources._image_folder import read_image_folder
from metriclearn.compare._sources._rows import Source, as_source
from metriclearn.compare._sources._tables import read_table


def load_source(source, target=None):
    """Load labeled rows from a built-in name, a file or a folder.

    Parameters
    ----------
    source : str or path
        One of ``SOURCE_NAMES``, a ``.csv`` or ``.parquet`` file, an ``.npz`` file
        with ``X`` and ``y``, or a folder with one sub-folder of images per class.
    target : str, default=None
        The label column of a ``.csv`` or ``.parquet`` file.

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        If there is no such source, or it cannot be read as labeled rows.
    ImportError
        If the reader it needs is not installed.
    """
    if not str(source):
        raise ValueError("the name of a source is empty")
    path = Path(source)
    suffix = path.suffix.lower()
    is_table = suffix in (".csv", ".parquet")
    if target is not None and not is_table:
        raise ValueError(
            f"{source} has its labels built in; --target names a column of a .csv or .parquet file"
        )
    if str(source) in SOURCE_NAMES:
        loaded = _read_built_in(str(source))
    elif path.is_dir():
        loaded = read_image_folder(path)
    elif not path.exists():
        raise ValueError(_no_such_source(str(source)))
    elif not path.is_file():
        raise ValueError(
            f"{source}: is neither a file nor a folder but a pipe or a device; write it to a file"
        )
    elif is_table:
        loaded = read_table(path, suffix, target)
    elif suffix == ".npz":
        loaded = read_npz(path)
    else:
        raise ValueError(
            f"{source}: a file must be .csv, .parquet or .npz, got {suffix or 'no suffix'!r}"
        )
    return loaded


def _no_such_source(source):
    names = ", ".join(SOURCE_NAMES)
    if Path(source).suffix or "/" in source or "\\" in source:
        return f"{source}: no such file or folder (built-in names: {names})"
    near = difflib.get_close_matches(source.lower(), SOURCE_NAMES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return (
        f"unknown source {source!r}{hint} Built-in names: {names}; or give a .csv, .parquet or "
        f".npz file, or a folder with one sub-folder of images per class"
    )


def _read_built_in(name):
    from sklearn import datasets

    if name == "olivetti":
        try:
            bunch = datasets.fetch_olivetti_faces()
        except OSError as error:
            raise ValueError(
                f"olivetti is fetched from the internet by scikit-learn, and that failed: {error}"
            ) from None
        return as_source(bunch.images, bunch.target, name=name)
    bunch = getattr(datasets, f"load_{name}")()
    if name == "digits":
        return as_source(bunch.images.astype(np.float32), bunch.target, name=name)
    labels = np.asarray(bunch.target_names)[bunch.target]
    source = as_source(bunch.data, labels, name=name)
    return Source(source.X, source.y, name, [str(feature) for feature in bunch.feature_names])
