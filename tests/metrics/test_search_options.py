"""What queries may find, what counts as a right answer, and how measures are named."""

import re
import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist

from metriclearn import metrics
from metriclearn.metrics import make_retrieval_scorer, retrieval_scores, retrieve

NAMES = ["recall_at_1", "precision_at_4", "share_found_at_5", "map_at_7", "ndcg_at_5"]
NAMES += ["r_precision", "map_at_r", "mrr"]


@pytest.fixture
def problem(rng):
    """Forty rows of four classes, drawn close together."""
    y = rng.permutation(np.repeat(np.arange(4), 10))
    return rng.randn(40, 3) + y[:, None] / 4, y


def same_scores(got, expected):
    for name in NAMES:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-12, err_msg=name)


def test_queries_that_are_in_the_gallery_do_not_find_themselves(problem, rng):
    X, y = problem
    expected = retrieval_scores(X, y, NAMES, average=False)
    common = {"gallery": X, "gallery_labels": y, "average": False}
    same_scores(retrieval_scores(X, y, NAMES, queries_in_gallery=True, **common), expected)
    order = rng.permutation(40)
    shuffled = {"gallery": X[order], "gallery_labels": y[order], "average": False}
    own = np.argsort(order)
    got = retrieval_scores(X, y, NAMES, queries_in_gallery=own, **shuffled)
    same_scores(got, expected)
    # A query that is no row of the gallery finds all of it.
    some = np.where(np.arange(40) < 20, own, -1)
    got = retrieval_scores(X, y, ["recall_at_1"], queries_in_gallery=some, **shuffled)
    assert got["recall_at_1"][20:].tolist() == [1.0] * 20
    np.testing.assert_array_equal(got["recall_at_1"][:20], expected["recall_at_1"][:20])


def test_queries_that_look_like_the_gallery_are_a_warning(problem):
    X, y = problem
    with pytest.warns(UserWarning, match="every query is a row of the gallery and finds itself"):
        value = metrics.recall_at_k(X, y, gallery=X, gallery_labels=y)
    assert value == 1
    for arguments in ({"queries_in_gallery": False}, {"queries_in_gallery": True}):
        metrics.recall_at_k(X, y, gallery=X, gallery_labels=y, **arguments)
    with pytest.warns(UserWarning, match="every query is a row of the gallery"):
        metrics.map_at_r(X[:9], y[:9], gallery=X, gallery_labels=y)
    metrics.map_at_r(X[1:9], y[1:9], gallery=X, gallery_labels=y)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (True, "query i is row i of the gallery, but their embeddings differ"),
        ([0, 1], "the gallery row of each of the 3 queries"),
        ([0.0, 1.0, 2.0], "the gallery row of each of the 3 queries"),
        ([0, 1, 40], "rows of the gallery, from 0 to 39"),
        ([0, 1, -2], "rows of the gallery, from 0 to 39"),
    ],
)
def test_rows_of_queries_are_checked(problem, given, message):
    X, y = problem
    with pytest.raises(ValueError, match=message):
        retrieve(X[5:8], y[5:8], gallery=X, gallery_labels=y, queries_in_gallery=given)
    with pytest.raises(ValueError, match="queries_in_gallery was given without gallery"):
        retrieve(X, y, queries_in_gallery=given)


@pytest.mark.parametrize("as_sparse", [False, True])
@pytest.mark.parametrize("graded", [False, True])
def test_ignored_rows_are_as_if_they_were_not_there(problem, rng, as_sparse, graded):
    X, y = problem
    ignore = rng.rand(40, 40) < 0.3
    grades = np.where(y[:, None] == y, 1 + rng.randint(3, size=(40, 40)), 0)
    relevance = grades if graded else (y[:, None] == y)
    mask = sparse.coo_array(ignore) if as_sparse else ignore
    asked = {"relevance": sparse.csr_array(relevance) if as_sparse else relevance}
    got = retrieval_scores(
        X, None if graded else y, NAMES, ignore=mask, average=False, **(asked if graded else {})
    )
    result = retrieve(X, y, k=8, ignore=mask)
    for q in range(40):
        kept = ~ignore[q] & (np.arange(40) != q)
        alone = retrieval_scores(
            X[[q]], measures=NAMES, gallery=X[kept], relevance=relevance[[q]][:, kept]
        )
        for name in NAMES:
            assert got[name][q] == pytest.approx(alone[name], rel=1e-12), name
        ranked = np.flatnonzero(kept)[np.argsort(cdist(X[[q]], X[kept])[0])]
        np.testing.assert_array_equal(result.indices[q], ranked[:8])


@pytest.mark.parametrize("n_gallery", [60, 400])
def test_one_query_may_ignore_most_rows_and_the_others_none(rng, n_gallery):
    """Its first right answer may be beyond what a query with many ignored rows can find."""
    G, Q = rng.randn(n_gallery, 3), rng.randn(5, 3)
    y, yq = np.zeros(n_gallery, int), np.array([0, 1, 1, 1, 0])
    distances = ((Q[:, None] - G) ** 2).sum(axis=2)
    y[np.argsort(distances[1])[-2:]] = 1  # the farthest of query 1
    ignore = np.zeros((5, n_gallery), bool)
    ignore[0, 5:] = True
    names = ["mrr", "r_precision", "map_at_r"]
    got = retrieval_scores(Q, yq, names, gallery=G, gallery_labels=y, ignore=ignore, average=False)
    for q in range(5):
        kept = ~ignore[q]
        alone = retrieval_scores(
            Q[[q]], yq[[q]], names, gallery=G[kept], gallery_labels=y[kept], average=False
        )
        assert {name: got[name][q] for name in names} == {n: v[0] for n, v in alone.items()}
    own = np.array([0, 1, 2, 3, -1])  # the last is no row of the gallery, and finds all of them
    y[:] = 1
    y[np.argmax(distances[4])] = 0
    Q[:4] = G[:4]
    found = retrieval_scores(
        Q, yq, "mrr", gallery=G, gallery_labels=y, queries_in_gallery=own, average=False
    )
    assert found["mrr"][4] == 1 / n_gallery


def test_what_is_ignored_is_checked(problem):
    X, y = problem
    groups = np.arange(40), np.arange(39)  # not what they have in common
    for wrong in (np.ones((40, 39), bool), "junk", np.full((40, 40), "a"), groups):
        with pytest.raises(ValueError, match=r"ignore must be a matrix of booleans.*\(40, 40\)"):
            retrieve(X, y, ignore=wrong)
    with pytest.raises(ValueError, match="a query finds none of them"):
        retrieve(X, y, ignore=np.ones((40, 40), bool))
    with pytest.raises(ValueError, match="k=30 is not between 1 and 29"):
        retrieve(X, y, k=30, ignore=np.arange(40) < np.full((40, 1), 10))


@pytest.mark.parametrize("n_places", [1, 2, 3])
@pytest.mark.parametrize("metric", ["euclidean", "inner_product", "cosine"])
def test_a_collapsed_embedding_is_no_better_than_chance(n_places, metric, rng):
    y = np.repeat(np.arange(10), 30)  # sorted, so that row numbers tell the class
    Z = rng.randn(n_places, 2)[rng.randint(n_places, size=300)]
    chance = retrieval_scores(rng.randn(300, 2), y)
    got = retrieval_scores(Z, y, metric=metric)
    assert got["map_at_r"] < chance["map_at_r"] + 0.01
    assert got["recall_at_1"] < chance["recall_at_1"] + 0.08
    gallery = rng.randn(n_places, 2)[rng.randint(n_places, size=300)]
    apart = metrics.map_at_r(Z, y, gallery=gallery, gallery_labels=y, metric=metric)
    assert apart < chance["map_at_r"] + 0.01
    assert retrieval_scores(Z, y, metric=metric) == got
    found = retrieve(Z, y, k=299, metric=metric).indices
    for query in (0, 150, 299):
        assert sorted([query, *found[query]]) == list(range(300))


def test_the_label_minus_one_is_no_class(problem):
    X, y = problem
    labels = np.where(np.arange(40) % 4 == 0, -1, y)
    with pytest.warns(UserWarning, match="10 of 40 queries .* -1 for no label"):
        got = retrieval_scores(X, labels, NAMES, average=False)
    known = labels >= 0
    right = (labels[:, None] == labels) & known[:, None] & known
    with pytest.warns(UserWarning, match="10 of 40"):
        same_scores(got, retrieval_scores(X, measures=NAMES, relevance=right, average=False))
    assert np.isnan(got["map_at_r"][~known]).all()
    names = np.array(["-1", "a"])[(labels < 0).astype(int)]  # text is no such label
    assert not np.isnan(metrics.recall_at_k(X, names, average=False)).any()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, "a", 1], "labels mixes kinds of labels"),
        (np.array([1, "a", 1], dtype=object), "labels mixes kinds of labels"),
        ([1.0, np.nan, 1.0], "labels has missing entries"),
        (["a", None, "a"], "labels"),
        (0, "labels must be one-dimensional"),
        ([[0], [1, 2], [0]], "labels"),
    ],
)
def test_labels_are_checked(labels, message):
    with pytest.raises(ValueError, match=message):
        metrics.recall_at_k(np.eye(3), labels)


def test_labels_of_two_forms_are_an_error():
    with pytest.raises(ValueError, match="labels are text and gallery_labels are numbers"):
        metrics.recall_at_k(np.eye(2), ["1", "2"], gallery=np.eye(2)[::-1], gallery_labels=[1, 2])


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("recall@10", "recall_at_10"),
        ("hit_rate@5", "recall_at_5"),
        ("HR@20", None),
        ("hits_at_3", "recall_at_3"),
        ("mean_average_precision", "map_at_r"),
        ("MAP@R", "map_at_r"),
        ("nDCG@7", "ndcg_at_7"),
        ("r-precision", "r_precision"),
        ("mean_reciprocal_rank", "mrr"),
        ("recal_at_4", "recall_at_4"),
        ("recall", "share_found_at_10"),
        ("recall_at_0", "recall_at_10"),
        ("purity", None),
    ],
)
def test_an_unknown_measure_names_the_one_that_is_meant(name, here):
    for ask in (
        lambda: retrieval_scores(np.eye(4), [0, 0, 1, 1], [name]),
        lambda: make_retrieval_scorer(name),
        lambda: retrieve(np.eye(4), [0, 0, 1, 1]).score(name),
    ):
        with pytest.raises(ValueError, match="is unknown") as caught:
            ask()
        hint = f"did you mean .*{here}" if here else "take r_precision, map_at_r, mrr, or"
        assert re.search(hint, str(caught.value))


def test_sparse_relevance_stays_sparse(rng):
    n, n_queries = 6000, 400
    X = rng.randn(n, 2).astype(np.float32)
    relevance = sparse.csr_array(sparse.random(n_queries, n, density=5e-3, random_state=0))
    tracemalloc.start()
    retrieval_scores(
        X[:n_queries] + 1, measures=["recall_at_1", "ndcg_at_5"], gallery=X, relevance=relevance
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.6 * 8 * n_queries * n  # one dense matrix of it


@pytest.mark.parametrize("self_search", [True, False])
def test_sparse_and_dense_relevance_agree(rng, self_search):
    X = rng.randn(30, 2)
    grades = rng.randint(3, size=(30, 30)) * (rng.rand(30, 30) < 0.4)
    gallery = {} if self_search else {"gallery": rng.randn(30, 2)}
    dense = retrieve(X, k=9, relevance=grades, **gallery)
    thin = retrieve(X, k=9, relevance=sparse.coo_array(grades), **gallery)
    for field in ("indices", "gains", "n_relevant", "ideal_gains"):
        np.testing.assert_array_equal(getattr(dense, field), getattr(thin, field), err_msg=field)
