"""Numbers of a table are those that were written, to the last bit."""

import numpy as np

from metriclearn.compare._tables._numbers import parse_numbers


def test_numbers_are_read_to_the_last_bit():
    written = np.random.RandomState(0).randn(1000)
    values, notes = parse_numbers([repr(value) for value in written.tolist()])
    np.testing.assert_array_equal(values, written)
    assert notes == ()
