"""Features of pretrained networks: the right pixels go in, the right vectors come out, once."""

import os
import pickle
import subprocess
import sys
import threading
import time
import types
from collections import OrderedDict, deque

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from metriclearn import LMNN
from metriclearn.images import Features, ImagePaths, ImageReader, _features
from metriclearn.images._backbones import find_backbone
from metriclearn.images._preprocessing import IMAGENET_MEAN, IMAGENET_STD

torch = pytest.importorskip("torch")


@pytest.fixture
def photos(tmp_path):
    """Twelve photos of three classes that differ in color."""
    rng = np.random.default_rng(0)
    for k, name in enumerate("abc"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 60, (40, 50, 3), dtype=np.uint8)
            pixels[..., k] += 120
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return ImagePaths.from_folder(tmp_path / "photos")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("METRICLEARN_CACHE", str(tmp_path / "cache"))


SEEN = []


class Counting(torch.nn.Module):
    """Average color in four quarters, and how many images went through it and its copies."""

    def __init__(self):
        super().__init__()
        self.pool = torch.nn.AdaptiveAvgPool2d(2)
        SEEN.clear()

    @property
    def seen(self):
        return sum(SEEN)

    def forward(self, images):
        SEEN.append(len(images))
        return self.pool(images).flatten(1)


@pytest.fixture(params=[1, 3])
def n_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


class Keeping(Counting):
    """Keeps what it is given between its steps, as modules with hooks do, too."""

    def forward(self, images):
        self.kept = super().forward(images)
        time.sleep(0.01)
        return self.kept


class Hooked(Counting):
    """A hook keeps what passes outside of the module, so that copies of it would share that."""

    def __init__(self):
        super().__init__()
        kept = self.kept = deque(maxlen=1)
        self.pool.register_forward_hook(lambda part, given, output: kept.append(output))

    def forward(self, images):
        super().forward(images)
        time.sleep(0.01)
        return self.kept[0].flatten(1)


def not_copied():
    module = Keeping()
    module.lock = threading.Lock()
    return module


@pytest.mark.parametrize("make", [Counting, Keeping, Hooked, not_copied])
def test_any_number_of_threads_makes_the_same_features(make, n_threads):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    module = make()
    expected = module.pool(normalized(pixels)).flatten(1)
    found = Features(module, image_size=16, normalize=False, cache=False).transform(pixels)
    np.testing.assert_allclose(found, expected.flatten(1), atol=1e-5)
    assert torch.get_num_threads() == n_threads


def normalized(pixels):
    colors = (pixels / 255 - IMAGENET_MEAN) / IMAGENET_STD
    return torch.from_numpy(colors).permute(0, 3, 1, 2).float()


def by_hand(photos, size, mean=IMAGENET_MEAN, std=IMAGENET_STD):
    """What `Counting` returns of the photos."""
    pixels = ImageReader(size).load(photos).astype(np.float64) / 255
    pixels = (pixels - mean) / std
    blocks = pixels.reshape(len(photos), 2, size // 2, 2, size // 2, 3).mean(axis=(2, 4))
    return blocks.transpose(0, 3, 1, 2).reshape(len(photos), -1)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_module_sees_normalized_colors(photos):
    Z = Features(Counting(), image_size=32, normalize=False).fit_transform(photos)
    assert Z.dtype == np.float32
    assert np.allclose(Z, by_hand(photos, 32), atol=1e-5)
    assert np.allclose(Features(Counting(), image_size=32).transform(photos), unit(Z), atol=1e-6)
    own = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.5)}
    Z = Features(Counting(), image_size=32, normalize=False, **own).transform(photos)
    assert np.allclose(Z, by_hand(photos, 32, **own), atol=1e-5)


def test_files_pixels_and_pillow_images_give_the_same(photos):
    features = Features(Counting(), image_size=32)
    pixels = photos.load()
    images = [Image.open(file) for file in photos]
    expected = features.transform(photos)
    for X in (pixels, images, [str(file) for file in photos], np.array(photos.files)):
        assert np.array_equal(features.transform(X), expected)


def test_features_go_through_a_pipeline_to_a_classifier(photos):
    pipeline = make_pipeline(
        Features(Counting(), image_size=8), LMNN(n_neighbors=2), KNeighborsClassifier(1)
    )
    assert pipeline.fit(photos, photos.labels).score(photos, photos.labels) == 1
    names = pipeline[0].get_feature_names_out()
    assert names[:2].tolist() == ["features0", "features1"]
    again = pickle.loads(pickle.dumps(pipeline))
    assert np.array_equal(again.predict(photos[:3]), photos.labels[:3])
    assert clone(pipeline[0]).get_params()["image_size"] == 8


# The cache


@pytest.mark.parametrize("given", [True, "folder"])
def test_second_time_nothing_goes_through_the_network(photos, tmp_path, given):
    cache = tmp_path / "own" if given == "folder" else True
    network = Counting()
    first = Features(network, image_size=32, cache=cache).transform(photos)
    assert network.seen == 12
    again = Features(network, image_size=32, cache=cache)
    assert np.array_equal(again.transform(photos[[3, 1]]), first[[3, 1]])
    assert network.seen == 12
    # One photo that is new: it alone is embedded.
    Image.new("RGB", (30, 30)).save(tmp_path / "photos" / "a" / "new.png")
    more = ImagePaths.from_folder(tmp_path / "photos")
    assert len(again.transform(more)) == 13
    assert network.seen == 13


def test_cache_tells_networks_and_settings_apart(photos):
    network = Counting()
    settings = [{}, {"image_size": 16}, {"mean": (0.5,) * 3}, {"std": (0.5,) * 3}]
    cached = [Features(network, **{"image_size": 32, **s}).transform(photos) for s in settings]
    for s, found in zip(settings, cached, strict=True):
        fresh = Features(network, **{"image_size": 32, **s}, cache=False).transform(photos)
        assert np.array_equal(found, fresh)
    layers = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4)) for _ in range(2)]
    first, second = (Features(net, image_size=8).transform(photos) for net in layers)
    assert not np.allclose(first, second)


class Powers(torch.nn.Module):
    """Without weights: what it does is in its settings, a hidden buffer and its code."""

    def __init__(self, power, scale=1.0, function=torch.square):
        super().__init__()
        self.power = power
        self.function = function
        self.register_buffer("scale", torch.tensor(scale), persistent=False)

    def forward(self, images):
        return self.function(images).mean(dim=(2, 3)).abs() ** self.power * self.scale


class OtherPowers(Powers):
    def forward(self, images):
        return super().forward(images) + 1


def test_cache_tells_modules_apart_by_settings_and_code(photos):
    class Same(Powers):
        pass

    Same.__qualname__ = Same.__name__ = "Powers"
    Same.forward = lambda self, images: images.amax(dim=(2, 3))
    modules = [Powers(1), Powers(2), Powers(1, 3.0), OtherPowers(1), Same(1)]
    modules += [Powers(1, function=lambda x: x), Powers(1, function=lambda x: x + 1)]
    modules += [torch.nn.AvgPool2d(3, 2, ceil_mode=ceil) for ceil in (False, True)]
    for module in modules:
        settings = {"image_size": 8, "normalize": False}
        cached = Features(module, **settings).transform(photos)
        fresh = Features(module, **settings, cache=False).transform(photos)
        assert np.array_equal(cached, fresh)


def test_changed_weights_and_changed_photos_are_embedded_again(photos, tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.AdaptiveAvgPool2d(1))
    first = Features(network, image_size=8).transform(photos)
    with torch.no_grad():
        network[0].weight[0, 0, 0, 0] += 1
    changed = Features(network, image_size=8).transform(photos)
    assert not np.allclose(first, changed)
    Image.new("RGB", (40, 50)).save(photos.files[3])
    again = Features(network, image_size=8).transform(photos)
    assert (again != changed).any(axis=1).tolist() == [row == 3 for row in range(12)]


def test_cache_tells_onnx_files_apart_by_what_is_in_them(photos, onnx_file, tmp_path):
    pytest.importorskip("onnxruntime")
    file, weights = tmp_path / "net.onnx", tmp_path / "net.onnx.data"
    file.write_bytes(onnx_file.read_bytes())
    times = (1, 1)
    os.utime(file, times)
    first = find_backbone(file).identity
    assert find_backbone(onnx_file).identity == first
    other = file.read_bytes().replace(b"maps", b"mapz")
    file.write_bytes(other)
    os.utime(file, times)
    assert find_backbone(file).identity != first
    onnx = pytest.importorskip("onnx")
    model = onnx.load(file)
    model.doc_string = weights.name
    onnx.save(model, file)
    weights.write_bytes(b"1")
    before = find_backbone(file).identity
    weights.write_bytes(b"2")
    assert find_backbone(file).identity != before


def test_features_of_a_function_are_never_kept(photos, tmp_path):
    calls = []

    def color(pixels):
        calls.append(len(pixels))
        return pixels.mean(axis=(1, 2))

    features = Features(color, image_size=32, batch_size=5)
    assert np.array_equal(features.transform(photos), features.transform(photos))
    assert calls == [5, 5, 2] * 2
    assert not (tmp_path / "cache").exists()


# Backbones of libraries


@pytest.fixture(scope="session")
def dino(tmp_path_factory):
    """A transformer of some thousand random weights, saved to a folder."""
    folder = tmp_path_factory.mktemp("dino")
    from helpers.backbones import write_dino  # which needs torch

    return folder, write_dino(pytest.importorskip("transformers"), folder)


def test_transformer_is_given_what_its_folder_says(photos, dino):
    folder, model = dino
    reader = ImageReader(28, share=28 / 32, interpolation="bilinear")
    pixels = torch.from_numpy(reader.load(photos)).permute(0, 3, 1, 2) / 255
    normalized = (pixels - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor(
        [0.4, 0.5, 0.6]
    ).view(3, 1, 1)
    with torch.no_grad():
        output = model(normalized)
    for pooling, expected in (
        (None, output.pooler_output),
        ("cls", output.last_hidden_state[:, 0]),
        ("mean", output.last_hidden_state.mean(dim=1)),
    ):
        features = Features(f"hf/{folder}", pooling=pooling, normalize=False)
        assert np.allclose(features.transform(photos), expected.numpy(), atol=1e-5)


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory):
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    pool = helper.make_node(
        "AveragePool", ["pixels"], ["maps"], kernel_shape=[4, 4], strides=[4, 4]
    )
    graph = helper.make_graph(
        [pool],
        "pool",
        [helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["b", 3, 8, 8])],
        [helper.make_tensor_value_info("maps", onnx.TensorProto.FLOAT, ["b", 3, 2, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    file = tmp_path_factory.mktemp("onnx") / "pool.onnx"
    onnx.save(model, file)
    return file


def test_onnx_file_is_a_backbone(photos, onnx_file):
    pytest.importorskip("onnxruntime")
    Z = Features(onnx_file, normalize=False).transform(photos)
    colors = ImageReader(8, share=0.875).load(photos).mean(axis=(1, 2)) / 255
    assert np.allclose(Z, (colors - IMAGENET_MEAN) / IMAGENET_STD, atol=1e-4)
    with pytest.raises(ValueError, match=r"image_size=\(16, 16\).*takes images of \(8, 8\) only"):
        Features(onnx_file, image_size=16).fit(photos)


def test_features_from_a_file_are_found_by_place_in_the_list(photos, tmp_path):
    table = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    np.save(tmp_path / "features.npy", table)
    features = Features(tmp_path / "features.npy", normalize=False)
    assert np.array_equal(features.fit_transform(photos), table)
    odd = photos[1::2]
    assert np.array_equal(features.transform(odd[[2, 0]]), table[[5, 1]])
    np.save(tmp_path / "features.npy", table[:-1])
    with pytest.raises(ValueError, match="has 11 rows, but 12 images are listed"):
        features.transform(odd)


def test_name_of_a_function_or_module_is_imported():
    assert find_backbone("numpy:square").function is np.square
    with pytest.raises(ValueError, match="numpy has no 'squares'"):
        find_backbone("numpy:squares")
    with pytest.raises(ValueError, match="no module 'nothing_like_it'"):
        find_backbone("nothing_like_it:x")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda images: torch.zeros(len(images), 5, 4), "returns tokens"),
        (lambda images: {"a": images}, "returns a dict of a"),
        (lambda images: torch.zeros(len(images)), r"of shape \(12,\)"),
    ],
)
def test_outputs_that_are_no_vectors_are_an_error(photos, network, message):
    class Odd(torch.nn.Module):
        def forward(self, images):
            return network(images)

    with pytest.raises(ValueError, match=message):
        Features(Odd(), image_size=8).transform(photos)
    tokens = torch.nn.Sequential(torch.nn.Flatten(2))  # (b, 3, 64): three tokens
    assert Features(tokens, image_size=8, pooling="mean").transform(photos).shape == (12, 64)


@pytest.fixture
def library(monkeypatch):
    """A library like timm, of one network."""

    def create_model(name, pretrained, num_classes):
        assert not pretrained
        parts = OrderedDict(body=torch.nn.Conv2d(3, 5, 3), pool=torch.nn.AdaptiveAvgPool2d(1))
        return torch.nn.Sequential(parts)

    config = {
        "input_size": (3, 8, 8),
        "crop_pct": 0.9,
        "interpolation": "bilinear",
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
    }
    data = types.SimpleNamespace(resolve_model_data_config=lambda module: config)
    timm = types.SimpleNamespace(create_model=create_model, data=data)
    monkeypatch.setitem(sys.modules, "timm", timm)


@pytest.mark.parametrize("suffix", ["pth", "tar", "safetensors"])
def test_weights_of_a_usual_checkpoint_are_taken_without_its_classifier(library, tmp_path, suffix):
    weights = {"body.weight": torch.rand(5, 3, 3, 3), "body.bias": torch.rand(5)}
    whole = {**weights, "fc.weight": torch.rand(9, 5), "fc.bias": torch.rand(9)}
    file = tmp_path / f"w.{suffix}"
    if suffix == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(whole, file)
    else:
        torch.save(whole if suffix == "pth" else {"state_dict": whole, "epoch": 3}, file)
    backbone = find_backbone(f"timm/net@{file}", device="cpu")
    for name, value in weights.items():
        assert torch.equal(backbone.module.state_dict()[name], value)
    asked = backbone.preprocessing
    assert (asked.size, asked.share, asked.mean) == ((8, 8), 0.9, (0.1, 0.2, 0.3))
    torch.save({"body.weight": whole["body.weight"]}, tmp_path / "part.pth")
    with pytest.raises(ValueError, match=r"lacks 1 of 2 weights, for instance 'body\.bias'"):
        find_backbone(f"timm/net@{tmp_path / 'part.pth'}")
    with pytest.raises(ValueError, match="there is no file of weights"):
        find_backbone(f"timm/net@{tmp_path / 'none.pth'}")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"backbone": "resnet18"}, "backbone='resnet18' is not known; give 'timm/NAME'"),
        ({"backbone": "hf/no such folder"}, "nor could they be downloaded"),
        ({"backbone": "missing.onnx"}, "there is no such file"),
        ({"backbone": "missing.npy"}, "cannot be read"),
        ({"backbone": np.mean, "image_size": 0}, "image_size must be a positive int"),
        ({"backbone": np.mean, "pooling": "max"}, "pooling"),
        ({"backbone": np.mean, "mean": (0.5,) * 3}, "a function is given the bytes"),
        ({"backbone": np.mean, "pooling": "cls"}, "pooling='cls' is for networks of torch; the ba"),
        ({"backbone": np.mean, "device": "cpu"}, "device='cpu' is for networks of torch; the back"),
        ({"backbone": "missing.onnx", "device": "cpu"}, "the backbone is an ONNX file: leave it"),
        ({"backbone": "missing.npy", "image_size": 32}, "image_size=32 is for networks; backbone"),
        ({"backbone": "missing.npy", "std": np.ones(3)}, "std=array.* is for networks; backbone"),
        ({"backbone": Counting(), "pooling": "cls"}, "pooling='cls' is for tokens; the backbone r"),
        ({"backbone": Counting(), "mean": (0.5,)}, "mean must be 3 numbers"),
        ({"backbone": Counting(), "std": (1, 0, 1)}, "std must be 3 numbers"),
        ({"backbone": lambda pixels: pixels, "image_size": 8}, "must return one vector each"),
        ({"backbone": lambda pixels: None}, "returns object of shape"),
        ({"backbone": lambda pixels: ["a"] * len(pixels)}, "must return one vector each"),
        ({"backbone": lambda pixels: pixels.mean((1, 2)) * 1j}, "returns complex128"),
        ({"backbone": lambda pixels: [[1]] * 11 + [[1, 2]]}, "vectors of several lengths"),
        ({"backbone": lambda pixels: np.eye(len(pixels)), "batch_size": 7}, "7 numbers for one"),
        (
            {"backbone": lambda pixels: pixels.mean((1, 2)) * np.nan, "batch_size": 5},
            r"NaN or infinity for 5 of 5 images, for instance .*a/0\.png",
        ),
        ({"backbone": Counting(), "device": "gpu"}, "device='gpu'"),
        ({"backbone": Counting(), "cache": __file__}, "nothing can be written in"),
    ],
)
def test_arguments_are_checked(photos, params, message, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=message):
        Features(**params).fit(photos).transform(photos)


@pytest.mark.parametrize("cached", [False, True])
def test_all_files_that_cannot_be_read_are_named(photos, tmp_path, monkeypatch, cached):
    monkeypatch.setattr(_features, "_PART", 4)  # as in a long list, the second is of another part
    (tmp_path / "b.png").write_bytes(b"")
    files = [tmp_path / "a.png", *photos.files, tmp_path / "b.png", tmp_path / "c.png"]
    features = Features(Counting(), cache=tmp_path / "kept" if cached else False)
    with pytest.raises(FileNotFoundError, match=r"(?s)3 images.*a\.png.*b\.png: .*empty.*c\.png"):
        features.transform(files)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (ImagePaths("", ["a.png"])[:0], ValueError, "X holds no images"),
        (np.zeros((2, 8, 8, 3)), ValueError, "must be bytes"),
        (np.zeros((2, 3, 8, 8), np.uint8), ValueError, "move the channels last"),
        (np.zeros((2, 8), np.uint8), TypeError, "X must be ImagePaths"),
        (3, TypeError, "X must be ImagePaths"),
        ("a.jpg", TypeError, "put it into a list"),
    ],
)
def test_what_is_not_images_is_an_error(X, error, message):
    with pytest.raises(error, match=message):
        Features(Counting()).transform(X)


def test_importing_loads_no_network_library():
    code = (
        "import sys; from metriclearn.images import Features, ImagePaths, ImageReader; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'PIL', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
