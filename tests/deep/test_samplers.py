"""Batch samplers: what is in a batch, what is in an epoch."""

import numpy as np
import pytest

from metriclearn.deep.samplers import (
    SAMPLERS,
    ClassBalancedSampler,
    RandomSampler,
    UnbalancedSampler,
)

UNEVEN = np.random.RandomState(0).permutation(
    np.repeat(np.arange(9), [1, 2, 3, 4, 5, 8, 13, 21, 34])
)
EVEN = np.random.RandomState(0).permutation(np.repeat(np.arange(25), 12))
all_samplers = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
all_codes = pytest.mark.parametrize("codes", [EVEN, UNEVEN], ids=["even", "uneven"])


def epoch(sampler, codes, seed=0):
    return sampler.epoch(codes, np.random.default_rng(seed))


@all_samplers
@all_codes
@pytest.mark.parametrize("batch_size", [4, 10, 16, 64, 1000])
def test_batches_hold_distinct_rows_and_at_least_a_pair(sampler, codes, batch_size):
    batches = epoch(sampler(batch_size), codes)
    assert batches
    for batch in batches:
        assert 2 <= len(np.unique(batch)) == len(batch) <= batch_size + 1
        assert 0 <= batch.min() <= batch.max() < len(codes)


@all_samplers
def test_same_generator_same_batches_and_epochs_differ(sampler):
    for first, second in zip(epoch(sampler(16), EVEN), epoch(sampler(16), EVEN), strict=True):
        np.testing.assert_array_equal(first, second)
    rng = np.random.default_rng(0)
    first, second = sampler(16).epoch(EVEN, rng), sampler(16).epoch(EVEN, rng)
    assert not np.array_equal(first[0], second[0])


@pytest.mark.parametrize(("batch_size", "K", "P"), [(20, 4, 5), (24, 2, 12), (100, 6, 16)])
def test_class_balanced_is_p_times_k(batch_size, K, P):
    batches = epoch(ClassBalancedSampler(batch_size, K), EVEN)
    assert len(batches) == round(len(EVEN) / (P * K))
    for batch in batches:
        counts = np.bincount(EVEN[batch])
        assert np.all((counts == 0) | (counts == K))
        assert np.sum(counts > 0) == P


def test_class_balanced_visits_classes_and_rows_evenly():
    # 15 batches of 5 classes x 4 rows are 3 passes over 25 classes, one over 12 rows.
    drawn = np.concatenate(epoch(ClassBalancedSampler(20, 4), EVEN))
    np.testing.assert_array_equal(np.bincount(EVEN[drawn]), np.full(25, 12))
    np.testing.assert_array_equal(np.bincount(drawn), np.ones(len(EVEN)))


def test_class_balanced_takes_small_classes_whole():
    batches = epoch(ClassBalancedSampler(36, 4), UNEVEN)
    for batch in batches:
        np.testing.assert_array_equal(np.bincount(UNEVEN[batch]), [1, 2, 3, 4, 4, 4, 4, 4, 4])


def test_class_balanced_auto_fills_the_batch_where_classes_are_few():
    codes = np.repeat([0, 1, 2], 50)
    np.testing.assert_array_equal(np.bincount(codes[epoch(ClassBalancedSampler(60), codes)[0]]), 20)
    counts = np.bincount(EVEN[epoch(ClassBalancedSampler(20), EVEN)[0]])
    assert sorted(counts[counts > 0]) == [4] * 5


@pytest.mark.parametrize("sampler", [UnbalancedSampler, RandomSampler])
@all_codes
@pytest.mark.parametrize("batch_size", [2, 7, 13, 90])
def test_every_row_once(sampler, codes, batch_size):
    drawn = np.concatenate(epoch(sampler(batch_size), codes))
    np.testing.assert_array_equal(np.sort(drawn), np.arange(len(codes)))


def test_unbalanced_keeps_rows_of_a_class_together():
    order = np.concatenate(epoch(UnbalancedSampler(12, samples_per_class=3), EVEN))
    groups = EVEN[order].reshape(-1, 3)
    assert np.all(groups == groups[:, :1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClassBalancedSampler(3), "batch_size=3 cannot hold 2 classes"),
        (lambda: ClassBalancedSampler(10, 6), "batch_size=10 cannot hold 2 classes"),
        (lambda: ClassBalancedSampler(10, 1), "samples_per_class=1 leaves no pair"),
        (lambda: UnbalancedSampler(1), "batch_size=1 cannot hold one pair"),
        (lambda: UnbalancedSampler(8, 0), "samples_per_class=0 must be"),
        (lambda: RandomSampler(1), "batch_size=1 cannot hold one pair"),
    ],
)
def test_sizes_that_hold_no_pair_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
