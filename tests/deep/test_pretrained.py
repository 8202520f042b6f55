"""Pretrained networks get the colors they were trained with, and are trained gently."""

import shutil
import sys
import types

import numpy as np
import pytest
import torch
from helpers.backbones import Tiny, write_dino
from helpers.embedders import Record, recorded
from PIL import Image
from torch import nn

from metriclearn.deep import DeepEmbedder
from metriclearn.deep._saved._file import transformer_of, without_weights
from metriclearn.deep.modules import Pretrained, Standardize
from metriclearn.deep.modules._libraries import find_backbone
from metriclearn.images import Features

IMAGES = np.random.default_rng(0).integers(256, size=(24, 16, 16, 3), dtype=np.uint8)
LABELS = np.arange(24) % 4
SHORT = {"max_epochs": 2, "batch_size": 8, "random_state": 0, "validation": None}


def embedder(module=Pretrained, **params):
    if module is Pretrained:
        params = {"module_params": {"backbone": Tiny}, "n_components": 4, **params}
    return DeepEmbedder(module, "proxy_anchor", **{**SHORT, **params})


def test_untrained_it_gives_the_features_that_it_is_known_for():
    expected = Features(Tiny, image_size=16, normalize=False, cache=False).transform(IMAGES)
    module = Pretrained(Tiny).eval()
    with torch.no_grad():
        found = module(torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_a_module_of_the_caller_is_copied():
    own = Tiny()
    module = Pretrained(own)
    assert module.network is not own
    for mine, copied in zip(own.parameters(), module.parameters(), strict=True):
        assert torch.equal(mine, copied)


def test_gray_images_are_shown_as_color():
    gray = torch.rand(2, 1, 16, 16)
    module = Pretrained(Tiny).eval()
    assert torch.equal(module(gray), module(gray.expand(-1, 3, -1, -1)))


def test_transformers_folder(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
    )
    transformers.ViTModel(config).save_pretrained(tmp_path)
    params = {"backbone": f"hf/{tmp_path}", "pooling": "mean"}
    fitted = embedder(module_params=params, image_size=16).fit(
        [Image.fromarray(pixels) for pixels in IMAGES], LABELS
    )
    assert fitted.transform([Image.fromarray(IMAGES[0])]).shape == (1, 4)
    assert Pretrained(f"hf/{tmp_path}").image_size == (16, 16)


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dino")
    return folder, write_dino(pytest.importorskip("transformers"), folder)


PICTURES = [Image.fromarray(pixels) for pixels in IMAGES]


def test_transformer_by_name_is_trained_gently(dino, capsys):
    folder, model = dino
    start = DeepEmbedder(f"hf/{folder}", backbone_lr=0, verbose=1, **SHORT).fit(PICTURES, LABELS)
    assert start.image_shape_ == (28, 28, 3)
    assert "warmup_epochs=1, freeze_batch_norm=True" in capsys.readouterr().out
    backbone = start.net_.module_.backbone
    pixels = torch.rand(2, 3, 28, 28)
    color = [torch.tensor(values).view(3, 1, 1) for values in ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])]
    with torch.no_grad():
        expected = model((pixels - color[0]) / color[1]).pooler_output
    torch.testing.assert_close(backbone(pixels), expected)
    trained = DeepEmbedder(f"hf/{folder}", **SHORT).fit(PICTURES, LABELS)
    assert recipe(trained) == (1e-4, 1, True)
    random = DeepEmbedder(f"hf/{folder}", module_params={"pretrained": False}, **SHORT)
    assert recipe(random.fit(PICTURES, LABELS)) == (1e-3, 0, False)


def test_saved_transformer_needs_its_folder_no_more(dino, tmp_path):
    shutil.copytree(dino[0], tmp_path / "model")
    params = {"pooling": "mean", "std": (0.5, 0.5, 0.5)}
    module = f"hf/{tmp_path / 'model'}"
    fitted = DeepEmbedder(module, module_params=params, **SHORT).fit(PICTURES, LABELS)
    fitted.save(tmp_path / "saved")
    shutil.rmtree(tmp_path / "model")
    loaded = DeepEmbedder.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.transform(PICTURES), fitted.transform(PICTURES))
    assert loaded.net_.module_.backbone.pooling == "mean"


@pytest.mark.slow
def test_transformer_by_name_as_one_graph(tmp_path):
    pytest.importorskip("onnxscript")
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = transformers.CLIPVisionConfig(
        **sizes, num_attention_heads=2, image_size=28, patch_size=14
    )
    transformers.CLIPVisionModel(config).save_pretrained(tmp_path)  # one weight: "embedding"
    fitted = DeepEmbedder(f"hf/{tmp_path}", **SHORT).fit(PICTURES, LABELS)
    fitted.to_onnx(tmp_path / "model.onnx")
    features = Features(str(tmp_path / "model.onnx"), cache=False)
    np.testing.assert_allclose(features.transform(PICTURES), fitted.transform(PICTURES), atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"attn_implementation": "stranger/kernel"},
        {"auto_map": {"AutoModel": "code.Model"}},
        {"_attn_implementation": "eager"},
        {"use_pretrained_backbone": True},
        {"vision_config": {"name_or_path": "stranger"}},
        {"hidden_act": {"a": "b:c"}},
    ],
    ids=str,
)
def test_a_file_cannot_make_transformers_read_other_files(dino, changes):
    module = f"hf/{dino[0]}"
    stored = transformer_of(module, Pretrained(module))
    params = {"module": module, "module_params": None}
    assert without_weights(params, {"transformer": stored}) == stored
    evil = {**stored, "config": {**stored["config"], **changes}}
    for given in (evil, None, {"config": []}):
        with pytest.raises(ValueError, match="configuration of its network cannot be used"):
            without_weights(params, {"transformer": given})


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("features.onnx", "has no weights that can be trained"),
        ("hf/{folder}", r"module='hf/.*': Unrecognized model"),
        ("hf/{folder}@weights.pt", "module='hf/"),
    ],
)
def test_names_that_cannot_be_trained(tmp_path, module, message, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=message):
        DeepEmbedder(module.format(folder=tmp_path), **SHORT).fit(IMAGES, LABELS)


@pytest.mark.parametrize("backbone", [lambda pixels: pixels, "features.onnx"])
def test_what_has_no_weights_to_train(backbone, tmp_path):
    with pytest.raises(ValueError, match=r"is no network of torch|there is no such file"):
        Pretrained(backbone)


def recipe(fitted):
    recipe = fitted.net_.recipe_
    return recipe.rates["backbone"], recipe.warmup_epochs, recipe.freeze_batch_norm


def test_photo_defaults():
    assert recipe(embedder(lr=1e-2).fit(IMAGES, LABELS)) == (1e-3, 1, True)
    module = Pretrained(Tiny, image_size=16)
    assert recipe(embedder(module, lr=1e-2).fit(IMAGES, LABELS)) == (1e-3, 0, True)  # no head
    assert recipe(embedder("convnet", lr=1e-2).fit(IMAGES, LABELS)) == (1e-2, 0, False)


def test_photo_defaults_can_be_set():
    given = {"backbone_lr": None, "warmup_epochs": 0, "freeze_batch_norm": False}
    assert recipe(embedder(lr=1e-2, **given).fit(IMAGES, LABELS)) == (1e-2, 0, False)
    given = {"backbone_lr": 0, "warmup_epochs": 2}
    assert recipe(embedder(**given).fit(IMAGES, LABELS)) == (0, 2, True)


def test_photo_defaults_do_what_they_say():
    fitted = embedder(callbacks=[Record()], max_epochs=3).fit(IMAGES, LABELS)
    begin, first, second, _ = recorded(fitted).backbone_
    assert all(torch.equal(begin[name], first[name]) for name in begin)  # warm-up
    name = next(name for name in begin if name.endswith("0.weight"))
    assert not torch.equal(first[name], second[name])
    means = [name for name in begin if "running_mean" in name]
    assert means
    assert all(torch.equal(begin[name], second[name]) for name in means)


@pytest.mark.parametrize("given", [{}, {"warmup_epochs": 0}])
def test_photo_defaults_are_printed(given, capsys):
    embedder(verbose=1, **given).fit(IMAGES, LABELS)
    text = capsys.readouterr().out
    assert "pretrained network: backbone_lr=0.0001" in text
    assert ("warmup_epochs=1" in text) == (not given)
    assert "freeze_batch_norm=True" in text
    embedder("convnet", verbose=1).fit(IMAGES, LABELS)
    assert "pretrained" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["backbone_lr", "warmup_epochs", "freeze_batch_norm"])
def test_other_words_are_refused(name):
    with pytest.raises(ValueError, match=name):
        embedder(**{name: "gently"}).fit(IMAGES, LABELS)


def test_images_are_read_at_the_size_of_the_network():
    module = Pretrained(Tiny, image_size=(12, 20))
    files = [Image.fromarray(pixels) for pixels in IMAGES]
    assert embedder(module).fit(files, LABELS).image_shape_ == (12, 20, 3)
    assert embedder(module, image_size=8).fit(files, LABELS).image_shape_ == (8, 8, 3)
    params = {"backbone": OneSize, "image_size": 16}
    assert embedder(module_params=params).fit(files, LABELS).image_shape_ == (16, 16, 3)


class WithHeads(Tiny):
    """As Inception of torchvision: auxiliary outputs in training."""

    def forward(self, images):
        maps = super().forward(images)
        return (maps, maps[:, :1]) if self.training else maps


def test_auxiliary_heads_take_no_part():
    plain = embedder().fit(IMAGES, LABELS)
    headed = embedder(module_params={"backbone": WithHeads}).fit(IMAGES, LABELS)
    np.testing.assert_array_equal(plain.transform(IMAGES), headed.transform(IMAGES))


class OneSize(Tiny):
    """As networks of timm with positions: an assertion where the size is another."""

    def forward(self, images):
        assert images.shape[2:] == (16, 16), "height doesn't match model (16)"
        return super().forward(images)


def test_another_size_than_the_network_takes_is_one_error():
    message = r"does not take batches of shape \(n, 3, 12, 12\): height doesn't match"
    with pytest.raises(ValueError, match=message):
        embedder(module_params={"backbone": OneSize}).fit(IMAGES[:, :12, :12], LABELS)
    with pytest.raises(
        ValueError, match=r"OneSize does not take images of 12 × 12 pixels \(height"
    ):
        Features(OneSize, image_size=12, cache=False).transform(IMAGES)


def test_weights_of_a_library_keep_their_colors(monkeypatch):
    def create_model(name, **params):
        model = nn.Conv2d(3, 8, 3)
        model.pretrained_cfg = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
        return model

    timm = types.SimpleNamespace(list_models=lambda: ["net"], create_model=create_model)
    monkeypatch.setitem(sys.modules, "timm", timm)
    colors = find_backbone("timm/net")(in_channels=3)[0]
    colors.measure(torch.rand(5, 3, 4, 4))
    np.testing.assert_allclose(colors.mean, [0.1, 0.2, 0.3])
    np.testing.assert_allclose(colors.std, [0.4, 0.5, 0.6])
    colors.measure(255 * torch.rand(5, 3, 4, 4))  # other units: better measured than nonsense
    assert colors.mean.min() > 1
    fresh = find_backbone("timm/net")(in_channels=3, pretrained=False)[0]
    assert isinstance(fresh, Standardize)
    assert not fresh.given
    fitted = DeepEmbedder("timm/net", "proxy_anchor", **SHORT).fit(IMAGES, LABELS)
    np.testing.assert_allclose(fitted.net_.module_.backbone[0].mean, [0.1, 0.2, 0.3])
    assert recipe(fitted) == (1e-4, 1, True)
    fresh = DeepEmbedder("timm/net", module_params={"pretrained": False}, **SHORT)
    assert recipe(fresh.fit(IMAGES, LABELS)) == (1e-3, 0, False)


def test_maps_are_left_to_the_head_where_that_is_asked(tmp_path):
    """Of a module of one's own, and of a network of transformers that pools its maps itself."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1])
    transformers.ResNetModel(config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        '{"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 16}}'
    )
    backbones = {"Tiny": Tiny, "hf": f"hf/{tmp_path}"}
    for backbone in backbones.values():
        params = {"module_params": {"backbone": backbone, "pooling": "maps"}}
        fitted = embedder(**params, head_params={"pooling": "gem"}).fit(IMAGES, LABELS)
        assert fitted.net_.module_.head.power != 3  # learned
        with pytest.raises(ValueError, match=r"for maps.*'pooling': 'maps'"):
            embedder(module_params={"backbone": backbone}, head_params={"pooling": "gem"}).fit(
                IMAGES, LABELS
            )


def test_maps_of_timm_are_left_to_the_head():
    pytest.importorskip("timm")
    params = {"module_params": {"pretrained": False, "global_pool": ""}, "n_components": 4}
    larger = IMAGES.repeat(4, axis=1).repeat(4, axis=2)  # to maps of more than a pixel
    fitted = embedder("timm/resnet10t", **params, head_params={"pooling": "gem"})
    fitted.fit(larger, LABELS)
    assert fitted.net_.module_.head.power != 3
