"""Models that somebody made to do harm: what `load` reads runs nothing and fills no memory."""

import functools
import io
import json
import os
import struct
import sys
import zipfile

import numpy as np
import pytest
import skops.io as sio
from scipy import sparse
from sklearn.compose import make_column_selector
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import metriclearn
from metriclearn import RCA
from metriclearn._format import checksum, digest
from metriclearn.persistence import read_card
from metriclearn.persistence._parts import unknown_entries, untrusted

X, y = load_iris(return_X_y=True)


def folder_of(parts, folder, networks=()):
    """Write a folder with a valid manifest around any parts and networks."""
    folder.mkdir()
    files = {"parts-0.skops": parts}
    files |= {f"network-{k}.safetensors": content for k, content in enumerate(networks)}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    manifest = {
        "format": "metriclearn model",
        "version": 1,
        "estimator": "x",
        "parts": "parts-0.skops",
        "networks": list(files)[1:],
        "files": {k: {"bytes": len(v), "sha256": digest(v)} for k, v in files.items()},
        "versions": {},
        "card": {},
    }
    manifest["checksum"] = checksum(manifest)
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder


def changed(estimator, change, *, extra=()):
    """Parts of an estimator whose schema was changed, with more members."""
    source, target = zipfile.ZipFile(io.BytesIO(sio.dumps(estimator))), io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            content = source.read(name)
            if name == "schema.json":
                schema = json.loads(content)
                content = json.dumps(change(schema) or schema).encode()
            archive.writestr(name, content)
        for name, content in extra:
            archive.writestr(name, content)
    return target.getvalue()


class Planted:
    """What runs when pickle copies an object that answers for itself."""

    def __init__(self, where):
        self.where = where

    def __call__(self, protocol=None):
        return os.mkdir, (self.where,)


@pytest.mark.parametrize("method", ["__reduce_ex__", "__reduce__", "__getstate__"])
def test_attributes_in_place_of_methods_of_pickle_are_not_called(method, tmp_path, monkeypatch):
    learner = RCA().fit(X, y)
    monkeypatch.setattr(sio, "loads", lambda data, trusted: learner)
    learner.__dict__[method] = Planted(str(tmp_path / "planted"))
    with pytest.raises(ValueError, match=f"brings a {method} of its own"):
        metriclearn.load(folder_of(sio.dumps(RCA().fit(X, y)), tmp_path / "m"))
    assert not (tmp_path / "planted").exists()


def as_method(schema):
    schema["content"]["content"]["shrinkage"] = {
        "__class__": "RCA",
        "__module__": "metriclearn.mahalanobis._rca",
        "__loader__": "MethodNode",
        "content": {"func": "__init__", "obj": {**schema, "content": None}},
    }


def as_operator(schema):
    inner = {"__class__": "call", "__module__": "skrub._to_str", "__loader__": "OperatorFuncNode"}
    schema["content"]["content"]["shrinkage"] = {**inner, "attrs": {}}


def as_tree(schema):
    schema["__loader__"] = "TreeNode"


@pytest.mark.parametrize("change", [as_method, as_operator, as_tree])
def test_entries_that_call_what_the_file_names_are_an_error(change, tmp_path):
    """Whatever the version of skops makes of their names."""
    parts = changed(RCA().fit(X, y), change)
    with pytest.raises(ValueError, match="entries of kind"):
        metriclearn.load(folder_of(parts, tmp_path / "m"))


def test_entries_of_what_is_saved_are_known(tmp_path):
    """Of functions, partial ones, selectors, random states, dtypes and sparse matrices."""
    steps = make_pipeline(
        FunctionTransformer(functools.partial(np.clip, a_min=0, a_max=5)), StandardScaler(), RCA()
    ).fit(X, y)
    steps.chooser, steps.matrix = make_column_selector(dtype_include=float), sparse.eye(3).tocsr()
    steps.state, steps.kind = np.random.RandomState(0), np.dtype("f4")
    steps.generator, steps.sizes = np.random.default_rng(0), {1, 2}
    with zipfile.ZipFile(io.BytesIO(sio.dumps(steps))) as archive:
        assert unknown_entries(json.loads(archive.read("schema.json"))) == []


@pytest.mark.parametrize(
    "name",
    [
        "skrub._to_str.__builtins__",
        "skrub._to_str.__loader__",
        "skrub.selectors._base.__builtins__",
        "skrub._gap_encoder.sparse",
        "skrub._datetime_encoder.import_module",
        "metriclearn.__main__.main",
        "metriclearn.mahalanobis._rca.np",
        "metriclearn.mahalanobis._rca.RCA.__init__",
        "metriclearn.persistence._parts.BaseEstimator.__subclasses__",
        "ｍetriclearn.mahalanobis._rca.RCA",
        "mеtriclearn.mahalanobis._rca.RCA",
        "metriclearn.mahalanobis._rca.RСA",
        "sklеarn.preprocessing._data.StandardScaler",
        "sklearn.utils._testing.ignore_warnings",
        "",
        ".",
    ],
)
def test_names_that_only_look_like_ours_are_not_trusted(name):
    assert untrusted([name]) == [name]


def test_archives_in_the_archive_count(tmp_path):
    """A sparse matrix is an archive of its own."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", bytes(2**24))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", "{}")
        archive.writestr("0.bin", inner.getvalue())
    assert len(outer.getvalue()) < 2**24 / 1100 < len(inner.getvalue())
    with pytest.raises(ValueError, match="would unpack to"):
        metriclearn.load(folder_of(outer.getvalue(), tmp_path / "m"))


def an_array_of(shape):
    """An .npy file that says it is larger than any memory."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue() + bytes(64)


@pytest.mark.parametrize("shape", [(2**50,), (-1, 4), (2**31, 2**31)])
def test_arrays_larger_than_the_file_are_one_error(shape, tmp_path):
    def replaced(schema):
        place = schema["content"]["content"]["components_"]
        place["file"] = "huge.npy"

    parts = changed(RCA().fit(X, y), replaced, extra=[("huge.npy", an_array_of(shape))])
    with pytest.raises(ValueError, match="cannot be read"):
        metriclearn.load(folder_of(parts, tmp_path / "m"))


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**29) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 23) + b'{"__metadata__": "text"}',
        struct.pack("<Q", 30) + b'{"__metadata__":{"metriclearn":"[]"}}',
        struct.pack("<Q", 4) + b"nope",
        b"",
        b"PK\x03\x04",
    ],
    ids=range(8),
)
def test_networks_that_are_no_safetensors_are_one_error(content, tmp_path):
    folder = folder_of(sio.dumps(RCA().fit(X, y)), tmp_path / "m", [content])
    with pytest.raises(ValueError, match="cannot be read"):
        metriclearn.load(folder)


def test_a_key_twice_and_numbers_that_are_none_are_read_or_one_error(tmp_path):
    """The last of two keys counts, for the checksum, too."""
    folder = folder_of(sio.dumps(RCA().fit(X, y)), tmp_path / "m")
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace("{", '{"parts": "../../x.skops", ', 1))
    assert isinstance(metriclearn.load(folder), RCA)
    for planted in ('"bytes": NaN, "sha256"', '"bytes": 1e999, "sha256"'):
        head, _, rest = text.partition('"bytes"')
        (folder / "model.json").write_text(head + planted + rest[rest.index('"sha256"') + 8 :])
        with pytest.raises(ValueError, match=r"model\.json: damaged"):
            metriclearn.load(folder)
    (folder / "model.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="not valid JSON"):
        read_card(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("name", ["README.md", "model.json", ".lock", "parts-0.skops"])
def test_links_in_a_folder_are_not_written_through(name, tmp_path):
    outside = tmp_path / "mine.txt"
    outside.write_text("mine")
    folder = folder_of(sio.dumps(RCA().fit(X, y)), tmp_path / "m")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(outside)
    with pytest.raises(ValueError, match="holds other files"):
        metriclearn.save(RCA().fit(X, y), folder)
    assert outside.read_text() == "mine"


def test_a_card_is_words_only(tmp_path):
    """What stands in README.md is not read back, whatever somebody puts there."""
    metriclearn.save(RCA().fit(X, y), tmp_path / "m")
    (tmp_path / "m" / "README.md").write_bytes(b"\xff\x00<script>")
    assert isinstance(metriclearn.load(tmp_path / "m"), RCA)
    assert read_card(tmp_path / "m")["card"] == {}


def test_settings_that_a_class_got_later_have_their_defaults(tmp_path):
    def earlier(schema):
        del schema["content"]["content"]["shrinkage"]

    parts = changed(RCA().fit(X, y), earlier)
    again = metriclearn.load(folder_of(parts, tmp_path / "m"))
    assert repr(again) == "RCA()"
    assert np.array_equal(again.transform(X), RCA().fit(X, y).transform(X))

    def without_a_step(schema):
        del schema["content"]["content"]["steps"]

    parts = changed(make_pipeline(RCA()).fit(X, y), without_a_step)
    with pytest.raises(ValueError, match="Pipeline has no steps; another version has saved it"):
        metriclearn.load(folder_of(parts, tmp_path / "old"))
