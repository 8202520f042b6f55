"""Splits that keep the rows of a group on one side."""

import warnings

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold


def stratified_group_folds(y, groups, n_splits, seed):
    """Yield stratified folds that keep whole groups.

    Rows that are a group of their own are dealt as
    :class:`~sklearn.model_selection.StratifiedKFold` does, which is much faster for many of them,
    the others as :class:`~sklearn.model_selection.StratifiedGroupKFold` does.

    Parameters
    ----------
    y : ndarray of int, shape (n,)
        Classes.
    groups : ndarray of int, shape (n,), or None
        None for every row on its own.
    n_splits : int
    seed : int

    Yields
    ------
    train, test : ndarray of int
        Rising row numbers.

    Examples
    --------
    >>> import numpy as np
    >>> y, groups = np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 2, 3, 3])
    >>> for train, test in stratified_group_folds(y, groups, 2, seed=0):
    ...     print(len(test), set(groups[train]) & set(groups[test]))
    4 set()
    4 set()
    """
    if groups is None:
        yield from StratifiedKFold(n_splits, shuffle=True, random_state=seed).split(y, y)
        return
    _, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
    alone = counts[codes.reshape(-1)] == 1
    if np.bincount(y[alone], minlength=1).max() < n_splits:
        alone[:] = False
    elif len(np.unique(groups[~alone])) < n_splits:
        # A few groups are dealt by size alone.
        fold_of = _deal(groups, alone, n_splits, seed)
        yield from _folds(fold_of + _single_folds(y, alone, n_splits, seed), n_splits)
        return
    fold_of = np.zeros(len(y), dtype=np.intp)
    rows = np.flatnonzero(~alone)
    if len(rows):
        splitter = StratifiedGroupKFold(n_splits)
        names = _shuffled(groups[rows], seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes with fewer rows than folds
            for fold, (_, test) in enumerate(splitter.split(rows, y[rows], names)):
                fold_of[rows[test]] = fold
    yield from _folds(fold_of + _single_folds(y, alone, n_splits, seed), n_splits)


def _shuffled(groups, seed):
    """Return numbers from 0 in place of groups, dealt by chance.

    StratifiedGroupKFold does so with ``shuffle=True``; before scikit-learn 1.8 it shuffled the
    class counts away from their groups, and its folds were not stratified.
    """
    _, codes = np.unique(groups, return_inverse=True)
    codes = codes.reshape(-1)
    return np.argsort(np.random.RandomState(seed).permutation(codes.max() + 1))[codes]


def _single_folds(y, alone, n_splits, seed):
    fold_of = np.zeros(len(y), dtype=np.intp)
    rows = np.flatnonzero(alone)
    if len(rows):
        splitter = StratifiedKFold(n_splits, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as above
            for fold, (_, test) in enumerate(splitter.split(rows, y[rows])):
                fold_of[rows[test]] = fold
    return fold_of


def _deal(groups, alone, n_splits, seed):
    fold_of = np.zeros(len(groups), dtype=np.intp)
    names = np.unique(groups[~alone])
    folds = np.random.RandomState(seed).permutation(n_splits)[: len(names)]
    for name, fold in zip(names, folds, strict=True):
        fold_of[groups == name] = fold
    return fold_of


def _folds(fold_of, n_splits):
    for fold in range(n_splits):
        yield np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)


def without_groups_of(rows, others, groups):
    """Return the rows that share no group with others.

    Examples
    --------
    >>> without_groups_of(np.array([0, 1, 2]), np.array([3]), np.array([7, 8, 9, 8]))
    array([0, 2])
    """
    if groups is None:
        return rows
    return rows[~np.isin(groups[rows], groups[others])]
