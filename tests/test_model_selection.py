"""Splitters keep classes whole, in scikit-learn's interface."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import cross_validate

from metriclearn.metrics import recall_at_1_scorer
from metriclearn.model_selection import ClassDisjointKFold, ClassDisjointShuffleSplit

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
