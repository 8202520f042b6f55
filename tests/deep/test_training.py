"""How DeepEmbedder trains: frozen parts, judgements, failures, checkpoints, saved files."""

import json
import pickle
import shutil
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import nn

from metriclearn.constraints import Chunks, Pairs, Triplets, triplets_from_labels
from metriclearn.deep import DeepEmbedder, _assembly, _data
from metriclearn.deep.losses import CrossBatchMemory, NTXentLoss, TripletLoss
from metriclearn.metrics import recall_at_k


def make(n_classes=6, n_rows=20, seed=0, apart=2.0):
    rng = np.random.RandomState(seed)
    y = rng.permutation(np.repeat(np.arange(n_classes), n_rows))
    X = rng.randn(n_classes, 5)[y] * apart + rng.randn(len(y), 5)
    return X.astype(np.float32), y


def quick(*args, **params):
    settings = {"max_epochs": 4, "batch_size": 32, "random_state": 0, "validation": None}
    return DeepEmbedder(*args, **{**settings, **params})


def weights(embedder):
    net = embedder.net_
    state = {**net.module_.state_dict(), **net.criterion_.state_dict(prefix="criterion.")}
    return {name: value.numpy().copy() for name, value in state.items()}


def assert_same_weights(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


class Record(Callback):
    """Keep the weights of the backbone and the rates at each end of an epoch."""

    def on_train_begin(self, net, **kwargs):
        self.backbone_, self.rates_ = [self.look(net)], []

    def on_epoch_end(self, net, **kwargs):
        self.backbone_.append(self.look(net))
        self.rates_.append({group["part"]: group["lr"] for group in net.optimizer_.param_groups})

    def look(self, net):
        return {name: value.clone() for name, value in net.module_.backbone.state_dict().items()}


def recorded(embedder):
    return dict(embedder.net_.callbacks_)["Record"]


def moved(before, after, name):
    return any(not torch.equal(before[k], after[k]) for k in before if k.endswith(name))


# Rates and frozen parts


def test_each_part_has_its_rate_and_the_schedule_moves_all():
    rates = {"lr": 1e-2, "backbone_lr": 1e-3, "proxy_lr": 1e-1}
    embedder = quick(loss="arcface", schedule="linear", callbacks=[Record()], **rates).fit(*make())
    first, last = recorded(embedder).rates_[0], recorded(embedder).rates_[-1]
    for part, rate in (("head", 1e-2), ("backbone", 1e-3), ("proxies", 1e-1)):
        assert 0.75 * rate < first[part] < rate
        assert 0 < last[part] < 0.25 * rate


def test_partial_fit_leaves_the_rates_where_the_schedule_begins():
    X, y = make()
    embedder = quick(schedule="cosine", lr=1e-2, callbacks=[Record()])
    for _ in range(2):
        embedder.partial_fit(X, y)
        assert recorded(embedder).rates_ == [{"head": 1e-2, "backbone": 1e-2}]
    assert_same_weights(
        embedder, clone(embedder).set_params(schedule="constant", max_epochs=2).fit(X, y)
    )


def test_backbone_rate_of_zero_freezes_it():
    embedder = quick(backbone_lr=0, callbacks=[Record()]).fit(*make())
    history = recorded(embedder).backbone_
    assert not moved(history[0], history[-1], "weight")
    assert "backbone" not in recorded(embedder).rates_[0]


def test_warm_up_trains_the_head_first():
    embedder = quick(warmup_epochs=2, callbacks=[Record()]).fit(*make())
    history = recorded(embedder).backbone_
    assert not moved(history[0], history[2], "weight")
    assert moved(history[2], history[3], "weight")


@pytest.mark.parametrize("freeze", [False, True])
def test_freeze_batch_norm_keeps_its_statistics(freeze):
    embedder = quick(freeze_batch_norm=freeze, callbacks=[Record()]).fit(*make())
    history = recorded(embedder).backbone_
    assert moved(history[0], history[-1], "running_mean") is not freeze
    assert moved(history[0], history[-1], "weight")


def test_warm_up_with_nothing_else_to_train_is_refused():
    with pytest.raises(ValueError, match="nothing is left to train in warm-up"):
        quick(nn.Linear(5, 3), warmup_epochs=1).fit(*make())


def test_what_a_loss_learns_of_each_row_is_of_those_rows():
    X, y = make()
    embedder = quick(loss="margin", loss_params={"scope": "sample"}).fit(X, y)
    assert embedder.partial_fit(X, y).n_iter_ == 5
    with pytest.raises(ValueError, match=r"each of the 120 rows .* now there are 100"):
        embedder.partial_fit(X[:100], y[:100])


def test_parameters_that_a_module_froze_stay_frozen():
    module = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4))
    module[0].requires_grad_(False)
    embedder = quick(module, n_components=3, warmup_epochs=1, callbacks=[Record()]).fit(*make())
    history = recorded(embedder).backbone_
    assert not moved(history[0], history[-1], "0.weight")
    assert moved(history[0], history[-1], "2.weight")


def test_callbacks_of_skorch_pass_through():
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=10, sink=lambda text: None)
    embedder = quick(callbacks=[stop, LRScheduler()], max_epochs=20).fit(*make())
    assert embedder.n_iter_ < 20
    assert stop.misses_ == 0  # the caller's own is not used


# Judgements


@pytest.mark.parametrize("loss", ["contrastive", "margin", "multi_similarity"])
def test_pairs_teach_what_labels_do(loss):
    X, y = make()
    rng = np.random.RandomState(0)
    indices = np.column_stack([rng.permutation(120), rng.permutation(120)])
    indices = np.vstack(
        [indices]
        + [
            np.column_stack([np.flatnonzero(y == c)[:-1], np.flatnonzero(y == c)[1:]])
            for c in range(6)
        ]
    )
    indices = indices[indices[:, 0] != indices[:, 1]]
    indices = np.unique(np.sort(indices, axis=1), axis=0)
    pairs = Pairs(indices, y[indices[:, 0]] == y[indices[:, 1]])
    embedder = quick(loss=loss, max_epochs=40).fit(X, constraints=pairs)
    assert embedder.classes_ is None
    assert recall_at_k(embedder.transform(X), y) >= recall_at_k(X, y)


def test_triplets_teach_what_labels_do():
    X, y = make()
    triplets = triplets_from_labels(y)
    embedder = quick(max_epochs=30).fit(X, constraints=triplets)
    Z = embedder.transform(X)
    a, p, n = triplets.indices.T
    held = np.linalg.norm(Z[a] - Z[p], axis=1) < np.linalg.norm(Z[a] - Z[n], axis=1)
    assert held.mean() > 0.95


def test_one_step_on_pairs_is_the_mean_over_these_pairs():
    X, _ = make()
    indices = np.array([[0, 1], [1, 2], [5, 3], [0, 7]])
    pairs = Pairs(indices, [True, False, True, False])
    embedder = quick("linear", "contrastive", max_epochs=1).fit(X, constraints=pairs)
    start = quick("linear", "contrastive", max_epochs=1, lr=1e-30).fit(X, constraints=pairs)
    Z = start.transform(X).astype(float)
    d = np.linalg.norm(Z[indices[:, 0]] - Z[indices[:, 1]], axis=1)
    expected = np.where(pairs.similar, d, np.maximum(0, 1 - d)) ** 2 / 2
    assert embedder.history_[0]["train_loss"] == pytest.approx(expected.mean(), rel=1e-4)


def test_pairs_weighted_zero_are_never_drawn():
    X, _ = make()
    X[50:] = 1e30  # would make the loss overflow
    pairs = Pairs([[0, 1], [2, 3], [60, 61]], [True, False, True], weights=[1, 2, 0])
    module = nn.Linear(5, 3)
    embedder = quick(module, "contrastive", head_params={"normalize": False})
    assert embedder.fit(X, constraints=pairs).n_iter_ == 4


@pytest.mark.parametrize(
    ("params", "constraints", "message"),
    [
        ({}, Pairs([[0, 1]], [True]), "loss='triplet' needs labels: .* trained on Pairs"),
        ({"loss": "arcface"}, Triplets([[0, 1, 2]]), "loss='arcface' needs labels"),
        ({}, Triplets([[0, 1, 200]]), "names row 200"),
        ({}, Chunks([0, 0, 1]), "takes Pairs or Triplets, got Chunks"),
        ({"miner": "batch_hard"}, Triplets([[0, 1, 2]]), "has nothing to choose from Triplets"),
        ({"validation": "stratified"}, Triplets([[0, 1, 2]]), "needs classes, but Triplets"),
    ],
)
def test_judgements_that_do_not_fit_are_refused(params, constraints, message):
    with pytest.raises(ValueError, match=message):
        quick(**params).fit(make()[0], constraints=constraints)


def test_labels_and_judgements_together_are_refused():
    X, y = make()
    with pytest.raises(ValueError, match="both given"):
        quick().fit(X, y, constraints=Triplets([[0, 1, 2]]))


# Continuous labels


@pytest.mark.parametrize("loss", ["log_ratio", "label_distance_triplet"])
@pytest.mark.parametrize("width", [1, 2])
def test_continuous_labels(loss, width):
    X, _ = make()
    y = X[:, :width] + 0.1
    labels = y[:, 0] if width == 1 else y
    embedder = quick(loss=loss, schedule="constant").fit(X, labels)
    assert np.isfinite(embedder.transform(X)).all()
    pieces = clone(embedder)
    for _ in range(embedder.n_iter_):
        pieces.partial_fit(X, labels)
    assert_same_weights(embedder, pieces)
    with pytest.raises(ValueError, match="needs classes, but y is continuous"):
        quick(loss=loss, validation="stratified").fit(X, y)


def test_whole_amounts_are_amounts_where_they_are_floats():
    X, _ = make()
    ages = np.arange(120) // 2 + 20.0
    embedder = quick(loss="log_ratio").fit(X, ages)
    assert embedder.classes_ is None
    assert embedder.partial_fit(X[:3], ages[:3]).n_iter_ == 5
    assert quick(loss="log_ratio").fit(X, ages.astype(int)).classes_.shape == (60,)


# Failures


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


class Kill(Callback):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_begin(self, net, **kwargs):
        if net.history[-1]["epoch"] == self.epoch:
            raise KeyboardInterrupt


def test_interrupt_is_not_swallowed_and_leaves_whole_epochs():
    X, y = make()
    embedder = quick(callbacks=[Kill(3)])
    with pytest.raises(KeyboardInterrupt):
        embedder.fit(X, y)
    assert embedder.n_iter_ == 2
    assert embedder.transform(X).shape == (120, 64)
    assert embedder.set_params(callbacks=None).fit(X, y).n_iter_ == 4


# Checkpoints


@pytest.mark.parametrize(
    "params",
    [
        {"loss": "proxy_anchor", "module_params": {"dropout": 0.3}},
        {"validation": "stratified", "lr": 0.1, "patience": 2, "max_epochs": 30},
        {"loss": "hierarchical_triplet", "precision": "bfloat16"},
        {"optimizer": "sgd", "optimizer_params": {"momentum": 0.9}, "sampler": "unbalanced"},
        {"sampler": "hard_negatives", "sampler_params": {"every": 2}, "warmup_epochs": 2},
        {"loss": CrossBatchMemory(NTXentLoss(), size=50)},
        {"precision": "float16", "loss": "sphereface", "miner": None},
    ],
    ids=[
        "proxies and dropout", "early stopping", "class tree", "momentum", "mining", "memory",
        "scaled gradients",
    ],
)  # fmt: skip
def test_killed_run_ends_with_the_same_weights(tmp_path, params):
    X, y = make(n_classes=12, apart=0.8)
    whole = quick(**params).fit(X, y)
    for epoch in (1, 2, 4):
        embedder = clone(whole).set_params(checkpoint=tmp_path / "run", callbacks=[Kill(epoch)])
        with pytest.raises(KeyboardInterrupt):
            embedder.fit(X, y)
    embedder.set_params(callbacks=None).fit(X, y)
    assert_same_weights(whole, embedder)
    assert embedder.n_iter_ == whole.n_iter_
    assert embedder.best_epoch_ == whole.best_epoch_
    # A finished run is taken up at its end.
    assert_same_weights(whole, clone(embedder).fit(X, y))
    assert_same_weights(whole.partial_fit(X, y), embedder.partial_fit(X, y))


# Kills itself, without any warning, in the middle of an epoch; as at any time, a checkpoint may
# then be half-written beside the whole one.
KILLED = """
import os, pickle, signal, sys
from skorch.callbacks import Callback
from metriclearn.deep import DeepEmbedder

class Kill(Callback):
    def on_batch_begin(self, net, **kwargs):
        row = net.history[-1]
        if row["epoch"] == 3 and len(row["batches"]) == 2:
            open(os.path.join(params["checkpoint"], "checkpoint.part"), "wb").write(b"cut")
            os.kill(os.getpid(), signal.SIGKILL)

params, X, y = pickle.load(open(sys.argv[1], "rb"))
DeepEmbedder(**params, callbacks=[Kill()]).fit(X, y)
"""


@pytest.mark.slow
def test_process_killed_outright_is_taken_up_where_it_stopped(tmp_path):
    X, y = make(n_classes=12, apart=0.8)
    whole = quick(loss="proxy_anchor", validation="class_disjoint", max_epochs=5).fit(X, y)
    embedder = clone(whole).set_params(checkpoint=str(tmp_path / "run"))
    given = {k: v for k, v in embedder.get_params(deep=False).items() if k != "callbacks"}
    (tmp_path / "job").write_bytes(pickle.dumps((given, X, y)))
    process = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "job"], timeout=120)
    assert process.returncode == -signal.SIGKILL
    embedder.set_params(callbacks=[Record()]).fit(X, y)
    assert_same_weights(whole, embedder)
    assert len(recorded(embedder).rates_) == 3  # of 5 epochs, two were the other process's
    for own, other in zip(embedder.history_, whole.history_, strict=True):
        assert own["train_loss"] == other["train_loss"]
        assert own["valid_recall_at_1"] == other["valid_recall_at_1"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["checkpoint.pt"]


def test_checkpoint_of_another_run_is_refused(tmp_path):
    X, y = make()
    embedder = quick(checkpoint=str(tmp_path)).fit(X, y)
    with pytest.raises(ValueError, match="other data or with other settings"):
        clone(embedder).set_params(lr=0.1).fit(X, y)
    with pytest.raises(ValueError, match="other data or with other settings"):
        clone(embedder).fit(X + 1, y)
    with pytest.raises(ValueError, match="checkpoint needs random_state"):
        clone(embedder).set_params(random_state=None).fit(X, y)


def test_damaged_checkpoint_is_refused(tmp_path):
    X, y = make()
    embedder = quick(checkpoint=tmp_path).fit(X, y)
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match="not a whole checkpoint"):
        clone(embedder).fit(X, y)


# Memory


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_mapped_rows_are_never_copied_whole(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(_assembly, "MEASURED_VALUES", 2**18)
    n, width = 3000, 1500
    mapped = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", dtype, (n, width))
    mapped[:] = np.random.RandomState(0).randint(256, size=(n, width), dtype=np.uint8)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    embedder = quick("linear", "contrastive", validation="class_disjoint", max_epochs=2)
    embedder.set_params(sampler="hierarchical", checkpoint=tmp_path)  # embeds all rows each epoch
    y = np.arange(n) % 60
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
    monkeypatch.setattr(_data, "BLOCK_BYTES", 100)
    for given in (X, np.array(X)):
        given.flags.writeable = given is not X
        moved = _data._moved(given, "cpu")
        assert moved.is_contiguous()
        np.testing.assert_array_equal(moved.numpy(), X)
        assert moved.numpy().dtype == X.dtype


# Saved files


@pytest.mark.parametrize(
    "params",
    [
        {"loss": "proxy_anchor"},
        {"loss": "hierarchical_triplet", "module_params": {"hidden_units": (8, 4)}},
        {"loss": "margin", "loss_params": {"scope": "sample"}, "validation": "stratified"},
        {"loss": "log_ratio", "n_components": 3, "head_params": {"normalize": False}},
    ],
    ids=str,
)
def test_saved_embedder_loads_without_pickle(tmp_path, params):
    X, y = make()
    names = np.array(["ant", "bee", "cat", "dog", "elk", "fox"])[y]
    labels = y if params["loss"] == "log_ratio" else names
    embedder = quick(**params).fit(X, labels)
    embedder.save(tmp_path / "model.safetensors")
    loaded = DeepEmbedder.load(tmp_path / "model.safetensors")
    assert_same_weights(embedder, loaded)
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))
    assert loaded.history_ == embedder.history_
    assert loaded.warm_start is False
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_saved_embedder_of_images_and_of_judgements(tmp_path):
    rng = np.random.RandomState(0)
    X = rng.randint(256, size=(40, 6, 7)).astype(np.uint8)
    triplets = Triplets(rng.permutation(39).reshape(-1, 3))
    embedder = quick("convnet", module_params={"channels": 4}).fit(X, constraints=triplets)
    embedder.save(tmp_path / "model")
    loaded = DeepEmbedder.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))
    assert loaded.image_shape_ == (6, 7, 1)


def test_feature_names_are_saved(tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y = make()
    frame = pandas.DataFrame(X, columns=list("abcde"))
    quick().fit(frame, y).save(tmp_path / "model")
    assert list(DeepEmbedder.load(tmp_path / "model").feature_names_in_) == list("abcde")


def test_instances_are_refused_before_anything_is_written(tmp_path):
    embedder = quick(loss=TripletLoss()).fit(*make())
    with pytest.raises(ValueError, match=r"loss=TripletLoss\(\) has no name"):
        embedder.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_foreign_and_damaged_files_are_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "model"
    quick().fit(*make()).save(path)
    whole = path.read_bytes()
    for damaged in (whole[:100], whole[:-1], b"", b"PK\x03\x04 something else"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            DeepEmbedder.load(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"not written by DeepEmbedder\.save"):
        DeepEmbedder.load(path)
    header = {"format": "metriclearn.DeepEmbedder", "version": 99, "params": {}, "facts": {}}
    save_file({"a": torch.zeros(2)}, path, metadata={"metriclearn": json.dumps(header)})
    with pytest.raises(ValueError, match="has format 99"):
        DeepEmbedder.load(path)
    header["version"] = 1
    save_file({"a": torch.zeros(2)}, path, metadata={"metriclearn": json.dumps(header)})
    with pytest.raises(ValueError, match="do not fit each other"):
        DeepEmbedder.load(path)
    with pytest.raises(FileNotFoundError):
        DeepEmbedder.load(tmp_path / "nothing")


def test_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    embedder = quick().fit(*make())
    embedder.save(tmp_path / "model")
    before = (tmp_path / "model").read_bytes()
    monkeypatch.setattr("os.replace", lambda *args: shutil.copy("/nowhere", "/nowhere/else"))
    with pytest.raises(OSError, match="nowhere"):
        embedder.save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


# Progress


def test_verbose_shows_loss_recall_and_speed(capsys):
    quick(verbose=1, validation="stratified").fit(*make())
    shown = capsys.readouterr().out
    for word in ("DeepEmbedder", "4/4", "loss", "Recall@1", "rows/s"):
        assert word in shown
