"""Tables of files: the label column is found, the rest are features."""

from metriclearn.compare._sources._columns import no_such_column, shown_columns
from metriclearn.compare._sources._rows import as_source
from metriclearn.compare._tables._read import read_file


def read_table(path, target, **choices):
    """Read a table whose column ``target`` holds the labels.

    Parameters
    ----------
    path : Path
    target : str or None
    **choices
        Of ``as_source``: ``groups``, ``drop``, ``keep``, ``min_rows``.

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        If the file is no table or has no such column; it names the file.
    """
    try:
        table = read_file(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    frame = table.frame
    try:
        target, notes = _find_target(table, target)
        if len(frame) == 0:
            raise ValueError("the file has a header and no rows")
        if frame.shape[1] == 1:
            raise ValueError(f"{target!r} is the only column; features are needed beside it")
        return as_source(
            frame.drop(columns=target),
            frame[target],
            name=path.name.split(".")[0],
            target_name=f"target column {target!r}",
            target=target,
            notes=(*table.notes, *notes),
            lines=table.lines,
            **choices,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _find_target(table, target):
    """Name of the label column, which of a file without a header can be given by its place."""
    columns = list(table.frame.columns)
    if target in columns:
        return target, ()
    if target is not None and target.strip() in columns:
        return target.strip(), ()
    headless = table.first_row is not None
    if headless and target is not None:
        places = [j for j, cell in enumerate(table.first_row) if cell == target.strip()]
        if len(places) == 1:
            name = columns[places[0]]
            return name, (f"The labels are in {name!r}, whose first cell is {target!r}.",)
        if target.isdigit() and 1 <= int(target) <= len(columns):
            return columns[int(target) - 1], ()
    shown = shown_columns(columns)
    if headless:
        shown += " (the first line looks like data, so that columns are called by their place)"
    if target is None:
        raise ValueError(f"say which column holds the labels with --target; there are: {shown}")
    raise ValueError(no_such_column(target, columns, shown=shown))
