"""Backbones and heads: shapes, modes and what they promise."""

import numpy as np
import pytest
import torch

from metriclearn.deep.modules import (
    MLP,
    POOLINGS,
    ConvNet,
    EmbeddingNetwork,
    Head,
    Linear,
    Noise,
    SmoothClip,
    Standardize,
)


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize(
    ("backbone", "shape", "features"),
    [
        (Linear(6), (6,), (6,)),
        (Linear(48), (3, 4, 4), (48,)),
        (MLP(6), (6,), (256,)),
        (MLP(6, 16), (6,), (16,)),
        (MLP(6, (16, 8), activation="gelu", dropout=0.5), (6,), (8,)),
        (MLP(6, ()), (6,), (6,)),
        (MLP(6, batch_norm=False, standardize=False, noise=0), (6,), (256,)),
        (ConvNet(1, (4, 8)), (1, 8, 8), (8, 2, 2)),
        (ConvNet(3, 4, dropout=0.2, standardize=False), (3, 7, 9), (4, 4, 5)),
    ],
)
def test_shapes_of_backbones(backbone, shape, features):
    assert backbone(torch.randn(5, *shape)).shape == (5, *features)
    assert backbone.eval()(torch.randn(1, *shape)).shape == (1, *features)


@pytest.mark.parametrize("shape", [(6,), (3, 4, 5)])
def test_standardize_gives_mean_zero_and_variance_one(shape):
    X = 3 * torch.randn(400, *shape) + 7
    layer = Standardize(shape[0])
    layer.measure(X)
    Z = layer(X).transpose(0, 1).flatten(1)
    np.testing.assert_allclose(Z.mean(dim=1), 0, atol=1e-5)
    np.testing.assert_allclose(Z.std(dim=1), 1, atol=1e-2)


def test_standardize_leaves_the_scale_of_constant_features():
    X = torch.tensor([[0.0, 5.0, 1e8], [0.0, 5.0, 1e8]])
    layer = Standardize(3)
    layer.measure(X)
    np.testing.assert_array_equal(layer(X), np.zeros((2, 3)))


def test_smooth_clip_is_the_identity_near_zero_and_bounded():
    Z = torch.tensor([0.0, 0.01, -0.01, 3.0, 1e6, -1e6])
    expected = [0, 0.01, -0.01, 3 / np.sqrt(2), 3, -3]
    np.testing.assert_allclose(SmoothClip(3.0)(Z), expected, rtol=1e-4)


def test_noise_is_added_in_training_only():
    layer, Z = Noise(0.5), torch.zeros(1000)
    assert layer(Z).std() == pytest.approx(0.5, rel=0.1)
    np.testing.assert_array_equal(layer.eval()(Z), Z)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("layer_norm", [False, True])
def test_head_gives_unit_vectors(pooling, layer_norm):
    head = Head((6, 3, 2), 5, pooling=pooling, layer_norm=layer_norm)
    embeddings = head(torch.randn(4, 6, 3, 2))
    assert embeddings.shape == (4, 5)
    np.testing.assert_allclose(embeddings.norm(dim=1).detach(), 1, rtol=1e-5)


def test_poolings_are_means_and_maxima_of_each_map():
    maps = torch.randn(4, 6, 3, 2)
    pooled = {
        pooling: Head((6, 3, 2), None, pooling=pooling, normalize=False)(maps)
        for pooling in POOLINGS
    }
    np.testing.assert_allclose(pooled["avg"], maps.mean(dim=(2, 3)), rtol=1e-5)
    np.testing.assert_allclose(pooled["max"], maps.numpy().max(axis=(2, 3)))
    np.testing.assert_allclose(pooled["avg+max"], pooled["avg"] + pooled["max"])
    np.testing.assert_allclose(pooled["flatten"], maps.reshape(4, -1))


def test_head_without_a_linear_layer_keeps_the_width():
    head = Head((7,), None, normalize=False)
    X = torch.randn(3, 7)
    assert head.embedding_dim == 7
    np.testing.assert_array_equal(head(X), X)
    assert Head((7, 2, 2), None, pooling="flatten").embedding_dim == 28


def test_network_is_head_after_backbone():
    backbone, head = MLP(6, 16).eval(), Head((16,), 4)
    X = torch.randn(3, 6)
    torch.testing.assert_close(EmbeddingNetwork(backbone, head)(X), head(backbone(X)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP(3, activation="cosine"), "activation='cosine' is not one of relu"),
        (lambda: Head((3,), 2, pooling="median"), "pooling='median' is not one of avg"),
    ],
)
def test_unknown_choices_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
