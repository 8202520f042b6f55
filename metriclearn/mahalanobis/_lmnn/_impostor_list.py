"""Pairs of rows near the margin, found once and used while they are all that count."""

import numpy as np
from scipy import linalg

# What squared distances may be wrong by in the proof; the margin is 1.
_RESOLUTION = 1e-6
# With fewer rows than so many times the features a search is cheaper than the proof.
_ROWS_PER_FEATURE = 8


class Proof:
    """Proof that pairs farther than radii ``R`` at one ``L`` are no nearer than ``s R`` at another.

    They are not, at ``L'``, if ``L'ᵀL' ⪰ s LᵀL``.

    Parameters
    ----------
    L : ndarray of shape (r, d)
    radii : ndarray of shape (n,)
        Squared.
    largest : float
        Largest squared norm of the rows that ``L`` embeds.
    """

    def __init__(self, L, radii, largest):
        self.radii = radii
        self._gram, self._ridge = L.T @ L, _RESOLUTION / max(4 * largest, 1e-300)

    def holds(self, L, radii):
        """Whether it is proven that no such pair is closer than ``radii`` at ``L``."""
        d = L.shape[1]
        if len(radii) < _ROWS_PER_FEATURE * d:
            return False
        excess = L.T @ L - float((radii / self.radii).max()) * self._gram
        try:
            linalg.cholesky(excess + self._ridge * np.eye(d), check_finite=False)
        except linalg.LinAlgError:
            return False
        return True


class ImpostorList:
    """All pairs of rows that were closer than radii ``R`` at one ``L``.

    At another ``L'`` every pair not listed is no closer than ``s R`` if
    ``L'ᵀL' ⪰ s LᵀL``: the list suffices there for radii up to ``s R``.

    Parameters
    ----------
    L : ndarray of shape (r, d)
    radii : ndarray of shape (n,)
        Squared; a pair counts within the larger of its two. The list serves longer if
        they are larger than need be.
    largest : float
        Largest squared norm of the rows that ``L`` embeds.
    most : float
        Pairs beyond which the list is given up.
    """

    def __init__(self, L, radii, largest, most):
        self.radii, self._proof = radii, Proof(L, radii, largest)
        self._room, self._parts = most, []

    @property
    def full(self):
        """Whether there were too many pairs: the list is then useless."""
        return self._room < 0

    def add(self, graph):
        """List the pairs of a ``PairGraph``."""
        self._room -= len(graph)
        self._parts = [] if self.full else [*self._parts, graph]

    def closer(self, Z, radii):
        """Yield the listed pairs closer than radii at ``Z``: their graphs and squared distances."""
        for part in self._parts:
            yield part.closer(part.sq_distances(Z), radii)

    def suffices(self, L, radii):
        """Whether it is proven that no pair not listed is closer than ``radii`` at ``L``."""
        return self._proof.holds(L, radii)
