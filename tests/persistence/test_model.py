"""Saved models: the same estimator comes back, and nothing of a stranger's file is run."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import skops.io as sio
import torch
from helpers import estimators
from helpers.faults import files_under, full_disk
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import Normalizer, StandardScaler

import metriclearn
from metriclearn import LMNN, MMC, RCA, Covariance, PairClassifier
from metriclearn._files import Lock
from metriclearn.constraints import pairs_from_labels
from metriclearn.deep import DeepEmbedder
from metriclearn.neighbors import OpenSetClassifier
from metriclearn.persistence import _model, read_card
from metriclearn.persistence._parts import untrusted

X, y = load_iris(return_X_y=True)


def outputs(estimator, X):
    """All that an estimator says of rows."""
    names = ("transform", "predict", "decision_function", "kneighbors", "score_samples")
    return [np.asarray(getattr(estimator, name)(X)) for name in names if hasattr(estimator, name)]


def assert_same(first, second, X):
    mine, theirs = outputs(first, X), outputs(second, X)
    assert len(mine) == len(theirs) >= 1
    assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


#: Not in the table of learners: it learns no metric.
OPEN_SET = OpenSetClassifier(false_identification_rate=0.4)


@pytest.mark.parametrize("estimator", [*estimators.ALL, OPEN_SET], ids=lambda e: type(e).__name__)
def test_every_estimator_comes_back(estimator, tmp_path):
    fitted = clone(estimator).fit(X, y)
    metriclearn.save(fitted, tmp_path / "model")
    assert_same(metriclearn.load(tmp_path / "model"), fitted, X)
    assert type(metriclearn.load(tmp_path / "model")) is type(fitted)


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler(), PCA(3), LMNN(), KNeighborsClassifier(3)],
        [Normalizer(), RCA(), KNeighborsClassifier(3, algorithm="ball_tree", metric="manhattan")],
        [RCA(), RadiusNeighborsClassifier(9.0, algorithm="kd_tree")],
        [make_union(PCA(2), make_pipeline(StandardScaler(), RCA())), KNeighborsClassifier()],
    ],
    ids=["kd tree", "ball tree", "radius", "union"],
)
def test_pipelines_come_back(steps, tmp_path):
    fitted = make_pipeline(*map(clone, steps)).fit(X, y)
    metriclearn.save(fitted, tmp_path / "model")
    again = metriclearn.load(tmp_path / "model")
    assert np.array_equal(again.predict(X), fitted.predict(X))
    assert np.array_equal(again[:-1].transform(X), fitted[:-1].transform(X))


def test_networks_anywhere_in_a_pipeline_come_back(tmp_path):
    nets = [DeepEmbedder(max_epochs=1, n_components=k, random_state=k) for k in (3, 2)]
    fitted = make_pipeline(make_union(nets[0], RCA()), nets[1], KNeighborsClassifier(3)).fit(X, y)
    metriclearn.save(fitted, tmp_path / "model")
    again = metriclearn.load(tmp_path / "model")
    assert np.array_equal(again.predict(X), fitted.predict(X))
    assert np.array_equal(again[:-1].transform(X), fitted[:-1].transform(X))
    assert len(list((tmp_path / "model").glob("*.safetensors"))) == 2


def test_tables_with_categories_and_missing_values_come_back(tmp_path):
    from skrub import TableVectorizer

    frame = pd.DataFrame(X, columns=list("abcd")).assign(
        kind=np.where(y == 1, "u", "v"),
        when=pd.date_range("2020-01-01", periods=150),
        text=[f"some text {k % 50}" for k in range(150)],
    )
    frame.loc[3, "a"] = np.nan
    frame.loc[5, "kind"] = None
    model = make_pipeline(TableVectorizer(), SimpleImputer(), StandardScaler(), LMNN())
    model.fit(frame, y)
    metriclearn.save(model, tmp_path / "model")
    again = metriclearn.load(tmp_path / "model")
    assert np.array_equal(again.transform(frame), model.transform(frame))


def test_pair_classifier_comes_back(tmp_path):
    pairs = pairs_from_labels(y, n_pairs=50, random_state=0)
    fitted = PairClassifier(MMC(), points=X).fit(pairs.indices, pairs.similar)
    metriclearn.save(fitted, tmp_path / "model")
    again = metriclearn.load(tmp_path / "model")
    assert np.array_equal(
        again.decision_function(pairs.indices), fitted.decision_function(pairs.indices)
    )


def test_another_process_reads_the_same_bits(tmp_path):
    fitted = make_pipeline(StandardScaler(), LMNN()).fit(X, y)
    metriclearn.save(fitted, tmp_path / "model")
    np.save(tmp_path / "X.npy", X)
    code = (
        "import metriclearn, numpy as np; "
        "np.save('Z.npy', metriclearn.load('model').transform(np.load('X.npy')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert np.array_equal(np.load(tmp_path / "Z.npy"), fitted.transform(X))


# The folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A saved pipeline with a network, and what it says of X."""
    network = DeepEmbedder(max_epochs=1, n_components=2, random_state=0)
    fitted = make_pipeline(StandardScaler(), network, RCA()).fit(X, y)
    folder = tmp_path_factory.mktemp("kept") / "model"
    metriclearn.save(fitted, folder, card={"Name": "A <b>model</b>", "Scores": ["3-NN `96.0`"]})
    return folder, fitted.transform(X)


def test_saving_again_leaves_one_model(tmp_path):
    for learner in (RCA(), LMNN(), RCA()):
        metriclearn.save(learner.fit(X, y), tmp_path / "model")
        assert sorted(file.name for file in (tmp_path / "model").iterdir())[:2] == [
            "README.md",
            "model.json",
        ]
        assert len(list((tmp_path / "model").iterdir())) == 3
        assert type(metriclearn.load(tmp_path / "model")) is type(learner)


@pytest.mark.parametrize("limit", [0, 100, 1200])
def test_a_full_disk_leaves_nothing_or_the_old_model(tmp_path, limit):
    network = DeepEmbedder(max_epochs=1, random_state=0).fit(X, y)
    with full_disk(limit), pytest.raises(OSError, match=str(tmp_path)):
        metriclearn.save(network, tmp_path / "new" / "model")
    assert not list(tmp_path.iterdir())
    metriclearn.save(Covariance().fit(X), tmp_path / "model")
    before = files_under(tmp_path)
    with full_disk(limit), pytest.raises(OSError, match=str(tmp_path)):
        metriclearn.save(network, tmp_path / "model")
    assert files_under(tmp_path) == before
    assert isinstance(metriclearn.load(tmp_path / "model"), Covariance)


def test_of_two_that_save_to_one_folder_the_second_is_told_who_does(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    lock = Lock(folder / ".lock")
    assert lock.take() is None
    with pytest.raises(OSError, match=f"process {os.getpid()} on .* is writing to it"):
        metriclearn.save(RCA().fit(X, y), folder)
    lock.release()
    assert not list(folder.iterdir())
    metriclearn.save(RCA().fit(X, y), folder)
    assert isinstance(metriclearn.load(folder), RCA)


def test_a_model_that_is_replaced_while_it_is_read_is_the_new_one(tmp_path, monkeypatch):
    first, second = RCA().fit(X, y), RCA(2).fit(X, y)
    metriclearn.save(first, tmp_path / "m")
    checked, replaced = _model._checked, []

    def replace_first(*arguments):
        if not replaced:
            replaced.append(metriclearn.save(second, tmp_path / "m"))
        return checked(*arguments)

    monkeypatch.setattr(_model, "_checked", replace_first)
    assert_same(metriclearn.load(tmp_path / "m"), second, X)


def test_card_says_what_the_model_is(kept):
    text = (kept[0] / "README.md").read_text()
    assert text.startswith("# A <b>model</b>") or text.startswith("# A &lt;b>model")
    assert "metriclearn.load(" in text
    assert "## Scores" in text
    card = read_card(kept[0])
    assert card["estimator"] == "sklearn.pipeline.Pipeline"
    assert card["card"]["Scores"] == ["3-NN `96.0`"]
    assert card["versions"]["metriclearn"] == metriclearn.__version__


def test_flipped_bit_anywhere_is_an_error_or_changes_nothing(kept, tmp_path):
    folder, Z = kept
    rng, refused = np.random.default_rng(0), 0
    files = sorted(file for file in folder.iterdir())
    for k in range(60):
        copy = tmp_path / str(k)
        shutil.copytree(folder, copy)
        name = files[k % len(files)].name
        data = bytearray((copy / name).read_bytes())
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        (copy / name).write_bytes(data)
        outcome = attempt(copy)
        if isinstance(outcome, ValueError):
            refused += 1
            assert name in str(outcome) or "model.json" in str(outcome)
        else:
            assert np.array_equal(outcome.transform(X), Z)
            assert name == "README.md"
        shutil.rmtree(copy)
    assert refused == 45


def attempt(folder):
    try:
        return metriclearn.load(folder)
    except ValueError as error:
        return error


@pytest.mark.parametrize("change", ["empty", "cut", "missing"])
def test_files_that_are_not_whole_are_named(kept, tmp_path, change):
    for file in kept[0].iterdir():
        if file.name == "README.md":
            continue
        copy = tmp_path / file.name
        shutil.copytree(kept[0], copy)
        target = copy / file.name
        if change == "missing":
            target.unlink()
            error = FileNotFoundError if file.name == "model.json" else ValueError
        else:
            target.write_bytes(b"" if change == "empty" else target.read_bytes()[:-20])
            error = ValueError
        with pytest.raises(error, match=file.name.replace(".", r"\.")):
            metriclearn.load(copy)


def test_newer_versions_say_so(kept, tmp_path):
    shutil.copytree(kept[0], tmp_path / "model")
    manifest = json.loads((tmp_path / "model" / "model.json").read_text())
    (tmp_path / "model" / "model.json").write_text(json.dumps({**manifest, "version": 9}))
    with pytest.raises(ValueError, match="has version 9 of the format 'metriclearn model'"):
        metriclearn.load(tmp_path / "model")


KILLED = """
import os, random, signal, sys, time
import metriclearn
from sklearn.datasets import load_iris

X, y = load_iris(return_X_y=True)
learners = [metriclearn.RCA().fit(X, y), metriclearn.Covariance().fit(X)]
metriclearn.save(learners[0], "model")
random.seed(0)
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if not child:
        while True:
            for learner in learners[::-1]:
                metriclearn.save(learner, "model")
    time.sleep(random.uniform(0, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(type(metriclearn.load("model")).__name__)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes to fork on this system")
@pytest.mark.parametrize("n_kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_any_moment_a_model_is_the_old_or_the_new(tmp_path, n_kills):
    script = [sys.executable, "-c", KILLED, str(n_kills)]
    run = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.split()) == n_kills
    assert set(run.stdout.split()) <= {"RCA", "Covariance"}
    metriclearn.save(RCA().fit(X, y), tmp_path / "model")  # what the killed left is cleaned up
    assert len(list((tmp_path / "model").iterdir())) == 3


# Strangers' files


class Planted:
    """What a pickle would run."""

    def __reduce__(self):
        return os.system, ("touch planted",)


def model_of(parts, folder, /, **changes):
    """Write a folder with a valid manifest around any parts."""
    from metriclearn._format import checksum, digest

    folder.mkdir()
    (folder / "parts-0.skops").write_bytes(parts)
    manifest = {
        "format": "metriclearn model",
        "version": 1,
        "estimator": "x",
        "parts": "parts-0.skops",
        "networks": [],
        "files": {"parts-0.skops": {"bytes": len(parts), "sha256": digest(parts)}},
        "versions": {},
        "card": {},
        **changes,
    }
    manifest["checksum"] = checksum(manifest)
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder


def rewritten(parts, change):
    """Parts whose schema was changed as text."""
    source, target = zipfile.ZipFile(io.BytesIO(parts)), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            if name == "schema.json":
                content = change(content.decode()).encode()
            archive.writestr(name, content)
    return target.getvalue()


@pytest.fixture
def parts():
    return sio.dumps(RCA().fit(X, y))


def test_made_up_folder_is_read(parts, tmp_path):
    """The frame of the tests below is sound."""
    assert_same(metriclearn.load(model_of(parts, tmp_path / "m")), RCA().fit(X, y), X)


@pytest.mark.parametrize(
    "module_and_class",
    [
        ("os", "system"),
        ("metriclearn._files", "Lock"),
        ("planted_module", "Thing"),
        ("builtins", "eval"),
    ],
)
def test_planted_names_are_never_imported(parts, tmp_path, monkeypatch, module_and_class):
    (tmp_path / "planted_module.py").write_text("open('planted', 'w')\nclass Thing: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    module, name = module_and_class
    changed = rewritten(
        parts,
        lambda text: text.replace('"metriclearn.mahalanobis._rca"', f'"{module}"').replace(
            '"RCA"', f'"{name}"'
        ),
    )
    assert changed != parts
    with pytest.raises(ValueError, match="may not hold"):
        metriclearn.load(model_of(changed, tmp_path / "m"))
    assert not (tmp_path / "planted").exists()
    assert "planted_module" not in sys.modules


def test_planted_reducer_is_not_run(tmp_path, monkeypatch):
    import pickle

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="cannot be read"):
        metriclearn.load(model_of(pickle.dumps(Planted()), tmp_path / "a"))
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize(
    "name", ["../outside.skops", "/etc/passwd", "a/b.skops", "run.py", "x.pkl"]
)
def test_manifest_names_no_other_files(parts, tmp_path, name):
    with pytest.raises(ValueError, match="names files that a model does not have"):
        metriclearn.load(model_of(parts, tmp_path / "m", files={name: {"bytes": 1, "sha256": ""}}))


ODD = [None, True, -1, 1.5, "x", "../x", [], [1], [[]], {}, {"a": 1}, 10**11, 10**30, float("inf")]
FIELDS = ["estimator", "parts", "networks", "files", "versions", "card"]


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_any_field_of_a_manifest_is_read_or_is_one_error(parts, tmp_path, value):
    """Its checksum agrees: a stranger can compute it, too. Lengths are those of the files."""
    entry = {"bytes": len(parts), "sha256": metriclearn._format.digest(parts)}
    changes = [{field: value} for field in FIELDS]
    changes += [{"files": {"parts-0.skops": {**entry, key: value}}} for key in entry]
    changes += [{"files": {"parts-0.skops": value}}, {"networks": [value]}]
    for number, change in enumerate(changes):
        folder = model_of(parts, tmp_path / str(number), **change)
        for read in (metriclearn.load, read_card):
            with contextlib.suppress(ValueError):
                read(folder)


@pytest.mark.parametrize("missing", FIELDS)
def test_a_manifest_that_lacks_a_field_is_one_error(parts, tmp_path, missing):
    folder = model_of(parts, tmp_path / "m")
    manifest = json.loads((folder / "model.json").read_text())
    del manifest[missing], manifest["checksum"]
    manifest["checksum"] = metriclearn._format.checksum(manifest)
    (folder / "model.json").write_text(json.dumps(manifest))
    for read in (metriclearn.load, read_card):
        with pytest.raises(ValueError, match=r"model\.json: damaged"):
            read(folder)


def test_planted_second_file_is_not_looked_at(parts, tmp_path):
    import pickle

    folder = model_of(parts, tmp_path / "m")
    for name in ("parts-1.skops", "network-0.safetensors", "sitecustomize.py"):
        (folder / name).write_bytes(pickle.dumps(Planted()))
    assert_same(metriclearn.load(folder), RCA().fit(X, y), X)


def test_archive_that_would_fill_the_memory_is_refused(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("schema.json", "{}")
        archive.writestr("0.npy", bytes(2**25))
    with pytest.raises(ValueError, match="would unpack to"):
        metriclearn.load(model_of(stream.getvalue(), tmp_path / "m"))


def test_list_of_trusted_names_is_of_estimators_only():
    names = [f"{type(e).__module__}.{type(e).__name__}" for e in estimators.ALL]
    assert untrusted(names) == []
    for name in (
        "metriclearn.cli._main.run_command",
        "metriclearn._extras.require",
        "metriclearn.persistence._model.load",
        "metriclearn.nothing.Here",
        "metriclearn..RCA",
        "skrub._data_ops._data_ops.deferred",
        "skrub.selectors._base.__builtins__.eval",
        "numpy.load",
        "builtins.exec",
    ):
        assert untrusted([name]) == [name]


# What cannot be saved


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (DeepEmbedder(torch.nn.Linear(4, 2), max_epochs=1).fit(X, y), ValueError, "by name"),
        (
            make_pipeline(StandardScaler(), KNeighborsClassifier(weights=lambda d: d)),
            ValueError,
            "cannot be saved",
        ),
        (np.zeros(3), TypeError, "must be an estimator, got ndarray"),
    ],
)
def test_what_cannot_be_found_by_name_is_refused(estimator, error, message, tmp_path):
    with pytest.raises(error, match=message):
        metriclearn.save(estimator, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_folders_of_others_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        metriclearn.save(RCA().fit(X, y), tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="is a file"):
        metriclearn.save(RCA().fit(X, y), tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="there is no saved model"):
        metriclearn.load(tmp_path)
