"""Classifiers of pairs, triplets and quadruplets, in scikit-learn's searches."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn import LSML, MMC, NCA, Covariance, MahalanobisLearner
from metriclearn.constraints import (
    constraints_from_tuples,
    pairs_from_labels,
    quadruplets_from_labels,
    triplets_from_labels,
)
from metriclearn.mahalanobis._base import MahalanobisTransformer
from metriclearn.metrics import best_threshold, tar_at_far
from metriclearn.verification import PairClassifier, QuadrupletClassifier, TripletClassifier


class Diagonal(MahalanobisTransformer):
    """Weighs features by how little they differ where they should not; takes any constraint."""

    def __init__(self, power=1.0):
        self.power = power

    def fit(self, X, y=None, *, constraints=None):
        i, j = constraints.indices[:, :2].T
        if hasattr(constraints, "similar"):
            i, j = i[constraints.similar], j[constraints.similar]
        spread = np.mean((X[i] - X[j]) ** 2, axis=0)
        return self._set_components(np.diag((spread + 1e-9) ** (-self.power / 2)))


@pytest.fixture
def judged(small):
    X, y = small
    pairs = pairs_from_labels(y, n_pairs=100, random_state=0)
    return X, pairs.indices, pairs.similar


CLASSIFIERS = [
    PairClassifier(Diagonal()),
    TripletClassifier(Diagonal()),
    QuadrupletClassifier(Diagonal()),
]


def constraints(classifier, small):
    """Rows, index tuples and labels of the kind the classifier takes."""
    X, y = small
    if isinstance(classifier, PairClassifier):
        pairs = pairs_from_labels(y, n_pairs=100, random_state=0)
        return X, pairs.indices, pairs.similar
    if isinstance(classifier, TripletClassifier):
        return X, triplets_from_labels(y, random_state=0).indices, None
    return X, quadruplets_from_labels(y, random_state=0).indices, None


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda c: type(c).__name__)
def test_cross_validation_and_search(classifier, small):
    X, indices, y = constraints(classifier, small)
    scores = cross_val_score(classifier, X[indices], y, cv=3)
    assert scores.min() > 0.6
    search = GridSearchCV(classifier, {"learner__power": [0.0, 1.0]}, cv=3).fit(X[indices], y)
    assert search.best_params_ == {"learner__power": 1.0}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda c: type(c).__name__)
def test_row_numbers_are_the_points(classifier, small):
    X, indices, y = constraints(classifier, small)
    by_points = clone(classifier).fit(X[indices], y)
    by_rows = clone(classifier).set_params(points=X).fit(indices, y)
    np.testing.assert_allclose(
        by_rows.decision_function(indices), by_points.decision_function(X[indices])
    )
    np.testing.assert_allclose(
        cross_val_score(by_rows, indices, y, cv=3), cross_val_score(by_points, X[indices], y, cv=3)
    )


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda c: type(c).__name__)
def test_pickle_clone_and_pipelines(classifier, small):
    X, indices, y = constraints(classifier, small)
    scaled = clone(classifier).set_params(learner=make_pipeline(StandardScaler(), Diagonal()))
    scaled.fit(X[indices], y)
    again = pickle.loads(pickle.dumps(scaled))
    np.testing.assert_array_equal(again.predict(X[indices]), scaled.predict(X[indices]))
    assert scaled.n_features_in_ == 4
    assert clone(scaled).get_params()["learner__diagonal__power"] == 1.0


def test_decisions_follow_from_the_threshold(judged):
    X, indices, similar = judged
    pairs = X[indices]
    model = PairClassifier(MMC(random_state=0)).fit(pairs, similar)
    distances = model.learner_.paired_distances(pairs[:, 0], pairs[:, 1])
    np.testing.assert_allclose(model.paired_distances(pairs), distances, rtol=1e-6)
    assert model.threshold_ == pytest.approx(best_threshold(similar, distances))
    np.testing.assert_array_equal(model.predict(pairs), distances <= model.threshold_)
    np.testing.assert_allclose(model.decision_function(pairs), model.threshold_ - distances)
    probabilities = model.predict_proba(pairs)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert np.all(np.diff(probabilities[np.argsort(distances), 1]) <= 0)
    # A calibrated probability is right on average.
    assert probabilities[:, 1].mean() == pytest.approx(similar.mean(), abs=0.02)


@pytest.mark.parametrize("threshold", ["accuracy", "f1", "max_tpr", "eer", 0.7])
def test_thresholds(judged, threshold):
    X, indices, similar = judged
    pairs = X[indices]
    y = np.where(similar, "yes", "no")
    frozen = FrozenEstimator(Covariance().fit(X))
    only = {"max_fpr": 0.1} if threshold == "max_tpr" else {}
    model = PairClassifier(frozen, threshold=threshold, pos_label="yes", **only)
    model.fit(pairs, y)
    distances = model.paired_distances(pairs)
    if threshold == 0.7:
        assert model.threshold_ == 0.7
    else:
        assert model.threshold_ == best_threshold(similar, distances, threshold, **only)
    if threshold == "max_tpr":
        accepted = model.predict(pairs) == "yes"
        assert accepted[~similar].mean() <= 0.1
        assert accepted[similar].mean() == tar_at_far(similar, distances, 0.1)


@pytest.mark.parametrize(
    ("different", "same"),
    [("no match", "match"), ("no", "yes"), ("a", "b"), (2, 1), (7.0, 3.0)],
)
def test_the_label_of_the_same_is_named_not_guessed(judged, different, same):
    """Whichever comes first in the alphabet: as with 0 and 1."""
    X, indices, similar = judged
    y = np.where(similar, same, different)
    plain = PairClassifier(MMC(random_state=0), points=X).fit(indices, similar)
    with pytest.raises(ValueError, match=r"with other labels name the one of similar pairs, pos_"):
        clone(plain).fit(indices, y)
    named = clone(plain).set_params(pos_label=same).fit(indices, y)
    assert named.threshold_ == plain.threshold_
    np.testing.assert_array_equal(named.predict(indices) == same, plain.predict(indices))
    assert named.score(indices, y) == plain.score(indices, similar)
    which = int(np.flatnonzero(named.classes_ == same)[0])
    np.testing.assert_array_equal(
        named.predict_proba(indices)[:, which], plain.predict_proba(indices)[:, 1]
    )
    # scikit-learn's scorers take classes_[1] as positive.
    area = get_scorer("roc_auc")
    expected = area(plain, indices, similar)
    assert area(named, indices, y) == pytest.approx(expected)
    with pytest.raises(ValueError, match="pos_label='maybe' is not among the labels in y"):
        clone(plain).set_params(pos_label="maybe").fit(indices, y)


@pytest.mark.parametrize("y", [[0, 1], [-1, 1], [False, True]], ids=str)
def test_numbers_whose_larger_means_the_same_need_no_name(judged, y):
    X, indices, similar = judged
    model = PairClassifier(Diagonal(), points=X).fit(indices, np.array(y)[similar.astype(int)])
    assert model.pos_label_ == y[1]


def test_annotators_who_disagree_stop_nothing(judged):
    X, indices, similar = judged
    model = PairClassifier(MMC(random_state=0), points=X)
    model.fit(np.r_[indices, indices[:3]], np.r_[similar, ~similar[:3]])
    assert model.score(indices, similar) > 0.65


def test_calibration_on_unseen_pairs(judged):
    X, indices, similar = judged
    pairs = X[indices]
    model = PairClassifier(Diagonal(), cv=4).fit(pairs, similar)
    unseen = cross_val_predict(
        PairClassifier(Diagonal(), threshold=0.0), pairs, similar, cv=4, method="decision_function"
    )
    assert model.threshold_ == pytest.approx(best_threshold(similar, -unseen))
    np.testing.assert_array_equal(
        model.learner_.components_,
        PairClassifier(Diagonal()).fit(pairs, similar).learner_.components_,
    )


def test_order_classifiers_agree_with_the_distances(small):
    X, _ = small
    learner = Covariance().fit(X)
    rng = np.random.RandomState(0)
    triplets, quadruplets = X[rng.randint(45, size=(30, 3))], X[rng.randint(45, size=(30, 4))]
    d = learner.paired_distances
    model = TripletClassifier(FrozenEstimator(learner)).fit(triplets)
    a, p, n = np.moveaxis(triplets, 1, 0)
    np.testing.assert_allclose(model.decision_function(triplets), d(a, n) - d(a, p), atol=1e-9)
    flipped = np.where(model.predict(triplets) > 0, 1, -1)
    assert model.score(triplets, flipped) == 1
    assert model.score(triplets) == np.mean(flipped == 1)
    model = QuadrupletClassifier(FrozenEstimator(learner)).fit(quadruplets)
    i, j, k, m = np.moveaxis(quadruplets, 1, 0)
    np.testing.assert_allclose(model.decision_function(quadruplets), d(k, m) - d(i, j), atol=1e-9)


@pytest.mark.parametrize(
    ("classifier", "X", "y", "message"),
    [
        (PairClassifier(Diagonal()), np.ones((4, 3, 2)), [0, 1, 0, 1], r"shape \(n, 2, n_feat"),
        (PairClassifier(Diagonal()), np.ones((4, 2)), [0, 1, 0, 1], "or row numbers"),
        (PairClassifier(Diagonal()), np.full((4, 2, 2), np.nan), [0, 1, 0, 1], "X contains NaN"),
        (PairClassifier(Diagonal()), np.ones((4, 2, 2)), [1, 1, 1, 1], "y must hold two values"),
        (PairClassifier(Diagonal()), np.ones((4, 2, 2)), [0, 1, 2, 1], "got 3 classes: "),
        (PairClassifier(Diagonal()), np.ones((4, 2, 2)), [0, 1], "inconsistent numbers"),
        (PairClassifier(Diagonal(), threshold="best"), np.ones((4, 2, 2)), [0, 1, 0, 1], "thresh"),
        (PairClassifier(Diagonal(), points=np.ones((3, 2))), [[0, 3]], [1], "X names row 3"),
        (PairClassifier(Diagonal(), points=np.ones((3, 2))), [[0, -1]], [1], "X names row -1"),
        (PairClassifier(Diagonal(), points=np.ones((3, 2))), [[0.5, 1]], [1], "must hold row"),
        (PairClassifier(LogisticRegression()), np.ones((4, 2, 2)), [0, 1, 0, 1], "learner"),
        (PairClassifier(NCA()), np.ones((4, 2, 2)), [0, 1, 0, 1], "NCA learns from labels only"),
        (
            PairClassifier(make_pipeline(StandardScaler(), NCA())),
            np.ones((4, 2, 2)),
            [0, 1, 0, 1],
            "learner: NCA learns from labels only",
        ),
        (TripletClassifier(Diagonal()), np.ones((4, 2, 2)), None, r"shape \(n, 3, n_features\)"),
        (TripletClassifier(MMC()), np.arange(24.0).reshape(4, 3, 2), None, "MMC takes Pairs"),
        (QuadrupletClassifier(Diagonal()), np.ones((4, 3, 2)), None, "for QuadrupletClassifier"),
    ],
)
def test_bad_input_is_one_clear_error(classifier, X, y, message):
    with pytest.raises(ValueError, match=message):
        classifier.fit(X, y)


def test_width_is_checked_at_predict(judged):
    X, indices, similar = judged
    model = PairClassifier(Diagonal()).fit(X[indices], similar)
    with pytest.raises(ValueError, match="X has 3 features, but PairClassifier was fitted with 4"):
        model.predict(X[indices][:, :, :3])


def test_a_weight_of_a_pair_is_a_number_of_repetitions(judged):
    X, indices, same = judged
    weights = np.random.RandomState(0).randint(0, 3, len(same))
    pairs, repeats = X[indices], np.repeat(np.arange(len(same)), weights)
    classifier = PairClassifier(MMC(random_state=0))
    weighted = clone(classifier).fit(pairs, same, sample_weight=weights)
    repeated = clone(classifier).fit(pairs[repeats], same[repeats])
    np.testing.assert_allclose(
        weighted.paired_distances(pairs), repeated.paired_distances(pairs), rtol=1e-4
    )
    np.testing.assert_allclose(weighted.threshold_, repeated.threshold_, rtol=1e-4)
    np.testing.assert_allclose(
        weighted.predict_proba(pairs), repeated.predict_proba(pairs), atol=1e-3
    )
    plain = clone(classifier).fit(pairs, same)
    assert np.abs(plain.predict_proba(pairs) - weighted.predict_proba(pairs)).max() > 1e-3


@pytest.mark.parametrize(
    ("classifier", "draw"),
    [
        (TripletClassifier, lambda y: triplets_from_labels(y, random_state=0)),
        (QuadrupletClassifier, lambda y: quadruplets_from_labels(y, random_state=0)),
    ],
)
def test_weights_of_orders_reach_the_learner(classifier, draw, small):
    X, y = small
    tuples = X[draw(y).indices[:40]]
    kinds = {3: MahalanobisLearner(random_state=0), 4: LSML(random_state=0)}
    learner = kinds[tuples.shape[1]]
    weights = np.random.RandomState(0).uniform(0, 2, len(tuples))
    rows, constraints = constraints_from_tuples(tuples, weights=weights)
    expected = clone(learner).fit(rows, constraints=constraints)
    found = classifier(learner).fit(tuples, sample_weight=weights)
    np.testing.assert_array_equal(found.learner_.components_, expected.components_)


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda n: np.ones(n - 1), "sample_weight"),
        (lambda n: np.zeros(n), "zero"),
        (lambda n: -np.ones(n), "[Nn]egative"),
        (lambda n: np.full(n, np.nan), "NaN"),
    ],
    ids=["length", "zero", "negative", "nan"],
)
def test_bad_weights_of_tuples_are_one_clear_error(classifier, weights, message, small):
    X, indices, y = constraints(classifier, small)
    with pytest.raises(ValueError, match=message):
        clone(classifier).fit(X[indices], y, sample_weight=weights(len(indices)))
