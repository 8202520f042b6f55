"""Linear pipelines as ONNX graphs, which other programs and languages run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from metriclearn._extras import require
from metriclearn._files import write_bytes
from metriclearn._types import FilePath
from metriclearn.mahalanobis._base import MahalanobisTransformer

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

_OPSET = 18


def to_onnx(estimator: BaseEstimator, path: FilePath) -> None:
    """Write the ``transform`` of a fitted estimator as an ONNX graph.

    The graph has one input ``X`` of any number of rows, and one output ``embedding``: rows
    between which Euclidean distance is the learned metric. A linear pipeline is computed in
    double precision; its input is in single precision, so that of columns whose values are far from
    zero for their spread (times in seconds) a constant is subtracted before the fit.

    Parameters
    ----------
    estimator : estimator
        A linear learner of this package, a `~metriclearn.deep.DeepEmbedder`, or a pipeline that
        ends in one and before that has scalers, PCA, truncated SVD, linear discriminant
        analysis and normalizers of scikit-learn only.
    path : str or Path
        Of the file.

    Raises
    ------
    ValueError
        If a step is another one.
    ImportError
        If onnx is not installed.

    See Also
    --------
    metriclearn.save : Keeps an estimator for Python.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import RCA
    >>> from metriclearn.persistence import to_onnx
    >>> learner = RCA().fit(*load_iris(return_X_y=True))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_onnx(learner, os.path.join(folder, "rca.onnx"))
    """
    check_is_fitted(estimator)
    steps = _flat(estimator)
    if not steps:
        raise ValueError("estimator: a pipeline in which nothing is done cannot be exported")
    if type(steps[-1]).__name__ == "DeepEmbedder":
        if len(steps) > 1:
            raise ValueError(
                f"estimator: {type(steps[0]).__name__} before a DeepEmbedder cannot be exported; "
                f"the network standardizes its input itself, leave the step out"
            )
        steps[-1].to_onnx(path)
        return
    write_bytes(path, _linear_model(steps).SerializeToString())


def _flat(estimator):
    """Return the steps of a pipeline, of pipelines in it, too."""
    if not isinstance(estimator, Pipeline):
        return [estimator]
    steps = [step for _, step in estimator.steps if step is not None and step != "passthrough"]
    return [part for step in steps for part in _flat(step)]


def _linear_model(steps):
    onnx = require("onnx", "onnx")
    helper, number = onnx.helper, onnx.TensorProto.DOUBLE
    nodes, constants = [helper.make_node("Cast", ["X"], ["x0"], to=number)], []
    for at, step in enumerate(steps):
        if isinstance(step, Normalizer):
            nodes.append(_normalized(helper, step, at))
            continue
        shift, matrix = affine(step)
        constants += [
            onnx.numpy_helper.from_array(shift, f"shift{at}"),
            onnx.numpy_helper.from_array(matrix, f"matrix{at}"),
        ]
        nodes += [
            helper.make_node("Sub", [f"x{at}", f"shift{at}"], [f"centered{at}"]),
            helper.make_node("MatMul", [f"centered{at}", f"matrix{at}"], [f"x{at + 1}"]),
        ]
    last = f"x{len(steps)}"
    nodes.append(helper.make_node("Cast", [last], ["embedding"], to=onnx.TensorProto.FLOAT))
    n_features = steps[0].n_features_in_
    n_out = constants[-1].dims[1] if constants else n_features
    graph = helper.make_graph(
        nodes,
        "metriclearn",
        [helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, ["n", n_features])],
        [helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["n", n_out])],
        constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        producer_name="metriclearn",
        ir_version=9,  # which older runtimes read
    )
    onnx.checker.check_model(model)
    return model


def _normalized(helper, step, at):
    if step.norm not in ("l1", "l2"):
        raise ValueError(f"estimator: Normalizer(norm={step.norm!r}) cannot be exported")
    return helper.make_node(
        "LpNormalization", [f"x{at}"], [f"x{at + 1}"], axis=1, p=int(step.norm[1])
    )


def affine(step):
    """Return what a linear step does: ``transform(X) = (X - shift) @ matrix``.

    Parameters
    ----------
    step : estimator
        Fitted.

    Returns
    -------
    shift : ndarray of shape (n_features,)
    matrix : ndarray of shape (n_features, n_out)
    """
    n = getattr(step, "n_features_in_", 0)  # what reads text or images has none
    zero = np.zeros(n)
    if isinstance(step, MahalanobisTransformer):
        return zero, np.asarray(step.components_.T, dtype=np.float64)
    if isinstance(step, StandardScaler):
        shift = step.mean_ if step.with_mean else zero
        return shift, np.diag(1 / step.scale_ if step.with_std else np.ones(n))
    if isinstance(step, MinMaxScaler) and not step.clip:
        return -step.min_ / step.scale_, np.diag(step.scale_)
    if isinstance(step, MaxAbsScaler):
        return zero, np.diag(1 / step.scale_)
    if isinstance(step, PCA):
        scale = np.sqrt(step.explained_variance_) if step.whiten else 1.0
        return step.mean_.astype(np.float64), (step.components_.T / scale).astype(np.float64)
    if isinstance(step, TruncatedSVD):
        return zero, step.components_.T.astype(np.float64)
    if isinstance(step, LinearDiscriminantAnalysis) and step.solver in ("svd", "eigen"):
        shift = step.xbar_ if step.solver == "svd" else zero
        return shift, step.scalings_[:, : step._max_components]
    raise ValueError(
        f"estimator: {type(step).__name__} cannot be exported; known are the linear learners, "
        f"scalers, PCA, TruncatedSVD, LinearDiscriminantAnalysis, Normalizer and DeepEmbedder"
    )
