"""Ranks over data sets: published tables, other definitions, no text over text."""

from itertools import combinations

import numpy as np
import pytest
from helpers.optional import pyplot
from scipy.stats import friedmanchisquare

from metriclearn.metrics._ranks import (
    critical_difference,
    friedman_test,
    iman_davenport,
    not_told_apart,
    rank_scores,
)
from metriclearn.plots import CriticalDifferenceDisplay

# Demsar (2006), table 5a: q of the two-tailed Nemenyi test for 2 to 10 learners.
PUBLISHED = {
    0.05: [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164],
    0.10: [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920],
}
NAMES = [
    "Euclidean",
    "Standardized Euclidean",
    "Mahalanobis",
    "LMNN",
    "MMC",
    "NCA",
    "Deep contrastive",
    "Deep triplet",
    "Deep Proxy-Anchor",
    "Deep ArcFace",
]


@pytest.mark.parametrize("alpha", PUBLISHED)
@pytest.mark.parametrize("k", range(2, 11))
def test_critical_values_of_the_published_table(alpha, k):
    q = critical_difference(k, 7, alpha) / np.sqrt(k * (k + 1) / (6 * 7))
    assert q == pytest.approx(PUBLISHED[alpha][k - 2], abs=1.5e-3)


def test_the_published_example():
    """Four learners on fourteen data sets, with the numbers of the paper."""
    ranks = np.array([3.143, 2.000, 2.893, 1.964])
    chi2 = 12 * 14 / (4 * 5) * (np.sum(ranks**2) - 4 * 5**2 / 4)
    assert chi2 == pytest.approx(9.28, abs=0.02)
    assert iman_davenport(9.28, 4, 14) == pytest.approx(3.69, abs=0.005)
    assert critical_difference(4, 14, 0.05) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, 0.10) == pytest.approx(1.12, abs=0.005)
    # At 10 % the first differs from the second and the fourth, at 5 % from none.
    assert not_told_apart(ranks, 1.25) == [[3, 1, 2, 0]]
    assert not_told_apart(ranks, 1.12) == [[3, 1, 2], [2, 0]]


def test_friedman_statistic_without_ties(rng):
    scores = rng.rand(9, 4)
    ranks = rank_scores(scores)
    chi2 = 12 * 9 / (4 * 5) * (np.sum(ranks.mean(axis=0) ** 2) - 4 * 5**2 / 4)
    found = friedman_test(scores)
    assert found["chi2"] == pytest.approx(chi2)
    assert found["chi2"] == pytest.approx(friedmanchisquare(*scores.T).statistic)
    assert found["F"] == pytest.approx(8 * chi2 / (9 * 3 - chi2))


def test_friedman_test_keeps_its_level(rng):
    p_values = [friedman_test(rng.rand(10, 5))["p_value"] for _ in range(400)]
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09


def test_friedman_test_at_its_ends():
    assert friedman_test([[1, 1, 1], [2, 2, 2]])["p_value"] == 1
    agreed = friedman_test(np.tile([3, 2, 1], (6, 1)))
    assert agreed["F"] == np.inf
    assert agreed["p_value"] == 0


def test_failures_are_last_and_ties_share():
    ranks = rank_scores([[0.5, np.nan, 0.5, 0.1], [np.nan, np.nan, 0.2, 0.3]])
    np.testing.assert_array_equal(ranks, [[1.5, 4, 1.5, 3], [3.5, 3.5, 2, 1]])


def test_groups_are_all_pairs_within_the_difference(rng):
    for _ in range(20):
        ranks, difference = 5 * rng.rand(7), 3 * rng.rand()
        groups = [set(group) for group in not_told_apart(ranks, difference)]
        for i, j in combinations(range(7), 2):
            together = any({i, j} <= group for group in groups)
            assert together is bool(abs(ranks[i] - ranks[j]) < difference)
        assert not any(a < b for a in groups for b in groups)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: friedman_test([[1, 2], [2, 1]]), "at least 2 data sets and 3 learners, got 2 and"),
        (lambda: friedman_test([[1, 2, 3]]), "got 1 and 3"),
        (lambda: rank_scores([1, 2]), r"scores must have a row .* got shape \(2,\)"),
        (lambda: critical_difference(1, 5), "n_learners=1"),
        (lambda: critical_difference(3, 5, 1.5), "alpha=1.5"),
        (
            lambda: CriticalDifferenceDisplay.from_scores([[1, 2, 3]], ["a"]),
            "names has 1 names for 3 columns",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def boxes(display):
    canvas = display.figure_.canvas
    canvas.draw()
    texts = [text for text in display.ax_.texts if text.get_text()]
    return [text.get_window_extent(canvas.get_renderer()) for text in texts], canvas


@pytest.mark.parametrize("n_learners", [2, 3, 6, 10])
def test_no_text_over_text_and_none_cut_off(rng, n_learners):
    scores = rng.rand(12, n_learners) + np.linspace(0, 0.5, n_learners)
    display = CriticalDifferenceDisplay.from_scores(scores, NAMES[:n_learners])
    found, canvas = boxes(display)
    assert len(display.texts_) == n_learners
    for one, other in combinations(found, 2):
        assert not one.overlaps(other)
    width, height = canvas.get_width_height()
    for box in found:
        assert 0 <= box.x0 < box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height
    assert (display.p_value is None) is (n_learners == 2)
    pyplot.close(display.figure_)


def test_it_draws_where_it_is_told():
    figure, ax = pyplot.subplots()
    display = CriticalDifferenceDisplay(["a", "b"], [1.2, 1.8], 0.3).plot(ax=ax)
    assert display.ax_ is ax
    assert display.groups == []
    pyplot.close(figure)
