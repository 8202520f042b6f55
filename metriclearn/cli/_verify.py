"""``metriclearn verify``: are these two the same, by a saved model."""

import csv
import io
import warnings
from pathlib import Path

import numpy as np

from metriclearn._files import write_text
from metriclearn._text import printable
from metriclearn.cli._errors import BadInputError
from metriclearn.cli._judged import is_same
from metriclearn.cli._model import check_output, embed, load_model, read, wrapped

EXAMPLES = """
examples:
  metriclearn verify model pairs.csv --rows measurements.csv
  metriclearn verify model pairs.csv --far 0.001 --out decided.csv     # of image files

PAIRS has a header and one pair a line: first, second and, where it is known, same (1 or 0, true
or false). first and second are image files, relative to PAIRS, or with --rows numbers of its
rows, from 0. Exit codes: 0; 2 for bad input; 130 after Ctrl-C.
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
    add("pairs", metavar="PAIRS", help="a .csv file with the columns first, second[, same]")
    add("--rows", metavar="SOURCE", help="a table or array whose row numbers PAIRS names")
    add("--far", type=float, metavar="RATE", default=0.01, help="false-accept rate (0.01)")
    add("--threshold", type=float, metavar="D", help="accept pairs that are at most this far apart")
    add("--out", metavar="FILE", help="write distances and decisions as .csv")
    parser.set_defaults(run=run)


def run(options, command):
    """Run the sub-command; return the exit code."""
    if not 0 <= options.far <= 1:
        raise BadInputError(f"--far {options.far} is not between 0 and 1")
    if options.threshold is not None and not options.threshold >= 0:
        raise BadInputError(f"--threshold {options.threshold} is not a distance from 0 on")
    rows = [] if options.rows is None else [options.rows]
    check_output("--out", options.out, options.model, [options.pairs, *rows])
    first, second, same = _read_pairs(Path(options.pairs))
    model = load_model(options.model)
    if options.rows is None:
        distances = _of_images(model, Path(options.pairs).parent, first, second)
    else:
        distances = _of_rows(model, read(options.rows), first, second)
    lines, threshold = [], options.threshold
    if same is not None:
        lines, threshold = _measured(distances, same, options.far, threshold)
    if options.out is not None:
        write_text(options.out, _table(first, second, same, distances, threshold))
    print(
        f"{len(distances):,} pairs, distances from {distances.min():.4g} to {distances.max():.4g}"
    )
    for line in lines:
        print(wrapped(line))
    if threshold is not None:
        print(f"accepted: {np.mean(distances <= threshold):.1%} at distance {threshold:.6g}")
    if options.out is not None:
        print(f"wrote {printable(options.out)}")
    return 0


def _measured(distances, same, far, threshold):
    """Find the threshold, where none is given, and measure it."""
    from metriclearn.metrics import equal_error_rate, tar_at_far

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
        impostors = np.sort(distances[~same])
        allowed = int(np.floor(far * len(impostors) + 1e-9))
        below = impostors[allowed] if allowed < len(impostors) else np.inf
        threshold = float(np.nextafter(below, -np.inf)) if allowed < len(impostors) else below
        if far * len(impostors) < 1:
            lines.append(
                f"pairs of different ones are too few ({len(impostors):,}) to show a rate of "
                f"{far:g}: none of them was accepted"
            )
    accepted = distances <= threshold
    lines.append(
        f"of the same {np.mean(accepted[same]):.1%} accepted, of different ones "
        f"{np.mean(accepted[~same]):.2%}"
    )
    return lines, threshold


def _read_pairs(path):
    """Read the columns; all faults of the file at once."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
        separator = max(",;\t", key=text.partition("\n")[0].count)
        lines = io.StringIO(text, newline="")
        reader = csv.DictReader(lines, skipinitialspace=True, delimiter=separator)
        columns = [name.strip() for name in reader.fieldnames or ()]
        rows = [{k.strip(): v for k, v in row.items() if k} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(f"{path}: {error}") from None
    missing = [name for name in ("first", "second") if name not in columns]
    if missing:
        raise BadInputError(
            f"{path}: has no column {' and no column '.join(missing)}. There are: "
            f"{', '.join(columns) or 'none'}"
        )
    if not rows:
        raise BadInputError(f"{path}: has no pairs")
    first, second = ([(row[name] or "").strip() for row in rows] for name in ("first", "second"))
    both = zip(first, second, strict=True)
    faults = [f"line {k + 2}" for k, pair in enumerate(both) if not all(pair)]
    same = None
    if "same" in columns:
        said = [is_same(row["same"] or "") for row in rows]
        odd = [k for k, value in enumerate(said) if value is None]
        faults += [f"line {k + 2}: same is {(rows[k]['same'] or '').strip()!r}" for k in odd]
        same = np.array([bool(value) for value in said])
    if faults:
        raise BadInputError(f"{path}: {len(faults)} pairs cannot be read: {'; '.join(faults[:10])}")
    return first, second, same


def _of_images(model, folder, first, second):
    from metriclearn.compare import NewRows
    from metriclearn.images import ImagePaths

    names = sorted({*first, *second})
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise BadInputError(
            f"{len(missing)} images are not there: {', '.join(missing[:10])}; with --rows SOURCE "
            f"the pairs are row numbers"
        )
    vectors = embed(model, NewRows(ImagePaths(folder, names), np.array(names)), "images")
    place = {name: k for k, name in enumerate(names)}
    return _apart(vectors, [place[name] for name in first], [place[name] for name in second])


def _of_rows(model, rows, first, second):
    bad = [text for text in (*first, *second) if not text.isdecimal() or int(text) >= len(rows)]
    if bad:
        raise BadInputError(
            f"PAIRS: {len(bad)} entries are not row numbers from 0 to {len(rows) - 1}: "
            f"{', '.join(map(repr, bad[:10]))}"
        )
    return _apart(embed(model, rows, "rows"), list(map(int, first)), list(map(int, second)))


def _apart(vectors, first, second):
    return np.linalg.norm(vectors[first].astype(float) - vectors[second], axis=1)


def _table(first, second, same, distances, threshold):
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    known = [] if same is None else ["same"]
    decided = [] if threshold is None else ["accepted"]
    writer.writerow(["first", "second", *known, "distance", *decided])
    for k, distance in enumerate(distances):
        row = [first[k], second[k], *([int(same[k])] if known else []), repr(float(distance))]
        writer.writerow([*row, *([int(distance <= threshold)] if decided else [])])
    return stream.getvalue()
