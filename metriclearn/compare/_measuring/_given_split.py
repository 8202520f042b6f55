"""A split of the user's own: what it says is read once, then it is the only fold there is.

But for queries and a gallery of the same classes: which classes are unseen is drawn.
"""

import numpy as np

from metriclearn._text import counted
from metriclearn.compare._inspect._finding import listed
from metriclearn.compare._measuring._splits import MIN_OPEN_CLASSES, MIN_TRAIN_CLASSES, make_split
from metriclearn.compare._tables._labels import as_objects
from metriclearn.images._parts import PART_OF, meaning_of_flags, word_of
from metriclearn.model_selection import ClassDisjointShuffleSplit
from metriclearn.model_selection._disjoint import without_groups_of

#: Rows that belong to no part.
NONE = ""


def read_parts(values, n_rows, name=None):
    """Read what part each row is of.

    Parameters
    ----------
    values : array-like of shape (n_rows,)
        ``"train"`` and ``"test"``, or ``"query"`` and ``"gallery"`` with or without ``"train"``,
        in their usual spellings; ``"validation"`` counts as training, and rows without a value
        take no part. Rows that are both query and gallery are searched for among each other.
    n_rows : int
    name : str, default=None
        Of the column: ``is_test``, for example, says what yes and no mean.

    Returns
    -------
    ndarray of str, shape (n_rows,)
        ``"train"``, ``"validation"``, ``"test"``, ``"gallery"`` or ``""``; queries are ``"test"``.

    Examples
    --------
    >>> read_parts(["Training", "test", "train"], 3).tolist()
    ['train', 'test', 'train']
    >>> read_parts([True, False], 2, "is_test").tolist()
    ['test', 'train']
    """
    values = as_objects(values, "split")
    if len(values) != n_rows:
        raise ValueError(f"split has {len(values)} values for the {n_rows} rows of X")
    words = [word_of(value) for value in values]
    part_of = {**PART_OF, **meaning_of_flags(name, set(words)), "": NONE}
    unknown = sorted(
        {str(value) for value, word in zip(values, words, strict=True) if word not in part_of}
    )
    if unknown:
        raise ValueError(
            f"split holds {listed(unknown)}; it must say 'train' or "
            f"'test' of each row, or 'query', 'gallery' and 'train'; yes or no in a column called "
            f"is_train, is_test, is_query or is_gallery"
        )
    parts = np.array([part_of[word] for word in words], dtype="U10")
    there = set(parts) - {NONE}
    if "both" in there:
        if there & {"test", "query", "gallery"} or not there & {"train", "validation"}:
            raise ValueError(
                f"split holds {listed(sorted(there))}; rows that are query and gallery are "
                f"searched for among each other, so that all rows but those of 'train' must be"
            )
        parts[parts == "both"] = "test"
        there = set(parts) - {NONE}
    if {"test", "query"} <= there:
        raise ValueError("split holds both 'test' and 'query'; what is searched for is one of them")
    parts[parts == "query"] = "test"
    if "test" not in parts or not {"train", "gallery"} & there:
        raise ValueError(
            f"split holds {listed(sorted(there))} only; rows to test on "
            f"('test' or 'query') and rows to learn from ('train' or 'gallery') are needed"
        )
    return parts


def looks_like_parts(values, name=None):
    """Whether a column says which rows are for training and which for testing."""
    found = {word_of(value) for value in values} - {""}
    part_of = {**PART_OF, **meaning_of_flags(name, found)}
    parts = {part_of.get(word) for word in found}
    return None not in parts and bool({"test", "query"} & parts) and len(parts) > 1


def draws_classes(parts):
    """Whether a split leaves open which classes are unseen: queries and a gallery alone do."""
    return not np.isin(parts, ["train", "validation"]).any()


def check_groups(groups, parts):
    """Raise ``ValueError`` where rows of a group are trained on and tested on."""
    train, test, _ = roles_of(parts)
    shared = np.intersect1d(groups[train], groups[test])
    if len(shared):
        raise ValueError(
            f"groups and split disagree: {counted(len(shared), 'group')} with rows that are "
            f"trained on and rows that are tested on; leave one of the two out"
        )


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


def given_splits(y, parts, *, groups=None, queries=None, n_open=5, seed=0):
    """Make the splits that the user's own is: of known classes, of unseen ones, or of both.

    Of queries and a gallery alone, the gallery is learned from for known classes; for unseen ones
    classes are drawn: learned from all rows of some, tested on the queries of the others among
    their part of the gallery.

    Parameters
    ----------
    y : ndarray of shape (n,), integer codes of the classes
    parts : ndarray of str, shape (n,)
        As from `read_parts`. Without a part to train on, the gallery is learned from.
    groups : ndarray of int, shape (n,), default=None
        Rows that should be on one side: rows of one group of the user's, and equal rows.
    queries : ndarray of bool, shape (n,), default=None
        Rows that can be tested on; all by default.
    n_open : int, default=5
        How many times classes are drawn.
    seed : int, default=0

    Returns
    -------
    splits : list of Split
    notes : dict of str to str
        How each protocol is split, or why it was left out.
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
    if draws_classes(parts):
        drawn, notes["open"] = _drawn(y, test, train, groups, n_open, seed)
        splits += drawn
    if not splits:
        raise ValueError(
            f"split: known classes are {notes['closed']}; classes not trained on are "
            f"{notes['open']}"
        )
    return splits, notes


def _drawn(y, query, gallery, groups, n_open, seed):
    """Draw classes to learn from; the queries of the others search their part of the gallery."""
    found = query & (np.bincount(y[gallery], minlength=y.max() + 1)[y] > 0)
    classes = np.unique(y[found])
    if len(classes) < MIN_OPEN_CLASSES:
        return [], (
            f"left out: {_classes(len(classes))} with queries and a gallery are too few; "
            f"{MIN_OPEN_CLASSES} are needed"
        )
    rows = np.flatnonzero(np.isin(y, classes) & (found | gallery))
    n_test = min(len(classes) // 2, len(classes) - MIN_TRAIN_CLASSES)
    disjoint = ClassDisjointShuffleSplit(n_open, test_size=n_test, random_state=seed)
    splits = []
    for fold, (train, test) in enumerate(disjoint.split(y[rows], y[rows])):
        train, test = without_groups_of(rows[train], rows[test], groups), rows[test]
        asked, searched = test[found[test]], test[gallery[test]]
        splits.append(make_split("open", fold, train, asked, groups, searched))
    return splits, (
        f"{n_open} splits of the classes, each fitted on {len(classes) - n_test} and tested on the "
        f"queries of the other {n_test}, searched for among their rows of the gallery"
    )


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
    if n_none := int((parts == NONE).sum()):
        remarks.append(f"{counted(n_none, 'row')} without a part left out")
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
