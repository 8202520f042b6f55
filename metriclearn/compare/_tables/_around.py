"""What stands between and below the rows of a table and is none: rules, remarks, sums, notes."""

import re

import numpy as np

from metriclearn._extras import require
from metriclearn._text import counted
from metriclearn.compare._inspect._finding import listed
from metriclearn.compare._tables._cells import (
    cell_text,
    number_columns,
    reads_as_number,
    share_of_numbers,
)
from metriclearn.compare._tables._numbers import is_missing

# What follows a table is at most so many lines, or this share of it.
_MAX_BELOW, _SHARE_BELOW = 12, 0.2


def without_remarks(grid, lines, filled, notes):
    """Leave out remarks between the rows: they begin with a mark and fill few of the cells."""
    marked = np.array(
        [cell_text(cell).startswith(("#", "%", "//")) for cell in grid.iloc[:, 0]], dtype=bool
    )
    n_filled = filled.sum(axis=1)
    marked &= n_filled != np.median(n_filled)
    marked[:1] = False
    if not marked.any() or marked.mean() > 0.2:
        return grid, lines, filled
    notes.append(
        f"{counted(int(marked.sum()), 'remark')} between the rows left out: "
        f"{_shown(grid[marked].iloc[0])}."
    )
    return grid[~marked], _stay(lines, marked), filled[~marked]


def _shown(row):
    return f"{' '.join(filter(None, map(cell_text, row)))!r:.80}"


def _stay(lines, out):
    return [line for line, leaves in zip(lines, out, strict=True) if not leaves]


_RULE = re.compile(r"[\s|+:]*[-=_]{2,}[-=_|+:\s]*$")


def without_rules(body, lines, header, notes):
    """Leave out lines that repeat the header, as joined files do, and lines that are drawn."""
    first = next((j for j, name in enumerate(header) if name), 0)
    narrow = (body != "").sum(axis=1).to_numpy() <= 2
    suspects = [
        i
        for i, cell in enumerate(map(cell_text, body.iloc[:, first]))
        if (cell == "" and narrow[i]) or cell == header[first] or _RULE.match(cell)
    ]
    out = np.zeros(len(body), dtype=bool)
    for i in suspects:
        row = [cell_text(cell) for cell in body.iloc[i]]
        drawn = [bool(_RULE.match(cell)) for cell in row if cell]
        out[i] = (row == header and any(header)) or (len(drawn) > 0 and all(drawn))
    if not out.any():
        return body, lines
    n_out = int(out.sum())
    notes.append(f"{counted(n_out, 'line')} that repeated the header, or drew a line, left out.")
    return body[~out], _stay(lines, out)


def without_what_follows(body, lines, notes):
    """Leave out what stands below a table: notes of several cells, other tables.

    They are told by columns of numbers: words stand in them, and no or fewer numbers. A line of
    words behind a gap begins something else; at the end of the file they are notes.

    Raises
    ------
    ValueError
        For another table as large as the first.
    """
    numbers = number_columns(body)
    if len(numbers) < 2 or len(body) < 8:
        return body, lines
    gaps = np.flatnonzero(np.diff(lines) > 1) + 1
    end = len(body)
    for i in gaps[:200]:
        words, n_numbers = _words_among_numbers(body, i, numbers)
        if not words or n_numbers:
            continue
        if end - i <= max(_MAX_BELOW, _SHARE_BELOW * len(body)):
            end = int(i)
            break
        if len(set(words)) == len(numbers):
            raise ValueError(
                f"line {lines[i]} names other columns ({listed(words)}): the file holds several "
                f"tables; give one of them"
            )
    least = np.median((body.iloc[:100] != "").sum(axis=1).to_numpy())
    while end > 4 and len(body) - end < _MAX_BELOW:
        words, n_numbers = _words_among_numbers(body, end - 1, numbers)
        if len(words) <= n_numbers or sum(map(bool, map(cell_text, body.iloc[end - 1]))) >= least:
            break
        end -= 1
    if end == len(body):
        return body, lines
    notes.append(said_to_follow(body.iloc[end:]))
    return body.iloc[:end], lines[:end]


def said_to_follow(rows):
    """Say that lines after a table were skipped, and how they begin."""
    verb = "was" if len(rows) == 1 else "were"
    text = next((shown for shown in map(_shown, rows.to_numpy()) if shown != "''"), "")
    return f"{counted(len(rows), 'line')} after the table {verb} skipped{': ' * bool(text)}{text}."


def _words_among_numbers(body, i, numbers):
    """Words in columns of numbers, and how many numbers stand beside them."""
    cells = [cell_text(body.iloc[i, j]) for j in numbers]
    cells = [cell for cell in cells if not is_missing(cell)]
    words = [cell for cell in cells if not reads_as_number(cell)]
    return words, len(cells) - len(words)


_TOTAL = (
    r"(?:(?:grand |sub[- ]?|overall )?(?:total|sum)s?|average|avg\.?|means?|median|"
    r"standard deviation|std\.? ?dev\.?|summe|gesamt|zwischensumme|mittelwert|durchschnitt|somme|"
    r"moyenne|totaal|gemiddelde|promedio|totale|итого|всего|среднее|合計|平均|小計|总计|合计)"
)
# Names of people and of columns, too: told by what else stands in the line.
_MEASURE = (
    r"(?:n|min(?:imum)?|max(?:imum)?|count|range|std\.?|s\.?d\.?|sem?|var(?:iance)?|suma|media)"
)
_MORE = r"(?:\s*[(\[].*[)\]]|\s*[,:=±/&+-].*|\s+(?:of|for|by|von|de)\s.*)?"
_IS_PLAIN = re.compile(_TOTAL, re.I)
_IS_TOTAL = re.compile(_TOTAL + _MORE, re.I)
_IS_MEASURE = re.compile(_MEASURE + _MORE, re.I)
_OF_A_GROUP = re.compile(rf"(.+?)[\s:-]+(?:{_TOTAL}|count|max|min)", re.I)
_MAX_SUMS = 10


def without_sums(body, lines, notes):
    """Leave out lines that sum the table up: a cell says so, or each number is that of the others.

    In the last line a word suffices that no other line has. Elsewhere, and for words that may be
    names, each line that has the word lacks a value that nearly all lines have, or its numbers
    are sums.
    """
    if len(body) < 4:
        return body, lines
    numbers = number_columns(body)
    filled = (body != "").to_numpy()
    lacks = (~filled & (filled.mean(axis=0) >= 0.9)).any(axis=1)
    said = {}
    for j in [j for j in range(min(body.shape[1], 50)) if _may_say_sums(body.iloc[:, j])][:6]:
        for word, rows in _words_of_sums(body.iloc[:, j]).items():
            few = len(rows) <= 0.2 * len(body)
            if few and all(lacks[i] or _sums(body, i, numbers) for i in rows):
                said |= dict.fromkeys(rows, word)
    end = len(body)
    while len(body) - end < _MAX_SUMS and end > 3:
        end -= 1
        if end in said:
            continue
        words = [_bare(cell) for cell in body.iloc[end]]
        places = [j for j, word in enumerate(words) if _IS_PLAIN.fullmatch(word)]
        if len(places) == 1 and words[places[0]] not in map(_bare, body.iloc[:end, places[0]]):
            said[end] = words[places[0]]
        elif end == len(body) - 1 and _sums(body, end, numbers):
            said[end] = ""
        else:
            break
    if not said or len(said) > 0.34 * len(body):
        return body, lines
    words = list(dict.fromkeys(said[i] for i in sorted(said, reverse=True) if said[i]))
    notes.append(
        f"{counted(len(said), 'line')} that summed the table up left out"
        f"{f': {listed(words)}' if words else ', which its numbers show'}."
    )
    out = np.isin(np.arange(len(body)), list(said))
    return body[~out], _stay(lines, out)


def _bare(cell):
    return cell_text(cell).rstrip(" :.")


def _may_say_sums(column):
    """Whether a column has words, in its first or last line if not in its others."""
    ends = [_bare(column.iloc[i]) for i in (0, -1)]
    if any(_IS_TOTAL.fullmatch(end) or _IS_MEASURE.fullmatch(end) for end in ends):
        return True
    return share_of_numbers(map(cell_text, column.iloc[:100])) < 0.5


def _words_of_sums(column):
    """Rows of each word that may say that a line sums others up."""
    distinct = {_bare(cell) for cell in column.unique()}
    known = {word.casefold() for word in distinct}
    words = {word for word in distinct if _IS_TOTAL.fullmatch(word)}
    for word in distinct:
        group = _OF_A_GROUP.fullmatch(word)
        if group and group[1].casefold() in known:
            words.add(word)
    measures = {word for word in distinct if _IS_MEASURE.fullmatch(word)}
    rows = {}
    if words or measures:
        for i, word in enumerate(map(_bare, column)):
            if word in words or word in measures:
                rows.setdefault(word, []).append(i)
    low = len(column) - _MAX_SUMS
    return {word: places for word, places in rows.items() if word in words or places[0] >= low}


def _sums(body, i, numbers):
    """Whether the numbers of a line are the sums or the means of all others, two or more."""
    pandas = require("pandas", "cli")
    n_sums = n_means = 0
    for j in numbers:
        own = cell_text(body.iloc[i, j])
        values = pandas.to_numeric(body.iloc[:, j], errors="coerce").to_numpy(dtype=np.float64)
        value, others = values[i], np.delete(values, i)
        others = others[~np.isnan(others)]
        if np.isnan(value) or len(others) < 4 or (others == others[0]).all():
            continue
        n_digits = len(own.partition(".")[2])
        room = max(0.51 * 10.0**-n_digits, 1e-9 * abs(value))
        if abs(value - others.sum()) <= room and abs(value) > np.abs(others).max():
            n_sums += 1
        elif abs(value - others.mean()) <= room and n_digits > _most_digits(body.iloc[:, j], i):
            n_means += 1
        else:
            return False
    return max(n_sums, n_means) >= 2


def _most_digits(column, i):
    """Digits behind the point in the first cells, but for one of them."""
    cells = [cell_text(cell) for place, cell in enumerate(column.iloc[:100]) if place != i]
    return max((len(cell.partition(".")[2]) for cell in cells), default=0)
