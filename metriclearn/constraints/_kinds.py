"""The four kinds of constraint, and the check that a learner takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from metriclearn._validation import as_truths, check_unmasked
from metriclearn.constraints._base import Constraints
from metriclearn.constraints._checks import as_similar, check_distinct
from metriclearn.constraints._frames import column_of, columns_of, row_numbers

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Pairs(Constraints):
    """Pairs of rows that are similar or dissimilar.

    Two annotators may disagree: a pair given as similar and as dissimilar counts as both, with
    the weights of both, and a pair given twice counts twice. ``conflicts`` lists them.

    Parameters
    ----------
    indices : array-like of int, shape (n, 2)
        Row numbers of ``X``.
    similar : array-like of shape (n,)
        True (or 1) where the two rows are similar, False (or 0, or -1) where not.
    weights : array-like of float, shape (n,), default=None
        Not negative; all one by default.
    n_rows : int, default=None
        Number of rows of ``X``. With it the pairs can be split with the rows, by
        ``cross_validate(MMC(), X, params={"constraints": pairs})`` for example: each fold gets
        the pairs that have both rows inside it. Without it, splitting them is an error.

    Raises
    ------
    ValueError
        If shapes do not fit, or the list is empty.

    See Also
    --------
    pairs_from_labels : Pairs drawn from class labels.
    constraints_from_tuples : Pairs from arrays of points.

    Examples
    --------
    >>> from metriclearn.constraints import Pairs
    >>> pairs = Pairs([[0, 1], [0, 2]], similar=[True, False], n_rows=4)
    >>> len(pairs)
    2
    >>> pairs
    Pairs(1 similar, 1 dissimilar)
    >>> pairs[[0, 2, 3]]
    Pairs(0 similar, 1 dissimilar, of 2 those inside 3 rows)
    """

    indices: np.ndarray
    similar: np.ndarray
    weights: np.ndarray | None = None
    n_rows: int | None = None

    def __post_init__(self):
        self._check(2)
        check_unmasked(self.similar, "Pairs: similar")
        similar = np.asarray(self.similar)
        if similar.shape != (len(self),):
            raise ValueError(f"Pairs: similar must be of shape ({len(self)},), got {similar.shape}")
        object.__setattr__(self, "similar", as_truths(similar, "Pairs: similar"))

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        ids: ArrayLike,
        *,
        columns: Sequence[Any] | None = None,
        similar: str | None = None,
        weights: str | None = None,
        pos_label: int | str | bool | None = None,
    ) -> Pairs:
        """Read pairs from a table of the names of rows.

        Parameters
        ----------
        frame : DataFrame
            One pair in a row.
        ids : array-like of shape (n_rows,)
            The name of each row of ``X``, each once: numbers, strings or anything hashable.
        columns : sequence of 2 column names, default=None
            Where the names of the two rows are; the first two columns by default.
        similar : column name, default=None
            Whether the pair is similar; the column after these by default.
        weights : column name, default=None
            Weight of each pair; all one by default.
        pos_label : int, str or bool, default=None
            What stands in that column for similar pairs; True or 1 by default.

        Returns
        -------
        Pairs
            With ``n_rows=len(ids)``.

        Raises
        ------
        ValueError
            If a name is not among ``ids`` or comes twice there, or if similar pairs are marked by
            a word and ``pos_label`` is missing.

        Examples
        --------
        >>> import pandas as pd
        >>> from metriclearn.constraints import Pairs
        >>> frame = pd.DataFrame({"a": ["x", "x"], "b": ["y", "z"], "judged": ["yes", "no"]})
        >>> Pairs.from_frame(frame, ["z", "x", "y"], pos_label="yes").indices
        array([[1, 2],
               [1, 0]])
        """
        names, rest = columns_of(frame, columns, 2)
        rest = [name for name in rest if name != weights]
        if similar is None and not rest:
            raise ValueError("frame has no column that says which pairs are similar")
        similar = rest[0] if similar is None else similar
        labels = column_of(frame, similar, "similar")
        is_similar = as_similar(labels, pos_label, f"frame[{similar!r}]")
        given = None if weights is None else column_of(frame, weights, "weights")
        return cls(row_numbers(frame, names, ids), is_similar, given, n_rows=len(ids))

    def conflicts(self) -> np.ndarray:
        """Return the pairs of rows that are given both as similar and as dissimilar.

        Returns
        -------
        ndarray of shape (n_conflicts, 2)
            Row numbers of ``X``, each pair once.
        """
        unordered = np.sort(self.indices, axis=1)
        keys = unordered[:, 0] * (int(unordered.max()) + 1) + unordered[:, 1]
        _, first = np.unique(keys, return_index=True)
        both = np.intersect1d(keys[self.similar], keys[~self.similar])
        return unordered[first[np.isin(keys[first], both)]]

    def _count(self):
        similar = int(self.similar.sum())
        return f"{similar:,} similar, {len(self) - similar:,} dissimilar"


@dataclass(frozen=True, eq=False, repr=False)
class Triplets(Constraints):
    """Relative constraints: the anchor is closer to the positive than to the negative.

    Parameters
    ----------
    indices : array-like of int, shape (n, 3)
        Row numbers ``(anchor, positive, negative)`` of ``X``. Neither the anchor nor the
        positive is its own negative: no metric could agree.
    weights : array-like of float, shape (n,), default=None
        Not negative; all one by default.
    n_rows : int, default=None
        Number of rows of ``X``, with which they can be split, see :class:`Pairs`.

    See Also
    --------
    triplets_from_labels : Triplets drawn from class labels.

    Examples
    --------
    >>> from metriclearn.constraints import Triplets
    >>> Triplets([[0, 1, 2]])
    Triplets(1 constraints)
    """

    indices: np.ndarray
    weights: np.ndarray | None = None
    n_rows: int | None = None

    def __post_init__(self):
        self._check(3)
        for name, place in (("positive", 1), ("anchor", 0)):
            check_distinct(self.indices, place, 2, f"has its {name} as its negative", "Triplets")

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        ids: ArrayLike,
        *,
        columns: Sequence[Any] | None = None,
        weights: str | None = None,
    ) -> Triplets:
        """Read triplets from a table of the names of rows, see :meth:`Pairs.from_frame`.

        Parameters
        ----------
        frame : DataFrame
        ids : array-like of shape (n_rows,)
        columns : sequence of 3 column names, default=None
            Of the anchors, positives and negatives; the first three by default.
        weights : column name, default=None

        Returns
        -------
        Triplets
        """
        names, _ = columns_of(frame, columns, 3)
        given = None if weights is None else column_of(frame, weights, "weights")
        return cls(row_numbers(frame, names, ids), given, n_rows=len(ids))


@dataclass(frozen=True, eq=False, repr=False)
class Quadruplets(Constraints):
    """Relative constraints of two pairs: ``d(i, j) < d(k, l)``.

    Parameters
    ----------
    indices : array-like of int, shape (n, 4)
        Row numbers ``(i, j, k, l)`` of ``X``.
    weights : array-like of float, shape (n,), default=None
        Not negative; all one by default.
    n_rows : int, default=None
        Number of rows of ``X``, with which they can be split, see :class:`Pairs`.

    See Also
    --------
    quadruplets_from_labels : Quadruplets drawn from class labels.

    Examples
    --------
    >>> from metriclearn.constraints import Quadruplets
    >>> Quadruplets([[0, 1, 2, 3]], weights=[0.5])
    Quadruplets(1 constraints, weighted)
    """

    indices: np.ndarray
    weights: np.ndarray | None = None
    n_rows: int | None = None

    def __post_init__(self):
        self._check(4)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        ids: ArrayLike,
        *,
        columns: Sequence[Any] | None = None,
        weights: str | None = None,
    ) -> Quadruplets:
        """Read quadruplets from a table of the names of rows, see :meth:`Pairs.from_frame`.

        Parameters
        ----------
        frame : DataFrame
        ids : array-like of shape (n_rows,)
        columns : sequence of 4 column names, default=None
            Of the rows i, j, k and l; the first four by default.
        weights : column name, default=None

        Returns
        -------
        Quadruplets
        """
        names, _ = columns_of(frame, columns, 4)
        given = None if weights is None else column_of(frame, weights, "weights")
        return cls(row_numbers(frame, names, ids), given, n_rows=len(ids))


@dataclass(frozen=True, eq=False, repr=False)
class Chunks:
    """Groups of rows known to be of one class, the class itself unknown.

    As chunks have a label for each row, splitters take the part of a fold by themselves.

    Parameters
    ----------
    labels : array-like of int, shape (n_rows,)
        Chunk number of each row of ``X``; -1 for a row in no chunk.

    See Also
    --------
    chunks_from_labels : Chunks drawn from class labels.

    Examples
    --------
    >>> from metriclearn.constraints import Chunks
    >>> Chunks([0, 0, -1, 1, 1])[1:]
    Chunks(2 chunks, 3 rows in them)
    """

    labels: np.ndarray

    def __post_init__(self):
        check_unmasked(self.labels, "Chunks: labels")
        labels = np.asarray(self.labels)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"Chunks: labels must be a 1-D array of integers, got {labels.dtype} of shape "
                f"{labels.shape}"
            )
        if labels.dtype.kind == "u" and labels.max(initial=0) > np.iinfo(np.intp).max:
            raise ValueError(f"Chunks: labels has {labels.max()}, which is no chunk number")
        if not np.any(labels >= 0):
            raise ValueError("Chunks: no row is in a chunk; give at least one label of 0 or more")
        object.__setattr__(self, "labels", labels.astype(np.intp))

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n_rows,)``."""
        return self.labels.shape

    def __getitem__(self, rows):
        """Return the chunks of some rows: of a slice, row numbers or a mask."""
        rows = rows[0] if isinstance(rows, tuple) else rows  # scikit-learn's X[rows, ...]
        labels = self.labels[rows]
        if np.ndim(labels) != 1:
            raise TypeError("Chunks[rows] takes row numbers of X; one label is chunks.labels[i]")
        return Chunks(labels)

    def __len__(self):
        return len(np.unique(self.labels[self.labels >= 0]))

    def __repr__(self):
        return f"Chunks({len(self):,} chunks, {np.sum(self.labels >= 0):,} rows in them)"

    def check_rows(self, n_rows: int) -> None:
        """Raise ``ValueError`` where there are not as many chunk labels as rows.

        Parameters
        ----------
        n_rows : int

        Raises
        ------
        ValueError
        """
        if len(self.labels) != n_rows:
            raise ValueError(
                f"constraints: Chunks has {len(self.labels)} labels, but X has {n_rows} rows"
            )


def is_constraints(value):
    """Whether ``value`` is constraints of any kind."""
    return isinstance(value, (Constraints, Chunks))


def check_constraints(
    constraints: Pairs | Triplets | Quadruplets | Chunks,
    accepts: tuple[type, ...],
    n_rows: int,
    learner: str,
) -> None:
    """Raise for constraints of a kind that a learner does not take, or of rows beyond ``X``.

    Parameters
    ----------
    constraints : Pairs, Triplets, Quadruplets or Chunks
        What was given.
    accepts : tuple of type
        The kinds the learner takes.
    n_rows : int
        Number of rows of ``X``.
    learner : str
        Name of the learner, for the error.

    Raises
    ------
    ValueError

    See Also
    --------
    Pairs : One of the kinds.
    constraints_from_tuples : Makes constraints from arrays of points.

    Examples
    --------
    >>> from metriclearn.constraints import Pairs, Triplets, check_constraints
    >>> pairs = Pairs([[0, 1], [0, 2]], [True, False])
    >>> check_constraints(pairs, accepts=(Pairs,), n_rows=3, learner="MMC")
    >>> try:
    ...     check_constraints(pairs, accepts=(Triplets,), n_rows=3, learner="SCML")
    ... except (TypeError, ValueError) as error:
    ...     print("Triplets" in str(error))
    True
    """
    if not isinstance(constraints, accepts):
        kinds = " or ".join(kind.__name__ for kind in accepts)
        raise ValueError(f"constraints: {learner} takes {kinds}, got {type(constraints).__name__}")
    constraints.check_rows(n_rows)
