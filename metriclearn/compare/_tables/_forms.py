"""Text that is a table, but not of lines of cells: ARFF, JSON, and svmlight's pairs of numbers."""

import csv
import io
import json
import re

import numpy as np

from metriclearn._extras import require
from metriclearn._packed import check_cells
from metriclearn._text import counted
from metriclearn.compare._tables._grid import RawTable

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_SVMLIGHT = re.compile(r"\s*[-+\d.eE,]+(?:\s+qid:\d+)?(?:\s+\d+:[-+\d.eE]+)+\s*(?:#.*)?$")
_ATTRIBUTE = re.compile(
    r"\s*@attribute\s+(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|(\S+))\s+(.*)$", re.I
)


def read_arff(text, notes=()):
    """Read the format of Weka, dense or sparse.

    Parameters
    ----------
    text : str
    notes : tuple of str, default=()

    Returns
    -------
    RawTable
    """
    names, kinds, rows, lines, is_data = [], [], [], [], False
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if not bare or bare.startswith("%"):
            continue
        if is_data:
            rows.append(bare)
            lines.append(number)
        elif attribute := _ATTRIBUTE.match(line):
            names.append(next(name for name in attribute.groups()[:3] if name is not None))
            kinds.append(attribute[4].strip())
        is_data = is_data or bare.lower().startswith("@data")
    if any(kind.lower() == "relational" for kind in kinds):
        raise ValueError("it has tables within cells (relational attributes); write them out")
    if not names or not is_data:
        raise ValueError("it has no @attribute or no @data")
    check_cells(len(rows), len(names), len(text))
    cells = [_arff_row(row, kinds) for row in rows]
    odd = [line for line, row in zip(lines, cells, strict=True) if len(row) != len(names)]
    if odd:
        raise ValueError(
            f"{counted(len(odd), 'line')} of data have not the {len(names)} cells of the "
            f"attributes (lines {', '.join(map(str, odd[:10]))})"
        )
    frame = require("pandas", "cli").DataFrame(cells, columns=names, dtype=object)
    return RawTable(frame.replace("?", ""), lines, notes)


def _arff_row(row, kinds):
    if not row.startswith("{"):
        return _arff_cells(row)
    cells = [_first_value(kind) for kind in kinds]  # what is not written is 0
    for pair in _arff_cells(row.strip("{} ")):
        place, _, value = pair.partition(" ")
        if not place.isdigit() or int(place) >= len(kinds):
            return []
        cells[int(place)] = _plain(value)
    return cells


def _first_value(kind):
    return _arff_cells(kind.strip("{} "))[0] if kind.startswith("{") else "0"


def _arff_cells(row):
    """Cells of a line: quoted ones may hold commas, and escaped quotes."""
    quote = "'" if "'" in row else '"'
    reader = csv.reader(io.StringIO(row), quotechar=quote, skipinitialspace=True, escapechar="\\")
    return [_plain(cell) for cell in next(reader, [])]


def _plain(cell):
    cell = cell.strip()
    is_quoted = len(cell) > 1 and cell[0] == cell[-1] and cell[0] in "'\""
    return cell[1:-1] if is_quoted else cell


def read_json(text, notes=()):
    """Read records, one a line or in a list, or columns; parts of records become columns.

    Parameters
    ----------
    text : str
    notes : tuple of str, default=()

    Returns
    -------
    RawTable
    """
    records, lines = _records(text)
    if not records or not all(isinstance(record, dict) for record in records):
        raise ValueError("JSON must be a list of records, {...} with the names of the columns")
    rows = [dict(_flat(record)) for record in records]
    names = list(dict.fromkeys(name for row in rows for name in row))
    check_cells(len(rows), len(names), len(text))
    frame = require("pandas", "cli").DataFrame(rows, columns=names)
    return RawTable(frame, lines, notes)


def _records(text):
    try:
        given = json.loads(text)
    except RecursionError:
        raise ValueError("its parts lie too deep within one another") from None
    except json.JSONDecodeError as whole:
        lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2:
            raise ValueError(f"it is no JSON: {whole}") from None
        records = []
        for number, line in lines:
            try:
                records.append(json.loads(line))
            except (json.JSONDecodeError, RecursionError):
                raise ValueError(f"line {number} is no JSON record") from None
        return records, [number for number, _ in lines]
    return _as_records(given), None


def _as_records(given):
    """Return the records of what is written by columns, or lies under one name."""
    if isinstance(given, list):
        return given
    if not isinstance(given, dict):
        return []
    columns = given.values()
    if isinstance(given.get("columns"), list) and isinstance(given.get("data"), list):
        return [dict(zip(given["columns"], row, strict=False)) for row in given["data"]]
    if all(isinstance(column, dict) for column in columns):
        rows = dict.fromkeys(row for column in columns for row in column)
        return [{name: column.get(row) for name, column in given.items()} for row in rows]
    if len(given) > 1 and all(isinstance(column, list) for column in columns):
        if len(set(map(len, columns))) > 1:
            raise ValueError("its columns are of different lengths")
        return [dict(zip(given, row, strict=True)) for row in zip(*columns, strict=True)]
    inner = [value for value in columns if isinstance(value, list) and value]
    return inner[0] if len(inner) == 1 else [given]


def _flat(record, before=""):
    for name, value in record.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def is_svmlight(text):
    r"""Whether lines are a label and pairs ``column:value``.

    Examples
    --------
    >>> is_svmlight("1 1:0.5 7:2\n-1 2:3 # remark\n"), is_svmlight("10:30 11:20\n")
    (True, False)
    """
    lines = [line for line in text[:20_000].split("\n")[:20] if line.strip()]
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    return bool(lines) and all(map(_SVMLIGHT.match, lines[: max(1, len(lines) - 1)]))


def read_svmlight(text, notes=()):
    """Read svmlight's format; what is not written is 0.

    Parameters
    ----------
    text : str
    notes : tuple of str, default=()

    Returns
    -------
    RawTable
        Its labels are the column ``label``.
    """
    from sklearn.datasets import load_svmlight_file

    X, y = load_svmlight_file(io.BytesIO(text.encode()))
    check_cells(*X.shape, len(text))
    lines = [
        number for number, line in enumerate(text.split("\n"), 1) if line.split("#")[0].strip()
    ]
    pandas = require("pandas", "cli")
    frame = pandas.DataFrame(X.toarray(), columns=[f"x{j + 1}" for j in range(X.shape[1])])
    frame["label"] = y if (y != np.floor(y)).any() else y.astype(np.int64)
    notes = (*notes, "Lines are a label and pairs of column and value; other values are 0.")
    return RawTable(frame, lines, notes, target="label")
