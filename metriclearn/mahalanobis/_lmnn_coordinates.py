"""The coordinates in which LMNN is minimised."""

import numpy as np
from scipy import linalg

_RIDGE = 1e-2  # share of the mean eigenvalue below which a direction is not stretched further


class PullCoordinates:
    """Linear change of coordinates that makes the pull term round.

    L-BFGS sees ``L' = L P^½`` and rows ``x' = P^-½ x``, with ``P`` the (ridged)
    scatter of the target pairs: the same metrics, far fewer iterations. Where
    there are more features than rows, ``L'`` acts on the span of the rows; the
    rest of ``L``, which no distance of theirs feels, is kept as it was.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Centred.
    scatter : ndarray of shape (d, d)
        ``P``.
    """

    def __init__(self, rows, scatter):
        n, d = rows.shape
        self._basis = None
        if d > n:
            self._basis = linalg.svd(rows, full_matrices=False)[2].T
            scatter = self._basis.T @ scatter @ self._basis
        values, vectors = linalg.eigh(scatter)
        values = values + max(_RIDGE * values.mean(), np.finfo(float).tiny)
        self._whiten = (vectors / np.sqrt(values)) @ vectors.T
        self._unwhiten = (vectors * np.sqrt(values)) @ vectors.T
        self.scatter = self._whiten @ scatter @ self._whiten
        to_rows = self._whiten if self._basis is None else self._basis @ self._whiten
        self.rows = rows @ to_rows.astype(rows.dtype)

    def enter(self, L):
        """``L`` in these coordinates, with no more rows than columns."""
        self._rotation, self._outside = None, 0.0
        if self._basis is not None:
            inside = L @ self._basis
            self._outside = L - inside @ self._basis.T
            L = inside
            if L.shape[0] > L.shape[1]:
                self._rotation, L = linalg.qr(L, mode="economic")
        return L @ self._unwhiten

    def leave(self, L):
        """Undo ``enter``."""
        L = L @ self._whiten
        if self._basis is not None:
            L = L if self._rotation is None else self._rotation @ L
            L = L @ self._basis.T + self._outside
        return L
