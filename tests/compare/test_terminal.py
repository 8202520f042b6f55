"""Tables on the terminal: no number and no name is cut, however narrow it is."""

import re
from dataclasses import replace

import pytest
from helpers.comparisons import made_up

from metriclearn._text import console_width
from metriclearn.compare import RankedComparison, _terminal
from metriclearn.compare._records import LEFT

PLACES = tuple(2**i for i in range(1, 13))
NAMES = ("a", "deep one of a long name, with settings", "c")


@pytest.fixture
def result():
    scores = {name: [0.9 + 0.01 * i, 0.92, 0.91] for i, name in enumerate(NAMES)}
    made = made_up(scores)
    points = tuple(
        replace(record, axis="rows", place=place, scores={"accuracy": place / 5000})
        for record in made.records
        for place in PLACES
    )
    axes = {"rows": tuple(map(float, PLACES))}
    return replace(made, curve_records=points, run=replace(made.run, axes=axes))


def _printed(show, shown, width, capsys, monkeypatch):
    monkeypatch.setattr(_terminal, "NARROWEST", width)
    monkeypatch.setenv("COLUMNS", str(width))
    show(shown)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    return lines


@pytest.mark.parametrize(("said", "width"), [("", 80), ("wide", 80), ("60", 80), ("160", 160)])
def test_a_pipe_is_as_wide_as_columns_says_where_it_is_a_number(said, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", said)
    assert console_width(80) == width


@pytest.mark.parametrize("width", [80, 60])
def test_curves_are_told_in_parts_that_fit(result, width, capsys, monkeypatch):
    text = "\n".join(_printed(_terminal.show, result, width, capsys, monkeypatch))
    assert "…" not in text
    headers = re.findall(r"^ Learner +((?:\d+ *)+)$", text, re.M)
    assert len(headers) > 1
    assert [int(place) for header in headers for place in header.split()] == list(PLACES)
    for place in PLACES:
        assert f" {place / 50:.1f}" in text


@pytest.mark.parametrize("width", [80, 60])
def test_ranks_over_many_data_sets_are_told_in_parts(result, width, capsys, monkeypatch):
    names = ["digits", "wine", "a data set of a name without an end", "iris", "letter", "omniglot"]
    plain = replace(result, curve_records=(), run=replace(result.run, axes={}))
    ranked = RankedComparison(
        tuple(replace(plain, data=replace(plain.data, name=name)) for name in names)
    )
    lines = _printed(_terminal.show_ranks, ranked, width, capsys, monkeypatch)
    tables = lines[next(i for i, line in enumerate(lines) if line.startswith("Mean ranks")) :]
    cut = [line for line in tables if "…" in line.replace("a data set of a n…", "")]
    assert cut == []
    text = "\n".join(tables)
    for name in ("digits", "wine", "a data set of a n…", "iris", "letter", "omniglot"):
        assert name in text
    # The best is named before the columns of each part.
    n_parts = len(re.findall("^ Learner ", text, re.M))
    assert n_parts > 1
    assert len(re.findall("^ c  ", text, re.M)) == n_parts


def test_who_left_the_field_has_not_failed(result, capsys, monkeypatch):
    plain = replace(result, curve_records=(), run=replace(result.run, axes={}))
    errors = {"a": f"{LEFT}: 60.0% on validation data after 1000 rows", "c": "ValueError: no"}
    records = tuple(
        replace(record, scores={}, error=errors[record.learner])
        if record.learner in errors
        else record
        for record in plain.records
    )
    lines = _printed(_terminal.show, replace(plain, records=records), 80, capsys, monkeypatch)
    assert [line for line in lines if re.match(r" a +left ", line)]
    assert [line for line in lines if re.match(r" c +failed ", line)]
