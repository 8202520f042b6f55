"""Whole comparisons, which take minutes: everyone takes part, and wide tables are not misjudged."""

import numpy as np
import pytest

from metriclearn import cli
from metriclearn.compare import ComparisonResult, compare
from metriclearn.compare._roster import GROUPS, ROSTER

pytestmark = pytest.mark.slow


@pytest.mark.timeout(3600)  # some 140 learners
def test_every_learner_and_loss_runs_on_wine(tmp_path):
    path = tmp_path / "wine.json"
    command = ["compare", "wine", "--learners", "all", "--effort", "quick", "--folds", "2"]
    command += ["--json", str(path)]
    assert cli.main(command) == 0
    result = ComparisonResult.from_json(path)
    asked = {key for key in GROUPS["all"] if not ROSTER[key].needs_wide}
    assert {learner.key for learner in result.learners} == asked
    assert {row.name: row.error for row in result.rows() if row.error} == {}
    # Half of the rows right, at least: the largest class is 40 % of them.
    poor = {row.name: row.mean("accuracy") for row in result.rows() if row.key != "majority"}
    assert {name: score for name, score in poor.items() if score < 0.5} == {}


def columns_5000(seed):
    """Make 600 rows of 5,000 columns, of which 30 tell six classes apart."""
    rng = np.random.RandomState(seed)
    y = np.arange(600) % 6
    X = rng.randn(600, 5000)
    informative = rng.choice(5000, 30, replace=False)
    X[:, informative] += 1.2 * rng.randn(6, 30)[y]
    return X, y


def test_deep_is_not_worth_it_where_few_of_many_columns_count():
    learners = "euclidean,standardized,selected,lda,lmnn,triplet,proxy_anchor"
    result = compare(*columns_5000(seed=0), learners=learners, effort="quick")
    assert [finding.kind for finding in result.findings] == ["wide"]
    rows = {row.key: row.mean("accuracy") for row in result.rows()}
    assert max(rows.values()) >= 0.95
    assert rows["euclidean"] < 0.7
    for protocol in result.protocols:
        (answer,) = (a for a in result.answers(protocol) if a.question == "deep")
        assert answer.answer != "yes"
