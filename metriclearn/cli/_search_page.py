"""The page of ``metriclearn search``: each query with what it found."""

import base64
import html
import io

import numpy as np

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
    """Write the page.

    Parameters
    ----------
    gallery, queries : NewRows
        ``queries`` is None where a row of the gallery was asked for.
    row : int or None
    distances, rows : ndarray of shape (n_queries, k)

    Returns
    -------
    str
        HTML of one file, without scripts.
    """
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
