"""The adapter: a linear map that begins as the metric of the features."""

import numpy as np
import pytest
import torch

from metriclearn.deep import DeepEmbedder


@pytest.fixture
def vectors():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(10), 12)
    X = rng.normal(size=(10, 20))[y] + rng.normal(0, 0.7, (120, 20))
    return (X * rng.uniform(0.5, 5, (120, 1))).astype(np.float32), y


def untrained(X, y, **params):
    return DeepEmbedder(
        "adapter", "proxy_anchor", max_epochs=1, lr=1e-12, validation=None, random_state=0, **params
    ).fit(X, y)


def test_it_begins_as_the_cosine_of_the_vectors(vectors):
    X, y = vectors
    Z = untrained(X, y, n_components=20).transform(X)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    np.testing.assert_allclose(Z @ Z.T, unit @ unit.T, atol=1e-5)


def test_with_fewer_components_it_begins_at_the_principal_ones(vectors):
    X, y = vectors
    embedder = untrained(X, y, n_components=6)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    basis = np.linalg.svd(unit, full_matrices=False)[2][:6]
    start = embedder.net_.module_.backbone.start.numpy()
    np.testing.assert_allclose(start.T @ start, basis.T @ basis, atol=1e-4)
    assert embedder.transform(X).shape == (120, 6)


def test_lengths_of_the_vectors_make_no_difference(vectors):
    X, y = vectors
    params = {"max_epochs": 3, "validation": None, "random_state": 0}
    first = DeepEmbedder("adapter", "supcon", **params).fit(X, y)
    lengths = np.linspace(1, 8, len(X), dtype=np.float32)[:, None]
    second = DeepEmbedder("adapter", "supcon", **params).fit(X * lengths, y)
    np.testing.assert_allclose(first.transform(X), second.transform(X), atol=1e-3)


def test_weight_decay_pulls_it_to_where_it_began(vectors):
    X, y = vectors
    changes = [
        DeepEmbedder(
            "adapter",
            "proxy_anchor",
            optimizer="adamw",
            optimizer_params={"weight_decay": decay},
            max_epochs=10,
            validation=None,
            random_state=0,
        )
        .fit(X, y)
        .net_.module_.backbone.change.norm()
        for decay in (0.0, 100.0)
    ]
    assert changes[1] < 0.7 * changes[0]


def test_no_epoch_is_kept_where_none_is_as_good_as_the_start(tmp_path):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(10), 12)
    X = rng.normal(size=(10, 20))[y] + rng.normal(0, 1.0, (120, 20))
    held = np.flatnonzero(y >= 6)
    # Labels that say nothing are learned for; the held-out classes are real.
    labels = np.where(y < 6, rng.integers(0, 6, len(y)), y)
    embedder = DeepEmbedder(
        "adapter", "proxy_anchor", max_epochs=3, lr=1.0, validation=held, random_state=0
    ).fit(X, labels)
    assert embedder.best_epoch_ == 0
    assert torch.count_nonzero(embedder.net_.module_.backbone.change) == 0
    embedder.save(tmp_path / "adapter")
    again = DeepEmbedder.load(tmp_path / "adapter")
    assert again.best_epoch_ == 0
    np.testing.assert_array_equal(again.transform(X), embedder.transform(X))
