"""Text to a grid of cells: what stands between the cells is found out."""

import csv
import io
import re
from collections import Counter

import numpy as np

from metriclearn._extras import require
from metriclearn._packed import check_cells
from metriclearn.compare._tables._cells import seen

SEPARATORS = ("\t", ";", ",", "|", "::", "^", "~")
BLANKS = r"\s+"
_NAMES = {
    **{"\t": "tabs", ";": "semicolons", "|": "bars", "::": "double colons", BLANKS: "blanks"},
    **{"^": "carets", "~": "tildes"},
}
_SAMPLE_LINES = 500
_DECLARED = re.compile(r"sep=(.)[ \t]*(?:\n|$)")
_NUMBER_LIKE = re.compile(r"[-+(]?[\d.,'\u00a0]*\d[\d.,]*([eE][-+]?\d+)?[%)]?$")


def read_grid(text):
    """Read all cells of a text as strings.

    Parameters
    ----------
    text : str

    Returns
    -------
    grid : DataFrame of str
        Every line that is not blank; short lines are filled with empty cells.
    lines : list of int
        Line of the file of each row, from 1.
    notes : tuple of str
    """
    pandas = require("pandas", "cli")
    text = seen(text.replace("\r\n", "\n").replace("\r", "\n"))
    skipped, declared = 0, _DECLARED.match(text)
    if declared:  # what Excel writes before the first line
        separator = declared.group(1)
        text, skipped = text[declared.end() :], 1
    else:
        separator = find_separator(text)
    if separator == BLANKS and (fixed := _fixed_width(text)) is not None:
        return fixed
    quote = _find_quote(text, separator)
    blank_after = _has_blanks_after(text, separator)
    widths, lines = _scan(text, separator, quote, blank_after)
    if not widths:
        raise ValueError("the file has no rows")
    check_cells(len(lines), max(widths), len(text))
    options = {"skipinitialspace": blank_after, "quotechar": quote}
    unquoted = _has_open_quote(text, separator, quote)
    if unquoted:  # a mark that opens a quote and never closes it would swallow the rest
        options["quoting"] = csv.QUOTE_NONE
        widths, lines = _scan(text, separator, quote, blank_after, csv.QUOTE_NONE)
    grid = pandas.read_csv(
        io.StringIO(text),
        sep=re.escape(separator) if separator == "::" else separator,
        header=None,
        names=range(max(widths)),
        index_col=False,
        dtype=str,
        keep_default_na=False,
        na_filter=False,
        engine="python" if separator == "::" else "c",
        **options,
    ).fillna("")
    if unquoted:
        grid = grid.apply(lambda column: column.str.strip(quote))
    notes = []
    if len(lines) != len(grid):  # lines that only pandas takes for blank
        lines = list(range(1, len(grid) + 1))
    if separator == BLANKS:
        grid, lines = _without_words_above(grid, lines, notes)
    if separator in _NAMES:
        notes.append(f"The cells are separated by {_NAMES[separator]}.")
    if quote == "'":
        notes.append("Cells are quoted by single quotes.")
    if unquoted:
        notes.append("A quotation mark is opened and never closed; quotation marks were dropped.")
    if blank_after:
        notes.append("Blanks after the separators were dropped.")
    return grid, [line + skipped for line in lines], tuple(notes)


def _fixed_width(text):
    """Cells that stand below each other, where blanks alone do not part them; else None.

    Columns of characters that are blank in every line part the cells.
    """
    pandas = require("pandas", "cli")
    lines = [line.expandtabs() for line in text.split("\n")]
    places = [i for i, line in enumerate(lines) if line.strip()]
    widths = {len(lines[i].split()) for i in places[1:]}
    length = max(len(lines[i]) for i in places)
    if len(places) < 5 or len(widths) < 2 or length > 10_000:
        return None
    taken = np.zeros(length, dtype=bool)
    for i in places:
        codes = np.frombuffer(lines[i].encode("utf-32-le"), dtype=np.uint32)
        taken[: len(codes)] |= codes != ord(" ")
    edges = np.diff(np.r_[0, taken.astype(int), 0])
    cells = list(zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True))
    if len(cells) < max(2, np.median(sorted(widths)) / 2):
        return None
    rows = [[lines[i][start:end].strip() for start, end in cells] for i in places]
    if not all(rows[0]):  # a line of names without a gap is what shows a table
        return None
    check_cells(len(rows), len(cells), len(text))
    note = "The cells stand below each other, in columns of a fixed width."
    return pandas.DataFrame(rows), [i + 1 for i in places], (note,)


def _without_words_above(grid, lines, notes):
    """Leave out first lines that have more or fewer words than the rows have cells.

    Blanks between cells leave no cell empty, so that a header with blanks in its names cannot be
    told from a title.
    """
    widths = (grid != "").sum(axis=1).to_numpy()
    width = np.bincount(widths[1:]).argmax() if len(widths) > 1 else widths[0]
    start = 0
    while start < len(grid) - 1 and abs(widths[start] - width) > 1:
        start += 1
    if start:
        words = " ".join(grid.iloc[0][grid.iloc[0] != ""])
        notes.append(f"Words above the table were skipped, as they name no columns: {words!r:.80}.")
    columns = range(widths[start:].max())
    return grid.iloc[start:].reset_index(drop=True)[columns], lines[start:]


def find_separator(text):
    r"""Return what separates the cells: the mark that makes lines of one width and plain cells.

    Examples
    --------
    >>> find_separator("a;b\n1,5;2,5\n3,5;4,5\n")
    ';'
    """
    sample = _sample(text)
    best, best_score = ",", 0.0
    for separator in SEPARATORS:
        score = _score(list(_rows_of(sample, separator)))
        if score > best_score * 1.001:
            best, best_score = separator, score
    if best_score >= 0.5:
        return best
    blanks = _score([line.split() for line in sample.splitlines() if line.strip()])
    return BLANKS if blanks > best_score else best


def _sample(text):
    lines = text.split("\n", _SAMPLE_LINES + 1)[:_SAMPLE_LINES]
    return "\n".join(lines)


def _rows_of(text, separator, quote='"'):
    """Rows of cells, blank lines left out."""
    if separator == "::":
        return (line.split("::") for line in text.splitlines() if line.strip())
    if separator == BLANKS:
        reader = csv.reader(
            (re.sub(r"[ \t]+", " ", line).strip() for line in text.splitlines()),
            delimiter=" ",
            quotechar=quote,
        )
    else:
        reader = csv.reader(
            io.StringIO(text), delimiter=separator, quotechar=quote, skipinitialspace=True
        )
    return (row for row in _tolerant(reader) if any(cell.strip() for cell in row) or len(row) > 1)


def _tolerant(reader):
    """Rows of a reader; a cell too large for the csv module ends the sample."""
    try:
        yield from reader
    except csv.Error:
        return


def _score(rows):
    """How well a separator explains the lines: one width, and cells that are plain."""
    widths = Counter(len(row) for row in rows)
    widths.pop(1, None)
    if not widths:
        return 0.0
    width, _ = max(widths.items(), key=lambda item: (item[1], item[0]))
    body = [row for row in rows if abs(len(row) - width) <= 1 and len(row) > 1]
    cells = [cell for row in body[:100] for cell in row]
    plain = sum(_plainness(cell.strip()) for cell in cells) / len(cells)
    return len(body) / len(rows) * plain


def _plainness(cell):
    if _NUMBER_LIKE.match(cell) or not cell:
        return 1.0
    return 0.4 if any(mark in cell for mark in SEPARATORS) else 0.9


def _find_quote(text, separator):
    """Whether cells are quoted by single quotes, which some databases write."""
    mark = re.escape(" " if separator == BLANKS else separator)
    sample = _sample(text)
    single = len(re.findall(rf"(?:^|{mark})\s?'[^'\n]*'(?=\s*(?:{mark}|$))", sample, re.M))
    return "'" if single > len(re.findall(rf"(?:^|{mark})\s?'", sample, re.M)) / 2 > 2 else '"'


def _has_blanks_after(text, separator):
    """Whether a blank follows nearly every separator, so that it belongs to it."""
    if separator not in (",", ";", "|"):
        return False
    sample = _sample(text)
    n_marks = sample.count(separator) - sample.count(separator + "\n")
    return sample.count(separator + " ") > 0.8 * n_marks > 0


def _has_open_quote(text, separator, quote):
    """Whether the last cell begins with a quote that is not closed."""
    if text.count(quote) % 2 == 0 or separator in ("::", BLANKS):
        return False
    last = list(_rows_of(text, separator, quote))[-1:]
    return bool(last) and any("\n" in cell for cell in last[0])


def _scan(text, separator, quote, skip_blanks, quoting=csv.QUOTE_MINIMAL):
    """Width and line number of every row."""
    widths, lines = [], []
    if separator in ("::", BLANKS):
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                widths.append(len(line.split("::" if separator == "::" else None)))
                lines.append(number)
        if separator == BLANKS:
            widths = [max(len(row) for row in _rows_of(text, separator, quote))] * len(lines)
        return widths, lines
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(
        io.StringIO(text),
        delimiter=separator,
        quotechar=quote,
        skipinitialspace=skip_blanks,
        quoting=quoting,
    )
    before = 0
    for row in reader:
        if len(row) > 1 or (row and row[0].strip()):
            widths.append(len(row))
            lines.append(before + 1)
        before = reader.line_num
    return widths, lines
