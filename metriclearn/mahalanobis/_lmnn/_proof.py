"""Proof that the near rows of some anchors, listed at one metric, are enough at another."""

import numpy as np
from scipy import linalg

from metriclearn._arrays import squared_norms, to_numpy

# With fewer anchors a feature than this a search is cheaper than the proof.
_ANCHORS_PER_FEATURE = 8
# Shares of the anchors that one bound is made to serve, and how many it may leave to do so well.
_PARTS, _FEW = (1.0, 0.97, 0.8), 0.1
# Of radii, that a bound keeps at most and at least: some of these are infinite.
_LARGEST_SHARE, _LEAST_SHARE = 10.0, 1e-3
# What squared distances may be wrong by; the margin is 1.
_RESOLUTION = 1e-6


class Proof:
    """Bounds of the distances of anchors to rows that are not listed, from one ``L`` to the next.

    With ``E`` the positive part of ``s LᵀL - L'ᵀL'``, for any ``s``, squared distances from
    an anchor ``a`` are, in the terms of their embeddings at ``L`` and ``L'``::

        d'²(a, x) >= s d²(a, x) - (|E^½ a| + |E^½ x|)²

    A direction in which ``L'`` has shrunk, however far, costs no more than rows vary in it.

    Parameters
    ----------
    L : ndarray of shape (r, d)
    radii : ndarray of shape (n_anchors,)
        Squared; no row that is not listed is nearer to the anchor at ``L``.
    rows : Rows
        That ``L`` embeds, in float64.
    anchors : ndarray of shape (n_anchors,)
    """

    def __init__(self, L, radii, rows, anchors):
        self._gram, self._radii = L.T @ L, np.maximum(radii, np.finfo(radii.dtype).tiny)
        self._rows, self._anchors = rows, anchors

    def holds(self, L, radii):
        """Whether no anchor may have a row that is not listed nearer than ``radii`` at ``L``."""
        if self._is_dear(L):
            return False
        return not len(_beyond(radii, self._bound(L, (radii / self._radii).max())))

    def unproven(self, L, radii):
        """Find the anchors to which a row that is not listed may be nearer than ``radii`` at ``L``.

        Returns
        -------
        which : ndarray of int
            Numbers of anchors.
        proven : ndarray of shape (n_anchors,)
            Squared radii at ``L`` within which no anchor has a row that is not listed.
        """
        which, proven = np.arange(len(radii)), np.zeros(len(radii))
        if self._is_dear(L):
            return which, proven
        shares = radii / self._radii
        for part in _PARTS:
            bound = self._bound(L, np.quantile(shares, part, method="higher"))
            near = _beyond(radii, bound)
            if len(near) < len(which):
                which, proven = near, bound
            if len(which) <= _FEW * len(radii):
                break
        return which, proven

    def renewed(self, L, radii):
        """Return the proof from ``L`` on, of new radii there."""
        return Proof(L, radii, self._rows, self._anchors)

    def _is_dear(self, L):
        """Whether a search takes less time."""
        return len(self._anchors) < _ANCHORS_PER_FEATURE * L.shape[1]

    def _bound(self, L, share):
        """Bound the squared distance at ``L`` of what is not listed, by a share of the radii."""
        share = float(np.clip(share, _LEAST_SHARE, _LARGEST_SHARE))
        values, vectors = linalg.eigh(share * self._gram - L.T @ L)
        root = (vectors * np.sqrt(np.maximum(values, 0)))[:, values > 0].T
        if not len(root):
            return share * self._radii
        lengths = np.sqrt(to_numpy(squared_norms(self._rows.mapped(root))))
        return share * self._radii - (lengths[self._anchors] + lengths.max()) ** 2


def _beyond(radii, bound):
    return np.flatnonzero(radii > bound + _RESOLUTION)
