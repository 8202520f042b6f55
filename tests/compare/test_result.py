"""The result: its table, its verdicts, its numbers as a file."""

import json
import re

import numpy as np
import pytest
from helpers.comparisons import CLEAR, CLOSE, made_up

from metriclearn.compare import ComparisonResult, RankedComparison
from metriclearn.compare._verdict._significance import detectable


def test_frame_is_the_table_best_first(compared):
    frame = compared.to_frame()
    assert list(frame["learner"])[-1] == "Broken"
    assert {"accuracy", "accuracy_std", "map_at_r", "fit_seconds", "dimension"} <= set(frame)
    finished = frame["accuracy"].dropna()
    assert list(finished) == sorted(finished, reverse=True)
    folds = compared.to_frame(per_fold=True)
    assert len(folds) == 3 * 2 * 3
    mean = folds.query("learner == 'Euclidean'")["recall_at_1"].mean()
    row = frame[frame["learner"] == "Euclidean"].iloc[0]
    assert row["recall_at_1"] == pytest.approx(mean)


def test_json_round_trip(compared, tmp_path):
    path = tmp_path / "numbers.json"
    compared.to_json(path)
    again = ComparisonResult.from_json(path)
    assert again == compared
    assert again.rows() == compared.rows()
    document = json.loads(path.read_text())
    assert document["run"]["seed"] == 0
    assert set(document["run"]["versions"]) >= {"metriclearn", "python", "numpy", "torch"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["numbers.json"]


@pytest.mark.parametrize("write", ["to_html", "to_json"])
def test_a_file_that_cannot_be_written_is_one_clear_error(tmp_path, write):
    with pytest.raises(ValueError, match=rf"{write}: .*no/r: there is no folder .*no; make it"):
        getattr(made_up(CLEAR), write)(tmp_path / "no" / "r")
    with pytest.raises(ValueError, match=f"{write}: .*: is a folder"):
        getattr(RankedComparison([made_up(CLEAR)]), write)(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", '{"format": "another"}'])
def test_another_json_file_is_refused(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"other\.json is not (a metriclearn|valid JSON)"):
        ComparisonResult.from_json(path)


def test_a_lead_within_noise_is_a_tie():
    verdict = made_up(CLOSE).verdict("accuracy")
    assert verdict.winner == "a"
    assert verdict.tied == ("b",)
    assert "Not told apart from it: b." in made_up(CLOSE).sentences()[0]
    assert "smallest lead of a that these folds can detect is" in made_up(CLOSE).sentences()[0]


@pytest.mark.parametrize("n_left", [1, 2, 4])
def test_an_interrupt_leaves_some_learners_with_fewer_folds(n_left):
    noisy = [0.90, 0.88, 0.93, 0.91, 0.89]
    left = [score - 0.02 for score in noisy[:n_left]]
    few = made_up({"a": noisy, "deep": left})
    assert "Not told apart from it: deep." in str(few)
    assert "can detect" not in str(few)
    more = made_up({"a": noisy, "b": noisy[::-1], "deep": left})
    assert "The smallest lead of a that these folds can detect is" in str(more)
    assert "by the other" not in str(more)


def test_no_lead_that_is_not_told_is_above_the_smallest_that_is_said(rng):
    """Of winners and of answers: a reader sees leads, intervals and what could be detected."""
    n_tied = 0
    for spread in (0.003, 0.02, 0.06):
        for _ in range(15):
            lead = rng.uniform(0, 0.1, 6)[:, None] + spread * rng.randn(6, 5)
            result = made_up({f"m{i}": list(np.clip(0.8 + s, 0, 1)) for i, s in enumerate(lead)})
            verdict = result.verdict("accuracy")
            tied = [entry for entry in verdict.against if not entry.is_told]
            n_tied += len(tied)
            said = re.findall(r"can detect is ([\d.]+)(?: to ([\d.]+))? points", str(result))
            assert len(said) == bool(tied)
            if tied:
                largest = float(said[0][1] or said[0][0])
                assert all(100 * abs(entry.lead.mean) <= largest + 0.051 for entry in tied)
                least, _ = detectable([entry.lead for entry in tied], 1)
                assert all(abs(e.lead.mean) <= s for e, s in zip(tied, least, strict=True))
    assert n_tied > 50


def test_a_result_is_shown_by_its_findings():
    result = made_up(CLEAR)
    assert repr(result).splitlines()[0].startswith("ComparisonResult of made up: ")
    assert repr(result).splitlines()[1:] == result.sentences()


def test_a_clear_lead_is_beyond_noise():
    verdict = made_up(CLEAR).verdict("accuracy")
    assert verdict.tied == ()
    assert verdict.against[0].lead.mean == pytest.approx(0.10)
    assert "beyond the noise of the folds" in made_up(CLEAR).sentences()[0]


def test_deep_or_linear_compares_the_best_of_each():
    result = made_up({"deep one": CLEAR["b"], "deep two": CLEAR["a"], "line": CLOSE["b"]})
    question = result.deep_or_linear("accuracy")
    assert (question.learner, question.against) == ("deep two", "line")
    assert made_up(CLEAR).deep_or_linear("accuracy") is None


def test_an_unknown_measure_is_one_clear_error(compared):
    with pytest.raises(ValueError, match="measure='f1' is unknown; there are accuracy"):
        compared.fold_scores("euclidean", "f1")
