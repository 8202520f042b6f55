"""Scorers in scikit-learn's searches."""

import pickle

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn import Covariance, metrics
from metriclearn.metrics import get_scorer, make_retrieval_scorer
from metriclearn.model_selection import ClassDisjointKFold
from metriclearn.verification import PairClassifier


@pytest.mark.parametrize("name", ["recall_at_1", "r_precision", "map_at_r", "mrr", "ndcg_at_5"])
def test_scorer_is_the_measure_of_the_embedding(iris, name):
    X, y = iris
    pca = PCA(2).fit(X)
    expected = metrics.retrieval_scores(pca.transform(X), y, [name])[name]
    assert get_scorer(name)(pca, X, y) == expected
    assert pickle.loads(pickle.dumps(make_retrieval_scorer(name)))(pca, X, y) == expected


def test_search_over_a_pipeline_on_unseen_classes(iris):
    X, y = iris
    pipeline = make_pipeline(StandardScaler(), PCA())
    cv = ClassDisjointKFold(3)
    search = GridSearchCV(
        pipeline,
        {"pca__n_components": [1, 2, 3]},
        scoring={name: get_scorer(name) for name in ("recall_at_1", "precision_at_2")},
        refit="recall_at_1",
        cv=cv,
    ).fit(X, y)
    # One class in each test fold: every answer is right.
    assert search.best_score_ == 1
    folds = cross_val_score(pipeline, X, y, scoring=metrics.map_at_r_scorer, cv=5)
    assert 0.5 < folds.min() < folds.max() <= 1


def test_several_measures_come_from_one_embedding_and_one_search(iris, monkeypatch):
    X, y = iris
    names = ["nmi", "recall_at_1", "neg_uniformity", "mrr", "map_at_r", "pairwise_f1"]
    pca = PCA(2).fit(X)
    embedded = []
    monkeypatch.setattr(pca, "transform", lambda X: embedded.append(X) or PCA.transform(pca, X))
    scores = get_scorer(names)(pca, X, y)
    assert len(embedded) == 1
    assert list(scores) == names
    assert scores == {name: get_scorer(name)(pca, X, y) for name in names}
    search = GridSearchCV(PCA(), {"n_components": [1, 3]}, scoring=get_scorer(names), refit="nmi")
    search.fit(X, y)
    assert {f"mean_test_{name}" for name in names} <= set(search.cv_results_)


def test_clusters_and_shape_have_names_and_larger_is_better(iris):
    X, y = iris
    pca = PCA(2).fit(X)
    Z = pca.transform(X)
    clusters = metrics.cluster_scores(Z, y, random_state=0)
    expected = {
        **clusters,
        "neg_alignment": -metrics.alignment(Z, y),
        "neg_uniformity": -metrics.uniformity(Z),
        "effective_rank": metrics.effective_rank(Z),
        "neg_intra_inter_ratio": -metrics.intra_inter_ratio(Z, y),
    }
    assert make_retrieval_scorer(expected)(pca, X, y) == expected


def test_verifiers_are_searched_by_their_errors(small):
    X, y = small
    first, second = np.triu_indices(len(X), 1)
    pairs, labels = np.stack([first, second], axis=1), np.where(y[first] == y[second], "yes", "no")
    covariance = FrozenEstimator(Covariance().fit(X))
    verifier = PairClassifier(covariance, points=X, pos_label="yes").fit(pairs, labels)
    distances = verifier.paired_distances(pairs)
    same = labels == "yes"
    error = get_scorer("neg_equal_error_rate")
    assert error(verifier, pairs, labels) == -metrics.equal_error_rate(same, distances)
    rate = pickle.loads(pickle.dumps(get_scorer("tar_at_far_1e-2")))
    assert rate(verifier, pairs, labels) == metrics.tar_at_far(same, distances, 0.01)
    assert repr(rate) == "get_scorer('tar_at_far_1e-2')"
    folds = cross_val_score(verifier, pairs, labels, scoring=error, cv=3)
    assert np.all((folds > -0.5) & (folds < 0))
    with pytest.raises(TypeError, match="needs a PairClassifier, got PCA"):
        error(PCA(), pairs, labels)


def test_metric_of_the_scorer(iris):
    X, y = iris
    pca = PCA(2).fit(X)
    scorer = make_retrieval_scorer("map_at_r", metric="cosine")
    assert scorer(pca, X, y) == metrics.map_at_r(pca.transform(X), y, metric="cosine")
    assert repr(scorer) == "make_retrieval_scorer('map_at_r', metric='cosine')"


def test_names_of_scikit_learn_pass_through(iris):
    assert get_scorer("accuracy")(LogisticRegression().fit(*iris), *iris) > 0.9
    assert get_scorer(metrics.map_at_r_scorer) is metrics.map_at_r_scorer


def test_bad_scorers_are_refused(iris):
    with pytest.raises(ValueError, match="scoring: measure 'recal' is unknown"):
        get_scorer("recal")
    with pytest.raises(ValueError, match="'often' is no false accept rate"):
        get_scorer("tar_at_far_often")
    with pytest.raises(ValueError, match=r"'1\.5' is no false accept rate"):
        get_scorer("tar_at_far_1.5")
    with pytest.raises(ValueError, match="measure is an empty sequence"):
        make_retrieval_scorer([])
    with pytest.raises(ValueError, match="measure 'precision' is unknown"):
        make_retrieval_scorer("precision")
    classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(*iris)
    with pytest.raises(TypeError, match="leave the classifier off"):
        metrics.recall_at_1_scorer(classifier, *iris)
