"""What every Display asks of what it is given."""

import numpy as np
from sklearn.utils import check_array


def embed(estimator, X):
    """Embed rows with a fitted learner.

    Raises
    ------
    ValueError
        If it has no ``transform``.
    """
    if not hasattr(estimator, "transform"):
        raise ValueError(
            f"estimator must be a fitted learner with transform, got {type(estimator).__name__}"
        )
    return estimator.transform(X)


def check_labelled(embeddings, labels):
    """Return embeddings as a finite float array and as many labels, or say what is wrong."""
    embeddings = check_array(embeddings, dtype=np.float64, input_name="embeddings")
    labels = np.asarray(labels)
    if labels.shape != (len(embeddings),):
        raise ValueError(
            f"labels must be of shape ({len(embeddings)},), one for each row of embeddings, got "
            f"{labels.shape}"
        )
    return embeddings, labels


def mahalanobis_matrix(estimator):
    """Return the matrix of a fitted linear learner.

    Raises
    ------
    ValueError
        If it is not linear.
    """
    if not hasattr(estimator, "get_mahalanobis_matrix"):
        raise ValueError(
            f"{type(estimator).__name__} has no matrix: only linear learners have "
            f"get_mahalanobis_matrix()"
        )
    return np.asarray(estimator.get_mahalanobis_matrix())


def feature_names_of(estimator, feature_names):
    """Names as given, else those that the learner was fitted with, else None.

    Raises
    ------
    ValueError
        If there is not one for each feature.
    """
    if feature_names is None:
        return getattr(estimator, "feature_names_in_", None)
    if len(feature_names) != estimator.n_features_in_:
        raise ValueError(
            f"feature_names has {len(feature_names)} names for {estimator.n_features_in_} features"
        )
    return np.asarray(feature_names)
