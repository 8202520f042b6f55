"""Synthetic problems keep their promises."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from metriclearn.datasets import make_metric_pairs, make_metric_triplets, make_planted_metric


def squared_distances(X, pairs, metric):
    difference = X[pairs[:, 0]] - X[pairs[:, 1]]
    return np.einsum("ij,jk,ik->i", difference, metric, difference)


def root_of(metric):
    values, vectors = np.linalg.eigh(metric)
    return vectors * np.sqrt(np.clip(values, 0, None))


MAKERS = [
    lambda **kw: make_planted_metric(n_samples=60, **kw),
    lambda **kw: make_metric_triplets(n_triplets=50, **kw),
    lambda **kw: make_metric_pairs(n_pairs=50, **kw),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("n_features", "n_informative"), [(1, 1), (5, 2), (4, 4)])
def test_planted_metric_is_psd_of_the_stated_rank(make, n_features, n_informative):
    *_, metric = make(n_features=n_features, n_informative=n_informative, random_state=0)
    assert metric.shape == (n_features, n_features)
    assert_allclose(metric, metric.T)
    values = np.linalg.eigvalsh(metric)
    assert np.sum(values > 1e-10) == n_informative
    assert values.min() > -1e-12
    informative = values[-n_informative:]
    assert informative.min() >= 1 / 4 - 1e-12
    assert informative.max() <= 4 + 1e-12


@pytest.mark.parametrize("make", MAKERS)
def test_same_seed_same_problem(make):
    for first, second in zip(make(random_state=3), make(random_state=3), strict=True):
        assert_array_equal(first, second)
    assert not np.array_equal(make(random_state=3)[0], make(random_state=4)[0])


@pytest.mark.parametrize("n_classes", [2, 3, 8])
def test_euclid_fails_where_the_planted_metric_is_right(n_classes):
    X, y, metric = make_planted_metric(300, n_classes=n_classes, random_state=0)
    neighbors = KNeighborsClassifier(3)
    chance = 1 / n_classes
    assert cross_val_score(neighbors, X, y).mean() < chance + 0.2
    assert cross_val_score(neighbors, X @ root_of(metric), y).mean() > 0.98


def test_without_noise_euclid_does_well():
    X, y, _ = make_planted_metric(noise=0, random_state=0)
    assert cross_val_score(KNeighborsClassifier(3), X, y).mean() > 0.98


def test_classes_are_round_balanced_and_apart_under_the_planted_metric():
    X, y, metric = make_planted_metric(40_003, 6, 2, 3, class_sep=4.0, random_state=1)
    assert np.ptp(np.bincount(y)) <= 1
    latent = X @ root_of(metric)
    centers = np.array([latent[y == k].mean(axis=0) for k in range(3)])
    within = latent - centers[y]
    values = np.linalg.eigvalsh(within.T @ within / len(X))
    assert_allclose(values, [0, 0, 0, 0, 1, 1], atol=0.03)
    gaps = np.linalg.norm(centers[:, None] - centers, axis=2)[np.triu_indices(3, 1)]
    assert_allclose(gaps.min(), 4.0, atol=0.1)
    # The stated bound on the error of the nearest center, and that it is no idle one.
    nearest = np.linalg.norm(latent[:, None] - centers, axis=2).argmin(axis=1)
    error = np.mean(nearest != y)
    assert 0.3 * norm.cdf(-2) < error <= 2 * norm.cdf(-2)


@pytest.mark.parametrize("flip", [0.0, 0.123])
def test_triplets_hold_but_for_the_flipped_share(flip):
    X, triplets, metric = make_metric_triplets(20, n_triplets=500, flip=flip, random_state=0)
    assert X.shape == (20, 10)
    assert triplets.shape == (500, 3)
    assert all(len(set(triplet)) == 3 for triplet in triplets.tolist())
    closer = squared_distances(X, triplets[:, :2], metric) < squared_distances(
        X, triplets[:, ::2], metric
    )
    assert np.sum(~closer) == round(500 * flip)


def test_every_triplet_can_be_drawn():
    _, triplets, _ = make_metric_triplets(4, n_triplets=2000, random_state=0)
    unordered = {(a, frozenset((p, n))) for a, p, n in triplets.tolist()}
    assert len(unordered) == 4 * 3


@pytest.mark.parametrize("flip", [0.0, 0.2])
def test_one_threshold_parts_the_pairs_but_for_the_flipped_share(flip):
    X, pairs, similar, metric = make_metric_pairs(
        30, n_pairs=435, similar_share=0.3, flip=flip, random_state=0
    )
    # 435 is all there are, so each must be there once.
    assert {tuple(pair) for pair in pairs.tolist()} == {(i, j) for j in range(30) for i in range(j)}
    ranked = similar[np.argsort(squared_distances(X, pairs, metric))]
    wrong = ranked != (np.arange(435) < round(0.3 * 435))
    assert wrong.sum() == round(flip * 435)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_planted_metric(n_features=2, n_informative=3), "n_informative=3 is larger"),
        (lambda: make_planted_metric(n_samples=2, n_classes=3), "n_samples=2 is smaller"),
        (lambda: make_planted_metric(class_sep=0), "'class_sep' parameter"),
        (lambda: make_planted_metric(noise=-1), "'noise' parameter"),
        (lambda: make_metric_triplets(2), "n_samples=2: a triplet is of 3"),
        (lambda: make_metric_triplets(flip=0.6), "'flip' parameter"),
        (lambda: make_metric_pairs(5, n_pairs=11), "5 rows have 10 distinct pairs"),
        (lambda: make_metric_pairs(similar_share=1.0), "'similar_share' parameter"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
