"""What the report says of classes, of their number, of columns and of training."""

import re
from dataclasses import replace

import numpy as np
import pytest
from helpers.comparisons import CLEAR, made_up, read_page
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn import RCA
from metriclearn.compare import compare
from metriclearn.compare._measuring._pictures import learned_matrix
from metriclearn.compare._records import ByClass, Growth, Matrix, Trial
from metriclearn.compare._report._classes import MOST_CLASSES, class_table
from metriclearn.compare._report._explore import two_metrics
from metriclearn.compare._report._lines import (
    growth_chart,
    growth_curves,
    growth_table,
    training_cards,
)
from metriclearn.compare._report._matrices import column_table


def _with(result, **details):
    """The same details in every record."""
    return replace(result, records=tuple(replace(r, **details) for r in result.records))


def test_two_metrics_are_those_of_the_question_whether_deep_is_worth_it():
    result = made_up({"line": CLEAR["a"], "poor": CLEAR["b"], "deep one": CLEAR["b"]})
    assert two_metrics(result, "closed") == ("line", "deep one")
    assert len(two_metrics(made_up({"a": CLEAR["a"], "b": CLEAR["b"]}), "closed")) == 2
    assert two_metrics(made_up({"a": CLEAR["a"]}), "closed") == ("a",)


def test_classes_are_summed_over_folds_worst_first():
    told = ByClass((0, 1), (10, 5), (9, 5), ((0, 1, 1),))
    result = _with(made_up({"a": CLEAR["a"]}), by_class=told)
    result = replace(result, data=replace(result.data, class_names=("good", "bad")))
    table = class_table(result, "closed", ("a",))
    assert table.names == ("a",)
    assert table.rows == (
        ("good", 50, ((0.9, (("bad", 5),)),)),
        ("bad", 25, ((1.0, ()),)),
    )
    assert table.n_left_out == 0


def test_of_many_classes_the_worst_are_shown():
    n = MOST_CLASSES + 7
    told = ByClass(tuple(range(n)), (100,) * n, tuple(range(n)))
    result = _with(made_up({"a": CLEAR["a"]}), by_class=told)
    result = replace(result, data=replace(result.data, class_names=tuple(map(str, range(n)))))
    table = class_table(result, "closed", ("a",))
    assert [name for name, *_ in table.rows] == [str(i) for i in range(MOST_CLASSES)]
    assert table.n_left_out == 7


def test_without_details_there_is_no_table():
    assert class_table(made_up({"a": CLEAR["a"]}), "closed", ("a",)) is None
    assert growth_curves(made_up({"a": CLEAR["a"]}), "closed") == ([], 0)


@pytest.mark.parametrize(("n_classes", "extrapolated"), [(6, False), (20, True)])
def test_growth_is_marked_where_it_is_extrapolated(n_classes, extrapolated):
    kept = Growth(n_classes, ((0, 90), (1, 6), (4, 4)))
    curves, n_tested = growth_curves(_with(made_up(CLEAR), growth=kept), "closed")
    assert n_tested == n_classes
    ((_, curve),) = curves  # one of the family
    assert curve[n_classes] == pytest.approx(0.9)
    assert curve[2] == pytest.approx(1 - (6 * 1 + 4 * 4) / (n_classes - 1) / 100)
    marks, rows = growth_table(curves, n_tested)
    assert str(n_classes) in marks
    assert [mark.endswith("*") for mark in marks].count(True) == (2 if extrapolated else 0)
    assert rows[0][1][marks.index(str(n_classes))] == "90.0"
    chart = growth_chart(curves, n_tested, "growth")
    assert ("extrapolated" in chart) is extrapolated


def test_growth_of_few_classes_is_not_drawn():
    kept = Growth(4, ((0, 9), (1, 1)))
    assert growth_curves(_with(made_up(CLEAR), growth=kept), "closed") == ([], 0)


def test_columns_are_shares_of_all_and_the_largest_first():
    names = [f"c{i}" for i in range(30)]
    one = Matrix((), 30, "features", tuple(float(i) for i in range(30)))
    other = Matrix((), 30, "features", (90.0, *29 * (0.0,)))
    metrics, rows, n_left_out = column_table([("one", one, names), ("other", other, names)])
    assert metrics == ["one", "other"]
    assert rows[0] == ("c0", [0.0, 1.0])
    assert rows[1] == ("c29", [29 / 435, 0.0])
    assert len(rows) + n_left_out == 30
    assert column_table([]) == ([], [], 0)


@pytest.mark.parametrize("k", [2, 5])
@pytest.mark.parametrize("steps", [[], [PCA(2)]], ids=["selected", "selected, then PCA"])
def test_columns_that_were_left_out_contribute_nothing(k, steps):
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1], 30)
    X = rng.randn(60, 5)
    X[:, [1, 3]] += 4 * y[:, None]
    fitted = make_pipeline(StandardScaler(), SelectKBest(k=k), *steps, RCA()).fit(X, y)
    matrix = learned_matrix(fitted, X)
    assert matrix.space == ("principal components" if steps else "features")
    assert len(matrix.weights) == 5
    assert sum(weight > 0 for weight in matrix.weights) == k
    # RCA's metric grows with what differs between the classes, which these two columns do.
    if not steps:
        assert set(np.argsort(matrix.weights)[-2:]) == {1, 3}


@pytest.mark.parametrize("rising", [True, False])
def test_training_says_whether_it_was_still_rising(rising):
    trial = Trial({}, 0.98, epochs=20, rising=rising, reached=((10, 0.9), (20, 0.98)))
    result = _with(made_up({"deep one": CLEAR["a"]}), losses=(0.5, 0.1), tuning=(trial,))
    (card,) = training_cards(result, "closed")
    assert "loss 0.5 to 0.1" in card.text
    assert "90.0% after 10, 98.0% after 20" in card.text
    assert ("Still rising" in card.text) is rising
    assert "<svg" in card.svg


def test_the_report_shows_them_escaped(tmp_path):
    pandas = pytest.importorskip("pandas")
    rng = np.random.RandomState(0)
    y = np.repeat([f"<i>{i}" for i in range(6)], 10)
    X = np.repeat(rng.randn(6, 3), 10, axis=0) + rng.randn(60, 3)
    frame = pandas.DataFrame(X, columns=["<b>bold", "a & b", "c"])
    result = compare(frame, y, learners=["euclidean", "mahalanobis"], n_folds=2)
    result.to_html(tmp_path / "report.html")
    text = read_page(tmp_path / "report.html")
    headings = re.findall("<h2>(.*?)</h2>", text)
    wanted = ["More classes", "Class by class", "What each column contributes"]
    assert [heading for heading in headings if heading in wanted] == wanted
    assert "&lt;b&gt;bold" in text
    assert "<b>bold" not in text
    assert "<i>" not in text
