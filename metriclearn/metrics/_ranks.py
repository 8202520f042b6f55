"""Learners ranked over several data sets (Demšar, 2006)."""

import numpy as np
from scipy.stats import f as fisher_f
from scipy.stats import friedmanchisquare, rankdata, studentized_range


def rank_scores(scores):
    """Rank learners on each data set: 1 is the best, ties share their mean rank.

    Parameters
    ----------
    scores : array-like of shape (n_datasets, n_learners)
        Higher is better; NaN, where a learner failed, is last.

    Returns
    -------
    ndarray of shape (n_datasets, n_learners)

    Examples
    --------
    >>> rank_scores([[0.9, 0.8, 0.9], [0.7, 0.9, float("nan")]])
    array([[1.5, 3. , 1.5],
           [2. , 1. , 3. ]])
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or not scores.size:
        raise ValueError(
            f"scores must have a row for each data set and a column for each learner, got shape "
            f"{scores.shape}"
        )
    return rankdata(-np.where(np.isnan(scores), -np.inf, scores), axis=1)


def friedman_test(scores):
    """Test whether mean ranks differ at all: Friedman's, in Iman and Davenport's form.

    ::

        F = (N - 1) χ² / (N (k - 1) - χ²),   k - 1 and (k - 1)(N - 1) degrees of freedom

    for k learners on N data sets, χ² corrected for ties.

    Parameters
    ----------
    scores : array-like of shape (n_datasets, n_learners)
        At least 2 by 3; NaN, where a learner failed, is last.

    Returns
    -------
    dict
        ``chi2``, ``F`` and ``p_value``.

    Examples
    --------
    >>> friedman_test([[1, 2, 3], [1, 2, 3], [1, 3, 2]])["p_value"].round(3)
    np.float64(0.049)
    """
    ranks = rank_scores(scores)
    n_datasets, n_learners = ranks.shape
    if n_datasets < 2 or n_learners < 3:
        raise ValueError(
            f"the Friedman test needs at least 2 data sets and 3 learners, got {n_datasets} and "
            f"{n_learners}"
        )
    if np.all(np.ptp(ranks, axis=1) == 0):  # everything is tied everywhere
        return {"chi2": 0.0, "F": 0.0, "p_value": np.float64(1.0)}
    chi2 = float(friedmanchisquare(*ranks.T).statistic)
    statistic = iman_davenport(chi2, n_learners, n_datasets)
    p_value = fisher_f.sf(statistic, n_learners - 1, (n_learners - 1) * (n_datasets - 1))
    return {"chi2": chi2, "F": statistic, "p_value": np.float64(p_value)}


def iman_davenport(chi2, n_learners, n_datasets):
    """Turn Friedman's χ², which finds too little, into an F statistic (Iman & Davenport, 1980).

    Examples
    --------
    >>> round(iman_davenport(9.28, 4, 14), 2)
    3.69
    """
    rest = n_datasets * (n_learners - 1) - chi2
    return (n_datasets - 1) * chi2 / rest if rest > 1e-9 * chi2 else float("inf")


def critical_difference(n_learners, n_datasets, alpha=0.05):
    """Compute the least difference of mean ranks that is beyond chance (Nemenyi, 1963).

    ::

        CD = q_α √(k (k + 1) / (6 N)),   q_α the studentized range over √2

    Parameters
    ----------
    n_learners : int
        At least 2.
    n_datasets : int
        At least 1.
    alpha : float, default=0.05
        Chance that any two are told apart wrongly.

    Returns
    -------
    float

    Examples
    --------
    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    if n_learners < 2 or n_datasets < 1 or not 0 < alpha < 1:
        raise ValueError(
            f"at least 2 learners, 1 data set and 0 < alpha < 1 are needed, got "
            f"n_learners={n_learners}, n_datasets={n_datasets}, alpha={alpha}"
        )
    q = studentized_range.ppf(1 - alpha, n_learners, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_learners * (n_learners + 1) / (6 * n_datasets)))


def not_told_apart(mean_ranks, difference):
    """Find the largest groups of learners whose mean ranks lie within a critical difference.

    Parameters
    ----------
    mean_ranks : array-like of shape (n_learners,)
    difference : float

    Returns
    -------
    list of list of int
        Numbers of the learners of each group of two or more, best first.

    Examples
    --------
    >>> not_told_apart([3.1, 1.2, 2.0, 3.0], 1.0)
    [[1, 2], [3, 0]]
    """
    mean_ranks = np.asarray(mean_ranks, dtype=np.float64)
    order = np.argsort(mean_ranks, kind="stable")
    groups, reached = [], 0
    for start, first in enumerate(order):
        stop = start
        while stop < len(order) and mean_ranks[order[stop]] - mean_ranks[first] < difference:
            stop += 1
        if stop > reached and stop - start > 1:
            groups.append([int(i) for i in order[start:stop]])
            reached = stop
    return groups
