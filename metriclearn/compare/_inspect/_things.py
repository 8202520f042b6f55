"""What was measured repeatedly, by parts of ids or by attributes that do not change."""

import re
from itertools import combinations

import numpy as np

from metriclearn._arrays import count_classes
from metriclearn._text import counted, option
from metriclearn.compare._inspect._finding import listed, make_finding

# Share of the rows that are of the class of their thing.
_PURE = 0.99
_MAX_ROWS, _MAX_COLUMNS = 20_000, 24

_STEMS = (
    re.compile(r"(.*\d)[^\W\d]{1,2}"),  # patient 7b
    re.compile(r"(.*[^\W_])[\W_]+[^\W_]+\W?"),  # S01_trial3, S01 (3)
    re.compile(r"(.*[^\W\d])\d+"),  # S01t3
    re.compile(r".*[^\W_][\W_]+([^\W_]+)\W?"),  # 3@S01
    re.compile(r".*\d([^\W\d]+\d+)"),  # t3S01
)


def check_stems(name, words, values, codes):
    """Find ids whose first or last part names a thing of one class that was measured repeatedly.

    Parameters
    ----------
    name : str
    words : list of str
    values : ndarray of shape (n,)
        Place of each row's word.
    codes : ndarray of int, shape (n,)

    Returns
    -------
    Finding or None
    """
    there = ~np.isnan(values)
    rows = values[there].astype(np.intp)
    bare = [re.sub(r"\.[a-zA-Z]\w{1,3}$", "", word) for word in words]
    # What looks like the ending of a file may be the number of a recording: subj7.rec3.
    for stem, texts in [(s, bare) for s in _STEMS] + [(s, words) for s in _STEMS if bare != words]:
        matches = [stem.fullmatch(text) for text in texts]
        if not all(matches):
            continue
        stems, of_word = np.unique([match[1] for match in matches], return_inverse=True)
        things, least = of_word.reshape(-1)[rows], max(8, 3 * len(np.unique(codes)))
        if not least <= len(stems) <= len(rows) / 2 or np.median(np.bincount(things)) < 2:
            continue
        if _purity(things, codes[there]) >= _PURE:
            part = "last" if stem in _STEMS[3:] else "first"
            return _named_things(name, len(stems), f"the {part} part of its texts", stems[:2])
    return None


def _purity(things, codes):
    """Share of rows that are of the class that prevails in their thing."""
    table = count_classes(things, codes, (things.max() + 1, codes.max() + 1))
    return table.max(axis=1).sum() / len(things)


def _named_things(name, number, where, shown):
    return make_finding(
        "repeated_measurements",
        f"Column {name!r} names {counted(number, 'thing')} in {where} ({listed(shown)}, ...), each "
        f"in several rows of one class.",
        "Rows of one thing may be in training and test; write that part into a column of its own, "
        f"and {option('groups', 'COL')} keeps them together.",
        columns=[name],
    )


def check_leading_digits(name, values, codes):
    """Find ids of numbers whose first digits name a thing, and whose last its measurements.

    Parameters
    ----------
    name : str
    values : ndarray of shape (n,)
    codes : ndarray of int, shape (n,)

    Returns
    -------
    Finding or None

    Examples
    --------
    >>> numbers = np.array([100 * person + take for person in range(1, 13) for take in (1, 2, 3)])
    >>> check_leading_digits("id", numbers, np.repeat([0, 1] * 6, 3)).text[:27]
    "Column 'id' names 12 things"
    """
    if np.isnan(values).any() or (values != np.floor(values)).any() or values.min() < 0:
        return None
    if len(np.unique(values)) < len(values) or values.max() > 1e15:
        return None
    for base in (10, 100, 1000):
        things, takes = np.divmod(values.astype(np.int64), base)
        stems, of_row = np.unique(things, return_inverse=True)
        least = max(8, 3 * len(np.unique(codes)))
        again = np.bincount(takes)[takes.min() :]
        # Ids that go through all digits were given one after the other, class by class maybe.
        in_order = takes.min() <= 1 and again.all() and len(again) <= 0.85 * base
        if not least <= len(stems) <= len(values) / 2 or not in_order:
            continue
        if np.median(again) < 0.5 * len(stems):
            continue
        if _purity(of_row.reshape(-1), codes) >= _PURE:
            return _named_things(name, len(stems), "its first digits", stems[:2])
    return None


def check_static(view, codes):
    """Find two columns that name a thing together: equal in all its rows, as age and height are.

    Parameters
    ----------
    view : View
        All rows, also equal ones.
    codes : ndarray of int, shape (n,)

    Returns
    -------
    list of Finding
    """
    n_rows, n_classes = len(codes), len(np.unique(codes))
    least = max(8, 3 * n_classes)
    if n_rows < 40 or n_rows > _MAX_ROWS or np.bincount(codes).max() > 0.9 * n_rows:
        return []
    columns = []
    for j, values in enumerate(view.values.T):
        places = np.unique(values, return_inverse=True)[1].reshape(-1)
        n_values = places.max() + 1
        if 4 <= n_values <= n_rows / 2 and _purity(places, codes) < _PURE:
            columns.append((n_values, j, places))
    columns.sort(key=lambda each: -each[0])
    shuffled = np.random.RandomState(0).permutation(n_rows)
    for (n_one, i, one), (n_other, j, other) in combinations(columns[:_MAX_COLUMNS], 2):
        pairs, things, sizes = np.unique(
            one * n_other + other, return_inverse=True, return_counts=True
        )
        if not least <= len(pairs) <= n_rows / 2 or sizes[sizes > 1].sum() < 0.95 * n_rows:
            continue
        if len(pairs) > 2 * max(n_one, n_other):  # they say little of each other
            continue
        by_chance = len(np.unique(one * n_other + other[shuffled]))
        if len(pairs) > 0.5 * by_chance or _purity(things.reshape(-1), codes) < _PURE:
            continue
        names = [view.names[i], view.names[j]]
        return [
            make_finding(
                "repeated_measurements",
                f"Columns {listed(names)} are the same in the rows of {len(pairs):,} things, of "
                f"{n_rows / len(pairs):.0f} rows or so and one class each: together they may name "
                f"what was measured repeatedly.",
                "Rows of one thing may be in training and test; write both into one column, and "
                f"{option('groups', 'COL')} keeps them together.",
                columns=names,
            )
        ]
    return []
