"""POLA: each step is the paper's projection, and a stream may come in any parts."""

import numpy as np
import pytest
from helpers.optional import cvxpy

from metriclearn import POLA
from metriclearn.constraints import Pairs, Triplets, pairs_from_labels
from metriclearn.mahalanobis._pola import pola_step


@pytest.fixture
def state(rng):
    factor = rng.randn(2, 4)
    return factor.T @ factor, 2.5, rng.randn(4)


@pytest.mark.parametrize("similar", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_step_is_two_projections(similar, seed):
    rng = np.random.RandomState(seed)
    factor, v = rng.randn(2, 4), rng.randn(4)
    M, b = factor.T @ factor, 1 + rng.rand()
    new_M, new_b, loss = pola_step(M, b, v, similar)
    sign = 1 if similar else -1
    assert loss == pytest.approx(max(0, 1 + sign * (v @ M @ v - b)))

    # First on the half-space of pairs with their margin, then on the metrics.
    half_M, half_b = cvxpy.Variable((4, 4), symmetric=True), cvxpy.Variable()
    near = cvxpy.sum_squares(half_M - M) + (half_b - b) ** 2
    margin = [sign * (half_b - cvxpy.sum(cvxpy.multiply(half_M, np.outer(v, v)))) >= 1]
    cvxpy.Problem(cvxpy.Minimize(near), margin).solve(solver="CLARABEL")
    values, vectors = np.linalg.eigh(half_M.value)
    np.testing.assert_allclose(new_M, (vectors * values.clip(0)) @ vectors.T, atol=1e-5)
    assert new_b == pytest.approx(max(1, half_b.value), abs=1e-5)


def test_a_satisfied_pair_changes_nothing(state):
    M, b, v = state
    new_M, new_b, loss = pola_step(M, b, v * 1e-3, True)
    assert loss == 0
    assert new_M is M
    assert new_b == b


def test_a_step_may_be_shortened(state):
    M, b, v = state
    whole, half = pola_step(M, b, 3 * v, False), pola_step(M, b, 3 * v, False, 0.5)
    assert whole[1] < b or whole[2] == 0
    np.testing.assert_allclose(half[0] - M, (whole[0] - M) / 2)


@pytest.mark.parametrize("average", [True, False])
def test_a_stream_in_parts_is_the_stream(small, average):
    X, y = small
    pairs = pairs_from_labels(y, n_pairs=40, random_state=0)
    order = np.random.RandomState(0).permutation(len(pairs))
    # The first part fixes the unit, so both streams begin with the same one.
    ends = [(0, 20), (20, 80)], [(0, 20), (20, 27), (27, 60), (60, 80)]
    fitted = []
    for parts in ends:
        learner = POLA(average=average)
        for begin, end in parts:
            rows = order[begin:end]
            learner.partial_fit(X, constraints=Pairs(pairs.indices[rows], pairs.similar[rows]))
        fitted.append(learner)
    assert fitted[0].n_pairs_seen_ == fitted[1].n_pairs_seen_ == 80
    assert [learner.n_iter_ for learner in fitted] == [2, 4]
    np.testing.assert_allclose(fitted[0].components_, fitted[1].components_)
    assert fitted[0].threshold_ == pytest.approx(fitted[1].threshold_)


def test_loss_falls_where_pairs_can_be_told_apart(rng):
    X = rng.randn(60, 3)
    X[:30, 0] += 20  # any two rows of one class are nearer than two of both
    y = np.arange(60) < 30
    pairs = pairs_from_labels(y, n_pairs=200, random_state=0)
    once = POLA(n_epochs=1, random_state=0).fit(X, constraints=pairs)
    often = POLA(n_epochs=30, average=False, random_state=0).fit(X, constraints=pairs)
    assert often.objective_ < 0.3 * once.objective_
    d2 = often.paired_distances(X[pairs.indices[:, 0]], X[pairs.indices[:, 1]]) ** 2
    assert np.mean((d2 < often.threshold_) == pairs.similar) > 0.97


def test_fit_forgets_what_came_before(small):
    X, y = small
    fresh = POLA(random_state=0).fit(X, y)
    used = POLA(random_state=0).partial_fit(X[:, ::-1] * 3, y).fit(X, y)
    np.testing.assert_array_equal(used.components_, fresh.components_)
    assert used.n_pairs_seen_ == fresh.n_pairs_seen_


def test_units_do_not_matter(small):
    X, y = small
    plain = POLA(random_state=0).fit(X, y).pairwise_distances(X)
    scaled = POLA(random_state=0).fit(X * 1e7, y).pairwise_distances(X * 1e7)
    np.testing.assert_allclose(scaled, plain, atol=1e-5)


def test_a_pair_of_weight_zero_teaches_nothing(small):
    X, y = small
    start, pairs = Pairs([[0, 20]], [False]), pairs_from_labels(y, n_pairs=30, random_state=0)
    heard = np.arange(len(pairs)) % 2 == 0
    learners = [POLA(average=False).partial_fit(X, constraints=start) for _ in range(2)]
    learners[0].partial_fit(X, constraints=Pairs(pairs.indices, pairs.similar, 2.0 * heard))
    learners[1].partial_fit(X, constraints=Pairs(pairs.indices[heard], pairs.similar[heard]))
    np.testing.assert_allclose(learners[0].components_, learners[1].components_)


def test_bad_input_is_one_clear_error(small):
    X, y = small
    pairs = Pairs([[0, 20]], [False])
    with pytest.raises(ValueError, match="all pairs are similar"):
        POLA().fit(X, constraints=Pairs([[0, 1]], [True]))
    with pytest.raises(ValueError, match="POLA takes Pairs, got Triplets"):
        POLA().partial_fit(X, constraints=Triplets([[0, 1, 20]]))
    with pytest.raises(ValueError, match="both given"):
        POLA().partial_fit(X, y, constraints=pairs)
    with pytest.raises(ValueError, match="n_components=9 is larger"):
        POLA(9).partial_fit(X, constraints=pairs)
    with pytest.raises(ValueError, match="2 features, but POLA is expecting 4"):
        POLA().partial_fit(X, constraints=pairs).partial_fit(X[:, :2], constraints=pairs)
