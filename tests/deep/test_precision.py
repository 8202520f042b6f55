"""The network in half precision, and compiled."""

import pickle

import numpy as np
import pytest
import torch
from helpers.embedders import assert_same_weights, make, quick
from sklearn.base import clone
from torch import nn

from metriclearn.deep import DeepEmbedder
from metriclearn.deep.losses import (
    ContrastiveLoss,
)


class Seen(nn.Module):
    """Keeps the dtypes that it was given."""

    def __init__(self):
        super().__init__()
        self.layer, self.dtypes = nn.Linear(5, 3), set()

    def forward(self, X):
        Z = self.layer(X)
        self.dtypes.add(Z.dtype)
        return Z


class SeenLoss(ContrastiveLoss):
    """Keeps the dtypes that it was given."""

    dtypes = frozenset()

    def forward(self, embeddings, labels):
        self.dtypes |= {embeddings.dtype}
        return super().forward(embeddings, labels)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_precision_is_that_of_the_network_only(precision):
    X, y = make()
    embedder = quick(Seen(), SeenLoss(), precision=precision).fit(X, y)
    net = embedder.net_
    assert embedder.transform(X).dtype == np.float32
    # At first the shape of its output is found.
    assert net.module_.backbone.dtypes - {torch.float32} <= {getattr(torch, precision)}
    assert getattr(torch, precision) in net.module_.backbone.dtypes
    assert net.criterion_.dtypes == {torch.float32}
    assert net.scaler_.is_enabled() == (precision == "float16")
    plain = clone(embedder).set_params(precision="float32").fit(X, y)
    np.testing.assert_allclose(embedder.transform(X), plain.transform(X), atol=0.2)


def test_gradients_of_float16_that_overflow_skip_the_step_and_lower_the_scale():
    X, y = make()
    embedder = quick(nn.Linear(5, 3), "contrastive", precision="float16", lr=1e-6)
    embedder.fit(1e3 * X, y)
    # Scaled by 65,536 at first, they do not fit into float16.
    assert embedder.net_.scaler_.get_scale() < 65536
    assert np.isfinite(embedder.transform(X)).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own parts
def test_compiled_network_is_the_network(monkeypatch):
    compiled = []
    of_torch = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda m, options: compiled.append(m) or of_torch(m, backend="eager")
    )
    X, y = make()
    plain = quick().fit(X, y)
    embedder = clone(plain).set_params(compile=True).fit(X, y)
    assert compiled == [embedder.net_.module_]
    assert_same_weights(plain, embedder)
    copy = pickle.loads(pickle.dumps(embedder))
    np.testing.assert_array_equal(copy.transform(X), plain.transform(X))
    assert_same_weights(plain.partial_fit(X, y), copy.partial_fit(X, y))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own parts
def test_compiled_code_trains_the_same_network(tmp_path, monkeypatch):
    """torch's own compiler, which writes and builds C++, from training to a saved file."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    X, y = make()
    settings = {"hidden_units": 8, "noise": 0.1, "dropout": 0.1}
    plain = quick(module_params=settings, validation="stratified", warmup_epochs=1).fit(X, y)
    embedder = clone(plain).set_params(compile=True).fit(X, y)
    assert list((tmp_path / "cache").rglob("*.cpp"))
    Z = embedder.transform(X)
    np.testing.assert_allclose(Z, plain.transform(X), atol=1e-4)
    for own, other in zip(embedder.history_, plain.history_, strict=True):
        assert own["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
        assert own["valid_recall_at_1"] == other["valid_recall_at_1"]
    copy = pickle.loads(pickle.dumps(embedder))
    np.testing.assert_allclose(copy.transform(X), Z, atol=1e-6)
    np.testing.assert_allclose(
        copy.partial_fit(X, y).transform(X), plain.partial_fit(X, y).transform(X), atol=1e-4
    )
    embedder.save(tmp_path / "model")
    loaded = DeepEmbedder.load(tmp_path / "model")
    assert loaded.compile
    np.testing.assert_allclose(loaded.transform(X), Z, atol=1e-6)
    np.testing.assert_allclose(loaded.transform(X[:1]), Z[:1], atol=1e-6)
