"""Train, validation and test classes: the honest protocol of the open set."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from metriclearn._types import Seed
from metriclearn._unused import warn_unused
from metriclearn.model_selection._disjoint import encode_classes, rows_of

# What papers do: the second half of the classes is the test part.
PRESETS = {
    "fixed": {"test_size": 0.5, "validation_size": 0.1, "validation": "random"},
    "ten_folds": {"test_size": 0.5, "n_folds": 10, "validation": "random"},
}
CHOICES = ("last", "random")


class OpenSetSplit:
    """Split rows by class into train, validation and test.

    Hyperparameters and the epoch to stop at are chosen on the validation classes, and the
    test classes are used once. Tuning on test classes made many published results too
    good [1]_. Splits have three parts, so they cannot be the ``cv`` of a search of
    scikit-learn; use :class:`ClassDisjointKFold` there, on the rows that are not tested on.

    Parameters
    ----------
    test_size : float or int, default=0.5
        Fraction or number of classes in the test part. By default the second half of
        the classes, in sorted order: the split of CUB-200, Cars196 and Stanford Online
        Products in papers.
    validation_size : float or int, default=0.1
        Fraction of the other classes, or their number, in the validation part. Not used with
        ``n_folds``.
    n_folds : int, default=None
        Number of splits. All have the same test part, and each has another fold of the
        other classes as validation part: 10 for ten class folds.
    shuffle : bool, default=False
        Whether to deal the classes at random instead of in sorted order.
    validation : {"last", "random"}, default="last"
        Which of the classes that are not tested on validate: the last of them in sorted order, or
        some at random, with the test part as it is. Neighboring classes are often alike (birds of
        one family), so that the last say less of the test part than some of all.
    random_state : int, RandomState instance or None, default=None
        Only with ``shuffle=True`` or ``validation="random"``.

    See Also
    --------
    ClassDisjointKFold : A ``cv`` for the searches of scikit-learn.
    ClassDisjointShuffleSplit : Random splits into two parts.

    References
    ----------
    .. [1] Musgrave, K., Belongie, S. & Lim, S.-N. "A metric learning reality check",
       ECCV 2020. :doi:`10.1007/978-3-030-58595-2_41`

    Examples
    --------
    >>> from metriclearn.model_selection import OpenSetSplit
    >>> X, y = [[0]] * 8, list("abcdabcd")
    >>> for train, validation, test in OpenSetSplit(validation_size=1).split(X, y):
    ...     print(train, validation, test)
    [0 4] [1 5] [2 3 6 7]
    """

    def __init__(
        self,
        *,
        test_size: float | int = 0.5,
        validation_size: float | int = 0.1,
        n_folds: int | None = None,
        shuffle: bool = False,
        validation: str = "last",
        random_state: Seed = None,
    ) -> None:
        self.test_size = test_size
        self.validation_size = validation_size
        self.n_folds = n_folds
        self.shuffle = shuffle
        self.validation = validation
        self.random_state = random_state

    @classmethod
    def preset(cls, name: str, *, random_state: Seed = 0) -> OpenSetSplit:
        """Make a split by name.

        All have the second half of the classes, in sorted order, as test part: the split of
        CUB-200, Cars196 and Stanford Online Products in papers.

        Parameters
        ----------
        name : {"fixed", "ten_folds"}
            How the first half is parted: ``"fixed"`` is 90% of its classes to train on and
            10%, drawn at random, to validate on; ``"ten_folds"`` ten splits, each with another
            random tenth of the classes as validation part.
        random_state : int, RandomState instance or None, default=0
            Of that draw; the test part does not depend on it.

        Returns
        -------
        OpenSetSplit

        Raises
        ------
        ValueError
            If there is no such preset.

        Examples
        --------
        >>> from metriclearn.model_selection import OpenSetSplit
        >>> X, y = [[0]] * 80, 2 * list(range(40))
        >>> (parts,) = OpenSetSplit.preset("fixed").split(X, y)
        >>> [len(part) for part in parts]
        [36, 4, 40]
        """
        if name not in PRESETS:
            raise ValueError(f"preset={name!r} is unknown; there are: {', '.join(PRESETS)}")
        return cls(**PRESETS[name], random_state=random_state)

    def split(
        self, X: ArrayLike, y: ArrayLike
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Generate row indices of the three parts.

        Parameters
        ----------
        X : array-like of shape (n, ...)
        y : array-like of shape (n,)
            Class labels.

        Yields
        ------
        train, validation, test : ndarray of int
            Rising row numbers.

        Raises
        ------
        ValueError
            If a part would have no class.
        """
        codes, n_classes = encode_classes(X, y, type(self).__name__)
        if n_classes < 3:
            raise ValueError(
                f"y has {n_classes} classes, at least 3 are needed: one to train on, one to "
                f"validate on and one to test on"
            )
        if self.validation not in CHOICES:
            raise ValueError(f"validation must be one of {CHOICES}, got {self.validation!r}")
        unused = {}
        if self.n_folds is not None:
            unused["validation_size"] = "without n_folds"
        if not self.shuffle and self.validation == "last":
            unused["random_state"] = "with shuffle=True or validation='random'"
        warn_unused(self, unused)
        rng = check_random_state(self.random_state)
        order = np.arange(n_classes)
        if self.shuffle:
            order = rng.permutation(order)
        n_test = _count("test_size", self.test_size, n_classes, n_others=2)
        seen, test = order[: n_classes - n_test], order[n_classes - n_test :]
        if self.validation == "random":
            seen = rng.permutation(seen)
        if self.n_folds is None:
            folds = [seen[len(seen) - _count("validation_size", self.validation_size, len(seen)) :]]
        elif 2 <= self.n_folds <= len(seen):
            folds = np.array_split(seen, self.n_folds)
        else:
            raise ValueError(
                f"n_folds={self.n_folds} must be from 2 to {len(seen)}, the classes that are not "
                f"in the test part"
            )
        for validation in folds:
            train = np.setdiff1d(seen, validation)
            yield tuple(rows_of(codes, classes) for classes in (train, validation, test))

    def get_n_splits(self, X: ArrayLike | None = None, y: ArrayLike | None = None) -> int:
        """Return the number of splits; the arguments are ignored.

        Returns
        -------
        int
        """
        return 1 if self.n_folds is None else self.n_folds

    def __repr__(self):
        arguments = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"


def _count(name, size, n_classes, n_others=1):
    """Turn a fraction of classes into their number, which leaves ``n_others`` other parts one."""
    most = n_classes - n_others
    if isinstance(size, Integral):
        count = int(size)
    else:
        count = min(max(1, round(size * n_classes)), most) if 0 < size < 1 else 0
    if not 1 <= count <= most:
        raise ValueError(
            f"{name}={size!r} of {n_classes} classes leaves a part without a class; give a "
            f"fraction between 0 and 1, or a number from 1 to {most}"
        )
    return count
