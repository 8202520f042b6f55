"""Linear algebra of Mahalanobis matrices: M in the PSD cone, L with M = LᵀL."""

import numpy as np
from scipy import linalg


def project_psd(M):
    """Project a symmetric matrix on the cone of positive semidefinite ones.

    Parameters
    ----------
    M : ndarray of shape (d, d)
        Symmetric matrix; only its symmetric part is used.

    Returns
    -------
    ndarray of shape (d, d)
        The nearest positive semidefinite matrix in Frobenius norm.
    """
    values, vectors = linalg.eigh((M + M.T) / 2)
    values = np.maximum(values, 0)
    return (vectors * values) @ vectors.T


def components_from_matrix(M, n_components=None):
    """Factor ``M = LᵀL``, rows of ``L`` by falling eigenvalue.

    Parameters
    ----------
    M : ndarray of shape (d, d)
        Positive semidefinite matrix. Eigenvalues below zero by rounding
        count as zero.
    n_components : int, default=None
        Number of rows kept, the largest eigenvalues first; all ``d`` by default.

    Returns
    -------
    ndarray of shape (n_components, d)
        The factor ``L``, with deterministic signs.
    """
    values, vectors = linalg.eigh((M + M.T) / 2)
    values, axes = values[::-1], settle_ties(values[::-1], vectors.T[::-1])
    return fix_signs(np.sqrt(np.maximum(values, 0))[:, None] * axes)[:n_components]


def settle_ties(values, rows):
    """Choose a basis where equal eigenvalues leave a choice, whatever the rounding.

    Parameters
    ----------
    values : ndarray of shape (r,)
        In order.
    rows : ndarray of shape (r, d)
        Rows of equal values, up to one part in ten million, may be turned into each other.

    Returns
    -------
    ndarray of shape (r, d)
        Rows of equal values turned so that ``Σ_j (1 + j) u_j v_j = 0`` for each two.
    """
    sizes = np.maximum(np.abs(values[1:]), np.abs(values[:-1]))
    edges = np.flatnonzero(np.abs(np.diff(values)) > 1e-7 * sizes) + 1
    starts = np.concatenate([[0], edges])
    sizes = np.diff(starts, append=len(values))
    settled = rows.copy()
    for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
        group = rows[start : start + size]
        ramp = (group * np.arange(1.0, 1 + group.shape[1])) @ group.T
        settled[start : start + size] = linalg.eigh((ramp + ramp.T) / 2)[1].T @ group
    return settled


def fix_signs(components):
    """Make the largest entry of each row positive, so that factors compare."""
    rows = np.arange(len(components))
    high, low = components.argmax(axis=1), components.argmin(axis=1)
    above, below = components[rows, high], -components[rows, low]
    # The first of them, where two are as large.
    signs = np.sign(np.where(above == below, low - high, above - below))
    return components * np.where(signs == 0, 1, signs)[:, None]


def without_denormals(A):
    """Round what is nothing beside the rest to zero, in place.

    Denormal numbers make a matrix product fifty times slower on many processors.

    Parameters
    ----------
    A : ndarray of floats
        Numbers of less than about 1e-32 (1e-302 in float64) are rounded to multiples of that.

    Returns
    -------
    ndarray
        ``A`` itself.
    """
    limits = np.finfo(A.dtype)
    grain = 2**20 * limits.tiny / limits.eps
    A += grain
    A -= grain
    return A


def is_psd(M):
    """Whether a matrix is symmetric and has no negative eigenvalue, up to rounding."""
    tol, scale = 1e-8, np.abs(M).max(initial=0)
    if not np.allclose(M, M.T, atol=tol * max(scale, 1e-300)):
        return False
    values = linalg.eigvalsh(M)
    return bool(values[0] >= -tol * max(abs(values[-1]), 1e-300))


def ridge_of(S, relative):
    """Return ``relative`` times the mean eigenvalue of a scatter ``S``; 1 where ``S`` is zero."""
    mean = np.trace(S) / len(S)
    return relative * mean if mean > 0 else 1.0


def inverse_sqrt_psd(S):
    """Compute the pseudo-inverse square root of a PSD matrix.

    Directions whose eigenvalue is only rounding carry no information and are sent to zero,
    not blown up.

    Returns
    -------
    ndarray of shape (d, d)
        Symmetric ``W`` with ``W S W`` the projector on the range of ``S``.
    """
    if np.count_nonzero(S) == np.count_nonzero(np.diag(S)):
        values, vectors = np.diag(S), np.eye(len(S))
    else:
        values, vectors = linalg.eigh((S + S.T) / 2)
    keep = values > 1e-10 * max(values.max(), 0)
    scale = np.zeros_like(values)
    scale[keep] = 1 / np.sqrt(values[keep])
    return (vectors * scale) @ vectors.T


def generalized_eigh(A, B, relative_ridge):
    """Compute the eigenpairs of ``A v = λ B v``, largest first, with a ridge on ``B``.

    Returns
    -------
    values : ndarray of shape (d,)
    vectors : ndarray of shape (d, d)
        Columns, normalized so that ``vᵀ B v = 1``.
    """
    B = B + ridge_of(B, relative_ridge) * np.eye(len(B), dtype=B.dtype)
    values, vectors = linalg.eigh(A, B)
    return values[::-1], vectors[:, ::-1]
