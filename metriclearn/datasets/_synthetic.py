"""Problems whose right metric is known, because it was planted."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.utils import check_random_state
from sklearn.utils.random import sample_without_replacement

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, at_least, between, validate_params
from metriclearn._types import Seed

_SPACE = {
    "n_samples": [at_least(2)],
    "n_features": [at_least(1)],
    "n_informative": [at_least(1)],
    "noise": [NOT_NEGATIVE],
    "random_state": ["random_state"],
}
_JUDGE = {"flip": [between(0, 0.5, "both")]}


class _Planted:
    """A random metric ``M = U S⁻² Uᵀ`` of low rank, and points that look round under it."""

    def __init__(self, n_features, n_informative, random_state):
        if n_informative > n_features:
            raise ValueError(
                f"n_informative={n_informative} is larger than n_features={n_features}; lower it"
            )
        self.random_state = random_state
        basis, _ = np.linalg.qr(random_state.standard_normal((n_features, n_features)))
        self.informative, self.nuisance = basis[:, :n_informative], basis[:, n_informative:]
        self.scale = 2.0 ** random_state.uniform(-1, 1, n_informative)
        root = self.informative / self.scale
        self.metric = root @ root.T

    def embed(self, latent, width):
        """Make points whose distances under ``metric`` are the Euclidean ones of ``latent``."""
        shape = (len(latent), self.nuisance.shape[1])
        nuisance = width * self.random_state.standard_normal(shape)
        return (latent * self.scale) @ self.informative.T + nuisance @ self.nuisance.T


@validate_params(
    {
        **_SPACE,
        "n_classes": [at_least(2)],
        "class_sep": [POSITIVE],
    },
    prefer_skip_nested_validation=True,
)
def make_planted_metric(
    n_samples: int = 200,
    n_features: int = 10,
    n_informative: int = 2,
    n_classes: int = 3,
    *,
    noise: float = 2.0,
    class_sep: float = 6.0,
    random_state: Seed = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make classes that Euclid mixes up and one planted Mahalanobis metric keeps apart.

    ::

        x = U S (c_y + ε) + V η,   ε ~ N(0, I),   η ~ N(0, (noise · spread)² I)
        M_true = U S⁻² Uᵀ

    ``[U V]`` is a random rotation: ``U`` spans the informative directions, ``V``
    the nuisance ones. ``S`` stretches each informative direction by a factor
    between 1/2 and 2. The class centers ``c`` are random points whose two closest
    are ``class_sep`` apart; ``spread`` is the distance of the two farthest.

    Three things are known of the answer. ``M_true`` has rank ``n_informative``.
    Under it every class is round with variance one, so (classes being of equal
    size) the nearest class center under ``M_true`` is the Bayes rule, wrong on a
    share of at most ``(n_classes - 1) Φ(-class_sep / 2)`` of the rows, 0.3 % by
    default. And the nuisance directions are worthless, however wide.

    Parameters
    ----------
    n_samples : int, default=200
        At least ``n_classes``.
    n_features : int, default=10
        Number of columns.
    n_informative : int, default=2
        Rank of ``M_true``, from 1 to ``n_features``.
    n_classes : int, default=3
        At least 2. Class sizes differ by one row at most.
    noise : float, default=2.0
        Standard deviation of each nuisance direction, as a multiple of the
        distance of the two farthest class centers. At 0 there is no nuisance and
        Euclid does well; the higher, the nearer it comes to guessing.
    class_sep : float, default=6.0
        Distance under ``M_true`` of the two closest class centers, in standard
        deviations of a class.
    random_state : int, RandomState instance or None, default=None
        Seed of the drawing.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The points.
    y : ndarray of shape (n_samples,), dtype int64
        Classes 0 to ``n_classes - 1``, shuffled.
    M_true : ndarray of shape (n_features, n_features)
        The planted metric, symmetric positive semidefinite.

    Raises
    ------
    ValueError
        If ``n_informative`` is larger than ``n_features``, there are fewer rows
        than classes, or a parameter is out of range.

    See Also
    --------
    make_metric_triplets : Relative constraints by a planted metric.
    make_metric_pairs : Constraints "same" and "different" by a planted metric.

    Examples
    --------
    >>> from metriclearn import LMNN
    >>> from metriclearn.datasets import make_planted_metric
    >>> X, y, M_true = make_planted_metric(random_state=0)
    >>> X.shape, y.shape, M_true.shape
    ((200, 10), (200,), (10, 10))
    """
    if n_samples < n_classes:
        raise ValueError(f"n_samples={n_samples} is smaller than n_classes={n_classes}; raise it")
    random_state = check_random_state(random_state)
    planted = _Planted(n_features, n_informative, random_state)
    centers = random_state.standard_normal((n_classes, n_informative))
    centers *= class_sep / pdist(centers).min()
    y = random_state.permutation(np.arange(n_samples, dtype=np.int64) % n_classes)
    latent = centers[y] + random_state.standard_normal((n_samples, n_informative))
    return planted.embed(latent, noise * pdist(centers).max()), y, planted.metric


def _judged_points(n_samples, n_features, n_informative, noise, random_state):
    """Points without classes, the planted metric, and the points as it sees them."""
    planted = _Planted(n_features, n_informative, random_state)
    latent = random_state.standard_normal((n_samples, n_informative))
    return planted.embed(latent, noise), planted.metric, latent


def _wrong_constraints(n, flip, random_state):
    """Mark the share ``flip`` of ``n`` constraints, to the nearest whole number of them."""
    wrong = np.zeros(n, dtype=bool)
    wrong[random_state.permutation(n)[: round(flip * n)]] = True
    return wrong


@validate_params(
    {**_SPACE, **_JUDGE, "n_triplets": [at_least(1)]},
    prefer_skip_nested_validation=True,
)
def make_metric_triplets(
    n_samples: int = 100,
    n_features: int = 10,
    n_informative: int = 2,
    n_triplets: int = 1000,
    *,
    noise: float = 3.0,
    flip: float = 0.0,
    random_state: Seed = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make points and constraints "a is closer to b than to c", by a planted metric.

    ::

        x = U S ε + V η,   ε ~ N(0, I),   η ~ N(0, noise² I),   M_true = U S⁻² Uᵀ

    as in :func:`make_planted_metric`, without classes. With ``flip=0`` every
    triplet ``(a, p, n)`` holds under the planted metric, ``d_M(a, p) < d_M(a, n)``;
    otherwise the share ``flip`` of them is stated the wrong way round.

    Parameters
    ----------
    n_samples : int, default=100
        At least 3.
    n_features : int, default=10
        Number of columns.
    n_informative : int, default=2
        Rank of ``M_true``, from 1 to ``n_features``.
    n_triplets : int, default=1000
        Number of constraints. Each is of three distinct rows; a triplet may be
        drawn twice.
    noise : float, default=3.0
        Standard deviation of each nuisance direction, as a multiple of that of the
        points under the planted metric.
    flip : float, default=0.0
        Share of wrong constraints, from 0 to 0.5; exactly
        ``round(flip * n_triplets)`` of them are wrong.
    random_state : int, RandomState instance or None, default=None
        Seed of the drawing.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The points.
    triplets : ndarray of shape (n_triplets, 3), dtype intp
        Rows ``(anchor, positive, negative)`` of ``X``, as
        :class:`~metriclearn.constraints.Triplets` takes them.
    M_true : ndarray of shape (n_features, n_features)
        The planted metric, symmetric positive semidefinite.

    Raises
    ------
    ValueError
        If there are fewer than 3 rows, ``n_informative`` is larger than
        ``n_features``, or a parameter is out of range.

    See Also
    --------
    make_planted_metric : Rows with classes.
    make_metric_pairs : Pairs instead.

    Examples
    --------
    >>> from metriclearn.datasets import make_metric_triplets
    >>> X, triplets, M_true = make_metric_triplets(random_state=0)
    >>> a, p, n = (X[triplets[:, k]] for k in range(3))
    >>> closer = ((a - p) @ M_true * (a - p)).sum(1) < ((a - n) @ M_true * (a - n)).sum(1)
    >>> bool(closer.all())
    True
    """
    if n_samples < 3:
        raise ValueError(f"n_samples={n_samples}: a triplet is of 3 distinct rows; raise it")
    random_state = check_random_state(random_state)
    X, metric, latent = _judged_points(n_samples, n_features, n_informative, noise, random_state)
    anchor = random_state.randint(n_samples, size=n_triplets)
    # Two distinct steps around the circle of rows lead to two distinct other rows.
    first = random_state.randint(1, n_samples, size=n_triplets)
    second = random_state.randint(1, n_samples - 1, size=n_triplets)
    second += second >= first
    others = (anchor[:, None] + np.column_stack([first, second])) % n_samples
    distance = np.linalg.norm(latent[anchor][:, None] - latent[others], axis=2)
    swap = distance[:, 0] > distance[:, 1]
    swap ^= _wrong_constraints(n_triplets, flip, random_state)
    others[swap] = others[swap][:, ::-1]
    return X, np.column_stack([anchor, others]).astype(np.intp), metric


@validate_params(
    {
        **_SPACE,
        **_JUDGE,
        "n_pairs": [at_least(1)],
        "similar_share": [between(0, 1, "neither")],
    },
    prefer_skip_nested_validation=True,
)
def make_metric_pairs(
    n_samples: int = 100,
    n_features: int = 10,
    n_informative: int = 2,
    n_pairs: int = 1000,
    *,
    noise: float = 3.0,
    similar_share: float = 0.5,
    flip: float = 0.0,
    random_state: Seed = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Make points and constraints "same" or "different", by a planted metric.

    ::

        x = U S ε + V η,   ε ~ N(0, I),   η ~ N(0, noise² I),   M_true = U S⁻² Uᵀ

    as in :func:`make_planted_metric`, without classes. With ``flip=0`` one
    threshold on the planted distance ``d_M`` tells the similar pairs from the
    others; otherwise the share ``flip`` of the constraints is wrong.

    Parameters
    ----------
    n_samples : int, default=100
        Number of rows.
    n_features : int, default=10
        Number of columns.
    n_informative : int, default=2
        Rank of ``M_true``, from 1 to ``n_features``.
    n_pairs : int, default=1000
        Number of distinct pairs, at most ``n_samples * (n_samples - 1) / 2``.
    noise : float, default=3.0
        Standard deviation of each nuisance direction, as a multiple of that of the
        points under the planted metric.
    similar_share : float, default=0.5
        Share of similar pairs before flipping, between 0 and 1: the closest
        ``round(similar_share * n_pairs)`` under ``M_true``.
    flip : float, default=0.0
        Share of wrong constraints, from 0 to 0.5; exactly
        ``round(flip * n_pairs)`` of them are wrong.
    random_state : int, RandomState instance or None, default=None
        Seed of the drawing.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The points.
    pairs : ndarray of shape (n_pairs, 2), dtype intp
        Distinct pairs of distinct rows of ``X``.
    similar : ndarray of shape (n_pairs,), dtype bool
        Both as :class:`~metriclearn.constraints.Pairs` takes them.
    M_true : ndarray of shape (n_features, n_features)
        The planted metric, symmetric positive semidefinite.

    Raises
    ------
    ValueError
        If more pairs are asked for than there are, ``n_informative`` is larger
        than ``n_features``, or a parameter is out of range.

    See Also
    --------
    make_planted_metric : Rows with classes.
    make_metric_triplets : Relative constraints instead.

    Examples
    --------
    >>> from metriclearn.datasets import make_metric_pairs
    >>> X, pairs, similar, M_true = make_metric_pairs(random_state=0)
    >>> difference = X[pairs[:, 0]] - X[pairs[:, 1]]
    >>> d2 = (difference @ M_true * difference).sum(axis=1)
    >>> bool(d2[similar].max() < d2[~similar].min())
    True
    """
    available = n_samples * (n_samples - 1) // 2
    if n_pairs > available:
        raise ValueError(
            f"n_pairs={n_pairs}: {n_samples} rows have {available} distinct pairs; lower n_pairs "
            f"or raise n_samples"
        )
    random_state = check_random_state(random_state)
    X, metric, latent = _judged_points(n_samples, n_features, n_informative, noise, random_state)
    number = sample_without_replacement(available, n_pairs, random_state=random_state)
    # Pair number k is entry (i, j), j < i, of a lower triangle read row by row.
    i = ((1 + np.sqrt(1 + 8 * number)) / 2).astype(np.intp)
    i -= i * (i - 1) // 2 > number
    pairs = np.column_stack([number - i * (i - 1) // 2, i])
    distance = np.linalg.norm(latent[pairs[:, 0]] - latent[pairs[:, 1]], axis=1)
    similar = np.zeros(n_pairs, dtype=bool)
    similar[np.argsort(distance)[: round(similar_share * n_pairs)]] = True
    similar ^= _wrong_constraints(n_pairs, flip, random_state)
    return X, pairs, similar, metric
