"""Targets of soft neighbors: what each pair of rows adds to the moments of both."""

import numpy as np

from metriclearn._arrays import moved_to, namespace


class SameClass:
    """Targets are classes: ``t_i t_j`` is 1 for two rows of one class, else 0.

    Parameters
    ----------
    codes : ndarray of shape (n,)
        Class numbers 0, 1, ... in rising order: the rows of a class are a slice.
    """

    def __init__(self, codes):
        self.codes = codes
        self._end = np.searchsorted(codes, np.arange(codes[-1] + 1), side="right")

    def own(self):
        """Return ``t_i t_i``."""
        return 1

    def _same(self, start, stop):
        """Columns from ``start`` of the classes of rows ``start`` to ``stop``; the mask there."""
        end = self._end[self.codes[stop - 1]]
        return end, self.codes[start:stop, None] == self.codes[start:end]

    def add_sums(self, E, start, stop, sums, moments):
        """Add ``Σ_j E_ij`` and ``Σ_j E_ij t_i t_j``, for both rows of each pair of a block."""
        sums[start:stop] += E.sum(axis=1)
        sums[start:] += np.ones(stop - start, E.dtype) @ E
        end, same = self._same(start, stop)
        E_same = E[:, : end - start] * same
        moments[start:stop] += E_same.sum(axis=1)
        moments[start:end] += E_same.sum(axis=0)

    def factor(self, alpha, beta, start, stop, out):
        """Compute ``(α_i + α_j) t_i t_j + β_i + β_j`` of a block."""
        H = np.add(beta[start:stop, None], beta[start:], out=out)
        end, same = self._same(start, stop)
        H[:, : end - start] += (alpha[start:stop, None] + alpha[start:end]) * same
        return H

    def of_pairs(self, first, second):
        """Return ``t_j`` for the first row of each pair, and for the second."""
        same = self.codes[first] == self.codes[second]
        return same, same

    def targets(self, rows):
        """Return ``t_i t_j`` of ``rows`` with all."""
        return self.codes[rows, None] == self.codes

    def beside(self, Z):
        """Return ``targets`` as a function of codes in the library and on the device of ``Z``."""
        codes = moved_to(Z, self.codes, namespace(Z).int64)
        return lambda rows: codes[rows][:, None] == codes


class Values:
    """Targets are numbers.

    Parameters
    ----------
    y : ndarray of shape (n,)
    """

    def __init__(self, y):
        self.y = y

    def own(self):
        """Return ``t_i`` as row ``i`` itself sees it."""
        return self.y

    def add_sums(self, E, start, stop, sums, moments):
        """Add ``Σ_j E_ij`` and ``Σ_j E_ij t_j``, for both rows of each pair of a block."""
        y = self.y.astype(E.dtype, copy=False)
        sums[start:stop] += E.sum(axis=1)
        moments[start:stop] += E @ y[start:]
        sums[start:] += np.ones(stop - start, E.dtype) @ E
        moments[start:] += y[start:stop] @ E

    def factor(self, alpha, beta, start, stop, out):
        """Compute ``α_i t_j + α_j t_i + β_i + β_j`` of a block: a product of rank four."""
        y, one = self.y.astype(alpha.dtype, copy=False), np.ones_like(alpha)
        left = np.column_stack([part[start:stop] for part in (alpha, y, beta, one)])
        return np.matmul(left, np.stack([part[start:] for part in (y, alpha, one, beta)]), out=out)

    def of_pairs(self, first, second):
        """Return ``t_j`` for the first row of each pair, and for the second."""
        return self.y[second], self.y[first]

    def targets(self, rows):
        """Return ``t_j`` of all, the same for each of ``rows``."""
        return self.y

    def beside(self, Z):
        """Return ``targets`` as a function of numbers in the library and on the device of ``Z``."""
        y = moved_to(Z, self.y)
        return lambda rows: y


class NoTargets:
    """No targets: the objective is one of the log normalizers alone."""

    def own(self):
        """Return zero."""
        return 0

    def add_sums(self, E, start, stop, sums, moments):
        """Add ``Σ_j E_ij``, for both rows of each pair of a block."""
        sums[start:stop] += E.sum(axis=1)
        sums[start:] += np.ones(stop - start, E.dtype) @ E

    def factor(self, alpha, beta, start, stop, out):
        """Compute ``β_i + β_j`` of a block."""
        return np.add(beta[start:stop, None], beta[start:], out=out)

    def targets(self, rows):
        """Return zero."""
        return 0
