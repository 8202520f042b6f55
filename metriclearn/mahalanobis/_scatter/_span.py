"""The coordinates in which a metric is learned: of unit size, along the span of the rows."""

import numpy as np
from scipy import linalg

from metriclearn._arrays import (
    is_dask,
    mean_row,
    moved_to,
    namespace,
    rows_of,
    squared_norms,
    to_numpy,
    unit_of,
    with_dtype,
)
from metriclearn._linalg import fix_signs, settle_ties
from metriclearn._pairs import blocks_of_pairs
from metriclearn.mahalanobis._scatter._moments import moments

# Share of the largest variance below which a direction is rounding of the Gram matrix.
_RANK_TOL = 1e-13
_BITS, _LEAST_EXPONENT = 40, -1000


class Span:
    """Rows about their mean, in units of their largest entry and in the directions they span.

    ::

        x' = Vᵀ (x - x̄) / u,   L = L' Vᵀ / u

    ``n`` rows vary in at most ``n - 1`` directions. Where there are more features than rows
    the orthonormal columns of ``V`` are these directions, found from the Gram matrix of the
    rows; a metric of rows in them is a metric of the rows, and what it does along all
    others is not known. Else ``V`` is the identity. ``u`` is a power of two, so that it
    costs no digit.

    Parameters
    ----------
    X : ndarray, sparse or tensor of shape (n, d)
    weights : ndarray of shape (n,), default=None
        Of the rows, above zero: the directions are then those of rows repeated so often.
    scales : ndarray of shape (d,), default=None
        The features are divided by these first, for learners whose result does not depend
        on the units of each feature.
    reduce : bool, default=True
        Whether to look for directions at all. Not where a matrix over the features is given,
        or a zero entry of the metric means something.

    Attributes
    ----------
    unit : float
        ``u``.
    n_features : int
        ``d``.
    reduced : bool
        Whether ``V`` is not the identity.
    width : int
        Number of coordinates.
    """

    def __init__(self, X, *, weights=None, scales=None, reduce=True):
        self._X, self._scales = X, scales
        self.n_rows, self.n_features = X.shape
        self.reduced = reduce and isinstance(X, np.ndarray) and self.n_features > self.n_rows
        self.unit = 1.0
        if scales is None:
            self.unit = unit_of(X)
        self.width = self.n_features
        if self.reduced:
            self._reduce(weights)

    @classmethod
    def of_features(cls, n_features, unit):
        """Make the coordinates of a unit and all features, without rows."""
        span = object.__new__(cls)
        span._X = span._scales = None
        span.n_rows, span.n_features, span.width = 0, n_features, n_features
        span.unit, span.reduced = unit, False
        return span

    def _reduce(self, weights):
        centered = self._scaled(self._X)
        centered -= np.average(centered, axis=0, weights=weights)
        # Rounding is all that is left of features that do not vary.
        centered[:, _constant_columns(self._X)] = 0
        roots = np.ones(self.n_rows) if weights is None else np.sqrt(weights)
        gram = np.multiply.outer(roots, roots) * (centered @ centered.T)
        variances, axes = linalg.eigh(gram, driver="evd", overwrite_a=True)
        kept = np.flatnonzero(variances > _RANK_TOL * max(variances[-1], 0))[::-1]
        if not len(kept):  # no row differs from another: there is no direction to keep
            self.reduced = False
            return
        self._weights, self._variances = weights, variances[kept]
        lengths, axes = np.sqrt(self._variances), axes[:, kept]
        # Of the two signs of each direction one, whatever the order of the rows.
        ramp = centered @ np.linspace(1, 2, self.n_features)
        axes *= np.where((roots * ramp) @ axes < 0, -1, 1)
        self._centered, self._axes = centered, roots[:, None] * axes / lengths
        self._rows = axes * lengths / roots[:, None]
        self.width = len(lengths)

    def rows(self, chosen=None):
        """Return the rows in these coordinates, about their mean.

        Parameters
        ----------
        chosen : ndarray of int, default=None
            Numbers of the rows wanted; all by default. Where nothing is reduced they alone are
            copied, and the mean is theirs.

        Returns
        -------
        ndarray of shape (len(chosen), width), float64
        """
        if self.reduced:
            return self._rows if chosen is None else self._rows[chosen]
        X = self._X if chosen is None else rows_of(self._X, chosen)
        rows = self._scaled(to_numpy(X) if is_dask(X) else X)
        rows -= namespace(rows).mean(rows, axis=0)
        return rows

    def differences(self, first, second, factor=None):
        """Compute the differences of pairs of rows, of which no more than these are ever kept.

        Parameters
        ----------
        first, second : ndarray of int, shape (m,)
        factor : ndarray of shape (r, width), default=None
            The differences are mapped by it; the identity by default.

        Returns
        -------
        ndarray of shape (m, r), float64
        """
        width = self.width if factor is None else len(factor)
        found = np.empty((len(first), width))
        for block in blocks_of_pairs(len(first), self.width):
            if self.reduced:
                V = self._rows[first[block]] - self._rows[second[block]]
            else:
                V = self._scaled(to_numpy(rows_of(self._X, first[block])))
                V -= self._scaled(to_numpy(rows_of(self._X, second[block])))
            found[block] = V if factor is None else V @ factor.T
        return found

    def sq_distances(self, first, second, factor):
        """Compute the squared lengths of :meth:`differences`, which are not kept."""
        found = np.empty(len(first))
        for block in blocks_of_pairs(len(first), self.width):
            V = self.differences(first[block], second[block], factor)
            found[block] = squared_norms(V)
        return found

    def pair_scatter(self, weights, first, second):
        """Compute the weighted scatter of the differences of pairs, of shape (width, width)."""
        scatter = np.zeros((self.width, self.width))
        for block in blocks_of_pairs(len(first), self.width):
            V = self.differences(first[block], second[block])
            scatter += V.T @ (weights[block, None] * V)
        return (scatter + scatter.T) / 2

    def standard_rows(self, chosen=None, weights=None):
        """Return the rows whose features vary by one, on average, and the factor that does it.

        A search that begins there is the same whatever the units of ``X``. The entries are
        :func:`on_a_grid`.

        Parameters
        ----------
        chosen : ndarray of int, default=None
            As for :meth:`rows`.
        weights : ndarray of shape (len(chosen),), default=None

        Returns
        -------
        rows : ndarray or tensor of shape (len(chosen), width), float64
        size : float
            They are :meth:`rows`, about their weighted mean, times it. 1 where no feature varies.
        """
        rows = self.rows(chosen)
        weights = None if weights is None else weights / weights.sum()
        if weights is not None:
            rows = rows - mean_row(rows, weights)
        variance = np.average(to_numpy(squared_norms(rows)), weights=weights)
        size = float(np.sqrt(self.width / variance)) if variance > 0 else 1.0
        return on_a_grid(rows * size), size

    def _scaled(self, X):
        X = with_dtype(X, "float64")
        return X * (1 / self.unit) if self._scales is None else X / self._scales

    def scatter(self, weights=None):
        """Compute ``Σ w (x' - x̄')(x' - x̄')ᵀ`` of all rows, of shape (width, width)."""
        if self.reduced:
            if weights is self._weights:
                return np.diag(self._variances)
            return moments(self._rows, weights=weights, unit=1.0).scatter
        X = self._X if is_dask(self._X) else to_numpy(self._X)
        return moments(X, weights=weights, unit=self.unit).scatter

    def enter(self, L):
        """Rewrite rows ``L`` over the features, of shape (m, n_features), over the coordinates."""
        L = L * (self.unit if self._scales is None else self._scales)
        return (L @ self._centered.T) @ self._axes if self.reduced else L

    def leave(self, L):
        """Rewrite rows ``L`` over the coordinates, of shape (m, width), over the features."""
        if self._scales is None:
            L = L / self.unit
        if self.reduced:
            L = (L @ self._axes.T) @ self._centered
        elif self._scales is not None:
            L = L.copy()
        if self._scales is not None:
            L /= self._scales
        return L

    def sum_of_squares(self, S):
        """Return the diagonal over the features of a scatter ``S`` of shape (width, width)."""
        if not self.reduced:
            return np.diag(S)
        V = self._axes.T @ self._centered
        return np.einsum("ij,ij->j", V, S @ V)

    def narrowed(self, diagonal):
        """Rewrite a diagonal scatter over the features as one over the coordinates.

        ``(Vᵀ D⁻¹ V)⁻¹``: a metric ``(S + D)⁻¹`` of scatters ``S`` of the rows is, along the
        directions of the rows, the inverse of ``S`` plus this.
        """
        if not self.reduced:
            return np.diag(diagonal)
        inverse = np.where(diagonal > 0, 1 / np.where(diagonal > 0, diagonal, 1), 0)
        G = self._axes.T @ ((self._centered * inverse) @ self._centered.T) @ self._axes
        return linalg.pinvh(G)


def _constant_columns(X):
    """Numbers of the columns that hold one value."""
    found = np.arange(X.shape[1])
    for row in X[1:]:
        found = found[row[found] == X[0, found]]
        if not len(found):
            break
    return found


def on_a_grid(rows):
    """Round entries to 40 bits of the largest of their column.

    Rows equally far from another are then so in any unit: which of them is a neighbor is not
    left to the last bit.
    """
    xp = namespace(rows)
    _, exponents = np.frexp(to_numpy(xp.max(xp.abs(rows), axis=0)))
    grid = moved_to(rows, np.ldexp(1.0, np.maximum(exponents - _BITS, _LEAST_EXPONENT)))
    return xp.round(rows / grid) * grid


# Directions with a smaller part of the total scatter than this do not vary.
_FLAT = 1e-10
# A direction whose share of within scatter is smaller than this is as tight as
# one can tell; the floor keeps its weight finite.
_TIGHTEST = 1e-8


def feature_scales(scatter):
    """Return the roots of the diagonal of a scatter matrix, 1 where a feature does not vary."""
    scales = np.sqrt(np.diag(scatter))
    return np.where(scales > 0, scales, 1.0)


def centered_scatter(X, weights=None):
    """Compute the scatter ``Σ w (x - x̄)(x - x̄)ᵀ``, exactly zero for constant features."""
    return moments(X, weights=weights, unit=1.0).scatter


def discriminant_directions(within, total, n_components):
    """Solve ``total v = λ within v``, whatever is singular.

    The features are scaled to unit total scatter first, so that the answer
    does not depend on their units. Directions without total scatter carry no
    information and get zero rows; directions without within scatter get the
    largest finite weight, ``λ = 1e8``.

    Parameters
    ----------
    within, total : ndarray of shape (d, d)
        Scatter matrices, ``total - within`` positive semidefinite.
    n_components : int
        Number of directions, by falling ``λ``.

    Returns
    -------
    directions : ndarray of shape (n_components, d)
        Rows ``v`` with ``vᵀ within v = 1``; zero beyond the rank of ``total``.
    ratios : ndarray of shape (n_components,)
        ``λ ≥ 1`` of each row, 0 for the zero rows.
    """
    scales = feature_scales(total)
    outer = np.outer(scales, scales)
    spread, axes = linalg.eigh(total / outer)
    varies = spread > _FLAT * max(spread[-1], 0)
    whiten = axes[:, varies] / np.sqrt(spread[varies])
    rows, ratios = np.zeros((n_components, len(total))), np.zeros(n_components)
    if not varies.any():  # the eigenvectors of an empty matrix are an error of older scipy
        return rows, ratios
    shares, vectors = linalg.eigh(whiten.T @ (within / outer) @ whiten)
    shares = np.maximum(shares, _TIGHTEST)

    kept = min(n_components, len(shares))
    directions = settle_ties(shares, (whiten @ vectors).T)[:kept]
    rows[:kept] = fix_signs(directions / np.sqrt(shares[:kept, None]) / scales)
    ratios[:kept] = 1 / shares[:kept]
    return rows, ratios


def shrink(scatter, amount):
    """Move a scatter matrix towards a diagonal one of the same total, feature by feature."""
    return (1 - amount) * scatter + amount * np.diag(np.diag(scatter))
