"""Images are indexed like an array, and read when they are asked for."""

import numpy as np
import pytest
from helpers.archives import image_bytes
from numpy.testing import assert_allclose
from PIL import Image
from sklearn.model_selection import GroupKFold, train_test_split

from metriclearn.datasets import ImagePaths


def test_images_are_indexed_like_an_array(shades, tmp_path):
    assert len(shades) == 4
    assert shades[1] == tmp_path / "1.jpg"
    assert list(shades) == [tmp_path / f"{k}.jpg" for k in range(4)]
    assert shades[np.array([True, False, False, True])].names.tolist() == ["0.jpg", "3.jpg"]
    assert shades[1:].shape == (3,)
    assert shades[[[0, 1], [2, 3], [0, 3]]].shape == (3, 2)
    assert "shape (4,)" in repr(shades)


def test_images_go_through_scikit_learn_splitters(shades):
    train, test, y_train, y_test = train_test_split(shades, [0, 1, 2, 3], random_state=0)
    assert train.names.tolist() == [f"{k}.jpg" for k in y_train]
    assert test.names.tolist() == [f"{k}.jpg" for k in y_test]
    for rows, _ in GroupKFold(2).split(shades, groups=[0, 0, 1, 1]):
        assert shades[rows].shape == (2,)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_load_reads_in_order(shades, n_jobs):
    pixels = shades.load(n_jobs=n_jobs)
    assert pixels.shape == (4, 8, 12, 3)
    assert pixels.dtype == np.uint8
    assert_allclose(pixels[:, 4, 6, 0], [0, 50, 100, 150], atol=2)
    assert shades.load(size=5).shape == (4, 5, 5, 3)
    assert shades.load(size=(4, 6), mode="L").shape == (4, 4, 6)
    assert shades[[[0, 1], [2, 3]]].load(channels_first=True).shape == (2, 2, 3, 8, 12)


def test_load_crops_at_the_center_and_keeps_the_aspect(tmp_path):
    pixels = np.zeros((10, 30, 3), dtype=np.uint8)
    pixels[:, 10:20] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert np.all(ImagePaths(tmp_path, ["wide.png"]).load(size=10) == 255)


def test_load_says_what_is_wrong(shades, tmp_path):
    with pytest.raises(ValueError, match="no images"):
        shades[:0].load()
    with pytest.raises(ValueError, match="mode must be"):
        shades.load(mode="CMYK")
    for size in (0, (3,), "big", 2.5, (4, -1)):
        with pytest.raises(ValueError, match="size must be"):
            shades.load(size=size)
    (tmp_path / "1.jpg").write_bytes(image_bytes((0, 0, 0), size=(9, 9)))
    with pytest.raises(ValueError, match=r"size=None.*1\.jpg is \(9, 9\)"):
        shades.load()
    (tmp_path / "1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1\.jpg"):
        shades.load(size=4)


def test_images_need_pillow_only_when_they_are_read(shades, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"pip install 'metriclearn\[images\]'"):
        shades.load()
