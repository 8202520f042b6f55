"""What stands around a table is left out and said; what only looks like it stays."""

import numpy as np
import pandas as pd
import pytest
from helpers.spellings import iris_frame

from metriclearn.compare._sources._load import load_source

RNG = np.random.RandomState(0)
ROWS = [f"{a:.2f},{b:.2f}" for a, b in RNG.rand(60, 2)]


def read(tmp_path, lines, target="kind", **choices):
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_source(tmp_path / "t.csv", target, **choices)


def table(first, name="name", kinds="uv"):
    """Lines of a table whose first column is given."""
    rows = [
        f"{cell},{row},{kinds[i % 2]}"
        for i, (cell, row) in enumerate(zip(first, ROWS, strict=True))
    ]
    return [f"{name},a,b,kind", *rows]


@pytest.mark.parametrize(
    "first",
    [
        [*[f"Ann {i}" for i in range(59)], "Max"],
        [*["part", "total"] * 30],
        ["n" if i % 3 else "y" for i in range(60)],
        [*[f"lab {i % 7}" for i in range(59)], "media"],
    ],
    ids=["a person", "a category", "no", "a name"],
)
@pytest.mark.parametrize("gap", [False, True])
def test_words_that_sum_up_elsewhere_may_be_values(tmp_path, first, gap):
    lines = table(first)
    if gap:  # a value is missing here and there, but not in the last line
        lines[5::9] = [line.replace(line.split(",")[1], "", 1) for line in lines[5::9]]
    source = read(tmp_path, lines)
    assert len(source.X) == 60
    assert source.notes == ()


def test_a_last_row_of_gaps_or_of_errors_is_a_row(tmp_path):
    lines = table(range(60))
    for row in ("60,,,u", "60,ERR,ERR,u"):
        source = read(tmp_path, [*lines, row])
        assert len(source.X) == 61
        assert source.notes == ()


def test_a_first_row_of_whole_numbers_in_order_is_a_row(tmp_path):
    rows = [",".join(map(str, RNG.permutation(6) + 1)) for _ in range(40)]
    source = read(tmp_path, ["a,b,c,d,e,kind", "1,2,3,4,5,6", *rows])
    assert len(source.X) == 41


def test_two_large_tables_in_one_file_are_refused(tmp_path):
    lines = table(range(60))
    with pytest.raises(ValueError, match=r"line 63 names other columns \('age'"):
        read(tmp_path, [*lines, "", "age,height,weight,town", *lines[1:]])


@pytest.mark.parametrize(
    ("lines", "target", "message"),
    [
        (
            ["a,b,kind", *(f"1,{row},u" for row in ROWS)],
            "kind",
            r"line 1\) has 3 names for 4 columns",
        ),
        (["kind,a,b,kind", *(f"u,{row},v" for row in ROWS)], "kind", "2 columns are called 'kind'"),
        (
            ["kind,a,b", *(f"{'' if i % 20 else i},{row}" for i, row in enumerate(ROWS))],
            "kind",
            "3 labels, each once, and 57 rows have none; if a label stands for the rows below",
        ),
    ],
    ids=["a short header", "two targets", "labels of blocks"],
)
def test_what_cannot_be_told_is_refused(tmp_path, lines, target, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, lines, target)


def test_of_two_columns_of_one_name_the_other_can_be_dropped(tmp_path):
    lines = ["kind,a,b,kind", *(f"{'xy'[i % 2]},{row},z" for i, row in enumerate(ROWS))]
    assert set(read(tmp_path, lines, drop=["kind.1"]).y) == {"x", "y"}


def test_values_that_begin_blocks_are_said(tmp_path):
    lines = table("" if i % 10 else f"site {i}" for i in range(60))
    (finding,) = read(tmp_path, lines).findings
    assert (finding.kind, finding.columns) == ("unreadable", ("name",))
    assert "has a value in 6 of 60 rows, the first among them" in finding.text


@pytest.mark.parametrize("seed", range(20))
def test_values_here_and_there_begin_no_blocks(tmp_path, seed):
    there = np.random.RandomState(seed).rand(60) < 0.3
    lines = table(f"note {i}" if is_there else "" for i, is_there in enumerate(there))
    assert all("where cells were merged" not in f.text for f in read(tmp_path, lines).findings)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["{}%", "0.{}"], "'%' in some rows and shares up to 1 in others"),
        (["${}", "€{}"], "numbers with '$' and '€'"),
    ],
)
def test_numbers_of_two_units_are_said(tmp_path, cells, said):
    lines = table(cells[i % 2].format(10 + i % 17) for i in range(60))
    assert any(said in finding.text for finding in read(tmp_path, lines).findings)


def test_marks_of_footnotes_are_dropped(tmp_path):
    lines = table(f"{i % 17}{['', '*', ' **', '[a]', '†'][i % 5]}" for i in range(60))
    source = read(tmp_path, lines)
    np.testing.assert_array_equal(source.X[:, 0], np.arange(60) % 17)
    assert "dropped after numbers" in source.columns[0].text
    lines = table(range(60), kinds=["u", "v"])
    marked = [line + "*" * (i % 9 == 5) for i, line in enumerate(lines)]
    assert "similar_class_names" in [finding.kind for finding in read(tmp_path, marked).findings]


def test_lines_of_two_encodings_are_both_read(tmp_path):
    lines = [line.replace(",u", ",é").encode() for line in table(range(60))]
    lines[50:] = [line.decode().encode("cp1252") for line in lines[50:]]
    (tmp_path / "t.csv").write_bytes(b"\n".join(lines))
    source = load_source(tmp_path / "t.csv", "kind")
    assert set(source.y) == {"é", "v"}
    assert "in 5 lines as cp1252" in source.notes[0]


def test_formulas_without_a_result_are_said(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    frame = iris_frame()
    book.active.append([*frame.columns, "ratio"])
    for i, row in enumerate(frame.itertuples(index=False)):
        book.active.append([*row, f"=A{i + 2}/B{i + 2}"])
    book.save(tmp_path / "t.xlsx")
    source = load_source(tmp_path / "t.xlsx", "target")
    assert "150 formulas without a result" in source.notes[0]
    pd.testing.assert_frame_equal(
        pd.DataFrame(source.X, columns=source.feature_names), frame.iloc[:, :4]
    )
