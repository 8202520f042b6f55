"""Retrieval: search once, score all."""

import re
import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.utils import check_array

from metriclearn.metrics import _ranking
from metriclearn.metrics._relevance import as_relevance
from metriclearn.neighbors._exact import ExactSearch
from metriclearn.neighbors._ranker import row_norms

_CHUNK_ENTRIES = 2**22
_FIRST_DEPTH = 32


@dataclass(frozen=True, eq=False, repr=False)
class RetrievalResult:
    """What each query found, and how much of it is right.

    Made by :func:`retrieve`. Its methods score it; all leave out queries that have
    nothing to find (see ``scored``), and give one value for each query with
    ``average=False``, NaN for those left out.

    Attributes
    ----------
    indices : ndarray of int, shape (n_queries, k)
        Gallery rows, nearest first; equal distances by row number.
    distances : ndarray of shape (n_queries, k)
        Ascending.
    gains : ndarray of shape (n_queries, k)
        Relevance of each answer: true or false, or graded.
    n_relevant : ndarray of int, shape (n_queries,)
        Number of right answers in the gallery, the query itself not counted.
    ideal_gains : ndarray of shape (n_queries, k)
        Relevance of the best possible answers.
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
    def scored(self):
        """Queries with at least one right answer in the gallery, as a mask."""
        return self.n_relevant > 0

    def recall_at_k(self, k=1, *, average=True):
        """Fraction of queries with a right answer among the ``k`` nearest."""
        return self._score(_ranking.hit, k, average)

    def precision_at_k(self, k=1, *, average=True):
        """Mean fraction of right answers among the ``k`` nearest."""
        return self._score(_ranking.precision, k, average)

    def r_precision(self, *, average=True):
        """Mean precision of the ``R`` nearest, ``R`` the right answers there are."""
        return self._score(_ranking.precision_at_r, None, average)

    def map_at_r(self, *, average=True):
        """Mean average precision of the ``R`` nearest (Musgrave et al., 2020)."""
        return self._score(_ranking.average_precision_at_r, None, average)

    def map_at_k(self, k, *, average=True):
        """Mean average precision of the ``k`` nearest, over ``min(k, R)``."""
        return self._score(_ranking.average_precision, k, average)

    def mrr(self, *, average=True):
        """Mean of one over the rank of the first right answer; 0 where none was found."""
        return _mean(self._values(_ranking.reciprocal_rank), average)

    def ndcg_at_k(self, k, *, average=True):
        """Mean discounted gain of the ``k`` nearest over that of the best possible."""
        self._check_depth(k)
        return _mean(self._values(_ranking.discounted_gain, k, of=self.ideal_gains), average)

    def _score(self, function, k, average):
        if k is None:
            self._check_depth(int(self.n_relevant.max(initial=1)))
            return _mean(self._values(function), average)
        self._check_depth(k)
        return _mean(self._values(function, k), average)

    def _values(self, function, *args, of=None):
        scored = self.scored
        of = self.n_relevant if of is None else of
        values = np.full(len(scored), np.nan)
        values[scored] = function(self.gains[scored], of[scored], *args)
        return values

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


class _Queries:
    """Queries, their gallery and what is relevant, checked and ready to be searched."""

    def __init__(self, embeddings, labels, gallery, gallery_labels, metric, relevance, depth):
        self.embeddings = _rows(embeddings, "embeddings")
        if metric == "cosine":
            row_norms(self.embeddings, "embeddings")
        self.self_search = gallery is None
        if self.self_search and gallery_labels is not None:
            raise ValueError("gallery_labels was given without gallery")
        gallery = self.embeddings if self.self_search else _rows(gallery, "gallery")
        if gallery.shape[1] != self.embeddings.shape[1]:
            raise ValueError(
                f"gallery has {gallery.shape[1]} features, embeddings has "
                f"{self.embeddings.shape[1]}; both must be of one space"
            )
        self.depth = len(gallery) - self.self_search
        if depth is not None and not 1 <= depth <= self.depth:
            raise ValueError(
                f"k={depth} is not between 1 and {self.depth}, the number of gallery rows that a "
                f"query can find"
            )
        self.relevance = as_relevance(
            relevance, labels, gallery_labels, len(self.embeddings), len(gallery), self.self_search
        )
        self.search = ExactSearch(gallery, metric)
        n_left_out = int((self.relevance.n_relevant == 0).sum())
        if 0 < n_left_out < len(self.embeddings):
            warnings.warn(
                f"{n_left_out} of {len(self.embeddings)} queries have no right answer in the "
                f"gallery (classes of one row) and are left out of the mean; drop such classes "
                f"to silence this",
                UserWarning,
                stacklevel=4,
            )

    def results(self, k):
        """Yield what all queries find, chunk by chunk."""
        n = len(self.embeddings)
        at_once = self.self_search and n * k <= _CHUNK_ENTRIES
        found = self.search.search_all(k) if at_once else None
        step = int(np.clip(_CHUNK_ENTRIES // k, 16, 4096))
        for start in range(0, n, step):
            chunk = slice(start, start + step)
            queries = np.arange(*chunk.indices(n))
            if at_once:
                yield self._result(queries, k, *(part[chunk] for part in found))
            else:
                yield self.find(queries, k)

    def find(self, queries, k):
        """What some of the queries find."""
        distances, indices = self.search.search(
            self.embeddings[queries], k, exclude=queries if self.self_search else None
        )
        return self._result(queries, k, distances, indices)

    def _result(self, queries, k, distances, indices):
        return RetrievalResult(
            indices,
            distances,
            self.relevance.gains(queries, indices),
            self.relevance.n_relevant[queries],
            self.relevance.ideal(queries, k),
        )

    def max_relevant(self):
        return max(1, int(self.relevance.n_relevant.max()))


def _rows(X, name):
    return check_array(X, dtype=[np.float64, np.float32], input_name=name)


def retrieve(
    embeddings,
    labels=None,
    k=None,
    *,
    gallery=None,
    gallery_labels=None,
    metric="euclidean",
    relevance=None,
):
    """Search the gallery once for every query; the result scores itself.

    Without ``gallery`` the embeddings are queries and gallery at once, and no query
    finds itself: it is left out by row number, so that duplicates of it are found.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features), float32 or float64
        Queries, in a space where ``metric`` is what was learned: ``transform(X)``.
    labels : array-like of shape (n_queries,), default=None
        Classes (or numbers, with ``relevance`` a tolerance).
    k : int, default=None
        Answers for each query; by default as many as the largest class has, which
        is what R-precision and MAP@R need.
    gallery : array-like of shape (n_gallery, n_features), default=None
        Rows to be found; the embeddings themselves by default.
    gallery_labels : array-like of shape (n_gallery,), default=None
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
    relevance : None, float, or array-like of shape (n_queries, n_gallery), default=None
        What is right: a row of the same class (None), one whose label differs by no
        more than this (a float, for continuous labels), or a matrix, sparse or not,
        of relevance by 0 and 1 or graded.

    Returns
    -------
    RetrievalResult

    Raises
    ------
    ValueError
        For embeddings with NaN or infinity, widths or lengths that differ, ``k``
        larger than the gallery, or rows of zeros under ``metric="cosine"``.

    Warns
    -----
    UserWarning
        Where queries have nothing to find and are left out.

    Examples
    --------
    >>> from metriclearn.metrics import retrieve
    >>> X, y = [[0.0], [1.0], [3.0], [3.9]], ["a", "a", "b", "b"]
    >>> result = retrieve(X, y, k=2)
    >>> result.indices
    array([[1, 2], [0, 2], [3, 1], [2, 1]])
    >>> result.recall_at_k(1), result.precision_at_k(2)
    (1.0, 0.5)
    """
    queries = _Queries(embeddings, labels, gallery, gallery_labels, metric, relevance, k)
    k = queries.max_relevant() if k is None else k
    parts = list(queries.results(k))
    return RetrievalResult(
        *(
            np.concatenate([getattr(part, field) for part in parts])
            for field in RetrievalResult.__dataclass_fields__
        )
    )


# Pattern of a measure's name -> (depth it needs, its per-query values of a result).
_MEASURES = (
    (r"recall_at_(\d+)", "k", RetrievalResult.recall_at_k),
    (r"precision_at_(\d+)", "k", RetrievalResult.precision_at_k),
    (r"map_at_(\d+)", "k", RetrievalResult.map_at_k),
    (r"ndcg_at_(\d+)", "k", RetrievalResult.ndcg_at_k),
    (r"r_precision", "R", RetrievalResult.r_precision),
    (r"map_at_r", "R", RetrievalResult.map_at_r),
)


def parse_measure(name):
    """Depth that a measure needs (None for R) and the function of a result that scores it."""
    for pattern, depth, score in _MEASURES:
        match = re.fullmatch(pattern, name)
        if match and depth == "R":
            return None, partial(score, average=False)
        if match and int(match[1]) > 0:
            k = int(match[1])
            return k, partial(score, k=k, average=False)
    raise ValueError(
        f"measure {name!r} is unknown; take r_precision, map_at_r, mrr, or recall_at_1, "
        f"precision_at_5, map_at_10, ndcg_at_10 with any number"
    )


def retrieval_scores(
    embeddings,
    labels=None,
    measures=("recall_at_1", "r_precision", "map_at_r"),
    *,
    gallery=None,
    gallery_labels=None,
    metric="euclidean",
    relevance=None,
    average=True,
):
    """Many measures from one search, in memory that does not grow with what is found.

    Parameters
    ----------
    embeddings, labels, gallery, gallery_labels, metric, relevance
        As of :func:`retrieve`.
    measures : str or sequence of str, default=("recall_at_1", "r_precision", "map_at_r")
        ``"recall_at_1"``, ``"precision_at_5"``, ``"map_at_10"``, ``"ndcg_at_10"`` with any
        number, ``"r_precision"``, ``"map_at_r"``, ``"mrr"``.
    average : bool, default=True
        False gives one value for each query, NaN for those with nothing to find.

    Returns
    -------
    dict of str to float, or to ndarray of shape (n_queries,)

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn.metrics import retrieval_scores
    >>> scores = retrieval_scores(*load_iris(return_X_y=True), ["recall_at_1", "map_at_r"])
    >>> {name: round(value, 3) for name, value in scores.items()}
    {'recall_at_1': 0.96, 'map_at_r': 0.773}
    """
    measures = (measures,) if isinstance(measures, str) else measures
    parsed = {name: parse_measure(name) for name in measures if name != "mrr"}
    deepest = max((k for k, _ in parsed.values() if k), default=None)
    queries = _Queries(embeddings, labels, gallery, gallery_labels, metric, relevance, deepest)
    values = {}
    if parsed:
        depth = max(k or queries.max_relevant() for k, _ in parsed.values())
        parts = {name: [] for name in parsed}
        for result in queries.results(depth):
            for name, (_, score) in parsed.items():
                parts[name].append(score(result))
        values = {name: np.concatenate(part) for name, part in parts.items()}
    if "mrr" in measures:
        values["mrr"] = _reciprocal_ranks(queries)
    return {name: _mean(values[name], average) for name in measures}


def _reciprocal_ranks(queries):
    """Search deeper and deeper, only for the queries that have not found a right answer."""
    values = np.full(len(queries.embeddings), np.nan)
    open_queries = np.flatnonzero(queries.relevance.n_relevant > 0)
    depth = min(_FIRST_DEPTH, queries.depth)
    while len(open_queries):
        step = int(np.clip(_CHUNK_ENTRIES // depth, 16, 4096))
        for start in range(0, len(open_queries), step):
            chunk = open_queries[start : start + step]
            values[chunk] = queries.find(chunk, depth).mrr(average=False)
        open_queries = open_queries[values[open_queries] == 0]
        depth = min(4 * depth, queries.depth)
    return values
