"""Data sets of torch and tables of Hugging Face train as the arrays that they hold."""

import numpy as np
import pytest
import torch
from helpers.embedders import assert_same_weights, make, quick
from helpers.tables import Column, Table, image_forms
from PIL import Image
from torch import nn
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from metriclearn.constraints import pairs_from_labels
from metriclearn.deep import DeepEmbedder

X, y = make()
BYTES = np.random.default_rng(0).integers(256, size=(24, 12, 16, 3), dtype=np.uint8)
LABELS = np.arange(24) % 4


class Items(Dataset):
    """Whatever it is given, an item at a time; counts how often it was asked."""

    def __init__(self, items, **known):
        self.items = items
        self.asked = 0
        vars(self).update(known)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, row):
        self.asked += 1
        return self.items[row]


def settings(**params):
    return {"n_components": 4, "max_epochs": 2, **params}


def pairs(rows, labels):
    return [(row, int(label)) for row, label in zip(rows, labels, strict=True)]


SETS = {
    "tensors": lambda X, y: TensorDataset(torch.tensor(X), torch.tensor(y)),
    "pairs": lambda X, y: Items(pairs(X, y)),
    "tensors in pairs": lambda X, y: Items(pairs(torch.tensor(X), y)),
    "labels as tensors": lambda X, y: Items(list(zip(X, torch.tensor(y), strict=True))),
    "targets": lambda X, y: Items(list(X), targets=list(y)),
    "lists": lambda X, y: Items(pairs(X.tolist(), y)),
    "subset": lambda X, y: Subset(
        TensorDataset(torch.tensor(X[::-1].copy()), torch.tensor(y[::-1].copy())),
        list(range(len(X)))[::-1],
    ),
    "concatenated": lambda X, y: ConcatDataset(
        [Items(pairs(X[:9], y[:9])), Items(pairs(X[9:], y[9:]))]
    ),
    "dicts": lambda X, y: Items([{"x": a, "label": b} for a, b in zip(X, y, strict=True)]),
    "table": lambda X, y: Table(embedding=X, label=y),
    "table of many columns": lambda X, y: Table(id=np.arange(len(X)), features=X, labels=y),
}


@pytest.mark.parametrize("kind", SETS)
def test_rows_train_as_the_array(kind):
    data = SETS[kind](X, y)
    expected = quick("linear", "contrastive", **settings()).fit(X.astype(np.float32), y)
    fitted = quick("linear", "contrastive", **settings()).fit(data)
    np.testing.assert_allclose(fitted.transform(data), expected.transform(X), atol=1e-5)
    np.testing.assert_allclose(fitted.transform(X), expected.transform(X), atol=1e-5)
    np.testing.assert_array_equal(fitted.classes_, expected.classes_)
    assert fitted.n_features_in_ == 5


def test_labels_given_beside_take_the_place_of_its_own():
    data = SETS["tensors"](X, np.zeros_like(y))
    expected = quick("linear", "contrastive", **settings()).fit(X, y)
    assert_same_weights(quick("linear", "contrastive", **settings()).fit(data, y), expected)


def test_text_labels():
    names = np.array(["a", "b", "c", "d", "e", "f"])[y]
    fitted = quick("linear", "contrastive", **settings()).fit(Table(x=X, label=names))
    assert list(fitted.classes_) == list("abcdef")


def test_known_targets_are_read_without_making_rows():
    data = Items(pairs(X, y), targets=list(y))
    quick("linear", "contrastive", **settings(max_epochs=1)).fit(data)
    most = 2 * len(X) + 50  # an epoch, the input's mean, and a few to look at
    assert data.asked <= most


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_as_tensors(first, dtype):
    images = BYTES.astype(dtype)
    rows = images.transpose(0, 3, 1, 2).copy() if first else images
    params = settings(module_params={"channels": 4})
    expected = quick("convnet", "contrastive", **params).fit(rows, LABELS)
    fitted = quick("convnet", "contrastive", **params).fit(
        TensorDataset(torch.tensor(rows), torch.tensor(LABELS))
    )
    assert fitted.image_shape_ == (12, 16, 3)
    assert_same_weights(fitted, expected)


def pictures():
    return [Image.fromarray(pixels) for pixels in BYTES]


@pytest.mark.parametrize(
    "data",
    [
        Items(list(zip(pictures(), LABELS.tolist(), strict=True))),
        Table(image=pictures(), label=LABELS),
        Table(caption=["x"] * 24, img=pictures(), fine_label=LABELS),
    ],
    ids=["pairs", "table", "other names"],
)
def test_pictures_are_read_as_files_are(data):
    params = settings(module_params={"channels": 4}, image_size=8, augment="light")
    expected = quick("convnet", "contrastive", **params).fit(pictures(), LABELS)
    fitted = quick("convnet", "contrastive", **params).fit(data)
    assert fitted.image_shape_ == (8, 8, 3)
    assert_same_weights(fitted, expected)
    np.testing.assert_array_equal(fitted.transform(data), expected.transform(pictures()))


def test_paths_in_a_data_set(tmp_path):
    for row, image in enumerate(pictures()):
        image.save(tmp_path / f"{row}.png")
    files = [str(tmp_path / f"{row}.png") for row in range(24)]
    params = settings(module_params={"channels": 4}, image_size=8)
    expected = quick("convnet", "contrastive", **params).fit(files, LABELS)
    fitted = quick("convnet", "contrastive", **params).fit(Table(image=files, label=LABELS))
    assert_same_weights(fitted, expected)


@pytest.mark.parametrize(
    "form", ["pixels", "channels first", "tensors", "bytes", "cells of bytes", "names"]
)
@pytest.mark.parametrize("holder", ["table", "column", "pandas", "torch"])
def test_images_in_any_form_train_as_pictures_do(tmp_path, form, holder):
    cells = image_forms(BYTES, tmp_path)
    cells["tensors"] = list(torch.tensor(BYTES).permute(0, 3, 1, 2))
    cells, y = cells[form], LABELS
    if holder == "column":
        data, y = Column(cells), Column(list(LABELS))
    elif holder == "torch":
        data, y = Items(pairs(cells, LABELS)), None
    else:
        data, y = Table("pandas" if holder == "pandas" else None, image=cells, label=LABELS), None
    params = settings(module_params={"channels": 4}, image_size=8, augment="light")
    expected = quick("convnet", "contrastive", **params).fit(pictures(), LABELS)
    fitted = quick("convnet", "contrastive", **params).fit(data, y)
    assert_same_weights(fitted, expected)
    np.testing.assert_array_equal(fitted.transform(data), expected.transform(pictures()))


def test_columns_of_numbers_are_the_array_that_they_hold():
    expected = quick("linear", "contrastive", **settings()).fit(X, y)
    fitted = quick("linear", "contrastive", **settings()).fit(Column(X.tolist()), Column(list(y)))
    assert_same_weights(fitted, expected)


def test_images_of_a_column_need_no_size_where_they_have_one():
    params = settings(module_params={"channels": 4})
    expected = quick("convnet", "contrastive", **params).fit(BYTES, LABELS)
    fitted = quick("convnet", "contrastive", **params).fit(Column(list(BYTES)), LABELS)
    assert_same_weights(fitted, expected)


def test_size_of_images_that_are_no_bytes_is_an_error():
    data = Table(x=list(BYTES / 255), label=LABELS)
    with pytest.raises(ValueError, match=r"image_size is of images, and X is a Table of float64"):
        quick("convnet", "contrastive", **settings(image_size=8)).fit(data)
    fitted = quick("convnet", "contrastive", **settings(image_size=8)).fit(pictures(), LABELS)
    with pytest.raises(ValueError, match=r"as DeepEmbedder is fitted on them, got a Table of floa"):
        fitted.transform(data)


def test_transforms_of_the_data_set_work_each_time():
    class Noisy(Items):
        def __getitem__(self, row):
            x, label = super().__getitem__(row)
            return x + np.float32(self.asked), label

    data = Noisy(pairs(X, y))
    before = quick("linear", "contrastive", **settings()).fit(data)
    asked = data.asked
    before.transform(data)
    assert data.asked == asked + len(X) + 1  # the first row is looked at


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 4)

    def forward(self, X):
        return self.embed(X).mean(dim=1)


def test_integers_stay_integers():
    tokens = np.random.default_rng(0).integers(50, size=(24, 6))
    data = TensorDataset(torch.tensor(tokens), torch.tensor(LABELS))
    fitted = quick(Tokens(), "contrastive", max_epochs=1).fit(data)
    expected = quick(Tokens(), "contrastive", max_epochs=1).fit(tokens, LABELS)
    assert fitted.net_.inputs_.integers
    assert expected.transform(tokens).shape == fitted.transform(data).shape
    with pytest.raises(ValueError, match="was fitted on integers"):
        fitted.transform(TensorDataset(torch.tensor(tokens).double()))


def test_with_constraints_labels_are_not_asked_for():
    data, links = TensorDataset(torch.tensor(X)), pairs_from_labels(y, random_state=0)
    expected = quick("linear", "contrastive", **settings()).fit(X, constraints=links)
    fitted = quick("linear", "contrastive", **settings()).fit(data, constraints=links)
    assert_same_weights(fitted, expected)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (TensorDataset(torch.tensor(X)), ValueError, "TensorDataset without labels; give y"),
        (Table(a=X, b=X, label=y), ValueError, "columns a, b, label; which holds the rows"),
        (Table(x=X), ValueError, "without a column of labels; give y"),
        (Items([]), ValueError, "without rows"),
        (Items([(np.zeros(2 + i % 2), i % 2) for i in range(9)]), ValueError, "rows differ: row 0"),
        (
            Items([(np.zeros((2 + i % 2, 4)), i % 2) for i in range(9)]),
            ValueError,
            "rows differ: .*give image_size, or bring them to one",
        ),
        (Table(x=[*X[:3], None, *X[4:]], label=y), ValueError, "row 3 is None; leave it out"),
        (Items([("a", "b", i % 2) for i in range(9)], targets=[0] * 9), OSError, "a"),
        (Items([(object(), i % 2) for i in range(9)]), TypeError, "must be images, arrays or"),
    ],
)
def test_what_cannot_be_read_is_said(data, error, message):
    with pytest.raises(error, match=message):
        quick("linear", "contrastive", **settings()).fit(data)


def test_other_rows_than_those_of_the_fit():
    fitted = DeepEmbedder("linear", max_epochs=1, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="has 3 features, but DeepEmbedder is expecting 5"):
        fitted.transform(TensorDataset(torch.zeros(4, 3)))
    fitted = DeepEmbedder("convnet", "contrastive", image_size=8, max_epochs=1, random_state=0)
    fitted.fit(pictures(), LABELS)
    with pytest.raises(ValueError, match="X must be ImagePaths"):
        fitted.transform(TensorDataset(torch.zeros(4, 3)))


def test_labels_that_are_vectors_are_one_error():
    data = Items([(row, torch.eye(3)[k % 3]) for k, row in enumerate(torch.tensor(X))])
    with pytest.raises(ValueError, match="y should be a 1d array"):
        quick("linear", "contrastive", **settings()).fit(data)
