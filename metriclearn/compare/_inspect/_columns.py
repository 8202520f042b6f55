"""Columns that are no features: row numbers, ids, times, constants, groups.

Each check looks at one column and returns a ``Finding`` or None.
"""

import re

import numpy as np

from metriclearn._text import counted, option
from metriclearn.compare._inspect._finding import listed, make_finding
from metriclearn.compare._inspect._view import NUMBER, TIME, WORD

# Fewer rows are monotone or all different by chance.
MIN_ROWS = 8
# A time that tells so much of the labels is left out.
MUCH = 0.9


def left_out_text(*name):
    """Say that a column, or several without a name, is no feature, and how it stays."""
    return f"Left out; {option('keep', [*name] or None)} takes {'it' if name else 'them'} in."


def kept_text(*name):
    """Say that a column, or several without a name, stays, and how it goes."""
    return f"Kept; {option('drop', [*name] or None)} leaves {'it' if name else 'them'} out."


_UNNAMED = re.compile(r"(?i:unnamed: \d+|index|level_\d+|row[ _.-]?names?|)|\.\.\.1|X(?:\.1)?")
_ID_NAME = re.compile(
    r"(?:.*[\W_])?(?:id|ids|uid|uuid|guid|oid|pk|key|idx|index|nr|no|num|number|nummer|numero|row|"
    r"rowid|record|serial|case|obs|observation|sample|code|barcode|hash|url|path|file|filename|"
    r"email|phone|ssn)(?:[\W_]?(?:id|no|nr|num|number|code|name))?\.?|.*[a-z]ID|#",
    re.I,
)
_TIME_NAME = re.compile(
    r".*(?:time|date|stamp|epoch|\bts\b|when|created|updated|datum|zeit|_at$).*", re.I
)


_NUMBER = r"[-+]?\d{1,6}(?:\.\d+)?"
#: As blood pressures, coordinates and intervals are written.
_SEVERAL = re.compile(
    rf"[\[(]?{_NUMBER}(?:\s*(?:[/,;x×±°]|\.\.)\s*{_NUMBER})+[\])]?[\'′]?\s?[NSEW]?"
)


def _never():
    return 0.0


def check_column(name, kind, values, words=None, *, label_rate=_never):
    """Say what a column is where it is no feature.

    Parameters
    ----------
    name : str
    kind : {"number", "time", "word"}
    values : ndarray of shape (n,), float64
        As in ``View``.
    words : list of str, default=None
        Distinct words of a column of words.
    label_rate : callable, default=None
        ``label_rate()`` is how often the label is told by this column alone (0 to 1).

    Returns
    -------
    finding : Finding or None
    leave_out : bool
        Whether the column is left out by default.
    """
    present = values[~np.isnan(values)]
    if len(present) == 0:
        text = f"Column {name!r} has no value in any row."
        return _found("empty", text, name, left_out_text), True
    distinct = np.unique(present)
    if len(distinct) == 1:
        if len(present) < len(values):
            return None, False
        text = f"Column {name!r} has the same value in all rows."
        return _found("constant", text, name, kept_text), False
    if len(values) < MIN_ROWS:
        return None, False
    if kind == TIME:
        return _check_time(name, present, distinct, len(values), label_rate)
    if kind == WORD:
        return _check_words(name, present, distinct, len(values), words)
    return _check_numbers(name, present, distinct, len(values), label_rate)


def _found(kind, text, name, action):
    return make_finding(kind, text, action(name), columns=[name])


def _check_numbers(name, present, distinct, n_rows, label_rate):
    whole = bool((present == np.floor(present)).all())
    steps = np.diff(present)
    monotone = bool((steps > 0).all() or (steps < 0).all())
    complete = len(present) >= 0.99 * n_rows
    named = _UNNAMED.fullmatch(name.strip()) is not None
    epoch = _epoch(distinct) if whole or monotone else None
    if epoch and (monotone or _TIME_NAME.fullmatch(name) or label_rate() >= MUCH):
        tells = label_rate() >= MUCH
        order = ", in the order of the rows" if monotone else ""
        text = f"Column {name!r} looks like times, in {epoch} since 1970{order}."
        out = monotone or tells
        return _found("time", text, name, left_out_text if out else kept_text), out
    if monotone and complete and (whole or _even(steps)):
        return _found("row_number", f"Column {name!r} numbers the rows.", name, left_out_text), True
    if named and whole and _counts_up(steps, distinct, present):
        text = f"Column {name!r} is the index of a table that was filtered, shuffled or joined."
        return _found("row_number", text, name, left_out_text), True
    sorted_by_it = bool((steps >= 0).all() or (steps <= 0).all())
    if complete and (monotone or (sorted_by_it and len(distinct) > max(10, 0.1 * n_rows))):
        rate = label_rate()
        text = f"The rows are in the order of column {name!r}"
        if rate >= MUCH:
            text += f", which alone tells {rate:.0%} of the labels"
        # What rises with every row may be the row's number; what stays the same at times is kept.
        out = monotone and rate >= MUCH
        return _found("row_number", f"{text}.", name, left_out_text if out else kept_text), out
    if not whole or len(distinct) < len(present) or not complete:
        return None, False
    span = distinct[-1] - distinct[0] + 1
    # As many draws from so wide a range would have met somewhere, were they amounts.
    dense = len(distinct) ** 2 / (2 * span) > 14
    if dense or named or _ID_NAME.fullmatch(name.strip()):
        text = f"Column {name!r} has a different whole number in every row, as an id has."
        return _found("id", text, name, left_out_text), True
    if distinct[-1] > 2**53 and len(distinct) >= 50:  # no amount has so many digits
        text = f"Column {name!r} has a different number of 16 digits or more in every row."
        return _found("id", text, name, left_out_text), True
    if len(distinct) >= 50 and _of_one_length(distinct):
        text = f"Column {name!r} has a different whole number in every row: an id or an amount."
        return _found("id", text, name, kept_text), False
    return None, False


def _of_one_length(distinct):
    """Whether numbers have as many digits as one another, as numbers that are given out have."""
    digits = np.floor(np.log10(np.maximum(np.abs(distinct), 1)))
    divisor = np.gcd.reduce(distinct.astype(np.int64)) if distinct[-1] < 2**62 else 1
    return digits[0] >= 4 and digits[0] == digits[-1] and divisor == 1


def _even(steps):
    return bool(np.allclose(steps, steps[0], rtol=1e-6))


def _counts_up(steps, distinct, present):
    """Return an index: nearly all different, or counting up again and again."""
    falls = np.mean(steps < 0)
    return len(distinct) > 0.9 * len(present) or (falls < 0.2 and np.mean(steps > 0) > 0.8)


def _epoch(distinct):
    """Return the unit in which whole numbers are times between 1990 and 2040, or None."""
    for unit, scale in (("seconds", 1), ("milliseconds", 1e3), ("microseconds", 1e6)):
        if 631152000 * scale <= distinct[0] and distinct[-1] <= 2208988800 * scale:
            return unit
    if distinct[0] >= 631152000e9 and distinct[-1] <= 2208988800e9:
        return "nanoseconds"
    return None


def _check_time(name, present, distinct, n_rows, label_rate):
    steps = np.diff(present)
    monotone = bool((steps >= 0).all() or (steps <= 0).all())
    ordered = monotone and len(distinct) > max(10, 0.1 * n_rows)
    rate = 0.0 if ordered else label_rate()
    tells = rate >= MUCH
    if ordered:
        text = f"Column {name!r} is a time, and the rows are in its order."
    elif tells:
        text = f"Column {name!r} is a time, and it alone tells {rate:.0%} of the labels."
    else:
        text = f"Column {name!r} is a time: the future is not known when a row is to be classified."
    out = ordered or tells
    return _found("time", text, name, left_out_text if out else kept_text), out


def _check_words(name, present, distinct, n_rows, words):
    if len(present) < 0.9 * n_rows or len(distinct) < max(MIN_ROWS, 0.95 * len(present)):
        return None, False
    if _is_prose(words):
        return None, False
    if all(map(_SEVERAL.fullmatch, words)) or _are_ranges(words):
        text = f"Column {name!r} holds several numbers in each cell ({listed(words[:2])}, ...)."
        action = "Left out; write each of them into a column of its own."
        return make_finding("unreadable", text, action, columns=[name]), True
    numbers = _numbered(words)
    order = present if numbers is None else numbers[present.astype(np.intp)]
    steps = np.diff(order)
    if len(distinct) == len(present) and ((steps > 0).all() or (steps < 0).all()):
        text = f"Column {name!r} numbers the rows ({listed(words[:2])}, ...)."
        return _found("row_number", text, name, left_out_text), True
    text = (
        f"Column {name!r} has {counted(len(distinct), 'different text')} in "
        f"{counted(len(present), 'row')} ({listed(words[:2])}, ...), as an id has."
    )
    return _found("id", text, name, left_out_text), True


_RANGE = re.compile(rf"({_NUMBER})\s*(?:-|\u2013|to|\.\.)\s*({_NUMBER})")


def _are_ranges(words):
    """Whether texts are two numbers each, of which the second is larger.

    Examples
    --------
    >>> _are_ranges(["10-15", "7 - 12.5"]), _are_ranges(["12-3", "12-345"])
    (True, False)
    """
    matches = list(map(_RANGE.fullmatch, words))
    return all(matches) and all(float(match[1]) < float(match[2]) for match in matches)


def _numbered(words):
    """Numbers of words like ``P01``, ``P02``; None where they are not all alike."""
    matches = [re.fullmatch(r"(\D*)(\d+)(\D*)", word) for word in words]
    if not all(matches) or len({(match[1], match[3]) for match in matches}) > 1:
        return None
    return np.array([float(match[2]) for match in matches])


def _is_prose(words):
    """Whether texts are of several words that come again in others."""
    sample = [set(re.findall(r"[^\W\d]{2,}", word.lower())) for word in words[:500]]
    n_words = np.mean([len(word.split()) for word in words[:500]])
    counts = {}
    for each in sample:
        for word in each:
            counts[word] = counts.get(word, 0) + 1
    everywhere = {word for word, count in counts.items() if count > 0.9 * len(sample)}
    again = [word for word, count in counts.items() if count > 1 and word not in everywhere]
    return n_words >= 2.5 and len(again) >= 3


_GROUP_NAME = re.compile(
    r"(?:.*[\W_])?(?:subject|patient|person|participant|respondent|user|speaker|writer|author|"
    r"drawer|donor|animal|mouse|rat|child|student|pupil|customer|client|household|family|session|"
    r"visit|specimen|device|machine|sensor|camera|group|cluster|proband|volunteer|individual|"
    r"subj|pid|sid|batch|plate|slide|scan|recording|file|video|clip|hospital|clinic|lab|laboratory|"
    r"experiment|run|site|trial|litter|herd|cage|tank|rater|operator|owner|village|school|document"
    r")s?(?:[\W_]?(?:id|ids|no|nr|num|number|code|name|key))?",
    re.I,
)


_COUNTER_NAME = re.compile(
    r"(?:.*[\W_])?(?:visit|trial|run|session|rep|replicate|repeat|repetition|take|frame|time[\W_]?point|"
    r"measurement|recording|scan|sample|wave|round|step|attempt)s?(?:[\W_]?(?:id|no|nr|num|number|index))?",
    re.IGNORECASE,
)


def n_counts(values):
    """Return how often a column counts up from its first value; 0 where it does not, or once.

    Examples
    --------
    >>> n_counts(np.array([1, 2, 3, 1, 2, 1, 2, 3])), n_counts(np.array([1, 2, 3, 2, 3, 1]))
    (3, 0)
    """
    ends = np.flatnonzero(np.diff(values) != 1)
    starts = values[np.r_[0, ends + 1]]
    again = len(starts) >= 3 and len(starts) <= len(values) / 2
    return len(starts) if again and (starts == starts[0]).all() else 0


def check_named_groups(view, known=()):
    """Find columns that by their name and values say which rows belong together.

    Parameters
    ----------
    view : View
    known : iterable of Finding, default=()
        Columns of these are not looked at.

    Returns
    -------
    list of Finding
    """
    done = {name for finding in known for name in finding.columns}
    findings = []
    for j, (name, kind) in enumerate(zip(view.names, view.kinds, strict=True)):
        if name in done or kind not in (NUMBER, WORD):
            continue
        values = view.values[:, j]
        if kind == NUMBER and _COUNTER_NAME.fullmatch(name.strip()) and (n := n_counts(values)):
            findings.append(
                make_finding(
                    "repeated_measurements",
                    f"Column {name!r} counts from {values[0]:g} on {n} times: it may number the "
                    f"measurements of {n} things, the rows of each below each other.",
                    "Rows of one thing may be in training and test; write which thing it is into a "
                    f"column, and {option('groups', 'COL')} keeps them together.",
                    columns=[name],
                )
            )
            continue
        if not _GROUP_NAME.fullmatch(name.strip()):
            continue
        distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        whole = kind == WORD or bool((distinct == np.floor(distinct)).all())
        if whole and len(distinct) >= 3 and np.median(counts) >= 2:
            findings.append(
                make_finding(
                    "repeated_measurements",
                    f"Column {name!r} names {counted(len(distinct), 'thing')} that were measured "
                    f"{counts.sum() / len(distinct):.0f} times each.",
                    f"Rows of one value may be in training and test; {option('groups', name)} "
                    f"keeps them together.",
                    columns=[name],
                )
            )
    return findings
