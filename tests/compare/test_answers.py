"""What is said of the scores: who wins, what is told apart, and the first card."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.comparisons import CLEAR, CLOSE, made_up

from metriclearn.compare import compare
from metriclearn.compare._verdict._answers import QUESTIONS, chance_of
from metriclearn.compare._verdict._conclusions import Price
from metriclearn.compare._verdict._significance import holm, measure_lead
from metriclearn.compare._words import answer_line, price_text, shortlist, verdict_text

RNG = np.random.RandomState(0)
LADDER = {"euclidean": "baseline", "lda": "linear", "net": "deep", "both": "stacked"}


def ladder(scores, validation=None, **facts):
    """A result of one learner of each family: {key: fold scores}."""
    result = made_up(scores)
    learners = tuple(replace(each, family=LADDER.get(each.key, "deep")) for each in result.learners)
    records = [
        replace(
            record,
            validation=record.validation if validation is None else validation[record.learner],
            **facts.get(record.learner, {}),
        )
        for record in result.records
    ]
    return replace(result, learners=learners, records=tuple(records))


GOOD, BAD = [0.95, 0.94, 0.96, 0.95, 0.95], [0.80, 0.81, 0.79, 0.80, 0.80]


def test_the_winner_is_the_best_by_validation_and_keeps_its_test_score():
    scores = {"euclidean": CLOSE["a"], "lda": CLOSE["b"]}
    result = ladder(scores, {"euclidean": 0.1, "lda": 0.2})
    verdict = result.verdict("accuracy")
    assert verdict.winner == "lda"
    assert verdict.score == pytest.approx(np.mean(CLOSE["b"]))
    assert verdict.by_validation
    without = ladder(scores, {"euclidean": None, "lda": None}).verdict("accuracy")
    assert (without.winner, without.by_validation) == ("euclidean", False)


def test_who_has_no_validation_scores_is_compared_by_what_all_have():
    scores = {"euclidean": BAD, "lda": GOOD, "other": CLOSE["a"], "net": CLOSE["b"]}
    validation = {"euclidean": 0.9, "lda": 0.1, "other": 0.9, "net": None}
    result = ladder(scores, validation)
    result = replace(
        result,
        learners=tuple(
            replace(each, family="linear") if each.key == "other" else each
            for each in result.learners
        ),
    )
    verdict = result.verdict("accuracy")
    assert (verdict.winner, verdict.by_validation) == ("lda", False)
    answers = {answer.question: answer for answer in result.answers("closed")}
    assert answers["deep"].against == "lda"  # not "other", by scores that "net" has not


def test_leads_against_many_are_adjusted():
    scores = {"euclidean": BAD, "lda": GOOD, "net": CLOSE["a"]}
    verdict = ladder(scores).verdict("accuracy")
    by_key = {entry.key: entry for entry in verdict.against}
    alone = [measure_lead(np.subtract(GOOD, scores[key]), 800, 200).p_value for key in by_key]
    assert [entry.p_value for entry in by_key.values()] == pytest.approx(holm(alone))


@pytest.mark.parametrize(
    ("scores", "simplest"),
    [
        ({"euclidean": GOOD, "lda": GOOD, "net": GOOD}, "euclidean"),
        ({"euclidean": BAD, "lda": GOOD, "net": GOOD}, "lda"),
        ({"euclidean": BAD, "lda": BAD, "net": GOOD}, "net"),
    ],
)
def test_the_simplest_that_is_not_told_apart_from_the_best_is_named(scores, simplest):
    assert ladder(scores).verdict("accuracy").simplest == simplest


def test_who_is_far_behind_is_not_recommended_where_many_are_tested():
    behind = [0.72, 0.58, 0.82, 0.66, 0.60]
    nets = {f"net {i}": GOOD for i in range(40)}
    verdict = ladder({"euclidean": behind, "lda": GOOD, **nets}).verdict("accuracy")
    (entry,) = [entry for entry in verdict.against if entry.key == "euclidean"]
    assert (entry.lead.is_told, entry.is_told) == (True, False)  # of 40 tests it is no finding
    assert verdict.simplest == "lda"


@pytest.mark.parametrize(
    ("scores", "answers"),
    [
        (
            {"euclidean": BAD, "lda": GOOD, "net": BAD, "both": GOOD},
            {"scaling": "no", "learning": "yes", "deep": "no", "linear_on_deep": "yes"},
        ),
        (
            {"euclidean": GOOD, "lda": GOOD, "net": GOOD, "both": BAD},
            {
                "scaling": "yes",
                "learning": "not clearly",
                "deep": "not clearly",
                "linear_on_deep": "no",
            },
        ),
    ],
)
def test_the_first_card(scores, answers):
    result = ladder(scores)
    assert {answer.question: answer.answer for answer in result.answers("closed")} == answers
    for answer in result.answers("closed"):
        assert answer.lead.low <= answer.lead.mean <= answer.lead.high
        assert answer.price.fit_seconds == 1.0
        assert "95% interval" in answer_line(answer)


def test_a_lead_that_answers_two_questions_is_told_once():
    """In the sentences, on the terminal and in the report; each says its own answer."""
    result = ladder({"euclidean": BAD, "lda": GOOD})
    scaling, learning = result.answers("closed")
    assert scaling.pair == learning.pair
    assert (scaling.answer, learning.answer) == ("no", "yes")
    lines = [line for line in result.sentences() if "worth it" in line or "enough" in line]
    assert "95% interval" in lines[0]
    assert lines[1].endswith(f"Yes. By the same lead, of {' over '.join(learning.pair)}.")
    assert "95% interval" in answer_line(learning)


@pytest.mark.parametrize("n_folds", [1, 2, 3, 4])
def test_fewer_than_five_folds_give_no_verdict(n_folds):
    result = ladder({"euclidean": BAD[:n_folds], "lda": GOOD[:n_folds]})
    verdict = result.verdict("accuracy")
    assert verdict.tied == ()
    assert verdict.simplest is None
    assert not any(entry.is_told for entry in verdict.against)
    assert {answer.answer for answer in result.answers("closed")} == {"too few folds"}
    assert "too few to tell a lead from chance" in verdict_text(verdict, result.run)


def test_what_is_not_told_from_guessing_has_no_winner():
    result = ladder({"euclidean": [0.5, 0.51, 0.49, 0.5, 0.5], "lda": [0.5] * 5})
    verdict = result.verdict("accuracy")
    assert verdict.over_chance is False
    assert "there is no winner" in verdict_text(verdict, result.run)
    assert ladder({"euclidean": BAD, "lda": GOOD}).verdict("accuracy").over_chance


@pytest.mark.parametrize(
    ("better", "said"),
    [
        ([0.5, 0.51, 0.49, 0.5, 0.5], "nothing here is told"),
        ([0.9, 0.91, 0.9, 0.89, 0.9], "; lda is"),
    ],
)
def test_what_is_told_from_guessing_beside_what_validation_chose_is_named(better, said):
    scores = {"euclidean": [0.5, 0.51, 0.49, 0.5, 0.5], "lda": better, "net": [0.5] * 5}
    result = ladder(scores, {"euclidean": 0.6, "lda": 0.5, "net": 0.7})
    assert said in result.answer("scaling").caveat


def test_random_labels_have_no_winner():
    X, y = RNG.randn(150, 4), RNG.randint(0, 2, 150)
    result = compare(X, y, learners="majority,euclidean,standardized,cosine,lda")
    assert result.verdict("accuracy").over_chance is False
    assert all(
        answer.answer != "yes" or answer.question == "scaling"
        for answer in result.answers("closed")
    )


@pytest.mark.parametrize("missing", ["euclidean", "lda", "net"])
def test_a_run_that_was_stopped_before_a_family_had_a_score_gives_no_verdict(missing):
    result = ladder({"euclidean": BAD, "lda": GOOD, "net": GOOD})
    records = tuple(record for record in result.records if record.learner != missing)
    stopped = replace(result, records=records, interrupted="interrupted")
    assert stopped.verdict("accuracy") is None
    assert stopped.answers("closed") == ()
    assert stopped.sentences() == [
        "Closed set: stopped before every family had a score, so there is no verdict."
    ]
    assert replace(result, interrupted="interrupted").verdict("accuracy").winner == "lda"


def test_who_was_still_rising_is_said_in_the_verdict():
    result = ladder({"euclidean": GOOD, "net": GOOD}, net={"rising": True})
    assert result.verdict("accuracy").rising == ("net",)
    assert "Still rising when its training was ended: net." in result.sentences()[0]
    (answer,) = [a for a in result.answers("closed") if a.question == "deep"]
    assert answer.rising == ("net",)


def test_unequal_classes_are_judged_by_the_mean_over_classes():
    y = np.r_[np.zeros(180, int), np.ones(20, int)]
    X = RNG.randn(200, 3)
    result = compare(X, y, learners="majority,euclidean,standardized", n_folds=5)
    assert result.headline("closed") == "balanced_accuracy"
    assert [finding.kind for finding in result.findings] == ["imbalance"]
    rows = {row.key: row for row in result.rows()}
    assert rows["majority"].mean("accuracy") == pytest.approx(0.9)
    assert rows["majority"].mean("balanced_accuracy") == pytest.approx(0.5)
    assert result.verdict("balanced_accuracy").over_chance is False


def test_chance_of_measures_that_have_none():
    assert chance_of("map_at_r", (3, 3)) is None
    assert chance_of("accuracy", ()) is None


def test_unknown_questions_are_one_clear_error():
    with pytest.raises(ValueError, match="question='worth' is not one of scaling, learn"):
        made_up(CLEAR).answer("worth")
    assert set(QUESTIONS) == {"scaling", "learning", "deep", "linear_on_deep"}


def test_many_names_are_cut_short():
    assert shortlist("abc") == "a, b and c"
    assert shortlist("abcdefgh") == "a, b, c, d and 4 others"


def test_several_seeds_and_repeats_are_several_fits(blobs):
    X, y = blobs
    few = X[y < 3], y[y < 3]
    once = compare(*few, learners="euclidean,nca", n_folds=2)
    more = compare(*few, learners="euclidean,nca", n_folds=2, seeds=2, repeats=3)
    assert len(more.records) == 2 * 3 * len(once.records)
    assert more.rows()[0].folds == {"closed": 6}
    seeds = {(record.fold, record.repeat) for record in more.records}
    assert seeds == {(fold, repeat) for fold in range(6) for repeat in range(2)}


def test_prices_are_said_with_their_units_and_once_where_they_are_the_same():
    cheap, dear = Price(0.001, 1.5e-6, 104), Price(1.25, 24e-6, 104)
    assert price_text(cheap, dear) == (
        "a fit takes <0.01 against 1.25 s, embedding a row 1.5 against 24 µs, "
        "its vector 104 bytes on both sides"
    )
    assert price_text(cheap, cheap).startswith("a fit takes <0.01 s on both sides, ")


def test_a_close_call_is_said_beside_its_answer():
    answer = ladder({"euclidean": BAD, "lda": GOOD}).answer("learning")
    assert "close call" not in answer_line(answer)
    close = replace(answer, lead=replace(answer.lead, low=-0.001, high=0.092))
    assert "A close call: " in answer_line(close)
