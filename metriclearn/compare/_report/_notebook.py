"""A result as a notebook shows it: a table, and the findings in words."""

from html import escape

from metriclearn.compare._words import best_of, header_of, score_text, seconds_text, shown_measures


def notebook_html(title, sentences, *results):
    """Return the tables of results and what follows from them, as HTML of a notebook's output."""
    parts = [f"<p><strong>{escape(title)}</strong></p>"]
    parts += [_table(result, len(results) > 1) for result in results]
    parts += ["<ul>", *(f"<li>{escape(sentence)}</li>" for sentence in sentences), "</ul>"]
    return f"<div>{''.join(parts)}</div>"


def _table(result, is_named):
    measures = [m for protocol in result.protocols for m in shown_measures(result, protocol)]
    names = ["Learner", *(header_of(m) for m in measures), "Fit, CPU s", "Dimension"]
    header = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    best = best_of(result)
    caption = f"<caption>{escape(result.data.name)}</caption>" if is_named else ""
    body = "".join(_row(row, measures, best) for row in result.rows())
    return f"<table>{caption}<thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"


def _row(row, measures, best):
    name = f'<th scope="row" style="text-align:left">{escape(row.name)}</th>'
    if row.error and not row.scores:
        width = len(measures) + 2
        return f'<tr>{name}<td colspan="{width}">{escape(row.error)}</td></tr>'
    scores = [
        (
            score_text(row, measure),
            row.mean(measure) is not None and row.mean(measure) == best[measure],
        )
        for measure in measures
    ]
    cells = [f"<strong>{text}</strong>" if wins else text for text, wins in scores]
    cells += [escape(seconds_text(row.fit_seconds)), str(row.dimension or "–")]
    return f"<tr>{name}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
