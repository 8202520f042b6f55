"""Which images a folder or a CSV file lists, with what is said of each."""

import codecs
import csv
import io
from collections import Counter
from pathlib import Path

import numpy as np

from metriclearn._text import truth_of
from metriclearn.images._decode import OTHER_SUFFIXES, SUFFIXES
from metriclearn.images._parts import PART_OF, PARTS, meaning_of_flags, part_in, word_of

_QUERY, _GALLERY = frozenset(PARTS["query"]), frozenset(PARTS["gallery"])
_PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "image_path", "img")
_LABEL_COLUMNS = ("label", "class", "target", "y", "class_name", "category", "labels")
# Columns of parts of the data; all but the first only where they hold nothing else.
_SPLIT_COLUMNS = ("split", "subset", "partition", "is_train", "is_test")
# What operating systems and programs put beside files.
_OF_SYSTEMS = frozenset(("__macosx", "@eadir", "$recycle.bin", "system volume information"))
# What columns of boxes are called: two corners, or one corner and a size.
_CORNERS = (
    ("x_1", "y_1", "x_2", "y_2"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)
_CORNER_AND_SIZE = (("x", "y", "w", "h"), ("x", "y", "width", "height"))


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
    if folder.is_file():
        raise ValueError(f"{folder}: is a file; give a folder, unpacked, or ImagePaths.from_csv")
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder")
    children = _folders(folder)
    parts = _parts(folder, children)
    roots = list(parts) or [folder]
    names, labels, split, empty = [], [], [], []
    for root in roots:
        for child in _folders(root):
            found = images_within(child, recursive)
            if not found:
                empty.append(str(child))
            names += [file.relative_to(folder).as_posix() for file in found]
            labels += [child.name] * len(found)
            split += [parts.get(root, "")] * len(found)
    if empty:
        raise ValueError(
            f"{_some(empty)}: no images for {'this class' if len(empty) == 1 else 'these classes'}"
            f"; add some or remove the folder{_in_other_formats(empty)}"
        )
    if len(set(labels)) < 2:
        inner = len(children) == 1 and len(_folders(children[0])) > 1
        meant = [children[0]] if inner else sorted(folder.glob("*.csv"))
        hint = f"; is {meant[0]} meant?" if len(meant) == 1 else _of_no_class(folder)
        raise ValueError(
            f"{folder}: needs one sub-folder of images per class, at least 2; there are "
            f"{len(set(labels))}{hint}"
        )
    listed = {"names": names, "labels": labels}
    if parts:
        listed["split"] = split
        if set(split) & _QUERY and set(split) & _GALLERY:
            listed["is_query"] = [part in _QUERY for part in split]
            listed["is_gallery"] = [part in _GALLERY for part in split]
    return listed


def _of_no_class(folder):
    """Say what can be done with images that are in no folder of a class."""
    n = len(images_within(folder, recursive=False))
    return f"; {n:,} images are in none: list them with their labels in a CSV file" if n else ""


def _parts(folder, children):
    """Return {folder: part} of the folders that are parts of the data; none where classes are."""
    parts = {child: part for child in children if (part := part_in(child.name))}
    others = [child for child in children if child not in parts]
    if not parts or any(map(_has_images, others)):
        return {}
    flat = [child for child in parts if not any(map(_has_images, _folders(child)))]
    if len(parts) > 1 and flat and any(map(_has_images, flat)):
        raise ValueError(
            f"{_some(flat)}: no folders of classes, but images of no class; sort them into "
            f"folders, move them elsewhere, or list all images in a CSV file"
        )
    return {} if flat else parts


def passed_over(folder):
    """Return the names of pictures in a folder that are not listed.

    Those beside the folders of classes, and those of a format that is not read.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    list of str
    """
    folder = Path(folder)
    loose = [file for file in _files(folder, False) if file.suffix.lower() in SUFFIXES]
    other = [file for file in _files(folder, True) if file.suffix.lower() in OTHER_SUFFIXES]
    return [file.relative_to(folder).as_posix() for file in sorted(loose + other)]


def _in_other_formats(folders):
    """Say that there are pictures of a format that is not read."""
    found = Counter(
        file.suffix.lower()
        for folder in folders
        for file in _files(Path(folder), True)
        if file.suffix.lower() in OTHER_SUFFIXES
    )
    if not found:
        return ""
    return f" ({', '.join(sorted(found))} is not read; convert the files to JPEG or PNG)"


def read_list(file):
    """Return the text of a CSV file, and what is between its columns.

    Parameters
    ----------
    file : path-like

    Returns
    -------
    text, separator : str
    """
    data = Path(file).read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{file}: is not encoded as UTF-8; save it as UTF-8") from None
    head = text.partition("\n")[0]
    return text, max(",;\t", key=head.count)


def list_csv(file, path=None, label=None, split=None):
    """List the images that a CSV file names.

    Parameters
    ----------
    file : path-like
        Encoded as UTF-8, with a header; commas, semicolons or tabs between the columns.
    path, label, split : str, default=None
        Names of the columns, where they are not called as usual.

    Returns
    -------
    dict
        See :func:`list_folder`, with ``boxes``.
    """
    text, separator = read_list(file)
    reader = csv.DictReader(
        io.StringIO(text, newline=""), restkey=None, delimiter=separator, skipinitialspace=True
    )
    reader.fieldnames = header = [name.strip() for name in reader.fieldnames or ()]
    columns = [name for name in header if name]
    if any(_suffix(name) in SUFFIXES for name in columns):
        raise ValueError(f"{file}: the first line names an image; add one that names the columns")
    rows = list(reader)
    if path is None:
        path = _usual(columns, _PATH_COLUMNS) or _column_of_images(columns, rows)
    path = _column(file, columns, "path", path, _PATH_COLUMNS)
    boxes = _box_columns(columns)
    if not boxes:
        _check_no_box(file, columns)
    if split is not None and split not in columns:
        raise ValueError(f"{file}: no column {split!r}. There are: {', '.join(columns)}")
    split = _split_column(columns, rows) if split is None else split
    flags = {name: _called(columns, name) for name in ("is_query", "is_gallery")}
    said = {path, split, *flags.values()}
    label = _label_column(columns, path, said) if label is None else label
    label = _column(file, columns, "label", label, _LABEL_COLUMNS)
    if not rows:
        raise ValueError(f"{file}: has no rows")
    long = [k + 2 for k, row in enumerate(rows) if any(row.get(None, ()))]
    if long:
        raise ValueError(
            f"{file}: more cells than the {len(header)} columns in line {_some(long)}; put cells "
            f"that hold {separator!r} in quotes"
        )
    missing = [k for k, row in enumerate(rows) if _is_blank(row[path]) or _is_blank(row[label])]
    if missing:
        raise ValueError(
            f"{file}: no {path} or no {label} in line {_some([k + 2 for k in missing])}"
        )
    listed = {
        "names": [row[path].strip().replace("\\", "/") for row in rows],
        "labels": [row[label].strip() for row in rows],
    }
    if split is not None:
        listed["split"] = _split_words(split, rows)
    for name, column in flags.items():
        if column is not None:
            listed[name] = [_truth(file, column, k, row[column]) for k, row in enumerate(rows)]
    if boxes:
        listed["boxes"] = _boxes(file, columns, boxes, rows)
    return listed


def _is_blank(cell):
    """Whether a cell says nothing: blank, or what pandas makes of a blank."""
    return (cell or "").strip().lower() in ("", "nan", "<na>")


def _called(columns, name):
    """Return the column of this name, however it is written; None where there is none."""
    return next((column for column in columns if word_of(column) == word_of(name)), None)


def _split_column(columns, rows):
    """Return the column that says what part of the data each image is of."""
    for name in _SPLIT_COLUMNS:
        column = _called(columns, name)
        if column is not None and (name == "split" or _are_parts(column, rows)):
            return column
    return None


def _are_parts(column, rows):
    return {*map(word_of, _split_words(column, rows))} <= {"", *PART_OF}


def _split_words(column, rows):
    """Return what a column says of each row: as it is written, of yes and no what they mean."""
    cells = [(row[column] or "").strip().lower() for row in rows]
    meant = meaning_of_flags(column, {*map(word_of, cells)})
    return [meant.get(word_of(cell), cell) for cell in cells]


def _label_column(columns, path, said=()):
    """Return the column that is called as labels are, or else the one that can only be them."""
    said = {path, "split", "is_query", "is_gallery", *_box_columns(columns), *said}
    others = [column for column in columns if column not in said and column.lower() not in said]
    only = others[0] if len(others) == 1 and path is not None else None
    return _usual(others, _LABEL_COLUMNS) or only


def _box_columns(columns):
    """Return the names of the four columns of boxes, in lower case; none where there are none."""
    there = {column.lower() for column in columns}
    kinds = (*_CORNERS, *_CORNER_AND_SIZE)
    return next((names for names in kinds if there.issuperset(names)), ())


def _check_no_box(file, columns):
    there = {column.lower() for column in columns}
    part = next((names for names in _CORNERS if len(there & set(names)) > 1), None)
    if part is not None:
        lacking = ", ".join(name for name in part if name not in there)
        raise ValueError(f"{file}: of the boxes, column {lacking} is missing")
    if there & {"box", "bbox", "bounding_box"}:
        raise ValueError(
            f"{file}: boxes in one column are not read; give them in four, "
            f"{', '.join(_CORNERS[0])}, or remove the column"
        )


def _boxes(file, columns, names, rows):
    """Return left, top, right and bottom of each row."""
    called = {column.lower(): column for column in columns}
    used = [called[name] for name in names]
    boxes = np.array(
        [[_number(file, name, k, row[name]) for name in used] for k, row in enumerate(rows)]
    )
    if names in _CORNER_AND_SIZE:
        boxes[:, 2:] += boxes[:, :2]
    return boxes


def is_list_of_images(columns, rows, folder, target=None):
    """Whether a table with these columns and first rows lists image files with labels.

    Parameters
    ----------
    columns : list of str
    rows : list of list of str
    folder : Path
        What names of files are relative to.
    target : str, default=None
        The column of labels, where it is not called as usual.

    Returns
    -------
    bool
        True where a column is called as usual and has names of images, or names of any column
        are those of files that are there.
    """
    columns, rows = [column.strip() for column in columns], [row for row in rows if row]
    if target not in columns:
        cells = [dict.fromkeys(columns) | dict(zip(columns, row, strict=False)) for row in rows]
        path = _usual(columns, _PATH_COLUMNS) or _column_of_images(columns, cells)
        if _label_column([column for column in columns if column], path) is None:
            return False
    named = [Path(cell.strip().replace("\\", "/")) for row in rows for cell in row]
    named = [name for name in named if name.suffix.lower() in SUFFIXES]
    usual = _usual(columns, _PATH_COLUMNS) is not None
    return bool(named) and (usual or any((folder / name).is_file() for name in named))


def _column(file, columns, what, given, usual):
    if given is not None and given not in columns:
        raise ValueError(f"{file}: no column {given!r}. There are: {', '.join(columns)}")
    found = _usual(columns, usual) if given is None else given
    if found is None:
        raise ValueError(
            f"{file}: no column of {what}s ({', '.join(usual)}). There are: {', '.join(columns)}"
        )
    if columns.count(found) > 1:
        raise ValueError(f"{file}: {columns.count(found)} columns are called {found!r}; rename one")
    return found


def _usual(columns, usual):
    """Return the first column that is called as usual; None where there is none."""
    return next((c for name in usual for c in columns if c.lower() == name), None)


def _column_of_images(columns, rows):
    """Return the only column that holds names of image files; None where it is not only one."""
    found = [
        column
        for column in columns
        if rows and all(_suffix(row[column]) in SUFFIXES for row in rows)
    ]
    return found[0] if len(found) == 1 else None


def _suffix(cell):
    return Path((cell or "").strip()).suffix.lower()


def _truth(file, name, row, text):
    # A blank is what pandas writes for photos to train on, which are neither.
    said = False if _is_blank(text) else truth_of(text)
    if said is None:
        raise ValueError(f"{file}: {name} must be true or false, got {text!r} in line {row + 2}")
    return said


def _number(file, name, row, text):
    try:
        return float(text) if (text or "").strip() else np.nan
    except ValueError:
        raise ValueError(
            f"{file}: {name} must be a number, got {text!r} in line {row + 2}"
        ) from None


def _folders(folder):
    """Return the folders in a folder, without links back to it or to one above."""
    here = folder.resolve()
    above = {here, *here.parents}
    found = (c for c in folder.iterdir() if c.is_dir() and not _is_hidden(c.name))
    return sorted(child for child in found if child.resolve() not in above)


def _files(folder, recursive, above=frozenset()):
    """Return the files in a folder, without those that programs hide there."""
    found = [f for f in folder.iterdir() if not f.is_dir() and not _is_hidden(f.name)]
    above |= {folder.resolve()}
    for child in _folders(folder) if recursive else ():
        if child.resolve() not in above:  # links may go in circles
            found += _files(child, True, above)
    return found


def _is_hidden(name):
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def images_within(folder, recursive=True):
    """Return the image files of a folder, sorted, without those that programs hide there."""
    return sorted(file for file in _files(folder, recursive) if file.suffix.lower() in SUFFIXES)


def _has_images(folder):
    return bool(images_within(folder))


def _some(things, most=10):
    """List things, at most ten of them."""
    rest = len(things) - most
    listed = ", ".join(map(str, things[:most]))
    return f"{listed} and {rest} more" if rest > 0 else listed
