"""Tables as Hugging Face's datasets have them: rows as dicts, columns that are read when needed."""

import io
from collections.abc import Sequence

import numpy as np

from helpers.optional import Image


class Table:
    """Columns by name; ``form`` is that of its rows."""

    def __init__(self, form=None, **columns):
        self.columns = columns
        self.column_names = list(columns)
        self.format = {"type": form}

    def with_format(self, form):
        return Table(form, **self.columns)

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key):
        if isinstance(key, str):
            return Column(self.columns[key])
        if self.format["type"] in ("pandas", "arrow", "polars"):
            return object()  # a table of one row
        return {name: column[key] for name, column in self.columns.items()}


class Column(Sequence):
    """A column that makes its cells when asked for them."""

    def __init__(self, cells):
        self.cells = cells

    def __len__(self):
        return len(self.cells)

    def __getitem__(self, key):
        return list(self.cells[key]) if isinstance(key, slice) else self.cells[key]


def encoded(image):
    """The content of a PNG file."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def image_forms(images, folder):
    """The same images, (n, height, width, 3) bytes, in each form that tables give them.

    Parameters
    ----------
    images : ndarray
    folder : Path
        Where files go.

    Returns
    -------
    dict of str to list
        Cells of a column.
    """
    pictures = [Image.fromarray(pixels) for pixels in images]
    files = [folder / f"{row}.png" for row in range(len(images))]
    for file, picture in zip(files, pictures, strict=True):
        picture.save(file)
    return {
        "pictures": pictures,
        "pixels": list(images),
        "channels first": list(np.moveaxis(images, -1, 1)),
        "bytes": [encoded(picture) for picture in pictures],
        "cells of bytes": [{"bytes": encoded(picture), "path": None} for picture in pictures],
        "cells of paths": [{"bytes": None, "path": str(file)} for file in files],
        "names": [str(file) for file in files],
        "paths": files,
    }
