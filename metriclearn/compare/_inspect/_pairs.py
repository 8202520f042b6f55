"""Two columns that tell the label together, though neither tells anything alone.

Columns of few values are looked at as they are, others by the half that each value is in; the
label that prevails where two values meet is learned from one half of the rows and tested on the
other. Differences, sums, ratios and products of numbers are looked at where they take few values.
"""

from itertools import combinations

import numpy as np

from metriclearn._arrays import count_classes
from metriclearn.compare._inspect._finding import listed
from metriclearn.compare._inspect._giveaways import beyond_chance, giveaway
from metriclearn.compare._inspect._view import NUMBER

_MAX_ROWS = 2000
# Values of a column that are looked at one by one, and of all columns together.
_MAX_VALUES, _ALL_VALUES = 48, 600
_MAX_CLASSES = 50
# Of more columns, pixels for instance, some two nearly tell one class together by accident.
_MAX_COLUMNS = 300
# From 0 for chance to 1: what two columns tell where neither tells more than the other number.
_TOGETHER, _ALONE = 0.88, 0.25
_TOGETHER_OF_MANY = 0.97
_MAX_NUMBERS = 64
_MIN_ROWS = 8  # of a class, and of the others, in either half


def check_pairs(view, codes):
    """Find two columns that tell the label together and not alone, as parts of an XOR do.

    Parameters
    ----------
    view : View
        Distinct rows.
    codes : ndarray of int, shape (n,)

    Returns
    -------
    list of Finding
    """
    rows = np.random.RandomState(0).permutation(len(codes))[:_MAX_ROWS]
    codes = np.unique(codes[rows], return_inverse=True)[1].reshape(-1)
    n_classes, half = codes.max() + 1, len(rows) // 2
    columns, starts, levels = _levels(view, rows)
    if not 2 <= n_classes <= _MAX_CLASSES or not 2 <= len(columns) <= _MAX_COLUMNS:
        return []
    parts = slice(half), slice(half, None)
    both = [levels[part].T @ levels[part] for part in parts]
    best = _TOGETHER if len(view.names) <= _MAX_COLUMNS else _TOGETHER_OF_MANY, None
    for c in range(n_classes - (n_classes == 2)):
        counts = [np.bincount(codes[part] == c, minlength=2) for part in parts]
        if min(map(min, counts)) < _MIN_ROWS or not beyond_chance(counts[1], len(columns) ** 2):
            continue
        inside = [levels[part][codes[part] == c] for part in parts]
        inside = [marks.T @ marks for marks in inside]
        # Relative to the class and to the others, so that a large one does not prevail.
        of_class, of_others = (
            [part[k] / counts[k][place] for k in range(2)]
            for part, place in (
                (inside, 1),
                ([all_ - part for all_, part in zip(both, inside, strict=True)], 0),
            )
        )
        right = np.where(of_class[0] > of_others[0], of_class[1], 0)
        right += np.where(of_others[0] > of_class[0], of_others[1], 0)
        right = np.add.reduceat(np.add.reduceat(right, starts, axis=0), starts, axis=1)
        alone = np.diag(right) - 1
        together = np.where(np.maximum(alone[:, None], alone) <= _ALONE, right - 1, 0)
        i, j = np.unravel_index(together.argmax(), together.shape)
        if i != j and together[i, j] >= best[0]:
            best = together[i, j], sorted((i, j))
    if best[1] is None:
        return []
    names = [view.names[columns[place]] for place in best[1]]
    what = "the label" if n_classes == 2 else "one class from the others"
    text = f"Columns {listed(names)} tell {what} together ({(best[0] + 1) / 2:.0%} right), and "
    return [giveaway(f"{text}neither does alone.", names)]


def _levels(view, rows):
    """Return the columns that are looked at, where their values start, and a mark of each."""
    found = []
    for j in range(len(view.names)):
        column = view.values[rows, j]
        values, places = np.unique(column, return_inverse=True)  # gaps are one value, the last
        if len(values) > _MAX_VALUES:
            if view.kinds[j] != NUMBER:
                continue
            present = column[~np.isnan(column)]
            signs = min(np.mean(present > 0), np.mean(present < 0)) > 0.1
            middle = 0 if signs else np.median(present)
            places = np.where(np.isnan(column), 2, (column > middle).astype(int))
            places = np.unique(places, return_inverse=True)[1]
        n_values = int(places.max()) + 1
        if n_values > 1:
            found.append((n_values, j, places.reshape(-1)))
    found.sort(key=lambda each: each[:2])
    ends = np.cumsum([n_values for n_values, *_ in found], dtype=int)
    found = found[: np.searchsorted(ends, _ALL_VALUES, side="right")]
    starts = np.r_[0, ends[: max(0, len(found) - 1)]][: len(found)]
    marks = np.zeros((len(rows), ends[len(found) - 1] if found else 0), dtype=np.float32)
    for (_, _, places), start in zip(found, starts, strict=True):
        marks[np.arange(len(rows)), start + places] = 1
    return [j for _, j, _ in found], starts, marks


def check_steps(view, codes):
    """Find two numbers whose sum, difference, product or ratio is one value a class, with errors.

    Parameters
    ----------
    view : View
    codes : ndarray of int, shape (n,)

    Returns
    -------
    list of Finding
    """
    n_classes = len(np.unique(codes))
    rows = np.random.RandomState(0).permutation(len(codes))[:_MAX_ROWS]
    values, codes = view.values[rows], codes[rows]
    most = n_classes + 2
    columns = [
        j
        for j in np.flatnonzero(view.complete_numbers())
        if len(np.unique(values[:64, j])) > 2 * most
    ][:_MAX_NUMBERS]
    for what, combine in _COMBINED.items():
        usable = [j for j in columns if what not in _OF_POSITIVE or (values[:, j] > 0).all()]
        for i, j in combinations(usable, 2):
            if _n_steps(combine(values[:64, i], values[:64, j])) > most:
                continue
            combined = combine(values[:, i], values[:, j])
            steps = np.unique(_rounded(combined), return_inverse=True)[1].reshape(-1)
            if steps.max() >= 4 * most:
                continue
            table = count_classes(steps, codes, (steps.max() + 1, codes.max() + 1))
            table = table[:, table.any(axis=0)]
            right = np.mean(
                [
                    table[table.argmax(axis=1) == c, c].sum() / table[:, c].sum()
                    for c in range(table.shape[1])
                ]
            )
            if (right - 1 / n_classes) / (1 - 1 / n_classes) >= _TOGETHER:
                names = [view.names[i], view.names[j]]
                text = f"The {what} of columns {listed(names)} is nearly one value for each class"
                return [giveaway(f"{text} ({right:.0%} right).", names)]
    return []


_COMBINED = {
    "difference": np.subtract,
    "sum": np.add,
    "ratio": np.divide,
    "product": np.multiply,
}
_OF_POSITIVE = ("ratio", "product")


def _rounded(values):
    return np.round(values / max(np.abs(values).max(), 1e-300), 9)


def _n_steps(values):
    return len(np.unique(_rounded(values)))
