"""Backbones and heads: shapes, modes and what they promise."""

import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from metriclearn.deep import DeepEmbedder
from metriclearn.deep.modules import (
    MAP_POOLINGS,
    MLP,
    AttentionEnsemble,
    ConvNet,
    EmbeddingNetwork,
    Head,
    Linear,
    MultiLevel,
    Noise,
    ResNet18,
    ResNet34,
    ResNet50,
    SmoothClip,
    Standardize,
)
from metriclearn.deep.modules._libraries import find_backbone


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
        (MLP(6, (256,)), (6,), (256,)),
        (MLP(6, 16), (6,), (16,)),
        (MLP(6, (16, 8), activation="gelu", dropout=0.5), (6,), (8,)),
        (MLP(6, ()), (6,), (6,)),
        (MLP(6, batch_norm=False, standardize=False, noise=0), (6,), (256,)),
        (ConvNet(1, (4, 8)), (1, 8, 8), (8, 2, 2)),
        (ResNet18(3, small_images=True), (3, 16, 16), (512, 2, 2)),
        (ResNet34(1), (1, 32, 32), (512, 1, 1)),
        (ResNet50(2), (2, 33, 40), (2048, 2, 2)),
        (ConvNet(3, 4, dropout=0.2, standardize=False), (3, 7, 9), (4, 4, 5)),
        (AttentionEnsemble(2, 12, (4, 8, 6), n_masks=3, n_shared=2), (2, 9, 7), (12,)),
        (MultiLevel(2, 12, (4, 8, 6), levels=2), (2, 9, 7), (12,)),
        (MultiLevel(1, 5, (1, 64), levels=(2, 3), blocks=list(ResNet18(1))[:2]), (1, 9, 9), (5,)),
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


@pytest.mark.parametrize("pooling", [*MAP_POOLINGS, "flatten"])
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
        for pooling in (*MAP_POOLINGS, "flatten")
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
        (lambda: MLP(3, activation="cosine"), "'activation' parameter of MLP must be a str among"),
        (lambda: MLP(3, dropout=1), r"'dropout' parameter of MLP must be .* in the range \[0.0, 1"),
        (lambda: MLP(3, noise=-1), "'noise' parameter of MLP"),
        (lambda: MLP(3, (8, 0)), r"hidden_units must be a width of at least 1, .* got \(8, 0\)"),
        (lambda: MLP(3, "wide"), "hidden_units must be a width of at least 1, .* got 'wide'"),
        (lambda: ConvNet(3, 0), "channels must be a width of at least 1, or several, got 0"),
        (lambda: ConvNet(3, dropout=-0.1), "'dropout' parameter of ConvNet"),
        (
            lambda: Head((3,), 2, pooling="median"),
            "'pooling' parameter of Head must be",
        ),
    ],
)
def test_arguments_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("network", "millions"), [(ResNet18(3), 11.18), (ResNet34(3), 21.28), (ResNet50(3), 23.51)]
)
def test_resnets_have_the_papers_number_of_parameters(network, millions):
    n = sum(parameter.numel() for parameter in network.parameters())
    assert n / 1e6 == pytest.approx(millions, abs=0.01)


def test_blocks_of_a_resnet_start_as_their_shortcuts():
    stage = ResNet18(1, small_images=True).eval()[2]
    X = torch.rand(2, 64, 5, 5)
    torch.testing.assert_close(stage(X), X)


def test_backbones_of_other_libraries_are_found_by_name(monkeypatch):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.classifier = nn.Linear(3, 1000)

        def forward(self, X):
            return self.classifier(X.mean(dim=(2, 3)))

    asked = []
    models = types.SimpleNamespace(
        list_models=lambda module: ["tiny_net"],
        get_model=lambda name, weights=None: asked.append(weights) or Model(),
    )
    monkeypatch.setitem(sys.modules, "torchvision", types.SimpleNamespace(models=models))
    monkeypatch.setitem(sys.modules, "timm", None)
    assert find_backbone("tiny_net") is None
    backbone = find_backbone("torchvision/tiny_net")(in_channels=3)
    assert backbone(torch.rand(2, 3, 4, 4)).shape == (2, 3)
    assert asked == ["DEFAULT"]
    find_backbone("torchvision/tiny_net")(in_channels=3, weights=None)
    assert asked == ["DEFAULT", None]
    with pytest.raises(ValueError, match="images of 3 channels, X has 1"):
        find_backbone("torchvision/tiny_net")(in_channels=1)
    with pytest.raises(ValueError, match=r"no model 'tin_net' \(did you mean 'tiny_net'\?\)"):
        find_backbone("torchvision/tin_net")
    with pytest.raises(ValueError, match="timm, which is not installed: pip install timm"):
        find_backbone("timm/tiny_net")


def test_the_library_that_is_missing_is_the_one_that_is_named(monkeypatch):
    import builtins

    ordinary = builtins.__import__

    def without_torchvision(name, *args, **kwargs):
        if name == "timm":
            raise ModuleNotFoundError("No module named 'torchvision'", name="torchvision")
        return ordinary(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_torchvision)
    with pytest.raises(ValueError, match=r"needs torchvision, which .*: pip install torchvision"):
        find_backbone("timm/net")


def test_timm_is_asked_for_features_of_images_of_any_channels(monkeypatch):
    asked = {}

    def create_model(name, **params):
        asked.update(params, name=name)
        return nn.Conv2d(params["in_chans"], 8, 3)

    timm = types.SimpleNamespace(list_models=lambda: ["tiny_net"], create_model=create_model)
    monkeypatch.setitem(sys.modules, "timm", timm)
    backbone = find_backbone("timm/tiny_net.a1_in1k")(in_channels=2)
    assert asked == {
        "name": "tiny_net.a1_in1k", "in_chans": 2, "num_classes": 0, "pretrained": True,
    }  # fmt: skip
    assert isinstance(backbone[0], Standardize)
    assert backbone(torch.rand(2, 2, 4, 4)).shape == (2, 8, 2, 2)
    with pytest.raises(ValueError, match=r"no model 'tinynet' \(did you mean 'tiny_net'\?\)"):
        find_backbone("timm/tinynet")


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_pretrained_weights_that_cannot_be_had_are_an_error_that_names_the_other_choice(
    monkeypatch, library
):
    def make(name, pretrained=None, weights=None, **params):
        if pretrained or weights:
            raise OSError("no network")
        return nn.Sequential(OrderedDict(features=nn.Flatten(), fc=nn.Linear(48, 2)))

    models = types.SimpleNamespace(list_models=lambda module: ["net"], get_model=make)
    timm = types.SimpleNamespace(list_models=lambda: ["net"], create_model=make)
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "torchvision", types.SimpleNamespace(models=models))
    random = {"pretrained": False} if library == "timm" else {"weights": None}
    X, y = np.random.RandomState(0).rand(20, 4, 4, 3), np.arange(20) % 2
    embedder = DeepEmbedder(f"{library}/net", max_epochs=1, random_state=0)
    with pytest.raises(ValueError, match=r"could not be loaded \(OSError: no network\); to start"):
        embedder.fit(X, y)
    assert embedder.set_params(module_params=random).fit(X, y).transform(X).shape == (20, 64)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", lambda Z: Z.mean(axis=1)),
        ("cls", lambda Z: Z[:, 0]),
        ("avg", lambda Z: Z.mean(axis=2)),
        ("flatten", lambda Z: Z.reshape(len(Z), -1)),
    ],
)
def test_tokens_are_pooled_as_asked(pooling, expected):
    Z = np.random.RandomState(0).rand(5, 3, 7).astype(np.float32)
    head = Head((3, 7), None, pooling=pooling, normalize=False)
    np.testing.assert_allclose(head(torch.from_numpy(Z)).numpy(), expected(Z), rtol=1e-5)
    assert head.embedding_dim == expected(Z).shape[1]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_pooling_of_tokens_is_for_tokens(pooling):
    with pytest.raises(ValueError, match=rf"pooling='{pooling}' is for tokens, .* \(8, 4, 4\)"):
        Head((8, 4, 4), 2, pooling=pooling)


class Tokens(nn.Module):
    """Eight tokens of twelve features."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 12)

    def forward(self, X):
        return self.layer(X.view(-1, 8, 8))


def test_pooling_is_asked_for_where_either_axis_may_be_that_of_tokens():
    X, y = np.random.RandomState(0).rand(40, 64), np.arange(40) % 4
    embedder = DeepEmbedder(Tokens, max_epochs=1, random_state=0)
    with pytest.raises(
        ValueError, match=r"shape \(8, 12\) .* give head_params={'pooling': 'mean'} or"
    ):
        embedder.fit(X, y)
    for pooling, width in (("mean", 12), ("cls", 12), ("avg", 8), ("flatten", 96)):
        Z = clone(embedder).set_params(head__pooling=pooling).fit(X, y).transform(X)
        assert Z.shape == (40, width)


class Auxiliary(nn.Linear):
    """More than a tensor in training, as GoogLeNet."""

    def forward(self, X):
        features = super().forward(X)
        return (features, features) if self.training else features


def test_outputs_that_are_no_tensor_in_training_name_the_remedy():
    X, y = np.random.RandomState(0).rand(40, 5), np.arange(40) % 4
    with pytest.raises(ValueError, match=r"gives a tuple in training, .*'aux_logits': False"):
        DeepEmbedder(Auxiliary(5, 3), max_epochs=1).fit(X, y)


@pytest.mark.parametrize("power", [1.0, 3.0, 60.0])
def test_generalized_mean_lies_between_mean_and_maximum(power):
    maps = torch.rand(5, 4, 3, 3, generator=torch.Generator().manual_seed(0)) + 0.1
    head = Head((4, 3, 3), None, pooling="gem", normalize=False)
    assert head.power == 3
    head.power.data.fill_(power)
    pooled = head(maps)
    for row, values in zip(maps, pooled, strict=True):
        for channel, value in zip(row, values, strict=True):
            terms = [float(x) ** power for x in channel.flatten().double()]
            expected = (sum(terms) / len(terms)) ** (1 / power)
            assert value.item() == pytest.approx(expected, rel=1e-5)
    mean, largest = maps.mean((2, 3)), maps.amax((2, 3))
    if power == 1:
        torch.testing.assert_close(pooled, mean)
    else:
        assert ((mean <= pooled) & (pooled <= largest)).all()
    if power == 60:
        torch.testing.assert_close(pooled, largest, rtol=0.05, atol=0)
    pooled.sum().backward()
    assert torch.isfinite(head.power.grad)
    # Of maps that are nowhere positive, and of large ones.
    assert torch.isfinite(head(torch.zeros(2, 4, 3, 3) - 1)).all()
    assert torch.isfinite(head(maps * 1e30)).all()


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1), (4, 4, 3), (8, 5, 3)])
def test_a_module_of_features_takes_pixels_for_features(shape):
    """Of images it makes what it makes of their rows of numbers."""
    X = np.random.RandomState(0).rand(24, *shape)
    rows = np.moveaxis(X, -1, 1) if X.ndim == 4 else X  # channels first, as modules see them
    y = np.arange(24) % 3
    of_images = DeepEmbedder(max_epochs=2, random_state=0).fit(X, y).transform(X)
    flat = rows.reshape(24, -1)
    of_rows = DeepEmbedder(max_epochs=2, random_state=0).fit(flat, y).transform(flat)
    np.testing.assert_allclose(of_images, of_rows, atol=1e-5)
