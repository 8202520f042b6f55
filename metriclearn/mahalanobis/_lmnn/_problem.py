"""The rows of one fit of LMNN, in units in which no digits are lost."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from metriclearn._arrays import to_numpy
from metriclearn.mahalanobis._lmnn._rows import Rows

_MANY_ROWS = 1000  # with more, the search is in float32 as far as that resolves


@dataclass(frozen=True)
class Terms:
    """What the objective of labels sums over, and how it weighs it.

    Attributes
    ----------
    mu : float
    n_neighbors : int
        Target neighbors of an anchor.
    n_impostors : int or None
        Impostors of an anchor that count, the nearest; None for all.
    n_anchors : int or None
        Rows that are drawn as anchors; None for all.
    """

    mu: float
    n_neighbors: int
    n_impostors: int | None
    n_anchors: int | None = None


@dataclass(frozen=True)
class Problem:
    """Rows about their mean in units of their spread; sorted by class, where they have one.

    Attributes
    ----------
    rows : Rows
    unit : float
        What the rows were divided by: ``L`` of these rows is ``L / unit`` of the user's.
    precise : bool
        Whether to compute in float64 from the start.
    starts : ndarray of shape (n_classes + 1,) or None
        Where each class begins, and ``n``.
    weights : ndarray of shape (n,) or None
        Of the rows; all one for None.
    """

    rows: Rows
    unit: float
    precise: bool
    starts: np.ndarray | None = None
    weights: np.ndarray | None = None

    @classmethod
    def from_labels(cls, X, codes, weights, tol):
        """Sort rows by class and center them."""
        order = np.argsort(codes, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(codes))])
        weights = None if weights is None else weights[order]
        rows, unit = _centered(Rows(X).take(order), weights)
        few = rows.is_double and len(rows) < _MANY_ROWS
        return cls(rows, unit, few or tol < 1e-7, starts, weights)

    def part(self, rows):
        """Return the problem of some rows, given their numbers, rising."""
        return replace(
            self,
            rows=self.rows.take(rows),
            starts=np.searchsorted(rows, self.starts),
            weights=None if self.weights is None else self.weights[rows],
        )

    @classmethod
    def from_triplets(cls, X):
        """Center rows, whose order triplets refer to."""
        return cls(*_centered(Rows(X)), precise=True)


def _centered(given, weights=None):
    """Rows about their mean in units of their spread, and that unit.

    Neither an offset nor a scale of 1e±8 then costs digits.
    """
    mean = given.double.mean(weights)
    rows = given.double.minus(mean)
    variances = rows.mean_squares(weights)
    # What a constant feature leaves is rounding, not spread.
    eps = np.finfo(np.float64 if given.is_double else np.float32).eps
    varies = np.sqrt(variances) > 8 * eps * np.abs(mean)
    unit = float(np.sqrt(np.mean(variances * varies)))
    unit = unit if unit > 0 else 1.0
    return rows.times(varies).over(unit).like(given), unit


_RIDGE = 1e-2  # share of the mean pull below which a direction is not stretched further
_NULL = 1e-12  # share of the largest variance below which rows do not vary


class PullCoordinates:
    """Linear change of coordinates that makes the pull term round.

    Features are standardized, directions in which no row varies are dropped,
    and with ``P`` the scatter of the target pairs there, ridged, L-BFGS sees
    ``L' = L P^½`` and rows ``x' = P^-½ x``: the same metrics, in far fewer
    iterations. What ``L`` does along dropped directions (constant or collinear
    features, more features than rows) is felt by no distance; it is kept.

    Parameters
    ----------
    rows : Rows
        Centered.
    scatter : ndarray of shape (d, d)
        Scatter of the target pairs of these rows.
    weights : ndarray of shape (n,), default=None

    Attributes
    ----------
    rows : Rows
    scatter : ndarray of shape (p, p)
        Both in the new coordinates.
    """

    def __init__(self, rows, scatter, weights=None):
        self._given_scatter = scatter
        n, double = len(rows), rows.double
        scale = np.sqrt(double.minus(double.mean(weights)).mean_squares(weights))
        scale[scale == 0] = 1
        standardized = double.over(scale)
        if weights is not None:
            standardized, n = standardized.weighted(weights), weights.sum()
        if rows.n_features > len(rows):
            _, singular, axes = linalg.svd(to_numpy(standardized.array), full_matrices=False)
            variances, axes = singular**2, axes.T
        else:
            variances, axes = linalg.eigh(standardized.gram())
        axes = axes[:, variances >= max(_NULL * variances.max(), np.finfo(float).tiny)]
        if not axes.size:
            raise ValueError("all rows of X are the same: no metric can be learned from them")
        self._into, self._out_of = axes / scale[:, None], axes.T * scale

        pulls, vectors = linalg.eigh(self._into.T @ scatter @ self._into)
        pulls = np.maximum(pulls, 0)
        ridge = _RIDGE * (pulls.mean() or variances.mean() / n)
        stretch = np.sqrt(pulls + ridge)
        self._into = self._into @ (vectors / stretch)
        self._out_of = (vectors * stretch).T @ self._out_of
        self.rows = Rows(double.mapped(self._into.T)).like(rows)
        self.scatter = np.diag(pulls / stretch**2)

    def pull(self, L):
        """Sum of squared distances of the target pairs at ``L``, in the coordinates given."""
        return float(np.sum((L @ self._given_scatter) * L))

    def enter(self, L):
        """Rewrite ``L`` in these coordinates, with no more rows than columns."""
        inside = L @ self._out_of.T
        self._rotation, self._outside = None, L - inside @ self._into.T
        if inside.shape[0] > inside.shape[1]:
            self._rotation, inside = linalg.qr(inside, mode="economic")
        return inside

    def leave(self, L):
        """Undo ``enter``."""
        if self._rotation is not None:
            L = self._rotation @ L
        return L @ self._into.T + self._outside
