"""The winner in one's hands: the pipeline that was measured, unfitted and fitted."""

import numpy as np
import pytest
from helpers.optional import pandas as pd
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

from metriclearn import NCA
from metriclearn.compare import ComparisonResult, compare
from metriclearn.compare._compare import _source_of
from metriclearn.compare._effort import Effort
from metriclearn.compare._fitting import Rules, fit_tuned
from metriclearn.compare._learners._learner import Setting
from metriclearn.compare._measuring._splits import make_splits
from metriclearn.compare._measuring._training import Training, embedder_prefix
from metriclearn.compare._plan import task_seed
from metriclearn.compare._roster import ROSTER
from metriclearn.compare._winner import _real_params, _setting_of


@pytest.fixture(scope="module")
def compared_wine():
    return compare(*load_wine(return_X_y=True), learners="euclidean,standardized,lda,lmnn,nca")


def test_the_winner_is_an_estimator_with_the_settings_chosen(compared_wine):
    X, y = load_wine(return_X_y=True)
    estimator = compared_wine.make_estimator()
    assert isinstance(estimator, Pipeline)
    with pytest.raises(Exception, match="not fitted"):
        check_is_fitted(estimator)
    key = compared_wine.verdict("accuracy").key
    chosen = [r.params for r in compared_wine.records if r.learner == key]
    given = estimator.get_params()
    assert any(all(given[k] == v for k, v in params.items()) for params in chosen)
    classifier = make_pipeline(clone(estimator), KNeighborsClassifier(5))
    score = cross_val_score(classifier, X, y).mean()
    assert score == pytest.approx(compared_wine.rows()[0].mean("accuracy"), abs=0.03)


@pytest.mark.parametrize("learner", ["lda", "LMNN", "nca", "euclidean"])
def test_every_learner_can_be_had(compared_wine, learner):
    X, y = load_wine(return_X_y=True)
    fitted = compared_wine.fit_best(X, y, learner)
    again = compared_wine.make_estimator(learner).fit(X, y)
    np.testing.assert_array_equal(fitted.transform(X), again.transform(X))


def test_a_result_from_a_file_makes_learners_of_the_library(compared_wine, tmp_path):
    compared_wine.to_json(tmp_path / "r.json")
    kept = ComparisonResult.from_json(tmp_path / "r.json")
    assert kept == compared_wine
    assert repr(kept.make_estimator("lmnn")) == repr(compared_wine.make_estimator("lmnn"))


def test_ones_own_learner_is_made_again_but_not_from_a_file(blobs, tmp_path):
    result = compare(*blobs, learners={"mine": NCA(2, max_iter=5)}, n_folds=2)
    assert result.make_estimator().get_params()["n_components"] == 2
    result.to_json(tmp_path / "r.json")
    with pytest.raises(ValueError, match="learner 'mine' is your own, which a file does not keep"):
        ComparisonResult.from_json(tmp_path / "r.json").make_estimator()


def test_an_unknown_learner_is_one_clear_error(compared_wine):
    with pytest.raises(ValueError, match="learner='lmn' is not one of euclidean"):
        compared_wine.make_estimator("lmn")


def test_tables_go_in_as_they_came():
    rng = np.random.RandomState(0)
    y = rng.choice(["u", "v"], 120)
    frame = pd.DataFrame(
        {
            "Id": np.arange(120),
            "size": np.where(rng.rand(120) < 0.1, np.nan, rng.randn(120) + 2 * (y == "u")),
            "color": np.where(rng.rand(120) < 0.8, np.where(y == "u", "red", "blue"), "green"),
            "share": [f"{v:.1f}%" for v in 100 * rng.rand(120)],
            "when": pd.date_range("2020", periods=120).strftime("%d/%m/%Y"),
            "kind": y,
        }
    )
    result = compare(frame, "kind", learners="euclidean,standardized,lda", n_folds=5)
    fitted = result.fit_best(frame, "kind")
    assert "Id" not in fitted[0].columns
    few = frame.drop(columns="kind").iloc[:7]
    whole = fitted.transform(frame.drop(columns="kind"))
    assert whole.shape[0] == 120
    assert np.isfinite(whole).all()
    np.testing.assert_allclose(fitted.transform(few), whole[:7])
    with pytest.raises(ValueError, match="X has no column 'size'"):
        fitted.transform(few.drop(columns="size"))


def with_words(X, y):
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(X).add_prefix("c")
    frame["c3"] = frame["c3"].where(rng.rand(len(y)) > 0.1)
    frame["color"] = np.where(rng.rand(len(y)) < 0.7, np.array(["red", "green", "blue"])[y], "no")
    frame["when"] = pd.date_range("2020", periods=len(y)).strftime("%d/%m/%Y")
    frame.insert(0, "Id", np.arange(len(y)))
    return frame


def as_vectors(X, y):
    return pd.DataFrame(X / X.std(0)).add_prefix("v").assign(file="a.jpg")


FORMS = {
    "an array": (lambda X, y: X, {}),
    "a frame": (lambda X, y: pd.DataFrame(X).add_prefix("c"), {}),
    "numbers as text": (lambda X, y: X.astype(str), {}),
    "words, dates, gaps, row numbers": (with_words, {}),
    "vectors": (as_vectors, {"features": True, "drop": ["file"]}),
    "images": (lambda X, y: X[:, :12].astype(np.float32).reshape(-1, 4, 3), {}),
    "bytes": (lambda X, y: (255 * X[:, :12] / X[:, :12].max(0)).astype(np.uint8), {}),
    "colors": (lambda X, y: (20 * X[:, :12]).astype(np.uint8).reshape(-1, 2, 2, 3), {}),
    "pixels": (
        lambda X, y: pd.DataFrame(X[:, :12]).add_prefix("pixel"),
        {"image_shape": (4, 3)},
    ),
}


# A network takes the same rows as others, for ten times as long.
FORMS_AND_LEARNERS = [(form, "euclidean,standardized,lda,kernelmetric") for form in FORMS]
FORMS_AND_LEARNERS += [("images", "triplet")]


@pytest.mark.parametrize(("form", "learners"), FORMS_AND_LEARNERS)
def test_what_was_measured_is_what_one_gets(form, learners):
    if learners == "triplet":
        pytest.importorskip("torch")
    X, y = load_wine(return_X_y=True)
    make, choices = FORMS[form]
    given = make(X, y)
    result = compare(given, y, learners=learners, n_folds=2, effort="quick", **choices)
    source = _source_of(given, y, **choices)
    splits = [s for s in make_splits(y, 2, 0, groups=source.groups)[0] if s.protocol == "closed"]
    train, test = splits[0].train, splits[0].test
    take = given.iloc.__getitem__ if hasattr(given, "iloc") else given.__getitem__
    for record in result.records:
        if record.protocol != "closed" or record.fold != 0:
            continue
        estimator = result.make_estimator(record.learner)
        _, grid = ROSTER[record.learner].make(_setting_of(result, record))
        estimator.set_params(**_real_params(record.params, grid))
        seeds = [name for name in estimator.get_params() if name == "metric__random_state"]
        estimator.set_params(**dict.fromkeys(seeds, task_seed(0, 0, 0)))
        vectors = estimator.fit(take(train), y[train]).transform(take(train))
        voters = KNeighborsClassifier(record.k).fit(vectors, y[train])
        score = voters.score(estimator.transform(take(test)), y[test])
        assert score == pytest.approx(record.scores["accuracy"], abs=1e-9), record.learner


SHORT = Effort("short", 2, (8, 16, 32), (8,), 3, 1)


def test_networks_on_few_rows_are_trained_for_longer_and_longer():
    estimator, _ = ROSTER["triplet"].make(Setting(300, 4, 3, 50))
    stages = Training("closed", SHORT).stages(estimator, 256)
    assert [stage["metric__max_epochs"] for stage in stages] == [4, 8, 16]
    assert {stage["metric__validation"] for stage in stages} == {None}


def test_networks_on_many_rows_are_stopped_by_held_out_ones():
    estimator, _ = ROSTER["triplet"].make(Setting(9000, 4, 3, 50))
    (stage,) = Training("closed", SHORT).stages(estimator, 9000)
    assert stage["metric__validation"] == "stratified"
    assert stage["metric__max_epochs"] == 3
    (stage,) = Training("open", SHORT).stages(estimator, 9000)
    assert stage["metric__validation"] == "class_disjoint"


def test_learners_without_epochs_are_tried_once():
    estimator, _ = ROSTER["nca"].make(Setting(300, 4, 3, 50))
    assert embedder_prefix(estimator) is None
    assert Training("closed", SHORT).stages(estimator, 300) == [{}]
    assert Training("closed", SHORT).final(estimator, None) == {}


def test_the_epochs_that_validation_chose_are_those_of_the_last_fit(blobs):
    X, y = blobs
    fitted = fit_tuned(ROSTER["triplet"], X, y, protocol="closed", rules=Rules(effort=SHORT))
    best = max(fitted.tuning, key=lambda trial: trial.score)
    assert fitted.params["metric__max_epochs"] == best.epochs
    assert fitted.params["metric__validation"] is None
    assert fitted.validation == best.score
    assert fitted.rising is best.rising
    assert len(fitted.estimator["metric"].history_) == best.epochs


def test_rows_go_in_as_they_came_and_what_was_left_out_is_not_learned_from():
    X, y = load_wine(return_X_y=True)
    numbered = np.column_stack([np.arange(len(X)), X])  # row numbers, which are found
    choices = {"learners": "euclidean,lda", "n_folds": 2}
    own = compare(X, y, **choices).fit_best(X, y, "lda").transform(X)
    frame = pd.DataFrame(numbered, columns=[f"c{j}" for j in range(14)])
    for given, dropped in ((numbered, None), (numbered, "x0"), (frame, None), (frame, "c0")):
        result = compare(given, y, drop=dropped, **choices)
        fitted = result.fit_best(given, y, "lda")
        np.testing.assert_allclose(fitted.transform(given), own)
        np.testing.assert_allclose(fitted.transform(given[:1]), own[:1])
    np.testing.assert_allclose(fitted.transform(frame[frame.columns[::-1]]), own)  # by name
    np.testing.assert_allclose(fitted.transform(X), own)  # of those learned from, in their order


@pytest.mark.parametrize(
    "labels",
    [
        lambda y: np.where(np.arange(len(y)) % 10 == 0, np.nan, y),
        lambda y: np.where(np.arange(len(y)) % 10 == 0, -1, y),
        lambda y: [None if k % 10 == 0 else f"kind {label}" for k, label in enumerate(y)],
        lambda y: np.where(np.arange(len(y)) % 10 == 0, "", y.astype(str)),
        lambda y: pd.Series(y, dtype="Int64").where(np.arange(len(y)) % 10 != 0),
    ],
)
def test_rows_without_a_label_are_left_out_of_the_fit_as_they_are_of_the_comparison(labels):
    X, y = load_wine(return_X_y=True)
    given, labeled = labels(y), np.arange(len(y)) % 10 != 0
    result = compare(X, given, learners="euclidean,lda", n_folds=2)
    assert result.data.n_rows == labeled.sum()
    own = result.make_estimator("lda").fit(X[labeled], y[labeled]).transform(X)
    for rows, target in ((X, given), (X.tolist(), given), (pd.DataFrame(X).assign(y=given), "y")):
        np.testing.assert_allclose(result.fit_best(rows, target, "lda").transform(X), own)


def test_amounts_are_fitted_on_as_they_are_read():
    X = np.random.RandomState(0).randn(120, 3)
    y = np.round(X[:, 0] ** 2 + X[:, 1], 2)
    text = [None if k % 10 == 0 else f"$ {1000 + label:,.2f}" for k, label in enumerate(y)]
    result = compare(X, text, learners="euclidean,mlkr", n_folds=2, effort="quick")
    labeled = np.arange(len(y)) % 10 != 0
    own = result.make_estimator("mlkr").fit(X[labeled], 1000 + y[labeled]).transform(X)
    np.testing.assert_allclose(result.fit_best(X, text, "mlkr").transform(X), own)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("learner", ["euclidean", "lda", "kernelmetric"])
def test_images_go_in_as_images_or_as_rows_of_pixels(learner, channels, dtype):
    digits = load_digits()
    images, y = digits.images[:200].astype(dtype), digits.target[:200]
    if channels:
        images = np.stack([images] * channels, axis=-1)
    result = compare(images, y, learners=f"cosine,{learner}", n_folds=2, effort="quick")
    rows = images.reshape(len(images), -1).astype(np.float32)
    own = result.make_estimator(learner).fit(rows, y).transform(rows[:9])
    for given in (images, rows):
        np.testing.assert_allclose(
            result.fit_best(given, y, learner).transform(images[:9]), own, atol=1e-5
        )
    with pytest.raises(ValueError, match="the metric was learned from images of shape"):
        result.fit_best(images[:, 1:], y, learner)


def test_labels_that_do_not_go_with_the_rows_are_one_clear_error(compared_wine):
    X, y = load_wine(return_X_y=True)
    with pytest.raises(ValueError, match="y is needed beside X"):
        compared_wine.fit_best(X)
    with pytest.raises(ValueError, match="y has 20 labels for the 178 rows of X"):
        compared_wine.fit_best(X, y[:20])
    frame = pd.DataFrame(X)
    with pytest.raises(ValueError, match="y has the index of X in another order"):
        compared_wine.fit_best(frame, pd.Series(y)[::-1])


def test_columns_that_were_dropped_from_arrays_of_a_file_are_left_out_of_the_fit(tmp_path):
    X, y = load_wine(return_X_y=True)
    path = tmp_path / "wine.npz"
    np.savez(path, X=X.astype(np.float32), y=y)
    result = compare(path, drop=["x0", "x4"], learners="euclidean,lda", n_folds=2)
    few = np.delete(X.astype(np.float32), [0, 4], axis=1)
    fitted, own = result.fit_best(path, None, "lda"), result.make_estimator("lda").fit(few, y)
    np.testing.assert_allclose(fitted.transform(X.astype(np.float32)), own.transform(few))
    np.savez(path, X=X[:, :8], y=y)
    with pytest.raises(ValueError, match=r"no column 'x12'(.|\n)*There are: x0, x1"):
        result.fit_best(path, None, "lda")


def test_columns_that_were_not_compared_by_are_left_out_of_the_fit(tmp_path):
    rng = np.random.RandomState(0)
    y = np.repeat(["a", "b", "c"], 20)
    frame = pd.DataFrame(rng.randn(60, 3) + np.repeat(np.eye(3) * 3, 20, axis=0), columns=[*"xyz"])
    frame["noise"] = rng.randn(60)
    frame["who"] = [f"p{i}" for i in np.arange(60) // 2]
    frame["part"] = np.where(np.arange(60) % 4 == 0, "test", "train")
    frame["kind"] = y
    frame.to_csv(tmp_path / "rows.csv", index=False)
    choices = {"drop": ["noise", "who"], "split": "part", "learners": "euclidean,lda"}
    for given in (frame, tmp_path / "rows.csv"):
        result = compare(given, "kind", **choices)
        assert result.data.feature_names == ("x", "y", "z")
        fitted = result.fit_best(given, "kind", "lda")
        own = result.make_estimator("lda").fit(frame[["x", "y", "z"]].to_numpy(), y)
        rows = frame[["x", "y", "z"]]
        np.testing.assert_allclose(
            fitted.transform(rows), own.transform(rows.to_numpy()), atol=1e-9
        )
