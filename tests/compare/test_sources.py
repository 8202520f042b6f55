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
        ([[1.0], [np.nan], [3.0]], [0, 1, 0], r"X\[:, 0\] holds NaN in row 1, counting from 0"),
        ([[1.0], [2.0], [np.inf]], [0, 1, 0], "holds infinity in row 2"),
        ([["red"], ["blue"]], [0, 1], "X must hold numbers"),
        ([[1j], [2]], [0, 1], "X must hold real numbers"),
        ([], [], "X must have rows and columns"),
        (np.empty((0, 3)), [], "X is empty"),
        ([[1.0], [2.0]], [0, 1, 1], "y has 3 labels for the 2 rows"),
        (np.ones((6, 1)), [0] * 6, "y has one class only"),
        (np.ones((6, 1)), [0, 0, 0, 1, 1, 1], None),
        (np.ones((7, 1)), [0, 0, 0, 1, 1, 1, 2], "y: class 2 has 1 row, at least 3"),
        (np.ones((6, 1)), list("abcdef"), "different label in every one of its 6 rows"),
        (np.ones((6, 1)), [0.5, 0.5, 1.5, 1.5, 2.5, 2.5], "continuous numbers"),
        (np.ones((3, 1)), [0, np.nan, 1], "no label in row 1"),
        (np.ones((3, 1)), np.array(["a", None, "b"], dtype=object), "no label in row 1"),
        (np.ones((3, 1)), [[0, 1], [1, 0], [1, 1]], "one label per row"),
    ],
)
def test_bad_arrays_are_one_clear_error(X, y, message):
    if message is None:
        assert len(as_source(X, y).y) == 6
        return
    with pytest.raises(ValueError, match=message):
        compare(X, y, learners=CHEAP)
