"""Rows of the data that the report can show: their values, or small pictures of them."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, time

import numpy as np

from metriclearn._text import shortened

#: Rows that are kept, at most: those that most learners find.
MAX_ROWS = 1000
MAX_VALUES = 60
FIRST = 10**9  # rows of maps count for more than any number of finds
#: Most pixels on a side.
MAX_SIDE = 64
MAX_LETTERS = 40


@dataclass(frozen=True)
class Samples:
    """Some rows of the data, by their places in it.

    Attributes
    ----------
    numbers : dict of int to int
        Row among those given, counted from 1.
    columns : tuple of str
        Names of what ``values`` holds.
    values : dict of int to tuple of str
    pixels : dict of int to ndarray of uint8, shape (height, width[, 3])
        Of images, in place of values.
    """

    numbers: dict = field(default_factory=dict)
    columns: tuple = ()
    values: dict = field(default_factory=dict)
    pixels: dict = field(default_factory=dict)


def sample_rows(source, records, first=()):
    """Keep the rows that maps show and that these find.

    Parameters
    ----------
    source : Source
    records : tuple of FoldRecord
    first : iterable of int, default=()
        Places of rows that are kept before all others.

    Returns
    -------
    Samples
    """
    counts = Counter()
    for record in records:
        if record.map is not None and record.map.rows is not None:
            counts.update(dict.fromkeys(record.map.rows, FIRST))
        if record.found is not None:
            counts.update(place for found in record.found.nearest for place in found)
    counts.update(dict.fromkeys(first, FIRST**2))
    every = np.array(sorted(counts), dtype=int)
    given = every if source.rows is None else np.asarray(source.rows)[every]
    numbers = dict(zip(every.tolist(), (given + 1).tolist(), strict=True))
    places = np.array(sorted(place for place, _ in counts.most_common(MAX_ROWS)), dtype=int)
    if not len(places):
        return Samples()
    images = _images(source, places)
    if images is not None:
        return Samples(numbers, pixels=dict(zip(places.tolist(), images, strict=True)))
    columns, rows = _values(source, places)
    return Samples(numbers, columns, dict(zip(places.tolist(), rows, strict=True)))


def _images(source, places):
    """Return small pictures, light on dark as the values are; None where rows are no images."""
    if hasattr(source.X, "pictures"):
        images = np.asarray(source.X.pictures[places])
    elif source.image_shape is not None:
        images = np.asarray(source.X[places], dtype=float).reshape(-1, *source.image_shape)
    else:
        return None
    if images.ndim == 4 and images.shape[3] not in (1, 3):
        return None
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    step = max(1, -(-max(images.shape[1:3]) // MAX_SIDE))
    images = images[:, ::step, ::step]
    if images.dtype != np.uint8:
        low, high = np.nanmin(images), np.nanmax(images)
        images = (255 * (images - low) / ((high - low) or 1.0)).round().astype(np.uint8)
    return list(images)


def _values(source, places):
    names = source.feature_names
    if hasattr(source.X, "iloc"):
        frame = source.X.iloc[places, :MAX_VALUES]
        names = names or [str(column) for column in frame.columns]
        rows = frame.astype(object).where(frame.notna(), None).to_numpy()
    else:
        rows = np.asarray(source.X[places])[:, :MAX_VALUES]
        names = names or [f"x{i}" for i in range(rows.shape[1])]
    texts = [tuple(_text(value) for value in row) for row in rows.tolist()]
    return tuple(str(name) for name in names[: rows.shape[1]]), texts


def _text(value):
    if value is None or value != value:
        return "–"  # a gap, however the table wrote it
    if isinstance(value, datetime) and value.time() == time():
        return str(value.date())
    if isinstance(value, float):
        return f"{value:.4g}"
    return shortened(str(value), MAX_LETTERS)
