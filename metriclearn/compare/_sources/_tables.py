"""Tables of files, where the label column is found, and array files with ``X`` and ``y``."""

from metriclearn._packed import open_npz
from metriclearn._text import counted, one_line, option
from metriclearn.compare._inspect._finding import listed
from metriclearn.compare._sources._rows import as_source
from metriclearn.compare._sources._target import no_such_column, shown_columns
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
    """
    try:
        wanted = [target, choices.get("groups"), choices.get("split")]
        wanted = [name for name in wanted if isinstance(name, str)]
        table = read_file(path, wanted)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    frame = table.frame
    try:
        target, notes = _find_target(table, target)
        _check_copies(table, [target, *wanted], choices.get("drop", ()))
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
        raise ValueError(f"{path}: {table.part}{': ' * bool(table.part)}{error}") from None


def _check_copies(table, named, dropped):
    """Refuse a name that several columns have, unless all but one of them are dropped."""
    faults = []
    for name in dict.fromkeys(named):
        others = [other for other in table.copies.get(name, ()) if other not in dropped]
        if others:
            faults.append(
                f"{counted(len(others) + 1, 'column')} are called {name!r}; rename them, or keep "
                f"the first with {option('drop', others)}"
            )
    if faults:
        raise ValueError("; ".join(faults))


def _find_target(table, target):
    """Name of the label column, which of a file without a header can be given by its place."""
    columns = list(table.frame.columns)
    target = table.target if target is None else target
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
        raise ValueError(
            f"say which column holds the labels with {option('y')}{_likely(table.frame)}; "
            f"there are: {shown}"
        )
    raise ValueError(no_such_column(target, columns, shown=shown))


_LABEL_NAMES = ("target", "label", "labels", "class", "y", "species", "category", "outcome")


def _likely(frame):
    """Name the column that most likely holds the labels, and say where there is one for each."""
    near = [name for name in frame.columns if str(name).strip().lower() in _LABEL_NAMES]
    if near:
        return f", as in {option('y', near[0])}"
    flags = [
        name for name, column in frame.items() if set(map(str, column)) <= {"0", "1", "0.0", "1.0"}
    ]
    if len(flags) > 1:
        once = sum(frame[name].astype(float) for name in flags) == 1
        if once.all():
            return (
                f" ({listed(flags)} hold 0 and 1, and one of them is 1 in each row: write the "
                f"label that they stand for into one column)"
            )
    return ""


NAME_KEYS = ("feature_names", "columns", "names")


def read_npz(path, target=None, **choices):
    """Read arrays ``X`` and ``y``; nothing that was pickled.

    Parameters
    ----------
    path : Path
    target : str, default=None
        The array of labels, ``y`` by default.
    **choices
        Of ``as_source``; ``groups`` and ``split`` may name arrays of the file.

    Returns
    -------
    Source
    """
    labels = "y" if target is None else target
    with open_npz(path) as arrays:
        missing = [key for key in ("X", labels) if key not in arrays.files]
        if missing:
            raise ValueError(
                f"has no array {missing[0]!r}; arrays X and {labels} are needed, there are: "
                f"{', '.join(map(one_line, arrays.files)) or 'none'}"
            )
        X, y = arrays["X"], arrays[labels]
        names = next((arrays[key] for key in NAME_KEYS if key in arrays.files), None)
        choices["split_name"] = (
            choices.get("split") if isinstance(choices.get("split"), str) else None
        )
        for argument in ("groups", "split"):
            if choices.get(argument) in arrays.files:
                choices[argument] = arrays[choices[argument]]
    if names is not None and (X.ndim != 2 or len(names) != X.shape[1]):
        names = None
    names = None if names is None else [str(name) for name in names]
    try:
        return as_source(X, y, name=path.stem, feature_names=names, **choices)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
