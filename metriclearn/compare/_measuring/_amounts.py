"""A target of amounts: how rows are split.

The protocol is that of the closed set, with the mean of the nearest neighbors' amounts in place
of their vote.
"""

import numpy as np
from sklearn.model_selection import ShuffleSplit

from metriclearn.compare._measuring._given_split import n_seen, roles_of
from metriclearn.compare._measuring._splits import make_split
from metriclearn.model_selection._disjoint import stratified_group_folds

#: Share of the training rows that settings are judged by.
VALIDATION_PART = 0.25
FEWEST_VALIDATED = 5


def amount_splits(y, n_folds, seed, *, groups=None):
    """Split rows at random into folds; rows of one group stay together.

    Parameters
    ----------
    y : ndarray of shape (n,)
    n_folds : int
    seed : int
    groups : ndarray of int, shape (n,), default=None

    Returns
    -------
    splits : list of Split
    notes : dict of str to str
    """
    n_groups = len(y) if groups is None else len(np.unique(groups))
    if n_groups < 2:
        raise ValueError(
            "all rows of X are equal, or of one group: none tells more than the others"
        )
    n_made = min(n_folds, n_groups)
    note = f"{n_made} folds"
    if n_made < n_folds:
        note += f", as there are {n_groups} groups"
    folds = stratified_group_folds(np.zeros(len(y), dtype=int), groups, n_made, seed)
    splits = [
        make_split("closed", fold, train, test, groups) for fold, (train, test) in enumerate(folds)
    ]
    return splits, {"closed": note, "open": "left out: amounts are no classes"}


def given_amount_split(y, parts, *, groups=None):
    """Make the split that the user's own is.

    Parameters
    ----------
    y : ndarray of shape (n,)
    parts : ndarray of str, shape (n,)
        As from ``_given_split.read_parts``; a gallery is trained on where nothing else is, and
        searched beside what is.
    groups : ndarray of int, shape (n,), default=None

    Returns
    -------
    splits : list of Split
    notes : dict of str to str
    """
    train, test, gallery = roles_of(parts)
    rows = [np.flatnonzero(each) for each in (train, test, gallery)]
    note = f"split as given: {test.sum():,} rows are tested on, {train.sum():,} are trained on"
    if shared := n_seen(groups, test, train):
        note += f"; {shared:,} test rows equal a training row, or are of its group"
    split = make_split("closed", 0, rows[0], rows[1], groups, rows[2])
    return [split], {"closed": note, "open": "left out: amounts are no classes"}


def amount_validation(y, seed, groups=None):
    """Return rows to fit on and rows to judge a setting by; None where there are too few."""
    n_val = int(VALIDATION_PART * len(y))
    if n_val < FEWEST_VALIDATED:
        return None
    if groups is None:
        splitter = ShuffleSplit(1, test_size=n_val, random_state=seed)
        fit_rows, val_rows = next(splitter.split(y))
        return np.sort(fit_rows), np.sort(val_rows)
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        return None
    n_parts = min(round(1 / VALIDATION_PART), n_groups)
    codes = np.zeros(len(y), dtype=int)
    return next(stratified_group_folds(codes, groups, n_parts, seed))
