"""Labels in the one form that the sampler, the validation and the loss share."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils.multiclass import type_of_target

from metriclearn._validation import UNLABELED, check_class_counts, check_label_kinds, check_labels


@dataclass(frozen=True)
class Labels:
    """The labels of a fit.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        Class of each row, by its place in ``classes``; -1 for a row without a label. All zero
        where the labels are amounts.
    targets : ndarray of shape (n,) or (n, q)
        What the loss compares: the place of each row's class among those that the loss knows,
        or amounts.
    classes : ndarray or None
        The distinct labels, sorted; None where the labels are amounts or there are none.
    """

    codes: np.ndarray
    targets: np.ndarray
    classes: np.ndarray | None

    @classmethod
    def of_classes(cls, y, min_rows, sampler, amounts=False):
        """Encode class labels.

        Parameters
        ----------
        y : ndarray of shape (n,)
            -1 among integers means that a row has no label.
        min_rows : int
            Fewest rows a class may have.
        sampler : str or object
            The argument, named in the error.
        amounts : bool, default=False
            Whether the loss compares the labels themselves.
        """
        labeled = labeled_rows(y)
        try:
            classes, codes = check_labels(y[labeled], min_rows=1)
        except ValueError as error:
            if labeled.all():
                raise
            raise ValueError(
                f"{error} (-1 among integer labels means unlabeled; rename it where it is a class)"
            ) from None
        try:
            check_class_counts(classes, np.bincount(codes), min_rows)
        except ValueError as error:
            raise ValueError(f"{error}, or use sampler='unbalanced' (now {sampler!r})") from None
        everywhere = np.full(len(y), UNLABELED, dtype=np.intp)
        everywhere[labeled] = codes
        # Such a loss may take whole numbers for names of classes.
        targets = y.astype(np.int64 if y.dtype.kind in "iub" else np.float32) if amounts else None
        return cls(everywhere, everywhere if targets is None else targets, classes)

    @classmethod
    def of_amounts(cls, y):
        """Take labels that are amounts: there are no classes to balance or to hold out."""
        return cls(np.zeros(len(y), dtype=np.intp), y.astype(np.float32), None)

    @classmethod
    def of_rows(cls, n):
        """Take each of ``n`` rows for a class of its own: there are no labels."""
        own = np.arange(n)
        return cls(own, own, None)

    def as_known(self, known):
        """Replace targets by the place of each label among the classes that a loss knows.

        Parameters
        ----------
        known : ndarray
            Sorted; a row of another class gets the target -1.
        """
        places = np.searchsorted(known, self.classes).clip(max=len(known) - 1)
        places[known[places] != self.classes] = UNLABELED
        targets = np.where(self.codes < 0, UNLABELED, places[self.codes])
        return replace(self, targets=targets)

    def with_singletons(self, n_known):
        """Make of each row without a label a class of its own, behind the ``n_known`` others."""
        without = self.codes < 0
        own = np.arange(np.count_nonzero(without))
        codes, targets = self.codes.copy(), self.targets.copy()
        codes[without] = len(self.classes) + own
        targets[without] = n_known + own
        return replace(self, codes=codes, targets=targets)

    def values(self):
        """Return the labels as the user gave them; rows without one as -1."""
        if self.classes is None:
            return self.targets
        labeled = (self.codes >= 0) & (self.codes < len(self.classes))
        values = self.classes[np.where(labeled, self.codes, 0)]
        if not labeled.all():
            values[~labeled] = UNLABELED
        return values


def labeled_rows(y):
    """Mask of the rows that have a label: all, unless -1 stands among integers."""
    return y != UNLABELED if y.dtype.kind == "i" else np.ones(len(y), dtype=bool)


def is_continuous(y):
    """Whether labels are amounts rather than classes: floats, whole ones too, or several of a row.

    Parameters
    ----------
    y : ndarray
    """
    return y.dtype.kind == "f" or type_of_target(y) not in ("binary", "multiclass")


def check_known(known, classes):
    """Check that all classes are among those of the first fit.

    Parameters
    ----------
    known : ndarray or None
        Sorted; None where the first fit had no classes.
    classes : ndarray
    """
    if known is None:
        raise ValueError(
            "y has classes, but the first fit was on constraints or amounts; go on with these, or "
            "start again with warm_start=False"
        )
    unknown = np.setdiff1d(classes, known)
    if len(unknown):
        raise ValueError(
            f"y has label {unknown.tolist()[0]!r}, which was not among the classes of the first "
            f"fit, and the loss has learned something of each class; name all of them there: "
            f"partial_fit(X, y, classes=...)"
        )


def check_form(X, y, loss, amounts):
    """Check the form of labels, before scikit-learn, whose errors do not know of metrics.

    Parameters
    ----------
    X, y : array-like
        As given.
    loss : str, class or Module
        The argument, named in the errors.
    amounts : bool
        Whether the loss takes amounts.
    """
    if y is None:
        return  # scikit-learn's own words
    shape, labels = X.shape if isinstance(X, np.ndarray) else (), np.asarray(y)
    signs = labels.dtype.kind in "if" and np.isin(labels, (-1, 1)).all()
    if len(shape) == 3 and shape[1] == 2 and signs:
        raise ValueError(
            f"X of shape {shape} with labels 1 and -1 looks like pairs of points; use X, pairs = "
            f"metriclearn.constraints.constraints_from_tuples(X, y), then fit(X, constraints=pairs)"
        )
    if amounts:
        return
    name = repr(loss) if isinstance(loss, str) else type(loss).__name__
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise ValueError(
            f"y should be a 1d array of class labels for loss={name}, got an array of shape "
            f"{labels.shape}; of an indicator matrix give y.argmax(axis=1); of several amounts a "
            f"row, take loss='log_ratio' or 'label_distance_triplet'"
        )
    check_label_kinds(labels)
    if labels.dtype.kind == "f" and labels.ndim == 1 and type_of_target(labels) == "continuous":
        raise ValueError(
            f"Unknown label type: continuous. loss={name} takes class labels; for amounts take "
            f"loss='log_ratio' or 'label_distance_triplet', or cut them into classes"
        )
