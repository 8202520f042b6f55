"""An index as a file of a table, and back."""

import numpy as np
import pytest
from helpers.optional import pandas as pd
from helpers.optional import parquet

from metriclearn.neighbors import RetrievalIndex


def test_parquet_for_a_vector_database(gallery, tmp_path, monkeypatch):
    X, _ = gallery
    monkeypatch.setattr("metriclearn.neighbors._index._parquet._ROW_GROUP", 100)
    searched = RetrievalIndex()
    searched.add(X, ids=np.arange(600) * 2, payload={"name": [f"n{i}" for i in range(600)]})
    searched.remove([0, 2])
    searched.to_parquet(tmp_path / "gallery.parquet")
    table = parquet.read_table(tmp_path / "gallery.parquet")
    assert table.column_names == ["id", "vector", "name"]
    np.testing.assert_array_equal(table["id"].to_numpy(), np.arange(2, 600) * 2)
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), X[2:])
    assert table["name"].to_pylist()[0] == "n2"


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_parquet_comes_back_with_its_metric(gallery, tmp_path, monkeypatch, metric, on_disk):
    X, Q = gallery
    monkeypatch.setattr("metriclearn.neighbors._index._parquet._ROW_GROUP", 100)
    searched = RetrievalIndex(metric=metric)
    searched.add(X, payload={"name": [f"n{i}" for i in range(600)]})
    searched.to_parquet(tmp_path / "p")
    back = RetrievalIndex.from_parquet(tmp_path / "p", path=tmp_path / "i" if on_disk else None)
    assert back.metric == metric
    for got, expected in zip(back.search(Q, 3), searched.search(Q, 3), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)
    assert RetrievalIndex.from_parquet(tmp_path / "p", metric="euclidean").metric == "euclidean"
    assert back.payload([5])["name"] == "n5"


def test_parquet_of_others_is_read_or_refused(gallery, tmp_path):
    X, _ = gallery
    rows = X[:20].tolist()
    frame = pd.DataFrame({"id": [f"i{i}" for i in range(20)], "vector": rows})
    frame.to_parquet(tmp_path / "p")
    index = RetrievalIndex.from_parquet(tmp_path / "p")
    np.testing.assert_array_equal(index.search(X[:20], 1)[1].ravel(), frame["id"])
    frame["vector"] = [row[: 5 - i % 2] for i, row in enumerate(rows)]
    frame.to_parquet(tmp_path / "q")
    with pytest.raises(ValueError, match="vectors are of different lengths"):
        RetrievalIndex.from_parquet(tmp_path / "q")
    frame["vector"] = [None, *rows[1:]]
    frame.to_parquet(tmp_path / "r")
    with pytest.raises(ValueError, match="'vector' must be a list of numbers in every row"):
        RetrievalIndex.from_parquet(tmp_path / "r")
    frame.drop(columns="vector").to_parquet(tmp_path / "s")
    with pytest.raises(ValueError, match="no columns 'id' and 'vector'"):
        RetrievalIndex.from_parquet(tmp_path / "s")
