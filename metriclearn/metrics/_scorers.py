"""Scorers: retrieval measures for ``GridSearchCV(scoring=...)`` and ``cross_val_score``."""

from sklearn.metrics import get_scorer as get_sklearn_scorer

from metriclearn.metrics._retrieval import parse_measure, retrieval_scores


class RetrievalScorer:
    """Score of a fitted transformer: a retrieval measure of ``transform(X)`` among itself.

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
        float
            Larger is better.
        """
        if not hasattr(estimator, "transform"):
            raise TypeError(
                f"scoring={self.measure!r} needs an estimator with transform, got "
                f"{type(estimator).__name__}; leave the classifier off the end of the Pipeline"
            )
        embeddings = estimator.transform(X)
        return retrieval_scores(embeddings, y, (self.measure,), metric=self.metric)[self.measure]

    def __repr__(self):
        return f"make_retrieval_scorer({self.measure!r}, metric={self.metric!r})"


def make_retrieval_scorer(measure="map_at_r", *, metric="euclidean"):
    """Make a scorer of a retrieval measure, for ``GridSearchCV`` over transformers.

    Parameters
    ----------
    measure : str, default="map_at_r"
        As in :func:`~metriclearn.metrics.retrieval_scores`: ``"recall_at_1"``,
        ``"r_precision"``, ``"ndcg_at_10"``, ...
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"

    Returns
    -------
    callable
        ``scorer(estimator, X, y) -> float``, picklable.

    Raises
    ------
    ValueError
        If there is no such measure.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.model_selection import GridSearchCV
    >>> from metriclearn.metrics import make_retrieval_scorer
    >>> grid = {"n_components": [1, 2, 3]}
    >>> search = GridSearchCV(PCA(), grid, scoring=make_retrieval_scorer("recall_at_1"))
    >>> search.fit(*load_iris(return_X_y=True)).best_params_
    {'n_components': 2}
    """
    if measure != "mrr":
        parse_measure(measure)
    return RetrievalScorer(measure, metric)


def get_scorer(scoring):
    """Get a scorer by name: a retrieval measure, or one of scikit-learn's.

    Parameters
    ----------
    scoring : str or callable
        ``"recall_at_1"``, ``"map_at_r"``, ... or e.g. ``"accuracy"``; a callable is
        returned as it is.

    Returns
    -------
    callable
        ``scorer(estimator, X, y) -> float``.

    Raises
    ------
    ValueError
        If neither knows the name.

    Examples
    --------
    >>> from metriclearn.metrics import get_scorer
    >>> get_scorer("recall_at_1")
    make_retrieval_scorer('recall_at_1', metric='euclidean')
    """
    if isinstance(scoring, str):
        try:
            return make_retrieval_scorer(scoring)
        except ValueError as unknown:
            try:
                return get_sklearn_scorer(scoring)
            except ValueError:
                raise ValueError(
                    f"scoring: {unknown}; nor is it a scorer of scikit-learn"
                ) from None
    return get_sklearn_scorer(scoring)


recall_at_1_scorer = make_retrieval_scorer("recall_at_1")
r_precision_scorer = make_retrieval_scorer("r_precision")
map_at_r_scorer = make_retrieval_scorer("map_at_r")
