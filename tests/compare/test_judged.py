"""Judgments of items in place of labels: what is found, how it is split, what is an error."""

import re
import shutil

import numpy as np
import pytest
from helpers.comparisons import read_page
from helpers.optional import pandas as pd
from sklearn.metrics import roc_auc_score

from metriclearn import ITML, cli, load
from metriclearn.compare import ComparisonResult, compare
from metriclearn.compare._judged._data import judged_source
from metriclearn.compare._judged._measure import judged_scores
from metriclearn.compare._judged._roster import linear_names, loss_names
from metriclearn.compare._plan import Plan
from metriclearn.constraints import Chunks, Pairs, Triplets

CHEAP = "euclidean,standardized,mahalanobislearner"


def items(n_items=60, seed=0):
    """Two of six features say what is alike; the others are louder."""
    return np.random.RandomState(seed).randn(n_items, 6) * [1, 1, 3, 3, 3, 3]


def triplets(X, n=900, seed=0):
    rng = np.random.RandomState(seed)
    drawn = np.array([rng.choice(len(X), 3, replace=False) for _ in range(n)])
    near, far = (np.linalg.norm(X[drawn[:, 0], :2] - X[drawn[:, j], :2], axis=1) for j in (1, 2))
    return Triplets(np.where((near < far)[:, None], drawn, drawn[:, [0, 2, 1]]), n_rows=len(X))


def pairs(X, n=900, seed=0):
    rng = np.random.RandomState(seed)
    drawn = np.array([rng.choice(len(X), 2, replace=False) for _ in range(n)])
    apart = np.linalg.norm(X[drawn[:, 0], :2] - X[drawn[:, 1], :2], axis=1)
    return Pairs(drawn, apart < np.median(apart), n_rows=len(X))


JUDGE = {"pairs": pairs, "triplets": triplets}


@pytest.fixture(scope="module", params=["pairs", "triplets"])
def found(request):
    X = items()
    return compare(X, constraints=JUDGE[request.param](X), learners=CHEAP, name="things")


def test_what_is_planted_is_found(found):
    assert found.protocols == ["closed", "open"]
    for protocol in found.protocols:
        verdict = found.verdict(found.headline(protocol))
        assert verdict.key == "mahalanobislearner"
        assert verdict.score > 0.85
        assert verdict.over_chance
        assert not verdict.tied
        learning, scaling = found.answers(protocol)[1], found.answers(protocol)[0]
        assert (learning.question, learning.answer) == ("learning", "yes")
        assert (scaling.question, scaling.answer) == ("scaling", "no")


@pytest.mark.parametrize("kind", ["pairs", "triplets"])
def test_random_judgments_have_no_winner(kind):
    rng, judged = np.random.RandomState(0), JUDGE[kind](items())
    if kind == "pairs":
        judged = Pairs(judged.indices, rng.permutation(judged.similar))
    else:
        turned = rng.rand(len(judged)) < 0.5
        turn = np.where(turned[:, None], judged.indices, judged.indices[:, [0, 2, 1]])
        judged = Triplets(turn)
    result = compare(items(), constraints=judged, learners=CHEAP, tune=False)
    for protocol in result.protocols:
        assert not result.verdict(result.headline(protocol)).over_chance
        assert result.answers(protocol)[1].answer == "not clearly"
    assert "there is no winner" in result.sentences(with_answers=False)[0]


def test_a_lead_on_known_items_alone_is_said_to_be_of_these():
    rng = np.random.RandomState(4)  # one of the draws where they lie as if they told something
    X, unseen = rng.randn(60, 6), rng.randn(60, 2)
    drawn = np.array([rng.choice(60, 2, replace=False) for _ in range(600)])
    apart = np.linalg.norm(unseen[drawn[:, 0]] - unseen[drawn[:, 1]], axis=1)
    given = Pairs(drawn, apart < np.median(apart))
    result = compare(X, constraints=given, learners="euclidean,mahalanobislearner", tune=False)
    answers = [result.answer("learning", result.headline(each)) for each in result.protocols]
    assert [answer.answer for answer in answers] == ["yes", "not clearly"]
    assert "may hold for these 60 alone" in result.sentences()[-1]


def test_what_holds_for_new_items_needs_no_warning(found):
    assert "alone" not in found.sentences()[-1]


def test_lsml_moves_by_judgments():
    X = items()
    result = compare(X, constraints=triplets(X), learners="standardized,lsml", n_folds=3)
    by_name = {row.key: row.mean("agreement") for row in result.rows()}
    assert by_name["lsml"] > by_name["standardized"] + 0.1


@pytest.mark.parametrize("kind", ["pairs", "triplets"])
def test_splits_share_neither_judgments_nor_new_items(kind):
    X = items()
    once = JUDGE[kind](X, 450)
    turned = once.indices[:, [1, 0] if kind == "pairs" else [0, 2, 1]]
    more = {"similar": np.tile(once.similar, 2)} if kind == "pairs" else {}
    twice = type(once)(np.concatenate([once.indices, turned]), n_rows=len(X), **more)
    groups = np.arange(60) // 2
    schedule = Plan.make(learners="euclidean").on(judged_source(X, twice, groups=groups)).schedule()
    closed = [task.split for task in schedule.tasks if task.split.protocol == "closed"]
    tested = np.concatenate([split.test for split in closed])
    np.testing.assert_array_equal(np.sort(tested), np.arange(900))
    sets = [frozenset(judgment) for judgment in twice.indices.tolist()]
    for split in closed:
        assert not {sets[i] for i in split.train} & {sets[i] for i in split.test}
    opened = [task.split for task in schedule.tasks if task.split.protocol == "open"]
    assert len(opened) == 5
    for split in opened:
        trained, new = (
            set(groups[twice.indices[rows]].ravel()) for rows in (split.train, split.test)
        )
        assert not trained & new


def test_pairs_that_share_no_item_are_folds_of_new_items():
    X = items(400)
    drawn = np.arange(400).reshape(200, 2)
    given = Pairs(drawn, np.arange(200) % 2 == 0, n_rows=400)
    schedule = Plan.make(learners="euclidean").on(judged_source(X, given)).schedule()
    assert {task.split.protocol for task in schedule.tasks} == {"open"}
    tested = np.concatenate([task.split.test for task in schedule.tasks])
    np.testing.assert_array_equal(np.sort(tested), np.arange(200))
    assert schedule.notes["closed"].startswith("left out: no item is judged beside others")


def test_equal_items_are_one_item_unless_most_are_equal():
    X = items()
    X[1] = X[0]
    source = judged_source(X, pairs(X))
    assert source.y.units[0] == source.y.units[1]
    (finding,) = source.findings
    assert finding.action == "Equal items stay on one side of a split of the items."
    source = judged_source(np.round(X / 4), pairs(X))
    assert len(np.unique(source.y.units)) == 60
    (finding,) = source.findings
    assert finding.action == "They are so many that each is an item of its own."


def test_scores_are_those_of_the_definitions():
    rng = np.random.RandomState(0)
    Z, weights = rng.randn(30, 3), rng.rand(50)
    three = np.array([rng.choice(30, 3, replace=False) for _ in range(50)])
    apart = np.linalg.norm(Z[:, None] - Z, axis=2)
    right = apart[three[:, 0], three[:, 1]] < apart[three[:, 0], three[:, 2]]
    scores = judged_scores(Z, Triplets(three, weights), "closed")
    assert scores["agreement"] == pytest.approx(weights[right].sum() / weights.sum())
    assert judged_scores(0 * Z, Triplets(three), "open") == {"new_agreement": 0.5}
    similar = rng.rand(50) < 0.5
    distances = apart[three[:, 0], three[:, 1]]
    scores = judged_scores(Z, Pairs(three[:, :2], similar), "open", threshold=2.0)
    assert scores["new_pair_auc"] == pytest.approx(roc_auc_score(similar, -distances))
    assert scores["new_pair_accuracy"] == pytest.approx(np.mean((distances <= 2.0) == similar))


def test_words_stand_for_what_learns_from_the_kind():
    X = items()
    for kind, judge in JUDGE.items():
        keys = {
            word: [
                each.key
                for each in Plan.make(learners=word).on(judged_source(X, judge(X))).learners
            ]
            for word in ("default", "linear", "deep", "all", "linear,deep")
        }
        assert set(linear_names(kind)) < set(keys["linear"])
        assert set(loss_names(kind)) < set(keys["deep"])
        assert set(keys["default"]) <= set(keys["all"]) == set(keys["linear"]) | set(keys["deep"])
        assert keys["linear,deep"] == keys["all"]  # which share their baselines
    assert {"itml", "mmc", "sdml"} <= set(linear_names("pairs"))
    assert {"lsml", "scml"} <= set(linear_names("triplets"))


def test_every_linear_learner_and_one_of_the_own_learn_from_judgments():
    X = items(60)
    for kind, judge in JUDGE.items():
        own = [ITML()] if kind == "pairs" else []
        learners = [*linear_names(kind), *own]
        result = compare(
            X, constraints=judge(X, 300), learners=learners, effort="quick", n_folds=2, tune=False
        )
        assert not [row.error for row in result.rows() if row.error]


@pytest.mark.slow
def test_a_network_learns_from_judgments():
    X = items()
    result = compare(
        X,
        constraints=triplets(X, 800),
        learners="euclidean,triplet",
        n_folds=2,
        tune=False,
        effort="quick",
    )
    scores = {row.key: row.mean("agreement") for row in result.rows()}
    assert scores["triplet"] > scores["euclidean"] + 0.1


BAD = [
    ({"constraints": Triplets([[0, 1, 2]] * 19)}, "19 triplets with a weight above 0 are too few"),
    ({"constraints": Triplets([[0, 1, 60]] * 20)}, "names row 60, but X has 60 rows"),
    ({"constraints": Pairs([[0, 1]] * 30, [True] * 30)}, "0 of 30 pairs are dissimilar"),
    ({"constraints": Chunks([0, 0])}, "must be Pairs or Triplets"),
    ({"constraints": Triplets([[0, 1, 2]] * 30)}, "known items: left out"),
    ({"y": [0, 1] * 30}, "take the place of labels; leave y out"),
    ({"split": ["train", "test"] * 30, "task": "classes"}, "leave split, task out"),
    ({"rows": [10]}, "leave rows out"),
    ({"tune": "random"}, "leave tune out"),
    ({"shift": 2}, "leave shift out"),
    ({"features": "timm/resnet18"}, "give True where the rows of X are vectors"),
    ({"learners": "itml"}, "'itml' is not learned from triplets"),
    ({"learners": "proxy_anchor"}, "'proxy_anchor' is not learned from triplets"),
]


@pytest.mark.parametrize(("choices", "message"), BAD)
def test_what_judgments_rule_out_is_one_error(choices, message):
    X = items()
    with pytest.raises(ValueError, match=message):
        compare(X, **{"constraints": triplets(X, 40), "learners": "euclidean", **choices})


def test_the_result_is_shown_written_read_and_made_an_estimator(found, tmp_path, capsys):
    found.show()
    out = capsys.readouterr().out
    kind = found.data.judgments.kind
    assert f"things: 60 items, 6 features, 900 {kind}" in out
    assert "Known items" in out
    assert "(new items)" in out
    assert "class" not in out
    found.to_json(tmp_path / "a.json")
    again = ComparisonResult.from_json(tmp_path / "a.json")
    assert again == found
    found.to_html(tmp_path / "a.html")
    page = read_page(tmp_path / "a.html")
    assert "New items" in page
    assert "known classes" not in page
    assert "Recall@k" not in page
    assert "What the linear metrics learned" in page
    X = items()
    judged = JUDGE[kind](X)
    fitted = again.fit_best(X, constraints=judged)
    assert fitted.transform(X).shape == (60, 6)
    score = judged_scores(fitted.transform(X), judged, "closed")[found.headline("closed")]
    assert score > 0.85
    with pytest.raises(ValueError, match="give them as constraints"):
        found.fit_best(X, np.arange(60) % 2)
    with pytest.raises(ValueError, match="but X has 30 rows"):
        found.fit_best(X[:30], constraints=judged)


def write(folder, kind="triplets", ids="name"):
    X = items()
    names = [f"item {i}" for i in range(60)]
    frame = pd.DataFrame(X, columns=list("abcdef"))
    if ids:
        frame.insert(0, ids, names)
    frame.to_csv(folder / "items.csv", index=False)
    judged = JUDGE[kind](X)
    columns = {"pairs": ["first", "second"], "triplets": ["anchor", "nearer", "farther"]}[kind]
    table = pd.DataFrame(judged.indices, columns=columns)
    if ids:
        table = table.map(names.__getitem__)
    if kind == "pairs":
        table["same"] = np.where(judged.similar, "yes", "no")
    table.to_csv(folder / "judged.csv", index=False)
    return ["compare", str(folder / "items.csv"), f"--{kind}", str(folder / "judged.csv")]


@pytest.mark.parametrize(("kind", "ids"), [("pairs", "name"), ("triplets", None)])
def test_the_command_takes_files_of_judgments(kind, ids, tmp_path, capsys):
    command = write(tmp_path, kind, ids)
    more = [
        "--learners",
        "euclidean,mahalanobislearner",
        "--tune",
        "none",
        "--n-jobs",
        "1",
        "--json",
        str(tmp_path / "a.json"),
    ]
    more += ["--save", str(tmp_path / "model")] if ids else []
    assert cli.main([*command, *more]) == 0
    out = capsys.readouterr().out
    assert f"items: 60 items, 6 features, 900 {kind}" in out
    assert "Is learning a metric worth it? Yes." in out
    X = items()
    result = compare(X, constraints=JUDGE[kind](X), learners="euclidean")
    kept = ComparisonResult.from_json(tmp_path / "a.json")
    assert kept.fold_scores("euclidean", kept.headline("open")) == pytest.approx(
        result.fold_scores("euclidean", result.headline("open"))
    )
    if ids:  # the column of names is none that is learned from
        model, rows = str(tmp_path / "model"), str(tmp_path / "items.csv")
        vectors = load(model).transform(pd.read_csv(rows).drop(columns="name"))
        assert vectors.shape == (60, 6)
        assert cli.main(["embed", model, rows, "--out", str(tmp_path / "e.npy")]) == 0
        np.testing.assert_allclose(np.load(tmp_path / "e.npy"), vectors, rtol=1e-12)


def test_items_may_be_named_by_images_that_are_not_compared(tmp_path, capsys):
    command = write(tmp_path, "pairs", "file")
    for name in ("items.csv", "judged.csv"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(re.sub(r"item (\d+)", r"\1.jpg", text))
    model, rows = str(tmp_path / "model"), str(tmp_path / "items.csv")
    more = ["--learners", "euclidean,mmc", "--tune", "none", "--n-jobs", "1", "--save", model]
    for named in (["--ids", "file"], ["--drop", "file"]):
        assert cli.main([*command, *more, "--save-learner", "mmc", *named]) == 0
        assert cli.main(["embed", model, rows, "--out", str(tmp_path / "e.npy")]) == 0
        assert np.load(tmp_path / "e.npy").shape == (60, 6)
        shutil.rmtree(model)


FAULTS = [
    (["--ids", "size"], None, "--ids size: SOURCE has no such column"),
    (["--ids", "a"], None, "names of judged items are not in it"),
    (["--pairs", "x.csv"], None, "--pairs and --triplets are two kinds"),
    (["--target", "a"], None, "judgments take the place of labels"),
    ([], "anchor,nearer\nitem 1,item 2\n", "must have the columns anchor, nearer, farther"),
    ([], "anchor,nearer,farther\nitem 1,item 2,item 99\n", "no column holds them all"),
    ([], "anchor,nearer,farther\nitem 1,,item 2\n", "1 lines name no item"),
    ([], "anchor,nearer,farther\n", "no judgments"),
]


@pytest.mark.parametrize(("more", "content", "message"), FAULTS)
def test_a_bad_file_of_judgments_is_one_line(more, content, message, tmp_path, capsys):
    command = write(tmp_path)
    if content is not None:
        (tmp_path / "judged.csv").write_text(content)
    assert cli.main([*command, *more]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_words_of_pairs_and_lonely_ids_are_errors(tmp_path, capsys):
    command = write(tmp_path, "pairs")
    table = pd.read_csv(tmp_path / "judged.csv")
    table.replace("no", "maybe").to_csv(tmp_path / "judged.csv", index=False)
    assert cli.main(command) == 2
    assert "column 'same' must say" in capsys.readouterr().err
    assert cli.main(["compare", "wine", "--ids", "a"]) == 2
    assert "--ids names the items" in capsys.readouterr().err


@pytest.mark.parametrize("kind", JUDGE)
def test_lines_of_progress_say_what_was_measured(kind, capsys):
    X = items()
    compare(X, constraints=JUDGE[kind](X), learners="euclidean", n_folds=2, verbose=1)
    lines = capsys.readouterr().err
    measure = {"pairs": "pair AUC", "triplets": "agreement"}[kind]
    assert f"Euclidean (known items, fold 1): {measure} " in lines
    assert f"(new items, fold 1): {measure} on new items " in lines
    assert f"{measure} on new items " in lines.partition("over 2 fits")[0]
    assert " set" not in lines
