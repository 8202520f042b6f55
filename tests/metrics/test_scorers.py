"""Scorers in scikit-learn's searches."""

import pickle

import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn import metrics
from metriclearn.metrics import get_scorer, make_retrieval_scorer
from metriclearn.model_selection import ClassDisjointKFold


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
    with pytest.raises(ValueError, match="measure 'precision' is unknown"):
        make_retrieval_scorer("precision")
    classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(*iris)
    with pytest.raises(TypeError, match="leave the classifier off"):
        metrics.recall_at_1_scorer(classifier, *iris)
