"""Rows that are copies of others but for some columns, a factor or a constant."""

import numpy as np

from metriclearn._text import counted
from metriclearn.compare._inspect._finding import make_finding
from metriclearn.compare._inspect._rows import near_copies
from metriclearn.compare._inspect._view import joined_groups

# Chance that two rows agree in a column of many values; others say little of a copy.
_FINE = 0.02
_MIN_COLUMNS = 4
_MAX_CELLS = 20_000_000


def find_alike_rows(values):
    """Group rows that are equal but for some columns, or but for a factor or a constant.

    Only tables in which so many equal columns cannot be chance are looked at.

    Parameters
    ----------
    values : ndarray of shape (n, n_columns)
        With NaN for gaps; no two rows are equal.

    Returns
    -------
    groups : ndarray of int, shape (n,)
        Rows that are alike have the same number.
    how : str
        What they differ by; empty where all rows differ.
    """
    n_rows, n_columns = values.shape
    alone = np.arange(n_rows)
    if n_rows < 20 or n_columns < _MIN_COLUMNS or values.size > _MAX_CELLS:
        return alone, ""
    codes = np.empty(values.shape, dtype=np.uint64)
    chance = np.empty(n_columns)
    for j, column in enumerate(values.T):
        places = np.unique(column, return_inverse=True)[1].reshape(-1)
        codes[:, j] = places
        chance[j] = np.sum((np.bincount(places) / n_rows) ** 2)
    fine = chance <= _FINE
    evidence = np.sort(-np.log(chance[fine]))
    enough = 2 * np.log(n_rows) + 7
    if fine.sum() < _MIN_COLUMNS or evidence[:-1].sum() < enough:
        return alone, ""
    weights = np.random.RandomState(0).randint(1, 2**63 - 1, n_columns).astype(np.uint64)
    terms = codes * weights  # hashes: sums that wrap around
    whole = terms.sum(axis=1, dtype=np.uint64)
    groups = None
    for j in range(n_columns):
        rest = np.unique(whole - terms[:, j], return_inverse=True)[1].reshape(-1)
        if rest.max() + 1 < n_rows:
            groups = joined_groups(groups, rest)
    if groups is not None:
        return groups, "one column"
    groups = _mostly_equal(codes, np.where(fine, -np.log(chance), 0), enough)
    if len(np.unique(groups)) < n_rows:
        return groups, "some columns, fewer than half"
    numbers = values[:, fine]
    if np.isnan(numbers).any():
        return alone, ""
    lengths = np.sqrt(np.einsum("ij,ij->i", numbers, numbers))
    if lengths.min() > 0:
        groups = near_copies(numbers / lengths[:, None])
        if len(np.unique(groups)) < n_rows:
            return groups, "a factor"
    groups = near_copies(numbers - numbers.mean(axis=1, keepdims=True))
    return (groups, "a constant") if len(np.unique(groups)) < n_rows else (alone, "")


def _mostly_equal(codes, evidence, enough):
    """Group rows that agree in half of the columns, by so much that it is no chance.

    Rows that agree in two neighboring columns are looked at whole.
    """
    n_rows = len(codes)
    groups = np.arange(n_rows)
    order = np.argsort(-evidence, kind="stable")
    for i, j in zip(order[:-1:2], order[1::2], strict=False):
        if evidence[j] == 0:
            break
        pair = codes[:, i] * np.uint64(n_rows + 1) + codes[:, j]
        _, first, places, counts = np.unique(
            pair, return_index=True, return_inverse=True, return_counts=True
        )
        places = places.reshape(-1)
        rows = np.flatnonzero((counts[places] > 1) & (first[places] != np.arange(n_rows)))
        other = first[places[rows]]
        equal = codes[rows] == codes[other]
        alike = (equal.mean(axis=1) >= 0.5) & (equal @ evidence >= enough)
        if alike.any():
            edges = np.arange(n_rows)
            edges[rows[alike]] = other[alike]
            groups = joined_groups(groups, edges)
    return groups


def check_alike(groups, how, places):
    """Say how many rows are copies of others but for something.

    Parameters
    ----------
    groups : ndarray of int, shape (n,)
    how : str
        Of ``find_alike_rows``.
    places : ndarray of int, shape (n,)
        Where each row stands among all.

    Returns
    -------
    Finding
    """
    first = np.unique(groups, return_index=True)[1]
    later = np.ones(len(groups), dtype=bool)
    later[first] = False
    number = int(later.sum())
    return make_finding(
        "duplicates",
        f"{counted(number, 'row is', 'rows are')} equal to an earlier row but for {how}.",
        "Such rows stay on one side of every split.",
        rows=places[later],
    )
