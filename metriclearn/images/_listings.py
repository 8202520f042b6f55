"""Which images a folder or a CSV file lists, with what is said of each."""

import csv
from pathlib import Path

import numpy as np

from metriclearn.images._decode import SUFFIXES

#: Folders that are parts of the data where all of them hold classes.
SPLIT_FOLDERS = frozenset(
    (
        *("train", "training", "val", "valid", "validation", "dev", "test", "testing"),
        *("query", "queries", "gallery"),
    )
)
_QUERY, _GALLERY = frozenset(("query", "queries")), frozenset(("gallery",))
_PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "image_path", "img")
_LABEL_COLUMNS = ("label", "class", "target", "y", "class_name", "category")
_BOX_COLUMNS = ("x_1", "y_1", "x_2", "y_2")
_TRUE, _FALSE = frozenset(("true", "1", "yes")), frozenset(("false", "0", "no"))


def list_folder(folder, recursive=True):
    """List the images of a folder with one sub-folder for each class.

    Parameters
    ----------
    folder : path-like
    recursive : bool, default=True
        Whether images deeper in a class's folder belong to it.

    Returns
    -------
    dict
        ``names``, ``labels`` and, of a folder of splits, ``split``, ``is_query``,
        ``is_gallery``, as `ImagePaths` takes them.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder")
    children = _folders(folder)
    parts = [child for child in children if child.name.lower() in SPLIT_FOLDERS]
    in_parts = bool(parts) and len(parts) == len(children) and all(map(_folders, parts))
    roots = parts if in_parts else [folder]
    names, labels, split, empty = [], [], [], []
    for root in roots:
        for child in _folders(root):
            found = _images(child, recursive)
            if not found:
                empty.append(str(child))
            names += [file.relative_to(folder).as_posix() for file in found]
            labels += [child.name] * len(found)
            split += [root.name.lower()] * len(found)
    if empty:
        raise ValueError(
            f"{_some(empty)}: no images for {'this class' if len(empty) == 1 else 'these classes'}"
            f"; add some or remove the folder"
        )
    if len(set(labels)) < 2:
        raise ValueError(
            f"{folder}: needs one sub-folder of images per class, at least 2; there are "
            f"{len(set(labels))}"
        )
    listed = {"names": names, "labels": labels}
    if in_parts:
        listed["split"] = split
        if set(split) & _QUERY and set(split) & _GALLERY:
            listed["is_query"] = [part in _QUERY for part in split]
            listed["is_gallery"] = [part in _GALLERY for part in split]
    return listed


def list_csv(file, path=None, label=None):
    """List the images that a CSV file names.

    Parameters
    ----------
    file : path-like
        Encoded as UTF-8, with a header; commas, semicolons or tabs between the columns.
    path, label : str, default=None
        Names of the columns, where they are not called as usual.

    Returns
    -------
    dict
        See :func:`list_folder`, with ``boxes``.
    """
    with open(file, encoding="utf-8-sig", newline="") as stream:
        head = stream.readline()
        stream.seek(0)
        separator = max(",;\t", key=head.count)
        reader = csv.DictReader(stream, delimiter=separator, skipinitialspace=True)
        columns = [name for name in reader.fieldnames or () if name]
        rows = list(reader)
    path = _column(file, columns, "path", path, _PATH_COLUMNS)
    label = _column(file, columns, "label", label, _LABEL_COLUMNS)
    if not rows:
        raise ValueError(f"{file}: has no rows")
    missing = [k for k, row in enumerate(rows) if not row[path] or not row[label]]
    if missing:
        raise ValueError(
            f"{file}: no {path} or no {label} in line {_some([k + 2 for k in missing])}"
        )
    listed = {
        "names": [row[path].strip().replace("\\", "/") for row in rows],
        "labels": [row[label].strip() for row in rows],
    }
    if "split" in columns:
        listed["split"] = [(row["split"] or "").strip().lower() for row in rows]
    for name in ("is_query", "is_gallery"):
        if name in columns:
            listed[name] = [_truth(file, name, k, row[name]) for k, row in enumerate(rows)]
    if all(name in columns for name in _BOX_COLUMNS):
        listed["boxes"] = [
            [_number(file, name, k, row[name]) for name in _BOX_COLUMNS]
            for k, row in enumerate(rows)
        ]
    return listed


def is_list_of_images(columns):
    """Whether a table of these columns lists image files: it has a path and a label.

    Examples
    --------
    >>> is_list_of_images(["label", "path", "split"]), is_list_of_images(["a", "label"])
    (True, False)
    """
    lowered = {str(name).lower() for name in columns}
    return bool(lowered & set(_PATH_COLUMNS)) and bool(lowered & set(_LABEL_COLUMNS))


def _column(file, columns, what, given, usual):
    if given is not None:
        if given not in columns:
            raise ValueError(f"{file}: no column {given!r}. There are: {', '.join(columns)}")
        return given
    for name in usual:
        for column in columns:
            if column.lower() == name:
                return column
    raise ValueError(
        f"{file}: no column of {what}s ({', '.join(usual)}). There are: {', '.join(columns)}"
    )


def _truth(file, name, row, text):
    word = (text or "").strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"{file}: {name} must be true or false, got {text!r} in line {row + 2}")
    return word in _TRUE


def _number(file, name, row, text):
    try:
        return float(text) if (text or "").strip() else np.nan
    except ValueError:
        raise ValueError(
            f"{file}: {name} must be a number, got {text!r} in line {row + 2}"
        ) from None


def _folders(folder):
    return sorted(
        child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")
    )


def _images(folder, recursive):
    found = folder.rglob("*") if recursive else folder.iterdir()
    hidden = len(folder.parts)
    return sorted(
        file
        for file in found
        if file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.parts[hidden:])
        and not file.is_dir()
    )


def _some(things, most=10):
    """List things, at most ten of them."""
    rest = len(things) - most
    listed = ", ".join(map(str, things[:most]))
    return f"{listed} and {rest} more" if rest > 0 else listed
