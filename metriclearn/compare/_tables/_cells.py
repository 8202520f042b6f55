"""What single cells of a grid hold."""

import re

import numpy as np

from metriclearn.compare._tables._numbers import is_missing, parse_numbers

SAMPLE_ROWS = 100
# Marks that nobody sees: of the order of bytes, and where a line may break.
_UNSEEN = re.compile("[\ufeff\u200b\u2060]")


def seen(text):
    r"""Return a text without marks that nobody sees, as files have that were put together.

    Examples
    --------
    >>> seen("\ufeffname,\u200bage")
    'name,age'
    """
    return _UNSEEN.sub("", text)


def cell_text(cell):
    """Return a cell as text, without blanks around it; empty where it holds nothing."""
    if isinstance(cell, str):
        return seen(cell).strip()
    return "" if cell is None or cell != cell else str(cell)


def share_of_numbers(cells):
    """Share of the distinct cells with a value that are numbers.

    Examples
    --------
    >>> share_of_numbers(["1.5", "2 kg", "", "n/a", "many"])
    0.333...
    """
    cells = sorted({cell for cell in cells if not is_missing(cell)})
    if not cells:
        return 0.0
    return float(np.mean(~np.isnan(parse_numbers(cells)[0])))


def reads_as_number(text):
    """Whether a cell is a number in any form that tables are written in."""
    return not np.isnan(as_number(text))


def as_number(text):
    """Return a cell as a number; NaN where it is none."""
    try:
        if "_" not in text:  # which Python takes for a mark of thousands
            return float(text)
    except ValueError:
        pass
    return parse_numbers([text])[0][0]


def number_columns(body, most=20):
    """Places of columns of numbers, so many of them, spread over all.

    Parameters
    ----------
    body : DataFrame
    most : int, default=20

    Returns
    -------
    list of int
    """
    sample = body.iloc[:SAMPLE_ROWS]
    places = np.unique(np.linspace(0, body.shape[1] - 1, min(2 * most, body.shape[1])).astype(int))
    numbers = [int(j) for j in places if share_of_numbers(map(cell_text, sample.iloc[:, j])) >= 0.9]
    return numbers[:most]
