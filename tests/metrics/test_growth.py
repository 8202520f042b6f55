"""Recall@1 by the number of classes, against enumeration of all subsets of classes."""

from itertools import combinations

import numpy as np
import pytest

from metriclearn.metrics import RecallGrowth, recall_at_k, recall_growth


def enumerated(Z, y, n_classes, gallery=None, gallery_y=None):
    """Mean over all (subset, query of a class in it) of: is its nearest row of its class?"""
    alone = gallery is None
    gallery, gallery_y = (Z, y) if alone else (gallery, gallery_y)
    right = []
    for subset in combinations(np.unique(gallery_y), n_classes):
        rows = np.flatnonzero(np.isin(gallery_y, subset))
        for i in np.flatnonzero(np.isin(y, subset)):
            others = rows[rows != i] if alone else rows
            if not np.any(gallery_y[others] == y[i]):
                continue
            distances = np.sum((gallery[others] - Z[i]) ** 2, axis=1)
            right.append(gallery_y[others[np.argmin(distances)]] == y[i])
    return np.mean(right)


@pytest.fixture(params=["distinct", "with equal distances", "unequal classes, one row alone"])
def rows(request):
    rng = np.random.RandomState(0)
    y = rng.permutation(np.repeat(np.arange(6), 7))
    Z = rng.randn(6, 2)[y] + 0.8 * rng.randn(42, 2)
    if request.param == "with equal distances":
        Z = Z.round()
    if request.param == "unequal classes, one row alone":
        keep = np.r_[np.flatnonzero(y > 1), np.flatnonzero(y == 1)[:3], np.flatnonzero(y == 0)[:1]]
        Z, y = Z[keep], y[keep]
    return Z, y


@pytest.mark.parametrize("n_classes", [1, 2, 3, 5, 6])
def test_recall_is_the_mean_over_all_subsets_of_classes(rows, n_classes):
    assert recall_growth(*rows).recall(n_classes) == pytest.approx(enumerated(*rows, n_classes))


@pytest.mark.parametrize("n_classes", [1, 3, 6])
def test_recall_with_a_gallery_is_the_mean_over_subsets_of_its_classes(rows, n_classes):
    Z, y = rows
    searched = Z[20:], y[20:]
    growth = recall_growth(Z[:20], y[:20], gallery=searched[0], gallery_labels=searched[1])
    n_classes = min(n_classes, growth.n_classes)
    assert growth.recall(n_classes) == pytest.approx(
        enumerated(Z[:20], y[:20], n_classes, *searched)
    )


def test_recall_among_all_classes_is_recall_at_1(rows):
    Z, y = rows
    keep = np.bincount(y, minlength=6)[y] > 1
    Z, y = Z[keep], y[keep]
    growth = recall_growth(Z, y)
    assert growth.recall(growth.n_classes) == pytest.approx(recall_at_k(Z, y, 1))


def test_recall_falls_as_classes_grow_and_goes_on_where_it_was_measured():
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(30), 6)
    Z = rng.randn(30, 4)[y] + 0.6 * rng.randn(180, 4)
    growth = recall_growth(Z, y)
    curve = [growth.recall(n) for n in (1, 2, 10, 20, 30, 31, 60, 120, 10_000)]
    assert curve[0] == 1
    assert np.all(np.diff(curve) < 0)
    assert growth.recall(30) - growth.recall(31) < 0.01


def test_extrapolation_meets_what_more_classes_measure():
    """On average over draws of 40 of 160 classes: a single draw may hold easier classes."""
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(160), 6)
    Z = rng.randn(160, 6)[y] + 0.7 * rng.randn(len(y), 6)
    known = recall_growth(Z, y)
    guesses = []
    for _ in range(8):
        few = np.isin(y, rng.choice(160, 40, replace=False))
        guesses.append(recall_growth(Z[few], y[few]).recall(160))
    assert known.recall(40) - known.recall(160) > 0.12  # there is something to foresee
    assert np.mean(guesses) == pytest.approx(known.recall(160), abs=0.05)


@pytest.mark.parametrize(
    ("counts", "expected"), [([50] + 11 * [0], 1.0), (11 * [0] + [50], 0.0)], ids=["right", "wrong"]
)
def test_extrapolation_of_what_is_always_right_or_wrong(counts, expected):
    assert RecallGrowth(np.array(counts)).recall(100) == expected


def test_few_classes_say_nothing_of_more():
    assert np.isnan(RecallGrowth(np.array([3, 1, 0])).recall(4))


def test_bad_numbers_of_classes_and_lonely_rows_are_one_clear_error():
    with pytest.raises(ValueError, match="n_classes must be at least 1, got 0"):
        RecallGrowth(np.array([3, 1])).recall(0)
    with pytest.raises(ValueError, match="no query has another row of its class"):
        recall_growth([[0.0], [1.0]], ["a", "b"])
    with pytest.raises(ValueError, match="gallery and gallery_labels must be given together"):
        recall_growth([[0.0], [1.0]], ["a", "a"], gallery=[[0.0]])


@pytest.mark.parametrize("offset", [0, 1e3, 1e7])
@pytest.mark.parametrize("alone", [True, False])
def test_equal_rows_far_from_the_origin_are_decided_by_their_order(offset, alone):
    """Products of matrices are off by rounding there; equal distances must not be told apart."""
    rng = np.random.RandomState(1)
    y = np.repeat(np.arange(5), 8)
    Z = np.repeat(rng.randint(0, 3, (20, 40)).astype(float), 2, axis=0)
    Z, y = Z[rng.permutation(40)] + offset, y[rng.permutation(40)]
    gallery = {} if alone else {"gallery": Z[10:], "gallery_labels": y[10:]}
    searched = () if alone else (Z[10:], y[10:])
    growth = recall_growth(Z, y, **gallery)
    for n_classes in (2, 5):
        expected = enumerated(Z, y, n_classes, *searched)
        assert growth.recall(n_classes) == pytest.approx(expected)
