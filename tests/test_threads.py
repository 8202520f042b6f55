"""Blocks on threads: order, BLAS held to one thread, errors, forks."""

import os
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from metriclearn import LFDA, LMNN, MCML, NCA, _threads
from metriclearn._threads import block_threads, in_block_threads, map_blocks, n_block_threads
from metriclearn.metrics import retrieval_scores
from metriclearn.neighbors import ExactSearch


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def two_threads(monkeypatch):
    # A limit beyond the cores would be cut, so the answer itself is set.
    token = _threads._allowed.set(2)
    yield
    _threads._allowed.reset(token)


def test_as_many_threads_as_blas_may_use():
    with threadpool_limits(1, "blas"):
        assert n_block_threads() == 1
    if (os.cpu_count() or 1) > 1:
        with threadpool_limits(2, "blas"):
            assert n_block_threads() == 2


def test_blas_is_held_to_one_thread_inside_and_let_go_after():
    before = blas_threads()
    with block_threads():
        assert blas_threads() == {1}
        with block_threads():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == before
    assert in_block_threads(blas_threads)() == {1}


def test_blas_is_not_held_on_by_a_thread_that_found_it_held():
    let_go, entered = threading.Event(), threading.Event()

    def hold():
        with block_threads():
            entered.set()
            let_go.wait(20)

    before, thread = blas_threads(), threading.Thread(target=hold)
    with block_threads():
        thread.start()
        assert entered.wait(20)
    assert blas_threads() == before
    let_go.set()
    thread.join()
    assert blas_threads() == before


def test_results_come_in_the_order_of_the_blocks(two_threads):
    def slow_first(number):
        time.sleep(0.02 * (number == 0))
        return number, threading.current_thread().name

    found = list(map_blocks(slow_first, range(20)))
    assert [number for number, _ in found] == list(range(20))
    assert len({name for _, name in found}) == 2


def test_only_a_few_blocks_are_computed_ahead(two_threads):
    started = []

    def noted(number):
        started.append(number)
        return number

    results = map_blocks(noted, range(100))
    assert next(results) == 0
    time.sleep(0.05)
    assert len(started) <= 6
    results.close()


def test_an_error_in_a_block_is_raised(two_threads):
    with pytest.raises(ZeroDivisionError):
        list(map_blocks(lambda number: 1 / number, [1, 0, 2]))
    assert list(map_blocks(abs, [-1, -2])) == [1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_process_makes_its_own_threads(two_threads):
    assert list(map_blocks(abs, [-1, -2])) == [1, 2]
    child = os.fork()
    if child == 0:
        os._exit(0 if list(map_blocks(abs, [-3, -4])) == [3, 4] else 1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pytest.fail("the child waited for threads that a fork does not copy")


def test_results_do_not_depend_on_the_number_of_threads(rng):
    A = rng.randn(300, 40)
    blocks = np.array_split(np.arange(300), 9)

    def total():
        return sum(map_blocks(lambda rows: A[rows].T @ A[rows], blocks))

    one = total()
    token = _threads._allowed.set(2)
    try:
        np.testing.assert_array_equal(total(), one)
    finally:
        _threads._allowed.reset(token)


@pytest.mark.parametrize(
    "learner",
    [NCA(max_iter=5), MCML(max_iter=5), LFDA(), LMNN(max_iter=5, n_passes=2)],
    ids=lambda learner: type(learner).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_learners_learn_the_same_bits_on_two_threads(learner, rng, monkeypatch):
    monkeypatch.setattr("metriclearn.mahalanobis._lfda._MANY_ROWS", 100)
    monkeypatch.setattr("metriclearn.mahalanobis._lfda._TILE_ROWS", 64)
    monkeypatch.setattr("metriclearn.mahalanobis._soft_neighbors._gradient._BLOCK_BYTES", 2**18)
    y = np.repeat([0, 1, 2], 500)
    X = rng.randn(1500, 6) + y[:, None]
    one = learner.fit(X, y).components_.copy()
    token = _threads._allowed.set(2)
    try:
        two = learner.fit(X, y).components_
    finally:
        _threads._allowed.reset(token)
    np.testing.assert_array_equal(two, one)


def test_searches_and_measures_are_the_same_bits_on_two_threads(rng, two_threads):
    X, y = rng.randn(1300, 8), rng.randint(3, size=1300)
    search = ExactSearch(X)

    def found():
        near = search.search(X, 300, exclude=np.arange(len(X)))
        within = [part for pair in search.radius(X, 2.0) for part in pair]
        scores = retrieval_scores(X, y, ["map_at_r", "mrr"], average=False)
        return [*near, *within, *scores.values()]

    two = found()
    _threads._allowed.set(1)
    for one, other in zip(found(), two, strict=True):
        np.testing.assert_array_equal(one, other)
