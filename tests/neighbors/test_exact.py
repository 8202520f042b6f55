"""Exact search finds and ranks as the definition does, to the last bit."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn import neighbors as sk

from metriclearn.neighbors import ExactSearch, FaissNearestNeighbors


def all_distances(Q, X, metric):
    """Exact distances by the definition, one difference at a time, in float64."""
    Q, X = Q.astype(float), X.astype(float)
    if metric == "inner_product":
        return -np.einsum("ij,ikj->ik", Q, np.broadcast_to(X, (len(Q), *X.shape)))
    if metric == "cosine":
        Q = Q / np.sqrt(np.einsum("ij,ij->i", Q, Q))[:, None]
        X = X / np.sqrt(np.einsum("ij,ij->i", X, X))[:, None]
    difference = X[None] - Q[:, None]
    squares = np.einsum("ikj,ikj->ik", difference, difference)
    return squares / 2 if metric == "cosine" else np.sqrt(squares)


AWKWARD = {
    "plain": lambda X: X,
    "tiny": lambda X: X * 1e-30,
    "huge": lambda X: X * 1e15,
    "offset": lambda X: X + 1e6,
    "outlier": lambda X: np.r_[X[:1] * 1e9, X[1:]],
    "grid": lambda X: np.round(X * 2) + 0.5,
    "two places": lambda X: X + 1e4 * (np.arange(len(X)) % 2)[:, None],
    "sorted": lambda X: X[np.argsort(X[:, 0])],
    "one feature": lambda X: X[:, :1],
    "duplicates": lambda X: np.r_[X, X, X],
}


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spoil", AWKWARD.values(), ids=AWKWARD.keys())
def test_exact_search_is_exact(rng, metric, dtype, spoil):
    X = spoil(rng.randn(150, 7)).astype(dtype)
    Q = np.r_[X[::5], (X[:20] + X[20:40]) / 2].astype(dtype)
    D = all_distances(Q, X, metric)
    for k in (1, 10, len(X)):
        distances, indices = ExactSearch(X, metric).search(Q, k)
        expected = np.argsort(D, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_array_equal(distances, np.take_along_axis(D, expected, axis=1))


@pytest.fixture
def no_tree(monkeypatch):
    """As if trees were for fewer features."""
    monkeypatch.setattr("metriclearn.neighbors._exact.MOST_FEATURES", 0)


@pytest.mark.usefixtures("no_tree")
def test_exact_search_over_many_tiles(rng):
    """More rows than a tile, a query block of its own, and limits that tighten on the way."""
    X = rng.randn(9000, 3).astype(np.float32)
    Q = rng.randn(300, 3).astype(np.float32)
    D = cdist(Q.astype(float), X.astype(float))
    for k in (1, 40):
        distances, indices = ExactSearch(X).search(Q, k)
        np.testing.assert_array_equal(indices, np.argsort(D, axis=1)[:, :k])
        np.testing.assert_allclose(distances, np.sort(D, axis=1)[:, :k], rtol=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
@pytest.mark.parametrize("spoil", AWKWARD.values(), ids=AWKWARD.keys())
def test_search_all_is_exact(rng, metric, spoil):
    X = spoil(rng.randn(150, 7)).astype(np.float32)
    D = all_distances(X, X, metric)
    np.fill_diagonal(D, np.inf)
    for k in (1, 10, len(X) - 1):
        distances, indices = ExactSearch(X, metric).search_all(k)
        expected = np.argsort(D, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_array_equal(distances, np.take_along_axis(D, expected, axis=1))


@pytest.mark.parametrize("n_tied", [0, 700])
@pytest.mark.parametrize("n", [2047, 2048, 3100])
@pytest.mark.parametrize("k", [1, 30])
@pytest.mark.usefixtures("no_tree")
def test_search_all_over_square_tiles(rng, monkeypatch, n, k, n_tied):
    """One, two and three tiles a side; as each row searched for by itself."""
    X = rng.randn(n, 3) * [1, 1, 1e-3]
    X[:n_tied] = X[0]
    search = ExactSearch(X)
    expected = search.search(X, k, exclude=np.arange(n))
    if not n_tied:
        # Only rows with too many ties are searched for one block at a time.
        monkeypatch.setattr(search, "search", None)
    for ours, theirs in zip(search.search_all(k), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture
def flat(rng):
    """Rows near a plane: two of thirty directions hold nearly all of the spread."""
    X = rng.randn(4000, 2) @ rng.randn(2, 30) + 3e-3 * rng.randn(4000, 30)
    return (X + 5).astype(np.float32)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_reduced_search_is_exact(flat, metric):
    """Few directions rule out nearly all rows; those that are found are the same."""
    X, Q = flat[600:], flat[:600]
    D = all_distances(Q[:100], X, metric)
    for k in (1, 3):
        search = ExactSearch(X, metric)
        distances, indices = (found[:100] for found in search.search(Q, k))
        assert search._reduced.pays(k)
        expected = np.argsort(D, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_array_equal(distances, np.take_along_axis(D, expected, axis=1))
    assert not search._reduced.pays(400)  # looking at so many is dearer than the product


def test_reduced_search_of_queries_unlike_the_base(flat):
    """Far off the plane, its directions say little of what is near: all are asked again."""
    search = ExactSearch(flat)
    search.search(flat[:600], 2)
    assert search._reduced
    off = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)[2][-1]
    Q = flat[:20] + 300 * off
    expected = np.argsort(all_distances(Q, flat, "euclidean"), axis=1, kind="stable")[:, :2]
    np.testing.assert_array_equal(search.search(Q, 2)[1], expected)
    assert not search._reduced


def test_no_reduced_search_without_structure(rng):
    search = ExactSearch(rng.randn(4000, 30))
    search.search(rng.randn(600, 30), 2)
    assert search._reduced is False


def test_far_queries_and_a_base_of_one_place(rng):
    X = np.ones((50, 3))
    np.testing.assert_array_equal(ExactSearch(X).search(X[:2], 50)[1], [range(50)] * 2)
    for row, expected in ((0, [1, 2]), (1, [0, 2]), (30, [0, 1])):
        found = ExactSearch(X).search(X[:1] + 1, 2, exclude=np.array([row]))
        np.testing.assert_array_equal(found[1], [expected])
        np.testing.assert_array_equal(found[0], [[np.sqrt(3), np.sqrt(3)]])
    assert len(ExactSearch(X).radius(X[:1], 0.0)[0][1]) == 50
    X = rng.randn(50, 3)
    far = 1e25 * np.ones((1, 3))
    assert ExactSearch(X.astype(np.float32)).search(far, 3)[0] == pytest.approx(np.sqrt(3) * 1e25)


def test_exclude_is_by_row_not_by_rank():
    X = np.zeros((5, 2))
    X[4] = 1
    np.testing.assert_array_equal(
        ExactSearch(X).search(X[:4], 2, exclude=np.array([0, 1, 2, -1]))[1],
        [[1, 2], [0, 2], [0, 1], [0, 1]],
    )


@pytest.mark.parametrize("offset", [0, 1e3, 1e4])
@pytest.mark.parametrize("n_queries", [1, 30, 400])
def test_an_offset_costs_no_neighbors_at_any_batch_size(rng, offset, n_queries):
    X, Q = rng.randn(500, 300) + offset, rng.randn(n_queries, 300) + offset
    theirs = sk.NearestNeighbors(algorithm="brute").fit(X - offset).kneighbors(Q - offset)
    ours = FaissNearestNeighbors().fit(X).kneighbors(Q)
    np.testing.assert_array_equal(ours[1], theirs[1])
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.empty((0, 3)), r"X must be of shape .* got \(0, 3\)"),
        (np.empty((3, 0)), r"X must be of shape .* got \(3, 0\)"),
        (np.zeros(3), r"X must be of shape"),
        (np.array([["a"]]), "X must hold numbers, got dtype <U1"),
        (np.array([[1, None]]), "X must hold numbers, got dtype object"),
        (np.array([[1j]]), "X must hold numbers, got dtype complex"),
        (np.array([[1.0], [np.nan]]), "X: row 1 contains NaN or infinity"),
        (np.array([[np.inf], [np.nan]]), "X: row 0 contains NaN or infinity"),
    ],
)
def test_what_cannot_be_searched_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        ExactSearch(X)
    if X.shape[:1] != (0,):
        search = ExactSearch(np.zeros((2, X.shape[-1] or 1)))
        with pytest.raises(ValueError, match=message.replace("X", "queries", 1)):
            search.search(X, 1)
        with pytest.raises(ValueError, match=message.replace("X", "queries", 1)):
            search.radius(X, 1.0)


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.uint64, bool, np.float32])
def test_rows_of_any_numbers_are_searched(dtype):
    X = np.array([[0, 1], [1, 1], [0, 0]]).astype(dtype)
    assert ExactSearch(X).search(X, 1)[1].ravel().tolist() == [0, 1, 2]
    assert ExactSearch(X.tolist()).search(X[:0], 1)[0].shape == (0, 1)
    X = np.full((3, 2), np.finfo(np.float64).max / 4)
    assert np.isfinite(ExactSearch(X).search(X, 2)[0]).all()


FEW = {
    **AWKWARD,
    "one place but one": lambda X: np.r_[X[:1], 0 * X[1:]],
    "coarse grid": lambda X: np.round(X),
    "line": lambda X: np.arange(len(X))[:, None] * np.ones(X.shape[1]),
    "zeros of both signs": lambda X: np.round(X) * 0.0 + np.round(X[:, :1]),
    "collapsed by centering": lambda X: np.r_[X[:1], 1 + X[1:] * 1e-17],
}


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("d", [1, 2, 3, 6])
@pytest.mark.parametrize("spoil", FEW.values(), ids=FEW.keys())
def test_a_tree_finds_what_the_definition_says(rng, metric, d, spoil):
    """To the last bit, ties by row number, whether or not the row itself is left out."""
    X = spoil(rng.randn(150, d)) + (metric == "cosine") * 10
    Q = np.r_[X[::5], X[:20] / 2 + X[20:40] / 2, 1e13 + X[:2], X[:3] + 1e-9]
    D = all_distances(Q, X, metric)
    search = ExactSearch(X, metric)
    for k in (1, 7, len(X)):
        distances, indices = search.search(Q, k)
        expected = np.argsort(D, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_array_equal(distances, np.take_along_axis(D, expected, axis=1))
    own = all_distances(X, X, metric)
    np.fill_diagonal(own, np.inf)
    distances, indices = search.search_all(9)
    expected = np.argsort(own, axis=1, kind="stable")[:, :9]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(distances, np.take_along_axis(own, expected, axis=1))


def test_a_tree_asks_the_screens_where_it_cannot_tell(rng):
    """A thousand points at one distance from their center."""
    angles = rng.uniform(0, 2 * np.pi, 2000)
    X = np.c_[np.cos(angles), np.sin(angles)]
    D = all_distances(np.zeros((1, 2)), X, "euclidean")
    indices = ExactSearch(X).search(np.zeros((1, 2)), 5)[1]
    np.testing.assert_array_equal(indices, np.argsort(D, axis=1, kind="stable")[:, :5])


@pytest.mark.parametrize("k", [0, 2.5, True, "3", None])
def test_numbers_of_neighbors_are_whole(k):
    with pytest.raises(ValueError, match="k must be an integer of at least 1"):
        ExactSearch(np.eye(4)).search(np.eye(4), k)
