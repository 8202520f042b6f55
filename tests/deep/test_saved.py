"""Runs that go on after a kill, and embedders that are written and read."""

import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict
from functools import partial

import numpy as np
import pytest
import torch
from helpers.embedders import Kill, Record, assert_same_weights, make, quick, recorded
from helpers.faults import flipped, fork_and_kill, full_disk
from sklearn.base import clone
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import nn
from torch.optim import Adam

from metriclearn.constraints import Triplets
from metriclearn.deep import DeepEmbedder
from metriclearn.deep.losses import CrossBatchMemory, NTXentLoss, TripletLoss
from metriclearn.deep.miners import SemiHardMiner
from metriclearn.deep.samplers import UnbalancedSampler
from metriclearn.deep.training._checkpoint import Checkpoint


@pytest.mark.parametrize(
    "params",
    [
        {"loss": "proxy_anchor", "module_params": {"dropout": 0.3}},
        {"validation": "stratified", "lr": 0.1, "patience": 3, "max_epochs": 30},
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
    with pytest.raises(ValueError, match=r"with other settings: lr was 0\.001, now 0\.1\. Give"):
        clone(embedder).set_params(lr=0.1).fit(X, y)
    with pytest.raises(ValueError, match=r"with other settings: X is not the same\. Give"):
        clone(embedder).fit(X + 1, y)
    with pytest.raises(ValueError, match=r"with other settings: y is not the same\. Give"):
        clone(embedder).fit(X, (y + 1) % 6)
    with pytest.raises(ValueError, match=r"settings: epochs was 4, now 3; loss was 'triplet', now"):
        clone(embedder).set_params(loss="supcon", max_epochs=3).fit(X, y)
    for one, other in (
        ({"loss": TripletLoss(0.1)}, {"loss": TripletLoss(0.2)}),
        ({"miner": SemiHardMiner(0.1)}, {"miner": SemiHardMiner(0.2)}),
        ({"sampler": UnbalancedSampler(16)}, {"sampler": UnbalancedSampler(20)}),
        ({"module": torch.nn.Linear(5, 3)}, {"module": torch.nn.Linear(5, 3)}),
        ({"loss_params": {"margin": 0.1}}, {"loss_params": {"margin": 0.2}}),
        ({"schedule": lambda done: 1.0}, {"schedule": lambda done: 0.5}),
        ({"optimizer": partial(Adam, eps=1e-8)}, {"optimizer": partial(Adam, eps=1e-6)}),
    ):
        folder = tmp_path / str(one)[:9]
        quick(checkpoint=folder, **one).fit(X, y)
        taken_up = quick(checkpoint=folder, **one).fit(X, y)
        assert taken_up.n_iter_ == 4
        with pytest.raises(ValueError, match="other data or with other settings"):
            quick(checkpoint=folder, **other).fit(X, y)
    with pytest.raises(ValueError, match="checkpoint needs random_state"):
        clone(embedder).set_params(random_state=None).fit(X, y)


def test_finished_run_goes_on_for_more_epochs(tmp_path):
    X, y = make()
    settings = {"schedule": "constant", "loss": "proxy_anchor", "checkpoint": tmp_path}
    quick(**settings, max_epochs=2).fit(X, y)
    longer = quick(**settings, max_epochs=5).fit(X, y)
    assert_same_weights(longer, quick(**{**settings, "checkpoint": None}, max_epochs=5).fit(X, y))
    assert [row["epoch"] for row in longer.history_] == [1, 2, 3, 4, 5]


def test_run_that_a_callback_stopped_stays_stopped(tmp_path):
    X, y = make()
    stop = EarlyStopping("train_loss", patience=2, threshold=10)
    embedder = quick(callbacks=[stop], max_epochs=20, checkpoint=tmp_path).fit(X, y)
    assert embedder.n_iter_ == 3
    assert clone(embedder).fit(X, y).n_iter_ == 3


@pytest.mark.parametrize("policy", [{"step_size": 1, "gamma": 0.5}, {"step_size": 2, "gamma": 0.1}])
def test_killed_run_goes_on_with_the_rates_of_a_scheduler(tmp_path, policy):
    X, y = make()
    settings = {"schedule": "constant", "max_epochs": 6}
    scheduler = LRScheduler(torch.optim.lr_scheduler.StepLR, **policy)
    whole = quick(**settings, callbacks=[scheduler]).fit(X, y)
    embedder = quick(**settings, callbacks=[scheduler, Kill(4)], checkpoint=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        embedder.fit(X, y)
    embedder.set_params(callbacks=[scheduler]).fit(X, y)
    assert_same_weights(whole, embedder)


def checkpoint_of(folder):
    return Checkpoint(folder, "", None)._read("cpu")


@pytest.mark.parametrize("n_flips", [40, pytest.param(3000, marks=pytest.mark.slow)])
def test_a_flipped_bit_of_a_checkpoint_is_an_error_or_changes_nothing(tmp_path, n_flips):
    X, y = make()
    embedder = quick(checkpoint=tmp_path).fit(X, y)
    file = tmp_path / "checkpoint.pt"
    whole, n_errors = file.read_bytes(), 0
    state = checkpoint_of(tmp_path)
    for damaged in (*flipped(whole, n_flips), *flipped(whole[:200], n_flips)):
        file.write_bytes(damaged + (whole[200:] if len(damaged) == 200 else b""))
        try:
            assert_same_state(checkpoint_of(tmp_path), state)
        except ValueError as error:
            n_errors += str(file) in str(error)
    assert n_errors > 0.9 * 2 * n_flips
    file.write_bytes(whole)
    assert_same_weights(embedder, clone(embedder).fit(X, y))


def assert_same_state(found, expected):
    assert found["fingerprint"] == expected["fingerprint"]
    for name, tensor in found["weights"][0].items():
        assert torch.equal(tensor, expected["weights"][0][name]), name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda whole: b"", "is not a metriclearn checkpoint"),
        (lambda whole: whole[:-1], "is damaged or cut short"),
        (lambda whole: whole[:1000], "is damaged or cut short"),
        (lambda whole: whole[:20], "is not a metriclearn checkpoint"),
        (lambda whole: b"PK\x03\x04 no", "is not a whole checkpoint"),
        (lambda whole: b"[" * 5000, "is not a metriclearn checkpoint"),
        (lambda whole: whole.replace(b'"version": 2', b'"version": 3', 1), "upgrade it"),
        (
            lambda whole: archive_of({"weights": {}}),
            "is not a whole checkpoint .it holds something",
        ),
        (lambda whole: archive_of([1, 2]), "is not a whole checkpoint"),
        (lambda whole: archive_of(Runs()), "is not a whole checkpoint"),
        (lambda whole: zipped(b"0" * 10**7), "is not a whole checkpoint .it is compressed"),
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_one_error(tmp_path, content, message):
    X, y = make()
    embedder = quick(checkpoint=tmp_path, max_epochs=1).fit(X, y)
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(content(file.read_bytes()))
    with pytest.raises(ValueError, match=message) as caught:
        clone(embedder).fit(X, y)
    assert str(file) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


class Runs:
    """What no file may do when it is opened."""

    def __reduce__(self):
        return (sys.exit, ("it was run",))


def archive_of(value):
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def zipped(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", content)
    return stream.getvalue()


def test_a_checkpoint_of_version_1_is_taken_up(tmp_path):
    X, y = make()
    whole = quick().fit(X, y)
    embedder = quick(checkpoint=tmp_path, callbacks=[Kill(3)])
    with pytest.raises(KeyboardInterrupt):
        embedder.fit(X, y)
    file = tmp_path / "checkpoint.pt"
    line, _, archive = file.read_bytes().partition(b"\n")
    assert json.loads(line)["version"] == 2
    file.write_bytes(archive)
    assert_same_weights(whole, clone(embedder).set_params(callbacks=None).fit(X, y))
    assert file.read_bytes().startswith(b'{"format": "metriclearn checkpoint", "version": 2')


def test_two_runs_cannot_share_a_folder(tmp_path):
    X, y = make()

    class Second(Callback):
        def on_epoch_begin(self, net, **kwargs):
            with pytest.raises(
                ValueError, match=f"is in use by process {os.getpid()} on"
            ) as caught:
                quick(checkpoint=tmp_path).fit(X, y)
            assert "give every run a folder of its own" in str(caught.value)

    embedder = quick(checkpoint=tmp_path, callbacks=[Second()]).fit(X, y)
    assert_same_weights(embedder, quick().fit(X, y))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_full_disk_is_a_warning_and_training_goes_on(tmp_path):
    X, y = make()
    embedder = quick(checkpoint=tmp_path, callbacks=[Kill(3)])
    with pytest.raises(KeyboardInterrupt):
        embedder.fit(X, y)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    again = clone(embedder).set_params(callbacks=None)
    with (
        full_disk(2000),
        pytest.warns(UserWarning, match=r"could not be written after epoch .*stays"),
    ):
        again.fit(X, y)
    assert_same_weights(again, quick().fit(X, y))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert_same_weights(clone(again).fit(X, y), again)


@pytest.mark.parametrize("n_kills", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_a_kill_at_any_time_leaves_a_whole_checkpoint(tmp_path, n_kills):
    X, y = make()
    embedder = quick(checkpoint=tmp_path, max_epochs=3, random_state=0)
    rng = np.random.default_rng(0)
    for _ in fork_and_kill(lambda: clone(embedder).fit(X, y), rng.uniform(0, 1, n_kills)):
        if (tmp_path / "checkpoint.pt").exists():
            checkpoint_of(tmp_path)
            if rng.random() < 0.7:
                (tmp_path / "checkpoint.pt").unlink()
    assert_same_weights(clone(embedder).fit(X, y), quick(max_epochs=3, random_state=0).fit(X, y))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


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
    assert loaded.set_params(warm_start=True).fit(X, labels).n_iter_ == 8
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_saved_embedder_of_images_and_of_constraints(tmp_path):
    rng = np.random.RandomState(0)
    X = rng.randint(256, size=(40, 6, 7)).astype(np.uint8)
    triplets = Triplets(rng.permutation(39).reshape(-1, 3))
    embedder = quick("convnet", module_params={"channels": 4}).fit(X, constraints=triplets)
    embedder.save(tmp_path / "model")
    loaded = DeepEmbedder.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))
    assert loaded.image_shape_ == (6, 7, 1)


def test_weights_of_other_libraries_are_not_fetched_again(tmp_path, monkeypatch):
    asked = []

    def get_model(name, weights=None):
        asked.append(weights)
        return nn.Sequential(OrderedDict(flat=nn.Flatten(), fc=nn.Linear(27, 1000)))

    models = types.SimpleNamespace(list_models=lambda module: ["net"], get_model=get_model)
    monkeypatch.setitem(sys.modules, "torchvision", types.SimpleNamespace(models=models))
    X = np.random.RandomState(0).randint(256, size=(40, 3, 3, 3)).astype(np.uint8)
    settings = {"module_params": {"weights": "IMAGENET1K_V1"}}
    embedder = quick("torchvision/net", **settings).fit(X, np.arange(40) % 4)
    embedder.save(tmp_path / "model")
    loaded = DeepEmbedder.load(tmp_path / "model")
    assert asked == ["IMAGENET1K_V1", None]
    assert loaded.module_params == settings["module_params"]
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))


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
    with pytest.raises(ValueError, match=r"has version 99 of the format .* upgrade it"):
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
