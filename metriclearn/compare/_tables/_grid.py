"""A grid of cells to named columns: titles, the header, units and footers."""

import re
from dataclasses import dataclass

import numpy as np

from metriclearn._extras import require
from metriclearn._text import counted
from metriclearn.compare._inspect._finding import listed
from metriclearn.compare._tables._numbers import is_missing, parse_numbers

_SAMPLE_ROWS = 100


@dataclass(frozen=True)
class RawTable:
    """A table of strings with named columns.

    Attributes
    ----------
    frame : DataFrame
        Cells as strings, or as a workbook has them.
    lines : list of int
        Line of the file of each row, from 1.
    notes : tuple of str
    first_row : tuple of str or None
        Cells of the first row, by which a column can be named where there is no header.
    target : str or None
        The column of labels, where the format says which it is.
    """

    frame: object
    lines: list
    notes: tuple = ()
    first_row: tuple | None = None
    target: str | None = None


def read_frame(grid, lines):
    """Find the header of a grid and what stands around the table.

    Parameters
    ----------
    grid : DataFrame
        Cells; an empty string where there is none.
    lines : list of int
        Line of the file of each row.

    Returns
    -------
    RawTable
    """
    notes = []
    grid, lines = grid.reset_index(drop=True), list(lines)
    grid = _without_marks(grid)
    filled = (grid != "").to_numpy()
    width = _width(filled)
    start, end = _body(grid, filled, width)
    if start:
        title = " ".join(_text(cell) for cell in grid.iloc[0] if _text(cell))
        notes.append(
            f"{counted(start, 'line')} before the table {'was' if start == 1 else 'were'} skipped: "
            f"{title!r:.80}."
        )
    if end < len(grid):
        verb = "was" if len(grid) - end == 1 else "were"
        notes.append(f"{counted(len(grid) - end, 'line')} after the table {verb} skipped.")
    grid, lines, filled = grid.iloc[start:end], lines[start:end], filled[start:end]
    grid, lines, filled = _without_remarks(grid, lines, filled, notes)
    _refuse_overhang(filled, width, lines)
    header = [_text(cell) for cell in grid.iloc[0]]
    comment = header[0].startswith(("#", "%")) and len(header[0]) > 1
    if comment:
        header[0] = header[0][1:].strip()
    body = grid.iloc[1:]
    if not comment and len(grid) > 1 and looks_like_data(header, body):
        names = [f"column {i + 1}" for i in range(len(header))]
        notes.append(
            f"The first line looks like data, so it was kept as a row; the columns are called "
            f"{listed([names[0], names[-1]])}."
            if len(names) > 1
            else "The first line was kept."
        )
        return RawTable(_renamed(grid, names), lines, tuple(notes), tuple(header))
    lines = lines[1:]
    header, body = _shifted(header, body)
    if len(body) > 2 and _is_units(body):
        below = list(map(_text, body.iloc[0]))
        names = _joined(header, below)
        if names is None:
            units = [cell for cell in below if cell]
            notes.append(f"The line of units ({listed(units)}) was skipped.")
        else:
            lines_read = "the second line" if names == below else "two lines"
            notes.append(f"The names of the columns were read from {lines_read}.")
            header = names
        body, lines = body.iloc[1:], lines[1:]
    body, lines = _without_rules(body, lines, header, notes)
    body, lines = _without_sums(body, lines, notes)
    names, renamed = _unique(header)
    notes += renamed
    return RawTable(_renamed(body, names), lines, tuple(notes))


def _without_marks(grid):
    """Join a mark that stands in a cell of its own, as in ``# a b c``, to the name after it."""
    marked = [i for i in range(min(len(grid), 50)) if grid.iloc[i, 0] in ("#", "%", "//")]
    if not marked or grid.shape[1] < 3:
        return grid
    grid = grid.copy()
    for i in marked:
        cells = list(grid.iloc[i])
        grid.iloc[i] = [f"{cells[0]}{_text(cells[1])}", *cells[2:], ""]
    return grid if (grid.iloc[:, -1] != "").any() else grid.iloc[:, :-1]


def _text(cell):
    if isinstance(cell, str):
        return cell.strip().strip("\ufeff")
    return "" if cell is None or cell != cell else str(cell)


def _width(filled):
    """Return the number of columns: of the header, or of nearly all rows if they have more."""
    reach = np.where(filled.any(axis=1), filled.shape[1] - filled[:, ::-1].argmax(axis=1), 0)
    wide = np.flatnonzero(reach > 1)
    if len(wide) == 0:
        return int(max(1, reach.max(initial=1)))
    header, body = int(reach[wide[0]]), reach[wide[1:]]
    if len(body) and np.mean(body > header) >= 0.9:
        sizes, counts = np.unique(body, return_counts=True)
        header = int(sizes[counts.argmax()])
    return header


def _body(grid, filled, width):
    """First row of the table and the row after its last."""
    n_filled = filled.sum(axis=1)
    if width == 1:
        return 0, len(grid)
    fits = n_filled > 1
    # Lines of remarks may have separators of their own.
    comments = np.array([_text(cell).startswith(("#", "%", "//")) for cell in grid.iloc[:, 0]])
    table = np.flatnonzero(fits & ~comments)
    if len(table) == 0:
        return 0, len(grid)
    start = table[0]
    while start + 2 < len(grid) and n_filled[start] <= width - 2 < n_filled[start + 1]:
        below = [_text(cell) for cell in grid.iloc[start + 1]]
        names = [name for name in below if name]
        if len(set(names)) < len(names) or looks_like_data(below, grid.iloc[start + 2 :]):
            break
        start += 1  # a title of several cells
    if start > 0 and comments[start - 1] and n_filled[start - 1] == n_filled[start]:
        start -= 1  # names written as a remark
    end = len(grid)
    while end > start + 2 and n_filled[end - 1] <= 1:
        end -= 1
    return int(start), int(end)


def _refuse_overhang(filled, width, lines):
    """Refuse cells to the right of the table; empty ones become columns without a value."""
    extra = filled[:, width:].any(axis=1)
    if extra.any():
        at = [lines[i] for i in np.flatnonzero(extra)]
        shown = ", ".join(map(str, at[:10])) + (", ..." if len(at) > 10 else "")
        word = "line has" if len(at) == 1 else "lines have"
        raise ValueError(
            f"{counted(len(at), word, word)} more cells than the {width} columns of the table "
            f"({'line' if len(at) == 1 else 'lines'} {shown}); quote cells that hold the "
            f"separator, or mend these lines"
        )


def looks_like_data(header, body):
    """Whether the first line of a table is a row like the others.

    Parameters
    ----------
    header : list of str
    body : DataFrame
        The other rows.

    Returns
    -------
    bool
    """
    sample = body.iloc[:_SAMPLE_ROWS]
    columns = [sample.iloc[:, j] for j in range(len(header))]
    numeric = []
    for j, cells in enumerate(columns):
        if _share_of_numbers(map(_text, cells)) >= 0.9:
            if header[j] and not is_missing(header[j]) and not _reads_as_number(header[j]):
                return False
            numeric.append(j)
    if numeric:
        given = [j for j in numeric if header[j] and not is_missing(header[j])]
        return bool(given) and not _is_scale(header, sample, given)
    known = [header[j] in set(map(_text, cells)) for j, cells in enumerate(columns) if header[j]]
    return len(known) > 0 and sum(known) > len(known) / 2


def _share_of_numbers(cells):
    cells = sorted({cell for cell in cells if not is_missing(cell)})
    if not cells:
        return 0.0
    return float(np.mean(~np.isnan(parse_numbers(cells)[0])))


def _reads_as_number(text):
    """Whether a cell is a number in any form that tables are written in."""
    return bool(~np.isnan(parse_numbers([text])[0][0]))


def _is_scale(header, sample, numeric):
    """Whether numbers in the header name the columns: 0, 1, 2, ..., years, wavelengths."""
    if len(numeric) < 2:
        return False

    def steps(row):
        return np.diff([parse_numbers([row[j]])[0][0] for j in numeric])

    own = steps(header)
    if not (own > 0).all():
        return False
    even = np.allclose(own, own[0])
    if not even and len(numeric) < 8:
        return False
    others = [steps([_text(cell) for cell in sample.iloc[i]]) for i in range(min(len(sample), 50))]
    alike = [(other > 0).all() and (not even or np.allclose(other, other[0])) for other in others]
    return float(np.mean(alike)) < 0.5


def _shifted(header, body):
    """Give names their columns where the first, of row names, has none (as R writes)."""
    if len(header) > 2 and header[-1] == "" and all(header[:-1]):
        last = body.iloc[:, -1].map(_text)
        first = body.iloc[:, 0].map(_text)
        if (last != "").mean() > 0.5 and first.is_unique:
            return ["", *header[:-1]], body
    return header, body


def _is_units(body):
    """Whether the first row is of words in columns that are else of numbers."""
    sample = body.iloc[1 : _SAMPLE_ROWS + 1]
    n_words = 0
    for j in range(body.shape[1]):
        first = _text(body.iloc[0, j])
        if is_missing(first) or _share_of_numbers(map(_text, sample.iloc[:, j])) < 0.95:
            continue
        if _reads_as_number(first):
            return False
        n_words += 1
    return n_words >= 2


def _joined(above, below):
    """Names of two lines, where the first has names of several columns; None for units."""
    given = [name for name in above if name]
    has_copies = len(set(given)) < len(given)
    spans = [name == "" and under != "" for name, under in zip(above, below, strict=True)]
    if not (has_copies or any(spans)):
        return None
    names, last = [], ""
    for name, under in zip(above, below, strict=True):
        last = name or ("" if has_copies else last)  # a merged cell stands in its first column
        alone = not under or below.count(under) == 1
        names.append(under or name if alone else f"{last} {under}".strip())
    return names


def _without_remarks(grid, lines, filled, notes):
    """Leave out remarks between the rows: they begin with a mark and fill few of the cells."""
    marked = np.array(
        [_text(cell).startswith(("#", "%", "//")) for cell in grid.iloc[:, 0]], dtype=bool
    )
    n_filled = filled.sum(axis=1)
    marked &= n_filled != np.median(n_filled)
    marked[:1] = False
    if not marked.any() or marked.mean() > 0.2:
        return grid, lines, filled
    notes.append(
        f"{counted(int(marked.sum()), 'remark')} between the rows left out: "
        f"{' '.join(filter(None, map(_text, grid[marked].iloc[0])))!r:.80}."
    )
    stay = [line for line, out in zip(lines, marked, strict=True) if not out]
    return grid[~marked], stay, filled[~marked]


_SUMS = re.compile(
    r"(?:grand |sub-?|overall )?(?:total|sum)s?|average|avg\.?|means?|median|min(?:imum)?|"
    r"max(?:imum)?|count|std\.?(?: dev\.?)?|standard deviation|summe|gesamt|mittelwert|"
    r"durchschnitt|somme|moyenne|totaal|gemiddelde|suma|media|promedio|totale|итого|всего|среднее|合計|平均",
    re.I,
)


def _without_sums(body, lines, notes):
    """Leave out the last lines where they sum the table up: a cell says so, as no other does."""
    end, said = len(body), []
    while len(body) - end < 6 and end > 3:
        words = [_text(cell).rstrip(" :.") for cell in body.iloc[end - 1]]
        places = [j for j, word in enumerate(words) if _SUMS.fullmatch(word)]
        if len(places) != 1 or words[places[0]] in map(_text, body.iloc[: end - 1, places[0]]):
            break
        said.append(words[places[0]])
        end -= 1
    if not said:
        return body, lines
    notes.append(f"{counted(len(said), 'line')} that summed the table up left out: {listed(said)}.")
    return body.iloc[:end], lines[:end]


_RULE = re.compile(r"\s*[:|+]?[-=]{2,}[:|+]?\s*$")


def _without_rules(body, lines, header, notes):
    """Leave out lines that repeat the header, as joined files do, and lines that are drawn."""
    first = next((j for j, name in enumerate(header) if name), 0)
    cells = map(str, body.iloc[:, first])
    suspects = [
        i for i, cell in enumerate(cells) if cell.strip() == header[first] or _RULE.match(cell)
    ]
    out = []
    for i in suspects:
        row = [_text(cell) for cell in body.iloc[i]]
        if row == header or all(_RULE.match(cell) for cell in row if cell):
            out.append(i)
    if not out:
        return body, lines
    notes.append(f"{counted(len(out), 'line')} that repeated the header, or drew a line, left out.")
    stay = np.setdiff1d(np.arange(len(body)), out)
    return body.iloc[stay], [lines[i] for i in stay]


def _unique(header):
    """Names that are there once, the missing ones called as pandas calls them."""
    names, seen, twice = [], set(), []
    for i, name in enumerate(header):
        name = re.sub(r"\s+", " ", name) or f"Unnamed: {i}"
        unique, number = name, 1
        while unique in seen:
            unique = f"{name}.{number}"
            number += 1
        if unique != name:
            twice.append(name)
        seen.add(unique)
        names.append(unique)
    if not twice:
        return names, []
    twice = dict.fromkeys(twice)
    words = ("Column name", "occurs") if len(twice) == 1 else ("Column names", "occur")
    note = f"{words[0]} {listed(twice)} {words[1]} more than once; numbers were added."
    return names, [note]


def _renamed(grid, names):
    pandas = require("pandas", "cli")
    frame = grid.reset_index(drop=True)
    frame.columns = pandas.Index(names, dtype=object)
    return frame
