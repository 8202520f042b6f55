"""Photos of a folder with one sub-folder for each class, or of a CSV file that lists them."""

from pathlib import Path

from metriclearn.compare._sources._photos import read_photos
from metriclearn.images._decode import SUFFIXES
from metriclearn.images._listings import is_list_of_images
from metriclearn.images._paths import ImagePaths


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
    return read_photos(ImagePaths.from_folder(folder), folder.resolve().name, **choices)


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
    return read_photos(ImagePaths.from_csv(file, label=target), file.stem, **choices)


def lists_images(file, target=None):
    """Whether a text file has a column of image files and one of labels.

    Parameters
    ----------
    file : Path
    target : str, default=None
        The column of labels.

    Returns
    -------
    bool
    """
    if file.suffix.lower() not in (".csv", ".tsv", ".txt"):
        return False
    try:
        with open(file, encoding="utf-8-sig") as stream:
            head, first = stream.readline(65536), stream.readline(65536)
    except (OSError, UnicodeDecodeError):
        return False
    separator = max(",;\t", key=head.count)
    columns = [name.strip().strip('"') for name in head.split(separator)]
    cells = [cell.strip().strip('"') for cell in first.split(separator)]
    named = is_list_of_images([*columns, "label"] if target in columns else columns)
    return named and any(Path(cell).suffix.lower() in SUFFIXES for cell in cells)
