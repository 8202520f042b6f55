"""Tables: ``.csv`` and ``.parquet``."""

import difflib

from metriclearn._extras import require
from metriclearn.compare._sources._rows import as_source, one_line


def read_table(path, suffix, target):
    """Read a table whose column ``target`` holds the labels."""
    pandas = require("pandas", "cli")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty")
    try:
        if suffix == ".csv":
            frame = pandas.read_csv(path)
        else:
            require("pyarrow", "cli")
            frame = pandas.read_parquet(path)
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: cannot be read as {suffix[1:]}: {one_line(error)}") from None
    frame, notes = _without_row_numbers(frame)
    columns = [str(column) for column in frame.columns]
    frame.columns = columns
    if target not in columns:
        raise ValueError(_no_such_column(path, target, columns))
    if len(frame) == 0:
        raise ValueError(f"{path}: the file has a header and no rows")
    if len(columns) == 1:
        raise ValueError(f"{path}: {target!r} is the only column; features are needed beside it")
    return as_source(
        frame.drop(columns=target),
        frame[target].to_numpy(),
        name=path.stem,
        target_name=f"target column {target!r}",
        notes=notes,
    )


def _without_row_numbers(frame):
    """Leave out the row numbers that ``to_csv`` writes: sorted rows would give the labels away."""
    numbers = range(len(frame))
    first = frame.iloc[:, 0] if frame.shape[1] else ()
    unnamed = len(first) and str(frame.columns[0]).startswith("Unnamed: ")
    if unnamed and list(first) in ([*numbers], [i + 1 for i in numbers]):
        return frame.iloc[:, 1:], ("The first column, which numbers the rows, was left out",)
    return frame, ()


def _no_such_column(path, target, columns):
    other = next((mark for mark in ";\t|" if len(columns) == 1 and mark in columns[0]), None)
    if other is not None:
        return f"{path}: a .csv file has commas between its columns, this one has {other!r}"
    shown = ", ".join(columns[:30]) + (f", … ({len(columns)} in all)" if len(columns) > 30 else "")
    if target is None:
        return f"{path}: say which column holds the labels with --target; there are: {shown}"
    lower = {column.lower(): column for column in columns}
    near = difflib.get_close_matches(target.lower(), lower, n=1)
    hint = f"; did you mean {lower[near[0]]!r}?" if near else "."
    return f"{path}: no column {target!r}{hint} There are: {shown}"
