"""Constraints travel with their rows through splitters, searches, and pipelines."""

from typing import ClassVar

import numpy as np
import pytest
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn import MMC, RCA
from metriclearn.constraints import (
    chunks_from_labels,
    pairs_from_labels,
)
from metriclearn.model_selection import ClassDisjointKFold


class Watch(MMC):
    """Remembers, for each fit, how many similar pairs joined two classes."""

    wrong: ClassVar = []

    def fit(self, X, y=None, *, constraints=None):
        # The last column is the class.
        of_class = X[:, -1][constraints.indices]
        joined = of_class[:, 0] == of_class[:, 1]
        Watch.wrong.append(int(np.sum(joined != constraints.similar)))
        return super().fit(X, constraints=constraints)


@pytest.fixture
def classed(iris):
    X, y = iris
    return np.c_[X, y.astype(float)], y


SPLITTERS = [
    KFold(3, shuffle=True, random_state=0),
    ShuffleSplit(2, test_size=0.3, random_state=0),
    ClassDisjointKFold(3),
]


@pytest.mark.parametrize("cv", SPLITTERS, ids=lambda cv: type(cv).__name__)
@pytest.mark.parametrize("routing", [False, True], ids=["params", "routing"])
def test_pairs_travel_with_their_rows_through_any_splitter(classed, cv, routing):
    X, y = classed
    pairs = pairs_from_labels(y, n_pairs=300, random_state=0)

    def folds(constraints):
        Watch.wrong.clear()
        with config_context(enable_metadata_routing=routing):
            learner = Watch(random_state=0)
            if routing:
                learner.set_fit_request(constraints=True)
            cross_validate(
                learner,
                X,
                params={"constraints": constraints},
                cv=[(train, test) for train, test in cv.split(X, y)],
                scoring=lambda estimator, X, y=None: 1.0,
                error_score="raise",
            )
        return Watch.wrong

    assert folds(pairs.of(150)) == [0] * cv.get_n_splits()
    # Row numbers of the whole mean other rows in a fold, even where all of them exist.
    with pytest.raises(ValueError, match=r"Say how many rows it has, Pairs\(..., n_rows="):
        folds(pairs_from_labels(y[:100], n_pairs=40, random_state=0))


def test_pairs_travel_through_a_search_and_a_pipeline(classed):
    X, y = classed
    pairs = pairs_from_labels(y, n_pairs=300, random_state=0).of(150)
    Watch.wrong.clear()
    pipeline = make_pipeline(StandardScaler(with_mean=False, with_std=False), Watch(random_state=0))
    search = GridSearchCV(
        pipeline,
        {"watch__ridge": [1e-6, 1e-3]},
        cv=KFold(3, shuffle=True, random_state=0),
        scoring=lambda estimator, X, y=None: 1.0,
        error_score="raise",
    )
    search.fit(X, watch__constraints=pairs)
    assert Watch.wrong == [0] * 7


def test_chunks_are_split_with_their_rows(iris):
    X, y = iris
    for n_splits in (2, 5):
        found = cross_validate(
            RCA(),
            X,
            params={"constraints": chunks_from_labels(y)},
            cv=KFold(n_splits, shuffle=True, random_state=0),
            scoring=lambda estimator, X, y=None: float(np.isfinite(estimator.components_).all()),
            error_score="raise",
        )
        assert found["test_score"].min() == 1


def test_a_step_with_constraints_leaves_the_labels_to_the_next(iris):
    X, y = iris
    pairs = pairs_from_labels(y, n_pairs=100, random_state=0)
    pipeline = make_pipeline(MMC(random_state=0), KNeighborsClassifier(3))
    pipeline.fit(X, y, mmc__constraints=pairs)
    expected = MMC(random_state=0).fit(X, constraints=pairs)
    np.testing.assert_array_equal(pipeline[0].components_, expected.components_)
    assert pipeline.score(X, y) > 0.9
    scores = cross_validate(
        pipeline, X, y, params={"mmc__constraints": pairs.of(150)}, error_score="raise"
    )["test_score"]
    assert scores.min() > 0.8
    with config_context(enable_metadata_routing=True):
        step = MMC(random_state=0).set_fit_request(constraints=True)
        routed = make_pipeline(step, KNeighborsClassifier(3)).fit(X, y, constraints=pairs)
    np.testing.assert_array_equal(routed[0].components_, expected.components_)
