"""A target of amounts: what is found, what is scored, what cannot be asked."""

import numpy as np
import pytest
from helpers.commands import write_photos
from helpers.comparisons import read_page
from helpers.optional import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import median_absolute_error
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from metriclearn import cli
from metriclearn.compare import ComparisonResult, compare
from metriclearn.compare._plan import Plan
from metriclearn.compare._sources._rows import as_source
from metriclearn.images import ImagePaths

CHEAP = "mean,euclidean,standardized,pca,mlkr"


def planted(n_rows=200, seed=0):
    """Two of six features tell the amounts; the others are louder."""
    rng = np.random.RandomState(seed)
    X = rng.randn(n_rows, 6) * [1, 1, 3, 3, 3, 3]
    return X, 2 * np.sin(X[:, 0]) + X[:, 1] + 0.1 * rng.randn(n_rows)


@pytest.fixture(scope="module")
def found():
    return compare(*planted(), learners=CHEAP)


def test_what_is_planted_is_found(found):
    verdict = found.verdict("r2")
    assert verdict.winner == "MLKR"
    assert verdict.score > 0.9
    assert verdict.over_chance
    assert found.answer("learning").answer == "yes"
    assert found.answer("scaling").answer == "no"
    assert [finding.kind for finding in found.findings] == ["amount_target"]
    assert found.protocols == ["closed"]


def test_equal_rows_are_one_error():
    with pytest.raises(ValueError, match="all rows of X are equal, or of one group"):
        compare(np.ones((60, 2)), np.random.RandomState(0).randn(60), learners="euclidean")


def test_random_amounts_have_no_winner():
    rng = np.random.RandomState(0)
    for seed in range(3):
        X, y = rng.randn(120, 4), rng.randn(120)
        result = compare(X, y, learners=CHEAP, random_state=seed, tune=False)
        assert not result.verdict("r2").over_chance
        assert "there is no winner" in result.sentences(with_answers=False)[0]
        assert result.answer("learning").answer == "not clearly"
        assert "nothing here is told apart from guessing" in result.answer("scaling").caveat


def test_scores_are_those_of_the_regression_by_neighbors(found):
    X, y = planted()
    plan = Plan.make(learners="standardized").on(as_source(X, y))
    for task in plan.schedule().tasks:
        (record,) = [
            r for r in found.records if (r.learner, r.fold) == ("standardized", task.split.fold)
        ]
        train, test = task.split.train, task.split.test
        scale = StandardScaler().fit(X[train])
        nearest = KNeighborsRegressor(record.k).fit(scale.transform(X[train]), y[train])
        predicted = nearest.predict(scale.transform(X[test]))
        assert record.scores["r2"] == pytest.approx(
            nearest.score(scale.transform(X[test]), y[test])
        )
        error = median_absolute_error(y[test], predicted)
        assert record.scores["median_error"] == pytest.approx(error)


def test_groups_stay_on_one_side_and_a_given_split_is_kept():
    X, y = planted(120)
    groups = np.arange(120) // 6
    schedule = Plan.make(learners="mean").on(as_source(X, y, groups=groups)).schedule()
    tested = np.concatenate([task.split.test for task in schedule.tasks])
    np.testing.assert_array_equal(np.sort(tested), np.arange(120))
    for task in schedule.tasks:
        assert not set(groups[task.split.train]) & set(groups[task.split.test])
    split = np.where(np.arange(120) % 4 == 0, "test", "train")
    (task,) = Plan.make(learners="mean").on(as_source(X, y, split=split)).schedule().tasks
    np.testing.assert_array_equal(task.split.test, np.flatnonzero(split == "test"))
    np.testing.assert_array_equal(task.split.train, np.flatnonzero(split == "train"))


def test_the_task_is_guessed_or_said():
    X, _ = planted(60)
    ratings = np.arange(60) % 5
    assert as_source(X, ratings).task == "classes"
    source = as_source(X, ratings, task="amounts")
    assert source.task == "amounts"
    assert source.y.dtype == np.float64
    amounts = np.arange(60) // 2 * 1.5
    assert as_source(X, amounts).task == "amounts"
    source = as_source(X, amounts, task="classes", min_rows=2)
    assert source.task == "classes"
    (finding,) = [each for each in source.findings if each.kind == "amount_target"]
    assert finding.action == "Each number is taken for a class, as asked."
    with pytest.raises(ValueError, match="must be 'classes' or 'amounts'"):
        as_source(X, ratings, task="regression")


def test_minus_one_is_an_amount():
    X, y = planted(60)
    y = np.round(y * 10).astype(int)
    y[:2] = -1
    assert len(as_source(X, y).y) == 60


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"learners": "lmnn"}, "'lmnn' learns from classes"),
        ({"shift": 3}, "shift: it is between classes"),
    ],
)
def test_what_amounts_rule_out_is_an_error(choices, message):
    with pytest.raises(ValueError, match=message):
        compare(*planted(60), **choices)


def test_data_sets_of_amounts_are_not_ranked():
    with pytest.raises(ValueError, match="the target of a holds amounts"):
        compare(datasets={"a": planted(60), "b": (planted(60)[0], np.arange(60) % 3)})
    with pytest.raises(ValueError, match="datasets: task can be given for one data set"):
        compare(datasets={"a": planted(60), "b": planted(60)}, task="amounts")


def test_words_stand_for_learners_of_amounts():
    source = as_source(*planted(60))
    keys = {
        word: {each.key for each in Plan.make(learners=word).on(source).learners}
        for word in ("default", "linear", "deep")
    }
    assert keys["default"] == keys["linear"] | keys["deep"]
    assert {"majority", "mlkr"} <= keys["linear"]
    assert {"log_ratio", "label_distance_triplet"} <= keys["deep"]


def test_a_network_learns_amounts():
    pytest.importorskip("torch")
    choices = {"learners": "standardized,log_ratio", "n_folds": 2, "effort": "quick"}
    result = compare(*planted(), **choices, tune=False)
    scores = {row.key: row.mean("r2") for row in result.rows()}
    assert scores["log_ratio"] > scores["standardized"]


def test_the_result_is_shown_written_and_read(found, tmp_path, capsys):
    found.show()
    out = capsys.readouterr().out
    assert "Regression by the mean of the nearest neighbors: 5 folds" in out
    assert "amounts from" in out
    assert "set)" not in out
    found.to_json(tmp_path / "a.json")
    assert ComparisonResult.from_json(tmp_path / "a.json") == found
    found.to_html(tmp_path / "a.html")
    page = read_page(tmp_path / "a.html")
    assert "median error" in page
    assert "Recall@k" not in page
    X, y = planted()
    assert found.fit_best(X, y).transform(X).shape[0] == len(X)


def test_a_result_from_a_file_makes_learners_of_amounts(found, tmp_path):
    found.to_json(tmp_path / "a.json")
    again = ComparisonResult.from_json(tmp_path / "a.json")
    for learner in {record.learner for record in found.records}:
        assert repr(again.make_estimator(learner)) == repr(found.make_estimator(learner))


def test_the_command_takes_amounts(tmp_path, capsys):
    X, y = planted(80)
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(price=y)
    frame.to_csv(tmp_path / "houses.csv", index=False)
    command = ["compare", str(tmp_path / "houses.csv"), "--target", "price", "--n-jobs", "1"]
    assert cli.main([*command, "--learners", "mean,euclidean"]) == 0
    out = capsys.readouterr().out
    assert "The target 'price' is an amount" in out
    assert "R² %" in out


def test_forests_agree_that_there_is_something_to_learn(found):
    X, y = planted()
    forest = RandomForestRegressor(50, random_state=0).fit(X[:150], y[:150]).score(X[150:], y[150:])
    assert found.verdict("r2").score > forest - 0.1


def test_curves_of_amounts_are_scored_by_r2():
    result = compare(
        *planted(120), learners="pca,mlkr", n_folds=2, tune=False, rows=[20, 50], dimensions=[2, 4]
    )
    for axis, places in (("rows", [20, 50]), ("dimensions", [2, 4])):
        curves = {curve.key: curve for curve in result.curve(axis, "r2")}
        assert [point.place for point in curves["mlkr"].points] == places
        assert curves["mlkr"].points[-1].mean > curves["pca"].points[-1].mean
    assert not result.curve_notes()
    assert result.ranks().learners[0].key == "mlkr"


def test_amounts_end_in_time():
    result = compare(*planted(120), learners="mean,standardized,mlkr", time=60)
    assert {record.learner for record in result.records} == {"majority", "standardized", "mlkr"}
    assert result.verdict("r2").key == "mlkr"
    assert not result.interrupted


def test_groups_of_amounts_are_not_learned_by_heart():
    rng, groups = np.random.RandomState(0), np.arange(120) // 6
    X = rng.randn(20, 4)[groups] + 0.01 * rng.randn(120, 4)
    y = rng.randn(20)[groups] + 0.01 * rng.randn(120)
    alone, together = (
        compare(X, y, learners="euclidean", groups=each, tune=False).verdict("r2").score
        for each in (None, groups)
    )
    assert alone > 0.9
    assert together < 0.1


def test_photos_may_have_amounts(tmp_path):
    write_photos(tmp_path, dict.fromkeys("abcde", 6))
    photos = ImagePaths.from_folder(tmp_path)
    lines = [f"{name},{2.5 * i}" for i, name in enumerate(photos.names)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines]))
    choices = {"learners": "mean,euclidean", "n_folds": 2, "tune": False}
    results = [
        compare(photos, 2.5 * np.arange(30), **choices),
        compare(str(tmp_path / "list.csv"), **choices),
    ]
    scores = [result.fold_scores("euclidean", "r2") for result in results]
    assert scores[0] == scores[1]
    assert results[0].data.amounts[-1] == 72.5
    with pytest.raises(ValueError, match="groups cannot be given with image files"):
        compare(photos, 2.5 * np.arange(30), groups=np.arange(30) // 3)
