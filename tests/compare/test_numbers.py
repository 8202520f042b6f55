"""Numbers of a table are those that were written, to the last bit."""

import numpy as np
import pytest

from metriclearn.compare._tables._numbers import parse_numbers


def test_numbers_are_read_to_the_last_bit():
    written = np.random.RandomState(0).randn(1000)
    values, notes = parse_numbers([repr(value) for value in written.tolist()])
    np.testing.assert_array_equal(values, written)
    assert notes == ()


@pytest.mark.parametrize(
    ("texts", "values", "said"),
    [
        (["1.23±0.1", "4 ± 2"], [1.23, 4], "'±0.1' and the like dropped after numbers"),
        (["1.2 +/- 0.3 mm", "2.5 +/- 1 mm"], [1.2, 2.5], "'+/- 0.3' and the like"),
        (["1.2 (0.3)", "3.45(0.1)"], [1.2, 3.45], "'(0.3)' and the like dropped after numbers"),
        (["12 (34%)", "7 (20.5%)"], [12, 7], "'(34%)' and the like dropped after numbers"),
        (["12,34,567.8", "98,765.4"], [1234567.8, 98765.4], "',' between thousands"),
        (["1,23,456", "12,345"], [123456, 12345], "',' between thousands"),
        (["(1,200)", "5"], [-1200, 5], "parentheses read as minus"),
    ],
)
def test_what_stands_beside_a_number_is_dropped_and_said(texts, values, said):
    read, remarks = parse_numbers(texts)
    np.testing.assert_array_equal(read, values)
    assert said in "; ".join(remarks)
