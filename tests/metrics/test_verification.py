"""Verification measures against scikit-learn, closed forms and loops."""

import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score, roc_curve

from metriclearn.metrics import (
    best_threshold,
    bootstrap_interval,
    bootstrap_over_identities,
    equal_error_rate,
    fpr_at_tpr,
    tar_at_far,
    verification_accuracy,
    verification_curve,
)


@pytest.fixture(params=["smooth", "ties"])
def pairs(request, rng):
    same = rng.rand(300) < 0.4
    distances = np.abs(rng.randn(300)) + ~same
    return same, np.round(distances, 1) if request.param == "ties" else distances


def test_curve_is_scikit_learns(pairs):
    same, distances = pairs
    weights = 1 + np.arange(300) % 4
    curve = verification_curve(same, distances, sample_weight=weights)
    far, tar, _ = roc_curve(same, -distances, sample_weight=weights, drop_intermediate=False)
    np.testing.assert_allclose(curve.far, far)
    assert repr(curve).startswith(f"<Curve of {len(curve.thresholds)} thresholds, ")
    np.testing.assert_allclose(curve.tar, tar)
    area = np.sum(np.diff(curve.far) * (curve.tar[1:] + curve.tar[:-1]) / 2)
    assert area == pytest.approx(roc_auc_score(same, -distances, sample_weight=weights))
    for threshold, tar_here, far_here in zip(curve.thresholds, curve.tar, curve.far, strict=True):
        accepted = distances <= threshold
        assert weights[accepted & same].sum() / weights[same].sum() == pytest.approx(tar_here)
        assert weights[accepted & ~same].sum() / weights[~same].sum() == pytest.approx(far_here)


def test_equal_error_rate_of_two_gaussians(rng):
    n = 200_000
    same = np.arange(n) < n // 2
    distances = rng.randn(n) + 2 * ~same
    assert equal_error_rate(same, distances) == pytest.approx(norm.cdf(-1), abs=3e-3)
    assert tar_at_far(same, distances, 0.1) == pytest.approx(norm.cdf(2 + norm.ppf(0.1)), abs=1e-2)
    assert equal_error_rate(same, ~same * 1.0) == 0
    assert equal_error_rate(same, same * 1.0) == 1
    assert equal_error_rate(same, np.ones(n)) == 0.5


@pytest.mark.parametrize("far", [0, 0.01, 0.2, 1])
def test_tar_at_far_is_the_best_of_all_thresholds(pairs, far):
    same, distances = pairs
    rates = [
        np.mean(distances[same] <= t)
        for t in [-1, *distances]
        if np.mean(distances[~same] <= t) <= far
    ]
    assert tar_at_far(same, distances, far) == pytest.approx(max(rates))


def test_thresholds_are_the_best_of_all(pairs):
    same, distances = pairs
    candidates = [-1, *distances]
    for criterion, score in (("accuracy", accuracy_score), ("f1", f1_score)):
        chosen = score(same, distances <= best_threshold(same, distances, criterion))
        best = max(score(same, distances <= t) for t in candidates)
        assert chosen == pytest.approx(best)
    threshold = best_threshold(same, distances, "max_tpr", max_fpr=0.1)
    assert np.mean(distances[~same] <= threshold) <= 0.1
    assert np.mean(distances[same] <= threshold) == tar_at_far(same, distances, 0.1)
    threshold = best_threshold(same, distances, "eer")
    gap = abs(np.mean(distances[~same] <= threshold) - np.mean(distances[same] > threshold))
    assert gap == pytest.approx(
        min(abs(np.mean(distances[~same] <= t) - np.mean(distances[same] > t)) for t in candidates)
    )


def test_folds_choose_the_threshold_elsewhere(pairs):
    same, distances = pairs
    folds = np.arange(300) % 5
    expected = []
    for fold in range(5):
        threshold = best_threshold(same[folds != fold], distances[folds != fold])
        expected.append(np.mean((distances <= threshold)[folds == fold] == same[folds == fold]))
    np.testing.assert_allclose(verification_accuracy(same, distances, folds), expected)
    contiguous = verification_accuracy(same, distances, 10)
    assert len(contiguous) == 10
    np.testing.assert_allclose(
        verification_accuracy(same, distances, np.repeat(np.arange(10), 30)), contiguous
    )


def test_interval_of_a_mean_covers_it():
    rng = np.random.RandomState(0)
    covered = [
        low <= 0.5 <= high
        for seed in range(200)
        for low, high in [bootstrap_interval(rng.rand(40), n_resamples=200, random_state=seed)]
    ]
    assert 0.88 <= np.mean(covered) <= 0.99


def test_whole_groups_make_the_interval_honest(rng):
    groups = np.repeat(np.arange(20), 50)
    values = rng.rand(20)[groups]  # all rows of a class alike
    wide, narrow = (
        np.diff(bootstrap_interval(values, groups=g, random_state=0))[0] for g in (groups, None)
    )
    assert 4 < wide / narrow < 10  # sqrt(50) is 7
    holes = np.where(np.arange(1000) % 2, values, np.nan)
    assert bootstrap_interval(holes, groups=groups, random_state=0) == pytest.approx(
        bootstrap_interval(values, groups=groups, random_state=0)
    )


@pytest.mark.parametrize("n_classes", [5, 10])
def test_interval_over_few_classes_covers_the_mean(n_classes):
    rng = np.random.RandomState(0)
    groups, covered = np.repeat(np.arange(n_classes), 20), []
    for _ in range(1000):
        values = (0.2 * rng.randn(n_classes))[groups] + rng.randn(len(groups))
        low, high = bootstrap_interval(values, groups=groups)
        covered.append(low <= 0 <= high)
    assert 0.93 <= np.mean(covered) <= 0.97


def test_interval_over_few_classes_of_one_size_is_the_t_interval_of_their_means(rng):
    values, groups = rng.rand(7, 30), np.repeat(np.arange(7), 30)
    interval = bootstrap_interval(values.ravel(), groups=groups, confidence=0.9)
    expected = ttest_1samp(values.mean(axis=1), 0).confidence_interval(0.9)
    assert interval == pytest.approx(tuple(expected))


def test_a_draw_of_identities_is_the_list_of_their_pairs(rng):
    names = rng.randint(6, size=(80, 2))
    names[:30, 1] = names[:30, 0]
    same = names[:, 0] == names[:, 1]
    distances = rng.randint(20, size=80) + 5.0 * ~same  # with ties
    got = bootstrap_over_identities(
        equal_error_rate, same, distances, names, n_resamples=50, random_state=7
    )
    # The loop: who was drawn twice stands in the list twice, and pairs up with each other one.
    draws = np.random.RandomState(7)
    errors = []
    for _ in range(50):
        drawn = draws.randint(6, size=6)
        listed = [
            pair
            for pair, (first, second) in enumerate(names)
            for _ in range(
                np.count_nonzero(drawn == first)
                * (1 if first == second else np.count_nonzero(drawn == second))
            )
        ]
        if 0 < same[listed].sum() < len(listed):
            errors.append(equal_error_rate(same[listed], distances[listed]))
    assert len(errors) > 40
    np.testing.assert_allclose(got, np.percentile(errors, [2.5, 97.5]), rtol=1e-12)


def test_identities_are_drawn_not_pairs(rng):
    centers = rng.randn(12, 2)
    names = rng.randint(12, size=(2000, 2))
    names[:500, 1] = names[:500, 0]
    distances = np.linalg.norm(centers[names[:, 0]] - centers[names[:, 1]], axis=1)
    distances += rng.rand(12)[names[:, 0]] + rng.rand(2000)
    same = names[:, 0] == names[:, 1]
    low, high = bootstrap_over_identities(
        equal_error_rate, same, distances, names, n_resamples=200, random_state=0
    )
    assert low < equal_error_rate(same, distances) < high
    again = bootstrap_over_identities(
        equal_error_rate, same, distances, names, n_resamples=200, random_state=0
    )
    assert (low, high) == again
    # Drawing pairs takes those of one person for independent.
    pairs_only = bootstrap_interval(distances <= np.median(distances), random_state=0)
    by_identity = bootstrap_over_identities(
        lambda same, d, sample_weight: np.average(d <= np.median(distances), weights=sample_weight),
        same,
        distances,
        names,
        n_resamples=200,
        random_state=0,
    )
    assert np.diff(by_identity) > 2 * np.diff(pairs_only)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: equal_error_rate([1, 1], [0.1, 0.2]), "no pair of different identities"),
        (lambda: equal_error_rate([0, 0], [0.1, 0.2]), "no pair of the same identity"),
        (lambda: equal_error_rate([0, 2], [0.1, 0.2]), "same must hold"),
        (lambda: equal_error_rate([0, 1, 1], [0.1, 0.2]), "as long as each other"),
        (lambda: equal_error_rate([0, 1], [0.1, np.nan]), "distances contains NaN"),
        (lambda: tar_at_far([0, 1], [0.1, 0.2], 2), "far must be from 0 to 1"),
        (lambda: best_threshold([0, 1], [0.1, 0.2], "best"), "criterion must be one of"),
        (lambda: best_threshold([0, 1], [0.1, 0.2], max_fpr=-1), "max_fpr must be from 0 to 1"),
        (lambda: verification_accuracy([0, 1], [0.1, 0.2], folds=3), "folds must be from 2 to 2"),
        (
            lambda: equal_error_rate([0, 1], [0.1, 0.2], sample_weight=[1, -1]),
            "sample_weight must be finite and not negative",
        ),
        (lambda: bootstrap_interval([np.nan]), "nothing but NaN"),
        (lambda: bootstrap_interval([0, 1], groups=["a", "a"]), "groups has one class only"),
        (lambda: bootstrap_interval([1.0], n_resamples=0), "n_resamples must be at least 1"),
        (lambda: bootstrap_interval([1.0], confidence=95), "confidence must be between 0 and 1"),
        (
            lambda: bootstrap_over_identities(equal_error_rate, [0], [1.0], [[1, 1]]),
            "identities contradict same in pair 0",
        ),
        (
            lambda: bootstrap_over_identities(equal_error_rate, [0], [1.0], [1]),
            r"identities must be of shape \(1, 2\)",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_rates_that_the_pairs_cannot_tell_are_a_warning():
    same, distances = [1, 1, 0, 0, 0], [0.1, 0.6, 0.4, 0.8, 0.9]
    with pytest.warns(UserWarning, match="far=0.01 is below one over the 3 different pairs"):
        assert tar_at_far(same, distances, 0.01) == 0.5
    assert tar_at_far(same, distances, 0.0) == 0.5
    assert tar_at_far(same, distances, 0.34) == 1.0
    weights = np.full(5, 1e-6)  # of any scale
    assert tar_at_far(same, distances, 0.34, sample_weight=weights) == 1.0


def test_folds_of_one_kind_are_named_as_the_cause(rng):
    same, distances = np.repeat([1, 0], 50), rng.rand(100)
    with pytest.raises(ValueError, match=r"folds: .*sorted by kind .* shuffle them"):
        verification_accuracy(same, distances, folds=2)
    order = rng.permutation(100)
    assert verification_accuracy(same[order], distances[order], folds=2).shape == (2,)


def test_fpr_at_tpr_by_a_loop():
    """The least share of different pairs below a threshold that accepts enough of the same."""
    rng = np.random.RandomState(0)
    for _ in range(20):
        same = rng.rand(30) < 0.5
        distances = np.round(rng.rand(30) + same * -0.2, 1)  # with ties
        if same.all() or not same.any():
            continue
        for tpr in (0.0, 0.3, 0.95, 1.0):
            rates = [
                np.mean(distances[~same] <= t)
                for t in [-np.inf, *distances]
                if np.mean(distances[same] <= t) >= tpr
            ]
            assert fpr_at_tpr(same, distances, tpr) == pytest.approx(min(rates))
    with pytest.raises(ValueError, match="tpr must be from 0 to 1"):
        fpr_at_tpr([1, 0], [0.1, 0.2], 1.5)
