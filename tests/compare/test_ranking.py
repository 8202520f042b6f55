"""Several data sets: the ranks of the learners."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.comparisons import CHEAP, CLEAR, Broken, made_up, read_page
from scipy.stats import rankdata

from metriclearn.compare import RankedComparison, compare
from metriclearn.compare import _run as run
from metriclearn.compare._mean_ranks import make_ranking
from metriclearn.compare._plain import to_plain
from metriclearn.compare._records import LearnerFacts
from metriclearn.compare._running._protocol import run_task
from metriclearn.compare._verdict._conclusions import Friedman, Ranked, Ranking
from metriclearn.compare._words import ranking_text


@pytest.fixture(scope="module")
def ranked(blobs):
    X, y = blobs
    rng = np.random.RandomState(1)
    few = y < 4
    datasets = {
        "blobs": (X, y),
        "noisy": (X + 2 * rng.randn(*X.shape), y),
        "few": (X[few], y[few]),
        "scaled": (X * [1, 1, 1, 30, 30], y),
    }
    learners = [*CHEAP, "standardized", Broken()]
    return compare(learners=learners, datasets=datasets, n_folds=2), datasets


def test_ranks_are_those_of_the_scores(ranked):
    result, datasets = ranked
    ranking = result.ranks("accuracy")
    assert ranking.datasets == tuple(datasets)
    frame = result.to_frame()
    assert list(frame["mean_rank"]) == sorted(frame["mean_rank"])
    scores = frame[list(datasets)].to_numpy()
    for column, (X, y) in zip(scores.T, datasets.values(), strict=True):
        alone = compare(X, y, learners=["mahalanobis"], n_folds=2).rows()[0].mean("accuracy")
        assert column[list(frame["learner"]).index("Mahalanobis (whitened)")] == alone
    ranks = rankdata(-np.nan_to_num(scores.T, nan=-1), axis=1).mean(axis=0)
    np.testing.assert_allclose(frame["mean_rank"], ranks)
    assert list(frame["learner"])[-1] == "Broken"
    assert ranking.critical_difference == pytest.approx(2.569 * np.sqrt(20 / 24), abs=1e-3)
    assert 0 < ranking.friedman.p_value < 1


def test_a_protocol_is_ranked_on_the_data_sets_that_have_it(ranked):
    assert ranked[0].ranks("map_at_r").datasets == ("blobs", "noisy", "scaled")
    assert len(ranked[0].sentences()) == 2
    assert "on 4 data sets" in ranked[0].sentences()[0]
    shown = repr(ranked[0]).splitlines()
    assert shown[0].startswith("RankedComparison on blobs, ")
    assert shown[1:] == ranked[0].sentences()


def test_ranks_in_report_json_and_picture(ranked, tmp_path):
    from matplotlib import pyplot

    result = ranked[0]
    result.to_html(tmp_path / "r.html")
    text = read_page(tmp_path / "r.html")
    assert "4 data sets: which distance?" in text
    assert "critical difference 2.35" in text
    assert "on strike" in text
    result.to_json(tmp_path / "r.json")
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["ranks"]["accuracy"] == to_plain(result.ranks("accuracy"))
    assert RankedComparison.from_json(tmp_path / "r.json") == result
    assert len(document["comparisons"]) == 4
    display = result.plot("map_at_r")
    assert display.names == list(result.to_frame("map_at_r")["learner"])
    pyplot.close(display.figure_)


def test_deep_or_linear_by_mean_ranks(tmp_path):
    def data_set(name, deep, line):
        result = made_up({"deep one": [deep] * 3, "line": [line] * 3, "deep two": [0.1] * 3})
        return replace(result, data=replace(result.data, name=name))

    near = RankedComparison([data_set("a", 0.9, 0.8), data_set("b", 0.7, 0.8)])
    question = near.deep_or_linear()
    assert (question.deep, question.linear) == ("deep one", "line")
    assert question.lead == pytest.approx(0)
    assert not question.beyond_noise
    far = RankedComparison([data_set(str(i), 0.05, 0.8) for i in range(12)])
    question = far.deep_or_linear()
    assert (question.deep, question.lead) == ("deep two", -1)
    assert question.beyond_noise  # 1 is more than 0.957
    assert far.sentences()[1].startswith("Deep or linear, on known classes: deep two has mean rank")
    far.to_html(tmp_path / "r.html")
    assert "Is a deep metric worth it?" in read_page(tmp_path / "r.html")
    linear = RankedComparison([made_up(CLEAR), made_up(CLEAR)])
    assert linear.deep_or_linear() is None


def test_a_report_without_ranks_says_why(tmp_path):
    alone = RankedComparison([made_up({"a": CLEAR["a"]})] * 2)
    assert alone.ranks() is None
    assert alone.deep_or_linear() is None
    alone.to_html(tmp_path / "r.html")
    text = read_page(tmp_path / "r.html")
    assert "1 metric ranked on" in text
    assert "at least two metrics on two data sets are needed" in text


def test_words_of_ranks():
    def ranking(mean_ranks, p_value, difference):
        learners = tuple(
            Ranked(name, name, "linear", rank, ())
            for name, rank in zip("abc", mean_ranks, strict=True)
        )
        friedman = Friedman(0.0, 0.0, p_value)
        return Ranking("accuracy", tuple("123456"), learners, difference, friedman, ())

    assert ranking_text(ranking([1.1, 2.2, 2.7], 0.01, 1.0)).endswith(
        "every other learner is worse."
    )
    assert ranking_text(ranking([1.1, 2.0, 2.9], 0.01, 1.0)).endswith("from it: b.")
    assert "finds no difference (p = 0.3)" in ranking_text(ranking([1.9, 2.0, 2.1], 0.3, 1.0))


def test_an_interrupt_keeps_the_data_sets_that_are_finished(blobs, monkeypatch):
    def stop_at_other(task, X, y):
        if len(X) == 40:
            raise KeyboardInterrupt
        return run_task(task, X, y)

    monkeypatch.setattr(run, "run_task", stop_at_other)
    X, y = blobs
    result = compare(
        learners=CHEAP, datasets={"a": (X, y), "b": (X[:40], y[:40]), "c": (X, y)}, n_folds=2
    )
    assert [comparison.data.name for comparison in result.comparisons] == ["a"]
    assert result.interrupted == "interrupted before b"
    assert result.ranks("accuracy") is None
    with pytest.raises(ValueError, match="measure='accuracy' is there for fewer than two"):
        result.to_frame()


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ("digits", "datasets must be a dict of name to .* or a list, got 'digits'"),
        ({"a": (np.ones((6, 1)), [0, 0, 0, 1, 1, 1])}, "datasets has 1; ranks need at least 2"),
        ({"a": np.ones((6, 1)), "b": 3}, r"datasets\['a'\] must be a pair"),
        (["iris", "iris"], "datasets has 'iris' twice"),
        (["iris", "no such"], "unknown source 'no such'"),
        (
            {"a": (np.ones((6, 1)), [0] * 6), "b": 3},
            r"datasets\['a'\]: y has one class only",
        ),
    ],
)
def test_bad_data_sets_are_one_clear_error(monkeypatch, datasets, message):
    monkeypatch.setattr(run, "run_task", None)
    with pytest.raises(ValueError, match=message):
        compare(learners=CHEAP, datasets=datasets)


def test_data_sets_or_rows_but_not_both(blobs):
    with pytest.raises(ValueError, match="datasets and X, y are two answers"):
        compare(*blobs, learners=CHEAP, datasets=["iris", "wine"])


#: Rank sums of ten learners over twelve experiments, as a thesis on deep metrics reports them.
RANK_SUMS = [12, 38, 51, 52, 54, 70, 79, 81, 103, 120]


def ranks_with(sums, n_experiments, rng):
    """Some ranks, a permutation in each experiment, that have these sums."""
    ranks = np.array([rng.permutation(len(sums)) + 1 for _ in range(n_experiments)])
    error = np.abs(ranks.sum(axis=0) - sums).sum()
    while error:
        row, (i, j) = rng.randint(n_experiments), rng.choice(len(sums), 2, replace=False)
        ranks[row, [i, j]] = ranks[row, [j, i]]
        now = np.abs(ranks.sum(axis=0) - sums).sum()
        if now > error:
            ranks[row, [i, j]] = ranks[row, [j, i]]
        else:
            error = now
    return ranks


def test_a_published_tournament():
    rng = np.random.RandomState(0)
    ranks = ranks_with(RANK_SUMS, 12, rng)
    learners = [LearnerFacts(name, name, "deep") for name in "abcdefghij"]
    names = [f"e{i}" for i in range(12)]
    ranking = make_ranking("map_at_r", names, learners, -ranks.astype(float))
    assert [12 * each.mean_rank for each in ranking.learners] == pytest.approx(RANK_SUMS)
    assert [each.name for each in ranking.learners] == list("abcdefghij")
    chi2 = 12 / (12 * 10 * 11) * np.sum(np.square(RANK_SUMS)) - 3 * 12 * 11
    assert ranking.friedman.chi2 == pytest.approx(chi2)
    assert ranking.friedman.p_value < 1e-6
    assert ranking.critical_difference == pytest.approx(3.164 * np.sqrt(110 / 72), abs=5e-3)
    assert ranking.groups[0] == tuple("abcde")
    assert ranking.groups[-1] == tuple("ghij")


def test_dimensions_are_experiments(blobs, capsys):
    learners = "euclidean,standardized,nca"
    result = compare(*blobs, learners=learners, n_folds=2, dimensions=[2, 3, 4])
    ranking = result.ranks()
    assert ranking.measure == "map_at_r"
    assert ranking.datasets == ("2", "3", "4")
    assert sum(each.mean_rank for each in ranking.learners) == pytest.approx(6)
    result.show()
    assert "Mean ranks over dimensions by MAP@R %" in capsys.readouterr().out
