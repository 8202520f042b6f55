"""A split of the user's own: what it says is read once, then it is the only fold there is."""

import numpy as np

from metriclearn.compare._inspect._finding import counted, listed
from metriclearn.compare._splits import MIN_TRAIN_CLASSES, make_split
from metriclearn.compare._tables._labels import as_objects

_SPELLINGS = {
    "train": ("train", "training", "trn", "fit", "learn"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "tst", "eval", "holdout", "hold-out", "held-out"),
    "query": ("query", "queries", "probe"),
    "gallery": ("gallery", "reference", "index"),
}
_PART_OF = {spelling: part for part, spellings in _SPELLINGS.items() for spelling in spellings}


def read_parts(values, n_rows):
    """Read what part each row is of.

    Parameters
    ----------
    values : array-like of shape (n_rows,)
        ``"train"`` and ``"test"``, or ``"query"`` and ``"gallery"`` with or without ``"train"``,
        in their usual spellings; ``"validation"`` counts as training.
    n_rows : int

    Returns
    -------
    ndarray of str, shape (n_rows,)
        ``"train"``, ``"validation"``, ``"test"`` or ``"gallery"``; queries are ``"test"``.

    Raises
    ------
    ValueError
        If a value is none of these, or a part is missing.

    Examples
    --------
    >>> read_parts(["Training", "test", "train"], 3).tolist()
    ['train', 'test', 'train']
    """
    values = as_objects(values, "split")
    if len(values) != n_rows:
        raise ValueError(f"split has {len(values)} values for the {n_rows} rows of X")
    words = [str(value).strip().lower() for value in values]
    unknown = sorted(
        {str(value) for value, word in zip(values, words, strict=True) if word not in _PART_OF}
    )
    if unknown:
        raise ValueError(
            f"split holds {listed(unknown)}; it must say 'train' or "
            f"'test' of each row, or 'query', 'gallery' and 'train'"
        )
    parts = np.array([_PART_OF[word] for word in words])
    there = set(parts)
    if {"test", "query"} <= there:
        raise ValueError("split holds both 'test' and 'query'; what is searched for is one of them")
    parts[parts == "query"] = "test"
    if "test" not in parts or not {"train", "gallery"} & there:
        raise ValueError(
            f"split holds {listed(sorted(there))} only; rows to test on "
            f"('test' or 'query') and rows to learn from ('train' or 'gallery') are needed"
        )
    return parts


def looks_like_parts(values):
    """Whether a column says which rows are for training and which for testing."""
    found = {str(value).strip().lower() for value in values}
    parts = {_PART_OF.get(word) for word in found}
    return None not in parts and bool({"test", "query"} & parts) and len(parts) > 1


def roles_of(parts):
    """Return masks of the rows that are trained on, tested on, and searched besides.

    Without a part to train on, the gallery is learned from.
    """
    train, gallery = np.isin(parts, ["train", "validation"]), parts == "gallery"
    if not train.any():
        train, gallery = gallery, train
    return train, parts == "test", gallery


def n_seen(groups, test, train):
    """Return how many test rows equal a training row or belong to its group."""
    return 0 if groups is None else int(np.isin(groups[test], groups[train]).sum())


def given_splits(y, parts, *, groups=None, queries=None):
    """Make the splits that the user's own is: of known classes, of unseen ones, or of both.

    Parameters
    ----------
    y : ndarray of shape (n,), integer codes of the classes
    parts : ndarray of str, shape (n,)
        As from `read_parts`. Without a part to train on, the gallery is learned from.
    groups : ndarray of int, shape (n,), default=None
        Rows that should be on one side: rows of one group of the user's, and equal rows.
    queries : ndarray of bool, shape (n,), default=None
        Rows that can be tested on; all by default.

    Returns
    -------
    splits : list of Split
    notes : dict of str to str
        How each protocol is split, or why it was left out.

    Raises
    ------
    ValueError
        If neither known nor unseen classes can be tested on.
    """
    train, test, gallery = roles_of(parts)
    test = test if queries is None else test & queries
    n_in_train = np.bincount(y[train], minlength=y.max() + 1)
    is_known = n_in_train[y] > 0
    fitted = train & (n_in_train[y] >= 2)
    extra = _remarks(parts, train, groups)
    made = {
        "closed": _known(y, train, fitted, gallery, test & is_known),
        "open": _unseen(y, fitted, gallery, test & ~is_known),
    }
    splits, notes = [], {}
    for protocol, (rows, note) in made.items():
        notes[protocol] = note if rows is None else "; ".join([f"split as given: {note}", *extra])
        if rows is not None:
            splits.append(make_split(protocol, 0, rows[0], rows[1], groups, rows[2]))
    if not splits:
        raise ValueError(
            f"split: known classes are {notes['closed']}; classes not trained on are "
            f"{notes['open']}"
        )
    return splits, notes


def _known(y, train, fitted, gallery, test):
    """Choose queries of the classes that are trained on."""
    n_classes = len(np.unique(y[test]))
    if n_classes < 2 or len(np.unique(y[fitted])) < 2:
        return None, f"left out: {_classes(n_classes)} of the test rows are trained on"
    others = np.flatnonzero((train & ~fitted) | gallery)
    note = f"{test.sum():,} rows are tested on, {fitted.sum():,} are trained on"
    if len(others):
        note += f", {len(others):,} more are searched"
    return (np.flatnonzero(fitted), np.flatnonzero(test), others), note


def _unseen(y, fitted, gallery, test):
    """Choose queries that have something to find in the gallery or, without one, among them."""
    n_to_find = np.bincount(y[gallery] if gallery.any() else y[test], minlength=y.max() + 1)
    tested = test & (n_to_find[y] >= (1 if gallery.any() else 2))
    n_classes, n_fitted = len(np.unique(y[tested])), len(np.unique(y[fitted]))
    if n_classes < 2:
        return None, f"left out: {_classes(n_classes)} of the test rows are not trained on"
    if n_fitted < MIN_TRAIN_CLASSES:
        return None, (
            f"left out: {_classes(n_fitted)} to fit and tune on are too few; {MIN_TRAIN_CLASSES} "
            f"are needed"
        )
    n_tested = int(tested.sum())
    note = f"fitted on {_classes(n_fitted)}, tested on {n_tested:,} rows of {n_classes:,} others"
    if gallery.any():
        note += f", searched for among {gallery.sum():,} gallery rows"
    if left := int(test.sum()) - n_tested:
        note += f" ({counted(left, 'row')} with nothing to find left out)"
    return (np.flatnonzero(fitted), np.flatnonzero(tested), np.flatnonzero(gallery)), note


def _classes(number):
    return counted(number, "class", "classes")


def _remarks(parts, train, groups):
    """Say what a reader of the scores should know of the split."""
    remarks = []
    if n_held := int((parts == "validation").sum()):
        remarks.append(
            f"{counted(n_held, 'validation row')} trained on: settings are chosen on rows that "
            f"are held out of all training rows"
        )
    if shared := n_seen(groups, parts == "test", train):
        remarks.append(
            f"{counted(shared, 'test row')} equal to a training row, or of its group: scores are "
            f"too good"
        )
    return remarks
