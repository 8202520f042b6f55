"""A grid of cells to named columns: titles, the header, units and footers."""

import re
from dataclasses import dataclass, field

import numpy as np

from metriclearn._extras import require
from metriclearn._text import counted
from metriclearn.compare._inspect._finding import listed
from metriclearn.compare._tables._around import (
    said_to_follow,
    without_remarks,
    without_rules,
    without_sums,
    without_what_follows,
)
from metriclearn.compare._tables._cells import (
    SAMPLE_ROWS,
    as_number,
    cell_text,
    number_columns,
    reads_as_number,
    share_of_numbers,
)
from metriclearn.compare._tables._numbers import is_missing


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
    copies : dict of str to list of str
        Of names that several columns had, what the further ones are called.
    part : str
        Which part of the file it is, where there are several.
    """

    frame: object
    lines: list
    notes: tuple = ()
    first_row: tuple | None = None
    target: str | None = None
    copies: dict = field(default_factory=dict)
    part: str = ""


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
    grid, lines = _without_blank(grid.reset_index(drop=True), list(lines))
    grid = _without_formulas(_without_marks(grid), notes)
    filled = (grid != "").to_numpy()
    width = _width(filled)
    start, end = _body(grid, filled, width)
    if start:
        title = " ".join(cell_text(cell) for cell in grid.iloc[0] if cell_text(cell))
        notes.append(
            f"{counted(start, 'line')} before the table {'was' if start == 1 else 'were'} skipped: "
            f"{title!r:.80}."
        )
    if end < len(grid):
        notes.append(said_to_follow(grid.iloc[end:]))
    grid, lines, filled = grid.iloc[start:end], lines[start:end], filled[start:end]
    grid, lines, filled = without_remarks(grid, lines, filled, notes)
    _refuse_overhang(filled, width, lines)
    header = [cell_text(cell) for cell in grid.iloc[0]]
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
        grid, lines = _without_others(grid, lines, [""] * len(names), notes)
        return RawTable(_renamed(grid, names), lines, tuple(notes), tuple(header))
    header, body = _shifted(header, body)
    header, body, lines = _further_names(header, body, lines, notes)
    body, lines = _without_others(body, lines, header, notes)
    names, copies = _unique(header)
    if copies:
        words = ("Column name", "occurs") if len(copies) == 1 else ("Column names", "occur")
        notes.append(f"{words[0]} {listed(copies)} {words[1]} more than once; numbers were added.")
    return RawTable(_renamed(body, names), lines, tuple(notes), copies=copies)


def _without_others(body, lines, header, notes):
    """Leave out what is no row of the table."""
    body, lines = without_rules(body, lines, header, notes)
    body, lines = without_what_follows(body, lines, notes)
    return without_sums(body, lines, notes)


def _further_names(header, body, lines, notes):
    """Read the lines below the first of names: more names, units, kinds, numbers of columns."""
    at, lines = lines[0], lines[1:]
    kinds = False
    for _ in range(3):
        if len(body) <= 2:
            break
        below = list(map(cell_text, body.iloc[0]))
        if _numbers_columns(below, body.iloc[1:]):
            notes.append("The line that numbers the columns was skipped.")
        elif kinds and set(below) <= _ROLES:
            notes.append(f"The line of roles ({listed(filter(None, below))}) was skipped.")
        elif _is_units(body):
            names = _joined(header, below)
            if names is None:
                notes.append(f"The line of units ({listed(filter(None, below))}) was skipped.")
            else:
                lines_read = "the second line" if names == below else "two lines"
                notes.append(f"The names of the columns were read from {lines_read}.")
                header = names
            kinds = set(below) <= _KINDS
        else:
            break
        body, lines = body.iloc[1:], lines[1:]
    _refuse_short_header(header, body, at)
    return header, body, lines


# What Orange writes below the names.
_KINDS = {"", "c", "d", "s", "t", "continuous", "discrete", "string", "time"}
_ROLES = {"", "class", "c", "meta", "m", "ignore", "i"}


def _numbers_columns(below, body):
    """Whether a line is (1), (2), (3), ..., or such numbers above a column of words, too."""
    bare = [cell.strip("()[]") for cell in below]
    first = bare[0]
    if len(bare) < 3 or bare != [str(i + int(first == "1")) for i in range(len(bare))]:
        return False
    return bare != below or len(number_columns(body, len(bare))) < len(bare)


def _refuse_short_header(header, body, line):
    """Refuse a header that ends before the rows do: its names may stand by the wrong columns."""
    n_names = max((j + 1 for j, name in enumerate(header) if name), default=0)
    if n_names == len(header) or n_names == 0:
        return
    if ((body.iloc[:, n_names:] != "").mean() > 0.5).any():
        raise ValueError(
            f"the header (line {line}) has {n_names} names for {len(header)} columns; give each "
            f"column its name, as these may stand by the wrong columns"
        )


def _without_blank(grid, lines):
    """Leave out lines of separators and blanks alone."""
    blank = np.arange(len(grid))
    for j in range(grid.shape[1]):
        empty = [cell_text(cell) == "" for cell in grid.iloc[:, j].iloc[blank]]
        blank = blank[np.array(empty, dtype=bool)]
        if len(blank) == 0:
            return grid, lines
    stay = np.setdiff1d(np.arange(len(grid)), blank)
    return grid.iloc[stay].reset_index(drop=True), [lines[i] for i in stay]


_FORMULA = re.compile(r'="(.*)"$')


def _without_formulas(grid, notes):
    """Unwrap text that is written as a formula, ``="007"``, so that a spreadsheet keeps it."""
    first = grid.iloc[:50].to_numpy(dtype=object)
    marked = [[isinstance(cell, str) and cell.startswith('="') for cell in row] for row in first]
    places = np.flatnonzero(np.any(marked, axis=0)) if len(first) else ()
    if len(places) == 0:
        return grid
    grid = grid.copy()
    for j in places:
        cells = [_FORMULA.sub(r"\1", cell_text(cell)) for cell in grid.iloc[:, j]]
        grid[grid.columns[j]] = cells
    notes.append('Text written as formulas (="...") was unwrapped.')
    return grid


def _without_marks(grid):
    """Join a mark that stands in a cell of its own, as in ``# a b c``, to the name after it."""
    marked = [i for i in range(min(len(grid), 50)) if grid.iloc[i, 0] in ("#", "%", "//")]
    if not marked or grid.shape[1] < 3:
        return grid
    grid = grid.copy()
    for i in marked:
        cells = list(grid.iloc[i])
        grid.iloc[i] = [f"{cells[0]}{cell_text(cells[1])}", *cells[2:], ""]
    return grid if (grid.iloc[:, -1] != "").any() else grid.iloc[:, :-1]


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
    comments = np.array([cell_text(cell).startswith(("#", "%", "//")) for cell in grid.iloc[:, 0]])
    table = np.flatnonzero(fits & ~comments)
    if len(table) == 0:
        return 0, len(grid)
    start = _first_line(grid, n_filled, int(table[0]), width)
    if start > 0 and comments[start - 1] and n_filled[start - 1] == n_filled[start]:
        start -= 1  # names written as a remark
    end = len(grid)
    while end > start + 2 and n_filled[end - 1] <= 1:
        end -= 1
    return int(start), int(end)


def _first_line(grid, n_filled, start, width):
    """Line of names, after titles and what else stands above it in a few cells."""
    wide = np.flatnonzero(n_filled[: start + 50] > width - 2)
    after = int(wide[wide >= start][0]) if (wide >= start).any() else start
    if after == start or after + 1 >= len(grid):
        return start
    below = [cell_text(cell) for cell in grid.iloc[after]]
    names = [name for name in below if name]
    if len(set(names)) < len(names) or looks_like_data(below, grid.iloc[after + 1 :]):
        return after - 1  # the line above has names of several columns
    return after


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
    sample = body.iloc[:SAMPLE_ROWS]
    columns = [sample.iloc[:, j] for j in range(len(header))]
    numeric = []
    for j, cells in enumerate(columns):
        if share_of_numbers(map(cell_text, cells)) >= 0.9:
            if header[j] and not is_missing(header[j]) and not reads_as_number(header[j]):
                return False
            numeric.append(j)
    if numeric:
        given = [j for j in numeric if header[j] and not is_missing(header[j])]
        return bool(given) and not _is_scale(header, sample, given)
    known = [
        header[j] in set(map(cell_text, cells)) for j, cells in enumerate(columns) if header[j]
    ]
    return len(known) > 0 and sum(known) > len(known) / 2


def _is_scale(header, sample, numeric):
    """Whether numbers in the header name the columns: 0, 1, 2, ..., years, wavelengths."""
    if len(numeric) < 2:
        return False

    def steps(row):
        return np.diff([as_number(row[j]) for j in numeric])

    own = steps(header)
    if not (own > 0).all():
        return False
    even = np.allclose(own, own[0])
    if not even and len(numeric) < 8:
        return False
    others = [
        steps([cell_text(cell) for cell in sample.iloc[i]]) for i in range(min(len(sample), 50))
    ]
    alike = [(other > 0).all() and (not even or np.allclose(other, other[0])) for other in others]
    return float(np.mean(alike)) < 0.5


def _shifted(header, body):
    """Give names their columns where the first, of row names, has none (as R writes)."""
    if len(header) > 2 and header[-1] == "" and all(header[:-1]):
        last = body.iloc[:, -1].map(cell_text)
        first = body.iloc[:, 0].map(cell_text)
        if (last != "").mean() > 0.5 and first.is_unique:
            return ["", *header[:-1]], body
    return header, body


def _is_units(body):
    """Whether the first row is of words in columns that are else of numbers."""
    first = 3 if len(body) > 10 else 1  # below it there may be more lines of the kind
    sample = body.iloc[first : SAMPLE_ROWS + first]
    n_words = 0
    for j in range(body.shape[1]):
        cell = cell_text(body.iloc[0, j])
        if is_missing(cell) or share_of_numbers(map(cell_text, sample.iloc[:, j])) < 0.95:
            continue
        if reads_as_number(cell):
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
    return names if len(set(names)) > len(set(given)) else None


def _unique(header):
    """Names that are there once, the missing ones called as pandas calls them; and the copies."""
    names, seen, copies = [], set(), {}
    for i, name in enumerate(header):
        name = re.sub(r"\s+", " ", name) or f"Unnamed: {i}"
        unique, number = name, 1
        while unique in seen:
            unique = f"{name}.{number}"
            number += 1
        if unique != name:
            copies.setdefault(name, []).append(unique)
        seen.add(unique)
        names.append(unique)
    return names, copies


def _renamed(grid, names):
    pandas = require("pandas", "cli")
    frame = grid.reset_index(drop=True)
    frame.columns = pandas.Index(names, dtype=object)
    return frame
