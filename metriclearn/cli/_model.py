"""What the sub-commands that use a saved model share: reading it, and embedding with it."""

import shutil
import sys
import textwrap
import warnings

import numpy as np

from metriclearn._progress import progress
from metriclearn._text import one_line
from metriclearn.cli._errors import BadInputError

BLOCK = 1024


def load_model(folder):
    """Read a saved model, or say what is wrong with it in one line."""
    from metriclearn import load

    try:
        return load(folder)
    except (ValueError, OSError, ImportError) as error:
        raise BadInputError(error) from None


def read(source):
    """Read rows for a model, or say what is wrong with them in one line."""
    from metriclearn.compare import read_rows

    try:
        return read_rows(source)
    except (ValueError, OSError, ImportError) as error:
        raise BadInputError(error) from None


def embed_block(model, rows, part):
    """Embed a slice of rows; bad input is one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(model.transform(_columns_of(model, rows.part(part))))
    except (ValueError, TypeError, OSError) as error:
        raise BadInputError(f"the model does not take these rows: {one_line(error)}") from None


def _columns_of(model, X):
    """Return the columns that a model was fitted on, by name and in its order."""
    names = getattr(model, "feature_names_in_", None)
    if names is None or not hasattr(X, "columns"):
        return X
    if missing := [name for name in names if name not in X]:
        raise ValueError(f"there is no column {missing[0]!r}, which it was fitted on")
    return X[list(names)]


def embed(model, rows, description):
    """Embed all rows, block by block, with a bar on a terminal."""
    parts = []
    with progress(is_terminal(), description, len(rows)) as advance:
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            parts.append(embed_block(model, rows, part))
            advance(steps=len(parts[-1]))
    return np.concatenate(parts)


def wrapped(line):
    """Break a line between words where it goes to a terminal."""
    if not sys.stdout.isatty():
        return line
    return textwrap.fill(line, shutil.get_terminal_size().columns, break_on_hyphens=False)


def is_terminal():
    """Whether somebody is looking."""
    return sys.stderr.isatty()
