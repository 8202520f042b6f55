"""Tables as people have them: every spelling of a table is read as the same table."""

import numpy as np
import pandas as pd
import pytest
from helpers.spellings import SPELLINGS, iris_frame
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier

from metriclearn.compare._sources._load import load_source
from metriclearn.compare._sources._rows import as_source
from metriclearn.compare._tables._cleaning import make_cleaner, split_rows
from metriclearn.compare._tables._labels import read_labels


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_the_same_table(tmp_path, spelling):
    suffix, write = SPELLINGS[spelling]
    if suffix == ".xlsx":
        pytest.importorskip("openpyxl")
    frame = iris_frame()
    path = tmp_path / f"flowers{suffix}"
    write(frame, path)
    source = load_source(path, "target")
    assert source.name == "flowers"
    assert source.feature_names == list(frame.columns[:-1])
    np.testing.assert_array_equal(source.X, frame.iloc[:, :-1].to_numpy())
    np.testing.assert_array_equal(source.y, frame["target"])


@pytest.mark.parametrize(
    ("spelling", "words"),
    [
        ("semicolons", "separated by semicolons"),
        ("semicolons, decimal commas", "decimal commas"),
        ("tabs", "separated by tabs"),
        ("gzip", "packed with gzip"),
        ("UTF-16", "was read as utf-16"),
        ("title", "skipped: 'Iris measurements 2020'"),
        ("footer", "1 line after the table was skipped: 'Source: Fisher 1936'"),
        ("units", "The line of units"),
        ("blanks after commas", "Blanks after the separators were dropped"),
        ("an empty column", "Column 'Unnamed: 1' has no value in any row"),
        ("a comma at the end", "Column 'Unnamed: 5' has no value in any row"),
        ("an index", "Column 'Unnamed: 0' numbers the rows"),
        ("a named index", "Column 'no' numbers the rows"),
        ("names on the second line", "were read from the second line"),
        ("the header again and again", "2 lines that repeated the header"),
        ("sums at the end", "1 line that summed the table up left out: 'Total'"),
        ("sums before", "2 lines that summed the table up left out"),
        ("remarks between rows", "1 remark between the rows left out: '# lamp new'"),
        (
            "sums by their numbers",
            "1 line that summed the table up left out, which its numbers show",
        ),
        ("sums of groups", "4 lines that summed the table up left out: 'Grand Total'"),
        ("sums above", "1 line that summed the table up left out: 'Total (all)'"),
        ("measures below", "3 lines that summed the table up left out: 'Max', 'Mean ± SD' and 'N'"),
        (
            "notes of several cells",
            "2 lines after the table were skipped: 'Source: Fisher R. A. 1936'",
        ),
        ("another table below", "3 lines after the table were skipped: 'kind n mean'"),
        ("facts above", "3 lines before the table were skipped: 'Place: Bonn'"),
        ("questions and ids below the names", "The line of units ('Q1'"),
        ("numbers of columns", "The line that numbers the columns was skipped"),
        ("Orange's three lines", "The line of roles ('class') was skipped"),
        ("text as formulas", 'Text written as formulas (="...") was unwrapped'),
        ("merged cells", "3 merged cells: their value was written into each row"),
        ("a fuller sheet beside it", "Sheet 'Data' was read, of 2"),
        ("an open quote", "is opened and never closed"),
        ("a workbook with a title and two sheets", "Sheet 'Data' was read, of 2"),
    ],
)
def test_what_is_unusual_is_said(tmp_path, spelling, words):
    suffix, write = SPELLINGS[spelling]
    if suffix == ".xlsx":
        pytest.importorskip("openpyxl")
    write(iris_frame(), tmp_path / f"t{suffix}")
    source = load_source(tmp_path / f"t{suffix}", "target")
    said = [*source.notes, *(f.text for f in source.findings), *(c.text for c in source.columns)]
    assert any(words in sentence for sentence in said), said


def test_nothing_is_said_of_a_plain_table(tmp_path):
    iris_frame().drop_duplicates().to_csv(tmp_path / "t.csv", index=False)
    source = load_source(tmp_path / "t.csv", "target")
    assert source.notes == ()
    assert source.findings == ()
    assert [column.text for column in source.columns] == [""] * 4
    assert source.groups is None
    assert source.queries is None


TEXTS = {
    "cp1252": "Blütenbreite und Länge der grünen Kelchblätter, größer für spätere Blüten",
    "cp1251": "ширина лепестка и длина чашелистика больше у поздних цветов, чем у ранних",
    "shift_jis": "花弁の幅とがく片の長さは、遅く咲く花のほうが早く咲く花よりも大きいです",
    "gb18030": "花瓣的宽度和萼片的长度在晚开的花中比早开的花中更大，这是很常见的情况",
    "cp1250": "šířka okvětního lístku a délka kališního lístku jsou větší u pozdějších květů",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_encodings_are_found_out(tmp_path, encoding):
    text = TEXTS[encoding].replace(",", "")
    words = text.split() if " " in text else [text[i : i + 4] for i in range(0, len(text), 4)]
    frame = iris_frame().rename(columns={"petal_width": words[0]})
    frame["kind"] = np.array(words)[np.arange(150) % len(words)]
    frame.to_csv(tmp_path / "t.csv", index=False, encoding=encoding)
    source = load_source(tmp_path / "t.csv", "target")
    assert words[0] in source.feature_names
    assert set(source.X["kind"]) == set(words)
    assert any("is no UTF-8" in note for note in source.notes)


@pytest.mark.parametrize("target", ["setosa", "5", "column 5"])
def test_a_first_line_of_data_is_kept(tmp_path, target):
    iris_frame().to_csv(tmp_path / "t.csv", index=False, header=False)
    source = load_source(tmp_path / "t.csv", target)
    assert source.X.shape == (150, 4)
    assert "looks like data" in source.notes[0]
    assert list(np.unique(source.y, return_counts=True)[1]) == [50, 50, 50]


@pytest.mark.parametrize(
    "names",
    [range(4), range(1, 5), [2019, 2020, 2021, 2022], [400.0, 402.5, 405.0, 407.5]],
    ids=["from 0", "from 1", "years", "wavelengths"],
)
def test_a_header_of_numbers_is_no_row(tmp_path, names):
    frame = iris_frame()
    frame.columns = [*map(str, names), "target"]
    frame.to_csv(tmp_path / "t.csv", index=False)
    source = load_source(tmp_path / "t.csv", "target")
    assert source.feature_names == [*map(str, names)]
    assert source.X.shape == (150, 4)


def test_a_headerless_table_without_its_target_says_how_to_name_it(tmp_path):
    iris_frame().to_csv(tmp_path / "t.csv", index=False, header=False)
    for target in (None, "species"):
        with pytest.raises(ValueError, match="the first line looks like data"):
            load_source(tmp_path / "t.csv", target)


def test_lines_that_are_too_long_are_all_named(tmp_path):
    lines = iris_frame().to_csv(index=False).splitlines()
    lines[3] += ",1"
    lines[9] += ",1,2"
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"2 lines have more cells .* \(lines 4, 10\)"):
        load_source(tmp_path / "t.csv", "target")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!DOCTYPE html><html></html>", "looks like HTML"),
        ('{"a": [1, 2]}', "looks like JSON"),
        ('[{"a": 1}]', "looks like JSON"),
        ("%PDF-1.7", "looks like a document"),
        ("ab,cd\0ef\n1,2\n", "is no text: it holds zero bytes"),
        ("  \n ", "the file is empty"),
        ("a,target\n", "has a header and no rows"),
    ],
)
def test_files_that_are_no_tables(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_source(tmp_path / "t.csv", "target")


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (["None", "NA", "nan"], ["None", "NA", "nan"]),
        ([b"a", b"b", b"a"], ["a", "b", "a"]),
        (np.array(["a", "b"], dtype="S10"), ["a", "b"]),
        (["1", "2", "1"], [1, 2, 1]),
        (["1.0", "2.0"], [1, 2]),
        (["01", "1"], ["01", "1"]),
        (["007", "008"], ["007", "008"]),
        ([1.0, 2.0], [1, 2]),
        ([True, False], [True, False]),
        (["a ", "b "], ["a", "b"]),
        (["a ", "a"], ["a ", "a"]),
        ([["a"], ["b"]], ["a", "b"]),
        (pd.Series(["a", "b"], dtype="category"), ["a", "b"]),
        (pd.array(["a", "b"], dtype="string"), ["a", "b"]),
        (pd.array([1, 2], dtype="Int64"), [1, 2]),
        ([1, "a"], ["1", "a"]),
    ],
    ids=repr,
)
def test_labels_are_read_as_meant(given, labels):
    read = read_labels(given)
    assert read.y.tolist() == labels
    assert read.findings == ()


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, "", "  "], ids=repr)
def test_rows_without_a_label_are_named_and_left_out(missing):
    y = np.array(["a", "b", missing] * 4, dtype=object)
    X = np.random.RandomState(0).randn(12, 2)
    source = as_source(X, y)
    np.testing.assert_array_equal(source.X, X[source.rows])
    assert len(source.y) == 8
    assert list(source.rows) == [0, 1, 3, 4, 6, 7, 9, 10]
    (finding,) = source.findings
    assert (finding.kind, finding.rows) == ("unreadable", (2, 5, 8, 11))


@pytest.mark.parametrize(
    "as_given",
    [np.asarray, list, pd.Series, lambda y: pd.array(y, dtype="Int64"), lambda y: y.astype(float)],
    ids=["array", "list", "Series", "nullable", "floats"],
)
def test_minus_one_among_integers_is_no_class(as_given):
    y = np.tile([0, 1, -1, 2], 10)
    source = as_source(np.random.RandomState(0).randn(40, 2), as_given(y))
    assert set(source.y) == {0, 1, 2}
    np.testing.assert_array_equal(source.rows, np.flatnonzero(y >= 0))
    (finding,) = source.findings
    assert finding.kind == "unreadable"
    assert "10 rows of 40 have the label -1, which marks an unknown class" in finding.text


@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_files_with_minus_one_among_their_labels(suffix, tmp_path):
    X, y = np.random.RandomState(0).randn(40, 2), np.tile([0, 1, -1, 2], 10)
    path = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        pd.DataFrame(X).assign(label=y).to_csv(path, index=False)
    else:
        np.savez(path, X=X, y=y)
    source = load_source(str(path), target="label" if suffix == "csv" else None)
    assert set(source.y) == {0, 1, 2}
    assert len(source.X) == 30


def test_labels_of_minus_one_and_one_are_two_classes():
    read = read_labels(np.array([-1, 1] * 6))
    assert set(read.y.tolist()) == {"-1", "1"}
    assert read.findings == ()
    assert read.notes == ("The label -1 is a class beside one other; both are read as text.",)


def test_a_label_that_looks_missing_is_said_to_be_a_class():
    assert read_labels(["None"] * 3 + ["a"] * 3).notes == ("'None' (3 rows) is taken as a class.",)


WORDS = ["red", "green", "blue", "sour", "sweet", "old", "new", "heavy", "light", "warm"]


def mixed_frame(n_rows=120, seed=0):
    rng = np.random.RandomState(seed)
    words = np.array(WORDS)
    frame = pd.DataFrame(
        {
            "number": np.where(rng.rand(n_rows) < 0.2, np.nan, rng.randn(n_rows)),
            "color": rng.choice(["red", "green", None], n_rows),
            "when": pd.Timestamp("2020") + pd.to_timedelta(rng.randint(0, 9999, n_rows), unit="h"),
            "text": [" ".join(rng.choice(words, 5)) for _ in range(n_rows)],
            "flag": rng.choice(["yes", "no"], n_rows),
        }
    )
    return frame, rng.choice(["u", "v"], n_rows)


def test_cleaning_learns_from_training_rows_alone():
    frame, y = mixed_frame()
    source = as_source(frame, y)
    train, test = np.arange(80), np.arange(80, 120)
    X_train, X_test = split_rows(source.X, train, test)
    assert X_train.shape[1] == X_test.shape[1]
    assert np.isfinite(X_train).all()
    assert np.isfinite(X_test).all()
    # Other test rows change nothing of what is made of the training rows.
    other = source.X.copy()
    other.loc[test, "number"] = 1e9
    other.loc[test, "color"] = "purple"
    np.testing.assert_array_equal(split_rows(other, train, test)[0], X_train)
    cleaner = make_cleaner(source.X).fit(source.X.iloc[train])
    median = np.nanmedian(source.X["number"][:80])
    assert cleaner.named_transformers_["numbers"].statistics_[0] == median


def test_numbers_without_gaps_need_no_cleaning():
    frame = iris_frame()
    source = as_source(frame.iloc[:, :4], frame["target"])
    assert isinstance(source.X, np.ndarray)
    assert make_cleaner(frame.iloc[:, :4]) is None
    np.testing.assert_array_equal(split_rows(source.X, np.arange(3))[0], source.X[:3])


def test_words_that_tell_the_label_are_used():
    frame, _ = mixed_frame()
    frame = frame.drop(columns="flag")
    y = np.where(frame["text"].str.contains("sweet"), "u", "v")
    source = as_source(frame[["text"]].assign(number=0.0), y)
    scores = []
    for train, test in StratifiedKFold(3, shuffle=True, random_state=0).split(y, y):
        X_train, X_test = split_rows(source.X, train, test)
        scores.append(KNeighborsClassifier(3).fit(X_train, y[train]).score(X_test, y[test]))
    assert np.mean(scores) > 0.75


def test_frames_of_others():
    frame, y = mixed_frame()
    polars = pytest.importorskip("polars")
    ours, theirs = as_source(frame, y), as_source(polars.from_pandas(frame), polars.Series(y))
    pd.testing.assert_frame_equal(ours.X, theirs.X)
    np.testing.assert_array_equal(ours.y, theirs.y)
    iris = iris_frame()
    records = iris.iloc[:, :4].to_records(index=False)
    source = as_source(records, iris["target"])
    assert source.feature_names == list(iris.columns[:4])
    np.testing.assert_array_equal(source.X, iris.iloc[:, :4])
    source = as_source(iris.iloc[:, :4].to_dict("list"), list(iris["target"]))
    np.testing.assert_array_equal(source.X, iris.iloc[:, :4])


def test_gaps_and_text_in_arrays_are_read(iris_frame):
    X = iris_frame.iloc[:, :4].to_numpy()
    y = iris_frame["species"]
    np.testing.assert_array_equal(as_source(X.astype(str), y).X, X)
    gaps = X.copy()
    gaps[3, 1] = np.nan
    source = as_source(gaps, y, feature_names=list("abcd"))
    assert source.columns[1].text == "1 missing"
    assert split_rows(source.X, np.arange(100))[0].shape == (100, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drop": ["petal"]}, "drop: no column 'petal'"),
        ({"keep": ["petal"]}, "keep: no column 'petal'"),
        ({"groups": "person"}, "groups: no column 'person'"),
        ({"groups": [1, 2]}, "groups has 2 values for the 150 rows of X"),
        ({"groups": ["a"] * 150}, "groups has one group only"),
    ],
)
def test_columns_that_are_not_there(arguments, message):
    frame = iris_frame()
    with pytest.raises(ValueError, match=message):
        as_source(frame.drop(columns="target"), frame["target"], **arguments)


@pytest.mark.parametrize("name", ["y", "groups", "split"])
def test_labels_in_another_order_than_the_rows_are_an_error(name):
    frame = iris_frame()
    X, y = frame.drop(columns="target"), frame["target"]
    given = {"y": y, "groups": pd.Series(np.arange(150) // 5)}
    given["split"] = pd.Series(np.where(np.arange(150) % 3, "train", "test"))
    given = {"y": y, name: given[name].sample(frac=1, random_state=0)}
    message = rf"{name} has the index of X in another order; give {name}.loc\[X.index\]"
    with pytest.raises(ValueError, match=message):
        as_source(X, **given)
    given[name].index = range(200, 350)  # another index is no order of rows
    as_source(X, **given)


@pytest.mark.parametrize(
    ("split", "given"),
    [
        (StratifiedKFold(3), "StratifiedKFold"),
        ([(np.arange(9), np.arange(9, 12))], "list"),
        (StratifiedKFold(3).split(np.ones(9), np.arange(9) // 3), "generator"),
    ],
)
def test_a_splitter_is_no_split(split, given):
    X, y = np.random.RandomState(0).randn(12, 2), np.arange(12) % 2
    with pytest.raises(
        ValueError, match=f"split must be one label per row, got {given}; folds are"
    ):
        as_source(X, y, split=split)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("nofile.tsv", "y", "nofile.tsv: no such file or folder"),
        ("digit", "y", "did you mean 'digits'?"),
        ("iris", "y", "comes with scikit-learn and has its own labels"),
    ],
)
def test_messages_say_what_is_wrong_first(source, target, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        load_source(source, target)


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        ("iris", {"image_shape": (2, 2)}),
        ("digits", {"drop": ["x0"]}),
        ("digits", {"keep": ["x0"]}),
        ("digits", {"groups": "x0"}),
        (".", {"groups": "x0"}),
        (".", {"target": "y"}),
    ],
)
def test_arguments_of_other_sources_are_refused(source, arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"leave {name}=.* out"):
        load_source(source, **arguments)


def test_an_array_file_names_its_columns_labels_and_groups(tmp_path):
    rng = np.random.RandomState(0)
    X, person = rng.randn(40, 2), np.repeat(np.arange(10), 4)
    np.savez(
        tmp_path / "a.npz", X=X, kind=rng.choice(["u", "v"], 40), person=person,
        feature_names=["a", "b"],
    )  # fmt: skip
    source = load_source(tmp_path / "a.npz", "kind", groups="person")
    assert source.feature_names == ["a", "b"]
    np.testing.assert_array_equal(source.groups, person)


def test_columns_of_pixels_are_images_where_asked(tmp_path):
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    frame = pd.DataFrame(X[:200], columns=[f"pixel{i}" for i in range(64)]).assign(label=y[:200])
    frame.to_csv(tmp_path / "t.csv", index=False)
    source = load_source(tmp_path / "t.csv", "label")
    assert source.kind == "tabular"
    assert "image_shape=(8, 8)" in source.notes[-1]
    source = load_source(tmp_path / "t.csv", "label", image_shape=(8, 8))
    assert source.kind == "image"
    assert source.image_shape == (8, 8)
    np.testing.assert_array_equal(source.X, X[:200])
    assert source.notes == ()
    with pytest.raises(ValueError, match="has 81 values, the rows of X have 64"):
        load_source(tmp_path / "t.csv", "label", image_shape=(9, 9))
