"""Errors of the labels of nearest rows against a loop."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from metriclearn.metrics import median_label_error, retrieve


@pytest.mark.parametrize("n_outputs", [None, 1, 2])
@pytest.mark.parametrize("period", [None, 360, 0.7])
@pytest.mark.parametrize("separate", [False, True])
def test_errors_are_those_of_a_loop(rng, n_outputs, period, separate):
    shape = () if n_outputs is None else (n_outputs,)
    Z, y = rng.randn(40, 3), rng.uniform(-400, 800, (40, *shape))
    gallery, labels = (
        (rng.randn(30, 3), rng.uniform(-400, 800, (30, *shape))) if separate else (Z, y)
    )
    D = cdist(Z, gallery)
    errors = []
    for i in range(40):
        near = min((D[i, j], j) for j in range(len(gallery)) if separate or j != i)[1]
        parts = []
        for a, b in zip(np.atleast_1d(y[i]), np.atleast_1d(labels[near]), strict=True):
            ways = [a - b] if period is None else [a - b + t * period for t in range(-1800, 1801)]
            parts.append(min(map(abs, ways)))
        errors.append(sum(part**2 for part in parts) ** 0.5)
    given = {"gallery": gallery, "gallery_labels": labels} if separate else {}
    found = median_label_error(Z, y, period=period, average=False, **given)
    np.testing.assert_allclose(found, errors, rtol=1e-10, atol=1e-10)
    assert median_label_error(Z, y, period=period, **given) == pytest.approx(
        np.median(errors), abs=1e-10
    )


def test_each_part_has_an_error_of_its_own(rng):
    Z, y = rng.randn(40, 3), rng.uniform(0, 360, (40, 3))
    given = {"parts": ((0, 2), (1,)), "period": (None, 360)}
    errors = median_label_error(Z, y, average=False, **given)
    assert errors.shape == (40, 2)
    for part, (columns, period) in enumerate((([0, 2], None), ([1], 360))):
        alone = median_label_error(Z, y[:, columns], period=period, average=False)
        np.testing.assert_allclose(errors[:, part], alone, rtol=1e-10)
    np.testing.assert_array_equal(median_label_error(Z, y, **given), np.median(errors, axis=0))
    one = median_label_error(Z, y, parts=((0, 1, 2),), period=360)
    assert one.tolist() == [median_label_error(Z, y, period=360)]


def test_share_within_is_recall_with_a_tolerance(rng):
    Z, y = rng.randn(50, 2), rng.uniform(0, 10, 50)
    errors = median_label_error(Z, y, average=False)
    result = retrieve(Z, y, relevance=2.0)
    assert result.scored.all()
    assert (errors <= 2.0).mean() == result.recall_at_k(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"period": 0}, "period must be a number of more than 0"),
        ({"period": True}, "period must be a number of more than 0"),
        ({"period": (1, 2)}, "period must be one number where parts is None"),
        ({"period": (1, 2), "parts": ((0,),)}, "period must have a value for each of 1 parts"),
        ({"period": (0,), "parts": ((0,),)}, "period must have values that are"),
        ({"parts": ((0,), (1,))}, "parts must name each of 1 label columns once"),
        ({"labels": ["a", "b", "c"]}, "labels must be finite numbers for errors of labels"),
        ({"labels": [1.0, 2.0]}, "labels has 2 entries for 3 rows of embeddings"),
        ({"gallery": np.eye(3)}, "given together"),
        ({"gallery": np.eye(2), "gallery_labels": [1, 2]}, "gallery must have 3 columns"),
    ],
)
def test_one_error(change, message):
    with pytest.raises(ValueError, match=message):
        median_label_error(**{"embeddings": np.eye(3), "labels": [1.0, 2.0, 3.0]} | change)
