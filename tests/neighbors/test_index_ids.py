"""Ids and payloads come back as they were given."""

import numpy as np
import pytest
from helpers.optional import pandas as pd

from metriclearn.neighbors import RetrievalIndex

IDS = {
    "uint64": lambda: np.array([2**63 + 5, 7], dtype=np.uint64),
    "large integers": lambda: [2**63 + 5, 7],
    "int64": lambda: np.array([-5, 2**62]),
    "uint8": lambda: np.array([3, 250], dtype=np.uint8),
    "list of text": lambda: ["a", "longer than the other"],
    "Series of objects": lambda: pd.Series(["a", "b"], dtype=object),
    "Series of text": lambda: pd.Series(["a", "b"], dtype="string"),
    "column": lambda: pd.DataFrame({"id": ["a", "b"]})["id"],
    "Series of Int64": lambda: pd.Series([4, 2], dtype="Int64"),
    "objects": lambda: np.array([4, 2], dtype=object),
}


@pytest.mark.parametrize("make", IDS.values(), ids=IDS.keys())
def test_ids_come_back_as_they_were_given(gallery, make, tmp_path):
    ids = make()
    X, _ = gallery
    index = RetrievalIndex()
    index.add(X[:2], ids=ids)
    index.save(tmp_path)
    for each in (index, RetrievalIndex.load(tmp_path)):
        assert each.ids.tolist() == list(ids)
        assert each.search(X[:2], 1)[1].ravel().tolist() == list(ids)
        each.payload(ids)
        each.remove(ids[1:2])
        assert each.ids.tolist() == list(ids)[:1]


def test_large_ids_join_small_ones_but_not_negative_ones(gallery):
    X, _ = gallery
    index = RetrievalIndex()
    index.add(X[:2])
    index.add(X[2:3], ids=[2**64 - 1])
    assert index.ids.tolist() == [0, 1, 2**64 - 1]
    with pytest.raises(ValueError, match="-4 is not in the index"):
        index.remove([-4])
    with pytest.raises(ValueError, match="do not fit one index; give them as strings"):
        index.add(X[3:4], ids=[-4])
    with pytest.raises(ValueError, match="no whole numbers beyond"):
        index.add(X[3:4])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("text", [False, True], ids=["numbers", "text"])
def test_ids_are_found_whatever_was_added_and_removed(seed, text):
    """As a dict of id to row does, through many additions, removals and replacements."""
    rng = np.random.default_rng(seed)
    index, expected = RetrievalIndex(), {}
    for _ in range(60):
        new = rng.choice(1000, size=rng.integers(1, 30), replace=False)
        new = new.astype(str) if text else new
        values = rng.random(len(new))
        known = [each for each in new.tolist() if each in expected]
        if known and rng.random() < 0.5:
            with pytest.raises(ValueError, match=f"{known[0]} is in the index already"):
                index.add(np.c_[values, values], new, {"v": values})
        index.upsert(np.c_[values, values], new, {"v": values})
        expected.update(zip(new.tolist(), values, strict=True))
        gone = rng.choice(list(expected), size=min(len(expected), 12), replace=False)
        index.remove(gone)
        for each in gone.tolist():
            del expected[each]
        assert sorted(index.ids.tolist()) == sorted(expected)
        found = index.payload(list(expected) if expected else np.zeros(0, gone.dtype))["v"]
        np.testing.assert_array_equal(found, list(expected.values()))


WITH_NONE = {
    "text": lambda: ["a", None],
    "none": lambda: [None, None],
    "integers": lambda: [1, None],
    "floats": lambda: [2.5, None],
    "truth values": lambda: [True, None],
    "Series": lambda: pd.Series(["a", None]),
    "Series of text": lambda: pd.Series(["a", pd.NA], dtype="string"),
    "Series of Int64": lambda: pd.Series([1, pd.NA], dtype="Int64"),
    "categories": lambda: pd.Categorical(["a", None]),
}


@pytest.mark.parametrize("make", WITH_NONE.values(), ids=WITH_NONE.keys())
def test_none_in_a_payload_comes_back_as_none(gallery, make, tmp_path):
    values = make()
    X, _ = gallery
    index = RetrievalIndex()
    index.add(X[:2], payload={"t": values})
    index.add(X[2:4], payload={"t": [values[0], "long text"] if values[0] == "a" else values})
    index.remove([2])
    index.save(tmp_path)
    index.to_parquet(tmp_path / "p")
    back = RetrievalIndex.from_parquet(tmp_path / "p")
    for each in (index, RetrievalIndex.load(tmp_path), back):
        assert each.payload([1])["t"].tolist() == [None]
        assert each.payload([0])["t"].tolist() == [values[0]]
        assert each.payload([[0], [1]])["t"].tolist() == [[values[0]], [None]]
    assert index.search(X, 2, where={"t": None})[1].max() <= 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, "a"], "must hold numbers or strings of one kind, got int and str"),
        ([{}, {}], "of one kind, got dict"),
        ([[1], [2, 3]], "column 't' must hold 2 numbers|of one kind, got list"),
        (np.zeros((2, 2)), "column 't' must hold 2 numbers or strings"),
        ([2**70, 1], "numbers that do not fit 64 bits"),
        (["a", "b"], "holds <U1, but the index has int64 there"),
    ],
)
def test_payload_of_other_kinds_is_refused(gallery, values, message):
    index = RetrievalIndex()
    index.add(gallery[0][:2], payload={"t": [1, 2]})
    with pytest.raises(ValueError, match=message):
        index.add(gallery[0][:2], payload={"t": values})
    assert len(index) == 2


@pytest.mark.parametrize(
    ("values", "wanted", "rows"),
    [
        (np.arange(6), range(2), [0, 1]),
        (np.arange(6), pd.Series([4, 5], index=[7, 8]), [4, 5]),
        (np.arange(6), {2: "a", 3: "b"}.keys(), [2, 3]),
        (np.arange(6), (k for k in (0, 5)), [0, 5]),
        (np.arange(6), np.int64(3), [3]),
        (np.r_[np.nan, np.arange(5.0)], np.nan, [0]),
        (np.r_[np.nan, np.arange(5.0)], [None, 4.0], [0, 5]),
        (pd.to_datetime([None, *["2024-01-05"] * 5]), pd.NaT, [0]),
        (pd.date_range("2024-01-01", periods=6), "2024-01-02", [1]),
        (pd.date_range("2024-01-01", periods=6), pd.Timestamp("2024-01-03"), [2]),
        (pd.date_range("2024-01-01", periods=6), [pd.Timestamp("2024-01-04").date()], [3]),
        (["a", None, "b", "c", "d", "e"], pd.NA, [1]),
        (["a", None, "b", "c", "d", "e"], "a", [0]),
        ([None] * 6, "a", []),
    ],
)
def test_where_takes_whatever_names_values(values, wanted, rows):
    index = RetrievalIndex()
    index.add(np.arange(12.0).reshape(6, 2), payload={"t": values})
    assert sorted(index.search(np.zeros((1, 2)), 6, where={"t": wanted})[1][0]) == rows


@pytest.mark.parametrize(
    ("values", "wanted"),
    [(np.arange(3), "1"), (["1", "2", "3"], 1), (pd.date_range("2024", periods=3), "now or then")],
)
def test_where_never_compares_numbers_with_text(values, wanted):
    index = RetrievalIndex()
    index.add(np.eye(3), payload={"t": values})
    with pytest.raises(ValueError, match=r"where: column 't' holds .* cannot be compared with"):
        index.search(np.eye(3), 1, where={"t": [wanted]})


def test_text_that_numpy_would_cut_is_refused():
    index = RetrievalIndex()
    with pytest.raises(ValueError, match=r"ids: .* ends in a NUL"):
        index.add(np.eye(2), ids=["a\0", "b"])
    with pytest.raises(ValueError, match=r"payload: column 't': .* ends in a NUL"):
        index.add(np.eye(2), payload={"t": ["a\0", "b"]})
