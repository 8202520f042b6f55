"""Retrieval measures of ranked answers, one value for each query, and their names.

``gains[q, i]`` is the relevance of the answer at rank ``i`` (from 0) of query ``q``,
true or graded; ``n_relevant[q]`` is the number of relevant rows in the gallery, found
or not, and is at least 1. ``k`` is the number of answers that count, and is None for
measures that look at the first ``R = n_relevant`` or at all of them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np


def hit(gains, n_relevant, k):
    """Return whether one of the first ``k`` answers is relevant."""
    return (gains[:, :k] > 0).any(axis=1).astype(float)


def precision(gains, n_relevant, k):
    """Compute the fraction of the first ``k`` answers that is relevant."""
    return (gains[:, :k] > 0).sum(axis=1) / k


def share_found(gains, n_relevant, k):
    """Compute the fraction of the relevant rows that is among the first ``k`` answers."""
    return (gains[:, :k] > 0).sum(axis=1) / n_relevant


def precision_at_r(gains, n_relevant, k=None):
    """Compute the precision of the first ``R`` answers, ``R = n_relevant``."""
    return _relevant(gains, n_relevant).sum(axis=1) / n_relevant


def average_precision_at_r(gains, n_relevant, k=None):
    """Compute ``1/R Σ_{i≤R} P(i) rel(i)``."""
    return _precision_sum(_relevant(gains, n_relevant)) / n_relevant


def average_precision(gains, n_relevant, k):
    """Compute ``1/min(k, R) Σ_{i≤k} P(i) rel(i)``."""
    return _precision_sum(gains[:, :k] > 0) / np.minimum(k, n_relevant)


def reciprocal_rank(gains, n_relevant, k=None):
    """Compute one over the rank of the first relevant answer, 0 where none was found."""
    right = gains > 0
    return np.where(right.any(axis=1), 1 / (1 + right.argmax(axis=1)), 0.0)


def discounted_gain(gains, ideal_gains, k):
    """Compute ``DCG / ideal DCG``, ``DCG = Σ_{i≤k} gain(i) / log₂(i + 1)``."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    best = ideal_gains[:, :k] @ discount[: ideal_gains.shape[1]]
    return (gains[:, :k] @ discount[: gains.shape[1]]) / best


def _relevant(gains, n_relevant):
    return (gains > 0) & (np.arange(gains.shape[1]) < n_relevant[:, None])


def _precision_sum(right):
    ranks = np.arange(1, right.shape[1] + 1)
    return np.where(right, right.cumsum(axis=1) / ranks, 0.0).sum(axis=1)


@dataclass(frozen=True)
class Measure:
    """A measure of ranked answers, and what it looks at.

    Parameters
    ----------
    function : callable
        ``function(gains, n_relevant, k)``, one value for each query; as above.
    depth : {"k", "R", "all"}
        Which answers it looks at: the first ``k``, with ``k`` in its name
        (``"recall_at_5"``); as many as there are relevant rows; or all of them, where a
        value of 0 means that nothing was found so far.
    graded : bool, default=False
        Whether the function takes the gains of the best possible answers in place of
        ``n_relevant``.
    """

    function: Callable
    depth: str
    graded: bool = False


# A measure of depth "k" is named with a number: "recall" is "recall_at_1", "recall_at_2", ...
MEASURES = {
    "recall": Measure(hit, "k"),
    "precision": Measure(precision, "k"),
    "share_found": Measure(share_found, "k"),
    "map": Measure(average_precision, "k"),
    "ndcg": Measure(discounted_gain, "k", graded=True),
    "r_precision": Measure(precision_at_r, "R"),
    "map_at_r": Measure(average_precision_at_r, "R"),
    "mrr": Measure(reciprocal_rank, "all"),
}

# What other libraries call them.
_OTHER_NAMES = {
    "hit_rate": "recall_at_{k}",
    "hit": "recall_at_{k}",
    "hits": "recall_at_{k}",
    "success": "recall_at_{k}",
    "cmc": "recall_at_{k}",
    "rank": "recall_at_{k}",
    "top": "recall_at_{k}",
    "recall": "recall_at_{k}, or share_found_at_{k} for the share of the relevant rows found",
    "precision": "precision_at_{k}",
    "share_found": "share_found_at_{k}",
    "map": "map_at_r, or map_at_{k}",
    "ap": "map_at_r, or map_at_{k}",
    "mean_average_precision": "map_at_r, or map_at_{k}",
    "average_precision": "map_at_r, or map_at_{k}",
    "ndcg": "ndcg_at_{k}",
    "dcg": "ndcg_at_{k}",
    "mean_reciprocal_rank": "mrr",
    "reciprocal_rank": "mrr",
    "r_prec": "r_precision",
    "accuracy": "recall_at_1",
}


@dataclass(frozen=True)
class NamedMeasure:
    """A measure with its ``k``, which is None where its name has none."""

    measure: Measure
    k: int | None

    def values(self, gains, n_relevant, ideal_gains):
        """Compute one value for each query, NaN for those with nothing to find.

        Parameters
        ----------
        gains : ndarray of shape (n_queries, depth)
        n_relevant : ndarray of int, shape (n_queries,)
        ideal_gains : callable
            Gives the gains of the best possible answers, shape (n_queries, depth).

        Returns
        -------
        ndarray of shape (n_queries,)
        """
        against = ideal_gains() if self.measure.graded else n_relevant
        scored = n_relevant > 0
        if scored.all():
            return self.measure.function(gains, against, self.k)
        values = np.full(len(scored), np.nan)
        values[scored] = self.measure.function(gains[scored], against[scored], self.k)
        return values


def parse_measure(name):
    """Return the measure of a name such as ``"map_at_r"`` or ``"recall_at_5"``."""
    if not isinstance(name, str):
        raise ValueError(f"a measure is named by a string such as 'map_at_r', got {name!r}")
    measure = MEASURES.get(name)
    if measure is not None and measure.depth != "k":
        return NamedMeasure(measure, None)
    base, _, number = name.rpartition("_at_")
    measure = MEASURES.get(base)
    at_k = measure is not None and measure.depth == "k"
    if at_k and re.fullmatch(r"0*[1-9][0-9]*", number):
        return NamedMeasure(measure, int(number))
    raise ValueError(f"measure {name!r} is unknown; {_hint(name)}")


def _hint(name):
    """Say what a name is likely to mean here, or else which names there are."""
    words = re.sub(r"[^a-z0-9]+", "_", name.lower().replace("@", "_at_")).strip("_")
    match = re.fullmatch(r"(.*?)_?(?:at)?_?(\d*)", words)
    base, k = match[1], match[2].lstrip("0") or "10"
    close = get_close_matches(base, [*_OTHER_NAMES, *MEASURES], n=1, cutoff=0.8)
    if close:
        known = _OTHER_NAMES.get(close[0], close[0])
        return f"did you mean {known.format(k=k)}?"
    at_k = ", ".join(f"{base}_at_{k}" for base, m in MEASURES.items() if m.depth == "k")
    others = ", ".join(base for base, m in MEASURES.items() if m.depth != "k")
    return f"take {others}, or, with any number, {at_k}"
