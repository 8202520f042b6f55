"""Two dimensions out of many, colors and shapes out of classes."""

import sys
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_info, threadpool_limits

from metriclearn.plots._axes import class_color, class_marker
from metriclearn.plots._layout import lay_out

# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB.
COLOR_BLIND = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


@pytest.mark.parametrize("method", ["tsne", "pca"])
@pytest.mark.parametrize(
    "Z",
    [np.eye(12), np.eye(3), np.ones((12, 4)), np.arange(12.0)[:, None], np.ones((1, 5))],
    ids=["rows", "few rows", "all alike", "one column", "one row"],
)
def test_layout_is_flat_and_finite(Z, method):
    points = lay_out(Z, method, random_state=0)
    assert points.shape == (len(Z), 2)
    assert np.all(np.isfinite(points))
    np.testing.assert_array_equal(points, lay_out(Z, method, random_state=0))


def test_layout_keeps_two_columns_as_they_are(rng):
    Z = rng.randn(20, 2)
    np.testing.assert_allclose(lay_out(Z), Z - Z.mean(axis=0))


def test_an_unknown_layout_is_one_clear_error():
    with pytest.raises(ValueError, match=r"method='som' is unknown; take one of \('tsne', 'pca'"):
        lay_out(np.eye(3), "som")


def test_umap_where_it_is_installed(rng, monkeypatch):
    class UMAP:
        def __init__(self, **options):
            self.options = options

        def fit_transform(self, Z):
            assert self.options == {"n_neighbors": 15, "random_state": 3, "n_jobs": 1}
            return Z[:, :2]

    Z = rng.randn(40, 4)
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    np.testing.assert_allclose(lay_out(Z, "umap", 3), (Z - Z.mean(axis=0))[:, :2])
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r"pip install 'metriclearn\[umap\]'"):
        lay_out(Z, "umap")


@pytest.mark.parametrize("n_classes", [2, 10, 100])
def test_class_colors_differ_and_are_neither_black_nor_white(n_classes):
    colors = np.array([class_color(i, n_classes) for i in range(n_classes)])
    assert len(np.unique(colors, axis=0)) == n_classes
    lightness = colors @ [0.299, 0.587, 0.114]
    assert lightness.min() > 0.2
    assert lightness.max() < 0.8


@pytest.mark.parametrize("eyes", COLOR_BLIND)
def test_color_and_shape_together_tell_ten_classes_apart(eyes):
    colors = np.array([class_color(i, 10) for i in range(10)])
    seen = np.clip((colors**2.2) @ np.transpose(COLOR_BLIND[eyes]), 0, 1) ** (1 / 2.2)
    for i, j in combinations(range(10), 2):
        if class_marker(i) == class_marker(j):
            assert np.linalg.norm(seen[i] - seen[j]) > 0.2


@pytest.mark.parametrize("eyes", COLOR_BLIND)
def test_the_colors_of_two_kinds_differ_to_all_eyes(eyes):
    colors = np.array([class_color(i, 2) for i in range(2)])
    seen = np.clip((colors**2.2) @ np.transpose(COLOR_BLIND[eyes]), 0, 1) ** (1 / 2.2)
    assert np.linalg.norm(seen[0] - seen[1]) > 0.4


@pytest.mark.parametrize(("n_rows", "is_held"), [(60, True), (2100, False)])
def test_few_rows_are_laid_out_by_one_thread(n_rows, is_held, monkeypatch):
    """Threads that share next to nothing wait for each other, above all beside other programs."""
    found = []

    def fit_transform(self, X):
        found.extend(each["num_threads"] for each in threadpool_info())
        return X[:, :2]

    monkeypatch.setattr(TSNE, "fit_transform", fit_transform)
    with threadpool_limits(3):
        lay_out(np.random.default_rng(0).normal(size=(n_rows, 4)))
    assert max(found) == (1 if is_held else 3)
