"""The result: its table, its verdicts, its numbers as a file."""

import json

import pytest
from helpers.comparisons import CLEAR, CLOSE, made_up

from metriclearn.compare import ComparisonResult, RankedComparison


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
    assert "The smallest lead that these folds can detect is" in made_up(CLOSE).sentences()[0]


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
