"""Whether a distance is one: identity, symmetry and the triangle inequality, by examples."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from metriclearn._types import Seed
from metriclearn._validation import as_count
from metriclearn.metrics._checks import check_rows


@dataclass(frozen=True)
class AxiomCheck:
    """How often and how much one axiom was broken.

    Parameters
    ----------
    kept : bool
        Whether it was broken nowhere by more than ``tol``.
    share : float
        Share of what was drawn that breaks it.
    worst : float
        Size of the worst break, in mean distances; 0 or less where nothing breaks it.
    rows : tuple of int
        The rows of the worst break, in the order of the formula.

    See Also
    --------
    check_metric : Makes them.

    Examples
    --------
    >>> from metriclearn.metrics import check_metric
    >>> check_metric(lambda a, b: abs(a[0] - b[0]), [[0.0], [1.0], [3.0]])["triangle"].kept
    True
    """

    kept: bool
    share: float
    worst: float
    rows: tuple[int, ...]


def check_metric(
    distance: Callable[..., Any],
    X: ArrayLike,
    *,
    n_triplets: int = 10_000,
    tol: float = 1e-5,
    random_state: Seed = 0,
) -> dict[str, AxiomCheck]:
    """Look for rows at which a distance breaks the axioms of a metric.

    Of triplets (i, j, k) of distinct rows, drawn at random, and the mean m of their distances::

        "identity"      |d(x_i, x_i)| / m
        "positivity"    -d(x_i, x_j) / m
        "symmetry"      |d(x_i, x_j) - d(x_j, x_i)| / m
        "triangle"      (d(x_i, x_k) - d(x_i, x_j) - d(x_j, x_k)) / m

    each of which is at most 0 for a metric, or a pseudometric, where distinct rows may be at
    distance zero. What is not found is no proof; an index that prunes by the triangle
    inequality (a ball tree) is wrong for a distance that breaks it.

    Parameters
    ----------
    distance : callable or fitted estimator
        A function of two rows; an estimator with ``paired_distances``; or a classifier of pairs
        such as `PairNetwork`, of which d is one less the probability of "the same".
    X : array-like of shape (n, n_features)
        At least 3 rows.
    n_triplets : int, default=10_000
        Triplets drawn.
    tol : float, default=1e-5
        Breaks up to this many mean distances are rounding.
    random_state : int, RandomState instance or None, default=0
        Seed of the triplets.

    Returns
    -------
    dict of str to AxiomCheck
        With keys "identity", "positivity", "symmetry", "triangle".

    Raises
    ------
    ValueError
        For fewer than 3 rows, and distances that are no finite numbers.

    See Also
    --------
    hubness : Another reason why nearest neighbors mislead.
    metriclearn.verification.PairNetwork : A decision that need not be a metric.

    Notes
    -----
    Squared distances keep all but the triangle inequality. A Mahalanobis distance keeps all; a
    decision network is symmetric where it is made so, and keeps none of the others [1]_.

    References
    ----------
    .. [1] Zagoruyko and Komodakis, "Learning to compare image patches via convolutional neural
       networks", CVPR 2015. :doi:`10.1109/CVPR.2015.7299064`

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.metrics import check_metric
    >>> X = np.array([[0.0], [1.0], [3.0]])
    >>> checks = check_metric(lambda a, b: (a[0] - b[0]) ** 2, X)
    >>> [name for name, check in checks.items() if not check.kept]
    ['triangle']
    >>> checks["triangle"].rows in [(0, 1, 2), (2, 1, 0)]
    True
    """
    X = check_rows(X, "X", ensure_min_samples=3, allow_nd=True)
    n_triplets = as_count(n_triplets, "n_triplets")
    if not tol >= 0:
        raise ValueError(f"tol must be 0 or more, got {tol!r}")
    i, j, k = _distinct(len(X), n_triplets, check_random_state(random_state)).T
    between = _paired(distance, X)
    d_ij, d_jk, d_ik = between(i, j), between(j, k), between(i, k)
    mean = np.mean([d_ij, d_jk, d_ik])
    unit = mean if mean > 0 else 1.0
    breaks = {
        "identity": (np.abs(between(i, i)), (i, i)),
        "positivity": (-d_ij, (i, j)),
        "symmetry": (np.abs(d_ij - between(j, i)), (i, j)),
        "triangle": (d_ik - d_ij - d_jk, (i, j, k)),
    }
    return {name: _worst(sizes / unit, rows, tol) for name, (sizes, rows) in breaks.items()}


def _distinct(n_rows, n, rng):
    """Draw triplets of distinct rows."""
    first = rng.randint(n_rows, size=n)
    steps = rng.randint(1, n_rows, size=n), rng.randint(1, n_rows - 1, size=n)
    second = (first + steps[0]) % n_rows
    # The third is one of the rows that are left, numbered past the first two.
    third = steps[1] + (steps[1] >= steps[0])
    return np.column_stack([first, second, (first + third) % n_rows])


def _worst(sizes, rows, tol):
    at = int(np.argmax(sizes))
    broken = sizes > tol
    return AxiomCheck(
        kept=not broken.any(),
        share=float(np.mean(broken)),
        worst=float(sizes[at]),
        rows=tuple(int(row[at]) for row in rows),
    )


def _paired(distance, X):
    """Return a function of two lists of row numbers, to the distances of these rows."""
    if hasattr(distance, "paired_distances"):
        takes_two = len(inspect.signature(distance.paired_distances).parameters) > 1
        of_pairs = distance.paired_distances
    elif hasattr(distance, "predict_proba") and hasattr(distance, "pos_label_"):
        takes_two = False

        def of_pairs(pairs):
            same = distance.classes_ == distance.pos_label_
            return 1 - distance.predict_proba(pairs)[:, same][:, 0]

    elif callable(distance):
        takes_two = True

        def of_pairs(A, B):
            return [distance(a, b) for a, b in zip(A, B, strict=True)]

    else:
        raise ValueError(
            f"distance must be a function of two rows, an estimator with paired_distances or a "
            f"fitted classifier of pairs, got {type(distance).__name__}"
        )

    def between(i, j):
        found = of_pairs(X[i], X[j]) if takes_two else of_pairs(np.stack([X[i], X[j]], axis=1))
        values = np.asarray(found, dtype=np.float64)
        if values.shape != i.shape or not np.isfinite(values).all():
            at = 0 if values.shape != i.shape else int(np.argmin(np.isfinite(values)))
            raise ValueError(
                f"distance must give one finite number for two rows; for rows {i[at]} and {j[at]} "
                f"it did not"
            )
        return values

    return between
