"""What constraints given as tuples of row numbers share: checks, parts, other numbering."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from metriclearn.constraints._checks import as_indices, as_n_rows, as_weights

if TYPE_CHECKING:
    from metriclearn.constraints._kinds import Pairs, Quadruplets, Triplets


class Constraints:
    """What the kinds made of index tuples share."""

    indices: np.ndarray
    n_rows: int | None

    def __len__(self):
        return len(self.indices)

    def __repr__(self):
        weighted = "" if self.weights is None else ", weighted"
        kept = getattr(self, "_n_before", None)
        part = "" if kept is None else f", of {kept:,} those inside {self.n_rows:,} rows"
        return f"{type(self).__name__}({self._count()}{weighted}{part})"

    def _count(self):
        return f"{len(self):,} constraints"

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n_rows,)``: to scikit-learn, what has as many entries as there are rows of ``X``.

        Splitters and searches then take the part of a fold with ``constraints[rows]``.

        Raises
        ------
        ValueError
            If ``n_rows`` is not known.
        """
        if self.n_rows is None:
            kind = type(self).__name__
            raise ValueError(
                f"constraints: {kind} hold row numbers of the whole X, which is about to be split "
                f"into folds. Say how many rows it has, {kind}(..., n_rows=len(X)) or "
                f"constraints.of(len(X)); each fold then learns from those with all their rows "
                f"inside it"
            )
        return (self.n_rows,)

    def of(self, n_rows: int) -> Pairs | Triplets | Quadruplets:
        """Return the same constraints, bound to an ``X`` of ``n_rows`` rows and split with it.

        Parameters
        ----------
        n_rows : int

        Returns
        -------
        Pairs, Triplets or Quadruplets
        """
        return self._with(n_rows=as_n_rows(n_rows, self.indices, type(self).__name__))

    def __getitem__(self, rows):
        """Return the constraints with all their rows among ``rows``, numbered as these are.

        Parameters
        ----------
        rows : slice, or array-like of int or bool
            Row numbers of ``X``, none of them twice.

        Returns
        -------
        Pairs, Triplets or Quadruplets
            Their ``repr`` says how many of how many are left.
        """
        (n_rows,), kind = self.shape, type(self).__name__
        rows = rows[0] if isinstance(rows, tuple) else rows  # scikit-learn's X[rows, ...]
        numbers = np.arange(n_rows)[rows]
        if numbers.ndim != 1:
            raise TypeError(
                f"{kind}[rows] takes row numbers of X and gives the constraints among these rows; "
                f"one constraint is {kind.lower()}.indices[i]"
            )
        places = np.full(n_rows, -1)
        places[numbers] = np.arange(len(numbers))
        if np.any(places[numbers] != np.arange(len(numbers))):
            raise ValueError(f"constraints: {kind} cannot be sampled with repeated rows of X")
        indices = places[self.indices]
        inside = np.all(indices >= 0, axis=1)
        if not inside.any():
            raise ValueError(
                f"constraints: none of the {len(self)} {kind} has all its rows among the "
                f"{len(numbers)} of this part of X; give more of them, or larger folds"
            )
        part = self._with(inside, indices=indices[inside], n_rows=len(numbers))
        object.__setattr__(part, "_n_before", len(self))
        return part

    def on_named_rows(self) -> tuple[np.ndarray, Pairs | Triplets | Quadruplets]:
        """Return the rows that are named at all, and the constraints numbered by them.

        Returns
        -------
        rows : ndarray of int
            Sorted row numbers of ``X``.
        constraints : Pairs, Triplets or Quadruplets
            Of ``X[rows]``.
        """
        rows, indices = np.unique(self.indices, return_inverse=True)
        return rows, self._with(indices=indices.reshape(self.indices.shape), n_rows=len(rows))

    @classmethod
    def _unchecked(cls, **values):
        """Constraints of fields that are known to be right."""
        new = object.__new__(cls)
        for name, value in values.items():
            object.__setattr__(new, name, value)
        return new

    def _with(self, chosen=slice(None), **changes):
        """Return some of the constraints with other fields, which are known to be right."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if isinstance(value, np.ndarray) and name not in changes:
                values[name] = value[chosen]
        return self._unchecked(**{**values, **changes})

    def _check(self, width):
        """Check what all kinds have; the checked arrays take the place of what was given."""
        kind = type(self).__name__
        indices = as_indices(self.indices, width, kind)
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "weights", as_weights(self.weights, len(indices), kind))
        object.__setattr__(self, "n_rows", as_n_rows(self.n_rows, indices, kind))

    def check_rows(self, n_rows: int) -> None:
        """Raise ``ValueError`` where a constraint names a row that ``X`` does not have.

        Parameters
        ----------
        n_rows : int
            Of ``X``.

        Raises
        ------
        ValueError
        """
        kind, largest = type(self).__name__, int(self.indices.max())
        if self.n_rows is not None and self.n_rows != n_rows:
            raise ValueError(
                f"constraints: {kind} are of an X of {self.n_rows} rows, but X has {n_rows} rows"
            )
        if largest >= n_rows:
            raise ValueError(
                f"constraints: {kind} names row {largest}, but X has {n_rows} rows "
                f"(0 to {n_rows - 1})"
            )
