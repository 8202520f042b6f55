"""What is remarkable about the labels."""

import re
import unicodedata
from dataclasses import replace

import numpy as np

from metriclearn._text import counted, option
from metriclearn.compare._inspect._finding import listed, make_finding

# From this ratio of the largest class to the smallest, accuracy says little about the small one.
MIN_IMBALANCE = 3.0


def check_labels(labels, *, target="y", min_rows=5, is_amount=None):
    """Find what is remarkable about class labels.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Integers, floats, booleans or strings; none missing.
    target : str, default="y"
        Name of the target column.
    min_rows : int, default=5
        Classes with fewer rows are small.
    is_amount : bool, default=None
        Whether they are taken for amounts, whatever they look like.

    Returns
    -------
    list of Finding
    """
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    columns = [] if target == "y" else [target]
    amount = _amount(classes, counts, columns, target)
    if is_amount is False and amount is not None:
        amount = replace(amount, action="Each number is taken for a class, as asked.")
    elif is_amount or amount is not None:
        return [] if amount is None else [amount]
    codes = codes.reshape(-1)
    found = [
        _similar_names(classes, codes, columns),
        _imbalance(classes[counts >= min_rows], counts[counts >= min_rows], columns),
        _small(classes, counts, codes, columns, min_rows),
    ]
    return [finding for finding in (amount, *found) if finding is not None]


def is_amount(labels):
    """Whether labels are amounts: numbers of which most are there once or twice.

    Examples
    --------
    >>> is_amount(np.arange(100) ** 2), is_amount(np.arange(100) % 10)
    (True, False)
    """
    classes, counts = np.unique(labels, return_counts=True)
    return _amount(classes, counts, [], "y") is not None


def _amount(classes, counts, columns, target):
    if classes.dtype.kind not in "iuf" or len(classes) < 3:
        return None
    broken = classes.dtype.kind == "f" and bool((classes != np.floor(classes)).any())
    n_rows = counts.sum()
    scarce = np.median(np.repeat(counts, counts)) < 3 or np.median(counts) < 2
    gaps = np.diff(np.sort(classes))
    spread = len(classes) >= 30 and bool((gaps != gaps[0]).any()) and np.mean(counts < 5) > 0.2
    many = len(classes) > 20 and len(classes) > 0.02 * n_rows
    if not ((len(classes) > 10 and (scarce or spread)) or (broken and many)):
        return None
    name = "The target" if not columns else f"The target {target!r}"
    return make_finding(
        "amount_target",
        f"{name} is an amount, not classes: {counted(len(classes), 'different number')} from "
        f"{classes[0]:g} to {classes[-1]:g} in {counted(int(n_rows), 'row')}.",
        f"Metrics are compared by the regression of their nearest neighbors; "
        f"{option('task', 'classes')} takes each number for a class.",
        columns=columns,
    )


def fold_name(name):
    r"""Return a class name without what is hard to see: blanks, case, accents, dashes, ligatures.

    Examples
    --------
    >>> fold_name(" Iris\u00a0 Setosa"), fold_name("iris_setosa"), fold_name("1.0")
    ('iris setosa', 'iris setosa', '1')
    >>> fold_name("CAFE") == fold_name("Café")
    True
    """
    plain = unicodedata.normalize("NFKD", str(name))
    # Accents, but not the vowels that other scripts write as marks; what nobody sees.
    plain = re.sub(r"[\u0300-\u036f\u200b-\u200f\ufeff\u00ad]", "", plain)
    plain = unicodedata.normalize("NFC", plain)
    plain = " ".join(plain.split()).casefold()
    plain = (
        re.sub(r" ?(?:[*\u2020\u2021\u00a7\u00b6]+|\[[\da-z]{1,2}\])$", "", plain) or plain
    )  # note
    if re.fullmatch(r"[+-]?\d+(\.\d*)?", plain):
        return f"{float(plain):.15g}"
    return re.sub(r"(?<=\w) ?[_\u2010-\u2015-] ?(?=\w)", " ", plain.replace("_", " "))


def _similar_names(classes, codes, columns):
    if classes.dtype.kind not in "US":
        return None
    folded = {}
    for i, name in enumerate(classes):
        folded.setdefault(fold_name(name), []).append(i)
    alike = {name: places for name, places in folded.items() if len(places) > 1}
    if not alike:
        return None
    groups = "; ".join(
        f"{listed([classes[i] for i in places], 4)}" for places in list(alike.values())[:5]
    )
    more = f"; and {len(alike) - 5} more" if len(alike) > 5 else ""
    rows = np.flatnonzero(np.isin(codes, [i for places in alike.values() for i in places[1:]]))
    return make_finding(
        "similar_class_names",
        f"{counted(len(classes), 'class', 'classes')} would be {len(folded)} but for blanks, "
        f"case, accents, dashes or marks: {groups}{more}.",
        "Kept apart; make the names equal if they mean the same.",
        columns=columns,
        rows=rows,
    )


def _imbalance(classes, counts, columns):
    if len(classes) < 2:
        return None
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    if counts[largest] < MIN_IMBALANCE * counts[smallest]:
        return None
    share = counts[largest] / counts.sum()
    if len(classes) <= 8:
        sizes = ", ".join(
            f"{name} {counts[i]:,}"
            for i, name in ((i, str(classes[i])) for i in np.argsort(-counts))
        )
    else:
        sizes = (
            f"{counts[largest]:,} ({classes[largest]}) to {counts[smallest]:,} "
            f"({classes[smallest]})"
        )
    return make_finding(
        "imbalance",
        f"The classes differ in size: {sizes}. Always answering {str(classes[largest])!r} is right "
        f"in {_percent(share)} of the rows.",
        "Balanced accuracy counts every class alike.",
        columns=columns,
    )


def _percent(share):
    return f"{share:.1%}" if share < 0.995 else f"{np.floor(share * 1e4) / 1e4:.2%}"


def _small(classes, counts, codes, columns, min_rows):
    small = np.flatnonzero(counts < min_rows)
    if len(small) == 0 or len(small) == len(classes):
        return None
    names = [f"{classes[i]} ({counts[i]})" for i in small]
    rows = np.flatnonzero(np.isin(codes, small))
    one = len(small) == 1
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return make_finding(
        "small_classes",
        f"{counted(len(small), 'class has', 'classes have')} fewer than {min_rows} rows: {shown}.",
        f"{'Its' if one else 'Their'} {counted(len(rows), 'row')} cannot be tested on, but stay "
        f"among the neighbors that are searched; {option('min_rows')} sets the limit.",
        columns=columns,
        rows=rows,
    )


def query_mask(labels, min_rows=5):
    """Return which rows are of classes large enough to be tested on.

    Parameters
    ----------
    labels : ndarray of shape (n,)
    min_rows : int, default=5

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> query_mask(np.array([5, 5, 5, 9]), min_rows=2)
    array([ True,  True,  True, False])
    """
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return counts[codes.reshape(-1)] >= min_rows
