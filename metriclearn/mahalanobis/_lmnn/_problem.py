"""What one fit of LMNN learns from, in units in which no digits are lost."""

from dataclasses import dataclass, replace

import numpy as np

from metriclearn.mahalanobis._lmnn._rows import Rows

_MANY_ROWS = 1000  # from which on the search is in float32, as far as that goes


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
        Whether float64 is spent from the start.
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
        """Center rows whose order triplets refer to."""
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
