"""Few-shot classification: new classes from a few rows each."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from metriclearn._arrays import unit_of
from metriclearn._types import Seed
from metriclearn._validation import as_count
from metriclearn.metrics._checks import check_labeled_rows


def few_shot_accuracy(
    embeddings: ArrayLike,
    labels: ArrayLike,
    n_ways: int = 5,
    n_shots: int = 1,
    *,
    n_queries: int = 15,
    n_episodes: int = 600,
    random_state: Seed = None,
) -> tuple[float, float]:
    """Compute the accuracy of N-way K-shot classification, with a 95% interval.

    In each episode N classes are drawn, of each K rows to learn from and some queries. A query
    is of the class whose mean ``m_c`` of the K rows is nearest [1]_::

        argmin_c ‖q - m_c‖²,    accuracy ± 1.96 · s / √(episodes)

    with ``s`` the deviation of the accuracies of the episodes. The interval is that of the draws;
    other classes vary more.

    Parameters
    ----------
    embeddings : array-like of shape (n, n_features)
        Rows of classes that were not trained on.
    labels : array-like of shape (n,)
        Classes; rows labeled -1 are left out.
    n_ways : int, default=5
        N, classes of an episode, at least 2.
    n_shots : int, default=1
        K, rows of each to learn from.
    n_queries : int, default=15
        Rows of each class to classify. Classes with fewer than K rows more than that are not
        drawn.
    n_episodes : int, default=600
        At least 2.
    random_state : int, RandomState instance or None, default=None
        Draws the episodes.

    Returns
    -------
    accuracy : float
        From 0 to 1; chance is 1 / N.
    half_width : float
        Half the length of the interval.

    Raises
    ------
    ValueError
        If fewer than N classes have enough rows.

    See Also
    --------
    recall_at_k : Search among all classes at once.
    recall_growth : More classes than there are.

    References
    ----------
    .. [1] J. Snell, K. Swersky and R. Zemel, "Prototypical networks for few-shot learning",
       NeurIPS, 2017. :doi:`10.48550/arXiv.1703.05175`

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from metriclearn.metrics import few_shot_accuracy
    >>> X, y = load_digits(return_X_y=True)
    >>> one, _ = few_shot_accuracy(X, y, n_episodes=50, random_state=0)
    >>> five, _ = few_shot_accuracy(X, y, n_shots=5, n_episodes=50, random_state=0)
    >>> 0.5 < one < five
    True
    """
    least = {"n_ways": 2, "n_shots": 1, "n_queries": 1, "n_episodes": 2}
    given = (n_ways, n_shots, n_queries, n_episodes)
    for (name, low), value in zip(least.items(), given, strict=True):
        as_count(value, name, low)
    X, codes, counts = check_labeled_rows(embeddings, labels)
    X = X / unit_of(X)
    enough = np.flatnonzero(counts >= n_shots + n_queries)
    if len(enough) < n_ways:
        raise ValueError(
            f"labels has {len(enough)} classes of at least {n_shots + n_queries} rows (n_shots + "
            f"n_queries), but n_ways={n_ways}; lower one of these"
        )
    rng = check_random_state(random_state)
    rows = {c: np.flatnonzero(codes == c) for c in enough}
    accuracies = np.empty(n_episodes)
    for episode in range(n_episodes):
        ways = rng.choice(enough, n_ways, replace=False)
        drawn = np.stack([rng.choice(rows[c], n_shots + n_queries, replace=False) for c in ways])
        means = X[drawn[:, :n_shots]].mean(1)
        queries = X[drawn[:, n_shots:]]
        d2 = np.square(queries[:, :, None] - means).sum(-1)
        accuracies[episode] = (d2.argmin(-1) == np.arange(n_ways)[:, None]).mean()
    half_width = 1.96 * accuracies.std(ddof=1) / np.sqrt(n_episodes)
    return float(accuracies.mean()), float(half_width)
