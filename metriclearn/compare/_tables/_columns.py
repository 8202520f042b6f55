"""Typed columns: each column of a frame is read as what it holds, which is reported.

Nothing is learned from the data here but how values are written; whatever is learned from
them (a median, the categories) is learned by ``_cleaning`` on training rows alone.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from metriclearn._extras import require
from metriclearn._text import counted, truth_of, truths_of
from metriclearn.compare._inspect._finding import Finding, listed, make_finding
from metriclearn.compare._tables._numbers import (
    exact_numbers,
    find_decimal,
    is_missing,
    is_missing_text,
    mixed_signs,
    parse_more,
    parse_numbers,
)
from metriclearn.compare._tables._times import (
    as_seconds,
    numbers_since_1970,
    times_from_numbers,
    times_from_text,
    times_since_1970,
    with_years_first,
)

# Fewer cells than this part that are no numbers are read as missing.
MAX_STRAY = 0.2


@dataclass(frozen=True)
class ColumnNote:
    """What a column was read as.

    Attributes
    ----------
    column : str
    kind : {"number", "boolean", "time", "category", "text"}
    text : str
        What was done to its cells; empty where nothing was.
    """

    column: str
    kind: str
    text: str = ""


@dataclass(frozen=True)
class TypedTable:
    """A frame whose columns are numbers, times or text.

    Attributes
    ----------
    frame : DataFrame
        Numbers and truth values are float64 with NaN, times datetime64, all else strings with
        None.
    notes : tuple of ColumnNote
        One for each column.
    findings : tuple of Finding
        Of the kind "unreadable".
    """

    frame: object
    notes: tuple[ColumnNote, ...]
    findings: tuple[Finding, ...]


def read_columns(frame, decimal=None):
    """Read each column as what it holds; digits with leading zeros (``"00420"``) are text.

    Parameters
    ----------
    frame : DataFrame
        Of strings, as from a file, or of anything, as from a user.
    decimal : {".", ","}, default=None
        The decimal mark where a column leaves it open; by default what most cells speak for.

    Returns
    -------
    TypedTable
    """
    pandas = require("pandas", "cli")
    names = Counter(map(str, frame.columns))
    if repeated := [name for name, count in names.items() if count > 1]:
        raise ValueError(
            f"several columns are called {listed(repeated)}; give each column a name of its own"
        )
    decimal = decimal or decimal_of(frame)
    columns, notes, findings, faults = {}, [], [], []
    for j, name in enumerate(map(str, frame.columns)):
        try:
            values, note, stray = _read_column(frame.iloc[:, j], name, decimal)
        except _UnreadableError as fault:
            faults.append(f"{name!r} holds {fault}")
            continue
        columns[name] = values
        notes.append(note)
        stray = stray or _first_of_blocks(values, name)
        if stray is not None:
            findings.append(stray)
    if faults:
        word = "column" if len(faults) == 1 else "columns"
        shown = "; ".join(faults[:10]) + (f"; and {len(faults) - 10} more" * (len(faults) > 10))
        raise ValueError(f"{len(faults)} {word} cannot be read: {shown}; drop or convert them")
    return TypedTable(pandas.DataFrame(columns), tuple(notes), tuple(findings))


class _UnreadableError(Exception):
    """A column of values that are neither numbers, times nor text; says of what kind."""


def decimal_of(frame):
    """Return the decimal mark that most cells of a frame speak for."""
    return find_decimal(_sample_cells(frame))


def read_as(cells, kind, text="", decimal="."):
    """Read cells as what a column was read as, though they alone may not show it.

    Parameters
    ----------
    cells : Series
    kind, text : str
        Of the ``ColumnNote`` of the column.
    decimal : {".", ","}, default="."

    Returns
    -------
    ndarray of float64 or of datetime64
        With gaps where a cell is nothing of the kind.
    """
    pandas = require("pandas", "cli")
    words = [str(cell).strip() for cell in cells]
    if kind == "boolean":
        said = [truth_of(word) for word in words]
        return np.array([np.nan if value is None else float(value) for value in said])
    if kind == "number":
        return parse_more(words, text, decimal=decimal)
    if match := re.search(r"(\w+) since 1970", text):
        return numbers_since_1970(parse_numbers(words)[0], match[1])
    if "in one number" in text:
        form = "%Y%m%d" if "and day" in text else "%Y%m"
        cells = pandas.Series([word.removesuffix(".0") for word in words], dtype=object)
        return pandas.to_datetime(cells, format=form, errors="coerce").to_numpy()
    form = re.search(r"format (%\S(?:.*?%\w)*\S*)", text)
    form = form[1] if form else "%d.%m.%Y" if "day.month.year" in text else "mixed"
    cells = pandas.Series(words, dtype=object)
    cells = with_years_first(cells) if "day first" in text and form == "mixed" else cells
    times = pandas.to_datetime(cells, format=form.rstrip(";"), errors="coerce", utc=True)
    return times.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")


def _sample_cells(frame):
    part = frame.iloc[:100].select_dtypes(exclude=["number", "bool", "datetime", "timedelta"])
    return [cell for cell in part.to_numpy(dtype=object).ravel() if isinstance(cell, str)]


def _read_column(column, name, decimal):
    pandas = require("pandas", "cli")
    types = pandas.api.types
    dtype = column.dtype
    if isinstance(dtype, pandas.CategoricalDtype):
        is_number = types.is_numeric_dtype(dtype.categories.dtype)
        column = column.astype(np.float64 if is_number else object)
        dtype = column.dtype
    if types.is_complex_dtype(dtype):
        raise _UnreadableError("complex numbers")
    if types.is_bool_dtype(dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return values, _with_missing(ColumnNote(name, "boolean"), values), None
    if types.is_numeric_dtype(dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return _finished_numbers(values, name, ())
    if types.is_timedelta64_dtype(dtype):
        values = column.dt.total_seconds().to_numpy(dtype=np.float64)
        return _finished_numbers(values, name, ("a duration, in seconds",))
    if types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pandas.PeriodDtype):
        return _finished_times(column, name, "")
    return _read_text(_as_texts(column), name, decimal)


def _as_texts(column):
    """Cells as strings, None where missing."""
    pandas = require("pandas", "cli")
    missing = column.isna().to_numpy()
    cells = column.to_numpy(dtype=object, na_value=None)
    inferred = pandas.api.types.infer_dtype(cells, skipna=True)
    if inferred != "string":
        cells = np.array([_as_text(cell) for cell in cells], dtype=object)
    cells = cells.copy()
    cells[missing] = None
    return cells


def _as_text(cell):
    if isinstance(cell, str) or cell is None:
        return cell
    if isinstance(cell, bytes):
        return cell.decode("utf-8", errors="replace")
    if isinstance(cell, complex) and not isinstance(cell, float | int):
        raise _UnreadableError("complex numbers")
    if hasattr(cell, "__len__") or isinstance(cell, dict | set):
        raise _UnreadableError(f"values of type {type(cell).__name__} with parts")
    return str(cell)


def _read_text(cells, name, decimal):
    """Read a column of strings; ``cells`` has None where there is no value."""
    pandas = require("pandas", "cli")
    if decimal == "." and not any(map(_zero_first, cells[:50])):
        values = np.asarray(pandas.to_numeric(cells, errors="coerce"), dtype=np.float64)
        if np.isfinite(values).all():
            return _finished_numbers(exact_numbers(cells, values), name, ())
    codes, texts = pandas.factorize(cells)
    texts = [text.strip() for text in texts]
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    present = [i for i, text in enumerate(texts) if not is_missing(text)]
    signs = sorted({text for text in texts if is_missing(text) and text})
    if not present:
        return np.full(len(cells), np.nan), ColumnNote(name, "number", "no values"), None
    distinct = [texts[i] for i in present]
    if not _are_codes(distinct):
        values, remarks = parse_numbers(distinct, decimal=decimal)
        read = ~np.isnan(values)
        share = counts[present][read].sum() / counts[present].sum()
        if share == 1 or (share >= 1 - MAX_STRAY and read.sum() >= 5):
            stray = [i for i, good in zip(present, read, strict=True) if not good]
            filled = np.full(len(texts) + 1, np.nan)  # the last place is that of code -1
            filled[present] = values
            finding = _stray(name, texts, codes, stray) or _mixed(name, distinct, remarks)
            return _finished_numbers(filled[codes], name, remarks, signs, finding)
    said = truths_of(distinct)
    if said is not None:
        filled = np.full(len(texts) + 1, np.nan)
        filled[present] = [float(said[text]) for text in distinct]
        values = filled[codes]
        words = {
            truth: sorted({t.lower() for t in distinct if said[t] == truth})
            for truth in said.values()
        }
        text = f"{listed(words[False])} read as 0, {listed(words[True])} as 1"
        return values, _with_missing(ColumnNote(name, "boolean", text), values, signs), None
    seconds = as_seconds(distinct)
    if seconds is not None:
        filled = np.full(len(texts) + 1, np.nan)
        filled[present] = seconds
        return _finished_numbers(filled[codes], name, ("a time of day, in seconds",), signs)
    times, remark = times_from_text(distinct)
    if times is not None:
        filled = np.full(len(texts) + 1, np.datetime64("NaT"), dtype="datetime64[ns]")
        filled[present] = times
        return _finished_times(pandas.Series(filled[codes]), name, remark)
    return _as_words(texts, codes, name)


def _zero_first(cell):
    return cell is not None and cell[:1] == "0" and cell[1:2].isdigit()


def _are_codes(texts):
    """Whether digits are codes, not amounts: of one length, with zeros before."""
    length = len(texts[0])
    return (
        length >= 3
        and any(text[0] == "0" for text in texts)
        and all(len(text) == length and text.isdigit() for text in texts)
    )


def _stray(name, texts, codes, stray):
    """Return what is to be said of cells that are no numbers among numbers."""
    if not stray:
        return None
    rows = np.flatnonzero(np.isin(codes, stray))
    return make_finding(
        "unreadable",
        f"Column {name!r} holds numbers, and in {counted(len(rows), 'row')} what is none: "
        f"{listed([texts[i] for i in stray])}.",
        "Read as missing.",
        columns=[name],
        rows=rows,
    )


def _first_of_blocks(values, name):
    """Say of a column with values here and there, the first row among them, what they may mean."""
    there = np.flatnonzero(~_is_missing(values))
    if len(there) < 3 or there[0] > 0 or len(there) > 0.5 * len(values):
        return None
    if np.diff(there).min() < 2 or np.diff(there).max() > 0.5 * len(values):
        return None
    if (values[there[1:]] == values[there[:-1]]).any():
        return None
    return make_finding(
        "unreadable",
        f"Column {name!r} has a value in {len(there):,} of {len(values):,} rows, the first among "
        f"them and no two that follow each other, as where cells were merged.",
        "The others are read as missing; write the value into each row if it stands for those "
        "below, too.",
        columns=[name],
        rows=there,
    )


def _mixed(name, texts, remarks):
    """Say of numbers of two currencies, or of shares beside percentages, that they are no one."""
    mixed = mixed_signs(texts) if any("removed" in remark for remark in remarks) else []
    if not mixed:
        return None
    more = " in some rows and shares up to 1 in others" if mixed == ["%"] else ""
    return make_finding(
        "unreadable",
        f"Column {name!r} holds numbers with {listed(mixed)}{more}.",
        "Read as if they were of one unit; bring them to one.",
        columns=[name],
    )


def _finished_numbers(values, name, remarks, signs=(), finding=None):
    infinite = np.isinf(values)
    if infinite.any():
        rows = np.flatnonzero(infinite)
        values = np.where(infinite, np.nan, values)
        finding = finding or make_finding(
            "unreadable",
            f"Column {name!r} holds infinity in {counted(len(rows), 'row')}.",
            "Read as missing.",
            columns=[name],
            rows=rows,
        )
    finding = finding or _stand_in(values, name)
    times, remark = times_from_numbers(values)
    if times is None:
        times, remark = times_since_1970(values, name)
    if times is not None and not remarks:
        pandas = require("pandas", "cli")
        return _finished_times(pandas.Series(times), name, remark, finding)
    note = _with_missing(ColumnNote(name, "number", "; ".join(remarks)), values, signs)
    return values, note, finding


# Numbers that stand for no value in many a table.
_STAND_INS = (-9, *(sign * number for number in (99, 999, 9999, 99999, 999999) for sign in (1, -1)))


def _stand_in(values, name):
    """Say of a number far from all others, and there again and again, that it may be no value."""
    present = values[~np.isnan(values)]
    for number in np.intersect1d(present, _STAND_INS):
        rest = present[present != number]
        n_rows = len(present) - len(rest)
        if n_rows < max(2, 0.005 * len(present)) or len(np.unique(rest)) < 5:
            continue
        low, high = rest.min(), rest.max()
        if max(number - high, low - number) > high - low:
            return make_finding(
                "unreadable",
                f"Column {name!r} holds {number:g} in {counted(n_rows, 'row')}, far from its other "
                f"values ({low:g} to {high:g}): it may stand for no value.",
                "Kept; leave these cells empty if it does.",
                columns=[name],
                rows=np.flatnonzero(values == number),
            )
    return None


_WITH_UNIT = re.compile(r"[-+]?\d[\d.,]*\s*([^\W\d_]{1,6}|°[CF]|%)")
_UNITS = frozenset(
    (
        "mg", "g", "kg", "t", "lb", "lbs", "oz", "mm", "cm", "m", "km", "in", "ft", "mi", "ml",
        "cl", "dl", "l", "s", "sec", "ms", "min", "h", "hr", "hrs", "d", "day", "days", "week",
        "weeks", "month", "months", "mo", "yr", "yrs", "year", "years", "°c", "°f", "pa", "kpa",
        "bar", "psi", "w", "kw", "mw", "v", "mv", "hz", "khz", "mhz", "ghz", "kb", "mb", "gb",
        "tb", "%",
    )
)  # fmt: skip


def _units_of(texts):
    """Return the units of cells that are numbers with more than one unit; else nothing."""
    matches = [_WITH_UNIT.fullmatch(text) for text in texts]
    units = {match[1] for match in matches if match}
    known = sum(match is not None and match[1].lower() in _UNITS for match in matches)
    return sorted(units) if len(units) > 1 and known > 0.9 * len(texts) >= 4.5 else []


def _finished_times(column, name, remark, finding=None):
    pandas = require("pandas", "cli")
    if isinstance(column.dtype, pandas.PeriodDtype):
        column = column.dt.to_timestamp()
    column = (
        column.astype("datetime64[ns]")
        if column.dt.tz is None
        else (column.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[ns]"))
    )
    values = column.to_numpy()
    return values, _with_missing(ColumnNote(name, "time", remark), values), finding


def _as_words(texts, codes, name):
    """Categories and free text: strings, None where missing."""
    words = np.array([None if is_missing_text(text) else text for text in texts] + [None], object)
    values = words[codes]
    distinct = {word for word in words if word is not None}
    n_present = sum(value is not None for value in values)
    n_words = np.mean([len(word.split()) for word in list(distinct)[:1000]] or [0])
    kind = "text" if n_words >= 3 and len(distinct) > 0.5 * n_present else "category"
    note = ColumnNote(name, kind, counted(len(distinct), "value") if kind == "category" else "")
    finding, units = None, _units_of(distinct)
    if units:
        finding = make_finding(
            "unreadable",
            f"Column {name!r} holds numbers with several units: {listed(units)}.",
            "Read as text; bring the numbers to one unit.",
            columns=[name],
        )
    return values, _with_missing(note, values), finding


def _with_missing(note, values, signs=()):
    """Add how many values are missing to a note."""
    missing = _is_missing(np.asarray(values))
    n_missing = int(missing.sum())
    if not n_missing:
        return note
    written = f" (written {listed(signs)})" if signs else ""
    text = f"{n_missing:,} missing{written}"
    return ColumnNote(note.column, note.kind, "; ".join(filter(None, [note.text, text])))


def _is_missing(values):
    if values.dtype == bool:
        return values
    if values.dtype == object:
        return np.array([value is None for value in values], dtype=bool)
    return np.isnan(values) if values.dtype.kind == "f" else np.isnat(values)
