"""How rows are split: known classes by stratified folds, unseen classes by whole classes.

Rows of one group (of the user's, or equal rows) stay on one side of every split. Rows of
classes too small to be tested on are searched, but neither fitted on nor tested on. Fewer rows
are drawn so that every class keeps its share.
"""

from dataclasses import dataclass, replace

import numpy as np

from metriclearn.model_selection import ClassDisjointShuffleSplit
from metriclearn.model_selection._disjoint import stratified_group_folds, without_groups_of

# Two classes to fit on, two to tune on and two to test on.
MIN_TRAIN_CLASSES = 4
MIN_OPEN_CLASSES = 6


@dataclass(frozen=True)
class Split:
    """One fold of one protocol, as row numbers.

    Attributes
    ----------
    protocol : {"closed", "open"}
    fold : int
    train, test : ndarray of int
    gallery : ndarray of int or None
        Of the closed set rows of small classes, which are searched beside those of ``train``; of
        the open set the rows that are searched, or None where ``test`` searches itself.
    groups : ndarray of int, shape (n_train,), or None
        Of the training rows; a validation part keeps them together.
    """

    protocol: str
    fold: int
    train: np.ndarray
    test: np.ndarray
    gallery: np.ndarray | None = None
    groups: np.ndarray | None = None

    @property
    def searched(self):
        """Rows among which the neighbors of the test rows are looked for; None for themselves."""
        if self.protocol == "open":
            return self.gallery
        return self.train if self.gallery is None else np.concatenate([self.train, self.gallery])

    def trained_on(self, places):
        """Return the same split with fewer training rows, given by their places among them."""
        groups = None if self.groups is None else self.groups[places]
        return replace(self, train=self.train[places], groups=groups)


def make_splits(y, n_folds, seed, *, groups=None, queries=None, n_open=None):
    """Split the rows for both protocols.

    Parameters
    ----------
    y : ndarray of shape (n,), integer codes of the classes
    n_folds : int
        Folds of the closed set; no more than the smallest class that is tested on has rows, or
        groups.
    seed : int
    groups : ndarray of int, shape (n,), default=None
        Rows that stay together.
    queries : ndarray of bool, shape (n,), default=None
        Rows that can be tested on; all by default.
    n_open : int, default=None
        Splits of the open set; as many as folds by default.

    Returns
    -------
    splits : list of Split
    notes : dict of str to str
        What is remarkable about a protocol, or why it was left out.
    """
    queries = np.ones(len(y), dtype=bool) if queries is None else queries
    splits, notes = _open_splits(y, n_open or n_folds, seed, groups, queries)
    closed, note = _closed_splits(y, n_folds, seed, groups, queries)
    if not closed and not splits:
        raise ValueError(
            "groups: each class is in one group only, so that no group can be tested on others "
            "(equal rows are one, too, unless columns tell them apart); "
            "give groups that several classes have, or none"
        )
    return closed + splits, notes | note


def _closed_splits(y, n_folds, seed, groups, queries):
    tested, notes = queries, {}
    if groups is not None:
        n_groups = _groups_of_classes(y, groups)
        tested = queries & (n_groups[y] >= 2)
        if len(np.unique(y[tested])) < 2:
            return [], {"closed": "left out: classes are of one group each"}
        left = len(np.unique(y[queries])) - len(np.unique(y[tested]))
        if left:
            notes["closed"] = f"{left} classes of one group only are not tested on"
    rows = np.flatnonzero(tested)
    counts = np.bincount(y[rows])
    smallest, what = counts[counts > 0].min(), "rows"
    if groups is not None and n_groups[np.unique(y[rows])].min() < smallest:
        smallest, what = n_groups[np.unique(y[rows])].min(), "groups"
    n_closed = int(min(n_folds, smallest))
    if n_closed < n_folds:
        notes["closed"] = f"{n_closed} folds, as the smallest class has {smallest} {what}"
    others = np.flatnonzero(~tested)
    of_rows = None if groups is None else groups[rows]
    splits = []
    for fold, (train, test) in enumerate(stratified_group_folds(y[rows], of_rows, n_closed, seed)):
        gallery = without_groups_of(others, rows[test], groups)
        splits.append(make_split("closed", fold, rows[train], rows[test], groups, gallery))
    return splits, notes


def _groups_of_classes(y, groups):
    """Return the number of groups of each class."""
    pairs = np.unique(np.stack([y, groups]), axis=1)
    return np.bincount(pairs[0], minlength=y.max() + 1)


def _open_splits(y, n_folds, seed, groups, queries):
    rows = np.flatnonzero(queries)
    n_classes = len(np.unique(y[rows]))
    if n_classes < MIN_OPEN_CLASSES:
        return [], {
            "open": f"left out: {n_classes} classes are too few; {MIN_OPEN_CLASSES} are needed, "
            f"2 to fit on, 2 to tune on and 2 to test on"
        }
    n_test = min(n_classes // 2, n_classes - 4)
    note = (
        f"{n_folds} splits, each fitted on {n_classes - n_test} classes and tested on the other "
        f"{n_test}"
    )
    disjoint = ClassDisjointShuffleSplit(n_folds, test_size=n_test, random_state=seed)
    splits = []
    for fold, (train, test) in enumerate(disjoint.split(y[rows], y[rows])):
        train = without_groups_of(rows[train], rows[test], groups)
        splits.append(make_split("open", fold, train, rows[test], groups))
    return splits, {"open": note}


def make_split(protocol, fold, train, test, groups=None, gallery=()):
    """Return a split; ``groups`` are those of all rows."""
    return Split(
        protocol,
        fold,
        train,
        test,
        gallery=np.asarray(gallery) if len(gallery) else None,
        groups=None if groups is None else groups[train],
    )


def fit_capped(estimator, X, y, max_rows, seed):
    """Fit on at most ``max_rows`` rows, drawn evenly over the classes; return how many."""
    if max_rows is not None and len(X) > max_rows:
        rows = np.sort(stratified_order(y, seed)[:max_rows])
        X, y = X[rows], y[rows]
    estimator.fit(X, y)
    return len(X)


def width(X):
    """Return how many numbers a row has; one of an image file."""
    return X.shape[1] if X.ndim > 1 else 1


def stratified_order(y, seed):
    """Order rows at random so that every beginning has each class in its share.

    The first two rows of each class come before all others, so that even a short
    beginning has pairs of every class. A longer beginning holds every shorter one.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Classes; rows with amounts are in any order.
    seed : int

    Returns
    -------
    ndarray of shape (n,)
    """
    rng = np.random.RandomState(seed)
    if y.dtype.kind == "f":  # amounts: in any order
        return rng.permutation(len(y))
    place = np.empty(len(y))
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        place[rows] = (np.arange(len(rows)) + rng.uniform(size=len(rows))) / len(rows)
        place[rows[:2]] -= 1
    return np.argsort(place, kind="stable")
