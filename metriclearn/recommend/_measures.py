"""Measures of recommenders, by the rank of a held-out item among all items."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from metriclearn._validation import as_count


def hit_rate(ranks: ArrayLike, k: int = 10) -> float:
    """Compute the share of users whose held-out item is among the ``k`` first.

    Parameters
    ----------
    ranks : array-like of int, shape (n_users,)
        Rank of each user's item, from 1, among all items that the user had not seen: a sample
        of them instead would flatter, and may change the order of methods.
    k : int, default=10
        Items that are recommended to a user.

    Returns
    -------
    float
        From 0 to 1.

    See Also
    --------
    ndcg : Counts a hit the more, the earlier it comes.

    References
    ----------
    .. [1] W. Krichene and S. Rendle, "On sampled metrics for item recommendation", KDD 2020.
       :doi:`10.1145/3394486.3403226`

    Examples
    --------
    >>> from metriclearn.recommend import hit_rate
    >>> hit_rate([1, 11, 3, 200], k=10)
    0.5
    """
    return float(np.mean(_checked(ranks, k) <= k))


def ndcg(ranks: ArrayLike, k: int = 10) -> float:
    """Compute the mean discounted gain of the held-out item [1]_.

    ::

        1 / log2(1 + rank) where rank ≤ k, else 0

    Parameters
    ----------
    ranks : array-like of int, shape (n_users,)
        See :func:`hit_rate`.
    k : int, default=10
        Items that are recommended to a user.

    Returns
    -------
    float
        From 0 to 1.

    See Also
    --------
    hit_rate : Counts every hit alike.

    References
    ----------
    .. [1] Järvelin, K. & Kekäläinen, J. "Cumulated gain-based evaluation of IR techniques", ACM
       Transactions on Information Systems 20(4), 2002. :doi:`10.1145/582415.582418`

    Examples
    --------
    >>> from metriclearn.recommend import ndcg
    >>> ndcg([1, 11, 3, 200], k=10)
    0.375
    """
    ranks = _checked(ranks, k)
    return float(np.mean(np.where(ranks <= k, 1 / np.log2(1.0 + ranks), 0.0)))


def _checked(ranks, k):
    ranks = np.asarray(ranks)
    if ranks.ndim != 1 or ranks.size == 0 or ranks.dtype.kind not in "iu" or ranks.min() < 1:
        raise ValueError("ranks must be whole numbers from 1, one for each user")
    as_count(k, "k")
    return ranks
