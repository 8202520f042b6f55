"""Marks of the cells that tell one class, whatever their values say.

Gaps, decimals, last digits, the spelling of words, and words within texts.
"""

import re

import numpy as np

from metriclearn._arrays import count_classes
from metriclearn.compare._inspect._finding import listed
from metriclearn.compare._inspect._giveaways import giveaway
from metriclearn.compare._inspect._view import NUMBER

# Balanced accuracy with which a mark tells one class.
TELLS = 0.9
_MAX_DECIMALS = 6
_MAX_WORDS = 5000


def check_marks(view, codes, told):
    """Find marks that are on the rows of one class, and on hardly any others.

    Parameters
    ----------
    view : View
    codes : ndarray of int, shape (n,)
    told : ndarray of bool, shape (n_columns,)
        Columns whose values tell the label, which need no other sign.

    Returns
    -------
    list of Finding
    """
    marks = (
        (_gaps, "Whether {0} a value"),
        (_decimals, "The number of decimals of {1}"),
        (_last_digits, "The last digit of {1}"),
    )
    words = _words_of_one_class(view, codes)
    said = told | np.isin(view.names, [name for each in words for name in each.columns])
    spelling = _spellings, "The spelling of {1} (case, length, first or last sign)"
    found = [
        *_counted_gaps(view, codes),
        *(_told_by(view, codes, told, *mark) for mark in marks),
        _told_by(view, codes, said, *spelling),
        *words,
    ]
    return [finding for finding in found if finding is not None]


def _told_by(view, codes, told, marks_of, text):
    """Columns of which a mark of each cell tells one class, though their values do not."""
    names = [
        view.names[j]
        for j in np.flatnonzero(~told | (marks_of is _gaps))
        if any(
            _tells(mark, codes)
            and (marks_of is _gaps or _tells_values(mark, codes, view.values[:, j]))
            for mark in marks_of(view, j)
        )
    ]
    if not names:
        return None
    has = "column" if len(names) == 1 else "columns"
    verb = "has" if len(names) == 1 else "have"
    shown = f"{has} {listed(names)}"
    text = text.format(f"{shown} {verb}", shown)
    return giveaway(f"{text} tells one class from the others.", names)


def _tells(mark, codes, least=20):
    """Whether a mark is on nearly all rows of one class and on nearly none of the others."""
    counts = np.bincount(codes)
    inside = np.bincount(codes[mark], minlength=len(counts))
    others, outside = len(codes) - counts, mark.sum() - inside
    large = (counts >= least) & (others >= least)
    if not large.any():
        return False
    rate = (inside[large] / counts[large] - outside[large] / others[large] + 1) / 2
    return bool((np.maximum(rate, 1 - rate) >= TELLS).any())


def _tells_values(mark, codes, values):
    """Whether a mark tells a class by many values, and not by one that most rows have.

    Each value counts once in a class: the black of a background ends in 0, too.
    """
    pairs = np.column_stack([codes, values])
    first = np.unique(pairs[~np.isnan(values)], axis=0, return_index=True)[1]
    first = np.flatnonzero(~np.isnan(values))[first]
    return _tells(mark[first], codes[first], least=8)


def _gaps(view, j):
    missing = np.isnan(view.values[:, j])
    return [missing] if missing.any() else []


def _counted_gaps(view, codes):
    """Say whether the number of gaps in a row tells one class."""
    gaps = np.isnan(view.values)
    columns = np.flatnonzero(gaps.any(axis=0))
    numbers = gaps.sum(axis=1)
    if not 2 <= len(columns) <= 200 or any(_tells(gaps[:, j], codes) for j in columns):
        return []
    if not any(_tells(numbers <= limit, codes) for limit in np.unique(numbers)[:-1]):
        return []
    names = [view.names[j] for j in columns]
    return [giveaway("How many values a row lacks tells one class from the others.", names)]


def _decimals(view, j):
    """Mark the numbers with at most 0, 1, 2, ... decimals."""
    if view.kinds[j] != NUMBER:
        return []
    values = view.values[:, j]
    if np.isnan(values).any() or (values == np.floor(values)).all():
        return []
    near = 1e-9 * np.maximum(1, np.abs(values))
    marks = [np.abs(values - values.round(k)) <= near for k in range(_MAX_DECIMALS)]
    return [mark for mark in marks if mark.any() and not mark.all()]


def _last_digits(view, j):
    """Mark numbers that end alike, of whole ones."""
    values = view.values[:, j]
    if view.kinds[j] != NUMBER or np.isnan(values).any() or np.abs(values).max() > 1e12:
        return []
    values = np.abs(values)
    for _ in range(3):  # decimals, where all have as many
        if (np.abs(values - np.rint(values)) < 1e-6).all():
            break
        values = values * 10
    else:
        return []
    values = np.rint(values)
    if len(np.unique(values)) < 50:
        return []
    last = values % 10
    marks = [last % 2 == 0, *(last == digit for digit in range(10))]
    # Where few values end so, it is one of them that tells, and not its end.
    return [mark for mark in marks if len(np.unique(values[mark])) >= 10]


def _spellings(view, j):
    """Mark the words that are spelled alike: by case, length, first or last sign."""
    words = view.words.get(j)
    if not words or not 12 <= len(words) <= _MAX_WORDS:
        return []
    there = ~np.isnan(view.values[:, j])
    of_rows = np.where(there, view.values[:, j], 0).astype(np.intp)
    forms = (str.isupper, str.islower, str.isdigit, len, _first_sign, _last_sign)
    marks = []
    for form in forms:
        values, places = np.unique([str(form(word)) for word in words], return_inverse=True)
        if 1 < len(values) <= 20:
            places = places.reshape(-1)[of_rows]
            marks += [(places == place) & there for place in range(len(values))]
    return marks


def _first_sign(word):
    return word[:1]


def _last_sign(word):
    return word[-1:]


def _words_of_one_class(view, codes):
    """Words within the texts of a column that stand in all texts of a class and in no others."""
    found, counts = [], np.bincount(codes)
    for j, texts in view.words.items():
        if not len(counts) < len(texts) <= _MAX_WORDS or len(counts) > 50:
            continue
        there = ~np.isnan(view.values[:, j])
        of_rows = view.values[there, j].astype(np.intp)
        table = count_classes(of_rows, codes[there], (len(texts), len(counts)))
        by_word = {}
        for place, text in enumerate(texts):
            for word in set(re.findall(r"\w+", text.lower())):
                by_word.setdefault(word, []).append(place)
        least = counts[counts > 0].min()
        for word, places in by_word.items():
            if len(places) < 2:
                continue
            of_class = table[places].sum(axis=0)
            best = of_class.argmax()
            if of_class.sum() < 0.99 * least or counts[best] < 20:
                continue
            if of_class[best] >= 0.99 * max(counts[best], of_class.sum()):
                text = f"In column {view.names[j]!r} the word {word!r} stands in the rows of one "
                found.append(giveaway(f"{text}class and in no others.", [view.names[j]]))
                break
    return found
