"""Tables that are no lines of cells between separators: fixed width, svmlight, JSON, archives."""

import gzip
import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from metriclearn.compare._sources._load import load_source

RNG = np.random.RandomState(0)
NUMBERS = RNG.rand(30, 3).round(2)
CLASSES = np.repeat(["u", "v", "w"], 10)


def test_cells_below_each_other_may_be_empty_and_hold_blanks(tmp_path):
    places = RNG.choice(["New York", "Rome", ""], 30)
    lines = ["    a     b place      kind"]
    lines += [
        f"{a:5.2f} {b:5.2f} {place:<10} {kind}"
        for (a, b, _), place, kind in zip(NUMBERS, places, CLASSES, strict=True)
    ]
    (tmp_path / "t.txt").write_text("\n".join(lines))
    source = load_source(tmp_path / "t.txt", "kind")
    np.testing.assert_array_equal(source.X[["a", "b"]], NUMBERS[:, :2])
    assert source.X["place"].fillna("").tolist() == places.tolist()
    assert source.y.tolist() == CLASSES.tolist()
    assert source.notes == ("The cells stand below each other, in columns of a fixed width.",)


def test_two_lines_of_names_are_joined_where_the_second_alone_is_not_enough(tmp_path):
    frame = pd.DataFrame(np.c_[NUMBERS, NUMBERS[:, 0]]).assign(kind=CLASSES)
    body = frame.to_csv(index=False, header=False)
    (tmp_path / "t.csv").write_text(f"Leaf,,Root,,\nlong,wide,long,wide,kind\n{body}")
    names = load_source(tmp_path / "t.csv", "kind").feature_names
    assert names == ["Leaf long", "Leaf wide", "Root long", "Root wide"]


@pytest.mark.parametrize("suffix", [".svm", ".txt", ".libsvm.gz"])
def test_svmlight_has_its_labels_and_zeros(tmp_path, suffix):
    X = np.where(NUMBERS > 0.5, NUMBERS, 0)
    X[0, 2] = 1  # the last column is there
    lines = ["# made up"]
    for row, label in zip(X, np.repeat([-1, 1], 15), strict=True):
        lines.append(f"{label} " + " ".join(f"{j + 1}:{x}" for j, x in enumerate(row) if x))
    text = "\n".join(lines).encode()
    path = tmp_path / f"t{suffix}"
    path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    source = load_source(path)
    np.testing.assert_array_equal(source.X, X)
    assert sorted(set(source.y.tolist())) == ["-1", "1"]


def test_parts_of_records_are_columns_and_lists_are_named(tmp_path):
    records = [
        {"kind": kind, "leaf": {"long": a, "wide": b}, "ok": bool(i % 2)}
        for i, ((a, b, _), kind) in enumerate(zip(NUMBERS, CLASSES, strict=True))
    ]
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"about": "leaves", "rows": records}))
    source = load_source(path, "kind")
    assert source.feature_names == ["leaf.long", "leaf.wide", "ok"]
    np.testing.assert_array_equal(source.X[:, :2], NUMBERS[:, :2])
    path.write_text(json.dumps([{**r, "xs": [1, 2], "ys": {"z": [1]}} for r in records]))
    with pytest.raises(ValueError, match=r"2 columns cannot be read: 'xs' .*; 'ys.z' "):
        load_source(path, "kind")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.json", "[1, 2]", "must be a list of records"),
        ("t.json", "{", "it is no JSON"),
        ("t.json", '{"a": [1], "b": [1, 2]}', "different lengths"),
        ("t.json", "[" * 100_000, "too deep|no JSON"),
        ("t.jsonl", '{"a": 1}\n{"a"\n', "line 2 is no JSON record"),
        ("t.csv", '[{"a": 1}]', "looks like JSON; call it .json"),
        ("t.arff", "@attribute a real\n1\n", "no @attribute or no @data"),
        ("t.arff", "@attribute a real\n@data\n1\n1,2\n", "1 line of data have not the 1 cells"),
        ("https://example.org/t.csv", None, "is an address; download the file"),
        ("-", None, "the standard input is not read"),
    ],
)
def test_what_is_wrong_is_one_error(tmp_path, monkeypatch, name, text, message):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        load_source(name, "a")


def test_the_one_table_of_an_archive_is_read_and_other_files_are_named(tmp_path):
    frame = pd.DataFrame(NUMBERS, columns=list("abc")).assign(kind=CLASSES)
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("README.txt", "hello")
        archive.writestr("leaves/t.csv", frame.to_csv(index=False))
    source = load_source(tmp_path / "t.zip", "kind")
    np.testing.assert_array_equal(source.X, NUMBERS)
    assert source.notes == ("The file is packed with zip: 'leaves/t.csv' was read.",)
    frame.to_parquet(tmp_path / "t.parquet")
    packed = gzip.compress((tmp_path / "t.parquet").read_bytes())
    (tmp_path / "t.parquet.gz").write_bytes(packed)
    with pytest.raises(ValueError, match="what is packed is a file of Parquet"):
        load_source(tmp_path / "t.parquet.gz", "kind")


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp1254", ["şişli ığ", "Eğri", "düz"]),
        ("cp1251", ["щетинистый", "Разноцветный", "виргинский"]),
        ("cp1252", ["größer", "Façade", "mañana"]),
        ("shift_jis", ["ヒオウギアヤメ", "アヤメ", "花"]),
    ],
)
def test_a_few_words_tell_the_encoding(tmp_path, encoding, names):
    frame = pd.DataFrame(NUMBERS, columns=list("abc")).assign(kind=np.repeat(names, 10))
    frame.to_csv(tmp_path / "t.csv", index=False, encoding=encoding)
    assert sorted(set(load_source(tmp_path / "t.csv", "kind").y)) == sorted(names)


@pytest.mark.parametrize("name", ["class", "Species", "label"])
def test_a_target_that_was_not_named_is_suggested(tmp_path, name):
    frame = pd.DataFrame(NUMBERS, columns=list("abc")).assign(**{name: CLASSES})
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match=f"as in y='{name}'; there are: a, b, c, {name}"):
        load_source(tmp_path / "t.csv")
    flags = pd.get_dummies(frame[name]).astype(int)
    flags.assign(a=NUMBERS[:, 0]).to_csv(tmp_path / "f.csv", index=False)
    with pytest.raises(ValueError, match="'u', 'v' and 'w' hold 0 and 1"):
        load_source(tmp_path / "f.csv")
