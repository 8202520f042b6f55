"""Exported graphs say what ``transform`` says."""

import numpy as np
import pytest
from helpers import estimators
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    StandardScaler,
)

from metriclearn import LMNN, RCA, KernelMetric
from metriclearn.persistence import to_onnx

runtime = pytest.importorskip("onnxruntime")
X, y = load_iris(return_X_y=True)
X = X.astype(np.float32).astype(np.float64)  # what the graph is given


def run(path, X):
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["X"]
    return session.run(["embedding"], {"X": X.astype(np.float32)})[0]


def assert_exports(fitted, path, X=X):
    to_onnx(fitted, path)
    expected = fitted.transform(X)
    for rows in (slice(0, 1), slice(0, 7), slice(None)):
        assert np.allclose(run(path, X[rows]), expected[rows], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("learner", estimators.LINEAR, ids=lambda e: type(e).__name__)
def test_every_linear_learner_is_exported(learner, tmp_path):
    assert_exports(clone(learner).fit(X, y), tmp_path / "a.onnx")


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler(), PCA(3), LMNN()],
        [PCA(3, whiten=True), Normalizer(), RCA()],
        [MinMaxScaler(), MaxAbsScaler(), RCA(), Normalizer("l1")],
        [StandardScaler(with_mean=False), TruncatedSVD(2)],
        [StandardScaler(with_std=False), LinearDiscriminantAnalysis()],
        [LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")],
        [make_pipeline(StandardScaler(), PCA(3)), "passthrough", RCA()],
        [Normalizer()],
    ],
    ids=str,
)
def test_pipelines_are_exported(steps, tmp_path):
    assert_exports(make_pipeline(*steps).fit(X, y), tmp_path / "a.onnx")


def test_rows_of_zeros_stay_zeros(tmp_path):
    rows = X.copy()
    rows[3] = 0
    for norm in ("l1", "l2"):
        assert_exports(make_pipeline(Normalizer(norm)).fit(rows), tmp_path / norm, rows)


def test_what_reads_no_rows_is_refused_by_name(tmp_path):
    fitted = make_pipeline(TfidfVectorizer(), TruncatedSVD(2)).fit(["a red cat", "a blue dog"])
    with pytest.raises(ValueError, match=r"TfidfVectorizer cannot be exported"):
        to_onnx(fitted, tmp_path / "a.onnx")
    with pytest.raises(ValueError, match="a pipeline in which nothing is done"):
        to_onnx(make_pipeline("passthrough").fit(X), tmp_path / "a.onnx")


def test_offsets_do_not_cost_precision(tmp_path):
    rows = np.round(X * 8) / 8 + 4096  # exact as float32
    assert_exports(make_pipeline(StandardScaler(), RCA()).fit(rows, y), tmp_path / "a.onnx", rows)


@pytest.mark.parametrize(
    "step",
    [
        PolynomialFeatures(),
        KernelMetric(n_landmarks=10),
        Normalizer("max"),
        MinMaxScaler(clip=True),
    ],
)
def test_other_steps_are_refused_by_name(step, tmp_path):
    fitted = make_pipeline(step).fit(X, y)
    with pytest.raises(ValueError, match=rf"{type(step).__name__}.*cannot be exported"):
        to_onnx(fitted, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()
