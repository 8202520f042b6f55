"""Splits of rows by whole classes, or by whole groups."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import (
    BaseCrossValidator,
    KFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from sklearn.utils import indexable

from metriclearn._types import Seed
from metriclearn._validation import check_classes


def encode_classes(X, y, splitter):
    """Return the number of each row's class in sorted order, and the number of classes."""
    if y is None:
        raise ValueError(f"y is missing: {splitter} splits by class labels")
    X, y = indexable(X, y)
    check_classes(y)
    classes, codes = np.unique(y, return_inverse=True)
    return codes.reshape(-1), len(classes)


def rows_of(codes, classes):
    """Return the rows of some classes, rising."""
    return np.flatnonzero(np.isin(codes, classes))


class _ClassDisjointSplitter(BaseCrossValidator):
    """A scikit-learn splitter of the classes, read off on the rows."""

    @abstractmethod
    def _class_splitter(self):
        """Return a scikit-learn splitter that will be given one row for each class."""

    def split(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate row indices of the train and test parts.

        Parameters
        ----------
        X : array-like of shape (n, ...)
        y : array-like of shape (n,)
            Class labels; both parts keep whole classes.
        groups : None
            Ignored, for scikit-learn's interface.

        Yields
        ------
        train, test : ndarray of int
            Rising row numbers.

        Raises
        ------
        ValueError
            If there are too few classes for so many parts.
        """
        codes, n_classes = encode_classes(X, y, type(self).__name__)
        try:
            splits = list(self._class_splitter().split(np.arange(n_classes)))
        except ValueError as error:
            raise ValueError(
                f"{type(self).__name__} cannot split the {n_classes} classes of y (they are its "
                f"samples): {error}"
            ) from None
        for parts in splits:
            yield tuple(rows_of(codes, classes) for classes in parts)

    def get_n_splits(
        self,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> int:
        """Return the number of splits; the arguments are ignored."""
        return self.n_splits


class ClassDisjointKFold(_ClassDisjointSplitter):
    """K folds of whole classes: each class is in the test part once [1]_.

    Parameters
    ----------
    n_splits : int, default=5
        From 2 to the number of classes. Folds differ by at most one class.
    shuffle : bool, default=False
        Whether to deal the classes at random; in sorted order by default.
    random_state : int, RandomState instance or None, default=None
        Only with ``shuffle=True``.

    Raises
    ------
    ValueError
        From ``split``, if there are fewer classes than folds.

    See Also
    --------
    ClassDisjointShuffleSplit : Random splits of classes.
    sklearn.model_selection.GroupKFold : Folds of groups instead of classes.

    References
    ----------
    .. [1] Musgrave, K., Belongie, S. & Lim, S.-N. "A metric learning reality check", ECCV, 2020.
       :doi:`10.1007/978-3-030-58595-2_41`

    Examples
    --------
    >>> from metriclearn.model_selection import ClassDisjointKFold
    >>> X, y = [[0]] * 6, ["a", "b", "c", "a", "b", "c"]
    >>> for train, test in ClassDisjointKFold(n_splits=3).split(X, y):
    ...     print(train, test)
    [1 2 4 5] [0 3]
    [0 2 3 5] [1 4]
    [0 1 3 4] [2 5]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: Seed = None,
    ) -> None:
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def _class_splitter(self):
        return KFold(self.n_splits, shuffle=self.shuffle, random_state=self.random_state)


class ClassDisjointShuffleSplit(_ClassDisjointSplitter):
    """Random splits of whole classes, each drawn independently [1]_.

    Parameters
    ----------
    n_splits : int, default=10
        Number of splits.
    test_size : float or int, default=None
        Fraction or number of *classes* in the test part. By default the complement of
        ``train_size``, and 0.5 if that is None as well: half the classes, as is usual in
        metric learning.
    train_size : float or int, default=None
        Fraction or number of classes in the train part.
    random_state : int, RandomState instance or None, default=None
        Seed of the drawing.

    Raises
    ------
    ValueError
        From ``split``, if either part would have no class.

    See Also
    --------
    ClassDisjointKFold : Folds of classes, each tested once.
    OpenSetSplit : With validation classes.

    References
    ----------
    .. [1] Musgrave, K., Belongie, S. & Lim, S.-N. "A metric learning reality check", ECCV, 2020.
       :doi:`10.1007/978-3-030-58595-2_41`

    Examples
    --------
    >>> from metriclearn.model_selection import ClassDisjointShuffleSplit
    >>> X, y = [[0]] * 6, ["a", "b", "c", "a", "b", "c"]
    >>> splitter = ClassDisjointShuffleSplit(n_splits=1, test_size=1, random_state=0)
    >>> [test.tolist() for train, test in splitter.split(X, y)]
    [[2, 5]]
    """

    def __init__(
        self,
        n_splits: int = 10,
        *,
        test_size: float | int | None = None,
        train_size: float | int | None = None,
        random_state: Seed = None,
    ) -> None:
        self.n_splits = n_splits
        self.test_size = test_size
        self.train_size = train_size
        self.random_state = random_state

    def _class_splitter(self):
        test_size = self.test_size
        if test_size is None and self.train_size is None:
            test_size = 0.5
        return ShuffleSplit(
            self.n_splits,
            test_size=test_size,
            train_size=self.train_size,
            random_state=self.random_state,
        )


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
    fold_of = np.empty(len(y), dtype=np.intp)
    if alone.any():
        singles = StratifiedKFold(n_splits, shuffle=True, random_state=seed)
        fold_of[alone] = _dealt(singles, y[alone])
        if len(np.unique(groups[~alone])) < n_splits:
            fold_of[~alone] = _dealt_by_chance(groups[~alone], n_splits, seed)
            alone[:] = True
    if not alone.all():
        names = _shuffled(groups[~alone], seed)
        fold_of[~alone] = _dealt(StratifiedGroupKFold(n_splits), y[~alone], names)
    for fold in range(n_splits):
        yield np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)


def _shuffled(groups, seed):
    """Return numbers from 0 in place of groups, dealt by chance.

    StratifiedGroupKFold does so with ``shuffle=True``; before scikit-learn 1.8 it shuffled the
    class counts away from their groups, and its folds were not stratified.
    """
    _, codes = np.unique(groups, return_inverse=True)
    codes = codes.reshape(-1)
    return np.argsort(np.random.RandomState(seed).permutation(codes.max() + 1))[codes]


def _dealt(splitter, y, groups=None):
    """Return the fold of each row by a splitter of scikit-learn."""
    fold_of = np.empty(len(y), dtype=np.intp)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with fewer rows than folds
        for fold, (_, test) in enumerate(splitter.split(y, y, groups)):
            fold_of[test] = fold
    return fold_of


def _dealt_by_chance(groups, n_splits, seed):
    """Return the fold of each row where there are fewer groups than folds: one group a fold."""
    names, codes = np.unique(groups, return_inverse=True)
    return np.random.RandomState(seed).permutation(n_splits)[: len(names)][codes.reshape(-1)]


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
