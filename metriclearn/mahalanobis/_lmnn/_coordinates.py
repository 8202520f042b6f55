"""The coordinates in which LMNN is minimized."""

import numpy as np
from scipy import linalg

from metriclearn._arrays import to_numpy
from metriclearn.mahalanobis._lmnn._rows import Rows

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

    Raises
    ------
    ValueError
        If all rows are the same.
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
        """``L`` in these coordinates, with no more rows than columns."""
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
