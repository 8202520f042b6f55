"""The file of an embedder: checked when it is read, and safe to open."""

import json
import os
import stat
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
import torch
from helpers.embedders import assert_same_weights, make, quick
from helpers.faults import flipped, fork_and_kill, full_disk
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from metriclearn._format import digest
from metriclearn.deep import DeepEmbedder
from metriclearn.deep.losses import LOSSES, REGULARIZERS


@pytest.fixture(scope="module")
def embedder():
    return quick(max_epochs=1).fit(*make())


@pytest.fixture(scope="module")
def content(embedder, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    embedder.save(path)
    return Content(path.read_bytes())


class Content(bytes):
    """Bytes that are not shown in full where a test fails."""

    def __repr__(self):
        return f"<{len(self)} bytes>"


def header_of(content):
    length = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["metriclearn"])


def rewritten(content, header, tensors=None):
    """The file with another header, checksum and all, as a stranger would write it."""
    tensors = load_tensors(content) if tensors is None else tensors
    zeros = "0" * 64
    text = header if isinstance(header, str) else json.dumps(header)
    made = bytearray(save_tensors(tensors, metadata={"metriclearn": text, "sha256": zeros}))
    place = made.index(b'"sha256":"') + 10
    made[place : place + 64] = digest(made).encode()
    return bytes(made)


def changed(content, **params):
    header = header_of(content)
    header["params"].update(params)
    return rewritten(content, header)


def with_facts(content, **facts):
    header = header_of(content)
    header["facts"].update(facts)
    return rewritten(content, header)


@pytest.mark.parametrize("n_flips", [60, pytest.param(4000, marks=pytest.mark.slow)])
def test_a_flipped_bit_is_an_error_that_names_the_file(embedder, content, tmp_path, n_flips):
    path, X = tmp_path / "model", make()[0]
    expected = embedder.transform(X)
    n_errors = 0
    for damaged in (*flipped(content, n_flips), *flipped(content[:4000], n_flips)):
        path.write_bytes(damaged + (content[4000:] if len(damaged) == 4000 else b""))
        try:
            np.testing.assert_array_equal(DeepEmbedder.load(path).transform(X), expected)
        except ValueError as error:
            n_errors += str(path) in str(error)
    assert n_errors == 2 * n_flips


@pytest.mark.parametrize("version", ["9", None, True, 0, 99, 1.5])
def test_a_version_that_there_is_not_is_one_error(content, tmp_path, version):
    header = {**header_of(content), "version": version}
    (tmp_path / "model").write_bytes(rewritten(content, header))
    with pytest.raises(ValueError, match=r"is damaged: its version|upgrade it"):
        DeepEmbedder.load(tmp_path / "model")


def test_version_1_is_read(embedder, content, tmp_path):
    header = {**header_of(content), "version": 1}
    for name in ("channels_first", "integers", "feature_shape"):
        del header["facts"][name]
    metadata = {"metriclearn": json.dumps(header)}
    (tmp_path / "model").write_bytes(save_tensors(load_tensors(content), metadata=metadata))
    assert_same_weights(DeepEmbedder.load(tmp_path / "model"), embedder)


HOSTILE = {
    "huge embedding": lambda c: changed(c, n_components=10**9),
    "huge layer": lambda c: changed(c, module_params={"hidden_units": [10**10]}),
    "many layers": lambda c: changed(c, module_params={"hidden_units": [5] * 20_000}),
    "huge rows": lambda c: with_facts(c, n_features_in_=10**12),
    "huge image": lambda c: with_facts(c, n_features_in_=10**12, image_shape_=[10**6, 10**6, 1]),
    "image of another size": lambda c: with_facts(c, image_shape_=[7, 7, 1]),
    "huge features": lambda c: with_facts(c, feature_shape=[10**11]),
    "huge loss": lambda c: changed(c, loss="margin", loss_params={"scope": "sample"}),
    "wide text": lambda c: with_facts(c, classes_={"dtype": "<U999999999", "values": [1, 2]}),
    "numbers as text": lambda c: with_facts(c, classes_={"dtype": "<U9", "values": [1, 2]}),
    "objects": lambda c: with_facts(c, classes_={"dtype": "|O", "values": [{}, []]}),
    "checkpoint": lambda c: changed(c, checkpoint="folder"),
    "callbacks": lambda c: changed(c, callbacks=[]),
    "device": lambda c: changed(c, device="cuda"),
    "unknown argument": lambda c: changed(c, surprise=1),
    "module is a number": lambda c: changed(c, module=3),
    "loss is a list": lambda c: changed(c, loss=["triplet"]),
    "no module": lambda c: changed(c, module="os.system"),
    "no facts": lambda c: rewritten(c, {**header_of(c), "facts": None}),
    "empty facts": lambda c: rewritten(c, {**header_of(c), "facts": {}}),
    "deep": lambda c: rewritten(c, "[" * 100_000),
    "other tensors": lambda c: rewritten(c, header_of(c), {"module.x": torch.zeros(3)}),
    "cut": lambda c: c[:-1],
    "empty": lambda c: b"",
    "long head": lambda c: (2**60).to_bytes(8, "little") + c[8:],
}


@pytest.mark.parametrize("make_hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_strangers_file_is_one_error_and_makes_nothing_large(content, tmp_path, make_hostile):
    import resource

    path = tmp_path / "model"
    path.write_bytes(make_hostile(content))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=f"{path}|'module'|'loss'"):
        DeepEmbedder.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB
    assert os.listdir(tmp_path) == ["model"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@settings(max_examples=80)
@given(which=st.integers(0, 999), value=json_values)
def test_any_header_is_read_or_is_one_value_error(content, tmp_path_factory, which, value):
    header = header_of(content)
    entries = [(part, key) for part in ("params", "facts") for key in sorted(header[part])]
    part, key = entries[which % len(entries)]
    header[part][key] = value
    path = tmp_path_factory.mktemp("fuzz") / "model"
    path.write_bytes(rewritten(content, header))
    try:
        loaded = DeepEmbedder.load(path)
    except ValueError:
        return
    assert np.isfinite(loaded.transform(make()[0])).all()


def test_what_is_no_file_is_one_error(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo"):
        with pytest.raises(ValueError, match=r"is a folder|is a pipe"):
            DeepEmbedder.load(path)


# --- libraries of models -------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """What a library's maker of models is asked for."""
    asked = []

    def get_model(name, **params):
        asked.append(params)
        return nn.Sequential(OrderedDict(flat=nn.Flatten(), fc=nn.Linear(27, 1000)))

    models = types.SimpleNamespace(list_models=lambda module: ["net"], get_model=get_model)
    monkeypatch.setitem(sys.modules, "torchvision", types.SimpleNamespace(models=models))
    return asked


def of_library(**params):
    X = np.random.RandomState(0).randint(256, size=(40, 3, 3, 3)).astype(np.uint8)
    return quick("torchvision/net", module_params=params, max_epochs=1).fit(X, np.arange(40) % 4), X


@pytest.mark.parametrize(
    "params",
    [
        {"checkpoint_path": "evil.pth"},
        {"pretrained_cfg_overlay": {"file": "evil.pth"}},
        {"norm_layer": "/etc/passwd"},
        {"weights": "hf-hub:stranger/model"},
        {"cache_dir": "elsewhere"},
        {"anything": 1},
        {"depth": {"a": 1}},
    ],
    ids=str,
)
def test_a_file_cannot_make_a_library_read_other_files(asked, tmp_path, params):
    of_library(dropout=0.1)[0].save(tmp_path / "model")
    path = tmp_path / "evil"
    path.write_bytes(changed((tmp_path / "model").read_bytes(), module_params=params))
    asked.clear()
    with pytest.raises(ValueError, match="not among the arguments of torchvision that a file may"):
        DeepEmbedder.load(path)
    assert asked == []


def test_arguments_that_led_to_weights_are_not_needed_again(asked, tmp_path):
    embedder, X = of_library(checkpoint_path="mine.pth", dropout=0.1)
    embedder.save(tmp_path / "model")
    loaded = DeepEmbedder.load(tmp_path / "model")
    assert asked[0]["checkpoint_path"] == "mine.pth"
    assert asked[1:] == [{"dropout": 0.1, "weights": None}]
    assert loaded.module_params == {"dropout": 0.1}
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))


# --- what is written -----------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES | REGULARIZERS)
def test_an_embedder_of_every_loss_comes_back(tmp_path, loss):
    X, y = make()
    embedder = quick(loss=loss, max_epochs=1).fit(X, y)
    embedder.save(tmp_path / "model")
    loaded = DeepEmbedder.load(tmp_path / "model")
    assert_same_weights(embedder, loaded)
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))


def test_a_saved_embedder_has_the_mode_of_the_umask(embedder, tmp_path):
    old = os.umask(0o022)
    try:
        embedder.save(tmp_path / "model")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o644


def test_a_full_disk_leaves_the_older_embedder(embedder, content, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(content)
    with full_disk(3000), pytest.raises(OSError, match=str(path)):
        embedder.save(path)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["model"]
    with pytest.raises(OSError, match="No such file or directory: '/nowhere/model'"):
        embedder.save("/nowhere/model")


@pytest.mark.parametrize("n_kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_a_kill_at_any_time_leaves_the_old_embedder_or_the_new_one(
    embedder, content, tmp_path, n_kills
):
    path = tmp_path / "model"
    new = quick(max_epochs=1, n_components=3).fit(*make())
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in fork_and_kill(lambda: new.save(path), rng.uniform(0, 1.1, n_kills)):
        found = DeepEmbedder.load(path)
        outcomes.add(found.n_components)
        assert_same_weights(found, new if found.n_components == 3 else embedder)
        path.write_bytes(content)
    assert 3 in outcomes
