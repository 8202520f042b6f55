"""Splitters keep classes whole, in scikit-learn's interface."""

import numpy as np
import pytest
from scipy import linalg
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import cross_validate

from metriclearn.metrics import recall_at_1_scorer
from metriclearn.model_selection import (
    ClassDisjointKFold,
    ClassDisjointShuffleSplit,
    ClassShiftSplit,
    OpenSetSplit,
    frechet_distance,
)

SPLITTERS = [
    ClassDisjointKFold(3),
    ClassDisjointKFold(4, shuffle=True, random_state=0),
    ClassDisjointShuffleSplit(6, random_state=0),
    ClassDisjointShuffleSplit(6, test_size=2, random_state=0),
    ClassDisjointShuffleSplit(6, test_size=0.25, train_size=0.5, random_state=0),
]
splitters = pytest.mark.parametrize("splitter", SPLITTERS, ids=repr)


@pytest.fixture
def rows(rng):
    y = rng.permutation(np.repeat(list("abcdefgh"), [1, 2, 3, 4, 5, 6, 7, 8]))
    return rng.randn(len(y), 2), y


@splitters
def test_no_class_is_in_both_parts(splitter, rows):
    X, y = rows
    splits = list(splitter.split(X, y))
    assert len(splits) == splitter.get_n_splits(X, y)
    for train, test in splits:
        assert len(train)
        assert len(test)
        assert not set(y[train]) & set(y[test])
        assert np.all(np.diff(train) > 0)
        assert np.all(np.diff(test) > 0)


@splitters
def test_same_seed_same_splits(splitter, rows):
    for first, second in zip(splitter.split(*rows), splitter.split(*rows), strict=True):
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.parametrize("shuffle", [False, True])
def test_each_class_is_tested_once(rows, shuffle):
    X, y = rows
    splitter = ClassDisjointKFold(3, shuffle=shuffle, random_state=0 if shuffle else None)
    tests = [test for _, test in splitter.split(X, y)]
    np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(len(y)))
    assert sorted(len(set(y[test])) for test in tests) == [2, 3, 3]
    in_order = [sorted(set(y[test])) for test in tests] == [list("abc"), list("def"), list("gh")]
    assert in_order is not shuffle


def test_sizes_count_classes(rows):
    X, y = rows
    for train, test in ClassDisjointShuffleSplit(4, test_size=2, train_size=3).split(X, y):
        assert (len(set(y[train])), len(set(y[test]))) == (3, 2)
    for train, test in ClassDisjointShuffleSplit(4).split(X, y):
        assert (len(set(y[train])), len(set(y[test]))) == (4, 4)


@splitters
def test_works_in_cross_validation(splitter, rng):
    y = np.repeat(np.arange(8), 5)
    X = rng.randn(40, 3) + y[:, None]
    result = cross_validate(PCA(2), X, y, cv=splitter, scoring=recall_at_1_scorer)
    assert np.all((result["test_score"] > 0) & (result["test_score"] <= 1))
    assert clone(splitter, safe=False).get_n_splits() == splitter.get_n_splits()


@pytest.mark.parametrize(
    ("splitter", "y", "message"),
    [
        (ClassDisjointKFold(), [0, 1, 1, 2], "cannot split the 3 classes of y .*n_splits=5"),
        (ClassDisjointKFold(1), [0, 1], "n_splits=2 or more"),
        (ClassDisjointShuffleSplit(), [1, 1, 1], "cannot split the 1 classes of y"),
        (ClassDisjointShuffleSplit(test_size=3), [1, 2, 3], "test_size=3"),
        (ClassDisjointKFold(2), [0.5, 1.2], "continuous"),
        (ClassDisjointKFold(2), None, "y is missing"),
    ],
)
def test_too_few_classes_is_one_clear_error(splitter, y, message):
    with pytest.raises(ValueError, match=message):
        list(splitter.split(np.zeros((4 if y is None else len(y), 1)), y))


# --- train, validation and test classes ---------------------------------------------------


def letters(y, rows):
    return "".join(sorted(set(y[rows])))


def test_second_half_of_the_classes_is_the_test_part(rows):
    X, y = rows
    (parts,) = OpenSetSplit(validation_size=0.25).split(X, y)
    assert [letters(y, part) for part in parts] == ["abc", "d", "efgh"]
    (parts,) = OpenSetSplit(test_size=2, validation_size=2).split(X, y)
    assert [letters(y, part) for part in parts] == ["abcd", "ef", "gh"]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(y)))


def test_folds_of_the_other_classes_validate_in_turn(rows):
    X, y = rows
    splitter = OpenSetSplit(n_folds=4)
    splits = list(splitter.split(X, y))
    assert splitter.get_n_splits() == len(splits) == 4
    assert [letters(y, validation) for _, validation, _ in splits] == list("abcd")
    assert {letters(y, test) for _, _, test in splits} == {"efgh"}
    assert letters(y, splits[1][0]) == "acd"


def test_classes_dealt_at_random_are_repeatable(rows):
    X, y = rows
    first, again, other = (
        [
            letters(y, part)
            for part in next(iter(OpenSetSplit(shuffle=True, random_state=s).split(X, y)))
        ]
        for s in (0, 0, 1)
    )
    assert first == again != other
    assert sorted("".join(first)) == list("abcdefgh")
    assert repr(OpenSetSplit(test_size=3)).startswith("OpenSetSplit(test_size=3, ")


def test_presets_are_the_fixed_tenth_and_ten_folds(rng):
    y = rng.permutation(np.repeat(np.arange(40), 3))
    X = np.zeros((120, 1))
    (fixed,) = OpenSetSplit.preset("fixed").split(X, y)
    classes = [set(y[part]) for part in fixed]
    assert [len(part) for part in classes] == [18, 2, 20]
    assert classes[0] | classes[1] == set(range(20))
    assert classes[2] == set(range(20, 40))
    folds = list(OpenSetSplit.preset("ten_folds").split(X, y))
    assert len(folds) == OpenSetSplit.preset("ten_folds").get_n_splits() == 10
    validated = np.concatenate([np.unique(y[validation]) for _, validation, _ in folds])
    np.testing.assert_array_equal(np.sort(validated), np.arange(20))
    assert all(set(y[test]) == set(range(20, 40)) for _, _, test in folds)
    assert all(not set(y[a]) & set(y[b]) for a, b, _ in folds)
    with pytest.raises(ValueError, match="preset='halves' is unknown; there are: fixed, ten_folds"):
        OpenSetSplit.preset("halves")


def test_random_validation_classes_leave_the_test_part_alone(rng):
    y = rng.permutation(np.repeat(np.arange(40), 3))
    X, drawn = np.zeros((120, 1)), []
    (last,) = OpenSetSplit().split(X, y)
    for seed in range(100):
        ((train, validation, test),) = OpenSetSplit(validation="random", random_state=seed).split(
            X, y
        )
        np.testing.assert_array_equal(test, last[2])
        assert set(y[train]) | set(y[validation]) == set(range(20))
        assert not set(y[train]) & set(y[validation])
        drawn.append(tuple(np.unique(y[validation])))
    assert set(np.concatenate(drawn)) == set(range(20))
    again = OpenSetSplit(validation="random", random_state=99).split(X, y)
    assert tuple(np.unique(y[next(again)[1]])) == drawn[-1]
    with pytest.raises(ValueError, match="validation must be one of"):
        list(OpenSetSplit(validation="first").split(X, y))


@pytest.mark.parametrize("n_classes", [3, 4, 5, 8])
def test_a_fraction_leaves_each_part_a_class(n_classes):
    y = np.repeat(np.arange(n_classes), 2)
    for test_size in (0.01, 0.5, 0.99):
        ((train, validation, test),) = OpenSetSplit(test_size=test_size).split(y[:, None], y)
        assert min(len(train), len(validation), len(test)) > 0
        assert len(train) + len(validation) + len(test) == len(y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test_size": 8}, "test_size=8 of 8 classes leaves a part without"),
        ({"test_size": 1.5}, "test_size=1.5"),
        ({"validation_size": 0}, "validation_size=0 of 4 classes"),
        ({"test_size": 7}, "test_size=7 of 8 classes .* a number from 1 to 6"),
        ({"validation_size": 4}, "validation_size=4 of 4 classes .* a number from 1 to 3"),
        ({"n_folds": 5}, "n_folds=5 must be from 2 to 4"),
    ],
)
def test_parts_without_a_class_are_refused(rows, arguments, message):
    with pytest.raises(ValueError, match=message):
        list(OpenSetSplit(**arguments).split(*rows))


# --- growing shift ------------------------------------------------------------------------


def test_frechet_distance_of_gaussians(rng):
    A, B = rng.randn(40, 4), 2 * rng.randn(50, 4) @ rng.randn(4, 4) + 1
    S_a, S_b = np.cov(A.T, bias=True), np.cov(B.T, bias=True)
    expected = np.sum((A.mean(axis=0) - B.mean(axis=0)) ** 2)
    expected += np.trace(S_a + S_b - 2 * linalg.sqrtm(S_a @ S_b).real)
    assert frechet_distance(A, B) == pytest.approx(expected)
    assert frechet_distance(A, A[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(A, A + 3) == pytest.approx(36)
    assert frechet_distance(A[:2], B[:3]) > 0  # fewer rows than features
    for unit in (2.0**500, 2.0**-500):
        assert frechet_distance(unit * A, unit * B) == unit**2 * frechet_distance(A, B)
    with pytest.raises(ValueError, match="no finite number"):
        frechet_distance([[0.0]], [[1e155]])
    with pytest.raises(ValueError, match="A has 4 features and B has 3"):
        frechet_distance(A, B[:, :3])


@pytest.mark.parametrize("n_classes", [4, 7, 12, 13])
def test_shift_rises_and_classes_stay_whole(rng, n_classes):
    y = rng.permutation(np.repeat(np.arange(n_classes), 6))
    X = rng.randn(n_classes, 3)[y] * [4, 1, 1] + 0.1 * rng.randn(len(y), 3)
    splitter = ClassShiftSplit(4)
    splits, shifts = list(splitter.split(X, y)), splitter.shifts(X, y)
    assert len(splits) == splitter.get_n_splits() == 4
    assert np.all(np.diff(shifts) >= 0)
    assert shifts[-1] > 1.5 * shifts[0]
    means = np.array([X[y == c].mean(axis=0) for c in range(n_classes)])
    along = means @ np.linalg.eigh(np.cov(means.T))[1][:, -1]  # the main direction of the classes
    ends = [along[list(set(y[part]))] for part in splits[-1]]
    assert ends[0].max() < ends[1].min() or ends[1].max() < ends[0].min()
    for (train, test), shift in zip(splits, shifts, strict=True):
        assert not set(y[train]) & set(y[test])
        assert len(set(y[test])) == n_classes // 2
        assert len(train) + len(test) == len(y)
        assert frechet_distance(X[train], X[test]) == pytest.approx(shift)


@pytest.mark.parametrize(("n_classes", "n_splits"), [(4, 2), (6, 4), (7, 4), (8, 5), (10, 6)])
def test_no_two_shifts_are_the_same_split(n_classes, n_splits):
    y = np.repeat(np.arange(n_classes), 2)
    tests = [tuple(test) for _, test in ClassShiftSplit(n_splits).split(y[:, None] ** 1.5, y)]
    assert len(set(tests)) == n_splits


@pytest.mark.parametrize(
    ("splitter", "y", "message"),
    [
        (ClassShiftSplit(1), [0, 1, 2, 3], "n_splits must be an integer of at least 2, got 1"),
        (ClassShiftSplit(2.5), [0, 1, 2, 3], "n_splits must be an integer of at least 2, got 2.5"),
        (OpenSetSplit(), [0, 1, 1, 1], "y has 2 classes, at least 3 are needed"),
        (ClassShiftSplit(), [0, 1, 2, 2], "y has 3 classes, at least 4"),
        (ClassShiftSplit(), None, "y is missing: ClassShiftSplit"),
    ],
)
def test_shift_needs_classes_to_exchange(splitter, y, message):
    with pytest.raises(ValueError, match=message):
        list(splitter.split(np.zeros((4, 2)), y))


@pytest.mark.parametrize(
    "y", [[np.nan, 0.0, 1.0, 1.0], np.array([np.nan, 1.0, 0.0, 0.0]), ["a", None, "b", "b"]]
)
@pytest.mark.parametrize(
    "splitter",
    [ClassDisjointKFold(2), ClassDisjointShuffleSplit(2), OpenSetSplit(), ClassShiftSplit()],
)
def test_missing_labels_are_one_error(splitter, y):
    with pytest.raises(ValueError, match="y contains"):
        list(splitter.split(np.zeros((4, 1)), y))
