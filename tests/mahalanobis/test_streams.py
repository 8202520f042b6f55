"""Rows in parts: partial_fit, memory-mapped and dask arrays give what all rows at once give."""

import pickle
import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from metriclearn import GMML, ITML, RCA, SDML, Covariance
from metriclearn.constraints import Chunks, Pairs
from metriclearn.mahalanobis._scatter._moments import moments

STREAMED = [Covariance(), RCA(), RCA(2, shrinkage=0.2), GMML(), GMML(t=0.3, regularization=0.1)]
streamed = pytest.mark.parametrize("estimator", STREAMED, ids=repr)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.RandomState(0)
    y = rng.randint(4, size=700)
    X = rng.randn(700, 5) * [1, 2, 3, 4, 5] + 100
    X[:, 0] += 4 * y
    return X, y, rng.uniform(0.5, 2, 700)


def assert_same_metric(learner, expected, tol=1e-10):
    M, other = learner.get_mahalanobis_matrix(), expected.get_mahalanobis_matrix()
    np.testing.assert_allclose(M, other, rtol=0, atol=tol * np.abs(other).max())


def loop_scatter(X, codes, weights):
    """Within-group scatter, group by group."""
    total = 0
    for k in np.unique(codes):
        rows, w = X[codes == k], weights[codes == k]
        centered = rows - np.average(rows, axis=0, weights=w)
        total = total + centered.T @ (w[:, None] * centered)
    return total


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("cut", [1, 250, 699])
def test_merged_moments_are_those_of_all_rows(rows, each, cut):
    X, y, weights = rows
    parts = [
        moments(X[part], y[part], weights[part], n_groups=4, each=each)
        for part in (slice(None, cut), slice(cut, None))
    ]
    merged = parts[0].merged(parts[1])
    scale = merged.unit**2
    np.testing.assert_allclose(merged.within() * scale, loop_scatter(X, y, weights), rtol=1e-9)
    np.testing.assert_allclose(
        merged.total() * scale, loop_scatter(X, np.zeros(700), weights), rtol=1e-9
    )


@streamed
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_parts_add_up_to_the_whole(estimator, container, weighted, rows):
    X, y, weights = rows
    weights = weights if weighted else None
    expected = clone(estimator).fit(container(X), y, sample_weight=weights)
    learner = clone(estimator)
    for start in range(0, 700, 90):
        part = slice(start, start + 90)
        learner.partial_fit(
            container(X[part]), y[part], sample_weight=None if weights is None else weights[part]
        )
        learner = pickle.loads(pickle.dumps(learner))
    assert_same_metric(learner, expected, tol=1e-10 if container is np.asarray else 1e-7)


@streamed
def test_a_later_part_may_be_a_single_row(estimator, rows):
    X, y, _ = rows
    streamed = clone(estimator)
    for part in np.split(np.arange(700), [4, 5, 300, 699]):
        streamed.partial_fit(X[part], y[part])
    assert_same_metric(streamed, clone(estimator).fit(X, y))


def test_classes_that_come_late_count_from_then_on(rows):
    X, y, _ = rows
    order = np.argsort(y, kind="stable")
    learner = RCA()
    for part in np.array_split(order, 9):
        learner.partial_fit(X[part], y[part])
    assert_same_metric(learner, RCA().fit(X, y))


def test_a_chunk_is_the_same_in_all_calls(rows):
    X, y, _ = rows
    chunks = np.where(np.arange(700) % 3, y, -1)
    learner = RCA(2)
    for part in np.array_split(np.arange(700), 5):
        learner.partial_fit(X[part], constraints=Chunks(chunks[part]))
    assert_same_metric(learner, RCA(2).fit(X, constraints=Chunks(chunks)))


@pytest.mark.parametrize("scale", [1e-155, 1e155])
@streamed
def test_parts_of_extreme_units(estimator, scale, rows):
    X, y, _ = rows
    learner = clone(estimator)
    for part in np.array_split(np.arange(700), 3):
        learner.partial_fit(X[part] * scale, y[part])
    found = learner.pairwise_distances(X[:5] * scale)
    expected = clone(estimator).fit(X * scale, y).pairwise_distances(X[:5] * scale)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("estimator", [Covariance(), RCA(), GMML()], ids=repr)
def test_partial_fit_does_not_go_on_from_fit(estimator, rows):
    X, y, _ = rows
    learner = clone(estimator).fit(X, y)
    with pytest.warns(UserWarning, match="fitted by fit, which keeps no sums"):
        learner.partial_fit(X[:100], y[:100])
    assert_same_metric(learner, clone(estimator).partial_fit(X[:100], y[:100]))
    learner = clone(estimator).fit(X, y)
    # and fit forgets what partial_fit has kept
    begun = clone(estimator).partial_fit(X[:100], y[:100]).fit(X, y)
    assert_same_metric(begun, learner)


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        (GMML(n_pairs=10), "n_pairs=10 draws from all rows"),
        (GMML(prior="covariance"), "prior='covariance' needs all rows"),
        (RCA(n_chunks=4), "n_chunks=4 draws chunks of all rows"),
    ],
    ids=repr,
)
def test_what_needs_all_rows_is_refused(learner, message, rows):
    with pytest.raises(ValueError, match=message):
        learner.partial_fit(rows[0], rows[1])


def test_too_few_rows_so_far_are_one_clear_error(rows):
    X, _, _ = rows
    with pytest.raises(ValueError, match="one class only so far"):
        GMML().partial_fit(X, np.zeros(700, dtype=int))
    with pytest.raises(ValueError, match="no chunk has two rows so far"):
        RCA().partial_fit(X[:3], [0, 1, 2])


@streamed
def test_memory_mapped_rows_are_never_copied(estimator, tmp_path):
    rng = np.random.RandomState(0)
    np.save(tmp_path / "X.npy", rng.randn(60_000, 40))
    X, y = np.load(tmp_path / "X.npy", mmap_mode="r"), rng.randint(5, size=60_000)
    tracemalloc.start()
    clone(estimator).fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    learner = clone(estimator)
    for start in range(0, 60_000, 20_000):
        learner.partial_fit(X[start : start + 20_000], y[start : start + 20_000])
    peak = max(peak, tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peak < 0.4 * X.nbytes


@pytest.mark.parametrize("learner", [ITML(n_pairs=500), SDML(n_pairs=500)], ids=repr)
def test_rows_that_no_pair_names_are_not_copied(learner):
    rng = np.random.RandomState(0)
    X, y = rng.randn(100_000, 20), rng.randint(5, size=100_000)
    tracemalloc.start()
    clone(learner).set_params(random_state=0).fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.8 * X.nbytes


@streamed
@pytest.mark.parametrize("weighted", [False, True])
def test_dask_arrays_are_learned_from_block_by_block(estimator, weighted, rows):
    da = pytest.importorskip("dask.array")
    X, y, weights = rows
    weights = weights if weighted else None
    expected = clone(estimator).fit(X, y, sample_weight=weights)
    blocks = da.from_array(X, chunks=(130, 2))
    with pytest.importorskip("dask").config.set(scheduler="threads", num_workers=2):
        learner = clone(estimator).fit(blocks, da.from_array(y), sample_weight=weights)
    assert_same_metric(learner, expected)
    assert learner.n_features_in_ == 5
    np.testing.assert_allclose(learner.transform(blocks[:3]), X[:3] @ learner.components_.T)


def test_dask_arrays_with_pairs_chunks_and_unlabeled_rows(rows):
    da = pytest.importorskip("dask.array")
    X, y, _ = rows
    blocks = da.from_array(X, chunks=(130, 5))
    hidden = np.where(np.arange(700) % 3, y, -1)
    with pytest.importorskip("dask").config.set(scheduler="threads", num_workers=2):
        assert_same_metric(RCA().fit(blocks, hidden), RCA().fit(X, hidden))
        chunks = Chunks(hidden)
        assert_same_metric(
            RCA(2).fit(blocks, constraints=chunks), RCA(2).fit(X, constraints=chunks)
        )
        pairs = Pairs([[0, 600], [3, 4], [5, 699]], [1, 0, 0])
        assert_same_metric(GMML().fit(blocks, constraints=pairs), GMML().fit(X, constraints=pairs))
        prior = GMML(prior="covariance")
        assert_same_metric(clone(prior).fit(blocks, y), clone(prior).fit(X, y))


@pytest.mark.slow
def test_two_workers_of_a_cluster_add_up_to_the_whole(rows):
    distributed = pytest.importorskip("distributed")
    da = pytest.importorskip("dask.array")
    X, y, _ = rows
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    )
    with cluster, distributed.Client(cluster):
        for estimator in STREAMED:
            learner = clone(estimator).fit(da.from_array(X, chunks=(100, 5)), y)
            assert_same_metric(learner, clone(estimator).fit(X, y))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X: np.where(X[3, 1] == X, np.nan, X), "X contains NaN, infinity"),
        (lambda X: X[:1], "found 1 rows"),
        (lambda X: X[:, 0], r"numbers of shape \(n, n_features\)"),
        (lambda X: X.astype(str), r"numbers of shape \(n, n_features\)"),
    ],
    ids=["nan", "one row", "one dimension", "strings"],
)
def test_bad_dask_arrays_are_one_clear_error(spoil, message, rows):
    da = pytest.importorskip("dask.array")
    with pytest.raises(ValueError, match=message):
        Covariance().fit(da.from_array(spoil(rows[0])))
