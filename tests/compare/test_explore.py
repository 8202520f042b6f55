"""Rows of the data in the report: which are kept, what they find, where two metrics disagree."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.comparisons import CLEAR, made_up, read_page

from metriclearn.compare import compare
from metriclearn.compare._records import Found, Map
from metriclearn.compare._report._explore import Explorer
from metriclearn.compare._report._photos import pictured
from metriclearn.compare._samples import Samples, _values, sample_rows

ATTACK = '"></td><script>alert(7)</script>'


def _explored(path):
    text = read_page(path)
    block = re.search(r'<script type="application/json" id="explored">(.*?)</script>', text, re.S)
    return text, json.loads(block[1])


def test_what_rows_find_is_their_nearest_in_the_space(blobs):
    """Of Euclidean on rows as they are, the nearest are known."""
    X, y = blobs
    result = compare(X, y, learners=["euclidean"], n_folds=2)
    for record in result.records:
        if record.found is None:
            continue
        assert record.found.queries == record.map.rows
        test = np.array(record.map.rows)
        assert y[test].tolist() == list(record.map.labels)
        everything = np.arange(len(X))
        gallery = np.setdiff1d(everything, test) if record.protocol == "closed" else test
        for query, nearest, classes in zip(
            record.found.queries, record.found.nearest, record.found.classes, strict=True
        ):
            others = gallery[gallery != query]
            order = np.argsort(np.sum((X[others] - X[query]) ** 2, axis=1), kind="stable")
            assert others[order[:5]].tolist() == list(nearest)
            assert y[list(nearest)].tolist() == list(classes)


def test_values_are_shown_as_a_person_writes_them():
    """Every kind of gap is a dash; a day has no clock."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "amount": [1.5, np.nan],
            "whole": pd.array([3, None], dtype="Int64"),
            "day": pd.to_datetime(["2024-02-29", None]),
            "hour": pd.to_datetime(["2024-02-29 13:30", None]),
            "word": ["nan", None],
            "kind": pd.Categorical(["a", None]),
            "yes": pd.array([True, None], dtype="boolean"),
        }
    )
    columns, rows = _values(SimpleNamespace(X=frame, feature_names=None), [0, 1])
    assert columns == tuple(frame.columns)
    assert rows[0] == ("1.5", "3", "2024-02-29", "2024-02-29 13:30:00", "nan", "a", "True")
    assert rows[1] == ("–",) * 7
    _, rows = _values(SimpleNamespace(X=np.array([[np.nan, 2.0]]), feature_names=None), [0])
    assert rows == [("–", "2")]


def test_the_page_holds_values_of_rows_as_they_were_given(blobs, tmp_path):
    X, y = blobs
    compare(X, y, learners=["euclidean"], n_folds=2).to_html(tmp_path / "r.html")
    text, data = _explored(tmp_path / "r.html")
    assert "it shows rows of the data" in text
    closed = data["protocols"]["closed"]
    assert closed["labels"] == sorted(closed["labels"])
    for place in closed["rows"]:
        assert data["numbers"][str(place)] == place + 1
        assert data["values"][str(place)] == [f"{value:.4g}" for value in X[place]]
    # Points of the maps are drawn in this order.
    drawn = re.search(r'<svg class="map".*?</svg>', text, re.S)[0]
    assert len(re.findall(r"M[\d.-]+ [\d.-]+h0", drawn)) == len(closed["rows"])


def test_rows_can_be_left_out(blobs, tmp_path):
    result = compare(*blobs, learners=["euclidean"], n_folds=2)
    result.to_html(tmp_path / "r.html", rows=False)
    text, data = _explored(tmp_path / "r.html")
    assert data["values"] == {}
    assert "it shows rows of the data" not in text
    # Of a result from a file there are none, and the page is made all the same.
    result.to_json(tmp_path / "r.json")
    type(result).from_json(tmp_path / "r.json").to_html(tmp_path / "again.html")
    assert _explored(tmp_path / "again.html")[1]["protocols"] == data["protocols"]


def test_rows_without_a_label_do_not_shift_the_numbers(blobs):
    X, y = blobs
    y = y.astype(object)
    y[3] = None
    result = compare(X, y, learners=["euclidean"], n_folds=2)
    numbers = result.samples.numbers
    assert all(numbers[place] == place + 1 + (place >= 3) for place in numbers)
    assert max(numbers) == 78


def test_images_are_small_pictures_each_once(tmp_path):
    images = np.random.RandomState(0).rand(24, 9, 6)
    images[12:] += 1
    result = compare(images, np.repeat(["a", "b"], 12), learners=["euclidean"], n_folds=2)
    pixels = result.samples.pixels
    assert {(image.shape, image.dtype.name) for image in pixels.values()} == {((9, 6), "uint8")}
    result.to_html(tmp_path / "r.html")
    text, data = _explored(tmp_path / "r.html")
    assert data["pictures"] == sorted(pixels)
    for place in pixels:
        assert text.count(f".p{place}{{background-image") == 1


def test_large_images_are_made_small_and_rows_are_not_too_many(monkeypatch):
    from types import SimpleNamespace

    from metriclearn.compare import _samples

    monkeypatch.setattr(_samples, "MAX_ROWS", 5)
    X = np.random.RandomState(0).rand(9, 200 * 130 * 3)
    source = SimpleNamespace(X=X, image_shape=(200, 130, 3), rows=None, feature_names=None)
    drawn = Map(((0.0, 0.0),) * 4, (0,) * 4, (0, 1, 2, 3))
    found = Found((0, 1, 2, 3), ((8, 5), (8, 5), (8, 4), (8, 7)), ((0, 0),) * 4)
    record = replace(made_up({"a": CLEAR["a"]}).records[0], map=drawn, found=found)
    kept = sample_rows(source, (record,))
    assert sorted(kept.pixels) == [0, 1, 2, 3, 8]  # those of the map first, then the most found
    assert sorted(kept.numbers) == [0, 1, 2, 3, 4, 5, 7, 8]
    assert max(kept.pixels[0].shape[:2]) <= 64


def _disagreeing():
    result = made_up({"line": CLEAR["a"], "deep one": CLEAR["b"]})
    drawn = Map(((0.0, 0.0),) * 4, (0, 0, 1, 1), (10, 11, 12, 13))
    sides = {
        "line": ((0, 0), (0, 1), (0, 0), (1, 1)),  # right, right, wrong, right
        "deep one": ((0, 0), (1, 0), (1, 1), (0, 0)),  # right, wrong, right, wrong
    }
    records = tuple(
        replace(
            record,
            map=drawn,
            found=Found(
                drawn.rows, ((20, 21), (22, 23), (24, 25), (26, 27)), sides[record.learner]
            ),
        )
        for record in result.records
    )
    return replace(result, records=records)


def test_queries_that_one_gets_right_and_the_other_wrong_come_first_where_it_is_clearest():
    apart = Explorer(_disagreeing(), pictured, []).apart("closed")
    assert apart.names == ("line", "deep one")
    assert apart.counts == (1, 2, 1, 0)
    (only_line, first), (only_deep, second) = apart.groups
    assert (only_line, only_deep) == ("Only line is right", "Only deep one is right")
    # Query 13 has two right against none, query 11 one against one.
    assert [query.place for query, *_ in first] == [13, 11]
    assert [(one.right, other.right) for _, one, other in first] == [(True, False)] * 2
    assert [query.place for query, *_ in second] == [12]


def test_no_text_of_rows_reaches_the_page_unescaped(tmp_path):
    result = _disagreeing()
    places = [*range(10, 14), *range(20, 28)]
    samples = Samples(dict.fromkeys(places, 1), (ATTACK,), {place: (ATTACK,) for place in places})
    data = replace(result.data, class_names=(ATTACK, "</script><!--"))
    replace(result, samples=samples, data=data).to_html(tmp_path / "r.html")
    text, explored = _explored(tmp_path / "r.html")
    assert explored["columns"] == [ATTACK]
    assert explored["classes"] == [ATTACK, "</script><!--"]
    assert "<script>alert" not in text
    assert "<!--" not in text


def test_columns_that_weigh_most_are_shown(tmp_path):
    pandas = pytest.importorskip("pandas")
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(3), 20)
    X = rng.randn(60, 30)
    X[:, 25] += 8 * y
    frame = pandas.DataFrame(X, columns=[f"c{i}" for i in range(30)])
    result = compare(frame, y, learners=["lmnn"], n_folds=2)
    result.to_html(tmp_path / "r.html")
    columns = _explored(tmp_path / "r.html")[1]["columns"]
    assert columns[0] == "c25"
    assert len(columns) == 10
