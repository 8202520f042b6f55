"""Directions in which groups are tight and the data as a whole are wide."""

import numpy as np
from scipy import linalg

from metriclearn._linalg import fix_signs, settle_ties
from metriclearn.mahalanobis._scatter._moments import moments

# Directions with a smaller part of the total scatter than this do not vary.
_FLAT = 1e-10
# A direction whose share of within scatter is smaller than this is as tight as
# one can tell; the floor keeps its weight finite.
_TIGHTEST = 1e-8


def feature_scales(scatter):
    """Square roots of the diagonal of a scatter matrix, 1 where a feature does not vary."""
    scales = np.sqrt(np.diag(scatter))
    return np.where(scales > 0, scales, 1.0)


def centered_scatter(X, weights=None):
    """Scatter ``Σ w (x - x̄)(x - x̄)ᵀ``, exactly zero for constant features."""
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
