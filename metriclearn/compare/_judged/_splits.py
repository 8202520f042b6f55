"""How judgments are split: new judgments of known items, and judgments of new items.

A judgment that is repeated or reversed stays on one side of every split.
"""

import numpy as np

from metriclearn.compare._inspect._view import joined_groups
from metriclearn.compare._measuring._splits import make_split
from metriclearn.model_selection._disjoint import stratified_group_folds

#: Share of the items whose judgments are tested on, and of those that settings are judged by.
NEW_ITEMS = 0.4
VALIDATION_PART = 0.25
FEWEST_TRAINED, FEWEST_TESTED = 20, 10


def judged_splits(judged, n_folds, seed):
    """Split judgments into folds, and items into those that are trained on and new ones.

    Parameters
    ----------
    judged : Judged
    n_folds : int
    seed : int

    Returns
    -------
    splits : list of Split
        Of judgments: ``"closed"`` where items are known, ``"open"`` where they are new.
    notes : dict of str to str
    """
    sets, linked = judged.sets(), _linked(judged)
    made = {
        "closed": _folds(judged, sets, linked, n_folds, seed),
        "open": _item_splits(judged, linked, n_folds, seed),
    }
    splits = [
        make_split(protocol, fold, train, test, sets)
        for protocol, (parts, _) in made.items()
        for fold, (train, test) in enumerate(parts)
    ]
    if not splits:
        raise ValueError(f"constraints: known items: {made['closed'][1]}; {made['open'][1]}")
    return splits, {protocol: note for protocol, (_, note) in made.items()}


def _folds(judged, sets, linked, n_folds, seed):
    n_sets = len(np.unique(sets))
    if len(np.unique(linked)) == n_sets:
        return [], "left out: no item is judged beside others, so that all tested ones are new"
    n_made = min(n_folds, n_sets)
    parts = list(stratified_group_folds(judged.similar.astype(int), sets, n_made, seed))
    if not all(_is_enough(judged, *part) for part in parts):
        return [], "left out: repeated judgments leave too few others to test on"
    return parts, f"{n_made} folds of the judgments; repeated and reversed ones stay together"


def _item_splits(judged, linked, n_folds, seed):
    """Split items; judgments of items of both sides are left out, unless none need be."""
    if np.bincount(linked).max() <= len(judged) / n_folds:
        parts = list(stratified_group_folds(judged.similar.astype(int), linked, n_folds, seed))
        note = f"{n_folds} folds of items that no judgment links"
    else:
        parts = [_split_items(judged, [seed, fold]) for fold in range(n_folds)]
        n_train, n_test = np.mean([[len(rows) for rows in part] for part in parts], axis=0)
        note = (
            f"{n_folds} splits of the items, {1 - NEW_ITEMS:.0%} to train on; of the judgments "
            f"{n_train:,.0f} are of these items alone, {n_test:,.0f} of the others alone, and the "
            f"rest is left out"
        )
    if not all(_is_enough(judged, *part) for part in parts):
        return [], "left out: too few judgments are of items on one side of a split alone"
    return parts, note


def _linked(judged):
    """Return a number for each judgment; those that share an item, or others that do, have one."""
    units = judged.units[judged.constraints.indices]
    n, width = units.shape
    return joined_groups(np.repeat(np.arange(n), width), units.reshape(-1))[::width]


def _split_items(judged, seed):
    """Draw items; return the judgments of the others alone, and of these alone."""
    units = judged.units[judged.constraints.indices]
    named = np.random.RandomState(seed).permutation(np.unique(units))
    is_new = np.isin(units, named[: max(2, round(NEW_ITEMS * len(named)))])
    return np.flatnonzero(~is_new.any(axis=1)), np.flatnonzero(is_new.all(axis=1))


def _is_enough(judged, train, test):
    return _has(judged, train, FEWEST_TRAINED) and _has(judged, test, FEWEST_TESTED)


def _has(judged, rows, fewest):
    similar = judged.similar[rows]
    both = judged.kind == "triplets" or (similar.any() and not similar.all())
    return len(rows) >= fewest and bool(both)


def judged_validation(judged, train, sets, protocol, seed):
    """Return judgments to fit on and judgments to choose settings by, of those of a training part.

    Parameters
    ----------
    judged : Judged
    train : ndarray of int
    sets : ndarray of int, shape (n_train,)
        Of the items of each.
    protocol : {"closed", "open"}
        New items, too, are held out where enough judgments are left on both sides.
    seed : int

    Returns
    -------
    fit_rows, val_rows : ndarray of int
        Numbers of judgments; None where there are too few.
    """
    if protocol == "open":
        inside = judged.part(train)
        parts = _split_items(inside, [seed])
        if all(_has(inside, part, 2 * FEWEST_TRAINED) for part in parts):
            return tuple(train[part] for part in parts)
    if len(np.unique(sets)) < 2:
        return None
    n_parts = min(round(1 / VALIDATION_PART), len(np.unique(sets)))
    similar = judged.similar[train].astype(int)
    fit_rows, val_rows = next(stratified_group_folds(similar, sets, n_parts, seed))
    parts = train[fit_rows], train[val_rows]
    return parts if all(_has(judged, part, FEWEST_TESTED) for part in parts) else None
