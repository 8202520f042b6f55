"""Columns that were made class by class: scores and ranks within a class, gaps filled by its mean.

What holds in every class to the last digit is no accident.
"""

import numpy as np

from metriclearn.compare._inspect._finding import listed
from metriclearn.compare._inspect._giveaways import giveaway

_MIN_ROWS = 20
_EXACT = 1e-7


def check_within(view, codes):
    """Find columns of numbers that were made with the help of the classes.

    Parameters
    ----------
    view : View
        All rows, also equal ones.
    codes : ndarray of int, shape (n,)

    Returns
    -------
    list of Finding
    """
    codes = np.unique(codes, return_inverse=True)[1].reshape(-1)
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    if len(codes) < _MIN_ROWS or len(sizes) < 2 or sizes.min() < 4:
        return []
    parts = np.split(order, np.cumsum(sizes)[:-1])
    names = {text: [] for _, text in _MADE}
    for j in np.flatnonzero(view.complete_numbers()):
        column = view.values[:, j]
        if column.min() == column.max():
            continue
        classes = [column[part] for part in parts]
        for was_made, text in _MADE:
            if was_made(classes, column):
                names[text].append(view.names[j])
                break
    return [
        giveaway(f"{listed(found)} {text.format('is' if len(found) == 1 else 'are')}", found)
        for text, found in names.items()
        if found
    ]


def _is_centered(classes, column):
    """Whether the mean is 0 in each class, and no value is 0 as often as in balanced codes."""
    scale = column.std()
    continuous = len(np.unique(column)) > 0.5 * len(column)
    return continuous and all(abs(part.mean()) <= _EXACT * scale for part in classes)


def _is_ranked(classes, _):
    """Whether the values of each class are 1, 2, 3, ..., or shares of the last.

    Those of small classes of one size may be the steps of an experiment.
    """
    sizes = {len(part) for part in classes}
    if len(sizes) == 1 and min(sizes) < 30:
        return False
    for part in classes:
        ranks = np.sort(part)
        step = (ranks[-1] - ranks[0]) / (len(ranks) - 1)
        if step <= 0 or np.abs(np.diff(ranks) - step).max() > _EXACT * step:
            return False
    return True


def _is_filled(classes, column):
    """Whether a value stands in one class alone, again and again, and is the mean of its others."""
    scale, n_filled = column.std(), 0
    for part in classes:
        values, counts = np.unique(part, return_counts=True)
        value, n_equal = values[counts.argmax()], counts.max()
        others = part[part != value]
        if n_equal < 3 or len(np.unique(others)) < 4:
            continue
        if abs(others.mean() - value) > _EXACT * scale or np.sum(column == value) > n_equal:
            return False
        n_filled += 1
    return n_filled >= 2


_MADE = (
    (_is_ranked, "{} numbered within each class: made of the labels that are to be told."),
    (
        _is_centered,
        "{} 0 in the mean of each class, as where values are standardized class by class: made of "
        "the labels that are to be told.",
    ),
    (
        _is_filled,
        "{} in many rows of a class the mean of its others, as where gaps are filled class by "
        "class: made of the labels that are to be told.",
    ),
)
