"""A split of the user's own: what it says is what is tested on."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers.commands import write_photos
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier

from metriclearn import cli
from metriclearn.compare import compare
from metriclearn.compare._measuring._given_split import given_splits, read_parts
from metriclearn.compare._plan import Plan
from metriclearn.compare._sources._load import load_source
from metriclearn.compare._sources._rows import as_source
from metriclearn.metrics import retrieval_scores


@pytest.fixture(scope="module")
def eight():
    """Eight classes of twelve rows in five features."""
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(8), 12)
    return rng.randn(8, 5)[y] * 2 + rng.randn(96, 5), y


def record_of(result):
    (record,) = result.records
    assert record.error is None
    return record


def test_known_classes_are_tested_on_the_rows_that_say_so(eight):
    X, y = eight
    test = np.arange(96) % 4 == 0
    record = record_of(
        compare(X, y, split=np.where(test, "Test", "training"), learners="euclidean")
    )
    assert (record.protocol, record.n_train, record.n_test) == ("closed", 72, 24)
    neighbors = KNeighborsClassifier(record.k).fit(X[~test], y[~test])
    assert record.scores["accuracy"] == neighbors.score(X[test], y[test])


@pytest.mark.parametrize("apart", [True, False], ids=["gallery", "themselves"])
def test_queries_of_unseen_classes_are_searched_for_where_it_says(eight, apart):
    X, y = eight
    query, gallery = (y >= 5) & (np.arange(96) % 3 == 0), (y >= 5) & (np.arange(96) % 3 > 0)
    parts = np.where(query, "query", np.where(gallery, "gallery" if apart else "test", "train"))
    if not apart:
        query, gallery = query | gallery, None
        parts[query] = "test"
    record = record_of(compare(X, y, split=parts, learners="euclidean"))
    assert (record.protocol, record.n_train, record.n_test) == ("open", 60, query.sum())
    others = {} if gallery is None else {"gallery": X[gallery], "gallery_labels": y[gallery]}
    assert record.scores == retrieval_scores(X[query], y[query], **others)


def test_without_training_rows_the_gallery_is_learned_from_and_classes_are_drawn(eight):
    parts, y = np.where(np.arange(96) % 4 == 0, "query", "gallery"), eight[1]
    plan = Plan.make(learners="euclidean", repeats=2).on(as_source(*eight, split=parts))
    splits = [task.split for task in plan.schedule().tasks]
    (known,) = [split for split in splits if split.protocol == "closed"]
    assert set(parts[known.train]) == {"gallery"}
    assert len(known.train) == 72
    drawn = [split for split in splits if split.protocol == "open"]
    assert len(drawn) == 10
    for split in drawn:
        assert not set(y[split.train]) & set(y[split.test])
        assert set(y[split.test]) == set(y[split.gallery])
        assert set(parts[split.test]) == {"query"}
        assert set(parts[split.gallery]) == {"gallery"}
    few = np.where(y < 4, parts, "")
    _, notes = given_splits(y, read_parts(few, 96))
    assert notes["open"].startswith("left out: 4 classes with queries and a gallery are too few")


@pytest.mark.parametrize(
    ("values", "name", "parts"),
    [
        (["Hold-out", "Training Set"], None, None),
        (["Hold-out", "TRAINING"], None, ["test", "train"]),
        (["no", "yes"], "Is Test", ["train", "test"]),
        ([1.0, 0.0], "is_query", ["test", "gallery"]),
        ([1, 0], "part", None),
        (["train", "test", None, float("nan"), " "], None, ["train", "test", "", "", ""]),
        (["both", "query_and_gallery", "train"], None, ["test", "test", "train"]),
        (["both", "query", "train"], None, None),
        (["both", "both"], None, None),
    ],
)
def test_parts_are_read_in_their_spellings(values, name, parts):
    if parts is None:
        with pytest.raises(ValueError, match="split holds"):
            read_parts(values, len(values), name)
    else:
        assert read_parts(values, len(values), name).tolist() == parts


def test_columns_of_yes_and_no_and_rows_without_a_part(eight, tmp_path):
    X, y = eight
    test = np.arange(96) % 4 == 0
    frame = pd.DataFrame(X, columns=list("abcde")).assign(label=y, is_test=test.astype(int))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    (note,) = load_source(tmp_path / "rows.csv", "label").notes
    assert "split='is_test'" in note
    np.savez(tmp_path / "rows.npz", X=X, y=y, is_test=test)
    sources = [
        load_source(tmp_path / "rows.csv", "label", split="is_test"),
        load_source(tmp_path / "rows.npz", split="is_test"),
        as_source(X, y, split=pd.Series(test, name="is_test")),
    ]
    for source in sources:
        np.testing.assert_array_equal(source.parts == "test", test)
    parts = np.where(test, "test", "train").astype(object)
    parts[:8] = None
    splits, notes = given_splits(y, read_parts(parts, 96))
    assert not any(np.isin(np.arange(8), [*split.train, *split.test]).any() for split in splits)
    assert "8 rows without a part left out" in notes["closed"]


def test_groups_that_the_split_tears_apart_are_an_error(eight):
    parts = np.where(np.arange(96) % 4 == 0, "test", "train")
    with pytest.raises(ValueError, match="groups and split disagree: 24 groups"):
        as_source(*eight, split=parts, groups=np.arange(96) // 4)
    assert as_source(*eight, split=parts, groups=np.arange(96) % 4).parts is not None


def test_one_split_may_hold_known_and_unseen_classes(eight):
    y = eight[1]
    parts = np.where((y == 7) | (y == 6) | (np.arange(96) % 4 == 0), "test", "train")
    splits, notes = given_splits(y, read_parts(parts, 96))
    assert {split.protocol: set(y[split.test]) for split in splits} == {
        "closed": set(range(6)),
        "open": {6, 7},
    }
    assert notes["open"].endswith("fitted on 6 classes, tested on 24 rows of 2 others")


def test_a_column_or_an_array_of_the_file_is_the_split(tmp_path, eight):
    X, y = eight
    parts = np.where(np.arange(96) % 4 == 0, "test", "train")
    np.savez(tmp_path / "rows.npz", X=X, y=y, part=parts)
    frame = pd.DataFrame(X, columns=list("abcde")).assign(label=y, part=parts)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    sources = [
        load_source(tmp_path / "rows.npz", split="part"),
        load_source(tmp_path / "rows.csv", "label", split="part"),
    ]
    for source in sources:
        np.testing.assert_array_equal(source.parts, parts)
        assert source.X.shape == (96, 5)
    (note,) = load_source(tmp_path / "rows.csv", "label").notes
    assert "split='part'" in note


def test_test_rows_that_were_trained_on_are_counted(eight):
    X, y = eight
    parts = np.where(np.arange(96) % 4 == 0, "test", "train")
    X = X.copy()
    X[[0, 4, 8]] = X[[1, 5, 9]]
    result = compare(X, y, split=parts, learners="euclidean")
    assert "3 test rows equal to a training row" in result.run.protocol_notes["closed"]
    (finding,) = [finding for finding in result.findings if finding.kind == "duplicates"]
    assert finding.action == "The split is kept as it was given."


def test_one_fold_gives_no_verdict_but_several_seeds(eight):
    parts = np.where(np.arange(96) % 4 == 0, "test", "train")
    result = compare(*eight, split=parts, learners="euclidean,lda", seeds=2)
    assert len(result.records) == 4
    assert any("1 fold is too few" in sentence for sentence in result.sentences())


def test_photos_bring_their_split(tmp_path, eight):
    folder = tmp_path / "photos"
    write_photos(folder / "train", dict.fromkeys("abcde", 4))
    write_photos(folder / "test", dict.fromkeys("abcde", 3), seed=1)
    source = load_source(folder, split="split")
    assert (source.parts == "test").sum() == 15
    assert not any("put together" in note for note in source.notes)
    (note,) = [note for note in load_source(folder).notes if "put together" in note]
    assert "split='split'" in note

    names = [f"train/{c}/{i}.png" for c in "abcde" for i in range(4)]
    frame = pd.DataFrame({"path": names, "label": [name[6] for name in names]})
    frame["split"] = np.where(frame.label < "c", "train", "validation")
    frame["is_query"] = np.arange(20) % 4 == 0
    frame["is_gallery"] = ~frame.is_query
    frame.to_csv(folder / "list.csv", index=False)
    source = load_source(folder / "list.csv", split="split")
    assert [(source.parts == part).sum() for part in ("train", "test", "gallery")] == [8, 3, 9]
    for column in ("is_query", "is_gallery"):  # the other photos are the other
        frame.drop(columns=column).to_csv(folder / "one.csv", index=False)
        parts = load_source(folder / "one.csv", split="split").parts
        np.testing.assert_array_equal(parts, source.parts)
        frame.drop(columns=[column, "split"]).to_csv(folder / "bare.csv", index=False)
        bare = load_source(folder / "bare.csv", split="split").parts
        assert [(bare == part).sum() for part in ("test", "gallery")] == [5, 15]
        notes = " ".join(load_source(folder / "bare.csv").notes)
        assert "split='split' searches as it says" in notes


PARTS = np.where(np.arange(96) % 4 == 0, "test", "train")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"split": np.where(PARTS == "test", "a", "train")}, "split holds 'a'; it must say"),
        ({"split": np.full(96, "train")}, "split holds 'train' only; rows to test on"),
        ({"split": PARTS[:9]}, "split has 9 values for the 96 rows"),
        ({"split": np.where(np.arange(96) % 2, "test", "query")}, "both 'test' and 'query'"),
        ({"split": PARTS, "n_folds": 3}, "leave n_folds out"),
        ({"split": PARTS, "repeats": 2, "shift": 2}, "leave repeats, shift out"),
        ({"split": np.where(np.arange(96) < 12, "test", "train")}, "known classes are left out"),
    ],
)
def test_what_is_no_split_is_one_error(eight, choices, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        compare(*eight, learners="euclidean", **choices)
    assert message in str(error.value)


def test_the_command_takes_the_name_of_the_column(tmp_path):
    frame = load_iris(as_frame=True).frame.assign(part=["train", "train", "test"] * 50)
    frame.to_csv(tmp_path / "iris.csv", index=False)
    source, out = str(tmp_path / "iris.csv"), str(tmp_path / "r.json")
    arguments = ["--split", "part", "--learners", "euclidean", "--json", out]
    assert cli.main(["compare", source, "--target", "target", *arguments]) == 0
    (record,) = json.loads((tmp_path / "r.json").read_text())["records"]
    assert (record["n_train"], record["n_test"]) == (100, 50)
