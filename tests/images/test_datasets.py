"""Tables, columns and lists of images in any form are read as the images they hold."""

import numpy as np
import pytest
from helpers.tables import Column, Table, encoded, image_forms
from PIL import Image

from metriclearn.images import Features, ImageReader
from metriclearn.images._items import items_of

BYTES = np.random.default_rng(0).integers(256, size=(9, 12, 16, 3), dtype=np.uint8)
FORMS = [
    *("pictures", "pixels", "channels first", "bytes"),
    *("cells of bytes", "cells of paths", "names", "paths"),
]
HOLDERS = {
    "table": lambda cells: Table(image=cells, label=list(range(len(cells)))),
    "pandas": lambda cells: Table("pandas", image=cells, label=list(range(len(cells)))),
    "arrow": lambda cells: Table("arrow", image=cells),
    "column": Column,
    "list": list,
}


def colors(pixels):
    return pixels.reshape(len(pixels), -1)


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("form", FORMS)
def test_images_are_read_in_every_form_from_every_holder(tmp_path, holder, form):
    if (holder, form) == ("list", "channels first"):
        pytest.skip("of lists of arrays the channels are last")
    X = HOLDERS[holder](image_forms(BYTES, tmp_path)[form])
    np.testing.assert_array_equal(ImageReader().load(X), BYTES)
    features = Features(colors, image_size=(12, 16), normalize=False)
    np.testing.assert_array_equal(features.fit_transform(X), BYTES.reshape(9, -1))


@pytest.mark.parametrize("holder", ["table", "column"])
@pytest.mark.parametrize("missing", [0, 4])
def test_rows_without_an_image_are_named(tmp_path, holder, missing):
    for form in ("pictures", "pixels", "names", "cells of bytes"):
        cells = image_forms(BYTES, tmp_path)[form]
        cells[missing] = None
        X = HOLDERS[holder](cells)
        with pytest.raises(ValueError, match=f"^row {missing}: there is no image, but None"):
            ImageReader(8).load(X)
        assert missing not in ImageReader(8).load(X, on_error="skip")[1]


def test_damaged_images_in_a_table_are_named():
    cells = [encoded(Image.fromarray(pixels)) for pixels in BYTES]
    cells[2], cells[5] = b"no image", cells[5][:60]
    with pytest.raises(ValueError, match=r"(?s)2 images.*row 2: no image.*row 5: .*cannot be read"):
        ImageReader(8).load(Table(image=cells))
    with pytest.raises(FileNotFoundError, match=r"row 0, gone\.png: there is no such file"):
        ImageReader(8).load(Table(image=[{"bytes": None, "path": "gone.png"}]))


def test_images_of_a_table_are_never_changed():
    """A file that is opened but not decoded yet would be decoded at a small size for good."""
    large = Image.fromarray(np.kron(BYTES[0], np.ones((50, 50, 1), np.uint8)))
    for row in (Table(image=[large]), [large]):
        ImageReader(8).load(row)
        assert large.size == (800, 600)


def test_jpegs_opened_by_others_stay_whole(tmp_path):
    Image.new("RGB", (800, 600), "red").save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        ImageReader(8).load(Table(image=[image]))
        assert image.size == (800, 600)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (Table(image=[]), ValueError, "X is a Table without rows"),
        (Table(a=[1], b=[2]), ValueError, "columns a, b; which holds the rows"),
        (
            Table(x=[0.5, 1.5]),
            TypeError,
            r"images must be ImagePaths(.|\n)*got Table of float rows",
        ),
        (Column([[0.5]]), TypeError, "images must be ImagePaths.*got Column of list rows"),
        (
            Table(x=[np.zeros((3, 8, 8), np.float32)]),
            TypeError,
            r"got Table of float32 rows of shape \(3, 8, 8\)",
        ),
    ],
)
def test_what_holds_no_images_is_named(X, error, message):
    with pytest.raises(error, match=message):
        ImageReader(8).load(X)


def test_parts_of_a_table_are_asked_for():
    parts = Table(image=list(BYTES))
    parts.column_names = {"train": ["image"], "test": ["image"]}
    with pytest.raises(TypeError, match="give one of its parts: train, test"):
        ImageReader(8).load(parts)


@pytest.mark.parametrize("X", [[[1.0, 2.0]], Column([1.0, 2.0]), Table(x=[[1.0]]), range(3), "ab"])
def test_numbers_are_no_images(X):
    assert items_of(X) is None
