"""Columns of a table: how numbers, times, yes and no and gaps are written."""

import numpy as np
import pandas as pd
import pytest
from helpers.spellings import MISSING, NUMBERS, TIMES

from metriclearn._text import _ANSWERS, truth_of
from metriclearn.compare._sources._rows import as_source
from metriclearn.compare._tables._cleaning import TableReader
from metriclearn.compare._tables._columns import ColumnNote, read_as, read_columns


def test_points_and_commas_in_one_column_are_both_decimal():
    typed = read_columns(pd.DataFrame({"a": ["1,5", "2.5", "3"]}))
    np.testing.assert_array_equal(typed.frame["a"], [1.5, 2.5, 3])
    assert typed.notes[0].text == "decimal commas and points"


@pytest.mark.parametrize("spelling", NUMBERS)
def test_numbers_as_people_write_them(spelling):
    typed = read_columns(pd.DataFrame({"a": NUMBERS[spelling], "b": NUMBERS["plain"]}))
    np.testing.assert_allclose(typed.frame["a"], [1234.5, -7, 0.25, 12], rtol=1e-15)
    assert typed.notes[0].kind == "number"
    assert typed.findings == ()


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["40°30'N", "0° 15' S", "12°00'36\"E", "7°06′W"], [40.5, -0.25, 12.01, -7.1]),
        (["3 5/8", "1/2", "-1 1/4", "7"], [3.625, 0.5, -1.25, 7]),
        (["1h 2m 3s", "5m", "2m30s", "40 s"], [3723, 300, 150, 40]),
    ],
    ids=["degrees", "fractions", "spans of time"],
)
def test_numbers_of_several_parts(cells, values):
    typed = read_columns(pd.DataFrame({"a": cells * 3}))
    np.testing.assert_allclose(typed.frame["a"], values * 3)
    note = typed.notes[0]
    assert note.kind == "number"
    for cell, value in zip(cells, values, strict=True):  # a lone row is read as the column was
        assert read_as(pd.Series([cell]), note.kind, note.text) == pytest.approx([value])


def test_letters_before_numbers_are_ids_where_they_are_no_currency():
    numbers = np.random.RandomState(0).permutation(90000)[:60]
    frame = pd.DataFrame({"a": [f"ORD{i}" for i in numbers], "b": [f"USD{i}" for i in numbers]})
    assert [note.kind for note in read_columns(frame).notes] == ["category", "number"]


@pytest.mark.parametrize(
    ("decimal", "cells", "values"),
    [(",", ["1.234", "5.678"], [1234, 5678]), (".", ["1.234", "5.678"], [1.234, 5.678]),
     (",", ["1,234", "5,678"], [1.234, 5.678]), (".", ["1,234", "5,678"], [1234, 5678])],
)  # fmt: skip
def test_an_ambiguous_mark_is_what_it_is_in_the_other_columns(decimal, cells, values):
    other = [text.replace(".", decimal) for text in ("1.5", "2.25")]
    typed = read_columns(pd.DataFrame({"a": cells, "b": other}))
    np.testing.assert_allclose(typed.frame["a"], values)


@pytest.mark.parametrize("sign", MISSING)
def test_signs_of_what_is_missing(sign):
    cells = [sign if i % 4 == 0 else str(i / 2) for i in range(20)]
    typed = read_columns(pd.DataFrame({"a": cells}))
    values = typed.frame["a"].to_numpy()
    assert list(np.flatnonzero(np.isnan(values))) == [0, 4, 8, 12, 16]
    assert "5 missing" in typed.notes[0].text
    assert sign.strip() in typed.notes[0].text


def test_stray_text_among_numbers_is_named():
    cells = ["?", "abc", *map(str, range(40))]
    typed = read_columns(pd.DataFrame({"a": cells}))
    assert list(np.flatnonzero(np.isnan(typed.frame["a"]))) == [0, 1]
    (finding,) = typed.findings
    assert (finding.kind, finding.columns, finding.rows) == ("unreadable", ("a",), (1,))
    assert "'abc'" in finding.text


PAIRS = sorted({(no, yes) for nos, yeses in _ANSWERS for no in nos for yes in yeses})


@pytest.mark.parametrize(("no", "yes"), PAIRS, ids="/".join)
def test_truth_values_in_disguise(no, yes):
    cells = [yes.upper(), no.title(), f" {yes} ", "?"] * 3
    typed = read_columns(pd.DataFrame({"a": cells}))
    np.testing.assert_array_equal(typed.frame["a"], [1, 0, 1, np.nan] * 3)
    assert typed.notes[0].kind == "boolean"
    assert truth_of(yes) is not False
    assert truth_of(no) is not True


def test_digits_beside_yes_and_no_are_the_same_said_twice():
    typed = read_columns(pd.DataFrame({"a": ["yes", "0", "No", "1"] * 3, "b": ["T", "N"] * 6}))
    np.testing.assert_array_equal(typed.frame["a"], [1, 0, 0, 1] * 3)
    assert [note.kind for note in typed.notes] == ["boolean", "category"]


@pytest.mark.parametrize("spelling", TIMES)
def test_times_as_people_write_them(spelling):
    times = pd.to_datetime(["2020-03-25", "2020-12-31", "2021-01-05"] * 3)
    cells = pd.Series(times.strftime(TIMES[spelling]))
    cells[9] = ""
    typed = read_columns(pd.DataFrame({"a": cells}))
    assert typed.notes[0].kind == "time"
    assert list(typed.frame["a"][:9]) == list(times)
    assert typed.frame["a"].isna()[9]


@pytest.mark.parametrize(
    "cells",
    [["C85", "B12", "C85"] * 3, ["1-2", "3-4", "1-2"] * 3, ["10.0.0.1", "10.0.0.2", "1.2.3.4"] * 3,
     ["00420", "00137", "90210"] * 3, ["5 kg", "7 g", "5 lb"] * 3, ["555-1234", "555-9876"] * 3,
     ["1/2", "3/4"] * 3, ["a", "b", None] * 3],
)  # fmt: skip
def test_codes_are_no_numbers_and_no_times(cells):
    typed = read_columns(pd.DataFrame({"a": cells}))
    assert typed.notes[0].kind == "category"
    assert set(typed.frame["a"].dropna()) == {cell for cell in cells if cell}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pd.array([1, None, 3] * 3, dtype="Int64"), "number"),
        (pd.array([True, None, False] * 3, dtype="boolean"), "boolean"),
        (pd.Categorical([1, 2, None] * 3), "number"),
        (pd.Categorical(["x", "y", None] * 3), "category"),
        (pd.array(["x", None, "y"] * 3, dtype="string"), "category"),
        (np.array(["1.5", None, 2] * 3, dtype=object), "number"),
        (np.array([b"x", b"y", b"z"] * 3), "category"),
        (pd.to_timedelta([1, 2, 3] * 3, unit="h"), "number"),
        (pd.period_range("2020", periods=9, freq="M"), "time"),
        (pd.date_range("2020", periods=9, tz="Europe/Berlin"), "time"),
        (np.array([np.inf, 1, 2] * 3), "number"),
        (pd.array([1.5, None, 2] * 3, dtype="float64[pyarrow]"), "number"),
    ],
    ids=repr,
)
def test_types_of_pandas(values, kind):
    typed = read_columns(pd.DataFrame({"a": pd.Series(values)}))
    assert typed.notes[0].kind == kind
    assert typed.frame["a"].dtype.kind in "fMO" or typed.frame["a"].dtype == "str"


def test_all_columns_that_cannot_be_read_are_named_at_once():
    frame = pd.DataFrame({"a": [[1], [2]], "b": [1, 2], "c": [1j, 2], "d": [{1: 2}, {}]})
    with pytest.raises(ValueError, match=r"3 columns cannot be read: 'a' holds .*; 'c' .*; 'd' "):
        read_columns(frame)


def test_numbers_that_may_stand_for_no_value_are_said():
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {"a": rng.randn(60), "b": rng.randint(0, 9, 60), "age": rng.randint(1, 99, 60)}
    )
    frame.loc[:4, "a"], frame.loc[3:9, "b"], frame.loc[:3, "age"] = -999, 99, 99
    typed = read_columns(frame)
    assert [(f.kind, f.columns, f.rows[0]) for f in typed.findings] == [
        ("unreadable", ("a",), 0), ("unreadable", ("b",), 3),
    ]  # fmt: skip
    assert "holds -999 in 5 rows" in typed.findings[0].text
    np.testing.assert_array_equal(typed.frame["a"], frame["a"])


@pytest.mark.parametrize(
    ("cells", "units"),
    [
        ([f"{i}.5 kg" if i % 2 else f"{i}00 g" for i in range(30)], "'g' and 'kg'"),
        ([f"{i} days" if i % 3 else f"{i} h" for i in range(30)], "'days' and 'h'"),
        ([f"{i}{'AB'[i % 2]}" for i in range(30)], None),
    ],
)
def test_numbers_with_several_units_are_said(cells, units):
    typed = read_columns(pd.DataFrame({"a": cells}))
    assert typed.notes[0].kind == "category"
    assert [units in f.text for f in typed.findings] == ([True] if units else [])


@pytest.mark.parametrize(
    "form",
    [
        "{0:.0f}/{1:.0f}",
        "({0:.3f}, {1:.3f})",
        "[{0:.2f}, {1:.2f}]",
        "{0:.0f} x {1:.0f}",
    ],
)
def test_several_numbers_in_a_cell_are_said_to_be_so(form):
    rng = np.random.RandomState(0)
    cells = [form.format(*row) for row in rng.uniform(1000, 99999, (60, 2))]
    source = as_source(pd.DataFrame({"a": rng.randn(60), "p": cells}), np.repeat([0, 1], 30))
    (finding,) = source.findings
    assert (finding.kind, finding.columns) == ("unreadable", ("p",))
    assert "several numbers in each cell" in finding.text
    assert source.feature_names == ["a"]
    many = {f"p{i}": cells for i in range(5)}
    source = as_source(pd.DataFrame({"a": rng.randn(60), **many}), np.repeat([0, 1], 30))
    assert [finding.columns for finding in source.findings] == [tuple(many)]


def test_bounds_are_their_numbers():
    typed = read_columns(pd.DataFrame({"a": ["<5", "7", "> 20", "≤3.5"] * 3}))
    np.testing.assert_array_equal(typed.frame["a"], [5, 7, 20, 3.5] * 3)
    assert "dropped before numbers" in typed.notes[0].text


_DAYS = pd.to_datetime("2020-01-01") + pd.to_timedelta(np.arange(40) * 17 % 365, unit="D")
_MIXED = [d.strftime("%d/%m/%Y" if i % 2 else "%Y-%m-%d") for i, d in enumerate(_DAYS)]
#: Columns whose single cells do not say what they are.
OPEN = {
    "yes": ["Yes", "No"] * 20,
    "ja": ["ja", "nein", "", "ja"] * 10,
    "digits beside yes": ["1", "yes", "0", "no"] * 10,
    "bits": [True, False] * 20,
    "decimal commas": [f"{i},{i % 10}25" for i in range(40)],
    "thousands": [f"{i},{100 + i}" if i % 2 else f"{i}.5" for i in range(1, 41)],
    "percent": [f"{i / 7:.1f}%" for i in range(40)],
    "stray": ["bad" if i == 3 else str(i) for i in range(40)],
    "bounds": [f"<{i}" if i % 3 else str(i) for i in range(40)],
    "day first": _DAYS.strftime("%d/%m/%Y"),
    "month first": _DAYS.strftime("%m/%d/%Y"),
    "day first beside ISO": _MIXED,
    "dots": _DAYS.strftime("%d.%m.%y"),
    "ISO": _DAYS.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "in one number": _DAYS.strftime("%Y%m%d").astype(int),
    "months in one": _DAYS.strftime("%Y%m"),
    "times": _DAYS,
    "clock": [f"{i % 24}:{i:02d}" for i in range(40)],
    "words": ["red", "green", "7", "blue"] * 10,
    "codes": [f"{i:03d}" for i in range(0, 80, 2)],
}


@pytest.mark.parametrize("name", OPEN)
def test_rows_alone_are_read_as_among_many(name):
    frame = pd.DataFrame({"a": np.arange(40) % 7 / 4, "p": OPEN[name]})
    reader = TableReader(columns=["a", "p"]).fit(frame)
    together = reader.transform(frame)
    assert len(np.unique(together[:, 1:], axis=0)) > 1
    for i in (0, 1, 2, 3, 5, 7):
        np.testing.assert_array_equal(reader.transform(frame.iloc[[i]]), together[[i]])


@pytest.mark.filterwarnings("ignore:cells that cannot be read")  # typed strays are gaps
@pytest.mark.parametrize("name", OPEN)
def test_rows_are_read_as_those_that_were_typed_before_the_fit(name):
    """As the rows of a file are, whose cells the winner never sees."""
    frame = pd.DataFrame({"a": np.arange(40) % 7 / 4, "p": OPEN[name]})
    together = TableReader(columns=["a", "p"]).fit(frame).transform(frame)
    typed = read_columns(frame)
    notes = {note.column: (note.kind, note.text) for note in typed.notes}
    reader = TableReader(columns=["a", "p"], notes=notes).fit(typed.frame)
    np.testing.assert_array_equal(reader.transform(frame), together)
    for i in (0, 1, 2, 3, 5, 7):
        np.testing.assert_array_equal(reader.transform(frame.iloc[[i]]), together[[i]])


def test_a_cell_that_cannot_be_read_is_named_where_no_gaps_were_learned():
    reader = TableReader(columns=["a"]).fit(pd.DataFrame({"a": ["1.5", "2", "4"]}))
    with pytest.raises(ValueError, match=r"'a' holds 'heavy' in row 1 \(from 0\) and 1 more; mend"):
        reader.transform(pd.DataFrame({"a": ["3", "heavy", ""]}))


GAPPY = pd.DataFrame(
    {
        "weight": ["1.5", "?", "4", "2.5", "3", "4", "7", "5", "oops", *["1", "2"] * 20],
        "day": [*pd.date_range("2023-01-01", periods=8).astype(str), "", *["2023-02-03"] * 40],
        "color": [*"rgbrgbrgb", *"rg" * 20],
    }
)


@pytest.mark.parametrize(
    ("column", "cell"),
    [("weight", "heavy"), ("weight", "1.5 or 2"), ("day", "soon"), ("day", "31.31.2023")],
)
def test_new_cells_that_cannot_be_read_are_named_where_gaps_were_learned(column, cell):
    reader = TableReader(columns=list(GAPPY)).fit(GAPPY)
    new = GAPPY.iloc[:4].copy()
    as_gap = new.copy()
    new.loc[2, column], as_gap.loc[2, column] = cell, ""
    with pytest.warns(UserWarning, match=f"count as gaps: '{column}' holds '{cell}' in row 2 "):
        read = reader.transform(new)
    np.testing.assert_array_equal(read, reader.transform(as_gap))


def test_gaps_of_the_rows_that_were_learned_from_are_not_warned_of():
    reader = TableReader(columns=list(GAPPY)).fit(GAPPY)
    together = reader.transform(GAPPY)
    np.testing.assert_array_equal(reader.transform(GAPPY.iloc[[8]]), together[[8]])


def test_an_array_of_numbers_is_no_table_with_words():
    reader = TableReader(columns=list(GAPPY)).fit(GAPPY)
    with pytest.raises(ValueError, match=r"array of numbers, .* column 'day' holds times"):
        reader.transform(np.ones((2, 3)))


def test_days_come_first_in_all_rows_or_in_none():
    typed = read_columns(pd.DataFrame({"a": _MIXED}))
    np.testing.assert_array_equal(typed.frame["a"], _DAYS.to_numpy())
    assert typed.notes[0].text == "several formats, day first"


@pytest.mark.parametrize("unit", ["seconds", "milliseconds", "nanoseconds"])
def test_numbers_of_a_clock_are_times_where_the_column_says_so(unit):
    days = pd.date_range("2021-03-01", periods=40, freq="7h")
    ticks = days.astype("datetime64[ns]").astype(np.int64)
    ticks //= {"seconds": 10**9, "milliseconds": 10**6, "nanoseconds": 1}[unit]
    frame = pd.DataFrame({"created_at": ticks, "phone": ticks})
    typed = read_columns(frame)
    assert typed.notes[0] == ColumnNote("created_at", "time", f"{unit} since 1970")
    assert typed.notes[1].kind == "number"
    gap = np.abs(typed.frame["created_at"] - days)
    assert gap.max() < pd.Timedelta("1ms")  # nanoseconds are not whole in floats
    alone = read_as(frame["created_at"].iloc[:1], "time", typed.notes[0].text)
    assert alone[0] == typed.frame["created_at"].iloc[0]


@pytest.mark.parametrize("form", ["%d-%b-%Y %I:%M %p", "%B %Y", "%A, %d %B %Y"])
def test_times_of_one_format_are_not_said_to_be_of_several(form):
    days = pd.date_range("2021-03-01 10:00", periods=40, freq="31D")
    typed = read_columns(pd.DataFrame({"a": days.strftime(form)}))
    assert typed.notes[0].kind == "time"
    assert typed.notes[0].text == f"format {form}"
    alone = read_as(pd.Series(days.strftime(form)[:1]), "time", typed.notes[0].text)
    assert alone[0] == typed.frame["a"].iloc[0]


@pytest.mark.parametrize("names", [["p", "p", "q"], [1, "1", "q"]])
def test_no_column_is_lost_for_its_name(names):
    frame = pd.DataFrame(np.eye(3), columns=pd.Index(names, dtype=object))
    with pytest.raises(ValueError, match=r"several columns are called '[p1]'; give each"):
        read_columns(frame)
