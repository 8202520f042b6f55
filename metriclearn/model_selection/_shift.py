"""Splits from easy to hard: growing shift between train and test classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_array

from metriclearn._validation import as_count, check_numeric
from metriclearn.model_selection._disjoint import encode_classes, rows_of


def frechet_distance(A: ArrayLike, B: ArrayLike) -> float:
    """Compute the Fréchet distance of two sets of rows, each seen as a Gaussian [1]_.

    ::

        |μ_A - μ_B|² + tr(Σ_A + Σ_B - 2 (Σ_A Σ_B)^½)

    Parameters
    ----------
    A : array-like of shape (n, n_features)
        First set.
    B : array-like of shape (m, n_features)
        Second set.

    Returns
    -------
    float
        Not below zero; the squared Wasserstein-2 distance of the Gaussians, as in the
        Fréchet inception distance.

    Raises
    ------
    ValueError
        For NaN or infinity, other widths, or sets so far apart that the square is no number.

    See Also
    --------
    ClassShiftSplit : Splits by growing distance.

    References
    ----------
    .. [1] Dowson, D. C. & Landau, B. V. "The Fréchet distance between multivariate normal
       distributions", J. Multivariate Analysis 12(3), 1982. :doi:`10.1016/0047-259X(82)90077-X`

    Examples
    --------
    >>> from metriclearn.model_selection import frechet_distance
    >>> frechet_distance([[0.0], [2.0]], [[10.0], [14.0]])
    122.0
    """
    check_numeric(A, "A")
    check_numeric(B, "B")
    with np.errstate(invalid="ignore", over="ignore"):  # of the sum that looks for infinity
        A, B = (
            check_array(X, dtype=np.float64, input_name=name) for X, name in ((A, "A"), (B, "B"))
        )
    if A.shape[1] != B.shape[1]:
        raise ValueError(f"A has {A.shape[1]} features and B has {B.shape[1]}")
    # A power of two, by which squares neither overflow nor vanish, and nothing is rounded.
    largest = max(np.abs(A).max(), np.abs(B).max())
    unit = float(np.ldexp(1.0, np.frexp(largest)[1] - 1))
    A, B = A / unit, B / unit
    mean_a, mean_b = A.mean(axis=0), B.mean(axis=0)
    # With Σ = CᵀC the eigenvalues of Σ_A Σ_B are the squared singular values of C_A C_Bᵀ.
    C_a, C_b = (linalg.qr((X - X.mean(axis=0)) / np.sqrt(len(X)), mode="r")[0] for X in (A, B))
    width = A.shape[1]
    C_a, C_b = C_a[:width], C_b[:width]
    cross = linalg.svdvals(C_a @ C_b.T).sum()
    distance = np.sum((mean_a - mean_b) ** 2) + np.sum(C_a**2) + np.sum(C_b**2) - 2 * cross
    squared = max(float(distance), 0.0) * unit * unit
    if squared == np.inf:
        raise ValueError(
            f"A and B lie {unit * np.sqrt(distance):.0e} apart, whose square is no finite number"
        )
    return squared


class ClassShiftSplit(BaseCrossValidator):
    """Splits of whole classes, with train and test parts further and further apart.

    A score as a curve over the shift shows how a learner generalizes, where one split
    gives a single number [1]_. Classes are ranked along the
    main direction of their means. The easiest split deals them alternately to train
    and test; the hardest gives one end to train and the other to test; in between,
    each test class has moved part of the way to its end, further in each split. Splits
    are in the order of the Fréchet distance of their parts.

    Parameters
    ----------
    n_splits : int, default=5
        At least 2. There are few different splits of few classes, from the easiest to the
        hardest 2 of 4 classes, 4 of 6, 6 of 8; some of more splits are equal.

    See Also
    --------
    ClassDisjointShuffleSplit : Random splits, without regard to shift.
    frechet_distance : How far apart two parts are.

    References
    ----------
    .. [1] Milbich, T., Roth, K., Sinha, S., Schmidt, L., Ghassemi, M. & Ommer, B.
       "Characterizing generalization under out-of-distribution shifts in deep metric
       learning", NeurIPS 2021. :doi:`10.48550/arXiv.2107.09562`

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.model_selection import ClassShiftSplit
    >>> X, y = np.arange(16.0)[:, None], np.repeat(range(8), 2)
    >>> splitter = ClassShiftSplit(n_splits=3)
    >>> [np.unique(y[test]).tolist() for _, test in splitter.split(X, y)]
    [[1, 3, 5, 7], [3, 4, 6, 7], [4, 5, 6, 7]]
    >>> splitter.shifts(X, y).round(1).tolist()
    [4.0, 36.3, 64.0]
    """

    def __init__(self, n_splits: int = 5) -> None:
        self.n_splits = n_splits

    def split(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate row indices of the train and test parts, the shift rising.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Features in which the shift is measured; of images, say, those of a
            pretrained network.
        y : array-like of shape (n,)
            Class labels.
        groups : None
            Ignored, for scikit-learn's interface.

        Yields
        ------
        train, test : ndarray of int
            Rising row numbers.

        Raises
        ------
        ValueError
            If there are fewer than 4 classes.
        """
        for _, train, test in self._ranked(X, y):
            yield train, test

    def shifts(self, X: ArrayLike, y: ArrayLike) -> np.ndarray:
        """Compute the Fréchet distance between the parts of each split.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,)

        Returns
        -------
        ndarray of shape (n_splits,)
            Rising.
        """
        return np.array([shift for shift, _, _ in self._ranked(X, y)])

    def get_n_splits(
        self,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> int:
        """Return the number of splits; the arguments are ignored."""
        return self.n_splits

    def _ranked(self, X, y):
        n_splits = as_count(self.n_splits, "n_splits", least=2)
        codes, n_classes = encode_classes(X, y, type(self).__name__)
        if n_classes < 4:
            raise ValueError(f"y has {n_classes} classes, at least 4 are needed")
        check_numeric(X)
        X = check_array(X, dtype=np.float64, input_name="X")
        counts = np.bincount(codes)
        means = np.array([np.bincount(codes, column) for column in X.T]).T / counts[:, None]
        direction = linalg.svd(means - means.mean(axis=0), full_matrices=False)[2][0]
        order = np.argsort(means @ direction, kind="stable")
        if order[0] > order[-1]:  # the sign of a direction is arbitrary
            order = order[::-1]
        n_test = n_classes // 2
        alternate, at_far_end = 2 * np.arange(n_test) + 1, np.arange(n_classes - n_test, n_classes)
        splits = []
        for share in np.linspace(0, 1, n_splits):
            # Neighbors stay at least one place apart on the way, so that none meet.
            places = alternate + np.floor(share * (at_far_end - alternate) + 0.5).astype(int)
            in_test = np.isin(np.arange(n_classes), places)
            train, test = rows_of(codes, order[~in_test]), rows_of(codes, order[in_test])
            splits.append((frechet_distance(X[train], X[test]), train, test))
        return sorted(splits, key=lambda split: split[0])
