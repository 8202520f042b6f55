"""What stands around a metric in a saved model: steps, searches, scores, and other learners."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy import stats
from sklearn import model_selection
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, ShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import metriclearn
from metriclearn import LMNN, RCA, KernelMetric
from metriclearn.deep import DeepEmbedder
from metriclearn.persistence._parts import _settings, put_back, untrusted
from metriclearn.recommend import CollaborativeMetric

X, y = load_iris(return_X_y=True)
FRAME = pd.DataFrame(X, columns=list("abcd")).assign(kind=np.where(X[:, 0] > 5.8, "u", "v"))


def again(estimator, folder):
    metriclearn.save(estimator, folder)
    return metriclearn.load(folder)


def columns(*steps):
    numbers = make_pipeline(SimpleImputer(), *steps, StandardScaler())
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include=float)),
        (OneHotEncoder(sparse_output=False), ["kind"]),
    )


def search(learner, **settings):
    return GridSearchCV(
        make_pipeline(learner, KNeighborsClassifier(3)),
        settings,
        cv=ShuffleSplit(2, random_state=0),
        scoring="f1_macro",
    )


@pytest.mark.parametrize(
    ("estimator", "table"),
    [
        (make_pipeline(columns(), LMNN(), KNeighborsClassifier()), FRAME),
        (
            make_pipeline(columns(FunctionTransformer(np.log1p)), RCA(), KNeighborsClassifier()),
            FRAME,
        ),
        (
            make_pipeline(
                FunctionTransformer(np.clip, kw_args={"a_min": 0, "a_max": 5}),
                RCA(),
                KNeighborsClassifier(),
            ),
            X,
        ),
        (make_pipeline(IterativeImputer(max_iter=2), RCA(), KNeighborsClassifier()), X),
        (make_pipeline(SelectKBest(f_classif, k=2), RCA(), KNeighborsClassifier()), X),
        (search(RCA(), rca__n_components=[1, 2]), X),
        (search(DeepEmbedder(max_epochs=1), deepembedder__lr=[0.1]), X),
        (CalibratedClassifierCV(make_pipeline(RCA(), KNeighborsClassifier()), cv=2), X),
        (VotingClassifier([("a", make_pipeline(RCA(), KNeighborsClassifier()))]), X),
        (make_pipeline(RCA(), GaussianProcessClassifier()), X),
        (make_pipeline(RCA(), MLPClassifier(max_iter=500, tol=0.1)), X),
    ],
    ids=lambda value: "" if not hasattr(value, "fit") else None,
)
def test_steps_and_searches_come_back(estimator, table, tmp_path):
    fitted = estimator.fit(table, y)
    back = again(fitted, tmp_path / "model")
    assert np.array_equal(back.predict(table), fitted.predict(table))
    if hasattr(fitted, "best_params_"):
        assert back.best_params_ == fitted.best_params_
        back.fit(X, y)  # the settings came back, too


def test_frames_as_output_come_back(tmp_path):
    fitted = make_pipeline(columns(), RCA()).set_output(transform="pandas").fit(FRAME, y)
    pd.testing.assert_frame_equal(
        again(fitted, tmp_path / "model").transform(FRAME), fitted.transform(FRAME)
    )


def test_unfitted_networks_are_kept_as_settings(tmp_path):
    model = make_pipeline(StandardScaler(), DeepEmbedder(lr=0.3))
    assert repr(again(model, tmp_path / "model")) == repr(model)


def test_tastes_come_back(tmp_path):
    pytest.importorskip("skops", "0.16", reason="older ones do not write sparse arrays")
    seen = sp.csr_array(np.random.RandomState(0).rand(9, 7) > 0.5, dtype=float)
    fitted = CollaborativeMetric(max_epochs=1, random_state=0).fit(seen)
    back = again(fitted, tmp_path / "model")
    assert np.array_equal(back.recommend(k=2), fitted.recommend(k=2))


def test_indices_of_sparse_matrices_are_checked():
    """Compiled code would read wherever they point."""
    seen = sp.csr_array(np.eye(3))
    fitted = CollaborativeMetric(max_epochs=1).fit(seen)
    fitted._seen.indices[0] = 10**6
    with pytest.raises(ValueError, match=r"indices|index values"):
        put_back(fitted, [])


def test_what_is_experimental_needs_not_be_enabled(monkeypatch):
    """Where nobody asked for it, scikit-learn raises for its name."""
    for name in ("HalvingGridSearchCV", "HalvingRandomSearchCV"):
        monkeypatch.delitem(vars(model_selection), name, raising=False)
    assert "sklearn.model_selection._split.KFold" in _settings.__wrapped__()


def own(X):
    return X


@pytest.mark.parametrize(
    ("steps", "table", "message"),
    [
        ([FunctionTransformer(lambda X: X), RCA()], X, r"step 'functiontransformer' .*lambda"),
        ([FunctionTransformer(own), RCA()], X, r"step 'functiontransformer' .* holds .*own"),
        (
            [columns(FunctionTransformer(own)), RCA()],
            FRAME,
            r"'columntransformer__pipeline__functiontransformer' \(FunctionTransformer\) cannot",
        ),
        ([RCA(), RandomForestClassifier(2)], X, r"'randomforestclassifier' .*_tree\.Tree"),
    ],
)
def test_what_cannot_be_saved_is_named_by_its_step(steps, table, message, tmp_path):
    if "Tree" in message:
        pytest.importorskip("skops", "0.16", reason="older ones trust trees")
    fitted = make_pipeline(*steps).fit(table, y)
    with pytest.raises(ValueError, match=message) as caught:
        metriclearn.save(fitted, tmp_path / "model")
    assert "\n" not in str(caught.value)
    assert " at 0x" not in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_settings_that_cannot_be_saved_are_named(tmp_path):
    spaces = {"n_neighbors": stats.randint(1, 5)}
    search = RandomizedSearchCV(KNeighborsClassifier(), spaces, n_iter=2, cv=2, random_state=0)
    with pytest.raises(ValueError, match=r"'param_distributions' cannot .* to itself"):
        metriclearn.save(search.fit(X, y), tmp_path / "model")


@pytest.mark.parametrize("learner", [RCA(), KernelMetric()], ids=repr)
def test_neighbors_by_a_learned_metric_come_back(learner, tmp_path):
    fitted = KNeighborsClassifier(3, metric=learner.fit(X, y).get_metric()).fit(X, y)
    metriclearn.save(fitted, tmp_path / "model")
    again = metriclearn.load(tmp_path / "model")
    for first, second in zip(again.kneighbors(X[::9]), fitted.kneighbors(X[::9]), strict=True):
        assert np.array_equal(first, second)


def test_settings_of_scikit_learn_are_trusted_and_its_machinery_is_not():
    for name in ("_tree.Tree", "_classes.DecisionTreeClassifier.fit"):
        assert untrusted([f"sklearn.tree.{name}"])
    for name in (
        "sklearn.utils._joblib.load",
        "sklearn.datasets._openml.fetch_openml",
        "sklearn.externals.array_api_compat.np",
        "scipy.io._mio.loadmat",
        "numpy.load",
    ):
        assert untrusted([name]) == [name]
