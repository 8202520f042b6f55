"""``metriclearn verify``: are these two the same, by a saved model."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from metriclearn._files import write_csv
from metriclearn._text import counted, one_line, printable
from metriclearn.cli._errors import BadInputError, wrapped
from metriclearn.cli._judged import NAMES, cells_of, is_same, numbers_of, table_of_judgments
from metriclearn.cli._model import check_outputs, embed, load_model, read

EXAMPLES = """
examples:
  metriclearn verify model pairs.csv --rows measurements.csv
  metriclearn verify model pairs.csv --far 0.001 --out decided.csv     # of image files

PAIRS has a header and one pair a line: first, second and, where it is known, same (1 or 0, true
or false). first and second are image files, relative to PAIRS, or with --rows numbers of its
rows, from 0, names of its images, or cells of its column --ids. Exit codes: 0; 2 for bad input;
130 after Ctrl-C.
"""


def add_parser(commands):
    """Add the sub-command to a parser."""
    parser = commands.add_parser(
        "verify",
        help="decide which pairs are the same, by a saved model",
        description=(
            "Measure the distance of each pair by a saved model. Where PAIRS says which are the "
            "same, find the threshold at a false-accept rate and how good it is there."
        ),
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="folder of the model")
    add("pairs", metavar="PAIRS", help="a table with the columns first, second[, same]")
    add("--rows", metavar="SOURCE", help="a table or array whose row numbers PAIRS names")
    add("--ids", metavar="COL", help="with --rows: the column of SOURCE that names its rows")
    add("--far", type=float, metavar="RATE", help="false-accept rate (0.01), where same is known")
    add("--threshold", type=float, metavar="D", help="accept pairs that are at most this far apart")
    add("--out", metavar="FILE", help="write distances and decisions as .csv")
    parser.set_defaults(run=run)


def run(options, command):
    """Run the sub-command; return the exit code."""
    far = 0.01 if options.far is None else options.far
    if not 0 <= far <= 1:
        raise BadInputError(f"--far {far} is not between 0 and 1")
    if options.threshold is not None and not options.threshold >= 0:
        raise BadInputError(f"--threshold {options.threshold} is not a distance from 0 on")
    if options.ids is not None and options.rows is None:
        raise BadInputError("--ids names a column of --rows; give it, too")
    rows = [] if options.rows is None else [options.rows]
    check_outputs({"--out": options.out}, options.model, [options.pairs, *rows], [".csv"])
    first, second, same = _read_pairs(options.pairs)
    if same is None and options.far is not None:
        raise BadInputError(
            f"--far needs to know which pairs are the same: {options.pairs} has no column same"
        )
    model = load_model(options.model)
    if options.rows is None:
        distances = _of_images(model, Path(options.pairs).parent, first, second)
    else:
        distances = _of_rows(model, read(options.rows, model), first, second, options.ids)
    lines, threshold = [], options.threshold
    if same is not None:
        lines, threshold = _measured(distances, same, far, threshold)
    if options.out is not None:
        write_csv(options.out, _table(first, second, same, distances, threshold))
    low, high = distances.min(), distances.max()
    print(f"{counted(len(distances), 'pair')}, distances from {low:.4g} to {high:.4g}")
    for line in lines:
        print(wrapped(line))
    if threshold is not None:
        print(f"accepted: {np.mean(distances <= threshold):.1%} at distance {threshold!r}")
    if options.out is not None:
        print(f"wrote {printable(options.out)}")
    return 0


def _measured(distances, same, far, threshold):
    """Find the threshold, where none is given, and measure it."""
    from metriclearn.metrics import equal_error_rate, tar_at_far, verification_curve

    if same.all() or not same.any():
        raise BadInputError("PAIRS: same must hold pairs of both kinds")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few pairs, which a line below says
        error, accepts = equal_error_rate(same, distances), tar_at_far(same, distances, far)
    lines = [
        f"equal error rate: {error:.2%}",
        f"true accepts at a false-accept rate of {far:g}: {accepts:.1%}",
    ]
    if threshold is None:
        curve = verification_curve(same, distances)
        threshold = curve.thresholds[np.flatnonzero(curve.far <= far + 1e-12)[-1]]
        n_different = np.count_nonzero(~same)
        if far * n_different < 1:
            lines.append(
                f"pairs of different ones are too few ({n_different:,}) to show a rate of {far:g}: "
                f"none of them was accepted"
            )
        if threshold < 0:  # some that differ are no distance apart
            return [*lines, "no threshold keeps this rate: different ones are at distance 0"], None
        # As many digits as are printed, so that --threshold does the same.
        threshold = _rounded(threshold, distances)
    accepted = distances <= threshold
    lines.append(
        f"of the same {np.mean(accepted[same]):.1%} accepted, of different ones "
        f"{np.mean(accepted[~same]):.2%}"
    )
    return lines, threshold


def _rounded(threshold, distances):
    """Return the shortest number that accepts the same pairs."""
    for digits in range(3, 17):
        number = float(f"{threshold:.{digits}g}")
        if np.array_equal(distances <= number, distances <= threshold):
            return number
    return float(threshold)


def _read_pairs(path):
    """Read the columns; all faults of the file at once."""
    try:
        table = table_of_judgments(path)
    except (ValueError, OSError, ImportError) as error:
        raise BadInputError(f"{path}: {one_line(error)}") from None
    columns = {str(name).strip().lower(): table.frame[name] for name in table.frame}
    missing = [name for name in NAMES["pairs"][:2] if name not in columns]
    if missing:
        raise BadInputError(
            f"{path}: has no column {' and no column '.join(missing)}. There are: "
            f"{', '.join(map(str, table.frame))}"
        )
    first, second = (cells_of(columns[name]) for name in NAMES["pairs"][:2])
    lines = table.lines or range(1, len(first) + 1)
    unit = "row" if table.lines is None else "line"
    both = zip(lines, first, second, strict=True)
    faults = [f"{unit} {line}" for line, *pair in both if not all(pair)]
    same = None
    if "same" in columns:
        words = cells_of(columns["same"])
        said = [is_same(word) for word in words]
        asked = zip(lines, words, said, strict=True)
        faults += [f"{unit} {line}: same is {word!r}" for line, word, yes in asked if yes is None]
        same = np.array([bool(value) for value in said])
    if faults:
        raise BadInputError(
            f"{path}: {counted(len(faults), 'pair')} cannot be read: {'; '.join(faults[:10])}"
        )
    return first, second, same


def _of_images(model, folder, first, second):
    from metriclearn.compare import NewRows
    from metriclearn.images import ImagePaths

    names = sorted({*first, *second})
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise BadInputError(
            f"{counted(len(missing), 'image')} not found: {', '.join(missing[:10])}; with --rows "
            f"SOURCE the pairs are row numbers"
        )
    vectors = embed(model, NewRows(ImagePaths(folder, names), np.array(names)), "images")
    place = {name: k for k, name in enumerate(names)}
    return _apart(vectors, [place[name] for name in first], [place[name] for name in second])


def _of_rows(model, rows, first, second, ids):
    """Return distances between rows by their numbers, or by their names: files, a column."""
    if ids is not None:
        try:
            numbers, _ = numbers_of(np.array([first, second]).T, rows, ids)
        except ValueError as error:
            raise BadInputError(error) from None
        if not hasattr(model, "feature_names_in_"):  # which would take its columns by name
            rows = replace(rows, X=rows.X.drop(columns=ids))
        return _apart(embed(model, rows, "rows"), *numbers.T)
    place = {str(row): row for row in range(len(rows))}
    named = {str(name): row for row, name in enumerate(rows.ids)}
    if not set(place) >= set(first + second) and rows.ids.dtype.kind == "U":
        place = named
    if bad := [text for text in (*first, *second) if text not in place]:
        what = "names of images" if place is named else f"row numbers from 0 to {len(rows) - 1}"
        some = ", ".join(map(repr, bad[:10]))
        raise BadInputError(
            f"PAIRS: {counted(len(bad), 'item')} not found in --rows: {some}; they must be {what}, "
            f"or give --ids COL"
        )
    vectors = embed(model, rows, "rows")
    return _apart(vectors, [place[text] for text in first], [place[text] for text in second])


def _apart(vectors, first, second):
    return np.linalg.norm(vectors[first].astype(float) - vectors[second], axis=1)


def _table(first, second, same, distances, threshold):
    """Return the columns of what was decided, by their names."""
    columns = {"first": first, "second": second}
    if same is not None:
        columns["same"] = same.astype(int)
    columns["distance"] = distances
    if threshold is not None:
        columns["accepted"] = (distances <= threshold).astype(int)
    return columns
