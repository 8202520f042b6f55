"""Files of tables, by their suffix; what is unusual about a file is reported."""

import contextlib
import warnings
from dataclasses import replace
from pathlib import Path

from metriclearn._extras import require
from metriclearn._text import one_line
from metriclearn.compare._tables._bytes import check_columns_of, check_sheets, read_text
from metriclearn.compare._tables._forms import (
    JSON_SUFFIXES,
    is_svmlight,
    read_arff,
    read_json,
    read_svmlight,
)
from metriclearn.compare._tables._grid import RawTable, read_frame
from metriclearn.compare._tables._layout import read_grid
from metriclearn.compare._tables._sheets import fill_merged

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data", ".psv", ".ssv", ".prn")
PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zip")
SHEET_SUFFIXES = (".xlsx", ".xlsm")
# Files that keep types, and pandas' reader of each.
TYPED_READERS = {
    ".parquet": "read_parquet",
    ".pq": "read_parquet",
    ".feather": "read_feather",
    ".arrow": "read_feather",
    ".orc": "read_orc",
    ".dta": "read_stata",
}
ARFF_SUFFIX = ".arff"
SVMLIGHT_SUFFIXES = (".svm", ".libsvm", ".svmlight")
# What is text, whatever is made of it.
_TEXTS = (*TEXT_SUFFIXES, *JSON_SUFFIXES, ARFF_SUFFIX, *SVMLIGHT_SUFFIXES)
TABLE_SUFFIXES = (
    *(*TEXT_SUFFIXES, *SHEET_SUFFIXES, *TYPED_READERS),
    *(*JSON_SUFFIXES, ARFF_SUFFIX, *SVMLIGHT_SUFFIXES),
)


def table_suffix(path):
    """Return the suffix that says what kind of table a file is, packed or not; else None.

    Examples
    --------
    >>> table_suffix("flowers.CSV.gz"), table_suffix("flowers.npz")
    ('.csv', None)
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in PACKED_SUFFIXES:
        suffixes = suffixes[:-1] or [".csv"]
        return suffixes[-1] if suffixes[-1] in _TEXTS else ".csv"
    return suffixes[-1] if suffixes and suffixes[-1] in TABLE_SUFFIXES else None


def read_file(path, wanted=()):
    """Read a table.

    Parameters
    ----------
    path : Path
    wanted : iterable of str, default=()
        Columns that a sheet must have to be read, if one of the sheets has them.

    Returns
    -------
    RawTable
        Cells of text files are strings; other files keep their types.
    """
    suffix = table_suffix(path)
    if suffix not in _TEXTS:
        if path.stat().st_size == 0:
            raise ValueError("the file is empty")
        try:
            if suffix in SHEET_SUFFIXES:
                return _read_sheet(path, wanted)
            return _read_typed(path, TYPED_READERS[suffix], suffix)
        except ImportError:
            raise
        except Exception as error:  # whatever a reader makes of a broken file
            raise ValueError(f"cannot be read as {suffix[1:]}: {one_line(error)}") from None
    text, notes = read_text(path, is_json=suffix in JSON_SUFFIXES)
    if suffix in JSON_SUFFIXES:
        return read_json(text, notes)
    if suffix == ARFF_SUFFIX:
        return read_arff(text, notes)
    if suffix in SVMLIGHT_SUFFIXES or is_svmlight(text):
        return read_svmlight(text, notes)
    grid, lines, more = read_grid(text)
    table = read_frame(grid, lines)
    return replace(table, notes=(*notes, *more, *table.notes))


def _read_typed(path, reader, suffix):
    pandas = require("pandas", "cli")
    if suffix != ".dta":
        require("pyarrow", "cli")
    check_columns_of(path, suffix)
    frame = getattr(pandas, reader)(path)
    notes = ()
    index = frame.index
    if index.name is not None or not isinstance(index, pandas.RangeIndex):
        named = any(name is not None for name in index.names)
        if named and not set(index.names) & set(frame.columns):
            frame = frame.reset_index()
            notes = ("The index of the table was read as a column.",)
    frame.columns = [str(column) for column in frame.columns]
    return RawTable(frame, None, notes)


def _read_sheet(path, wanted):
    """Read the fullest of the sheets that have the wanted columns, or else the fullest of all."""
    pandas = require("pandas", "cli")
    require("openpyxl", "excel")
    check_sheets(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and macros, which are not read
        sheets = pandas.read_excel(path, sheet_name=None, header=None, dtype=object)
        notes = fill_merged(path, sheets)
    filled = {name: int(sheet.notna().to_numpy().sum()) for name, sheet in sheets.items()}
    names = sorted((name for name in filled if filled[name]), key=filled.get, reverse=True)
    if not names:
        raise ValueError("the file is empty")
    table, name = _as_table(sheets[names[0]]), names[0]
    for other in names[1:] if wanted and not set(wanted) <= set(table.frame.columns) else ():
        with contextlib.suppress(ValueError):  # of a sheet that is no table
            further = _as_table(sheets[other])
            if set(wanted) <= set(further.frame.columns):
                table, name = further, other
                break
    several = len(names) > 1
    said = [f"Sheet {name!r} was read, of {len(names)}."] if several else []
    part = f"sheet {name!r} of {len(names)}" if several else ""
    return replace(table, notes=(*said, *notes.get(name, ()), *table.notes), part=part)


def _as_table(sheet):
    grid = sheet.astype(object).where(sheet.notna(), "")
    rows = (grid != "").any(axis=1)
    lines = [int(i) + 1 for i in grid.index[rows]]
    grid = grid[rows].reset_index(drop=True)
    grid.columns = range(grid.shape[1])
    columns = (grid != "").any(axis=0)
    return read_frame(grid.loc[:, columns.to_numpy()], lines)
