"""``metriclearn search``: the nearest rows of a gallery, by a saved model, and their page."""

import base64
import html
import io
from pathlib import Path

import numpy as np

from metriclearn._files import write_text
from metriclearn._text import printable
from metriclearn.cli import _numbers
from metriclearn.cli._errors import BadInputError
from metriclearn.cli._model import check_output, embed, load_model, read

EXAMPLES = """
examples:
  metriclearn search model gallery.csv new.csv -k 3
  metriclearn search model gallery.csv 17               # row 17 of the gallery, from 0
  metriclearn search model photos/ holiday.jpg -k 8 --report found.html

Exit codes: 0; 2 for bad input; 130 after Ctrl-C.
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
        help="a table, an .npz or .npy file, or a folder of images",
    )
    add(
        "query",
        metavar="QUERY",
        help="the same, or one image, or the number of a row of the gallery, from 0",
    )
    add("-k", type=_numbers.positive, metavar="K", default=5, help="neighbors to find (5)")
    add("--report", metavar="FILE", help="write a page with pictures or values")
    parser.set_defaults(run=run)


def run(options, command):
    """Run the sub-command; return the exit code."""
    check_output("--report", options.report, options.model, [options.gallery, options.query])
    gallery, model = read(options.gallery), load_model(options.model)
    row = _row_number(options.query, gallery)
    queries = read(options.query) if row is None else None
    found = nearest(model, gallery, queries, row, options.k)
    if options.report is not None:
        write_text(options.report, render_search(gallery, queries, row, *found))
    _show(gallery, queries, row, *found)
    if options.report is not None:
        print(f"wrote {printable(options.report)}")
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
        print(f"and {rest:,} more queries; --report has them all")
    if not np.size(rows):
        print("nothing was found")


THUMBNAIL = 96
_MOST_QUERIES = 500
_MOST_VALUES = 8
_STYLE = """
body{font:15px/1.4 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;
color:#222;background:#fff}
section{margin:0 0 1.5rem;border-top:1px solid #ccc;padding-top:.8rem}
ol{display:flex;flex-wrap:wrap;gap:.8rem;list-style:none;padding:0;margin:.5rem 0}
li,.query{width:9rem;overflow-wrap:anywhere;font-size:.85rem}
img{display:block;max-width:96px;max-height:96px;border-radius:4px;border:3px solid transparent}
.right img{border-color:#2a7}.wrong img{border-color:#c55}
table{border-collapse:collapse;font-size:.85rem}td{padding:0 .4rem 0 0}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}section{border-color:#444}}
"""


def render_search(gallery, queries, row, distances, rows):
    """Write the page as one file without scripts; ``queries`` None asks for ``row``."""
    asked = gallery if queries is None else queries
    numbers = [row] if queries is None else range(min(len(queries), _MOST_QUERIES))
    sections = []
    for place, number in enumerate(numbers):
        label = None if asked.labels is None else asked.labels[number]
        items = [
            _item(gallery, i, f"{distance:.4g}", label)
            for distance, i in zip(distances[place], rows[place], strict=True)
        ]
        query = _item(asked, number, "query", None).replace("<li", '<div class="query"')
        sections.append(
            f"<section>{query.replace('</li>', '</div>')}<ol>{''.join(items)}</ol></section>"
        )
    left = len(distances) - len(sections)
    more = f"<p>{left:,} more queries are not shown.</p>" if left else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">"
        f"<title>metriclearn search</title><style>{_STYLE}</style></head><body>"
        f"<h1>What was found</h1>{''.join(sections)}{more}</body></html>\n"
    )


def _item(rows, i, caption, label):
    own = None if rows.labels is None else rows.labels[i]
    kind = "" if label is None or own is None else ("right" if own == label else "wrong")
    name = html.escape(str(rows.ids[i]))
    said = f" · {html.escape(str(own))}" if own is not None else ""
    return f'<li class="{kind}">{_picture(rows, i)}{name}{said}<br>{caption}</li>'


def _picture(rows, i):
    """Show an image as a thumbnail, a row of a table as its first values."""
    X = rows.X
    if hasattr(X, "iloc"):
        cells = list(X.iloc[i].items())[:_MOST_VALUES]
        lines = "".join(
            f"<tr><td>{html.escape(str(k))}</td><td>{html.escape(str(v))}</td></tr>"
            for k, v in cells
        )
        return f"<table>{lines}</table>"
    if isinstance(X, np.ndarray):
        values = ", ".join(f"{v:.3g}" for v in np.ravel(X[i])[:_MOST_VALUES])
        return f"<code>{values}</code><br>"
    from PIL import Image

    from metriclearn.images import ImageReader

    pixels = ImageReader(THUMBNAIL, crop="pad").read(X[i])
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=80)
    encoded = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{html.escape(str(rows.ids[i]))}" src="data:image/jpeg;base64,{encoded}">'
