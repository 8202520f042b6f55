"""``metriclearn search``: the nearest rows of a gallery, by a saved model."""

from pathlib import Path

import numpy as np

from metriclearn._files import write_csv, write_text
from metriclearn._text import printable
from metriclearn.cli import _numbers
from metriclearn.cli._errors import BadInputError
from metriclearn.cli._model import check_outputs, embed, load_model, read
from metriclearn.cli._search_page import render_search

EXAMPLES = """
examples:
  metriclearn search model gallery.csv new.csv -k 3
  metriclearn search model gallery.csv 17               # row 17 of the gallery, from 0
  metriclearn search model photos/ holiday.jpg -k 8 --report found.html
  metriclearn search model gallery.csv new.csv --out found.csv

A .csv file has a line for each neighbor of each query: query, place (1 is the nearest), found,
label where the gallery has them, and distance. Exit codes: 0; 2 for bad input; 130 after Ctrl-C.
"""
MOST_SHOWN = 20


def add_parser(commands):
    """Add the sub-command to a parser."""
    parser = commands.add_parser(
        "search",
        help="find the nearest rows of a gallery, by a saved model",
        description="Find the rows of GALLERY that are nearest to each of QUERY, by a saved model.",
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="folder of the model")
    add(
        "gallery",
        metavar="GALLERY",
        help="a table, an .npz or .npy file, a folder of images, or a built-in name",
    )
    add(
        "query",
        metavar="QUERY",
        help="the same, or one image, or the number of a row of the gallery, from 0",
    )
    add("-k", type=_numbers.positive, metavar="K", default=5, help="neighbors to find (5)")
    add("--report", metavar="FILE", help="write a page with pictures or values")
    add("--out", metavar="FILE", help="write all that was found as .csv")
    parser.set_defaults(run=run)


def run(options, command):
    """Run the sub-command; return the exit code."""
    outputs = {"--report": options.report, "--out": options.out}
    check_outputs(outputs, options.model, [options.gallery, options.query], [".csv"])
    model = load_model(options.model)
    gallery = read(options.gallery, model)
    row = _row_number(options.query, gallery)
    queries = read(options.query, model) if row is None else None
    found = nearest(model, gallery, queries, row, options.k)
    if options.report is not None:
        write_text(options.report, render_search(gallery, queries, row, *found))
    if options.out is not None:
        write_csv(options.out, _columns(gallery, [row] if queries is None else queries.ids, *found))
    _show(gallery, queries, row, *found)
    for path in filter(None, outputs.values()):
        print(f"wrote {printable(path)}")
    return 0


def nearest(model, gallery, queries, row, k):
    """Search: distances and row numbers of the gallery, (n_queries, k) each.

    A row of the gallery does not find itself.
    """
    from metriclearn.neighbors import ExactSearch

    vectors = embed(model, gallery, "gallery")
    asked = vectors[[row]] if row is not None else embed(model, queries, "queries")
    if asked.shape[1] != vectors.shape[1]:
        raise BadInputError("queries and gallery have vectors of different length")
    own = row is not None
    k = min(k + own, len(vectors))
    distances, rows = ExactSearch(vectors).search(asked, k)
    if own:
        others = rows[0] != row
        distances, rows = distances[:, others][:, : k - 1], rows[:, others][:, : k - 1]
    return distances, rows


def _row_number(text, gallery):
    if not text.isdecimal() or Path(text).exists():
        return None
    row = int(text)
    if row >= len(gallery):
        raise BadInputError(
            f"QUERY {text}: the gallery has rows 0 to {len(gallery) - 1}, and there is no such file"
        )
    return row


def _columns(gallery, asked, distances, rows):
    """Return a line for each neighbor of each query, as columns by their names."""
    n_queries, k = np.shape(rows)
    found = np.ravel(rows)
    columns = {
        "query": np.repeat(asked, k),
        "place": np.tile(np.arange(1, k + 1), n_queries),
        "found": gallery.ids[found],
    }
    if gallery.labels is not None:
        columns["label"] = gallery.labels[found]
    return {**columns, "distance": np.ravel(distances).astype(float)}


def _query_name(number_or_file):
    return number_or_file if isinstance(number_or_file, str) else f"query {number_or_file}"


def _show(gallery, queries, row, distances, rows):
    names = [f"row {row}"] if queries is None else [_query_name(i) for i in queries.ids]
    for name, near, at in zip(names[:MOST_SHOWN], distances, rows, strict=False):
        print(f"{printable(name)}:")
        for distance, i in zip(near, at, strict=True):
            label = "" if gallery.labels is None else f"  {printable(gallery.labels[i])}"
            print(f"  {distance:10.4g}  {printable(gallery.ids[i])}{label}")
    rest = len(names) - MOST_SHOWN
    if rest > 0:
        print(f"and {rest:,} more queries; --out has them all")
    if not np.size(rows):
        print("nothing was found")
