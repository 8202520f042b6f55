"""What a lead of one learner over another is held against: tests, intervals, what can be shown."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from metriclearn.compare._verdict._significance import (
    MIN_FOLDS,
    Lead,
    corrected_resampled_t_test,
    holm,
    measure_lead,
    smallest_lead,
    variance_floor,
)

MANY = 10**9  # rows: no floor, and test parts that are nothing beside the training parts


def test_lead_is_the_plain_t_test_without_shared_rows(rng):
    d = 0.1 * rng.randn(8)
    lead = measure_lead(d, n_train=MANY**2, n_test=MANY)
    plain = ttest_1samp(d, 0)
    assert lead.p_value == pytest.approx(plain.pvalue, rel=1e-6)
    low, high = plain.confidence_interval(0.95)
    assert (lead.low, lead.high) == (pytest.approx(low), pytest.approx(high))
    assert lead.p_value == measure_lead(-d, MANY**2, MANY).p_value


def test_shared_training_rows_make_leads_less_certain(rng):
    d = 0.1 * rng.randn(8) + 0.1
    alone, shared = measure_lead(d, MANY**2, MANY), measure_lead(d, 4 * MANY, MANY)
    assert shared.p_value > alone.p_value
    assert shared.low < alone.low < alone.high < shared.high


@pytest.mark.parametrize("n_folds", range(MIN_FOLDS))
def test_few_folds_give_no_verdict(n_folds):
    lead = measure_lead([0.3] * n_folds, 80, 20)
    assert lead.p_value is lead.low is lead.high is lead.smallest is None
    assert not lead.is_told


def test_interval_p_value_and_smallest_lead_agree(rng):
    for _ in range(200):
        d = np.clip(0.05 * rng.randn(5) + 0.05 * rng.randn(), -1, 1)
        lead = measure_lead(d, 160, 40)
        assert lead.is_told == (not lead.low <= 0 <= lead.high) == (abs(lead.mean) > lead.smallest)


@pytest.mark.parametrize("n_rows_apart", [1, 2, 5])
def test_folds_that_agree_by_luck_are_not_certain(n_rows_apart):
    """One, two or five rows of 75 in each of five folds: never certain as equal folds look."""
    lead = measure_lead([n_rows_apart / 75] * 5, n_train=300, n_test=75)
    assert lead.p_value > 1e-4
    assert lead.is_told == (n_rows_apart > 2)


def test_variance_floor_is_below_what_random_test_parts_do(rng):
    """Learners that differ on exactly the rows that make the lead vary least."""
    for n_test, lead in ((20, 0.1), (50, 0.3), (200, 0.02)):
        draws = (rng.rand(20_000, n_test) < lead).mean(axis=1)
        assert draws.var() == pytest.approx(variance_floor(lead, n_test), rel=0.05)
    assert variance_floor(0, 30) == 1 / 900


def test_smallest_lead_of_more_repeats_is_what_more_folds_would_give(rng):
    d = 0.02 * rng.randn(5)
    lead = measure_lead(d, 1600, 400)
    repeated = np.tile(d, 4)
    repeated *= d.std(ddof=1) / repeated.std(ddof=1)  # the same spread, four times as often
    four = measure_lead(repeated - repeated.mean() + d.mean(), 1600, 400)
    assert smallest_lead(lead, 1600, 400, repeats=4) == pytest.approx(four.smallest)
    assert smallest_lead(lead, 1600, 400, repeats=1) == pytest.approx(lead.smallest)
    assert smallest_lead(measure_lead([0.1], 4, 1), 4, 1, repeats=4) is None


def test_holm_holds_against_the_definition(rng):
    for _ in range(50):
        p = list(rng.rand(6) ** 3)
        order, reached, expected = np.argsort(p), 0.0, [0.0] * 6
        for rank, i in enumerate(order):
            reached = max(reached, min(1, (6 - rank) * p[i]))
            expected[i] = reached
        assert holm(p) == expected
        assert all(adjusted >= raw for adjusted, raw in zip(holm(p), p, strict=True))
    assert holm([]) == []
    assert holm([None, 0.02, None]) == [None, 0.02, None]


def test_corrected_test_is_the_plain_one_without_shared_rows(rng):
    d = rng.randn(8)
    plain = ttest_1samp(d, 0).pvalue
    assert corrected_resampled_t_test(d, 0) == pytest.approx(plain)
    assert corrected_resampled_t_test(d, 0.25) > plain
    assert corrected_resampled_t_test(-d, 0.25) == corrected_resampled_t_test(d, 0.25)


@pytest.mark.parametrize(("differences", "p"), [([], 1), ([0.1], 1), ([0, 0], 1), ([1, 1], 0)])
def test_corrected_test_without_spread(differences, p):
    assert corrected_resampled_t_test(differences, 0.25) == p


@pytest.mark.parametrize(
    ("low", "high", "close"),
    [(-0.1, 9.2, True), (0.4, 10.5, True), (0.9, 5.4, False), (-2.0, 1.0, False), (-9, 0.1, True)],
)
def test_an_interval_that_ends_nearly_at_zero_is_a_close_call(low, high, close):
    lead = Lead((low + high) / 2, low, high, 0.05, 1.0, 5)
    assert lead.is_close is close
    assert not Lead(0.1, None, None, None, None, 3).is_close
