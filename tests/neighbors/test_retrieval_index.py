"""A gallery that grows, shrinks, and comes back from disk; exact where it says so."""

import hashlib
import json
import os
import sys

import numpy as np
import pyarrow.parquet
import pytest
from sklearn.decomposition import PCA

from metriclearn import Covariance
from metriclearn.neighbors import FaissNearestNeighbors, RetrievalIndex, _retrieval_index

INDEXES = ["auto", "flat", "hnsw", "ivf", "ivfpq", "SQ8"]
METRICS = ["euclidean", "cosine", "inner_product"]


@pytest.fixture
def gallery(rng):
    centers = rng.randn(20, 6)
    X, Q = (centers[rng.randint(20, size=n)] + 0.3 * rng.randn(n, 6) for n in (600, 40))
    return (X + 10).astype(np.float32), (Q + 10).astype(np.float32)


def filled(X, **arguments):
    index = RetrievalIndex(**arguments)
    for start in range(0, len(X), 170):
        index.add(X[start : start + 170])
    return index


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_search_is_exact_after_reranking(gallery, metric, index, on_disk, tmp_path):
    X, Q = gallery
    searched = filled(X, index=index, metric=metric, path=tmp_path / "i" if on_disk else None)
    distances, ids = searched.search(Q, 7, rerank=600)
    expected = FaissNearestNeighbors(7, metric=metric).fit(X).kneighbors(Q)
    np.testing.assert_array_equal(ids, expected[1])
    np.testing.assert_allclose(distances, expected[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_queries_in_blocks_find_the_same(gallery, monkeypatch, on_disk, tmp_path):
    X, Q = gallery
    searched = filled(X, index="ivf", path=tmp_path / "i" if on_disk else None)
    expected = searched.search(Q, 7)
    monkeypatch.setattr(_retrieval_index, "_CANDIDATES", 1)
    for got, whole in zip(searched.search(Q, 7), expected, strict=True):
        np.testing.assert_array_equal(got, whole)


def _resident(file):
    """Memory of a mapped file that counts as this process's, in kB."""
    with open("/proc/self/smaps") as maps:
        own = False
        total = 0
        for line in maps:
            if "-" in line.split(maxsplit=1)[0]:
                own = line.rstrip().endswith(str(file))
            elif own and line.startswith("Rss:"):
                total += int(line.split()[1])
    return total


if sys.platform == "linux":

    def test_what_was_read_from_the_file_is_given_back(gallery, tmp_path):
        X, Q = gallery
        searched = filled(X, index="ivf", path=tmp_path)
        assert searched._vectors.array().sum() != 0
        assert _resident(tmp_path / "vectors.f32") > 0
        for read in (searched.search, searched._by_brute_force):
            assert searched._vectors.array().sum() != 0
            read(Q, 7)
            assert _resident(tmp_path / "vectors.f32") == 0


def test_new_classes_are_found_without_training(iris):
    X, y = iris
    learner = Covariance().fit(X[y < 2])
    index = RetrievalIndex(learner)
    index.add(X[y < 2], payload={"species": y[y < 2]})
    before = learner.components_.copy()
    index.add(X[y == 2], payload={"species": y[y == 2]})
    np.testing.assert_array_equal(learner.components_, before)
    _, ids = index.search(X, 1)
    np.testing.assert_array_equal(index.payload(ids)["species"].ravel(), y)


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_removed_rows_are_gone_and_ids_stay(gallery, index):
    X, Q = gallery
    names = np.array([f"row {i}" for i in range(len(X))])
    searched = RetrievalIndex(index=index)
    searched.add(X, ids=names, payload={"number": np.arange(600)})
    searched.search(Q, 1)
    for gone in (names[::3], names[1::3][:150]):  # the second leaves less than half
        searched.remove(gone)
        _, ids = searched.search(Q, 10)
        left = np.flatnonzero(np.isin(names, searched.ids))
        assert len(searched) == len(left)
        expected = FaissNearestNeighbors(10).fit(X[left]).kneighbors(Q, return_distance=False)
        np.testing.assert_array_equal(ids, names[left][expected])
        np.testing.assert_array_equal(searched.payload(ids)["number"], left[expected])
    searched.add(X[:1], ids=["row 0"], payload={"number": [-1]})  # a removed id is free again
    assert searched.payload("row 0")["number"] == -1
    assert searched.search(X[:1], 1)[1] == "row 0"


def test_rows_added_after_the_first_search_are_found(gallery, monkeypatch):
    X, Q = gallery
    monkeypatch.setattr(_retrieval_index, "_CHUNK", 64)
    searched = RetrievalIndex(index="ivf")
    for stop in (100, 150, 600):  # filed, then built anew
        searched.add(X[len(searched) : stop])
        _, ids = searched.search(Q, 5)
        expected = FaissNearestNeighbors(5).fit(X[:stop]).kneighbors(Q, return_distance=False)
        assert np.mean(ids == expected) > 0.95


def test_too_few_candidates_are_filled_up_exactly(rng):
    X = np.r_[rng.randn(200, 2), 50 + rng.randn(4, 2)]
    searched = RetrievalIndex(index="IVF8,Flat")
    searched.add(X)
    searched.search(X[:1])
    searched.search_params_ = "nprobe=1"
    searched._forget()
    _, ids = searched.search(X[-4:].astype(np.float32), 30)
    expected = FaissNearestNeighbors(30).fit(X.astype(np.float32))
    np.testing.assert_array_equal(
        ids, expected.kneighbors(X[-4:].astype(np.float32), return_distance=False)
    )


def test_tune_reaches_the_recall_it_is_asked_for(gallery):
    X, _ = gallery
    searched = filled(X, index="IVF60,Flat")
    searched.search(X[:1])
    reached = searched.tune(0.99, n_queries=100)
    assert reached >= 0.99
    assert searched.recall_ == reached == searched.measure_recall(n_queries=100)
    assert searched.search_params_.startswith("nprobe=")
    assert filled(X).tune(0.99) == 1
    assert f"recall_={reached:.3f}" in repr(searched)
    hnsw = filled(X, index="hnsw")
    assert hnsw.tune(0.99) >= 0.99
    assert hnsw.search_params_ == "efSearch=16"
    with pytest.warns(UserWarning, match="recall .* was reached, less than 1.0; raise rerank"):
        filled(X, index="PQ1x4").tune(1.0, rerank=1)


def test_recall_is_that_of_the_search(gallery, monkeypatch):
    X, _ = gallery
    monkeypatch.setattr(_retrieval_index, "_CHUNK", 100)
    searched = filled(X, index="PQ2x4")
    recall = searched.measure_recall(5, n_queries=600, rerank=20)
    exact = FaissNearestNeighbors(5).fit(X).kneighbors(return_distance=False)
    _, found = searched.search(X, 6, rerank=20)
    hits = [
        len(set(f[f != row][:5]) & set(e))
        for row, (f, e) in enumerate(zip(found, exact, strict=True))
    ]
    assert recall == pytest.approx(np.mean(hits) / 5)
    assert recall < 1


# --- on disk ----------------------------------------------------------------------------


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
    assert isinstance(loaded._vectors.array(), np.memmap)
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


def _edit(folder, **changes):
    description = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**description, **changes}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "index.json").unlink(), "is not a saved retrieval index"),
        (lambda f: (f / "index.json").write_bytes(b"\x80\x04junk"), "is not a saved retrieval"),
        (lambda f: (f / "index.json").write_text("[]"), "is not a saved retrieval"),
        (lambda f: _edit(f, format="other"), "is not a saved retrieval"),
        (lambda f: _edit(f, version=9), "saved in version 9 of the format"),
        (lambda f: _truncate(f / "vectors.f32"), "vectors.f32 is missing or cut short"),
        (lambda f: _truncate(f / "coarse.npy"), "coarse.npy is missing, cut short or changed"),
        (lambda f: (f / "ids.npy").unlink(), "ids.npy is missing, cut short or changed"),
        (
            lambda f: np.save(f / "ids.npy", np.array([{}] * 600), allow_pickle=True),
            "ids.npy is missing, cut short or changed",
        ),
    ],
)
def test_spoiled_folders_are_refused(gallery, tmp_path, spoil, message):
    filled(gallery[0], index="ivf").save(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        RetrievalIndex.load(tmp_path)


def test_parquet_for_a_vector_database(gallery, tmp_path, monkeypatch):
    X, _ = gallery
    monkeypatch.setattr("metriclearn.neighbors._saved._ROW_GROUP", 100)
    searched = RetrievalIndex()
    searched.add(X, ids=np.arange(600) * 2, payload={"name": [f"n{i}" for i in range(600)]})
    searched.remove([0, 2])
    searched.to_parquet(tmp_path / "gallery.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "gallery.parquet")
    assert table.column_names == ["id", "vector", "name"]
    np.testing.assert_array_equal(table["id"].to_numpy(), np.arange(2, 600) * 2)
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), X[2:])
    assert table["name"].to_pylist()[0] == "n2"


# --- bad input: one clear error, and the index as it was ----------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i, X: i.search(X, 601), "k=601 must be from 1 to 600"),
        (lambda i, X: i.search(X, 0), "k=0 must be from 1"),
        (lambda i, X: i.search(X, 2.5), "k=2.5 must be from 1"),
        (lambda i, X: i.search(X, 5, rerank=0), "rerank=0 must be a whole number"),
        (lambda i, X: i.search(X, 5, rerank=9.5), "rerank=9.5 must be a whole number"),
        (lambda i, X: i.add(np.r_[X[:1], 0 * X[:1]]), "X: row 1 is all zeros"),
        (lambda i, X: i.search(np.r_[X[:1], 0 * X[:1]]), "X: row 1 is all zeros"),
        (lambda i, X: i.search(X[:, :4], 2), "X has 4 dimensions .* another learner"),
        (lambda i, X: i.add(X[:, :4]), "X has 4 dimensions .* the index holds vectors of 6"),
        (lambda i, X: i.add(X * np.nan), "X contains NaN"),
        (lambda i, X: i.search(X * np.nan), "X contains NaN"),
        (lambda i, X: i.add(X[:2], ids=[700, 700]), "ids: 700 is given twice"),
        (lambda i, X: i.add(X[:2], ids=[700, 5]), "ids: 5 is in the index already"),
        (lambda i, X: i.add(X[:2], ids=["a", "b"]), "all numbers or all strings"),
        (lambda i, X: i.add(X[:2], ids=[700]), r"ids must be of shape \(2,\)"),
        (lambda i, X: i.add(X[:2], ids=[0.5, 1.5]), "whole numbers or strings, got dtype float"),
        (lambda i, X: i.add(X[:2], payload={"a": [1, 2]}), r"payload has the columns \['a'\]"),
        (lambda i, X: i.remove([5, 1000]), "ids: 1000 is not in the index"),
        (lambda i, X: i.payload([1000]), "ids: 1000 is not in the index"),
        (lambda i, X: i.tune(2.0), "recall must be from 0 to 1"),
        (lambda i, X: i.measure_recall(600), "k=600 must be from 1 to 599"),
    ],
)
@pytest.mark.parametrize("index", ["flat", "ivf"])
@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_bad_calls_leave_the_index_as_it_was(gallery, call, message, index, on_disk, tmp_path):
    X, Q = gallery
    folder = tmp_path / "i" if on_disk else None
    searched = filled(X, index=index, metric="cosine", path=folder)
    before = searched.search(Q, 3)
    with pytest.raises(ValueError, match=message):
        call(searched, X)
    assert len(searched) == len(searched.ids) == 600
    if on_disk:
        assert (folder / "vectors.f32").stat().st_size == X.nbytes
    for got, expected in zip(searched.search(Q, 3), before, strict=True):
        np.testing.assert_array_equal(got, expected)


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


class Runs:
    """What no index may do when it is opened."""

    def __reduce__(self):
        return (os.mkdir, (self.folder,))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ("ids.npy", "ids.npy is not a plain array"),
        ("coarse.npy", "coarse.npy is not a plain array"),
    ],
)
def test_nothing_is_unpickled_though_checksums_agree(gallery, tmp_path, array, message):
    folder = tmp_path / "index"
    filled(gallery[0], index="ivf").save(folder)
    code = Runs()
    code.folder = str(tmp_path / "was run")
    np.save(folder / array, np.array([code], dtype=object), allow_pickle=True)
    saved = json.loads((folder / "index.json").read_text())
    sums = {**saved["sha256"], array: hashlib.sha256((folder / array).read_bytes()).hexdigest()}
    _edit(folder, sha256=sums)
    with pytest.raises(ValueError, match=message):
        RetrievalIndex.load(folder)
    assert not (tmp_path / "was run").exists()


@pytest.mark.parametrize("key", ["n", "d", "sha256", "columns", "metric", "index", "built"])
def test_descriptions_that_lack_something_are_refused(gallery, tmp_path, key):
    filled(gallery[0], index="ivf").save(tmp_path)
    saved = json.loads((tmp_path / "index.json").read_text())
    del saved[key]
    (tmp_path / "index.json").write_text(json.dumps(saved))
    with pytest.raises(ValueError, match="is not a saved retrieval index"):
        RetrievalIndex.load(tmp_path)


def test_files_of_different_indexes_are_refused(gallery, tmp_path):
    X, Q = gallery
    filled(X, index="ivf").save(tmp_path / "a")
    filled(np.r_[X, Q], index="ivf").save(tmp_path / "b")
    one, other = (json.loads((tmp_path / f / "index.json").read_text()) for f in "ab")
    for name in ("ids.npy", "coarse.npy"):
        (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
        _edit(tmp_path / "a", sha256={**one["sha256"], name: other["sha256"][name]})
        with pytest.raises(ValueError, match="has files of different indexes"):
            RetrievalIndex.load(tmp_path / "a")
        filled(X, index="ivf").save(tmp_path / "a")


def test_codes_that_are_not_faiss_are_refused(gallery, tmp_path):
    filled(gallery[0], index="ivf").save(tmp_path)
    np.save(tmp_path / "coarse.npy", np.zeros(50, np.uint8))
    saved = json.loads((tmp_path / "index.json").read_text())
    name = "coarse.npy"
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    _edit(tmp_path, sha256={**saved["sha256"], name: digest})
    with pytest.raises(ValueError, match="is not a saved retrieval index"):
        RetrievalIndex.load(tmp_path)


def test_vectors_of_another_index_are_not_overwritten(gallery, tmp_path):
    filled(gallery[0], path=tmp_path).save(tmp_path)
    with pytest.raises(ValueError, match=r"holds vectors of another index; open it with"):
        RetrievalIndex(path=tmp_path).add(gallery[1])
    assert len(RetrievalIndex.load(tmp_path)) == 600


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda X: RetrievalIndex(metric="manhattan"), ValueError, "metric must be one of"),
        (lambda X: RetrievalIndex("LMNN"), TypeError, "learner must have transform"),
        (lambda X: RetrievalIndex(metric="cosine").add(X * 0), ValueError, "X: row 0 is all zeros"),
        (lambda X: RetrievalIndex().search(X), ValueError, "k=10 must be from 1 to 0"),
        (lambda X: RetrievalIndex().save("nowhere"), ValueError, "the index is empty"),
        (lambda X: RetrievalIndex().to_parquet("nowhere"), ValueError, "the index is empty"),
        (lambda X: RetrievalIndex().add(X, payload={"a": [1]}), ValueError, "must hold 600"),
        (lambda X: RetrievalIndex().add(X, payload=X), ValueError, "columns by name.* got ndarray"),
        (lambda X: filled(X, index="IVF9999,Flat").search(X), ValueError, "cannot be trained on"),
        (lambda X: filled(X, index="flta").search(X), ValueError, "index='flta' is not one of"),
    ],
)
def test_bad_arguments_are_one_clear_error(gallery, call, error, message):
    with pytest.raises(error, match=message):
        call(gallery[0])
