"""What Displays are given, checked: embeddings with labels, matrices, names of features."""

import warnings

import numpy as np
from sklearn.utils import check_array

from metriclearn._validation import check_numeric

# Rows whose features vary this many times more, or less, than those that a metric was learned
# from are in other units.
_OTHER_UNITS = 10


def embed(estimator, X):
    """Embed rows with a fitted learner."""
    if not hasattr(estimator, "transform"):
        raise ValueError(
            f"estimator must be a fitted learner with transform, got {type(estimator).__name__}"
        )
    return estimator.transform(X)


def check_labeled(embeddings, labels):
    """Return embeddings as a finite float array and as many labels, or say what is wrong."""
    check_numeric(embeddings, "embeddings")
    embeddings = check_array(embeddings, dtype=np.float64, input_name="embeddings")
    labels = np.asarray(labels)
    if labels.shape != (len(embeddings),):
        raise ValueError(
            f"labels must be of shape ({len(embeddings)},), one for each row of embeddings, got "
            f"{labels.shape}"
        )
    return embeddings, labels


def mahalanobis_matrix(estimator):
    """Return the matrix of a fitted linear learner."""
    if not hasattr(estimator, "get_mahalanobis_matrix"):
        raise ValueError(
            f"{type(estimator).__name__} has no matrix: only linear learners have "
            f"get_mahalanobis_matrix()"
        )
    return np.asarray(estimator.get_mahalanobis_matrix())


def feature_names_of(estimator, feature_names):
    """Names as given, else those that the learner was fitted with, else None."""
    if feature_names is None:
        return getattr(estimator, "feature_names_in_", None)
    check_names(feature_names, estimator.n_features_in_)
    return np.asarray(feature_names)


def check_names(feature_names, n_features):
    """Raise ``ValueError`` where there is not one name for each feature."""
    if feature_names is not None and len(feature_names) != n_features:
        raise ValueError(f"feature_names has {len(feature_names)} names for {n_features} features")


def check_matrix(matrix):
    """Return the matrix of a metric as a finite, symmetric float array, or say what is wrong."""
    check_numeric(matrix, "matrix")
    matrix = check_array(matrix, dtype=np.float64, input_name="matrix")
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"matrix must be square, got shape {matrix.shape}")
    if np.abs(matrix - matrix.T).max() > 1e-6 * np.abs(matrix).max():
        raise ValueError("matrix must be symmetric, as that of a metric is")
    return matrix


def warn_of_other_units(learner, X):
    """Warn where rows are in other units than those that a linear learner was fitted with."""
    fitted = getattr(learner, "_spread", None)
    X = np.asarray(X)
    if fitted is None or X.ndim != 2 or X.shape[1] != len(fitted) or len(X) < 2:
        return
    fitted = np.asarray(fitted)
    with np.errstate(over="ignore"):
        given = X.std(axis=0)
    known = (fitted > 0) & (given > 0)
    ratio = given[known] / fitted[known]
    if not len(ratio):
        return
    # A few alike rows vary little in some features, but in none ten times more.
    most, usual = ratio.max(), np.median(ratio)
    if most > _OTHER_UNITS or usual < 1 / _OTHER_UNITS:
        kind = type(learner).__name__
        warnings.warn(
            f"a feature of X varies {most if most > _OTHER_UNITS else usual:.3g} times as much as "
            f"in the rows that the {kind} was fitted with, after a scaler for example: give the "
            f"whole pipeline, or X as it was fitted with",
            UserWarning,
            stacklevel=3,
        )
