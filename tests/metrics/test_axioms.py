"""Axioms of a metric: found broken where they are, with the rows that break them worst."""

from itertools import permutations

import numpy as np
import pytest

from metriclearn import LMNN, MMC, RCA
from metriclearn.constraints import pairs_from_labels
from metriclearn.metrics import check_metric
from metriclearn.metrics._axioms import _distinct
from metriclearn.verification import PairClassifier

X = np.random.RandomState(0).randn(6, 2)


def broken(checks):
    return [name for name, check in checks.items() if not check.kept]


def lopsided(a, b):
    return np.abs(a - b).sum() + max(0.0, a[0] - b[0])


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (lambda a, b: np.linalg.norm(a - b), []),
        (lambda a, b: abs(a[0] - b[0]), []),  # of one column: distinct rows may be at zero
        (lambda a, b: ((a - b) ** 2).sum(), ["triangle"]),
        (lopsided, ["symmetry"]),
        (lambda a, b: 1.0, ["identity"]),
        (lambda a, b: -np.linalg.norm(a - b), ["positivity", "triangle"]),
        (lambda a, b: -a @ b, ["identity", "positivity", "triangle"]),
    ],
)
def test_what_is_broken_is_found(distance, expected):
    assert broken(check_metric(distance, X, n_triplets=1000)) == expected


def test_the_worst_rows_are_those_of_a_loop_over_all():
    def squared(a, b):
        return ((a - b) ** 2).sum()

    sizes = {
        (i, j, k): squared(X[i], X[k]) - squared(X[i], X[j]) - squared(X[j], X[k])
        for i, j, k in permutations(range(6), 3)
    }
    check = check_metric(squared, X, n_triplets=5000)["triangle"]
    i, j, k = check.rows
    worst = max(sizes.values())
    assert sizes[i, j, k] == pytest.approx(worst)
    mean = np.mean([squared(X[i], X[k]) for i, j, k in sizes])
    assert check.worst == pytest.approx(worst / mean, rel=0.05)
    share = np.mean([size > 0 for size in sizes.values()])
    assert check.share == pytest.approx(share, abs=0.05)
    check = check_metric(lopsided, X, n_triplets=5000)["symmetry"]
    a, b = X[list(check.rows)]
    assert abs(a[0] - b[0]) == pytest.approx(np.ptp(X[:, 0]))


def test_triplets_are_of_distinct_rows_and_all_come_alike():
    drawn = _distinct(4, 24_000, np.random.RandomState(0))
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(found) == 24
    assert all(len(set(rows)) == 3 for rows in found.tolist())
    assert abs(counts - 1000).max() < 5 * np.sqrt(1000)


def test_learners_keep_them(small):
    rows, y = small
    for learner in (RCA(), LMNN(max_iter=20, n_components=1)):
        fitted = learner.fit(rows, y)
        assert broken(check_metric(fitted, rows, n_triplets=500)) == []
        assert broken(check_metric(fitted.get_metric(), rows, n_triplets=50)) == []
    pairs = pairs_from_labels(y, n_pairs=40, random_state=0)
    classifier = PairClassifier(MMC()).fit(rows[pairs.indices], pairs.similar)
    assert broken(check_metric(classifier, rows, n_triplets=500)) == []


def test_a_network_on_pairs_is_symmetric_where_it_is_made_so():
    pytest.importorskip("torch")
    from metriclearn.verification import PairNetwork

    rows = np.random.RandomState(0).randn(40, 3).astype(np.float32)
    y = (rows[:, 0] > 0).astype(int)
    pairs = pairs_from_labels(y, n_pairs=30, random_state=0)
    settings = {"hidden_units": 8, "n_components": 4, "max_epochs": 2, "random_state": 0}
    for symmetric in (True, False):
        network = PairNetwork(symmetric=symmetric, **settings)
        network.fit(rows[pairs.indices], pairs.similar)
        checks = check_metric(network, rows, n_triplets=300)
        assert checks["symmetry"].kept == symmetric
        assert not checks["identity"].kept
        i = checks["identity"].rows[0]
        same = network.predict_proba(rows[[[i, i]]])[0, 1]
        values = network.predict_proba(np.stack([rows, rows], 1))[:, 1]
        assert same == pytest.approx(values.min(), abs=0.02)


def test_one_error():
    with pytest.raises(ValueError, match="minimum of 3 is required"):
        check_metric(lopsided, X[:2])
    with pytest.raises(ValueError, match=r"must be a function of two rows, .* got str"):
        check_metric("euclidean", X)
    with pytest.raises(ValueError, match=r"for rows \d and \d it did not"):
        check_metric(lambda a, b: np.nan, X)
    with pytest.raises(ValueError, match="tol must be 0 or more"):
        check_metric(lopsided, X, tol=-1)
