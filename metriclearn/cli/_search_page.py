"""The page that ``metriclearn search --report`` writes: queries and what is nearest to each."""

import base64
import html
import io

import numpy as np

from metriclearn._text import breakable

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
