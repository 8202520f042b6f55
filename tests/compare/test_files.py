"""What the command reads: tables, arrays and folders of images."""

import numpy as np
import pandas as pd
import pytest
from helpers.commands import write_images
from PIL import Image
from sklearn.datasets import load_iris, load_wine

from metriclearn.compare._sources._load import load_source
from metriclearn.compare._sources._photos import pixels_only


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables(tmp_path, iris_frame, suffix):
    path = tmp_path / f"flowers.{suffix}"
    if suffix == "csv":
        iris_frame.to_csv(path, index=False)
    else:
        iris_frame.to_parquet(path)
    source = load_source(path, target="species")
    X, y = load_iris(return_X_y=True)
    np.testing.assert_array_equal(source.X, X)
    assert list(np.unique(source.y, return_inverse=True)[1]) == list(y)
    assert source.feature_names == list(iris_frame.columns[:-1])
    assert source.name == "flowers"


def test_yes_no_columns_and_whole_number_labels_are_taken(tmp_path):
    frame = pd.DataFrame({"a": [True, False] * 4, "b": [5, 1, 4, 2] * 2, "y": [0.0, 1.0] * 4})
    frame.to_csv(tmp_path / "t.csv", index=False)
    source = load_source(tmp_path / "t.csv", target="y")
    np.testing.assert_array_equal(source.X[:2], [[1, 5], [0, 1]])
    assert source.y.dtype.kind == "i"


def test_arrays(tmp_path):
    X, y = load_wine(return_X_y=True)
    np.savez(tmp_path / "a.npz", X=X, y=y, more=[1])
    source = load_source(tmp_path / "a.npz")
    np.testing.assert_array_equal(source.X, X)
    assert source.kind == "tabular"


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3)])
def test_arrays_of_images(tmp_path, shape):
    images = np.random.RandomState(0).randint(256, size=(8, *shape)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", X=images, y=list("aaaabbbb"))
    source = load_source(tmp_path / "a.npz")
    assert source.kind == "image"
    assert source.image_shape == shape
    assert source.X.dtype == np.float32
    np.testing.assert_array_equal(source.X.reshape(images.shape), images)


def test_image_folder(tmp_path):
    folder = write_images(tmp_path / "photos")
    (folder / "class 0" / "notes.txt").write_text("not an image")
    (folder / ".hidden").mkdir()
    source = load_source(folder)
    assert source.name == "photos"
    assert source.image_shape == (6, 8)
    assert sorted(np.unique(source.y)) == ["class 0", "class 1"]
    first = np.asarray(Image.open(folder / "class 0" / "0.png"))
    np.testing.assert_array_equal(source.X[0].reshape(6, 8), first)
    assert source.notes == (pixels_only(),)


def test_images_of_several_sizes_and_colors_are_brought_to_one(tmp_path):
    folder = write_images(tmp_path / "photos", sizes=((200, 100), (100, 50)), mode="RGB")
    source = load_source(folder)
    assert source.image_shape == (64, 64, 3)
    note = "Photos were read at 64 × 64 pixels, the middle of those of other shapes."
    assert source.notes == (pixels_only(), note)


@pytest.mark.parametrize("start", [0, 1])
def test_row_numbers_are_left_out(tmp_path, iris_frame, start):
    """Rows sorted by class would give the labels away."""
    frame = iris_frame.set_index(np.arange(start, start + 150))
    frame.to_csv(tmp_path / "numbered.csv")
    source = load_source(tmp_path / "numbered.csv", target="species")
    assert source.feature_names == list(iris_frame.columns[:-1])
    assert [f.columns for f in source.findings if f.kind == "row_number"] == [("Unnamed: 0",)]


def test_an_unnamed_column_that_numbers_nothing_is_kept(tmp_path, iris_frame):
    frame = iris_frame.set_index(np.random.RandomState(0).randn(150).round(1))
    frame.to_csv(tmp_path / "t.csv")
    source = load_source(tmp_path / "t.csv", target="species")
    assert source.X.shape == (150, 5)
    assert not any(finding.columns for finding in source.findings)


def test_a_table_may_name_images_that_are_left_out(tmp_path):
    file = tmp_path / "plants.csv"
    lines = [f"p{k}.jpg,{k % 7}.5,{k**2 % 11}.25,{'ab'[k % 2]}" for k in range(30)]
    file.write_text("\n".join(["file,width,height,kind", *lines]))
    with pytest.raises(FileNotFoundError, match=r"none of 30 images(.|\n)*leave that .* by drop="):
        load_source(file, "kind")
    assert load_source(file, "kind", drop=["file"]).feature_names == ["width", "height"]
    with pytest.raises(ValueError, match=r"lists images; leave drop=\['width'\] out"):
        load_source(file, "kind", drop=["width"])
