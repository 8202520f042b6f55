"""DIR@FAR, k-occurrence and mutual proximity against loops over their definitions."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import ndtr
from scipy.stats import skew

from metriclearn.metrics import (
    hubness,
    identification_rate_at_far,
    k_occurrence,
    mutual_proximity,
    oscr,
)


@pytest.fixture
def people(rng):
    """Gallery of six people, queries of eight, two of whom are not enrolled."""
    centers = 2 * rng.randn(8, 3)
    enrolled, y = np.repeat(np.arange(6), 4), rng.randint(8, size=80)
    gallery = centers[enrolled] + rng.randn(24, 3)
    return centers[y] + rng.randn(80, 3), y, gallery, enrolled


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("far", [0.0, 0.1, 0.5, 1.0])
def test_identification_is_the_best_threshold_of_all(people, far, rank):
    Q, y, gallery, enrolled = people
    distances = cdist(Q, gallery)
    known = y < 6
    best = 0.0
    for threshold in [0, *np.unique(distances), np.inf]:
        for limit in (threshold, np.nextafter(threshold, -np.inf)):
            alarms = [d.min() <= limit for d in distances[~known]]
            if np.mean(alarms) > far:
                continue
            found = 0
            for d, label in zip(distances[known], y[known], strict=True):
                near = np.argsort(d)[:rank]
                found += any(enrolled[i] == label and d[i] <= limit for i in near)
            best = max(best, found / known.sum())
    got = identification_rate_at_far(
        Q, y, gallery=gallery, gallery_labels=enrolled, far=far, rank=rank
    )
    assert got == pytest.approx(best)
    strangers = np.where(known, y, -1)
    assert got == identification_rate_at_far(
        Q, strangers, gallery=gallery, gallery_labels=enrolled, far=far, rank=rank
    )


@pytest.mark.parametrize("digits", [1, 12])
def test_oscr_is_the_area_under_its_curve(people, digits):
    Q, y, gallery, enrolled = people
    Q, gallery = np.round(Q, digits), np.round(gallery, digits)  # of one digit some are equal
    distances = cdist(Q, gallery)
    nearest, known = distances.min(axis=1), y < 6
    right = known & (enrolled[distances.argmin(axis=1)] == y)
    curve = [(0.0, 0.0)]
    for threshold in np.unique(nearest):
        accepted = nearest <= threshold
        curve.append((np.mean(accepted[~known]), np.sum(accepted & right) / known.sum()))
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(curve))
    assert oscr(Q, y, gallery=gallery, gallery_labels=enrolled) == pytest.approx(area, abs=1e-10)
    assert area < np.mean(right[known])


def test_oscr_checks_its_arguments(people):
    Q, _, gallery, enrolled = people
    with pytest.raises(ValueError, match="queries are known"):
        oscr(Q, np.zeros(80, int), gallery=gallery, gallery_labels=enrolled)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"far": 1.5}, "far must be from 0 to 1"),
        ({"rank": 0}, "rank must be from 1 to 24"),
        ({"labels": np.zeros(80, int)}, "80 of 80 queries are known"),
        ({"labels": np.full(80, 9)}, "0 of 80 queries are known"),
        ({"labels": [0]}, "labels has 1 entries for 80 rows"),
    ],
)
def test_identification_checks_its_arguments(people, change, message):
    Q, y, gallery, enrolled = people
    arguments = {"labels": y, "gallery": gallery, "gallery_labels": enrolled, **change}
    with pytest.raises(ValueError, match=message):
        identification_rate_at_far(Q, **arguments)


@pytest.mark.parametrize("k", [1, 5])
def test_hubs_are_counted(rng, k):
    X, gallery = rng.randn(60, 8), rng.randn(40, 8)
    order = np.argsort(cdist(X, X) + np.diag(np.full(60, np.inf)), axis=1)[:, :k]
    expected = [sum(j in near for near in order) for j in range(60)]
    assert k_occurrence(X, k).tolist() == expected
    assert hubness(X, k) == pytest.approx(skew(expected))
    order = np.argsort(cdist(X, gallery), axis=1)[:, :k]
    expected = [sum(j in near for near in order) for j in range(40)]
    assert k_occurrence(X, k, gallery=gallery).tolist() == expected


def test_more_dimensions_have_more_hubs(rng):
    scores = [hubness(rng.randn(300, d)) for d in (2, 20, 200)]
    assert scores == sorted(scores)
    corners = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    assert hubness(corners, k=3) == 0


def test_hubness_checks_its_arguments():
    for k in (0, True, 1.5):
        with pytest.raises(ValueError, match="k must be an integer of at least 1"):
            hubness(np.eye(3), k)
    with pytest.raises(ValueError, match="k=3 neighbors were asked for"):
        hubness(np.eye(3), 3)
    with pytest.raises(ValueError, match="both must be of one space"):
        hubness(np.eye(3), 1, gallery=np.eye(2))
    with pytest.raises(ValueError, match="k=3 neighbors were asked for"):
        hubness(np.eye(3), 3, metric="precomputed")
    with pytest.raises(ValueError, match=r"of shape \(n, n\), got \(3, 2\)"):
        hubness(np.eye(3)[:, :2], 1, metric="precomputed")
    with pytest.raises(ValueError, match="gallery must be None"):
        hubness(np.eye(3), 1, metric="precomputed", gallery=np.eye(3))


@pytest.mark.parametrize("unit", [1.0, 1e200])
@pytest.mark.parametrize("form", ["gaussian", "empirical"])
def test_mutual_proximity_is_that_of_a_loop(rng, form, unit):
    X = rng.randn(25, 6)
    X[3] = X[4]
    D = cdist(X, X)
    expected = np.zeros((25, 25))
    for i in range(25):
        for j in set(range(25)) - {i}:
            if form == "gaussian":
                of_i, of_j = np.delete(D[i], i), np.delete(D[j], j)
                both = ndtr((of_i.mean() - D[i, j]) / of_i.std())
                both *= ndtr((of_j.mean() - D[i, j]) / of_j.std())
            else:
                both = sum(D[i, m] > D[i, j] and D[j, m] > D[i, j] for m in range(25)) / 25
            expected[i, j] = 1 - both
    found = mutual_proximity(unit * D, form=form)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(found, found.T)


def test_mutual_proximity_takes_hubs_away(rng):
    X = rng.randn(200, 100)
    D = cdist(X, X)
    before = hubness(D, metric="precomputed")
    assert before == pytest.approx(hubness(X), rel=1e-10)
    for form in ("gaussian", "empirical"):
        assert hubness(mutual_proximity(D, form=form), metric="precomputed") < before / 2


def test_mutual_proximity_of_equal_distances():
    scaled = mutual_proximity(1 - np.eye(4))
    np.testing.assert_allclose(scaled, 0.75 * (1 - np.eye(4)))
    with pytest.raises(ValueError, match="must be symmetric"):
        mutual_proximity(np.arange(9.0).reshape(3, 3))
    with pytest.raises(ValueError, match="form must be"):
        mutual_proximity(np.eye(3), form="normal")
    with pytest.raises(ValueError, match="at least 3 rows"):
        mutual_proximity(np.eye(2))
