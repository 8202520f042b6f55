"""What rows are taken, and what is refused."""

import numpy as np
import pytest
from helpers.comparisons import CHEAP

from metriclearn.compare import compare
from metriclearn.compare._sources._load import load_source
from metriclearn.compare._sources._rows import as_source


def test_built_in_names():
    wine = load_source("wine")
    assert wine.kind == "tabular"
    assert wine.feature_names[0] == "alcohol"
    assert set(wine.y) == {"class_0", "class_1", "class_2"}
    digits = load_source("digits")
    assert digits.kind == "image"
    assert digits.image_shape == (8, 8)
    assert digits.X.shape == (1797, 64)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[[1.0]], [[np.nan]], [[3.0]]], [0, 1, 0], "pixels that are NaN or infinite, in 1 image"),
        ([[{1, 2}], [{3}]], [0, 1], "1 column cannot be read: 'x0' holds values of type set"),
        ([[1j], [2]], [0, 1], "X must hold real numbers"),
        ([], [], "X must have rows and columns"),
        (np.empty((0, 3)), [], "X is empty"),
        ([[1.0], [2.0]], [0, 1, 1], "y has 3 labels for the 2 rows"),
        (np.ones((6, 1)), [0] * 6, "y has one class only"),
        (np.ones((6, 1)), [0, 0, 0, 1, 1, 1], None),
        (np.ones((7, 1)), [0, 0, 0, 1, 1, 1, 2], None),
        (np.ones((5, 1)), [0, 0, 0, 1, 1], "the 3 rows that are needed .class 1 has 2 rows"),
        (np.ones((6, 1)), list("abcdef"), "different label in every one of its 6 rows"),
        (np.ones((12, 1)), np.arange(12) + 0.5, "y has 12 amounts; at least 20 are needed"),
        (np.ones((3, 1)), [np.nan, np.nan, None], "y has no label in any of its 3 rows"),
        (np.ones((3, 1)), [[0, 1], [1, 0], [1, 1]], "one label per row"),
        (np.ones((6, 3, 8, 9)), [0, 1] * 3, r"seem to have 3 channels in front; move them to"),
        (np.ones((6, 1, 9, 9)), [0, 1] * 3, r"numpy.moveaxis\(X, 1, -1\)"),
        (np.ones((6, 2, 9, 9)), [0, 1] * 3, r"image_shape=\(2, 9, 9\) if they are 2 pixels high"),
    ],
)
def test_bad_arrays_are_one_clear_error(X, y, message):
    if message is None:
        assert len(as_source(X, y).y) == len(y)
        return
    with pytest.raises(ValueError, match=message):
        compare(X, y, learners=CHEAP)


def test_what_seem_channels_may_be_rows_of_pixels():
    X = np.random.default_rng(0).random((12, 2, 9, 9))
    assert as_source(X, [0, 1] * 6, image_shape=(2, 9, 9)).image_shape == (2, 9, 9)


@pytest.mark.parametrize(("width", "is_unit"), [(16, True), (16, False), (4, True)])
def test_rows_of_length_one_may_be_vectors_of_a_network(width, is_unit):
    X = np.random.default_rng(0).normal(size=(30, width))
    X = X / np.linalg.norm(X, axis=1, keepdims=True) if is_unit else X
    y = np.arange(30) % 3
    notes = " ".join(as_source(X, y).notes)
    assert ("Every row has length 1" in notes) is (is_unit and width >= 16)
    assert "Every row" not in " ".join(as_source(X, y, is_embedding=True).notes)
    longer = np.vstack([np.tile(X, (40, 1)), 2 * X[:3]])
    assert "Every row" not in " ".join(as_source(longer, np.arange(len(longer)) % 3).notes)
