"""Pairs as LFW's: folds of disjoint identities, thresholds chosen elsewhere."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import PredefinedSplit, cross_val_score

from metriclearn import Covariance
from metriclearn.metrics import verification_accuracy, verification_pairs
from metriclearn.metrics._protocol import _pair
from metriclearn.verification import PairClassifier


@pytest.fixture
def identities(rng):
    """Some with many rows, some with one."""
    return rng.permutation(np.repeat(np.arange(60), 1 + np.arange(60) % 9))


def test_pairs_are_distinct_and_folds_share_no_identity(identities):
    indices, same, folds = verification_pairs(identities, n_folds=4, n_pairs=50, random_state=0)
    assert len({frozenset(pair) for pair in indices.tolist()}) == len(indices) == 400
    np.testing.assert_array_equal(identities[indices[:, 0]] == identities[indices[:, 1]], same)
    np.testing.assert_array_equal(np.bincount(folds, same), [50] * 4)
    np.testing.assert_array_equal(np.bincount(folds), [100] * 4)
    seen = [set(identities[indices[folds == fold]].ravel()) for fold in range(4)]
    assert sum(map(len, seen)) == len(set.union(*seen))
    again = verification_pairs(identities, n_folds=4, n_pairs=50, random_state=0)
    np.testing.assert_array_equal(again.indices, indices)
    other = verification_pairs(identities, n_folds=4, n_pairs=50, random_state=1)
    assert not np.array_equal(other.indices, indices)


def test_all_pairs_there_are_can_be_drawn():
    # Two folds of two identities of three rows: 6 pairs of one identity, 9 of two.
    labels = np.repeat(np.arange(4), 3)
    indices, same, folds = verification_pairs(labels, n_folds=2, n_pairs=6, random_state=0)
    for fold in range(2):
        own = indices[same & (folds == fold)]
        assert len({frozenset(pair) for pair in own.tolist()}) == 6
    with pytest.raises(ValueError, match="fold 0 has 6 pairs of one identity; take fewer"):
        verification_pairs(labels, n_folds=2, n_pairs=7)
    labels = np.repeat(np.arange(4), [9, 1, 9, 1])
    with pytest.raises(ValueError, match="fold 0 has 9 pairs of two identities"):
        verification_pairs(labels, n_folds=2, n_pairs=10, random_state=0)


def test_numbers_of_pairs_are_in_order():
    expected = [(i, j) for j in range(1, 40) for i in range(j)]
    np.testing.assert_array_equal(_pair(np.arange(len(expected))), expected)
    n = 2**25  # where a float cannot hold the product
    last = n * (n - 1) // 2 - 1
    np.testing.assert_array_equal(
        _pair(np.array([last, last - 1])), [[n - 2, n - 1], [n - 3, n - 1]]
    )


def test_six_thousand_pairs_in_ten_folds(rng):
    labels = np.repeat(np.arange(300), 10)
    X = rng.randn(300, 8)[labels] + rng.randn(3000, 8)
    indices, same, folds = verification_pairs(labels, random_state=0)
    assert len(indices) == 6000
    learner = Covariance().fit(X)
    distances = learner.paired_distances(*X[indices].transpose(1, 0, 2))
    got = verification_accuracy(same, distances, folds)
    # A loop: of all thresholds the one that is right most often on the nine other folds.
    expected = []
    for fold in range(10):
        test = folds == fold
        best, threshold = -1, None
        order = np.sort(distances[~test])
        for middle in [order[0] - 1, *((order[1:] + order[:-1]) / 2), order[-1]]:
            right = np.count_nonzero((distances[~test] <= middle) == same[~test])
            if right > best:
                best, threshold = right, middle
        expected.append(np.mean((distances[test] <= threshold) == same[test]))
    np.testing.assert_allclose(got, expected)
    # The same as a scikit-learn classifier of pairs.
    model = PairClassifier(FrozenEstimator(learner), points=X)
    scores = cross_val_score(model, indices, same, cv=PredefinedSplit(folds))
    np.testing.assert_allclose(scores, got)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": [[0], [1]]}, "labels must be one-dimensional"),
        ({"labels": [0, 0, 1, 1], "n_folds": 2}, "n_folds=2 must be from 2 to 1"),
        ({"labels": [0, 0, 1, 1], "n_pairs": 0}, "n_pairs must be an integer of at least 1"),
    ],
)
def test_bad_input_is_one_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        verification_pairs(**arguments)
