"""What compare writes is checked when it is read."""

import numpy as np
import pytest
from helpers.faults import files_under, flipped

from metriclearn.compare import ComparisonResult, compare


@pytest.fixture
def blobs():
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], 20)
    return rng.randn(60, 3) + 3 * np.eye(3)[y], y


@pytest.mark.parametrize("n_flips", [40, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_flipped_bit_of_a_result_is_an_error_or_changes_nothing(blobs, tmp_path, n_flips):
    path = tmp_path / "result.json"
    result = compare(*blobs, learners=["euclidean"], n_folds=2)
    result.to_json(path)
    whole, n_errors = path.read_bytes(), 0
    for damaged in flipped(whole, n_flips):
        path.write_bytes(damaged)
        try:
            assert ComparisonResult.from_json(path).records == result.records
        except ValueError as error:
            n_errors += str(path) in str(error)
    assert n_errors > 0.5 * n_flips  # others are spaces between entries


def test_a_flipped_bit_of_a_kept_fit_is_fitted_again(blobs, tmp_path):
    result = compare(*blobs, learners=["euclidean"], n_folds=2, resume=tmp_path)
    for path in files_under(tmp_path):
        whole = path.read_bytes()
        for damaged in flipped(whole, 2):
            path.write_bytes(damaged)
            again = compare(*blobs, learners=["euclidean"], n_folds=2, resume=tmp_path)
            assert [r.scores for r in again.records] == [r.scores for r in result.records]
