"""Scores by training rows, by dimension and by shift."""

import numpy as np
import pytest
from helpers.comparisons import CHEAP, Broken, read_page, without_seconds
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn.compare import ComparisonResult, compare
from metriclearn.compare import _run as run
from metriclearn.compare._learners._learner import Setting
from metriclearn.compare._measuring._splits import make_splits, stratified_order
from metriclearn.compare._plan import task_seed
from metriclearn.compare._roster import (
    ROSTER,
    at_dimension,
)
from metriclearn.compare._running._curves import shift_splits
from metriclearn.mahalanobis._soft_neighbors._nca import NCA


@pytest.fixture(scope="module")
def curved(blobs):
    return compare(
        *blobs,
        learners=[*CHEAP, "nca", Broken()],
        n_folds=3,
        tune=False,
        rows=[50, 20],
        dimensions=[2, 5, 9],
        shift=3,
    )


def test_a_curve_over_rows_is_the_comparison_on_fewer_rows(blobs, curved):
    X, y = blobs
    (curve,) = [c for c in curved.curve("rows", "accuracy") if c.key == "euclidean"]
    assert [point.place for point in curve.points] == [20, 50]
    assert [point.n_folds for point in curve.points] == [3, 3]
    votes = []
    for split in make_splits(y, 3, seed=0)[0]:
        if split.protocol == "closed":
            order = stratified_order(y[split.train], task_seed(0, split.fold, 0))
            rows = split.train[order[:20]]
            nearest = KNeighborsClassifier(3).fit(X[np.sort(rows)], y[np.sort(rows)])
            votes.append(nearest.score(X[split.test], y[split.test]))
    assert curve.points[0].mean == pytest.approx(np.mean(votes))
    assert curve.points[0].std == pytest.approx(np.std(votes, ddof=1))
    (opened,) = [c for c in curved.curve("rows", "map_at_r") if c.key == "euclidean"]
    assert [point.place for point in opened.points] == [20]  # 40 rows of 4 classes


def test_a_curve_leaves_the_table_as_it_is(blobs, curved):
    compared = compare(*blobs, learners=[*CHEAP, Broken()], n_folds=3, tune=False)
    kept = [r for r in curved.records if r.learner != "nca"]
    assert [*map(without_seconds, kept)] == [*map(without_seconds, compared.records)]


@pytest.mark.parametrize("key", ["euclidean", "mahalanobis", "nca"])
def test_a_curve_over_dimensions_sets_the_dimension(curved, key):
    records = [r for r in curved.curve_records if r.axis == "dimensions" and r.learner == key]
    assert {(r.place, r.dimension) for r in records} == {(2, 2), (5, 5)}
    (curve,) = [c for c in curved.curve("dimensions", "accuracy") if c.key == key]
    assert [point.place for point in curve.points] == [2, 5]


def test_all_dimensions_are_the_learner_itself(curved):
    """PCA to as many dimensions as there are is a rotation, which moves no neighbor."""
    rows = {row.key: row for row in curved.rows()}
    for curve in curved.curve("dimensions", "map_at_r"):
        assert curve.points[-1].mean == pytest.approx(rows[curve.key].mean("map_at_r"))


def test_a_curve_over_shift_is_read_by_the_distance(curved):
    shifts = curved.run.axes["shift"]
    assert list(shifts) == sorted(shifts)
    for curve in curved.curve("shift", "recall_at_1"):
        assert [point.place for point in curve.points] == list(shifts)
        assert {point.std for point in curve.points} == {None}


def test_a_learner_with_a_dimension_of_its_own_and_one_without(blobs):
    result = compare(
        *blobs,
        learners={
            "nca": NCA(),
            "scaled": StandardScaler(),
            "piped": make_pipeline(StandardScaler(), NCA()),
        },
        n_folds=2,
        dimensions=[3],
        tune="grid",
        search_spaces={"scaled": {"with_mean": [True, False]}, "nca": {"n_components": [1, 2]}},
    )
    assert {r.dimension for r in result.curve_records} == {3}
    assert result.curve_notes() == []
    assert {r.dimension for r in result.records if r.learner == "nca"} <= {1, 2}
    tried = {r.learner: r.params for r in result.curve_records}
    assert set(tried["scaled"]) == {"metric__with_mean"}
    assert tried["nca"] == {}


def test_deep_learners_have_more_dimensions_than_the_rows(blobs):
    X, y = blobs
    setting = Setting(80, 5, 8, smallest_class=5)
    estimator, grid = ROSTER["arcface"].make(setting)
    estimator, grid, space = at_dimension(estimator, grid, {"metric__n_components": [2]}, 17)
    assert space == {}
    estimator.set_params(metric__max_epochs=1)
    assert estimator.fit(X.astype(np.float32), y).transform(X.astype(np.float32)).shape == (80, 17)


def test_principal_components_grow_with_the_dimension(rng):
    X, y = rng.randn(60, 80), np.repeat(np.arange(3), 20)
    result = compare(X, y, learners=["nca"], n_folds=2, dimensions=[4, 12])
    dimensions = {r.place: r.dimension for r in result.curve_records}
    assert dimensions == {4: 4, 12: 12}


def test_missing_points_say_why(curved):
    assert curved.curve_notes() == [
        f"Broken, curve over {axis}: {n} fits failed: RuntimeError: the machine is on strike"
        for axis, n in (("dimensions", 18), ("rows", 9), ("shift", 3))
    ]


def test_curves_as_a_frame(curved):
    frame = curved.to_frame(curve="dimensions")
    assert list(frame) == ["learner", "measure", "place", "mean", "std", "n_folds"]
    assert len(frame) == 3 * 2 * 5
    with pytest.raises(ValueError, match="axis='depth' was not compared over; there are: rows, di"):
        curved.to_frame(curve="depth")


def test_curves_are_in_the_report_and_in_the_json(curved, tmp_path):
    curved.to_html(tmp_path / "report.html")
    text = read_page(tmp_path / "report.html")
    for heading in ("Score by training rows", "Score by dimension", "Score by shift"):
        assert heading in text
    curved.to_json(tmp_path / "numbers.json")
    assert ComparisonResult.from_json(tmp_path / "numbers.json") == curved


def test_stratified_order_holds_the_shares_of_the_classes(rng):
    y = rng.permutation(np.repeat([0, 1, 2], [100, 50, 4]))
    order = stratified_order(y, 0)
    np.testing.assert_array_equal(np.sort(order), np.arange(154))
    np.testing.assert_array_equal(np.bincount(y[order[:6]]), [2, 2, 2])
    counts = np.bincount(y[order[:77]])
    assert np.all(np.abs(counts - [50, 25, 2]) <= 2)
    assert list(order) == list(stratified_order(y, 0)) != list(stratified_order(y, 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": [15]}, "rows: 15 training rows are too few for 8 classes; give at least 16"),
        ({"rows": [20, 60]}, "rows: 60 is more than the 54 rows of the largest training part"),
        ({"rows": 20}, "rows=.* must be a list of whole numbers of training rows"),
        ({"rows": []}, "rows=.* must be a list"),
        ({"rows": [0.5]}, "rows=.* must be a list"),
        ({"dimensions": [0]}, "dimensions=.* must be a list of whole numbers of dimensions"),
        ({"dimensions": "64"}, "dimensions=.* must be a list"),
        ({"shift": 1}, "shift=1 must be a number of splits, at least 2"),
        ({"shift": True}, "shift=True must be"),
    ],
)
def test_bad_curves_are_one_clear_error(blobs, monkeypatch, arguments, message):
    monkeypatch.setattr(run, "run_task", None)
    with pytest.raises(ValueError, match=message):
        compare(*blobs, learners=CHEAP, n_folds=3, **arguments)


def test_shift_needs_classes():
    y = np.repeat(np.arange(6), 5)
    with pytest.raises(ValueError, match="shift: 6 classes are too few; 7 are needed"):
        compare(np.random.RandomState(0).randn(30, 2), y, learners=CHEAP, shift=3)


def test_splits_that_are_the_same_come_once(blobs):
    splits, shifts = shift_splits(20, *blobs)
    assert len(splits) == len(shifts) == 6  # the ways from easy to hard that 8 classes have
