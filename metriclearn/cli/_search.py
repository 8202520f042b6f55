"""``metriclearn search``: the nearest rows of a gallery, by a saved model, and their page."""

import base64
import html
import io
from pathlib import Path

import numpy as np

from metriclearn._files import write_text
from metriclearn._text import breakable, printable
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
:root{--page:#fff;--text:#1d2126;--muted:#646c76;--rule:#dcdad3;--good:#0f7a4d;--bad:#b3261e}
@media screen and (prefers-color-scheme:dark){:root{--page:#14171b;--text:#e8e9eb;--muted:#9aa3ad;
--rule:#30363e;--good:#58c795;--bad:#ff8a80}}
body{font:15px/1.4 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;
color:var(--text);background:var(--page);overflow-wrap:break-word}
section{border-top:1px solid var(--rule);margin:0 0 1.2rem;padding-top:.8rem;break-inside:avoid}
section.seen{display:grid;grid-template-columns:8.5rem 1fr;gap:.6rem 1.4rem}
h2{font-size:1rem;margin:0 0 .4rem}p,.muted{color:var(--muted)}p{max-width:72ch}
ol{display:flex;flex-wrap:wrap;gap:.8rem;list-style:none;padding:0;margin:0}
li,.query{width:8.5rem;font-size:.85rem}
img{display:block;width:96px;height:96px;border-radius:5px;margin:3px 3px 6px}
.right img{outline:3px solid var(--good)}.wrong img{outline:2px dashed var(--bad)}
.rows{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;
font-variant-numeric:tabular-nums}
th,td{padding:.25rem .5rem;text-align:right;vertical-align:bottom}th{color:var(--muted)}
th:first-child,.word{text-align:left}tbody tr{border-top:1px solid var(--rule)}
td.right{color:var(--good)}td.wrong{color:var(--bad)}
@media(max-width:600px){section.seen{grid-template-columns:1fr}li,.query{width:6.6rem}}
@media print{body{margin:0;max-width:none}.rows{overflow:visible}table{font-size:.7rem}}
"""


def render_search(gallery, queries, row, distances, rows):
    """Write the page as one file without scripts; ``queries`` None asks for ``row``."""
    asked = gallery if queries is None else queries
    numbers = [row] if queries is None else range(min(len(queries), _MOST_QUERIES))
    is_seen = _has_pictures(gallery) or _has_pictures(asked)
    section = _seen_section if is_seen else _table_section
    sections = [
        section(asked, number, gallery, list(zip(rows[place], distances[place], strict=True)))
        for place, number in enumerate(numbers)
    ]
    words = "What is nearest to each query by the distance of the model, nearest first."
    if gallery.labels is not None and asked.labels is not None:
        frames = "An unbroken frame is its class, a dashed one another."
        words += " " + (frames if is_seen else "✓ is of its class, ✗ of another.")
    left = len(distances) - len(sections)
    more = f"<p>{left:,} more queries are not shown.</p>" if left else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">"
        '<meta name="color-scheme" content="light dark">'
        f"<title>metriclearn search</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>What was found</h1><p>{words}</p>{''.join(sections)}{more}</main></body></html>\n"
    )


def _seen_section(asked, number, gallery, found):
    items = "".join(
        f'<li class="{_kind(asked, number, gallery, i)}">{_card(gallery, i)}'
        f'<div class="muted">distance {distance:.4g}</div></li>'
        for i, distance in found
    )
    return (
        f'<section class="seen"><div class="query">{_card(asked, number)}'
        f'<div class="muted">the query</div></div><ol>{items}</ol></section>'
    )


def _card(rows, i):
    name = str(rows.ids[i])
    label = "" if rows.labels is None else str(rows.labels[i])
    # A photo in the folder of its class says it already.
    said = f"<div>{_markup(label)}</div>" if label and not name.startswith(f"{label}/") else ""
    return f"{_picture(rows, i)}<div>{_markup(name)}</div>{said}"


def _table_section(asked, number, gallery, found):
    """Write the query and what it finds as the rows of one table."""
    columns = [name for name, _ in _values(gallery, 0)] if len(gallery) else []
    labeled = gallery.labels is not None
    heads = ["Place", "Distance", "Row", *(["Class"] if labeled else []), *columns]
    head = "".join(f'<th scope="col">{_markup(name)}</th>' for name in heads)
    own = {name: value for name, value in _values(asked, number)}
    label = "" if asked.labels is None else _markup(asked.labels[number])
    cells = ["", _markup(asked.ids[number]), *([label] if labeled else [])]
    cells += [_markup(own.get(name, "")) for name in columns]
    lines = [f"<tr><th>The query</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"]
    for place, (i, distance) in enumerate(found, start=1):
        kind = _kind(asked, number, gallery, i)
        mark = {"right": "✓ ", "wrong": "✗ "}.get(kind, "")
        cells = [f"<td>{distance:.4g}</td><td>{_markup(gallery.ids[i])}</td>"]
        if labeled:
            cells.append(f'<td class="{kind}">{mark}{_markup(gallery.labels[i])}</td>')
        cells += [f"<td>{_markup(value)}</td>" for _, value in _values(gallery, i)]
        lines.append(f"<tr><th>{place}</th>{''.join(cells)}</tr>")
    name = html.escape(f"Nearest to {asked.ids[number]}")
    return (
        f'<section><div class="rows" tabindex="0" role="region" aria-label="{name}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _kind(asked, number, gallery, i):
    if gallery.labels is None or asked.labels is None:
        return ""
    return "right" if gallery.labels[i] == asked.labels[number] else "wrong"


def _markup(text):
    """Escape a name, which may be broken between its words."""
    return html.escape(breakable(text)).replace("\N{ZERO WIDTH SPACE}", "<wbr>")


def _has_pictures(rows):
    return not hasattr(rows.X, "iloc") and not isinstance(rows.X, np.ndarray)


def _values(rows, i):
    """Return the first values of a row of a table or an array, with their names."""
    X = rows.X
    if hasattr(X, "iloc"):
        return [(str(name), str(value)) for name, value in list(X.iloc[i].items())[:_MOST_VALUES]]
    return [(str(j), f"{value:.4g}") for j, value in enumerate(np.ravel(X[i])[:_MOST_VALUES])]


def _picture(rows, i):
    """Show an image as a thumbnail, another row by its first values."""
    if not _has_pictures(rows):
        return f"<code>{html.escape(', '.join(value for _, value in _values(rows, i)))}</code>"
    from PIL import Image

    from metriclearn.images import ImageReader

    pixels = ImageReader(THUMBNAIL, crop="pad").read(rows.X[i])
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=80)
    encoded = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{html.escape(str(rows.ids[i]))}" src="data:image/jpeg;base64,{encoded}">'
