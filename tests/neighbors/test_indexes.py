"""Approximate indexes: what they find is ranked exactly, and they find nearly all."""

import pickle
import sys

import numpy as np
import pytest
from helpers.optional import faiss

from metriclearn.neighbors import (
    FaissKNeighborsClassifier,
    FaissKNeighborsTransformer,
    FaissNearestNeighbors,
)
from metriclearn.neighbors._faiss import factory_string, matrix_products, resolve_index

INDEXES = ["hnsw", "ivf", "ivfpq", "Flat", "SQ8", "IVF16,Flat"]
METRICS = ["euclidean", "cosine", "inner_product"]


@pytest.fixture
def clustered(rng):
    centers = rng.randn(30, 7)  # an odd width, which product quantization has to pad
    X, Q = (centers[rng.randint(30, size=n)] + 0.3 * rng.randn(n, 7) for n in (800, 50))
    return X + 100, Q + 100


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("index", INDEXES)
def test_nearly_all_neighbors_at_exact_distances(clustered, metric, index, capfd):
    X, Q = clustered
    exact = FaissNearestNeighbors(metric=metric).fit(X)
    approximate = FaissNearestNeighbors(metric=metric, index=index).fit(X)
    for queries in (Q, None):
        distances, indices = exact.kneighbors(queries)
        near, found = approximate.kneighbors(queries)
        recall = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(indices, found, strict=True)])
        assert recall >= 0.95
        same = indices == found
        np.testing.assert_array_equal(near[same], distances[same])
        assert np.all(np.diff(near, axis=1) >= 0)
    assert not np.any(found == np.arange(len(X))[:, None])
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("index", INDEXES)
def test_pickle_answers_alike(clustered, index):
    X, Q = clustered
    model = FaissKNeighborsTransformer(index=index).fit(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(Q).toarray(), model.transform(Q).toarray())


def test_a_query_that_the_index_leaves_short_is_answered_exactly(rng):
    X = np.r_[rng.randn(195, 2), 50 + rng.randn(5, 2)]
    model = FaissNearestNeighbors(20, index="IVF8,Flat", search_params="nprobe=1").fit(X)
    exact = FaissNearestNeighbors(20).fit(X)
    np.testing.assert_array_equal(
        model.kneighbors(X[-5:], return_distance=False),
        exact.kneighbors(X[-5:], return_distance=False),
    )
    np.testing.assert_array_equal(
        model.kneighbors(None, return_distance=False)[-5:],
        exact.kneighbors(None, return_distance=False)[-5:],
    )
    radius = model.radius_neighbors(X[:3], 0.5, return_distance=False)
    for got, expected in zip(
        radius, exact.radius_neighbors(X[:3], 0.5, return_distance=False), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_more_effort_finds_more(clustered):
    X, Q = clustered
    exact = FaissNearestNeighbors().fit(X).kneighbors(Q, return_distance=False)
    low, high = (
        np.mean(
            FaissNearestNeighbors(index="IVF40,Flat", search_params=f"nprobe={n}")
            .fit(X)
            .kneighbors(Q, return_distance=False)
            == exact
        )
        for n in (1, 40)
    )
    assert low < high == 1


def test_auto_is_exact_where_that_is_quick(monkeypatch):
    assert resolve_index("auto", 1_000_000) == "flat"
    assert resolve_index("hnsw", 10) == "hnsw"
    for installed, choice in ((True, "ivf"), (None, "flat")):
        monkeypatch.setattr(
            "metriclearn.neighbors._faiss.find_spec", lambda name, found=installed: found
        )
        assert resolve_index("auto", 1_000_001) == choice


def test_factory_strings_are_sized_for_the_data():
    assert factory_string("ivf", 1_000_000, 64) == "IVF4000,Flat"
    assert factory_string("ivf", 100, 64) == "IVF2,Flat"
    assert factory_string("ivfpq", 10_000, 128) == "IVF256,PQ64x4fs"
    assert factory_string("ivfpq", 10_000, 3) == "Pad4,IVF256,PQ2x4fs"
    assert factory_string("PCA8,Flat", 10, 16) == "PCA8,Flat"


def test_threshold_of_faiss_is_put_back():
    before = faiss.cvar.distance_compute_blas_threshold
    with matrix_products(faiss, 10):
        assert faiss.cvar.distance_compute_blas_threshold == 80
    assert faiss.cvar.distance_compute_blas_threshold == before
    with pytest.raises(KeyError), matrix_products(faiss, 10):
        raise KeyError
    assert faiss.cvar.distance_compute_blas_threshold == before


@pytest.mark.parametrize(
    ("index", "search_params", "message"),
    [
        ("flta", None, "index='flta' is not one of auto, flat, hnsw, ivf, ivfpq, nor a faiss"),
        ("PQ3", None, "that fits 7 features"),
        ("IVF5000,Flat", None, "index='IVF5000,Flat' cannot be trained on 800 rows"),
        ("flat", "nprobe=1", "index='flat' is exact and has none"),
        ("hnsw", "nprobe=1", "search_params='nprobe=1' does not fit the index"),
    ],
)
def test_bad_indexes_are_one_clear_error(clustered, index, search_params, message):
    X, _ = clustered
    model = FaissKNeighborsClassifier(index=index, search_params=search_params)
    with pytest.raises(ValueError, match=message):
        model.fit(X, np.arange(800) % 3)


def test_a_missing_faiss_names_what_to_install(clustered, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"pip install 'metriclearn\[faiss\]'"):
        FaissNearestNeighbors(index="hnsw").fit(clustered[0])
