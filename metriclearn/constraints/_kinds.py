"""The four kinds of constraint, and the check that a learner takes them."""

from dataclasses import dataclass

import numpy as np


def _as_indices(indices, width, kind):
    indices = np.asarray(indices)
    if indices.ndim != 2 or indices.shape[1] != width:
        raise ValueError(
            f"{kind}: indices must be of shape (n, {width}), got {indices.shape}; "
            f"each row holds {width} row numbers of X"
        )
    if len(indices) == 0:
        raise ValueError(f"{kind}: indices is empty; give at least one constraint")
    if not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(f"{kind}: indices must be integers, got dtype {indices.dtype}")
    if indices.min() < 0:
        raise ValueError(f"{kind}: indices has {indices.min()}; row numbers start at 0")
    return indices.astype(np.intp)


def _as_weights(weights, n, kind):
    if weights is None:
        return None
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (n,):
        raise ValueError(f"{kind}: weights must be of shape ({n},), got {weights.shape}")
    if not np.all(np.isfinite(weights)) or weights.min() < 0:
        raise ValueError(f"{kind}: weights must be finite and not negative")
    return weights


class _Constraints:
    """What the kinds made of index tuples share."""

    def __len__(self):
        return len(self.indices)

    def __repr__(self):
        weighted = "" if self.weights is None else ", weighted"
        return f"{type(self).__name__}({self._count()}{weighted})"

    def _count(self):
        return f"{len(self):,} constraints"

    def check_rows(self, n_rows):
        """Raise ``ValueError`` where a constraint names a row that ``X`` does not have."""
        largest = int(self.indices.max())
        if largest >= n_rows:
            raise ValueError(
                f"constraints: {type(self).__name__} names row {largest}, but X has {n_rows} rows "
                f"(0 to {n_rows - 1})"
            )


@dataclass(frozen=True, eq=False, repr=False)
class Pairs(_Constraints):
    """Pairs of rows that are similar or dissimilar.

    Parameters
    ----------
    indices : array-like of int, shape (n, 2)
        Row numbers of ``X``.
    similar : array-like of shape (n,)
        True (or 1) where the two rows are similar, False (or 0, or -1) where not.
    weights : array-like of float, shape (n,), default=None
        Not negative; all one by default.

    Raises
    ------
    ValueError
        If shapes do not fit, the list is empty, or the same two rows are both
        similar and dissimilar.

    Examples
    --------
    >>> from metriclearn.constraints import Pairs
    >>> pairs = Pairs([[0, 1], [0, 2]], similar=[True, False])
    >>> len(pairs)
    2
    >>> pairs
    Pairs(1 similar, 1 dissimilar)
    """

    indices: np.ndarray
    similar: np.ndarray
    weights: np.ndarray | None = None

    def __post_init__(self):
        indices = _as_indices(self.indices, 2, "Pairs")
        similar = np.asarray(self.similar)
        if similar.shape != (len(indices),):
            raise ValueError(
                f"Pairs: similar must be of shape ({len(indices)},), got {similar.shape}"
            )
        if not np.all(np.isin(similar, (-1, 0, 1))):
            raise ValueError("Pairs: similar must hold True/False, 1/0 or 1/-1")
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "similar", similar > 0)
        object.__setattr__(self, "weights", _as_weights(self.weights, len(indices), "Pairs"))
        _refuse_contradictions(indices, self.similar)

    def _count(self):
        similar = int(self.similar.sum())
        return f"{similar:,} similar, {len(self) - similar:,} dissimilar"


def _refuse_contradictions(indices, similar):
    unordered = np.sort(indices, axis=1)
    _, group = np.unique(unordered, axis=0, return_inverse=True)
    group = group.reshape(-1)
    both = np.bincount(group[similar], minlength=group.max() + 1).astype(bool)
    both &= np.bincount(group[~similar], minlength=group.max() + 1).astype(bool)
    if both.any():
        i, j = unordered[np.flatnonzero(both[group])[0]]
        raise ValueError(
            f"Pairs: rows {i} and {j} are given both as similar and as dissimilar; keep one"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Triplets(_Constraints):
    """Relative constraints: the anchor is closer to the positive than to the negative.

    Parameters
    ----------
    indices : array-like of int, shape (n, 3)
        Row numbers ``(anchor, positive, negative)`` of ``X``.
    weights : array-like of float, shape (n,), default=None
        Not negative; all one by default.
    """

    indices: np.ndarray
    weights: np.ndarray | None = None

    def __post_init__(self):
        indices = _as_indices(self.indices, 3, "Triplets")
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "weights", _as_weights(self.weights, len(indices), "Triplets"))


@dataclass(frozen=True, eq=False, repr=False)
class Quadruplets(_Constraints):
    """Relative constraints of two pairs: ``d(i, j) < d(k, l)``.

    Parameters
    ----------
    indices : array-like of int, shape (n, 4)
        Row numbers ``(i, j, k, l)`` of ``X``.
    weights : array-like of float, shape (n,), default=None
        Not negative; all one by default.
    """

    indices: np.ndarray
    weights: np.ndarray | None = None

    def __post_init__(self):
        indices = _as_indices(self.indices, 4, "Quadruplets")
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "weights", _as_weights(self.weights, len(indices), "Quadruplets"))


@dataclass(frozen=True, eq=False, repr=False)
class Chunks:
    """Groups of rows known to be of one class, the class itself unknown.

    Parameters
    ----------
    labels : array-like of int, shape (n_rows,)
        Chunk number of each row of ``X``; -1 for a row in no chunk.
    """

    labels: np.ndarray

    def __post_init__(self):
        labels = np.asarray(self.labels)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"Chunks: labels must be a 1-D array of integers, got {labels.dtype} of shape "
                f"{labels.shape}"
            )
        if not np.any(labels >= 0):
            raise ValueError("Chunks: no row is in a chunk; give at least one label of 0 or more")
        object.__setattr__(self, "labels", labels.astype(np.intp))

    def __len__(self):
        return len(np.unique(self.labels[self.labels >= 0]))

    def __repr__(self):
        return f"Chunks({len(self):,} chunks, {np.sum(self.labels >= 0):,} rows in them)"

    def check_rows(self, n_rows):
        """Raise ``ValueError`` where there are not as many chunk labels as rows."""
        if len(self.labels) != n_rows:
            raise ValueError(
                f"constraints: Chunks has {len(self.labels)} labels, but X has {n_rows} rows"
            )


def check_constraints(constraints, accepts, n_rows, learner):
    """Refuse constraints of a kind that a learner does not take, or of rows not there.

    Parameters
    ----------
    constraints : Pairs, Triplets, Quadruplets or Chunks
    accepts : tuple of type
        The kinds the learner takes.
    n_rows : int
        Number of rows of ``X``.
    learner : str
        Name of the learner, for the error.

    Raises
    ------
    ValueError
    """
    if not isinstance(constraints, accepts):
        kinds = " or ".join(kind.__name__ for kind in accepts)
        raise ValueError(f"constraints: {learner} takes {kinds}, got {type(constraints).__name__}")
    constraints.check_rows(n_rows)
