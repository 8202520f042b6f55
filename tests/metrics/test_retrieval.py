"""Retrieval measures against a loop over sorted lists, and against their definitions."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.metrics import ndcg_score

from metriclearn import metrics
from metriclearn.metrics import retrieval_scores, retrieve

MEASURES = ("recall_at_1", "recall_at_3", "precision_at_4", "map_at_3", "map_at_20", "ndcg_at_5")
MEASURES += ("share_found_at_3", "share_found_at_20", "r_precision", "map_at_r", "mrr")
DISTANCES = {
    "euclidean": lambda A, B: cdist(A, B),
    "cosine": lambda A, B: cdist(A, B, "cosine"),
    "inner_product": lambda A, B: -A @ B.T,
}


def loop_oracle(distances, right, self_search):
    """Per-query values of all MEASURES, one Python list at a time."""
    values = {name: [] for name in MEASURES}
    for q in range(len(distances)):
        ranked = sorted(range(distances.shape[1]), key=lambda j: (distances[q, j], j))
        rel = [bool(right[q, j]) for j in ranked if not (self_search and j == q)]
        R = sum(rel)
        if R == 0:
            for name in MEASURES:
                values[name].append(np.nan)
            continue

        def average_precision(depth, rel=rel):
            return sum(sum(rel[: i + 1]) / (i + 1) for i in range(min(depth, len(rel))) if rel[i])

        def dcg(rel):
            return sum(r / np.log2(i + 2) for i, r in enumerate(rel[:5]))

        values["recall_at_1"].append(float(any(rel[:1])))
        values["recall_at_3"].append(float(any(rel[:3])))
        values["precision_at_4"].append(sum(rel[:4]) / 4)
        values["share_found_at_3"].append(sum(rel[:3]) / R)
        values["share_found_at_20"].append(sum(rel[:20]) / R)
        values["map_at_3"].append(average_precision(3) / min(3, R))
        values["map_at_20"].append(average_precision(20) / min(20, R))
        values["ndcg_at_5"].append(dcg(rel) / dcg(sorted(rel, reverse=True)))
        values["r_precision"].append(sum(rel[:R]) / R)
        values["map_at_r"].append(average_precision(R) / R)
        values["mrr"].append(1 / (rel.index(True) + 1))
    return values


@pytest.fixture
def ragged(rng):
    """Fifty rows of eight unequal classes, one of them of one row."""
    y = rng.permutation(np.repeat(np.arange(8), [1, 2, 3, 5, 7, 9, 11, 12]))
    return rng.randn(50, 5) + y[:, None] / 3, y


@pytest.mark.parametrize("metric", list(DISTANCES))
@pytest.mark.filterwarnings("ignore:1 of 50 queries")
def test_equal_to_a_loop_over_one_set(ragged, metric):
    X, y = ragged
    expected = loop_oracle(DISTANCES[metric](X, X), y[:, None] == y, self_search=True)
    got = retrieval_scores(X, y, MEASURES, metric=metric, average=False)
    means = retrieval_scores(X, y, MEASURES, metric=metric)
    for name in MEASURES:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-12, err_msg=name)
        assert means[name] == pytest.approx(np.nanmean(expected[name]), rel=1e-12)


@pytest.mark.parametrize("metric", list(DISTANCES))
@pytest.mark.filterwarnings("ignore:.* queries have no right answer")
def test_equal_to_a_loop_over_query_and_gallery(ragged, metric, rng):
    X, y = ragged
    Q, labels = rng.randn(17, 5), rng.randint(10, size=17)
    expected = loop_oracle(DISTANCES[metric](Q, X), labels[:, None] == y, self_search=False)
    got = retrieval_scores(
        Q, labels, MEASURES, gallery=X, gallery_labels=y, metric=metric, average=False
    )
    for name in MEASURES:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ties_rank_by_row_number(rng, dtype):
    X = rng.randint(3, size=(60, 3)).astype(dtype)  # 27 places for 60 rows, and equal distances
    y = rng.randint(4, size=60)
    distances = ((X[:, None] - X[None]) ** 2).sum(axis=2)  # exact: small integers
    expected = loop_oracle(distances, y[:, None] == y, self_search=True)
    got = retrieval_scores(X, y, MEASURES, average=False)
    for name in MEASURES:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("values", [(0, 1), (0, 1, 2), (-4, 0.5, 0.25), (0, 1024, 2048)], ids=str)
def test_what_is_found_among_many_equal_rows_is_nearest(rng, dtype, values):
    for n_features in (2, 3, 5):
        X = rng.choice(values, size=(200, n_features)).astype(dtype)
        distances = ((X[:, None] - X[None]) ** 2).sum(axis=2)
        np.fill_diagonal(distances, np.inf)
        result = retrieve(X, rng.randint(9, size=200), k=30)
        found = np.take_along_axis(distances, result.indices, axis=1)
        np.testing.assert_array_equal(found, np.sort(distances, axis=1)[:, :30])
        assert all(len(set(row)) == 30 for row in result.indices.tolist())


def test_duplicates_of_a_query_are_found_and_the_query_is_not():
    result = retrieve([[0.0], [0.0], [0.0], [9.0]], [0, 1, 0, 1], k=3)
    np.testing.assert_array_equal(result.indices, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
    assert result.recall_at_k(1, average=False).tolist() == [0, 0, 1, 0]
    assert repr(result) == "<RetrievalResult of 4 queries, k=3, 4 with right answers>"


def test_functions_results_and_scores_agree(ragged):
    X, y = ragged
    X, y = X[y > 0], y[y > 0]
    result = retrieve(X, y, k=20)
    scores = retrieval_scores(X, y, MEASURES)
    assert metrics.recall_at_k(X, y, 3) == result.recall_at_k(3) == scores["recall_at_3"]
    assert metrics.precision_at_k(X, y, 4) == result.precision_at_k(4) == scores["precision_at_4"]
    assert metrics.map_at_k(X, y, 3) == result.map_at_k(3) == scores["map_at_3"]
    assert metrics.share_found_at_k(X, y, 3) == result.share_found_at_k(3)
    assert result.share_found_at_k(3) == scores["share_found_at_3"]
    assert metrics.ndcg_at_k(X, y, 5) == result.ndcg_at_k(5) == scores["ndcg_at_5"]
    assert metrics.r_precision(X, y) == result.r_precision() == scores["r_precision"]
    assert metrics.map_at_r(X, y) == result.map_at_r() == scores["map_at_r"]
    assert metrics.mrr(X, y) == scores["mrr"]
    assert retrieve(X, y, k=len(X) - 1).mrr() == scores["mrr"]
    assert retrieve(X, y).indices.shape[1] == np.bincount(y).max() - 1
    per_query = metrics.recall_at_k(X, y, 1, average=False)
    assert metrics.recall_at_k(X, y, 1) == pytest.approx(per_query.mean())


def test_relevance_as_a_matrix_or_a_tolerance_generalizes_labels(ragged):
    X, y = ragged
    X, y = X[y > 0], y[y > 0]
    expected = retrieval_scores(X, y, MEASURES)
    same = y[:, None] == y
    for relevance in (same, sparse.csr_array(same.astype(float)), same.astype(int)):
        got = retrieval_scores(X, measures=MEASURES, relevance=relevance)
        assert got == pytest.approx(expected, rel=1e-12)
    assert retrieval_scores(X, y, MEASURES, relevance=0.5) == pytest.approx(expected, rel=1e-12)
    angles = np.c_[np.cos(y), np.sin(y)]
    assert retrieval_scores(X, angles, MEASURES, relevance=1e-9) == pytest.approx(expected)


@pytest.mark.parametrize("self_search", [True, False])
@pytest.mark.parametrize("kind", ["distance", "matrix"])
@pytest.mark.filterwarnings("ignore:.* queries have no right answer")
def test_other_relevance_is_equal_to_a_loop(rng, self_search, kind):
    X, targets = rng.randn(40, 4), rng.rand(40, 2)
    Q, wanted = (X, targets) if self_search else (rng.randn(15, 4), rng.rand(15, 2))
    if kind == "distance":
        right = cdist(wanted, targets) <= 0.3
        arguments = {"labels": wanted, "relevance": 0.3}
        gallery = {"gallery": X, "gallery_labels": targets}
    else:
        right = rng.rand(len(Q), 40) < 0.2
        arguments, gallery = {"relevance": right}, {"gallery": X}
    got = retrieval_scores(
        Q, measures=MEASURES, average=False, **arguments, **({} if self_search else gallery)
    )
    expected = loop_oracle(cdist(Q, X), right, self_search)
    for name in MEASURES:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-12, err_msg=name)


def test_graded_gains_agree_with_scikit_learn(rng):
    Q, X = rng.randn(6, 3), rng.randn(20, 3)
    gains = rng.randint(4, size=(6, 20)).astype(float)
    got = metrics.ndcg_at_k(Q, k=7, gallery=X, relevance=gains)
    assert got == pytest.approx(ndcg_score(gains, -cdist(Q, X), k=7), rel=1e-12)


def test_large_offset_changes_nothing(ragged):
    X, y = ragged
    X, y = X[y > 0], y[y > 0]
    np.testing.assert_array_equal(
        retrieve(X + 2.0**20, y, k=9).indices, retrieve(X, y, k=9).indices
    )


def test_classes_of_one_row_are_left_out_and_said_so(ragged):
    X, y = ragged
    with pytest.warns(UserWarning, match=r"1 of 50 queries have no right answer .*left out"):
        value = metrics.r_precision(X, y)
    assert value == pytest.approx(np.nanmean(_quiet(metrics.r_precision, X, y, average=False)))
    assert not _quiet(retrieve, X, y).scored[y == 0].any()


def _quiet(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": [0, 1, 2]}, "no query has a right answer"),
        ({"labels": [0, 0]}, "labels has 2 entries for 3 rows"),
        ({"labels": None}, "labels is missing"),
        ({"labels": [[0], [0], [1]]}, "labels must be one-dimensional"),
        ({"labels": [0, 0, 1], "k": 3}, "k=3 is not between 1 and 2"),
        ({"labels": [0, 0, 1], "k": 0}, "k must be an integer of at least 1, got 0"),
        ({"labels": [0, 0, 1], "k": 1.5}, "k must be an integer of at least 1, got 1.5"),
        ({"labels": [0, 0, 1], "metric": "manhattan"}, "metric must be one of"),
        ({"labels": [0, 0, 1], "metric": "cosine"}, "embeddings: row 1 is all zeros"),
        (
            {"labels": [0, 0, 1], "gallery": [[1.0]], "gallery_labels": [0]},
            "gallery has 1 features, embeddings has 2",
        ),
        ({"labels": [0, 0, 1], "gallery_labels": [0]}, "without gallery"),
        ({"labels": [0, 0, 1], "gallery": [[1.0, 2.0]]}, "gallery_labels is missing"),
        ({"labels": [0, 0, 1], "relevance": -1.0}, "must be 0 or more"),
        ({"labels": [0, 0, 1], "relevance": "near"}, "must be 0 or more, got 'near'"),
        ({"labels": ["a", "b", "c"], "relevance": 1.0}, "labels must be finite numbers"),
        ({"labels": [0, np.nan, 1], "relevance": 1.0}, "labels must be finite"),
        ({"relevance": np.eye(2)}, r"relevance must be of shape \(3, 3\)"),
        ({"relevance": -np.eye(3)}, "relevance must hold numbers of 0 or more"),
    ],
)
def test_bad_input_is_one_clear_error(arguments, message):
    X = [[1.0, 2.0], [0.0, 0.0], [2.0, 1.0]]
    with pytest.raises(ValueError, match=message):
        metrics.recall_at_k(X, **arguments)


@pytest.mark.parametrize("name", ["map_at_r", "mrr"])
def test_one_measure_may_be_named_alone(ragged, name):
    assert _quiet(retrieval_scores, *ragged, name) == _quiet(retrieval_scores, *ragged, [name])


def test_nan_embeddings_and_unknown_measures_are_refused(ragged):
    X, y = ragged
    with pytest.raises(ValueError, match="embeddings contains NaN"):
        metrics.map_at_r(np.where(X > 2, np.nan, X), y)
    with pytest.raises(ValueError, match="measure 'recall' is unknown"):
        retrieval_scores(X, y, ["recall"])
    with pytest.raises(ValueError, match="3 answers a query were retrieved"):
        _quiet(retrieve, X, y, k=3).recall_at_k(4)
