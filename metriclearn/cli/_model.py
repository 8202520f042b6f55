"""What the sub-commands that use a saved model share: reading it, and embedding with it."""

import math
import os
import sys
import warnings

import numpy as np

from metriclearn._files import check_writable
from metriclearn._progress import progress
from metriclearn._text import number_of, shortened
from metriclearn.cli._errors import BadInputError
from metriclearn.images._decode import SUFFIXES
from metriclearn.images._paths import ImagePaths

BLOCK = 1024
MOST_NAMED = 8
MOST_SAID = 600


def load_model(folder):
    """Read a saved model, or say what is wrong with it in one line."""
    from metriclearn import load

    try:
        return load(folder)
    except (ValueError, OSError, ImportError) as error:
        raise BadInputError(error) from None


def read(source, model):
    """Read rows for a model, or say what is wrong with them in one line."""
    from metriclearn.compare import read_rows

    try:
        # A model that knows its columns is none of images.
        rows = read_rows(source, as_table=hasattr(model, "feature_names_in_"))
    except (ValueError, OSError, ImportError) as error:
        raise BadInputError(error) from None
    if not len(rows):
        raise BadInputError(f"{source}: it holds no rows")
    return rows


def embed_block(model, rows, part):
    """Embed a slice of rows; bad input is one line."""
    X = rows.part(part)
    try:
        X = _columns_of(model, X)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            vectors = np.asarray(model.transform(X))
        if vectors.dtype.kind not in "fiub":
            raise ValueError(f"it made no numbers of them but {vectors.dtype}")
        return vectors
    except (ValueError, TypeError, OSError, AttributeError) as error:
        reason = _mismatch(model, X) or shortened(_in_one_line(error), MOST_SAID)
        raise BadInputError(f"the model does not take these rows: {reason}") from None


def _columns_of(model, X):
    """Return the columns that a model was fitted on, by name and in its order."""
    names = getattr(model, "feature_names_in_", None)
    if names is None or not hasattr(X, "columns"):
        return X
    if missing := [repr(name) for name in names if name not in X]:
        there = ", ".join(map(repr, list(X)[:MOST_NAMED]))
        raise ValueError(
            f"there is no column {', '.join(missing[:MOST_NAMED])}, which it was fitted on; there "
            f"are {there}{', ...' if X.shape[1] > MOST_NAMED else ''}"
        )
    return X[list(names)]


def _mismatch(model, X):
    """Say in its user's words why a model of rows or of images does not take ``X``, or nothing."""
    n_features = getattr(model, "n_features_in_", None)
    if isinstance(X, ImagePaths):
        if n_features is not None:  # what reads images has none
            return f"they are images, and it was learned from rows of {n_features} numbers"
    elif hasattr(X, "columns") and n_features is not None and X.shape[1] == n_features:
        for name in X.columns:
            for row, cell in enumerate(X[name]):
                number = number_of(cell)
                if number is None or not math.isfinite(number):
                    return f"column {name!r} holds {str(cell)!r} in row {row} (from 0), no number"
    return ""


def _in_one_line(error):
    first, *others = [line.strip() for line in str(error).splitlines()] or [type(error).__name__]
    return f"{first}{' ' if first.endswith(':') else '; '}{'; '.join(others)}" if others else first


def embed(model, rows, description):
    """Embed all rows, block by block, with a bar on a terminal."""
    parts = []
    with progress(is_terminal(), description, len(rows)) as advance:
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            parts.append(embed_block(model, rows, part))
            advance(steps=len(parts[-1]))
    return np.concatenate(parts)


def is_terminal():
    """Whether somebody is looking."""
    return sys.stderr.isatty()


def check_apart(outputs, sources):
    """Check that no output would overwrite what is read or another output.

    Parameters
    ----------
    outputs : dict of str to path-like or None
        By the argument that names each; None where it was not given.
    sources : sequence of path-like
    """
    taken = {os.path.realpath(source): source for source in sources}
    for argument, path in outputs.items():
        if path is None:
            continue
        if not path:
            raise ValueError(f"{argument} needs the name of a file or folder, got an empty one")
        if os.path.realpath(path) in taken:
            other = taken[os.path.realpath(path)]
            raise ValueError(f"{argument} {path} would overwrite {other}; give another name")
        if os.path.splitext(path)[1].lower() in SUFFIXES and os.path.exists(path):
            raise ValueError(f"{argument} {path} would overwrite a picture; give another name")
        taken[os.path.realpath(path)] = argument


def check_beside(argument, path, model):
    """Check that an output is not in the folder of a model, in which no other files belong."""
    if os.path.dirname(os.path.realpath(path)) == os.path.realpath(model):
        raise ValueError(f"{argument} {path} is in the folder of the model; give another one")


def check_outputs(outputs, model, sources, suffixes=()):
    """Check the outputs of a command with a model before the work; bad input is one line.

    Parameters
    ----------
    outputs : dict of str to str or None
        By the argument that names each; None where it was not given.
    model : str
        Its folder.
    sources : sequence of path-like
    suffixes : sequence of str, default=()
        How ``--out`` may end.
    """
    try:
        check_apart(outputs, sources)
        out = outputs.get("--out")
        if out is not None and not out.lower().endswith(tuple(suffixes)):
            raise ValueError(f"--out {out}: must end in {' or '.join(suffixes)}")
        for argument, path in outputs.items():
            if path is not None:
                check_beside(argument, path, model)
                check_writable(path, argument)
    except ValueError as error:
        raise BadInputError(error) from None
