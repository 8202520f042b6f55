"""Items and what was judged about them, in place of rows and labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metriclearn._text import counted
from metriclearn.compare._inspect._view import joined_groups
from metriclearn.compare._sources._rows import as_source
from metriclearn.compare._sources._target import group_codes, no_such_column
from metriclearn.compare._sources._unlabeled import read_rows
from metriclearn.compare._tables._labels import as_frame
from metriclearn.constraints import Pairs, Triplets

FEWEST = 20
#: Equal items stay on one side of a split of the items, unless a larger share of them is equal.
MOST_EQUAL = 0.1


@dataclass(frozen=True)
class Judged:
    """Judgments of items.

    Attributes
    ----------
    constraints : Pairs or Triplets
        Numbered by the items.
    equal : ndarray of int, shape (n_items,)
        Equal items have one number.
    units : ndarray of int, shape (n_items,)
        Items with one number stay on one side of a split of the items.
    """

    constraints: Pairs | Triplets
    equal: np.ndarray
    units: np.ndarray

    def __len__(self):
        return len(self.constraints)

    @property
    def kind(self):
        """``"pairs"`` or ``"triplets"``."""
        return type(self.constraints).__name__.lower()

    @property
    def similar(self):
        """Whether each pair is similar; all True of triplets, which have no two kinds."""
        if self.kind == "pairs":
            return self.constraints.similar
        return np.ones(len(self), dtype=bool)

    def part(self, chosen):
        """Return some of the judgments, by their numbers."""
        return replace(self, constraints=self.constraints._with(chosen))

    def sets(self):
        """Return a number for the set of items of each judgment: repeats and reversals share it."""
        items = np.sort(self.equal[self.constraints.indices], axis=1)
        return np.unique(items, axis=0, return_inverse=True)[1].reshape(-1)


def judged_source(X, constraints, *, name="data", groups=None, drop=(), keep=(), **choices):
    """Read items and check what was judged about them.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_items, n_features), image array, str or path
    constraints : Pairs or Triplets
        Numbered by the rows of ``X``.
    name : str, default="data"
    groups : array-like of shape (n_items,) or str, default=None
        Items of one group are never on both sides of a split of the items.
    drop, keep : iterable of str, default=()
    **choices
        Further arguments of ``as_source``.

    Returns
    -------
    Source
        With ``Judged`` in place of labels.
    """
    if not isinstance(constraints, Pairs | Triplets):
        raise ValueError(
            f"constraints must be Pairs or Triplets of metriclearn.constraints, got "
            f"{type(constraints).__name__}"
        )
    if isinstance(X, str | Path):
        X, name = read_rows(X, as_table=bool(drop)).X, Path(X).name.split(".")[0]
    if hasattr(X, "names") and hasattr(X, "folder"):
        raise ValueError(
            "constraints: items that are photos are compared by the vectors of a network; give "
            "metriclearn.images.Features(...).fit_transform(photos) as X, and features=True"
        )
    frame = as_frame(X)
    if frame is not None and isinstance(groups, str):
        if groups not in frame.columns:
            raise ValueError(no_such_column(groups, frame.columns, "groups"))
        groups, X = frame[groups], frame.drop(columns=groups)
    n_items = len(X)
    constraints.check_rows(n_items)
    notes = _checked(constraints)
    # Items have no labels; numbers that nothing is learned from stand for them meanwhile.
    rows = as_source(
        X,
        np.arange(n_items, dtype=float),
        name=name,
        task="amounts",
        drop=drop,
        keep=keep,
        **choices,
    )
    own = np.arange(n_items)
    equal = own if rows.groups is None else rows.groups
    sizes = np.bincount(equal)
    # Where most items have a copy, the columns say too little to tell that they are one item.
    action = "Equal items stay on one side of a split of the items."
    if sizes[sizes > 1].sum() > MOST_EQUAL * n_items:
        equal, action = own, "They are so many that each is an item of its own."
    groups = group_codes(groups, n_items, own)
    return replace(
        rows,
        y=Judged(constraints, equal, joined_groups(equal, groups)),
        task="judgments",
        groups=None,
        notes=(*rows.notes, *notes),
        findings=tuple(
            replace(each, action=action) if each.kind == "duplicates" else each
            for each in rows.findings
            if each.kind != "amount_target"
        ),
    )


def _checked(constraints):
    """Check that judgments can be compared on; return what is remarkable about them."""
    kind = type(constraints).__name__.lower()
    weights = constraints.weights
    n_usable = len(constraints) if weights is None else int((weights > 0).sum())
    if n_usable < FEWEST:
        raise ValueError(
            f"constraints: {n_usable:,} {kind} with a weight above 0 are too few; at least "
            f"{FEWEST} are needed"
        )
    if kind == "triplets":
        ordered = np.sort(constraints.indices[:, 1:], axis=1)
        forward = ordered[:, 0] == constraints.indices[:, 1]
        same = np.column_stack([constraints.indices[:, 0], ordered])
        codes = np.unique(same, axis=0, return_inverse=True)[1].reshape(-1)
        both = np.intersect1d(codes[forward], codes[~forward])
        n_against = len(both)
    else:
        least = min(constraints.similar.sum(), (~constraints.similar).sum())
        if least < FEWEST // 2:
            word = "similar" if constraints.similar.sum() == least else "dissimilar"
            raise ValueError(
                f"constraints: {int(least):,} of {len(constraints):,} pairs are {word}; at least "
                f"{FEWEST // 2} of each kind are needed to see what tells them apart"
            )
        n_against = len(constraints.conflicts())
    if not n_against:
        return ()
    return (f"{counted(n_against, 'judgment')} given both ways: no metric agrees with both.",)
