"""Scorers: measures by name for ``GridSearchCV(scoring=...)`` and ``cross_val_score``."""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.metrics import get_scorer as get_sklearn_scorer

from metriclearn._text import number_of
from metriclearn.metrics._embedding import (
    alignment,
    cluster_scores,
    effective_rank,
    intra_inter_ratio,
    uniformity,
)
from metriclearn.metrics._named import parse_measure
from metriclearn.metrics._retrieval import retrieval_scores
from metriclearn.metrics._verification import equal_error_rate, tar_at_far

CLUSTER_MEASURES = ("nmi", "ami", "pairwise_f1")
# Larger is better, as scikit-learn's searches want it: those that should be small are negated.
SHAPE_MEASURES = {
    "neg_alignment": lambda Z, y: -alignment(Z, y),
    "neg_uniformity": lambda Z, y: -uniformity(Z),
    "effective_rank": lambda Z, y: effective_rank(Z),
    "neg_intra_inter_ratio": lambda Z, y: -intra_inter_ratio(Z, y),
}
EQUAL_ERROR, TRUE_ACCEPTS = "neg_equal_error_rate", "tar_at_far_"


class RetrievalScorer:
    """Score of a fitted transformer: measures of ``transform(X)`` among itself.

    Made by :func:`make_retrieval_scorer`.
    """

    def __init__(self, measure, metric):
        self.measure = measure
        self.metric = metric

    def __call__(self, estimator, X, y):
        """Embed ``X`` and score it.

        Parameters
        ----------
        estimator : estimator with ``transform``
            Fitted; a Pipeline must end in a transformer.
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,)

        Returns
        -------
        float, or dict of str to float where there are several measures
            Larger is better.
        """
        if not hasattr(estimator, "transform"):
            raise TypeError(
                f"scoring={self.measure!r} needs an estimator with transform, got "
                f"{type(estimator).__name__}; leave the classifier off the end of the Pipeline"
            )
        Z = estimator.transform(X)
        if isinstance(self.measure, str):
            return self._scores(Z, y, (self.measure,))[self.measure]
        return self._scores(Z, y, self.measure)

    def _scores(self, Z, y, names):
        """Search once and cluster once, if at all."""
        scores = {name: SHAPE_MEASURES[name](Z, y) for name in names if name in SHAPE_MEASURES}
        if not set(names).isdisjoint(CLUSTER_MEASURES):
            scores |= cluster_scores(Z, y, random_state=0)
        retrieval = [name for name in names if name not in scores]
        if retrieval:
            scores |= retrieval_scores(Z, y, retrieval, metric=self.metric)
        return {name: scores[name] for name in names}

    def __repr__(self):
        return f"make_retrieval_scorer({self.measure!r}, metric={self.metric!r})"


class VerificationScorer:
    """Score of a fitted verifier of pairs, of the distances that it says.

    Made by :func:`get_scorer`.
    """

    def __init__(self, measure):
        self.measure = measure

    def __call__(self, estimator, X, y):
        """Measure how well distances of pairs tell the same from others.

        Parameters
        ----------
        estimator : PairClassifier
            Fitted; or another with ``paired_distances`` and ``classes_``.
        X : array-like of shape (n, 2, n_features), or of int, shape (n, 2)
        y : array-like of shape (n,)

        Returns
        -------
        float
            Larger is better.
        """
        if not hasattr(estimator, "paired_distances") or not hasattr(estimator, "classes_"):
            raise TypeError(
                f"scoring={self.measure!r} needs a PairClassifier, got {type(estimator).__name__}"
            )
        same, distances = np.asarray(y) == estimator.classes_[1], estimator.paired_distances(X)
        if self.measure == EQUAL_ERROR:
            return -equal_error_rate(same, distances)
        return tar_at_far(same, distances, float(self.measure.removeprefix(TRUE_ACCEPTS)))

    def __repr__(self):
        return f"get_scorer({self.measure!r})"


def make_retrieval_scorer(
    measure: str | Sequence[str] = "map_at_r", *, metric: str = "euclidean"
) -> RetrievalScorer:
    """Make a scorer of embeddings, for ``GridSearchCV`` over transformers.

    Parameters
    ----------
    measure : str or sequence of str, default="map_at_r"
        As in :func:`~metriclearn.metrics.retrieval_scores`: ``"recall_at_1"``,
        ``"r_precision"``, ``"ndcg_at_10"``, ...; ``"nmi"``, ``"ami"`` and ``"pairwise_f1"``
        of k-means clusters; ``"neg_alignment"``, ``"neg_uniformity"``,
        ``"effective_rank"``, ``"neg_intra_inter_ratio"``. Of several, all are scored
        from one embedding and one search; name the one to choose by as ``refit``.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        Distance of the search.

    Returns
    -------
    callable
        ``scorer(estimator, X, y)``, picklable: a float, or a dict of them.

    Raises
    ------
    ValueError
        If there is no such measure.

    See Also
    --------
    get_scorer : Scorers of scikit-learn and of verification by name, too.
    retrieval_scores : The same measures as a function.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.model_selection import GridSearchCV
    >>> from metriclearn.metrics import make_retrieval_scorer
    >>> scorer = make_retrieval_scorer(["recall_at_1", "map_at_r"])
    >>> grid = {"n_components": [1, 2, 3]}
    >>> search = GridSearchCV(PCA(), grid, scoring=scorer, refit="recall_at_1")
    >>> search.fit(*load_iris(return_X_y=True)).best_params_
    {'n_components': 2}
    """
    several = not isinstance(measure, str)
    names = tuple(measure) if several else (measure,)
    if not names:
        raise ValueError("measure is an empty sequence; name at least one")
    for name in names:
        if name not in (*CLUSTER_MEASURES, *SHAPE_MEASURES):
            parse_measure(name)
    return RetrievalScorer(names if several else measure, metric)


def get_scorer(scoring: str | Sequence[str] | Callable) -> Callable:
    """Get a scorer by name: a measure of embeddings or of pairs, or one of scikit-learn.

    Parameters
    ----------
    scoring : str, sequence of str or callable
        ``"recall_at_1"``, ``"nmi"`` and all that :func:`make_retrieval_scorer` takes, also
        several of them; ``"neg_equal_error_rate"`` and ``"tar_at_far_0.01"``, any rate,
        of a :class:`~metriclearn.verification.PairClassifier`; or e.g. ``"accuracy"``. A
        callable is returned as it is.

    Returns
    -------
    callable
        ``scorer(estimator, X, y)``.

    Raises
    ------
    ValueError
        If there is no such scorer here or in scikit-learn.

    See Also
    --------
    make_retrieval_scorer : With another metric of the search.
    sklearn.metrics.get_scorer : Scorers of scikit-learn.

    Examples
    --------
    >>> from metriclearn.metrics import get_scorer
    >>> get_scorer("recall_at_1")
    make_retrieval_scorer('recall_at_1', metric='euclidean')
    """
    if callable(scoring):
        return get_sklearn_scorer(scoring)
    if not isinstance(scoring, str):
        return make_retrieval_scorer(scoring)
    if scoring == EQUAL_ERROR or _is_rate(scoring):
        return VerificationScorer(scoring)
    try:
        return make_retrieval_scorer(scoring)
    except ValueError as unknown:
        try:
            return get_sklearn_scorer(scoring)
        except ValueError:
            raise ValueError(f"scoring: {unknown}; nor is it a scorer of scikit-learn") from None


def _is_rate(name):
    if not name.startswith(TRUE_ACCEPTS):
        return False
    text = name.removeprefix(TRUE_ACCEPTS)
    rate = number_of(text)
    if rate is None or not 0 <= rate <= 1:
        raise ValueError(f"scoring={name!r}: {text!r} is no false accept rate from 0 to 1")
    return True


recall_at_1_scorer = make_retrieval_scorer("recall_at_1")
r_precision_scorer = make_retrieval_scorer("r_precision")
map_at_r_scorer = make_retrieval_scorer("map_at_r")
