"""Photos, listed by a folder or a CSV file with their split, as rows of pixels or of features."""

import codecs
import csv
from collections import Counter
from dataclasses import replace
from functools import cached_property
from itertools import compress
from os import PathLike

import numpy as np

from metriclearn._text import counted, option
from metriclearn.compare._inspect._finding import KINDS, listed, make_finding
from metriclearn.compare._measuring._images import shrinker
from metriclearn.compare._sources._rows import as_source
from metriclearn.images._decode import GRAY_MODES, opened, upright_size
from metriclearn.images._features import Features
from metriclearn.images._listings import is_list_of_images, passed_over
from metriclearn.images._parts import PARTS
from metriclearn.images._paths import ImagePaths
from metriclearn.images._reader import ImageReader

# Pixels are compared at this many a side at most: it bounds the time of a comparison on two
# cores, and the report says so.
MAX_SIDE = 64
# Lines of a text file that say whether it lists images.
_LINES = 20


class PhotoRows:
    """Rows of photos in each form that a learner reads; an array of their features by default.

    Parameters
    ----------
    features : ndarray of shape (n, n_features)
    pixels : ndarray of shape (n, height, width[, 3]), dtype uint8
    files : ImagePaths
    """

    ndim = 2

    def __init__(self, features, pixels, files):
        self.features = features
        self.pictures = pixels
        self.files = files
        self.shape = features.shape
        self.dtype = features.dtype

    @cached_property
    def pixels(self):
        """The pixels as rows, of smaller pictures: a yardstick need not be sharp."""
        rows = self.pictures.reshape(len(self.pictures), -1)
        smaller = shrinker(self.pictures.shape[1:])
        return rows if smaller is None else smaller.transform(rows).astype(np.uint8)

    def __len__(self):
        return len(self.features)

    def __getitem__(self, rows):
        return self.features[rows]


def read_photos(images, name, *, features=None, split=None, min_rows=None, task=None, verbose=0):
    """Read photos at one size, upright, their aspect kept; gray where all are.

    Parameters
    ----------
    images : ImagePaths
        With labels.
    name : str
    features : str, module or callable, default=None
        The backbone of `metriclearn.images.Features` that makes vectors of the photos.
    split : "split" or array-like of shape (n,), default=None
        Which photos are for training and which for testing; ``"split"`` takes what their list or
        their folders say.
    min_rows : int, default=None
        Classes with fewer photos are searched, but not tested on.
    task : {"classes", "amounts"}, default=None
        What the labels are.
    verbose : int, default=0
        Whether to show how far the features are.

    Returns
    -------
    Source
        A file that cannot be read is left out, with a finding that names it.
    """
    sizes, is_gray = survey(images.files)
    size = common_size(sizes)
    reader = ImageReader(size, mode="L" if is_gray else "RGB")
    pixels, kept = reader.load(images, on_error="skip")
    parts = photo_split(images, split)
    choices = {"name": name, "min_rows": min_rows, "task": task}
    if parts is not None:
        choices["split"] = parts[kept]
    if features is not None:
        return _with_features(images, pixels, kept, features, verbose, **choices)
    notes = (pixels_only(), *_size_notes(sizes, size), *_split_notes(images, parts))
    source = source_of_kept(pixels, images, kept, notes=notes, **choices)
    return replace(source, form="photos")


def _with_features(images, pixels, kept, backbone, verbose, **choices):
    if backbone is True:
        raise ValueError(
            f"features: say which network makes them of the photos of {choices['name']}, as in "
            f"timm/NAME"
        )
    vectors = Features(backbone, verbose=verbose).fit_transform(images[kept])
    notes = (f"Features of {backbone_name(backbone)}, {vectors.shape[1]} of each photo.",)
    source = source_of_kept(
        vectors,
        images,
        kept,
        notes=(*notes, *_split_notes(images, choices.get("split"))),
        is_embedding=True,
        **choices,
    )
    rows = np.arange(len(images)) if source.rows is None else source.rows
    pixels = pixels[np.searchsorted(kept, rows)]
    return replace(source, X=PhotoRows(source.X, pixels, images[rows]), backbone=backbone)


def backbone_name(backbone):
    """Return what a backbone is called in text."""
    if isinstance(backbone, str | PathLike):
        return str(backbone)
    return getattr(backbone, "__name__", type(backbone).__name__)


def survey(files):
    """Return the upright sizes of the files that can be opened, and whether all are gray.

    Parameters
    ----------
    files : list of Path

    Returns
    -------
    sizes : Counter of (height, width)
    is_gray : bool
    """
    sizes, is_gray = Counter(), True
    for file in files:
        try:
            with opened(file) as image:
                sizes[upright_size(image)[::-1]] += 1
                is_gray = is_gray and image.mode in GRAY_MODES
        except (OSError, ValueError):
            continue  # the reader says why
    return sizes, is_gray


def common_size(sizes):
    """Return the (height, width) that photos of these sizes are read at.

    The shape that most of them have, or else a square: one odd photo changes no other.

    Parameters
    ----------
    sizes : Counter of (height, width)

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> common_size(Counter({(400, 600): 9, (90, 30): 1}))
    (43, 64)
    >>> common_size(Counter({(400, 600): 5, (600, 400): 5}))
    (64, 64)
    """
    if not sizes:
        return MAX_SIDE, MAX_SIDE
    (height, width), most = sizes.most_common(1)[0]
    if 2 * most <= sizes.total():
        sides = np.repeat([min(size) for size in sizes], list(sizes.values()))
        height = width = np.median(sides)
    shrink = min(1, MAX_SIDE / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def source_of_kept(X, images, kept, **choices):
    """Wrap rows of the photos that could be read, with a finding that names the others.

    Parameters
    ----------
    X : ndarray of shape (n_kept, ...)
    images : ImagePaths
        All of them.
    kept : ndarray of int
        Places of those that could be read.
    **choices
        Of ``as_source``.

    Returns
    -------
    Source
    """
    failed = np.setdiff1d(np.arange(len(images)), kept)
    if not len(failed):
        return _with_names(as_source(X, images.labels, **choices), images)
    names = [str(images.names[row]) for row in failed]
    text = (
        f"{counted(len(failed), 'file')} of {len(images):,} cannot be read as a picture: "
        f"{listed(names, most=20)}.{_why(images, failed)}{_classes_lost(images, kept)}"
    )
    try:
        source = as_source(X, images.labels[kept], **choices)
    except ValueError as error:
        raise ValueError(f"{error}; {text}") from None
    rows = kept if source.rows is None else kept[source.rows]
    source = _with_names(replace(source, rows=rows), images)
    finding = make_finding("unreadable", text, "Left out.", rows=failed)
    findings = sorted((finding, *source.findings), key=lambda each: KINDS.index(each.kind))
    return replace(source, findings=tuple(findings))


def _with_names(source, images):
    """Name rows in findings by their place among all photos, copies by their files."""
    places = np.arange(len(images)) if source.rows is None else source.rows
    findings = []
    for finding in source.findings:
        rows = places[list(finding.rows)]
        text = finding.text
        if finding.kind == "duplicates":
            names = [str(images.names[row]) for row in rows]
            text += f" Equal to an earlier one: {listed(names, most=20)}."
        findings.append(replace(finding, rows=tuple(rows.tolist()), text=text))
    return replace(source, findings=tuple(findings))


def _why(images, failed):
    """Say why the first of some files cannot be read."""
    try:
        ImageReader(8).load(images[failed[:1]])
    except (OSError, ValueError) as error:
        return f" The first: {str(error).removeprefix(f'{images[int(failed[0])]}: ')}."
    return ""


def _classes_lost(images, kept):
    """Say which classes have no photo that can be read."""
    lost = sorted(set(images.labels) - set(images.labels[kept]))
    if not lost:
        return ""
    names = listed(lost, most=20)
    return f" Nothing is left of {counted(len(lost), 'class', 'classes')}: {names}."


def _size_notes(sizes, size):
    if set(sizes) == {size}:
        return ()
    height, width = size
    return (f"Photos were read at {width} × {height} pixels, the middle of those of other shapes.",)


def _deeper_notes(images):
    """Say of folders within those of the classes that they are no classes."""
    # Of a part of the data the folder of a class is the second.
    depth = 1 if images.split is None else 2
    parts = [name.split("/") for name in images.names]
    inner = {tuple(part[: depth + 1]) for part in parts if len(part) > depth + 1}
    plain = any(len(part) == depth + 1 for part in parts)
    if plain or len(inner) < 3:
        return ()
    names = sorted({part[-1] for part in inner})
    return (
        f"The outermost folders are the classes: {listed(names, most=6)} lie within them and were "
        f"not told apart; give a folder that holds these for classes of their own.",
    )


def pixels_only():
    """Say what photos were compared by, and what is left to try."""
    return (
        f"Photos were compared by their pixels, not by features of a pretrained network; for these "
        f"pip install 'metriclearn[timm]' and give {option('features', 'timm/NAME')}, or give "
        f"{option('features', 'FILE.onnx')} or FILE.npy."
    )


def _split_notes(images, parts):
    if parts is not None:
        return ()
    if images.split is None and (images.is_query is not None or images.is_gallery is not None):
        return (
            "The list says which photos are queries or gallery: folds are drawn from all photos; "
            f"{option('split', 'split')} searches as it says.",
        )
    if images.split is None or len(np.unique(images.split)) < 2:
        return ()
    names = ", ".join(np.unique(images.split))
    return (
        f"The parts {names} were put together: folds are drawn from all photos; "
        f"{option('split', 'split')} keeps them apart.",
    )


def photo_split(images, split):
    """Return what part each photo is of, as `as_source` takes it.

    Parameters
    ----------
    images : ImagePaths
        With ``split``, and with ``is_query`` and ``is_gallery`` where these are apart.
    split : "split", array-like of shape (n,) or None
        ``"split"`` takes what the photos bring along.

    Returns
    -------
    array-like of shape (n,), or None
    """
    if split is None or not isinstance(split, str):
        return split
    columns = (images.split, images.is_query, images.is_gallery)
    has_split = any(column is not None for column in columns)
    if split != "split" or not has_split:
        there = (
            f"; {option('split', 'split')} takes that of the list"
            if has_split
            else (
                "; they have none: columns split, is_query, is_gallery, or folders train and test"
            )
        )
        raise ValueError(f"split={split!r} is not known of photos{there}")
    words = np.asarray(
        [""] * len(images) if images.split is None else images.split, dtype=object
    ).copy()
    if images.is_query is None and images.is_gallery is None:
        return words
    tested = ~np.isin(words, PARTS["train"])
    # Where one of the two is said, the other photos are the other.
    query = ~images.is_gallery if images.is_query is None else images.is_query
    gallery = ~images.is_query if images.is_gallery is None else images.is_gallery
    query, gallery = query[tested], gallery[tested]
    if (query & gallery).all():  # each is searched for among the others
        words[tested] = "test"
    elif (query & gallery).any():
        both = int((query & gallery).sum())
        raise ValueError(
            f"split: {both:,} of {tested.sum():,} photos are both query and gallery; either all "
            f"are, or none"
        )
    else:
        used = query | gallery
        words[tested] = np.where(query, "query", np.where(used, "gallery", "train"))
    return words


def read_image_folder(folder, **choices):
    """Read the photos of a folder; the name of a sub-folder is the label.

    Parameters
    ----------
    folder : Path
    **choices
        Of ``read_photos``.

    Returns
    -------
    Source
    """
    images = ImagePaths.from_folder(folder)
    # Folders are names, also those of numbers.
    task = choices.pop("task", None) or "classes"
    source = read_photos(images, folder.resolve().name, task=task, **choices)
    source = replace(source, notes=(*source.notes, *_deeper_notes(images)))
    names = passed_over(folder)
    if not names:
        return source
    text = (
        f"{counted(len(names), 'picture')} beside the folders of classes, or of a format that is "
        f"not read: {listed(names, most=20)}."
    )
    finding = make_finding("unreadable", text, "Left out.")
    return replace(source, findings=(finding, *source.findings))


def read_image_list(file, target=None, **choices):
    """Read the photos that a CSV file lists.

    Parameters
    ----------
    file : Path
    target : str, default=None
        The column of labels, where it is not called as usual.
    **choices
        Of ``read_photos``.

    Returns
    -------
    Source
    """
    split = choices.pop("split", None)
    column = split if isinstance(split, str) and split != "split" else None
    images = ImagePaths.from_csv(file, label=target, split=column)
    split = split if column is None else "split"
    try:
        return read_photos(images, file.stem, split=split, **choices)
    except FileNotFoundError as error:  # all of them
        raise FileNotFoundError(
            f"{error}. Where other columns of {file.name} are to be compared, leave that of the "
            f"images out by {option('drop')}"
        ) from None


def lists_images(file, target=None, drop=()):
    """Whether a text file has a column of image files and one of labels.

    Parameters
    ----------
    file : Path
    target : str, default=None
        The column of labels.
    drop : iterable of str, default=()
        Columns that are not looked at: a table of other things may name images, too.

    Returns
    -------
    bool
    """
    if file.suffix.lower() not in (".csv", ".tsv", ".txt"):
        return False
    try:
        with open(file, "rb") as stream:
            wide = stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        with open(file, encoding="utf-16" if wide else "utf-8-sig", errors="replace") as stream:
            lines = [stream.readline(65536) for _ in range(_LINES)]
    except (OSError, UnicodeError):
        return False
    separator = max(",;\t", key=lines[0].count)
    columns, *rows = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    looked_at = [name.strip() not in drop for name in columns]
    columns, *rows = (list(compress(cells, looked_at)) for cells in (columns, *rows))
    return is_list_of_images(columns, rows, file.parent, target)
