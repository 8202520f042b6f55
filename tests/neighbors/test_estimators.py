"""Nearest neighbors agree with scikit-learn's brute force, neighbor for neighbor."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from helpers.estimators import NEIGHBORS
from scipy import sparse
from sklearn import neighbors as sk
from sklearn.base import clone
from sklearn.cluster import DBSCAN
from sklearn.manifold import TSNE, Isomap
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from metriclearn.neighbors import (
    FaissKNeighborsClassifier,
    FaissKNeighborsRegressor,
    FaissKNeighborsTransformer,
    FaissNearestNeighbors,
)

every_estimator = pytest.mark.parametrize("estimator", NEIGHBORS, ids=lambda e: type(e).__name__)


@parametrize_with_checks(NEIGHBORS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@every_estimator
@pytest.mark.filterwarnings("ignore:X .*feature names")  # the checks' own doing
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_dataframe_column_names_consistency,
        estimator_checks.check_n_features_in_after_fitting,
        estimator_checks.check_param_validation,
    ],
    ids=lambda check: check.__name__,
)
def test_further_scikit_learn_checks(estimator, check):
    check(type(estimator).__name__, clone(estimator))


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_classifier_multioutput,
        estimator_checks.check_classifiers_multilabel_output_format_predict,
        estimator_checks.check_classifiers_multilabel_output_format_predict_proba,
        estimator_checks.check_classifiers_multilabel_representation_invariance,
    ],
    ids=lambda check: check.__name__,
)
def test_multilabel_checks(check):
    check("FaissKNeighborsClassifier", FaissKNeighborsClassifier())


# --- estimators against scikit-learn's --------------------------------------------------


@pytest.fixture
def data(rng):
    X = rng.randn(120, 5)
    y = np.array(["ant", "bee", "cat"])[np.digitize(X[:, 0] + rng.randn(120) / 2, [-0.5, 0.5])]
    return X, y, rng.randn(40, 5)


WEIGHTS = ["uniform", "distance", None, lambda distances: np.exp(-distances)]


@pytest.mark.parametrize("weights", WEIGHTS, ids=["uniform", "distance", "none", "callable"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_classifier_is_scikit_learns(data, weights, metric, n_outputs):
    X, y, Q = data
    y = y if n_outputs == 1 else np.c_[y, np.where(X[:, 1] > 0, "up", "down")]
    Q = np.r_[Q, X[:5]]  # queries at distance zero
    theirs = sk.KNeighborsClassifier(4, weights=weights, metric=metric, algorithm="brute")
    ours = FaissKNeighborsClassifier(4, weights=weights, metric=metric).fit(X, y)
    theirs.fit(X, y)
    np.testing.assert_array_equal(ours.predict(Q), theirs.predict(Q))
    # Their distance of a row to itself may be 1e-8 instead of 0.
    for output in range(n_outputs):
        mine, their = (
            (e.predict_proba(Q), e.classes_)
            if n_outputs == 1
            else (e.predict_proba(Q)[output], e.classes_[output])
            for e in (ours, theirs)
        )
        np.testing.assert_allclose(mine[0], their[0], atol=1e-7)
        np.testing.assert_array_equal(mine[1], their[1])
    if n_outputs == 1:
        assert ours.score(Q[-5:], y[:5]) == theirs.score(Q[-5:], y[:5])


@pytest.mark.parametrize("weights", WEIGHTS, ids=["uniform", "distance", "none", "callable"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_regressor_is_scikit_learns(data, weights, n_outputs):
    X, _, Q = data
    y = X[:, 0] if n_outputs == 1 else X[:, :2]
    theirs = sk.KNeighborsRegressor(4, weights=weights, algorithm="brute").fit(X, y)
    ours = FaissKNeighborsRegressor(4, weights=weights).fit(X, y)
    np.testing.assert_allclose(ours.predict(Q), theirs.predict(Q), rtol=1e-9)
    whole = FaissKNeighborsRegressor(1).fit([[0], [1]], [1, 2]).predict([[0.1]])
    assert whole == 1.0


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_neighbors_radius_and_graphs_are_scikit_learns(data, metric):
    X, _, Q = data
    radius = 1.2 if metric == "euclidean" else 0.3
    theirs = sk.NearestNeighbors(n_neighbors=6, radius=radius, metric=metric, algorithm="brute")
    ours = FaissNearestNeighbors(n_neighbors=6, radius=radius, metric=metric).fit(X)
    theirs.fit(X)
    for queries in (Q, None):
        for got, expected in zip(ours.kneighbors(queries), theirs.kneighbors(queries), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-9)
        got = ours.radius_neighbors(queries)
        expected = theirs.radius_neighbors(queries, sort_results=True)
        assert len(got[0]) == len(expected[0])
        for mine, their in zip(got[1], expected[1], strict=True):
            np.testing.assert_array_equal(mine, their)
        for mine, their in zip(got[0], expected[0], strict=True):
            np.testing.assert_allclose(mine, their, rtol=1e-9)
        for mode in ("connectivity", "distance"):
            for name in ("kneighbors_graph", "radius_neighbors_graph"):
                mine, their = (getattr(e, name)(queries, mode=mode) for e in (ours, theirs))
                np.testing.assert_allclose(mine.toarray(), their.toarray(), rtol=1e-9)
    np.testing.assert_array_equal(
        ours.kneighbors(Q, 2, return_distance=False), theirs.kneighbors(Q, 2)[1]
    )


@pytest.mark.parametrize("mode", ["connectivity", "distance"])
def test_transformer_is_scikit_learns(data, mode):
    X, _, Q = data
    theirs = sk.KNeighborsTransformer(n_neighbors=4, mode=mode, algorithm="brute")
    ours = FaissKNeighborsTransformer(n_neighbors=4, mode=mode)
    for mine, their in (
        (ours.fit_transform(X), theirs.fit_transform(X)),
        (ours.transform(Q), theirs.transform(Q)),
    ):
        assert sparse.issparse(mine)
        assert mine.nnz == their.nnz  # the diagonal is explicit
        np.testing.assert_allclose(mine.toarray(), their.toarray(), rtol=1e-9, atol=1e-7)
    assert list(ours.get_feature_names_out()[:1]) == ["faisskneighborstransformer0"]


@pytest.mark.parametrize(
    ("final", "attribute"),
    [
        pytest.param(
            TSNE(metric="precomputed", init="random", perplexity=5, max_iter=250, random_state=0),
            "embedding_",
            marks=pytest.mark.slow,
        ),
        (Isomap(metric="precomputed", n_neighbors=15), "embedding_"),
        (DBSCAN(metric="precomputed", eps=0.8), "labels_"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_graph_feeds_scikit_learn(data, final, attribute):
    X = data[0][:60]
    mine, their = (
        getattr(clone(final).fit(graph.fit_transform(X)), attribute)
        for graph in (
            FaissKNeighborsTransformer(n_neighbors=16),
            sk.KNeighborsTransformer(n_neighbors=16, algorithm="brute"),
        )
    )
    np.testing.assert_allclose(mine, their, atol=1e-2)


def test_graph_feeds_a_precomputed_classifier(data):
    X, y, Q = data
    model = make_pipeline(
        FaissKNeighborsTransformer(n_neighbors=10),
        sk.KNeighborsClassifier(3, metric="precomputed"),
    ).fit(X, y)
    np.testing.assert_array_equal(
        model.predict(Q), FaissKNeighborsClassifier(3).fit(X, y).predict(Q)
    )


def test_fitted_rows_predict_without_themselves(data):
    X, y, _ = data
    ours = FaissKNeighborsClassifier(1).fit(np.r_[X, X], np.r_[y, y[::-1]])
    np.testing.assert_array_equal(ours.predict(None)[: len(y)], y[::-1])
    np.testing.assert_array_equal(ours.predict_proba(None).argmax(axis=1)[: len(y)] >= 0, True)


def test_pickle_holds_the_rows_once(rng):
    X = rng.randn(2000, 20)
    model = FaissNearestNeighbors().fit(X)
    state = pickle.dumps(model)
    assert len(state) < 1.1 * X.nbytes
    for got, expected in zip(
        pickle.loads(state).kneighbors(X[:5]), model.kneighbors(X[:5]), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_same_results_without_faiss(data, tmp_path):
    X, y, Q = data
    np.savez(tmp_path / "data.npz", X=X, y=y, Q=Q)
    script = (
        "import sys; sys.modules['faiss'] = None\n"
        "import numpy as np\n"
        "from metriclearn.neighbors import FaissKNeighborsClassifier\n"
        f"data = np.load({str(tmp_path / 'data.npz')!r})\n"
        "model = FaissKNeighborsClassifier().fit(data['X'], data['y'])\n"
        "print(*model.kneighbors(data['Q'])[1].ravel())"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    expected = FaissKNeighborsClassifier().fit(X, y).kneighbors(Q)[1].ravel()
    np.testing.assert_array_equal(np.array(out.stdout.split(), dtype=int), expected)


# --- bad input --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, X: m.kneighbors(X, 200), "Expected n_neighbors <= n_samples_fit"),
        (lambda m, X: m.kneighbors(None, 120), "Expected n_neighbors < n_samples_fit"),
        (lambda m, X: m.kneighbors(X, 0), "Expected n_neighbors > 0"),
        (lambda m, X: m.kneighbors(X[:, :3]), "has 3 features"),
        (lambda m, X: m.kneighbors(X * np.nan), "NaN"),
        (lambda m, X: m.radius_neighbors(X, -1.0), "radius must be 0 or more"),
        (lambda m, X: m.kneighbors_graph(X, mode="edges"), "mode must be"),
        (lambda m, X: m.set_params(metric="cosine").fit(X * 0), "row 0 is all zeros"),
        (lambda m, X: m.set_params(metric="cosine").fit(X).kneighbors(X * 0), "queries: row 0"),
        (lambda m, X: m.set_params(metric="inner_product").fit(X).radius_neighbors(X), "radius"),
    ],
)
def test_bad_calls_are_one_clear_error(data, call, message):
    model = FaissNearestNeighbors().fit(data[0])
    with pytest.raises(ValueError, match=message):
        call(model, data[0])


def test_bad_weights_are_one_clear_error(data):
    X, y, Q = data
    with pytest.raises(ValueError, match="weights='distance' needs distances from 0"):
        FaissKNeighborsClassifier(weights="distance", metric="inner_product").fit(X, y)
    with pytest.raises(ValueError, match="weight zero to all neighbors of query 0"):
        FaissKNeighborsClassifier(weights=np.zeros_like).fit(X, y).predict(Q)
    with pytest.raises(ValueError, match="weights must return an array of shape"):
        FaissKNeighborsClassifier(weights=lambda d: d[:, 0]).fit(X, y).predict(Q)
    with pytest.raises(TypeError, match="n_neighbors must be an integer"):
        FaissKNeighborsClassifier().fit(X, y).kneighbors(Q, 2.5)


@every_estimator
@pytest.mark.parametrize(
    "given",
    [
        {"metric": "minkowski"},
        {"metric": "l2"},
        {"algorithm": "brute"},
        {"leaf_size": 10},
        {"p": 2},
        {"n_jobs": -1},
    ],
    ids=str,
)
def test_words_of_scikit_learn_mean_the_same(estimator, given, data):
    X, _, Q = data
    y = np.arange(len(X)) % 3
    plain, named = clone(estimator).fit(X, y), clone(estimator).set_params(**given).fit(X, y)
    for found, expected in zip(named.kneighbors(Q), plain.kneighbors(Q), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@every_estimator
@pytest.mark.parametrize(
    "given",
    [
        {"algorithm": "kd_tree"},
        {"p": 1},
        {"metric": "l1"},
        {"metric_params": {"w": [1, 2]}},
        {"leaf_size": 0},
        {"n_jobs": "all"},
    ],
    ids=str,
)
def test_words_of_scikit_learn_that_mean_another_search_are_one_error(estimator, given, data):
    name = next(iter(given))
    with pytest.raises(ValueError, match=f"The '{name}' parameter of {type(estimator).__name__}"):
        clone(estimator).set_params(**given).fit(data[0], np.arange(len(data[0])) % 3)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (FaissKNeighborsClassifier, sk.KNeighborsClassifier),
        (FaissKNeighborsRegressor, sk.KNeighborsRegressor),
        (FaissNearestNeighbors, sk.NearestNeighbors),
        (FaissKNeighborsTransformer, sk.KNeighborsTransformer),
    ],
    ids=lambda estimator: estimator.__name__,
)
def test_every_argument_of_scikit_learn_is_known(ours, theirs):
    """Scikit-learn's defaults fit, and each of its arguments can be given."""
    parameters = theirs().get_params()
    X = np.random.RandomState(0).randn(30, 3)
    ours(**parameters).fit(X, np.arange(30) % 3)
