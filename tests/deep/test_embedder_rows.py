"""What DeepEmbedder takes for X: rows, images, bytes, mapped files; and what it refuses."""

import numpy as np
import pytest
from helpers.embedders import assert_same_weights, make, quick
from sklearn.base import clone
from torch import nn


def images(n_classes=4, n_rows=12, channels=3, seed=0):
    rng = np.random.RandomState(seed)
    y = np.repeat(np.arange(n_classes), n_rows)
    patterns = rng.randint(0, 200, size=(n_classes, 6, 7, channels))
    X = patterns[y] + rng.randint(0, 56, size=(len(y), 6, 7, channels))
    return X.astype(np.uint8), y


def test_images_as_arrays_and_as_rows_are_the_same():
    X, y = images()
    settings = {"module": "convnet", "module_params": {"channels": (8, 8)}}
    embedder = quick(**settings).fit(X, y)
    rows = quick(**settings, image_shape=(6, 7, 3)).fit(X.reshape(len(X), -1), y)
    assert_same_weights(embedder, rows)
    Z = embedder.transform(X)
    np.testing.assert_array_equal(rows.transform(X), Z)
    np.testing.assert_array_equal(embedder.transform(X.reshape(len(X), -1)), Z)
    assert embedder.image_shape_ == (6, 7, 3)
    assert embedder.n_features_in_ == 126
    np.testing.assert_allclose(embedder.transform(X.astype(float)), Z, atol=1e-6)


@pytest.mark.parametrize("module", ["mlp", "linear", "convnet"])
def test_grey_images_need_no_channels(module):
    X, y = images(channels=1)
    embedder = quick(module).fit(X[..., 0], y)
    np.testing.assert_array_equal(embedder.transform(X), embedder.transform(X[..., 0]))


def test_bytes_and_floats_in_zero_one_are_the_same():
    X, y = images()
    settings = {"module": "convnet", "module_params": {"channels": 8}}
    of_bytes = quick(**settings).fit(X, y).transform(X)
    of_floats = quick(**settings).fit(X / 255, y).transform(X / 255)
    np.testing.assert_allclose(of_bytes, of_floats, atol=1e-4)


def test_channels_reach_the_network_in_order():
    seen = []

    class Spy(nn.Flatten):
        def forward(self, X):
            seen.append(X.clone())
            return super().forward(X)

    X, y = images()
    quick(nn.Sequential(Spy(), nn.Linear(126, 4)), augment=lambda batch: batch).fit(X, y)
    first = seen[0]
    assert first.shape == (2, 3, 6, 7)
    assert first.is_contiguous()
    np.testing.assert_allclose(first.permute(0, 2, 3, 1), X[:2] / 255, rtol=1e-6)


def test_augmentation_is_seeded_and_of_training_only():
    X, y = images()
    embedder = quick("convnet", augment="affine", module_params={"channels": 8}).fit(X, y)
    assert_same_weights(embedder, clone(embedder).fit(X, y))
    plain = clone(embedder).set_params(augment=None).fit(X, y)
    assert not np.array_equal(plain.transform(X), embedder.transform(X))
    np.testing.assert_array_equal(embedder.transform(X), embedder.transform(X))


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (lambda batch: batch[:2], "one row for each row of a batch; of 32 it made 2"),
        (lambda batch: batch[:, :2], r"keep the channels; of \(32, 3, 6, 7\) it made"),
        (lambda batch: batch.flatten(1), "keep the channels"),
        (lambda batch: batch.numpy(), "a tensor of torch.float32, as it is given, got ndarray"),
        (lambda batch: (255 * batch).byte(), "got torch.uint8"),
        (list, "got list"),
        (lambda batch: None, "got NoneType"),
    ],
)
def test_augmentation_that_gives_no_such_batch_is_an_error(augment, message):
    X, y = images()
    with pytest.raises(ValueError, match=message):
        quick("convnet", augment=augment).fit(X, y)


def test_images_of_another_shape_are_refused():
    X, y = images()
    embedder = quick("convnet").fit(X, y)
    with pytest.raises(ValueError, match=r"images of shape \(7, 6, 3\), but .* \(6, 7, 3\)"):
        embedder.transform(X.transpose(0, 2, 1, 3))
    with pytest.raises(ValueError, match="does not fit X, whose images are of shape"):
        quick("convnet", image_shape=(7, 6, 3)).fit(X, y)
    with pytest.raises(ValueError, match="was fitted on rows"):
        quick().fit(*make(n_features=126)).transform(X)


def test_memory_mapped_and_read_only_rows(tmp_path):
    X, y = make()
    expected = quick().fit(X, y).transform(X)
    for dtype in ("float32", "float64"):
        np.save(tmp_path / "X.npy", X.astype(dtype))
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        np.testing.assert_array_equal(quick().fit(mapped, y).transform(mapped), expected)
    X.flags.writeable = False
    np.testing.assert_array_equal(quick().fit(X, y).transform(X), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_and_huge_ones_are_not(bad):
    X, y = make()
    embedder = quick().fit(X, y)
    for rows in (X.astype(np.float32), np.asfortranarray(X, dtype=np.float32)):
        rows[3, 1] = 1e30
        assert np.isfinite(embedder.transform(rows)).all()
        rows[3, 1] = bad
        with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
            embedder.transform(rows)
