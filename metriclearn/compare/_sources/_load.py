"""A source by its name: which reader it needs."""

import difflib
from pathlib import Path

import numpy as np

from metriclearn._text import option
from metriclearn.compare._names import SOURCE_NAMES
from metriclearn.compare._sources._photos import lists_images, read_image_folder, read_image_list
from metriclearn.compare._sources._rows import as_source
from metriclearn.compare._sources._tables import read_npz, read_table
from metriclearn.compare._tables._read import PACKED_SUFFIXES, TABLE_SUFFIXES, table_suffix
from metriclearn.images._decode import OTHER_SUFFIXES, SUFFIXES

# Of these, those that are images.
IMAGE_NAMES = ("digits", "olivetti")
_ARCHIVES = frozenset((".tar", ".tgz", ".tbz2", ".txz", ".7z", ".rar"))


def load_source(
    source,
    target=None,
    *,
    groups=None,
    split=None,
    drop=(),
    keep=(),
    min_rows=None,
    task=None,
    image_shape=None,
    features=None,
    only=None,
    verbose=0,
):
    """Load labeled rows from a built-in name, a file or a folder.

    Parameters
    ----------
    source : str or path
        One of ``SOURCE_NAMES``; a table, packed or not (``.csv``, ``.tsv``, ``.txt``,
        ``.parquet``, ``.xlsx``, ...); an ``.npz`` file with ``X`` and ``y``; a folder with one
        sub-folder of images per class; or a ``.csv`` file with columns of image files and labels.
    target : str, default=None
        The label column of a table; of an ``.npz`` file the array of labels, ``y`` by default.
    groups : str, default=None
        The column that says what each row is a measurement of.
    split : str or array-like, default=None
        The column that says which rows are for training and which for testing; of photos
        ``"split"``, which takes what their list or their folders say.
    drop, keep : iterable of str, default=()
        Columns to leave out, and columns to keep that would be left out.
    min_rows : int, default=None
        Classes with fewer rows are not tested on.
    task : {"classes", "amounts"}, default=None
        What the labels are.
    image_shape : tuple, default=None
        Shape of the image that a row of a table or an array is.
    features : str, module, callable or True, default=None
        The backbone that makes vectors of photos; of rows that are such vectors already, True.
    only : iterable of str, default=None
        The columns to read and keep, in this order, and no others beside the label: a text file
        is a table then, even if it names images.
    verbose : int, default=0
        Whether to show how far features are.

    Returns
    -------
    Source
    """
    if not str(source):
        raise ValueError("the name of a source is empty")
    path = Path(source)
    of_tables = {"groups": groups, "drop": drop, "keep": keep}
    of_labels = {"split": split, "min_rows": min_rows, "task": task}
    of_photos = {"features": features, "verbose": verbose, **of_labels}
    if str(source) in SOURCE_NAMES:
        others = {"target": target, "image_shape": image_shape, "features": features}
        if str(source) in IMAGE_NAMES:
            others |= {**of_tables, "groups": groups if isinstance(groups, str) else None}
        if isinstance(split, str):
            others["split"] = split
        _refuse(source, "comes with scikit-learn and has its own labels", others)
        choices = {**of_tables, "split": split, "min_rows": min_rows, "only": only}
        return _read_built_in(str(source), **choices)
    if path.is_dir():
        others = {"target": target, "image_shape": image_shape, **of_tables}
        _refuse(source, "is a folder of images, whose sub-folders are the labels", others)
        return read_image_folder(path, **of_photos)
    if not path.exists():
        raise ValueError(_no_such_source(str(source)))
    if not path.is_file():
        raise ValueError(
            f"{source}: is neither a file nor a folder but a pipe or a device; write it to a file"
        )
    if only is None and lists_images(path, target, drop):
        _refuse(source, "lists images", {"image_shape": image_shape, **of_tables})
        return read_image_list(path, target, **of_photos)
    has_backbone = features is not None and features is not True
    _check_is_read(path, of_photos=has_backbone)
    if has_backbone:
        raise ValueError(
            f"features={features!r}: {source} holds no photos; give "
            f"{option('features', True)} alone to say that its rows are vectors that a network made"
        )
    choices = {"image_shape": image_shape, "is_embedding": features is True}
    choices |= {**of_labels, **of_tables, "only": only}
    if table_suffix(path) is not None:
        return read_table(path, target, **choices)
    if path.suffix.lower() == ".npz":
        return read_npz(path, target, **choices)
    raise ValueError(
        f"{source}: a file must be a table ({', '.join(TABLE_SUFFIXES)}) or an .npz file, got "
        f"{path.suffix.lower() or 'no suffix'!r}"
    )


def _check_is_read(path, of_photos):
    """Say what to give instead of an archive, or of a single photo."""
    suffix = path.suffix.lower()
    packed = path.with_suffix("").suffix.lower() if suffix in PACKED_SUFFIXES else ""
    if {suffix, packed} & _ARCHIVES or (of_photos and suffix == ".zip"):
        raise ValueError(
            f"{path}: is an archive; unpack it and give the folder of photos, or the table, that "
            f"is in it"
        )
    if suffix in SUFFIXES | OTHER_SUFFIXES:
        raise ValueError(
            f"{path}: is one image; give a folder with one sub-folder of images per class, or a "
            f"table of their files and labels"
        )


def _refuse(source, why, arguments):
    """Refuse what is of other sources."""
    for name, value in arguments.items():
        is_default = value is None or (isinstance(value, list | tuple) and not value)
        if not is_default:
            raise ValueError(f"{source} {why}; leave {option(name, value):.60} out")


def _no_such_source(source):
    names = ", ".join(SOURCE_NAMES)
    if "://" in source:
        return f"{source}: is an address; download the file and give its name"
    if source == "-":
        return "-: the standard input is not read; write it to a file and give its name"
    if Path(source).suffix or "/" in source or "\\" in source:
        return f"{source}: no such file or folder (built-in names: {names})"
    near = difflib.get_close_matches(source.lower(), SOURCE_NAMES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return (
        f"unknown source {source!r}{hint} Built-in names: {names}; or give a table (.csv, "
        f".parquet, .xlsx, ...), an .npz file, or a folder with one sub-folder of images per class"
    )


def _read_built_in(name, **choices):
    from sklearn import datasets

    if name == "olivetti":
        try:
            bunch = datasets.fetch_olivetti_faces()
        except OSError as error:
            raise ValueError(
                f"olivetti is fetched from the internet by scikit-learn, and that failed: {error}"
            ) from None
        return as_source(bunch.images, bunch.target, name=name, **choices)
    bunch = getattr(datasets, f"load_{name}")()
    if name == "digits":
        return as_source(bunch.images.astype(np.float32), bunch.target, name=name, **choices)
    labels = np.asarray(bunch.target_names)[bunch.target]
    names = [str(feature) for feature in bunch.feature_names]
    return as_source(bunch.data, labels, name=name, feature_names=names, **choices)
