"""A network as an ONNX graph says what ``transform`` says, whatever the number of rows."""

import numpy as np
import pytest
import torch
from helpers.embedders import make, quick
from PIL import Image
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from metriclearn.images import Features, ImagePaths
from metriclearn.persistence import to_onnx

runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

rng = np.random.default_rng(0)
LABELS = np.arange(24) % 4
BYTES = rng.integers(256, size=(24, 16, 12, 3), dtype=np.uint8)


class Tokens(nn.Module):
    """Of integers."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 8)

    def forward(self, X):
        return self.embed(X).mean(dim=1)


def vision_transformer():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=[16, 12],
        patch_size=4,
    )

    class Vision(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.model = transformers.ViTModel(config, add_pooling_layer=False)

        def forward(self, X):
            return self.model(pixel_values=X).last_hidden_state

    return Vision()


def run(path, X):
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["X"]
    return session.run(["embedding"], {"X": X})[0]


def assert_exports(fitted, path, X, graph_input):
    fitted.to_onnx(path)
    expected = fitted.transform(X)
    for n in (1, 7, len(X)):
        found = run(path, graph_input[:n])
        np.testing.assert_allclose(found, expected[:n], rtol=1e-5, atol=1e-5)


def channels_first(X):
    return np.ascontiguousarray(X.transpose(0, 3, 1, 2)).astype(np.float32)


ROWS = {
    "mlp": {"module": "mlp", "module_params": {"hidden_units": 16, "dropout": 0.5}},
    "linear": {"module": "linear"},
    "adapter": {"module": "adapter", "n_components": 3},
    "any length": {"module": "linear", "loss": "contrastive"},
    "layer norm": {"module": "linear", "head_params": {"layer_norm": True}},
    "groups": {"module": "linear", "head_params": {"groups": 2}, "n_components": 6},
}


@pytest.mark.parametrize("kind", ROWS)
def test_vectors(kind, tmp_path):
    X, y = make()
    fitted = quick(**{"loss": "proxy_anchor", **ROWS[kind]}, max_epochs=2).fit(X, y)
    X = X.astype(np.float32)
    assert_exports(fitted, tmp_path / "a.onnx", X, X)


def images():
    convnet = {"module": "convnet", "module_params": {"channels": (4, 8)}}
    return {
        "convnet": convnet,
        "gem": {**convnet, "head_params": {"pooling": "gem"}},
        "resnet18": {"module": "resnet18"},
        "vit": {"module": vision_transformer(), "head_params": {"pooling": "cls"}},
    }


@pytest.mark.parametrize("kind", ["convnet", "gem", "resnet18", "vit"])
def test_images(kind, tmp_path):
    fitted = quick(**images()[kind], loss="proxy_anchor", max_epochs=1).fit(BYTES, LABELS)
    assert_exports(fitted, tmp_path / "a.onnx", BYTES, channels_first(BYTES))


def test_input_is_of_the_values_that_were_fitted(tmp_path):
    settings = {"module_params": {"channels": 4}, "loss": "contrastive", "max_epochs": 1}
    for X, name in ((BYTES, "bytes"), (BYTES.astype(np.float32), "floats")):
        fitted = quick("convnet", **settings).fit(X, LABELS)
        assert_exports(fitted, tmp_path / name, X, channels_first(BYTES))
    first = BYTES.transpose(0, 3, 1, 2)
    fitted = quick("convnet", **settings).fit(first, LABELS)
    assert_exports(fitted, tmp_path / "first", first, channels_first(BYTES))


def test_integers_stay_integers(tmp_path):
    X = rng.integers(50, size=(24, 6))
    fitted = quick(Tokens(), "contrastive", max_epochs=1).fit(X, LABELS)
    assert_exports(fitted, tmp_path / "a.onnx", X, X)


def test_graph_is_in_single_precision_whatever_the_network_was_trained_in(tmp_path):
    X, y = make()
    fitted = quick("linear", "contrastive", precision="bfloat16").fit(X, y)
    fitted.to_onnx(tmp_path / "a.onnx")
    np.testing.assert_allclose(run(tmp_path / "a.onnx", X), fitted.transform(X), atol=0.1)
    assert next(fitted.net_.module_.parameters()).dtype == torch.float32


@pytest.fixture
def photos(tmp_path):
    files = []
    for row, pixels in enumerate(BYTES):
        files.append(tmp_path / f"{row}.png")
        Image.fromarray(np.kron(pixels, np.ones((2, 2, 1), np.uint8))).save(files[-1])
    return ImagePaths(tmp_path, files)


def test_file_is_a_backbone_that_prepares_images_itself(photos, tmp_path):
    fitted = quick("convnet", "proxy_anchor", image_size=16, max_epochs=1).fit(photos, LABELS)
    fitted.to_onnx(tmp_path / "a.onnx")
    features = Features(tmp_path / "a.onnx", cache=False, batch_size=7).fit_transform(photos)
    np.testing.assert_allclose(features, fitted.transform(photos), rtol=1e-5, atol=1e-5)


def test_a_pipeline_of_the_embedder_alone(tmp_path):
    X, y = make()
    fitted = make_pipeline("passthrough", quick("linear", "contrastive")).fit(X, y)
    to_onnx(fitted, tmp_path / "a.onnx")
    np.testing.assert_allclose(
        run(tmp_path / "a.onnx", X), fitted.transform(X), rtol=1e-5, atol=1e-5
    )
    scaled = make_pipeline(StandardScaler(), quick("linear", "contrastive")).fit(X, y)
    with pytest.raises(ValueError, match="StandardScaler before a DeepEmbedder"):
        to_onnx(scaled, tmp_path / "b.onnx")


class Branching(nn.Module):
    """What it does depends on the values of a batch."""

    def forward(self, X):
        return X * 2 if X.sum() > 0 else X


def test_what_cannot_be_traced_is_named_and_nothing_is_written(tmp_path):
    X, y = make()
    fitted = quick(Branching(), "contrastive", n_components=2, max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="module=Branching cannot be exported"):
        fitted.to_onnx(tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


class Frozen(nn.Module):
    """Holds a value of the run, which a graph cannot."""

    def forward(self, X):
        return X + (1.0 if torch.compiler.is_compiling() else 0.0)


def test_a_graph_of_other_numbers_is_not_written(tmp_path):
    X, y = make()
    fitted = quick(Frozen(), "contrastive", n_components=3, max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="module=Frozen gives other numbers as a graph"):
        fitted.to_onnx(tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())
