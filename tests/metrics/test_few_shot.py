"""N-way K-shot accuracy against all episodes there are, and against scikit-learn."""

from itertools import combinations, product

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from metriclearn.metrics import few_shot_accuracy


def of_all_episodes(X, y, n_ways, n_shots, classifier):
    """The exact expectation, of one query each: every choice of classes, rows and queries."""
    values = []
    for ways in combinations(np.unique(y), n_ways):
        splits = [
            [
                (shots, query)
                for shots in combinations(np.flatnonzero(y == c), n_shots)
                for query in np.setdiff1d(np.flatnonzero(y == c), shots)
            ]
            for c in ways
        ]
        for chosen in product(*splits):
            support = np.concatenate([shots for shots, _ in chosen])
            queries = [query for _, query in chosen]
            model = classifier.fit(X[support], y[support])
            values.append(np.mean(model.predict(X[queries]) == y[queries]))
    return np.mean(values)


@pytest.mark.parametrize(
    ("n_shots", "classifier"), [(1, KNeighborsClassifier(1)), (2, NearestCentroid())]
)
def test_mean_over_episodes_is_the_expectation(n_shots, classifier):
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], 3)
    X = rng.randn(3, 2)[y] + rng.randn(9, 2)
    expected = of_all_episodes(X, y, 2, n_shots, classifier)
    accuracy, half_width = few_shot_accuracy(
        X, y, 2, n_shots, n_queries=1, n_episodes=3000, random_state=0
    )
    assert 0 < half_width < 0.02
    assert abs(accuracy - expected) < 2.5 * half_width  # nearly five deviations


def test_interval_covers_as_often_as_it_says():
    rng = np.random.RandomState(1)
    y = np.repeat(np.arange(4), 4)
    X = rng.randn(4, 2)[y] + rng.randn(16, 2)
    truth, _ = few_shot_accuracy(X, y, 3, n_queries=2, n_episodes=3000, random_state=0)
    found = [
        few_shot_accuracy(X, y, 3, n_queries=2, n_episodes=30, random_state=seed)
        for seed in range(60)
    ]
    covered = np.mean([abs(accuracy - truth) < half for accuracy, half in found])
    assert covered > 0.85


def test_separate_classes_are_all_right_and_a_collapsed_embedding_is_chance():
    y = np.repeat(np.arange(5), 20)
    assert few_shot_accuracy(np.eye(5)[y], y, random_state=0) == (1.0, 0.0)
    accuracy, _ = few_shot_accuracy(np.zeros((100, 2)), y, random_state=0)
    assert accuracy == pytest.approx(0.2)


def test_moved_scaled_and_unlabeled_rows_change_nothing():
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(6), 20)
    X = rng.randn(6, 3)[y] + rng.randn(120, 3)
    settings = {"n_episodes": 20, "random_state": 0}
    expected = few_shot_accuracy(X, y, **settings)
    assert few_shot_accuracy(2.0**600 * X, y, **settings) == expected
    more = np.vstack([X, X[:5]]), np.concatenate([y, np.full(5, -1)])
    assert few_shot_accuracy(*more, **settings) == expected


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_ways": 1}, "n_ways must be an integer of at least 2, got 1"),
        ({"n_shots": 0}, "n_shots must be"),
        ({"n_queries": 1.5}, "n_queries must be"),
        ({"n_episodes": True}, "n_episodes must be"),
        ({"n_shots": 6}, "has 0 classes of at least 21 rows"),
        ({"n_ways": 7}, "has 6 classes of at least 16 rows .* but n_ways=7; lower one"),
    ],
)
def test_wrong_arguments_are_named(params, message):
    y = np.repeat(np.arange(6), 20)
    with pytest.raises(ValueError, match=message):
        few_shot_accuracy(np.zeros((120, 2)), y, **params)
