"""An index in a folder: whole at any time, checked when it is read, safe to open."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from helpers.faults import files_under, flipped, fork_and_kill, full_disk
from helpers.saved_indexes import edit, file_of, filled
from sklearn.decomposition import PCA

from metriclearn.neighbors import RetrievalIndex


@pytest.mark.parametrize("index", ["flat", "ivf"])
@pytest.mark.parametrize("in_place", [False, True])
def test_saved_and_loaded_alike(gallery, index, in_place, tmp_path):
    X, Q = gallery
    searched = RetrievalIndex(
        index=index, metric="cosine", path=tmp_path / "a" if in_place else None
    )
    names = [f"row {i}" for i in range(600)]
    searched.add(X, ids=names, payload={"price": np.arange(600.0), "name": names})
    searched.remove(names[:5])
    folder = tmp_path / "a" if in_place else tmp_path / "b"
    searched.save(folder)
    loaded = RetrievalIndex.load(folder)
    assert isinstance(loaded._gallery.vectors.array(), np.memmap)
    for got, expected in zip(loaded.search(Q, 5), searched.search(Q, 5), strict=True):
        np.testing.assert_array_equal(got, expected)
    ids = loaded.search(Q, 5)[1]
    np.testing.assert_array_equal(loaded.payload(ids)["price"], searched.payload(ids)["price"])
    assert loaded.payload("row 7")["name"] == "row 7"
    # Rows added to a loaded index are lost unless it is saved, and kept if it is.
    loaded.add(
        Q, ids=[f"new {i}" for i in range(40)], payload={"price": np.ones(40), "name": ["n"] * 40}
    )
    assert loaded.search(Q, 1)[1][0] == "new 0"
    assert len(RetrievalIndex.load(folder)) == 595
    loaded.save(folder)
    assert RetrievalIndex.load(folder).search(Q, 1)[1][3] == "new 3"


def test_tuned_effort_is_saved(gallery, tmp_path):
    searched = filled(gallery[0], index="ivf")
    searched.tune(0.9)
    searched.save(tmp_path)
    assert RetrievalIndex.load(tmp_path).search_params_ == searched.search_params_


def _truncate(file, share=0.5):
    os.truncate(file, int(share * file.stat().st_size))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "index.json").unlink(), "is not a saved retrieval index"),
        (lambda f: (f / "index.json").write_bytes(b"\x80\x04junk"), "index.json is not valid JSON"),
        (lambda f: (f / "index.json").write_text("[" * 100_000), "index.json is not valid JSON"),
        (lambda f: (f / "index.json").write_bytes(b""), "index.json is not valid JSON"),
        (lambda f: (f / "index.json").write_text("[]"), "is not a metriclearn retrieval index"),
        (lambda f: edit(f, format="other"), "is not a metriclearn retrieval index"),
        (lambda f: edit(f, version=9), "has version 9 of the format .* upgrade it"),
        (lambda f: _truncate(file_of(f, "vectors")), "vectors-1.f32 is missing or cut short"),
        (lambda f: _truncate(file_of(f, "coarse")), "coarse-1.npy is missing, cut short or chan"),
        (lambda f: file_of(f, "ids").unlink(), "ids-1.npy is missing, cut short or changed"),
        (lambda f: os.mkfifo(_gone(file_of(f, "ids"))), "is a pipe or a device"),
        (
            lambda f: np.save(file_of(f, "ids"), np.array([{}] * 600), allow_pickle=True),
            "ids-1.npy is missing, cut short or changed",
        ),
    ],
)
def test_spoiled_folders_are_refused(gallery, tmp_path, spoil, message):
    filled(gallery[0], index="ivf").save(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        RetrievalIndex.load(tmp_path)


def _gone(path):
    path.unlink()
    return path


def _same(folder, expected, Q):
    """Whether an index loads and answers as expected."""
    index = RetrievalIndex.load(folder)
    answers = index.search(Q, 5)
    payload = index.payload(answers[1])
    return all(
        np.array_equal(*pair) for pair in zip((*answers, *payload.values()), expected, strict=True)
    )


@pytest.mark.parametrize("n_flips", [12, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("index", ["flat", "ivf"])
def test_a_flipped_bit_is_an_error_that_names_a_file_or_changes_nothing(
    gallery, tmp_path, index, n_flips
):
    X, Q = gallery
    made = RetrievalIndex(index=index)
    names = np.array([f"row {i}" for i in range(600)])
    made.add(
        X.astype(float) + 1e4, ids=names, payload={"a": np.arange(600), "b": [None, *names[1:]]}
    )
    made.save(tmp_path)
    answers = made.search(Q + 1e4, 5)
    expected = (*answers, *made.payload(answers[1]).values())
    files = files_under(tmp_path)
    assert {path.name for path in files} >= {"offset-1.npy", "missing_1-1.npy", "blocks-1.npy"}
    n_errors = n_same = 0
    for path in files:
        whole = path.read_bytes()
        for damaged in flipped(whole, n_flips):
            path.write_bytes(damaged)
            try:
                n_same += _same(tmp_path, expected, Q + 1e4)
            except ValueError as error:
                n_errors += str(tmp_path) in str(error)
        path.write_bytes(whole)
    assert n_errors + n_same == len(files) * n_flips
    assert n_errors > 0.9 * len(files) * n_flips


def test_a_block_of_vectors_is_verified_when_it_is_first_read(gallery, tmp_path, rng):
    X = rng.randn(20_000, 64).astype(np.float32)
    filled(X, index="IVF50,Flat").save(tmp_path)
    vectors = file_of(tmp_path, "vectors")
    whole = bytearray(vectors.read_bytes())
    whole[4 * 64 * 15_000] ^= 1
    vectors.write_bytes(whole)
    opened = RetrievalIndex.load(tmp_path)
    assert opened.search(X[:1], 1, rerank=1)[1] == 0  # of an undamaged block
    with pytest.raises(ValueError, match=r"vectors-1\.f32 is damaged: rows 14848 to 15103"):
        opened.search(X[15_000:15_001], 1)
    with pytest.raises(ValueError, match=r"vectors-1\.f32 is damaged"):
        RetrievalIndex.load(tmp_path, verify=True)
    with pytest.raises(ValueError, match=r"vectors-1\.f32 is damaged"):
        opened.measure_recall(1)


# --- kills, full disks, others on the same folder -----------------------------------------


@pytest.mark.parametrize("n_kills", [10, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("change", ["add", "remove", "other"])
def test_a_kill_at_any_time_leaves_the_old_index_or_the_new_one(tmp_path, rng, change, n_kills):
    X = rng.randn(6000, 16).astype(np.float32)
    old = filled(X[:5000])
    folder, template = tmp_path / "index", tmp_path / "template"
    old.save(template)

    def save():
        if change == "other":
            index = RetrievalIndex()
            index.add(X[1000:], ids=np.arange(6000, 11_000))
        else:
            index = RetrievalIndex.load(folder)
            index.add(X[5000:])
            if change == "remove":
                index.remove(np.arange(1000))
        index.save(folder)

    ids_of_new = {
        "add": np.arange(6000),
        "remove": np.arange(1000, 6000),
        "other": np.arange(6000, 11_000),
    }[change]
    rows_of_new = ids_of_new - 5000 if change == "other" else ids_of_new
    shutil.copytree(template, folder)
    outcomes = []
    for n, _ in enumerate(fork_and_kill(save, rng.uniform(0, 1.1, n_kills))):
        index = RetrievalIndex.load(folder, verify=True)
        is_new = len(index) == len(ids_of_new) and np.array_equal(index.ids, ids_of_new)
        outcomes.append(is_new)
        ids, rows = (ids_of_new, rows_of_new) if is_new else (np.arange(5000), np.arange(5000))
        np.testing.assert_array_equal(index.ids, ids)
        np.testing.assert_array_equal(index.search(X[rows[::50]], 1)[1].ravel(), ids[::50])
        del index
        if n % 2:  # what was left behind by the one before must not matter
            save_again = RetrievalIndex.load(folder)
            save_again.save(folder)
            left = {path.name for path in files_under(folder)}
            named = json.loads((folder / "index.json").read_text())["files"].values()
            assert left == {"index.json", *(entry["name"] for entry in named)}
        shutil.rmtree(folder)
        shutil.copytree(template, folder)
    assert outcomes[0]


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("limit", [100, 9_000, 14_000])
def test_a_full_disk_leaves_the_old_index_and_nothing_else(gallery, tmp_path, limit, on_disk):
    X, Q = gallery
    folder = tmp_path / "index"
    filled(X[:300], path=folder if on_disk else None).save(folder)
    before = files_under(folder)
    expected = RetrievalIndex.load(folder).search(Q, 3)
    larger = RetrievalIndex.load(folder) if on_disk else RetrievalIndex()
    more = X[300:] if on_disk else X
    with full_disk(limit), pytest.raises(OSError, match=f"{folder}.*-|{folder}/index.json"):
        _add_and_save(larger, more, folder)
    assert [path for path in files_under(folder) if path.name != "index.lock"] == before
    for got, whole in zip(RetrievalIndex.load(folder).search(Q, 3), expected, strict=True):
        np.testing.assert_array_equal(got, whole)
    if len(larger) < 600:
        larger.add(more)
    larger.save(folder)
    assert len(RetrievalIndex.load(folder, verify=True)) == 600


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("limit", [100, 9_000])
def test_a_full_disk_leaves_nothing_of_a_new_index(gallery, tmp_path, limit, on_disk):
    folder = tmp_path / "new" / "index"
    index = RetrievalIndex(path=folder if on_disk else None)
    with full_disk(limit), pytest.raises(OSError, match=str(folder)):
        _add_and_save(index, gallery[0], folder)
    if len(index):  # what was added waits for another try
        assert not list(tmp_path.rglob("*.json"))
    else:
        assert not list(tmp_path.iterdir())
        index.add(gallery[0])
    index.save(folder)
    assert len(RetrievalIndex.load(folder, verify=True)) == len(gallery[0])


def _add_and_save(index, X, folder):
    index.add(X)
    index.save(folder)


@pytest.mark.parametrize("index", ["flat", "ivf"])
def test_what_was_saved_is_not_touched_by_saving_elsewhere(gallery, tmp_path, index):
    X, _ = gallery
    filled(X, index=index).save(tmp_path / "P")
    before = {path: path.read_bytes() for path in files_under(tmp_path / "P")}
    a = RetrievalIndex.load(tmp_path / "P")
    a.remove([0])
    a.save(tmp_path / "Q")
    assert {path: path.read_bytes() for path in files_under(tmp_path / "P")} == before
    a.add(X[:1] + 1)
    a.save(tmp_path / "Q")
    np.testing.assert_array_equal(RetrievalIndex.load(tmp_path / "Q").ids, [*range(1, 601)])
    loaded = RetrievalIndex.load(tmp_path / "P", verify=True)
    np.testing.assert_array_equal(loaded.search(X, 1)[1].ravel(), np.arange(600))
    del a
    assert not (tmp_path / "P" / "index.lock").exists()


def test_an_older_object_cannot_undo_what_was_saved_since(gallery, tmp_path):
    X, Q = gallery
    filled(X).save(tmp_path)
    old, new = RetrievalIndex.load(tmp_path), RetrievalIndex.load(tmp_path)
    new.add(X)
    with pytest.raises(ValueError, match=f"being written by process {os.getpid()}"):
        old.add(X[:1])
    with pytest.raises(ValueError, match="being written by"):
        old.save(tmp_path)
    with pytest.raises(ValueError, match="being written by"):
        filled(Q).save(tmp_path)
    new.save(tmp_path)
    for call in (lambda: old.add(X[:1]), lambda: old.save(tmp_path)):
        with pytest.raises(ValueError, match=r"saved by another index since .* load it again"):
            call()
    assert len(old) == 600
    assert len(RetrievalIndex.load(tmp_path, verify=True)) == 1200
    old.save(tmp_path / "elsewhere")
    assert len(RetrievalIndex.load(tmp_path / "elsewhere")) == 600


WRITER = """
import sys, numpy as np
from metriclearn.neighbors import RetrievalIndex
index = RetrievalIndex.load(sys.argv[1])
X = index._gallery.vectors.array().copy()
for k in range(5):
    index.remove(index.ids[:100]); index.add(X[:60] + k); index.save(sys.argv[1])
"""


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_a_reader_is_not_disturbed_by_a_writer_in_another_process(gallery, tmp_path, index):
    X, Q = gallery
    filled(X, index=index).save(tmp_path)
    reader, untouched = RetrievalIndex.load(tmp_path), RetrievalIndex.load(tmp_path)
    expected = reader.search(Q, 5)
    subprocess.run([sys.executable, "-c", WRITER, tmp_path], check=True)
    for each in (reader, untouched):
        for got, whole in zip(each.search(Q, 5), expected, strict=True):
            np.testing.assert_array_equal(got, whole)
        assert each._gallery.vectors.array().sum() == pytest.approx(X.sum(), rel=1e-5)
    assert len(RetrievalIndex.load(tmp_path)) == 400


def test_threads_search_while_others_add_and_remove(rng, tmp_path):
    """Rows that stay are found as themselves, whatever is done to the others."""
    X = rng.randn(3000, 16).astype(np.float32)
    index = filled(X)
    stop, wrong, n_searches = threading.Event(), [], []

    def search(seed):
        rows = np.random.default_rng(seed).integers(3000, size=(10_000, 8))
        for some in rows:
            if stop.is_set():
                break
            try:
                distances, ids = index.search(X[some], 1)
                if not np.array_equal(ids.ravel(), some) or distances.max() > 0:
                    wrong.append((some, ids))
            except Exception as error:
                wrong.append(error)
            n_searches.append(1)

    threads = [threading.Thread(target=search, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    n_rounds = 0
    while n_rounds < 60 or (len(n_searches) < 10 and not wrong):  # a busy machine: go on
        ids = 10_000 + 10 * n_rounds + np.arange(10)
        index.add(rng.randn(10, 16) + 9, ids=ids)
        index.remove(ids[::2])
        if n_rounds % 20 == 0:
            index.save(tmp_path)
        n_rounds += 1
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(index) == 3000 + 5 * n_rounds


# --- older versions, emptied and pickled indexes -------------------------------------------


def write_version_1(folder, X, ids):
    """What the first version of the format wrote."""
    folder.mkdir()
    X.tofile(folder / "vectors.f32")
    arrays = {"ids.npy": ids, "payload_0.npy": np.arange(len(X))}
    sums = {}
    for name, array in arrays.items():
        np.save(folder / name, array)
        sums[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    description = {
        "format": "metriclearn retrieval index",
        "version": 1,
        "n": len(X),
        "d": X.shape[1],
        "columns": ["a"],
        "built": 0,
        "sha256": sums,
        "index": "auto",
        "metric": "euclidean",
        "search_params": None,
    }
    (folder / "index.json").write_text(json.dumps(description))


@pytest.mark.parametrize("change", ["add", "remove"])
def test_version_1_is_read_and_saved_as_the_present_one(gallery, tmp_path, change):
    X, _ = gallery
    folder = tmp_path / "index"
    write_version_1(folder, X, np.arange(600))
    index = RetrievalIndex.load(folder, verify=True)
    np.testing.assert_array_equal(index.search(X, 1)[1].ravel(), np.arange(600))
    if change == "add":
        index.add(X[:5] + 50, payload={"a": np.zeros(5, int)})
    else:
        index.remove([0])
    index.save(folder)
    again = RetrievalIndex.load(folder, verify=True)
    np.testing.assert_array_equal(again.search(X[1:], 1)[1].ravel(), np.arange(1, 600))
    assert not (folder / "ids.npy").exists()
    _truncate(again._gallery.vectors.file and file_of(folder, "vectors"))
    with pytest.raises(ValueError, match="cut short"):
        RetrievalIndex.load(folder)


@pytest.mark.parametrize("index", ["flat", "ivf", "hnsw"])
@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_an_index_that_was_emptied_can_be_saved_and_filled_again(gallery, tmp_path, index, on_disk):
    X, Q = gallery
    made = filled(X, index=index, path=tmp_path if on_disk else None)
    made.remove(np.arange(600))
    assert made.search(Q, 3)[1].shape == (40, 0)
    made.save(tmp_path)
    loaded = RetrievalIndex.load(tmp_path)
    assert len(loaded) == 0
    assert loaded.search(Q, 3)[0].shape == (40, 0)
    loaded.add(X)
    np.testing.assert_array_equal(loaded.search(X, 1)[1].ravel(), loaded.ids)
    loaded.save(tmp_path)
    assert len(RetrievalIndex.load(tmp_path, verify=True)) == 600


def test_an_index_can_be_pickled(gallery, tmp_path):
    X, Q = gallery
    filled(X).save(tmp_path)
    for index in (filled(X, index="ivf"), RetrievalIndex.load(tmp_path)):
        index.remove([3])
        copy = pickle.loads(pickle.dumps(index))
        for got, expected in zip(copy.search(Q, 4), index.search(Q, 4), strict=True):
            np.testing.assert_array_equal(got, expected)


# --- safe to open --------------------------------------------------------------------------


def test_a_learner_of_another_width_is_refused(gallery, tmp_path):
    X, Q = gallery
    filled(X, index="ivf").save(tmp_path)
    index = RetrievalIndex.load(tmp_path, PCA(3).fit(X))
    for call in (index.add, index.search):
        with pytest.raises(ValueError, match="X has 3 dimensions after embedding, but the index"):
            call(Q)
    assert len(index) == 600
    index.learner = None
    assert index.search(X[:5], 1)[1].ravel().tolist() == [0, 1, 2, 3, 4]
