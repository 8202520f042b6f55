"""Retrieval: search once, score all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from metriclearn.metrics._named import parse_measure
from metriclearn.metrics._queries import Queries

_FIRST_DEPTH = 32


@dataclass(frozen=True, eq=False, repr=False)
class RetrievalResult:
    """What each query found, and how much of it is relevant.

    Made by :func:`retrieve`. Its methods score it; all leave out queries that have
    nothing to find (see ``scored``), and give one value for each query with
    ``average=False``, NaN for those left out.

    Parameters
    ----------
    indices : ndarray of int, shape (n_queries, k)
        Gallery rows, nearest first; equal distances by row number.
    distances : ndarray of shape (n_queries, k)
        Ascending.
    gains : ndarray of shape (n_queries, k)
        Relevance of each answer: true or false, or graded.
    n_relevant : ndarray of int, shape (n_queries,)
        Number of relevant rows in the gallery, the query itself not counted.
    ideal_gains : ndarray of shape (n_queries, k)
        Relevance of the best possible answers.

    See Also
    --------
    retrieve : Search and make a result.
    retrieval_scores : Score without keeping what was found.

    Examples
    --------
    >>> from metriclearn.metrics import retrieve
    >>> result = retrieve([[0.0], [1.0], [3.0], [3.9]], ["a", "a", "b", "b"], k=2)
    >>> result
    <RetrievalResult of 4 queries, k=2, 4 with right answers>
    >>> result.score("precision_at_2")
    0.5
    """

    indices: np.ndarray
    distances: np.ndarray
    gains: np.ndarray
    n_relevant: np.ndarray
    ideal_gains: np.ndarray

    def __repr__(self):
        n, k = self.indices.shape
        return f"<RetrievalResult of {n} queries, k={k}, {self.scored.sum()} with right answers>"

    @property
    def scored(self) -> np.ndarray:
        """Queries with at least one relevant row in the gallery, as a mask."""
        return self.n_relevant > 0

    def score(self, measure: str, *, average: bool = True) -> float | np.ndarray:
        """Score by the name of a measure.

        Parameters
        ----------
        measure : str
            As in :func:`retrieval_scores`, such as ``"map_at_r"`` or ``"recall_at_5"``.
            Of ``"mrr"``, answers that were not retrieved do not count.
        average : bool, default=True
            False gives one value for each query, NaN for those with nothing to find.

        Returns
        -------
        float, or ndarray of shape (n_queries,)

        Raises
        ------
        ValueError
            If there is no such measure, or it looks at more answers than were retrieved.
        """
        named = parse_measure(measure)
        if named.measure.depth == "R":
            self._check_depth(int(self.n_relevant.max(initial=1)))
        elif named.k is not None:
            self._check_depth(named.k)
        return _mean(named.values(self.gains, self.n_relevant, lambda: self.ideal_gains), average)

    def recall_at_k(self, k: int = 1, *, average: bool = True) -> float | np.ndarray:
        """Compute the fraction of queries with a relevant row among the ``k`` nearest."""
        return self._score_at("recall", k, average)

    def precision_at_k(self, k: int = 1, *, average: bool = True) -> float | np.ndarray:
        """Compute the mean fraction of relevant rows among the ``k`` nearest."""
        return self._score_at("precision", k, average)

    def share_found_at_k(self, k: int = 10, *, average: bool = True) -> float | np.ndarray:
        """Compute the mean fraction of the relevant rows that is among the ``k`` nearest."""
        return self._score_at("share_found", k, average)

    def r_precision(self, *, average: bool = True) -> float | np.ndarray:
        """Compute the mean precision of the ``R`` nearest, ``R`` the number of relevant rows."""
        return self.score("r_precision", average=average)

    def map_at_r(self, *, average: bool = True) -> float | np.ndarray:
        """Compute the mean average precision of the ``R`` nearest (Musgrave et al., 2020)."""
        return self.score("map_at_r", average=average)

    def map_at_k(self, k: int, *, average: bool = True) -> float | np.ndarray:
        """Compute the mean average precision of the ``k`` nearest, over ``min(k, R)``."""
        return self._score_at("map", k, average)

    def mrr(self, *, average: bool = True) -> float | np.ndarray:
        """Compute the mean of one over the first relevant rank; 0 where none was found."""
        return self.score("mrr", average=average)

    def ndcg_at_k(self, k: int, *, average: bool = True) -> float | np.ndarray:
        """Compute the mean discounted gain of the ``k`` nearest over the best possible."""
        return self._score_at("ndcg", k, average)

    def _score_at(self, name, k, average):
        self._check_depth(k)
        return self.score(f"{name}_at_{int(k)}", average=average)

    def _check_depth(self, k):
        depth = self.indices.shape[1]
        if not 1 <= k <= depth:
            raise ValueError(
                f"k={k}, but {depth} answers a query were retrieved; k must be from 1 to {depth}, "
                f"or retrieve with a larger k"
            )


def _mean(values, average):
    if not average:
        return values
    if np.isnan(values).all():
        raise ValueError(
            "no query has a right answer in the gallery: labels must have a class with at least "
            "2 rows (or one that is in gallery_labels as well)"
        )
    return float(np.nanmean(values))


def retrieve(
    embeddings: ArrayLike,
    labels: ArrayLike | None = None,
    k: int | None = None,
    *,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    queries_in_gallery: ArrayLike | None = None,
    ignore: Any = None,
    metric: str = "euclidean",
    relevance: Any = None,
) -> RetrievalResult:
    """Search the gallery once for every query; the result scores itself.

    Without ``gallery`` the embeddings are queries and gallery at once, and no query
    finds itself: it is left out by row number, so that duplicates of it are found.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features), float32 or float64
        Queries, in a space where ``metric`` is what was learned: ``transform(X)``.
    labels : array-like of shape (n_queries,), default=None
        Classes (or numbers, with ``relevance`` a tolerance). The label -1 among numbers
        marks rows whose class is not known: nothing is relevant to them, and they are
        wrong answers to all others.
    k : int, default=None
        Answers for each query; by default as many as the largest class has, which
        is what R-precision and MAP@R need.
    gallery : array-like of shape (n_gallery, n_features), default=None
        Rows to be found; the embeddings themselves by default.
    gallery_labels : array-like of shape (n_gallery,), default=None
        Classes of the gallery.
    queries_in_gallery : bool or array-like of int, shape (n_queries,), default=None
        Whether queries are rows of the gallery, which they then do not find: True, where
        query ``i`` is row ``i`` of the gallery; the row of each query, -1 for none; or
        False. By default they are not, with a warning where all of them look like it.
    ignore : array-like or sparse array of bool, shape (n_queries, n_gallery), default=None
        Gallery rows that a query does not find and that count neither as right nor as
        wrong, such as pictures of the same identity by the same camera.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        Distance of the search.
    relevance : None, float, or array-like of shape (n_queries, n_gallery), default=None
        What is relevant: a row of the same class (None), one whose label differs by no
        more than this (a float, for continuous labels), or a matrix, sparse or not,
        of relevance by 0 and 1 or graded.

    Returns
    -------
    RetrievalResult
        What each query found.

    Raises
    ------
    ValueError
        For embeddings with NaN or infinity, widths or lengths that differ, ``k``
        larger than the gallery, labels of mixed kinds, or rows of zeros under
        ``metric="cosine"``.

    Warns
    -----
    UserWarning
        Where queries have nothing to find and are left out, and where every query is
        a row of the gallery and finds itself.

    See Also
    --------
    retrieval_scores : Many measures from one search, without keeping what was found.
    metriclearn.neighbors.ExactSearch : The search.

    Notes
    -----
    Equal distances rank by row number. Where more copies of one point tie than a query has
    relevant rows (and more than 8), the embedding has collapsed there, and their order says
    nothing: they rank by chance, with a fixed seed.

    The result holds which rows were found, at what exact distances; for measures alone
    `retrieval_scores` finds the same values several times faster.

    Examples
    --------
    >>> from metriclearn.metrics import retrieve
    >>> X, y = [[0.0], [1.0], [3.0], [3.9]], ["a", "a", "b", "b"]
    >>> result = retrieve(X, y, k=2)
    >>> result.indices
    array([[1, 2], [0, 2], [3, 1], [2, 1]])
    >>> result.recall_at_k(1), result.precision_at_k(2)
    (1.0, 0.5)

    Left out: pictures of the same class by the same camera.

    >>> import numpy as np
    >>> X, y = [[0.0], [1.0], [3.0], [3.9]], np.array(["a", "a", "a", "a"])
    >>> camera = np.array([1, 1, 1, 2])
    >>> junk = (y[:, None] == y) & (camera[:, None] == camera)
    >>> retrieve(X, y, k=1, ignore=junk).indices.ravel()
    array([3, 3, 3, 2])
    """
    queries = Queries(
        embeddings,
        labels,
        gallery=gallery,
        gallery_labels=gallery_labels,
        queries_in_gallery=queries_in_gallery,
        ignore=ignore,
        metric=metric,
        relevance=relevance,
        depth=k,
    )
    k = queries.max_relevant() if k is None else int(k)
    parts = []
    for rows, distances, indices in queries.found(k):
        gains, ideal = queries.relevance.gains(rows, indices), queries.ideal(rows, k)
        if queries.unit != 1:
            with np.errstate(over="ignore"):  # a product may be beyond all numbers, not its order
                distances = distances * queries.unit * queries.unit
        parts.append((indices, distances, gains, queries.n_relevant[rows], ideal))
    return RetrievalResult(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def retrieval_scores(
    embeddings: ArrayLike,
    labels: ArrayLike | None = None,
    measures: str | Sequence[str] = ("recall_at_1", "r_precision", "map_at_r"),
    *,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    queries_in_gallery: ArrayLike | None = None,
    ignore: Any = None,
    metric: str = "euclidean",
    relevance: Any = None,
    average: bool = True,
) -> dict[str, Any]:
    """Compute many measures from one search, in memory that does not grow with what is found.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features), float32 or float64
        Queries, in a space where ``metric`` is what was learned.
    labels : array-like of shape (n_queries,), default=None
        Classes of the queries.
    measures : str or sequence of str, default=("recall_at_1", "r_precision", "map_at_r")
        ``"recall_at_1"``, ``"precision_at_5"``, ``"share_found_at_10"``, ``"map_at_10"``,
        ``"ndcg_at_10"`` with any number, ``"r_precision"``, ``"map_at_r"``, ``"mrr"``.
    gallery, gallery_labels, queries_in_gallery, ignore, metric, relevance
        As in :func:`retrieve`.
    average : bool, default=True
        False gives one value for each query, NaN for those with nothing to find.

    Returns
    -------
    dict of str to float, or to ndarray of shape (n_queries,)
        The value of each measure.

    Raises
    ------
    ValueError
        As in :func:`retrieve`, and for a measure that there is not.

    See Also
    --------
    retrieve : Search once and keep what was found.
    make_retrieval_scorer : The same as a scorer of scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn.metrics import retrieval_scores
    >>> scores = retrieval_scores(*load_iris(return_X_y=True), ["recall_at_1", "map_at_r"])
    >>> {name: round(value, 3) for name, value in scores.items()}
    {'recall_at_1': 0.96, 'map_at_r': 0.773}
    """
    measures = (measures,) if isinstance(measures, str) else tuple(measures)
    parsed = {name: parse_measure(name) for name in measures}
    queries = Queries(
        embeddings,
        labels,
        gallery=gallery,
        gallery_labels=gallery_labels,
        queries_in_gallery=queries_in_gallery,
        ignore=ignore,
        metric=metric,
        relevance=relevance,
        depth=max((named.k for named in parsed.values() if named.k), default=None),
    )
    bounded = {name: named for name, named in parsed.items() if named.measure.depth != "all"}
    values = {name: np.full(len(queries.embeddings), np.nan) for name in measures}
    if bounded:
        depth = max(named.k or queries.max_relevant() for named in bounded.values())
        for rows, gains in queries.gains(depth):
            for name, named in bounded.items():
                values[name][rows] = named.values(
                    gains, queries.n_relevant[rows], lambda rows=rows: queries.ideal(rows, depth)
                )
    for name in set(measures) - set(bounded):
        _deepen(queries, parsed[name], values[name])
    return {name: _mean(values[name], average) for name in measures}


def _deepen(queries, named, values):
    """Search deeper and deeper, only for the queries that have not found a relevant row."""
    open_queries = np.flatnonzero(queries.n_relevant > 0)
    depth = min(_FIRST_DEPTH, queries.most)
    while len(open_queries):
        for rows, _, indices in queries.find(open_queries, depth):
            gains = queries.gains_of(rows, indices)
            values[rows] = named.values(gains, queries.n_relevant[rows], None)
        open_queries = open_queries[values[open_queries] == 0]
        if depth == queries.most:  # of those that are no rows of the gallery the last is left
            values[open_queries] = 1 / queries.n_gallery
            return
        depth = min(4 * depth, queries.most)
