"""What goes wrong in training: values, memory, Ctrl-C; nothing is lost."""

import tracemalloc
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from helpers.embedders import Kill, assert_same_weights, make, quick
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from metriclearn.deep.losses import TripletLoss
from metriclearn.deep.training import _assembly, _rows, _trainer


class Explode(Callback):
    """Make the loss NaN from some batch on."""

    def __init__(self, epoch, batch):
        self.epoch = epoch
        self.batch = batch

    def on_batch_begin(self, net, **kwargs):
        row = net.history[-1]
        if row["epoch"] == self.epoch and len(row["batches"]) == self.batch:
            net.criterion_.proxies.data.fill_(np.nan)


def test_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights():
    X, y = make()
    good = quick(loss="proxy_anchor", schedule="constant", max_epochs=2).fit(X, y)
    embedder = clone(good).set_params(callbacks=[Explode(3, 2)], max_epochs=6)
    with pytest.raises(FloatingPointError, match="became nan at batch 2 of epoch 3; lower lr"):
        embedder.fit(X, y)
    assert_same_weights(embedder, good)
    assert embedder.n_iter_ == 2
    assert np.isfinite(embedder.transform(X)).all()


class Overflow(Callback):
    """Make the gradient of the last batch of an epoch infinite."""

    def __init__(self, epoch, n_batches):
        self.epoch = epoch
        self.n_batches = n_batches

    def on_grad_computed(self, net, named_parameters=None, **kwargs):
        row = net.history[-1]
        if row["epoch"] == self.epoch and len(row["batches"]) == self.n_batches:
            net.criterion_.proxies.grad.fill_(np.inf)


def test_weights_that_the_last_batch_breaks_are_not_kept():
    X, y = make()
    good = quick(loss="proxy_anchor", schedule="constant", max_epochs=2).fit(X, y)
    n_batches = round(len(X) / 30)  # 6 classes × 5 rows
    embedder = clone(good).set_params(callbacks=[Overflow(3, n_batches)], max_epochs=3)
    with pytest.raises(FloatingPointError, match="became infinite or NaN at the end of epoch 3"):
        embedder.fit(X, y)
    assert_same_weights(embedder, good)


class Greedy(TripletLoss):
    """Asks for more memory than there is, in its third epoch."""

    def forward(self, embeddings, labels, **kwargs):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls > 8:
            torch.empty(2**50)
        return super().forward(embeddings, labels, **kwargs)


def test_out_of_memory_says_what_to_lower_and_keeps_the_model():
    X, y = make()
    embedder = quick(loss=Greedy())
    with pytest.raises(MemoryError, match=r"epoch 3; lower batch_size \(now 32\)"):
        embedder.fit(X, y)
    assert embedder.n_iter_ == 2
    assert np.isfinite(embedder.transform(X)).all()


class Narrow(nn.Linear):
    """Takes a few rows at a time, or there is no memory."""

    most = 50

    def forward(self, X):
        if len(X) > self.most:
            torch.empty(2**50)
        return super().forward(X)


@pytest.mark.parametrize("most", [50, 1])
def test_embedding_takes_fewer_rows_at_a_time_where_memory_runs_out(most):
    X, y = make()
    embedder = quick(Narrow(5, 3)).fit(X, y)
    backbone = embedder.net_.module_.backbone
    backbone.most = 200
    expected = embedder.transform(X)
    backbone.most = most
    np.testing.assert_allclose(embedder.transform(X), expected, rtol=1e-5, atol=1e-6)
    backbone.most = 0
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        embedder.transform(X)


def test_interrupt_is_not_swallowed_and_leaves_whole_epochs():
    X, y = make()
    embedder = quick(callbacks=[Kill(3)])
    with pytest.raises(KeyboardInterrupt):
        embedder.fit(X, y)
    assert embedder.n_iter_ == 2
    assert embedder.transform(X).shape == (120, 64)
    assert embedder.set_params(callbacks=None).fit(X, y).n_iter_ == 4


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_mapped_rows_are_never_copied_whole(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(_assembly, "MEASURED_VALUES", 2**18)
    n, width = 3000, 1500
    mapped = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", dtype, (n, width))
    mapped[:] = np.random.RandomState(0).randint(256, size=(n, width), dtype=np.uint8)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    # Few weights, whose copies in the checkpoint do not count.
    embedder = quick("linear", "contrastive", validation="class_disjoint", max_epochs=2)
    embedder.set_params(n_components=4)
    embedder.set_params(sampler="hierarchical", checkpoint=tmp_path)  # embeds all rows each epoch
    y = np.arange(n) % 60
    quick().fit(*make())  # what torch imports at its first use does not count either
    # Nor does a block that is freed at once, and never written to.
    monkeypatch.setattr(_trainer, "large_blocks_kept", nullcontext)
    tracemalloc.start()
    try:
        embedder.fit(mapped, y).transform(mapped)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mapped.nbytes / 2


@pytest.mark.parametrize(
    "X",
    [np.eye(7), np.eye(7)[:, ::2], np.asfortranarray(np.eye(7)[:5]), np.eye(7, dtype=np.uint8)],
    ids=["plain", "strided", "columns", "bytes"],
)
def test_rows_moved_block_by_block_are_the_rows(monkeypatch, X):
    monkeypatch.setattr(_rows, "BLOCK_BYTES", 100)
    for given in (X, np.array(X)):
        given.flags.writeable = given is not X
        moved = _rows._moved(given, "cpu")
        assert moved.is_contiguous()
        np.testing.assert_array_equal(moved.numpy(), X)
        assert moved.numpy().dtype == X.dtype
