"""Proof that the nearest rows of some anchors, listed at one metric, are enough at another."""

import numpy as np
from scipy import linalg

from metriclearn._arrays import squared_norms, to_numpy

# With fewer anchors a feature than this a search is cheaper than the proof.
_ANCHORS_PER_FEATURE = 8
# Shares of the anchors that one bound is made to serve, and how many it may leave to do so well.
_PARTS, _FEW = (1.0, 0.97, 0.8), 0.1
# Of radii, that a bound keeps at most and at least: some of these are infinite.
_LARGEST_SHARE, _LEAST_SHARE = 10.0, 1e-3


class AnchorProof:
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
        self._gram, self._radii = L.T @ L, radii
        self._rows, self._anchors = rows, anchors

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
        if len(radii) < _ANCHORS_PER_FEATURE * L.shape[1]:
            return which, proven
        shares = radii / np.maximum(self._radii, np.finfo(self._radii.dtype).tiny)
        for part in _PARTS:
            share = np.quantile(shares, part, method="higher")
            share = float(np.clip(share, _LEAST_SHARE, _LARGEST_SHARE))
            bound = share * self._radii - self._lost(L, share)
            near = np.flatnonzero(radii > bound)
            if len(near) < len(which):
                which, proven = near, bound
            if len(which) <= _FEW * len(radii):
                break
        return which, proven

    def renewed(self, L, radii):
        """Return the proof from ``L`` on, of new radii there."""
        return AnchorProof(L, radii, self._rows, self._anchors)

    def _lost(self, L, share):
        """Bound what squared distances from each anchor at ``L`` fall short of their share."""
        values, vectors = linalg.eigh(share * self._gram - L.T @ L)
        root = (vectors * np.sqrt(np.maximum(values, 0)))[:, values > 0].T
        if not len(root):
            return 0.0
        lengths = np.sqrt(to_numpy(squared_norms(self._rows.mapped(root))))
        return (lengths[self._anchors] + lengths.max()) ** 2
