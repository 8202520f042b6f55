"""A gallery that grows, shrinks, and comes back from disk; exact where it says so."""

import os
import sys

import numpy as np
import pytest
from helpers.optional import parquet

from metriclearn import Covariance
from metriclearn.neighbors import ExactSearch, FaissNearestNeighbors, RetrievalIndex
from metriclearn.neighbors._index import _gallery
from metriclearn.neighbors._index._ids import IdTable

INDEXES = ["auto", "flat", "hnsw", "ivf", "ivfpq", "SQ8"]
METRICS = ["euclidean", "cosine", "inner_product"]


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
    monkeypatch.setattr(_gallery, "_CANDIDATES", 1)
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
        vectors, gallery = searched._gallery.vectors, searched._gallery
        assert vectors.array().sum() != 0
        assert _resident(vectors.file) > 0
        for read in (searched.search, lambda *a: gallery.by_brute_force(Q.astype(float), 7)):
            assert vectors.array().sum() != 0
            read(Q, 7)
            assert _resident(vectors.file) == 0


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
    monkeypatch.setattr(_gallery, "CHUNK", 64)
    searched = RetrievalIndex(index="ivf")
    for stop in (100, 150, 600):  # filed, then built again
        searched.add(X[len(searched) : stop])
        _, ids = searched.search(Q, 5)
        expected = FaissNearestNeighbors(5).fit(X[:stop]).kneighbors(Q, return_distance=False)
        assert np.mean(ids == expected) > 0.95


def test_too_few_candidates_are_filled_up_exactly(rng):
    X = np.r_[rng.randn(200, 2), 50 + rng.randn(4, 2)]
    searched = RetrievalIndex(index="IVF8,Flat")
    searched.add(X)
    searched.search(X[:1])
    searched._gallery.coarse.set_effort("nprobe=1")
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
    monkeypatch.setattr(_gallery, "CHUNK", 100)
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


# --- ids and payload are what was given ---------------------------------------------------


def test_values_beyond_float32_are_refused(gallery, tmp_path):
    X = gallery[0].astype(float)
    for path in (None, tmp_path / "i"):
        index = RetrievalIndex(path=path)
        with pytest.raises(ValueError, match=r"X: row 3 has a value beyond 3\.4e\+38"):
            index.add(np.r_[X[:3], X[:1] * 1e39])
        assert len(index) == 0
        index.add(X)
        with pytest.raises(ValueError, match="X: row 0 has a value beyond"):
            index.add(X[:2] * 1e300)
        assert len(index) == 600


@pytest.mark.parametrize("offset", [1e4, 1e6, 1e8])
def test_a_common_offset_of_float64_rows_costs_no_neighbor(rng, tmp_path, offset):
    X, Q = rng.randn(800, 8) + offset, rng.randn(100, 8) + offset
    index = filled(X)
    index.save(tmp_path)
    for each in (index, RetrievalIndex.load(tmp_path)):
        distances, ids = each.search(Q, 5)
        expected = FaissNearestNeighbors(5).fit(X).kneighbors(Q)
        np.testing.assert_array_equal(ids, expected[1])
        np.testing.assert_allclose(distances, expected[0], rtol=1e-5)
        distances, ids = each.search(X, 1)
        np.testing.assert_array_equal(ids.ravel(), np.arange(800))
        assert distances.max() < 1e-5 + 1e-9 * offset
    index.to_parquet(tmp_path / "p")
    table = parquet.read_table(tmp_path / "p")
    # Kept about their mean, and added to it again.
    written = np.array(table["vector"].to_pylist(), dtype=np.float32)
    np.testing.assert_array_max_ulp(written, X.astype(np.float32), maxulp=1)


# --- conditions, thresholds, replacement ---------------------------------------------------


@pytest.mark.parametrize("index", ["flat", "ivf", "hnsw"])
@pytest.mark.parametrize("rerank", [10, 1000])
def test_where_searches_rows_that_meet_a_condition(gallery, index, rerank):
    X, Q = gallery
    kind, price = np.arange(600) % 3, np.arange(600) // 2
    searched = RetrievalIndex(index=index)
    names = np.array(["a", "b", "c"])[kind]
    searched.add(X, payload={"kind": names, "price": price})
    searched.remove(np.arange(0, 600, 7))
    left = np.arange(600) % 7 != 0
    for where, met in (
        ({"kind": "b"}, kind == 1),
        ({"kind": ["a", "c"]}, kind != 1),
        ({"kind": "a", "price": range_list(100)}, (kind == 0) & (price < 100)),
        (lambda payload: payload["price"] >= 295, price >= 295),
        ({"kind": "nothing"}, kind > 5),
    ):
        rows = np.flatnonzero(met & left)
        k = min(9, len(rows))
        distances, ids = searched.search(Q, 9, where=where, rerank=rerank)
        assert ids.shape == distances.shape == (40, k)
        if k:
            expected = FaissNearestNeighbors(k).fit(X[rows]).kneighbors(Q)
            np.testing.assert_array_equal(ids, rows[expected[1]])
            np.testing.assert_allclose(distances, expected[0], rtol=1e-6)
    searched.remove(where={"kind": ["a", "b"]})
    assert len(searched) == np.sum((kind == 2) & left)


def range_list(n):
    return list(range(n))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("ids", "nobody"),
    [
        (None, -1),
        ([f"n{i}" for i in range(600)], ""),
        (np.arange(600, dtype=np.uint64) + 2**63, 2**64 - 1),
    ],
    ids=["int", "text", "uint"],
)
def test_beyond_the_largest_distance_is_nobody(gallery, metric, ids, nobody):
    X, Q = gallery
    searched = RetrievalIndex(metric=metric)
    searched.add(X, ids=None if ids is None else np.asarray(ids))
    distances, found = searched.search(Q, 6)
    limit = float(np.median(distances))
    near, near_ids = searched.search(Q, 6, max_distance=limit)
    far = distances > limit
    assert far.any()
    assert not far.all()
    np.testing.assert_array_equal(near, np.where(far, np.inf, distances))
    assert near_ids[far].tolist() == [nobody] * far.sum()
    np.testing.assert_array_equal(near_ids[~far], found[~far])


@pytest.mark.parametrize("index", ["flat", "ivf", "hnsw"])
def test_more_neighbors_than_rows_are_all_rows(gallery, index):
    X, Q = gallery
    searched = filled(X[:5], index=index)
    distances, ids = searched.search(Q)
    assert distances.shape == ids.shape == (40, 5)
    assert np.all(np.sort(ids, axis=1) == np.arange(5))


@pytest.mark.parametrize("index", ["flat", "SQ8"])
@pytest.mark.parametrize("seed", range(3))
def test_growing_and_shrinking_finds_what_all_rows_at_once_would(index, seed):
    """To the last bit, for rows that come and go one by one and by the thousand."""
    rng = np.random.default_rng(seed)
    searched, rows = RetrievalIndex(index=index), np.empty((0, 5))
    names = np.empty(0, dtype=int)
    Q = rng.normal(size=(7, 5))
    for n in (2, 1500, 1, 3, 800, 1, 2500, 1, 1, 5):
        new = rng.normal(size=(n, 5)).astype(np.float32)
        fresh = np.arange(n) + (names.max(initial=-1) + 1)
        searched.add(new, ids=fresh)
        rows, names = np.r_[rows, new], np.r_[names, fresh]
        gone = rng.choice(len(names), size=len(names) // 5, replace=False)
        searched.remove(names[gone])
        rows, names = np.delete(rows, gone, axis=0), np.delete(names, gone)
        k = min(4, len(names))
        distances, ids = searched.search(Q, k, rerank=100_000)
        expected = FaissNearestNeighbors(k).fit(rows).kneighbors(Q)
        np.testing.assert_array_equal(ids, names[expected[1]])
        np.testing.assert_array_equal(distances, expected[0])


def test_one_more_row_builds_nothing_large_again(rng, monkeypatch):
    """The rows that searches are built of, over many additions of one row."""
    built = []

    class Counted(ExactSearch):
        def __init__(self, X, metric="euclidean"):
            built.append(len(X))
            super().__init__(X, metric)

    monkeypatch.setattr("metriclearn.neighbors._index._segments.ExactSearch", Counted)
    index = filled(rng.randn(5000, 4))
    index.search(np.zeros((1, 4)), 1)
    built.clear()
    for k in range(30):
        index.add(rng.randn(1, 4))
        index.remove([k])
        index.search(np.zeros((1, 4)), 1)
    assert max(built) <= 1024


def test_a_million_additions_sort_little(monkeypatch):
    """One more id among many is found without sorting the others."""
    sizes = []
    sort = np.argsort
    monkeypatch.setattr(np, "argsort", lambda a, **k: sizes.append(np.size(a)) or sort(a, **k))
    table = IdTable(np.random.default_rng(0).permutation(100_000))
    alive = np.ones(200_000, dtype=bool)
    for k in range(200):
        table.append(np.array([100_000 + (k * 7) % 200]))
        assert table.find(np.array([100_000 + (k * 7) % 200]), alive) == 100_000 + k
    assert sorted(sizes)[-2] <= 1000


# --- bad input: one clear error, and the index as it was ----------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i, X: i.search(X, 0), "k must be an integer of at least 1, got 0"),
        (lambda i, X: i.search(X, 2.5), "k must be an integer of at least 1, got 2.5"),
        (lambda i, X: i.search(X, True), "k must be an integer of at least 1, got True"),
        (lambda i, X: i.search(X, 2, max_distance="far"), "max_distance='far' must be a number"),
        (lambda i, X: i.search(X, 2, max_distance=np.nan), "max_distance=nan must be a number"),
        (lambda i, X: i.search(X, 2, where={"a": 1}), "where: there is no payload column 'a'"),
        (lambda i, X: i.search(X, 2, where=3), "where must be a dict"),
        (lambda i, X: i.search(X, 2, where=lambda p: [1]), "where must return 600 true or false"),
        (lambda i, X: i.remove(), "remove needs either ids or where"),
        (lambda i, X: i.upsert(X[:2], None), "ids is None; upsert needs to know"),
        (lambda i, X: i.upsert(X[:2], [5, 5]), "ids: 5 is given twice"),
        (lambda i, X: i.add(X[:2], ids=[5, None]), "whole numbers or strings, got None"),
        (lambda i, X: i.add(X[:2], ids=[5, "a"]), "ids must be all numbers or all strings"),
        (lambda i, X: i.add(X[:2], ids=[2**64, 5]), "must fit 64 bits|got dtype"),
        (lambda i, X: i.search(X, 5, rerank=0), "rerank=0 must be an integer"),
        (lambda i, X: i.search(X, 5, rerank=9.5), "rerank=9.5 must be an integer"),
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
        (lambda i, X: i.add(X[:2], ids=[0.5, 1.5]), "whole numbers or strings, got 0.5 of"),
        (lambda i, X: i.add(X[:2], payload={"a": [1, 2]}), r"payload has the columns \['a'\]"),
        (lambda i, X: i.remove([5, 1000]), "ids: 1000 is not in the index"),
        (lambda i, X: i.payload([1000]), "ids: 1000 is not in the index"),
        (lambda i, X: i.tune(2.0), "recall must be above 0 and at most 1"),
        (lambda i, X: i.tune("high"), "recall must be above 0 and at most 1"),
        (lambda i, X: i.tune(rerank=0), "rerank must be an integer of at least 1"),
        (lambda i, X: i.measure_recall(n_queries=0), "n_queries must be an integer of at least 1"),
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
        assert os.stat(searched._gallery.vectors.file).st_size == X.nbytes
    for got, expected in zip(searched.search(Q, 3), before, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda X: RetrievalIndex(metric="manhattan"), ValueError, "metric must be one of"),
        (lambda X: RetrievalIndex(index=X), TypeError, "index must be a string"),
        (lambda X: RetrievalIndex("LMNN"), TypeError, "learner must have transform"),
        (lambda X: RetrievalIndex(metric="cosine").add(X * 0), ValueError, "X: row 0 is all zeros"),
        (lambda X: RetrievalIndex().search(X), ValueError, "the index is empty"),
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
