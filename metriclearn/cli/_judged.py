"""Files of judgments: which two items are alike, or which of two is nearer to a third."""

from pathlib import Path

import numpy as np

from metriclearn._text import truth_of
from metriclearn.cli._errors import BadInputError

# Beside yes and no.
_SAID = {"similar": True, "same": True, "dissimilar": False, "different": False, "-1": False}
#: Names of the columns, where the file has them; else the first ones are taken.
NAMES = {
    "pairs": ("first", "second", "same"),
    "triplets": ("anchor", "nearer", "farther"),
}
WEIGHT = "weight"


def read_judged(options):
    """Read what ``--pairs`` or ``--triplets`` names, as arguments of ``compare``.

    Parameters
    ----------
    options : argparse.Namespace

    Returns
    -------
    dict
        The items, read once, their ``name``, ``constraints``, and the columns to ``drop``.
    """
    if options.pairs is not None and options.triplets is not None:
        raise BadInputError("--pairs and --triplets are two kinds of judgments; give one")
    if len(options.sources) > 1:
        raise BadInputError("--pairs and --triplets are about one SOURCE; there are several")
    if options.target is not None:
        raise BadInputError("--target: judgments take the place of labels; leave it out")
    kind = "pairs" if options.pairs is not None else "triplets"
    path = options.pairs or options.triplets
    try:
        return _read(kind, path, options.sources[0], options.ids, list(options.drop))
    except (ValueError, OSError) as error:
        text = str(error)
        raise BadInputError(text if text.startswith("--") else f"--{kind} {path}: {text}") from None


def is_same(cell):
    """Return whether a cell says that two items are alike; None where it says neither."""
    return _SAID.get(cell.strip().lower(), truth_of(cell))


def _read(kind, path, source, ids, drop):
    from metriclearn.compare import read_rows
    from metriclearn.constraints import Pairs, Triplets

    frame = table_of_judgments(path).frame
    columns = _columns_of(frame, kind)
    n_names = 2 if kind == "pairs" else 3
    given = np.array([cells_of(frame[column]) for column in columns[:n_names]]).T
    if faults := np.flatnonzero((given == "").any(axis=1)).tolist():
        raise ValueError(f"{len(faults)} lines name no item; the first is row {faults[0] + 1}")
    items = read_rows(source, as_table=ids is not None or bool(drop))
    numbers, named = numbers_of(given, items, ids)
    weights = None
    if WEIGHT in frame.columns and WEIGHT not in columns:
        weights = _weights(cells_of(frame[WEIGHT]))
    n_rows = len(items)
    drop += [named] if named is not None and named not in drop else []
    arguments = {"X": items.X, "name": Path(source).name.split(".")[0], "drop": drop}
    if kind == "triplets":
        return {**arguments, "constraints": Triplets(numbers, weights, n_rows=n_rows)}
    words = cells_of(frame[columns[2]])
    said = {word: is_same(word) for word in words}
    if odd := sorted(word for word, same in said.items() if same is None):
        raise ValueError(
            f"column {columns[2]!r} must say of each pair whether the two are the same, 1 or 0, "
            f"true or false, yes or no; got {', '.join(map(repr, odd[:5]))}"
        )
    similar = [said[word] for word in words]
    return {**arguments, "constraints": Pairs(numbers, similar, weights, n_rows=n_rows)}


def table_of_judgments(path):
    """Read the file of judgments, of any kind of table."""
    from metriclearn.compare._tables._read import read_file, table_suffix

    if table_suffix(path) is None:
        raise ValueError("must be a table (.csv, .tsv, .parquet, .xlsx, ...)")
    if not Path(path).is_file():
        raise ValueError("there is no such file")
    table = read_file(Path(path))
    if len(table.frame) == 0:
        raise ValueError("the file has a header and no judgments")
    return table


def _columns_of(frame, kind):
    """Return the columns that make up a judgment, by their names or else by their places."""
    columns, names = list(frame.columns), NAMES[kind]
    if set(names) <= set(columns):
        return list(names)
    columns = [column for column in columns if column != WEIGHT]
    if len(columns) < len(names):
        raise ValueError(
            f"must have the columns {', '.join(names)}, or three in this order; there are: "
            f"{', '.join(columns)}"
        )
    return columns[: len(names)]


def cells_of(column):
    """Return cells as text; whole numbers without a point, however the file wrote them."""
    texts = ["" if cell is None or cell != cell else str(cell).strip() for cell in column]
    return [text.removesuffix(".0") if text[:-2].isdigit() else text for text in texts]


def _weights(cells):
    try:
        return np.array(cells, dtype=float)
    except ValueError:
        raise ValueError(f"column {WEIGHT!r} must hold numbers") from None


def numbers_of(given, items, ids):
    """Return the row numbers of items, and the column that names them; None for numbers of rows."""
    frame = items.X if hasattr(items.X, "columns") else None
    if ids is not None and (frame is None or ids not in frame.columns):
        there = "it is no table" if frame is None else f"there are: {', '.join(frame.columns)}"
        raise ValueError(f"--ids {ids}: SOURCE has no such column; {there}")
    asked = set(given.ravel().tolist())
    for column in [ids] if ids is not None else ([] if frame is None else frame.columns):
        cells = cells_of(frame[column])
        place = {cell: row for row, cell in enumerate(cells)}
        if asked <= set(place) and len(place) == len(cells):
            return np.array([[place[cell] for cell in row] for row in given]), column
        if ids is not None:
            raise ValueError(_not_named(ids, asked, cells))
    whole = {str(row) for row in range(len(items))}
    if not asked <= whole:
        some = ", ".join(sorted(map(repr, asked - whole))[:5])
        raise ValueError(
            f"{len(asked - whole):,} names are no row numbers of SOURCE from 0 to "
            f"{len(items) - 1}, and no column holds them all, each once: {some}; name the column "
            f"with --ids"
        )
    return given.astype(int), None


def _not_named(ids, asked, cells):
    twice = sorted({cell for cell in asked if cells.count(cell) > 1})
    if twice:
        return f"--ids {ids}: {twice[0]!r} is there twice; each item needs a name of its own"
    missing = sorted(asked - set(cells))
    if missing:
        some = ", ".join(map(repr, missing[:5]))
        return f"--ids {ids}: {len(missing):,} names of judged items are not in it: {some}"
    return f"--ids {ids}: names are there twice; each item needs one of its own"
