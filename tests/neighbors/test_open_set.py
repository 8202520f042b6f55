"""Who is it, or nobody: strangers are taken for somebody no more often than is said."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import parametrize_with_checks

from metriclearn import RCA
from metriclearn.neighbors import OpenSetClassifier


@pytest.mark.filterwarnings("ignore:false_identification_rate:UserWarning")
@parametrize_with_checks(
    [OpenSetClassifier(), OpenSetClassifier(false_identification_rate=0.4)],
    expected_failed_checks=lambda estimator: {
        "check_classifiers_classes": "it predicts a label for strangers, which is no class",
        "check_classifiers_train": "decision_function is that of outlier detectors, (n,)",
    },
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def people(rng, n_people, n_rows, n_features=8, spread=1.0):
    centers = rng.normal(size=(n_people, n_features))
    y = np.repeat(np.arange(n_people), n_rows)
    return centers[y] + 0.3 * spread * rng.normal(size=(len(y), n_features)), y


@pytest.fixture(scope="module")
def fitted():
    X, y = people(np.random.default_rng(0), 40, 5)
    return OpenSetClassifier(false_identification_rate=0.1).fit(X, y), X, y


def test_p_values_are_those_of_loops(fitted):
    model, X, y = fitted
    queries = people(np.random.default_rng(1), 10, 3)[0]
    distances = np.linalg.norm(X[:, None] - X, axis=2)
    strangers = [
        np.array([distances[i, y != c].min() for i in np.flatnonzero(y == c)]) for c in range(40)
    ]
    for query, p in zip(queries, model.p_values(queries), strict=True):
        nearest = np.linalg.norm(X - query, axis=1).min()
        shares = [(own <= nearest).mean() for own in strangers]
        assert p == pytest.approx((1 + sum(shares)) / 41)


def test_answers_follow_from_p_values_and_decisions(fitted):
    model = fitted[0]
    queries, who = people(np.random.default_rng(0), 40, 9)
    queries = np.vstack([queries, 0.5 * np.random.default_rng(1).normal(size=(300, 8))])
    answers, p = model.predict(queries), model.p_values(queries)
    assert np.array_equal(answers == -1, p > 0.1)
    assert np.array_equal(model.score_samples(queries) >= model.offset_, p <= 0.1)
    decisions = model.decision_function(queries)
    assert np.array_equal(decisions, model.score_samples(queries) - model.offset_)
    assert np.array_equal(decisions < 0, answers == -1)
    assert 0.1 < (answers == -1).mean() < 0.9
    known = answers[:360] != -1
    assert (answers[:360] == who)[known].mean() > 0.95


@pytest.mark.parametrize("learner", [None, RCA()], ids=["as they are", "learned"])
@pytest.mark.parametrize("rate", [0.05, 0.2])
@pytest.mark.parametrize("n_runs", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_strangers_are_identified_no_more_often_than_is_said(learner, rate, n_runs):
    """By simulation: a new gallery and a new stranger each time."""
    rng, wrong, right = np.random.default_rng(0), [], []
    share = {"calibration_size": 0.4} if learner else {}
    for k in range(n_runs):
        X, y = people(rng, 60 if learner else 25, 4, n_features=4)
        new = people(rng, 1, 1, n_features=4)[0]
        model = OpenSetClassifier(
            learner, false_identification_rate=rate, random_state=k, **share
        ).fit(X, y)
        assert model.calibrated_by_ == "classes"
        wrong.append(model.predict(new)[0] != -1)
        right.append(model.predict(X[:1] + 0.01)[0] == 0)
    deviation = np.sqrt(rate * (1 - rate) / n_runs)
    assert np.mean(wrong) <= rate + 3 * deviation
    assert np.mean(right) > rate


@pytest.mark.parametrize("rate", [0.1, 0.15, 0.2])
def test_strangers_to_single_photos_are_identified_no_more_often_than_is_said(rate):
    """The nearest photo and a stranger may be each other's nearest, as no two of the known are."""
    rng, wrong = np.random.default_rng(0), []
    for _ in range(200):
        X = rng.normal(size=(19, 3))
        model = OpenSetClassifier(false_identification_rate=rate).fit(X, np.arange(19))
        wrong.append(np.mean(model.predict(rng.normal(size=(50, 3))) != -1))
    assert rate / 2 < np.mean(wrong) <= rate + 3 * np.std(wrong) / np.sqrt(200)
    with pytest.warns(UserWarning, match="needs at least 39 rows"):
        OpenSetClassifier(false_identification_rate=0.05).fit(X, np.arange(19))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.01])
@pytest.mark.filterwarnings("ignore:false_identification_rate:UserWarning")
def test_decisions_are_negative_for_strangers_and_only_for_them(dtype, metric, rate):
    """Rows that tie with the threshold, too: on a grid many a stranger is as near as it is."""
    rng = np.random.default_rng(0)
    X = rng.integers(-2, 3, size=(90, 3)).astype(dtype) + (metric == "cosine") * dtype(0.1)
    model = OpenSetClassifier(metric=metric, false_identification_rate=rate)
    model.fit(X, np.arange(90) % 30)
    queries = np.concatenate([X, X[::-1] + 1])
    assert np.array_equal(model.decision_function(queries) < 0, model.predict(queries) == -1)
    assert np.array_equal(model.p_values(queries) > rate, model.predict(queries) == -1)


def test_few_classes_are_calibrated_by_rows():
    X, y = people(np.random.default_rng(0), 4, 30, spread=0.5)
    model = OpenSetClassifier(false_identification_rate=0.05).fit(X, y)
    assert model.calibrated_by_ == "rows"
    assert (model.predict(X) == y).mean() > 0.9
    strangers = 3 * np.random.default_rng(5).normal(size=(200, 8))
    assert (model.predict(strangers) == -1).mean() > 0.9


def test_labels_are_of_the_kind_of_the_classes():
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    for labels, unknown in (
        (y, -1),
        (y.astype(float), -1.0),
        (y.astype(np.uint8), -1),
        (y % 2 == 0, -1),
        (np.array(list("abcdefghij"))[y], "unknown"),
        (np.array(list("abcdefghij"), dtype=object)[y], "unknown"),
    ):
        model = OpenSetClassifier(false_identification_rate=0.2).fit(X, labels)
        assert model.predict(X[:1] * 0 + 99)[0] == unknown
        assert set(model.predict(X)) <= {*labels, unknown}
    far = OpenSetClassifier(unknown_label=999, false_identification_rate=0.2)
    assert far.fit(X, y.astype(np.int8)).predict(99 + X[:1]) == 999
    named = OpenSetClassifier(unknown_label="nobody at all", false_identification_rate=0.2)
    assert (
        named.fit(X, np.array(["x", "yy"])[y % 2]).predict(99 + X[:2]).tolist()
        == ["nobody at all"] * 2
    )


def test_unlabeled_rows_are_nobodys():
    X, y = people(np.random.default_rng(0), 30, 4)
    half = np.where(np.arange(120) % 4, y, -1)
    model = OpenSetClassifier(false_identification_rate=0.2).fit(X, half)
    assert -1 not in model.classes_
    assert np.array_equal(
        model.p_values(X), clone(model).fit(X[half != -1], y[half != -1]).p_values(X)
    )


class Spoiled(BaseEstimator):
    """A learner of one's own whose ``transform`` gives something else than a row each."""

    def __init__(self, spoil):
        self.spoil = spoil

    def fit(self, X, y):
        return self

    def transform(self, X):
        return self.spoil(X)


@pytest.mark.parametrize(
    "spoil", [lambda X: X[1:], lambda X: X[:, 0], csr_array], ids=["fewer", "one column", "sparse"]
)
def test_learner_that_gives_no_row_each_is_named(spoil, rng):
    model = OpenSetClassifier(Spoiled(spoil), false_identification_rate=0.4)
    with pytest.raises(ValueError, match=r"learner: Spoiled\.transform must give a dense row"):
        model.fit(rng.randn(20, 3), np.arange(20) % 5)


@pytest.mark.parametrize(
    ("params", "y", "message"),
    [
        ({}, [0] * 12, "y has 1 class; at least 2"),
        ({"unknown_label": 1}, [0, 1] * 6, "unknown_label=1 is a class"),
        ({"unknown_label": "x"}, [0, 1] * 6, "not of the kind of y"),
        ({}, np.arange(12) % 4 + np.datetime64("2020-01-01"), "y holds dates"),
        ({}, np.arange(12, dtype=np.uint64) % 2 + 2**63, "no integer type holds both"),
        ({"learner": RCA()}, [0, 1, 2] * 4, "at least 4 are needed"),
        ({"false_identification_rate": 0}, [0, 1] * 6, "false_identification_rate"),
    ],
)
def test_bad_input_is_named(params, y, message, rng):
    with pytest.raises(ValueError, match=message):
        OpenSetClassifier(**params).fit(rng.randn(12, 3), y)


def test_rate_that_cannot_be_kept_warns_and_takes_nobody_for_somebody(rng):
    X, y = rng.randn(12, 3), np.arange(12) % 2
    with pytest.warns(UserWarning, match="needs at least 199 rows"):
        model = OpenSetClassifier(false_identification_rate=0.01).fit(X, y)
    assert (model.predict(X) == -1).all()


@pytest.mark.parametrize("names", [np.arange(39), np.arange(39).astype(str)], ids=["int", "str"])
def test_gallery_of_one_photo_each_is_taken_without_a_warning(names):
    X = np.random.RandomState(0).randn(39, 4)
    found = OpenSetClassifier().fit(X, names).predict(X)
    known = [a == b for a, b in zip(found, names, strict=True)]
    assert np.mean(known) > 0.9
