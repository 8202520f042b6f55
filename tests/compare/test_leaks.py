"""Files with one trouble each: what is found out is said, and nothing is won by a leak."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers.commands import compare as command
from helpers.messy_files import FILES, noise, people

from metriclearn.compare import compare
from metriclearn.compare._inspect import KINDS
from metriclearn.compare._plan import Plan
from metriclearn.compare._sources._rows import as_source

BY_NAME = {file.name: file for file in FILES}


@pytest.mark.parametrize("name", BY_NAME)
def test_files_as_people_have_them(tmp_path, name):
    file = BY_NAME[name]
    file.write(tmp_path / name)

    def run():
        return compare(
            tmp_path / name, file.target, learners="standardized", n_folds=3, **file.choices
        )

    if file.error is not None:
        with pytest.raises(ValueError, match=file.error):
            run()
        return
    result = run()
    assert all(record.error is None for record in result.records)
    found = {finding.kind for finding in result.findings}
    assert set(file.findings) <= found
    assert found <= {*file.findings, "duplicates", "imbalance"}
    said = [f"{finding.text} {finding.action}" for finding in result.findings]
    said += [*result.data.notes, *(column.text for column in result.data.columns)]
    assert any(file.says in sentence for sentence in said)
    assert not [sentence for sentence in said if " --" in sentence]  # the command's words
    assert result.data.n_classes == file.n_classes
    (row,) = result.rows()
    low, high = file.accuracy
    assert low <= row.mean("r2" if result.data.amounts else "accuracy") <= high


def test_findings_are_in_the_json_and_on_the_terminal(tmp_path, capsys):
    people().to_csv(tmp_path / "t.csv")
    out = tmp_path / "r.json"
    assert command(tmp_path / "t.csv", "--target", "target", "--json", out) == 0
    findings = json.loads(out.read_text())["data"]["findings"]
    assert [finding["kind"] for finding in findings] == ["row_number", "repeated_measurements"]
    assert all(
        list(finding) == ["kind", "columns", "rows", "text", "action"] for finding in findings
    )
    assert {finding["kind"] for finding in findings} <= set(KINDS)
    printed = " ".join(capsys.readouterr().out.split())
    for finding in findings:
        assert " ".join(finding["text"].split()) in printed
    assert "keeps them together" in printed


def test_the_command_drops_keeps_and_groups(tmp_path, capsys):
    frame = people().assign(Id=range(240), extra=np.random.RandomState(0).randn(240))
    frame.to_csv(tmp_path / "t.csv", index=False)
    out = tmp_path / "r.json"
    arguments = [tmp_path / "t.csv", "--target", "target", "--json", out]
    arguments += ["--groups", "person", "--drop", "a, extra", "--keep", "Id"]
    assert command(*arguments) == 0
    data = json.loads(out.read_text())["data"]
    assert data["feature_names"] == [*"bcdefgh", "Id"]
    assert [(f["kind"], f["action"]) for f in data["findings"]] == [
        ("row_number", "Kept, as asked.")
    ]


def test_a_verdict_says_what_it_rests_on():
    X, y = noise(120), np.tile(["u", "v", "w"], 40)
    told = compare(np.column_stack([X, 9 * (y == "u"), 9 * (y == "v")]), y, learners="lda,cosine")
    assert [finding.kind for finding in told.findings] == ["giveaway"]
    assert told.sentences()[-1].startswith("All of this rests on columns that give the label away")
    assert not any("rests on" in line for line in compare(X, y, learners="lda,cosine").sentences())


@pytest.mark.parametrize("how", ["array", "column"])
def test_random_labels_of_groups_are_chance_with_groups(how):
    with_groups = []
    for seed in range(4):
        frame = people(60, 6, seed=seed)
        X, y, person = frame.drop(columns=["person", "target"]), frame["target"], frame["person"]
        given = (X.to_numpy(), person) if how == "array" else (X.assign(who=person), "who")
        grouped = compare(given[0], y, groups=given[1], learners="euclidean")
        with_groups.append(grouped.rows()[0].mean("accuracy"))
        assert grouped.findings == ()
    assert np.mean(with_groups) == pytest.approx(0.5, abs=0.1)  # three standard errors
    without = compare(X, y, learners="euclidean")
    assert without.rows()[0].mean("accuracy") > 0.95
    assert [finding.kind for finding in without.findings] == ["repeated_measurements"]


def splits_of(source, n_folds=4):
    schedule = Plan.make(learners="euclidean", n_folds=n_folds).on(source).schedule()
    return {(t.split.protocol, t.split.fold): t.split for t in schedule.tasks}.values()


@pytest.mark.parametrize("seed", range(5))
def test_groups_and_equal_rows_are_on_one_side_of_every_split(seed):
    rng = np.random.RandomState(seed)
    X = rng.randn(160, 3)
    X[120:] = X[:40]
    y = rng.permutation(np.arange(160) % 8)
    groups = np.where(rng.rand(160) < 0.5, rng.randint(0, 60, 160), 100 + np.arange(160))
    source = as_source(X, y, groups=groups)
    splits = list(splits_of(source))
    assert {split.protocol for split in splits} == {"closed", "open"}
    for split in splits:
        searched = split.train if split.searched is None else split.searched
        assert not set(groups[searched]) & set(groups[split.test])
        assert not {tuple(row) for row in X[searched]} & {tuple(row) for row in X[split.test]}
        np.testing.assert_array_equal(split.groups, source.groups[split.train])
        if split.protocol == "open":
            assert not set(y[split.train]) & set(y[split.test])


def test_closed_folds_of_groups_test_every_row_once_and_are_even():
    frame = people(40, 5)
    X = frame.drop(columns=["person", "target"])
    source = as_source(X, frame["target"], groups=frame["person"])
    closed = [split for split in splits_of(source) if split.protocol == "closed"]
    tested = np.concatenate([split.test for split in closed])
    np.testing.assert_array_equal(np.sort(tested), np.arange(200))
    assert {len(split.test) for split in closed} == {50}
    shares = [np.mean(source.y[split.test] == "ill") for split in closed]
    assert max(shares) - min(shares) <= 0.2


def test_rows_of_small_classes_are_searched_and_not_tested():
    X = noise(62)
    y = np.r_[np.repeat(["u", "v"], 30), ["w", "w"]]
    source = as_source(X, y)
    for split in splits_of(source):
        assert not set(split.test) & {60, 61}
        assert not set(split.train) & {60, 61}
        assert set(split.searched) >= {60, 61}
    result = compare(X, y, learners=["euclidean", "lmnn"], n_folds=3)
    assert all(record.error is None for record in result.records)
    assert {record.n_test for record in result.records} == {20}


def test_classes_of_one_group_are_not_tested_on():
    X = noise(90)
    y = np.repeat(["u", "v", "w"], 30)
    groups = np.r_[np.arange(60) // 5, np.full(30, 99)]
    source = as_source(X, y, groups=groups)
    for split in splits_of(source):
        assert set(source.y[split.test]) == {"u", "v"}
    with pytest.raises(ValueError, match="each class is in one group only"):
        compare(X, y, groups=y, learners="euclidean")
    with pytest.raises(ValueError, match="equal rows are one, too, unless columns tell them apart"):
        compare(np.ones((60, 2)), y[:60], learners="euclidean")


def test_validation_parts_keep_groups_together():
    from metriclearn.compare._fitting import validation_split

    rng = np.random.RandomState(0)
    y, groups = rng.randint(0, 6, 300), rng.randint(0, 80, 300)
    for protocol in ("closed", "open"):
        fit, validation = validation_split(y, protocol, 0, groups)
        assert len(validation) > 20
        assert not set(groups[fit]) & set(groups[validation])


def test_curves_keep_groups_together():
    frame = people(60, 4)
    X = frame.drop(columns=["person", "target"])
    y = np.array(frame["person"].factorize()[0] % 8)
    source = as_source(X, y, groups=frame["person"])
    plan = Plan.make(learners="euclidean", n_folds=3, rows=[40, 80], shift=3).on(source)
    person = frame["person"].to_numpy()
    axes = set()
    for task in plan.schedule().tasks:
        axes.add(task.axis)
        assert not set(person[task.split.train]) & set(person[task.split.test])
        np.testing.assert_array_equal(task.split.groups, source.groups[task.split.train])
    assert axes == {None, "rows", "shift"}


def test_tables_of_words_are_compared_by_every_kind_of_learner():
    rng = np.random.RandomState(0)
    y = np.repeat(["u", "v", "w"], 40)
    frame = pd.DataFrame(
        {
            "color": np.where(rng.rand(120) < 0.8, np.char.add("c", y), "other"),
            "size": np.where(rng.rand(120) < 0.1, np.nan, rng.randn(120)),
            "when": pd.Timestamp("2020") + pd.to_timedelta(rng.randint(0, 999, 120), unit="D"),
        }
    )
    result = compare(frame, y, learners=["standardized", "lmnn"], n_folds=3)
    assert all(record.error is None for record in result.records)
    assert max(row.mean("accuracy") for row in result.rows()) > 0.7
    assert [column.kind for column in result.data.columns] == ["category", "number", "time"]


def test_the_report_of_a_table_of_words_names_what_weighs(tmp_path):
    rng = np.random.RandomState(0)
    y = np.repeat(["u", "v", "w"], 40)
    frame = pd.DataFrame({"color": np.char.add("c", y), "size": rng.randn(120)})
    frame.loc[::9, "size"] = np.nan
    result = compare(frame, y, learners="mahalanobis", n_folds=3)
    (matrix,) = [record.matrix for record in result.records if record.matrix is not None]
    assert matrix.names == ("size", "missingindicator_size", "color_cu", "color_cv", "color_cw")
    result.to_html(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "color_c" in page
