"""MNIST from the authors' files and from a stand-in for OpenML."""

import gzip

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.utils import Bunch

from metriclearn import datasets
from metriclearn.datasets import _mnist, fetch_mnist


def idx(array):
    shape = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + shape + array.astype(np.uint8).tobytes()


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """Six training and three test images, as the authors' files, one of them plain."""
    monkeypatch.setattr(_mnist, "SIZES", {"train": 6, "test": 3})
    rng = np.random.RandomState(0)
    pixels, digits = rng.randint(0, 256, (9, 28, 28)), rng.randint(0, 10, 9)
    folder = tmp_path / "idx"
    folder.mkdir()
    for prefix, rows in {"train": slice(6), "t10k": slice(6, 9)}.items():
        images = gzip.compress(idx(pixels[rows]))
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(images)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(digits[rows]))
    return folder, pixels.reshape(9, 784), digits


@pytest.fixture
def openml(mnist, monkeypatch):
    """The same images from a stand-in for OpenML, which notes what it was asked for."""
    asked = []

    def fetch_openml(name, **options):
        asked.append((name, options))
        return Bunch(data=mnist[1].astype(float), target=mnist[2].astype(str).astype(object))

    monkeypatch.setattr(_mnist, "fetch_openml", fetch_openml)
    return asked


def test_mnist_from_the_authors_files(mnist, home):
    folder, pixels, digits = mnist
    data = fetch_mnist(archive=folder, data_home=home)
    assert data.data.dtype == np.uint8
    assert_array_equal(data.data, pixels)
    assert_array_equal(data.target, digits)
    assert data.split.tolist() == ["train"] * 6 + ["test"] * 3
    X, y = fetch_mnist(archive=folder, subset="test", return_X_y=True)
    assert_array_equal(X, pixels[6:])
    assert_array_equal(y, digits[6:])
    assert not home.exists()


@pytest.mark.parametrize(
    ("name", "fetch", "first"),
    [
        ("mnist_784", fetch_mnist, "0"),
        ("Fashion-MNIST", datasets.fetch_fashion_mnist, "T-shirt/top"),
    ],
)
def test_mnist_from_openml_is_asked_for_once(name, fetch, first, mnist, openml, home):
    data = fetch(data_home=home, n_retries=5, delay=0.5)
    ((asked, options),) = openml
    assert asked == name
    assert options["version"] == 1
    assert options["as_frame"] is False
    assert (options["data_home"], options["n_retries"], options["delay"]) == (home, 5, 0.5)
    assert_array_equal(data.data, mnist[1])
    assert_array_equal(data.target, mnist[2])
    assert data.target.dtype == np.int64
    assert data.target_names[0] == first
    again = fetch(data_home=home, download_if_missing=False)
    assert len(openml) == 1
    assert_array_equal(again.data, data.data)
    assert [path.suffix for path in home.iterdir()] == [".npz"]


def test_mnist_says_what_is_wrong(mnist, openml, home, tmp_path, monkeypatch):
    folder = mnist[0]
    with pytest.raises(OSError, match="download_if_missing=False"):
        fetch_mnist(data_home=home, download_if_missing=False)
    with pytest.raises(ValueError, match=r"archive: .*nowhere is no folder"):
        fetch_mnist(archive=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="has no file train-images-idx3-ubyte"):
        fetch_mnist(archive=tmp_path)
    labels = folder / "train-labels-idx1-ubyte"
    for content in (b"", b"\0\0\x08", b"\0\0\x08\x01\0\0", labels.read_bytes()[:-1], b"PNG..."):
        labels.write_bytes(content)
        with pytest.raises(ValueError, match="is no whole IDX file"):
            fetch_mnist(archive=folder)
    labels.write_bytes(idx(np.zeros(5)))
    with pytest.raises(ValueError, match=r"train images are of shape \(6, 28, 28\) and .* \(5,\)"):
        fetch_mnist(archive=folder)
    images = folder / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:50])
    with pytest.raises(ValueError, match="is damaged"):
        fetch_mnist(archive=folder)
    monkeypatch.setattr(_mnist, "SIZES", {"train": 6, "test": 4})
    with pytest.raises(ValueError, match=r"from OpenML is of shape \(9, 784\), not \(10, 784\)"):
        fetch_mnist(data_home=home)


def test_a_damaged_kept_mnist_says_so(mnist, openml, home):
    fetch_mnist(data_home=home)
    (kept,) = home.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(ValueError, match="delete it and fetch it again"):
        fetch_mnist(data_home=home)
