"""Measures of ranked answers: one value for each query.

``gains[q, i]`` is the relevance of the answer at rank ``i`` (from 0) of query ``q``,
true or graded; ``n_relevant[q]`` is the number of relevant rows in the gallery, found
or not, and is at least 1. ``k`` is the number of answers that count, and is None for
measures that look at the first ``R = n_relevant`` or at all of them.
"""

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
