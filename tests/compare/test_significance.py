"""The test that leads are judged by."""

import pytest
from scipy.stats import ttest_1samp

from metriclearn.compare._significance import corrected_resampled_t_test


def test_corrected_test_is_the_plain_one_without_shared_rows(rng):
    d = rng.randn(8)
    plain = ttest_1samp(d, 0).pvalue
    assert corrected_resampled_t_test(d, 0) == pytest.approx(plain)
    assert corrected_resampled_t_test(d, 0.25) > plain
    assert corrected_resampled_t_test(-d, 0.25) == corrected_resampled_t_test(d, 0.25)


@pytest.mark.parametrize(("differences", "p"), [([], 1), ([0.1], 1), ([0, 0], 1), ([1, 1], 0)])
def test_corrected_test_without_spread(differences, p):
    assert corrected_resampled_t_test(differences, 0.25) == p
