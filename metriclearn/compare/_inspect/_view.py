"""All columns of a table as numbers, so that one sort or one comparison looks at all of them."""

from dataclasses import dataclass

import numpy as np

NUMBER, TIME, WORD = "number", "time", "word"


@dataclass(frozen=True)
class View:
    """A table as numbers.

    Attributes
    ----------
    names : list of str
    kinds : list of {"number", "time", "word"}
    values : ndarray of shape (n, n_columns), float64
        Numbers as they are, times in nanoseconds, words by their place in ``words``; NaN where
        there is no value.
    words : dict of int to list of str
        Distinct words of a column of words, sorted.
    """

    names: list
    kinds: list
    values: np.ndarray
    words: dict

    def complete_numbers(self):
        """Return a mask of the columns of numbers without a gap."""
        numbers = np.array([kind == NUMBER for kind in self.kinds], dtype=bool)
        return numbers & ~np.isnan(self.values).any(axis=0)

    def only(self, keep, rows=slice(None)):
        """Return the view of some columns, given by a mask, and of some rows."""
        places = np.flatnonzero(keep)
        words = {new: self.words[old] for new, old in enumerate(places) if old in self.words}
        return View(
            [self.names[j] for j in places],
            [self.kinds[j] for j in places],
            self.values[:, places][rows],
            words,
        )


def make_view(X, names=None):
    """Look at an array or a frame as numbers.

    Parameters
    ----------
    X : array-like of shape (n, n_columns) or DataFrame
    names : list of str, default=None
        Of an array; ``x0``, ``x1``, ... by default.

    Returns
    -------
    View
    """
    if not hasattr(X, "iloc"):
        X = np.asarray(X)
        values = X.reshape(len(X), -1).astype(np.float64, copy=False)
        names = [f"x{j}" for j in range(values.shape[1])] if names is None else list(names)
        return View(names, [NUMBER] * len(names), values, {})
    names = [str(name) for name in X.columns]
    if all(dtype.kind in "biuf" and hasattr(dtype, "char") for dtype in X.dtypes):
        return View(names, [NUMBER] * len(names), X.to_numpy(dtype=np.float64), {})
    values, kinds, words = np.empty(X.shape), [], {}
    for j in range(X.shape[1]):
        values[:, j], kind, distinct = _as_numbers(X.iloc[:, j])
        kinds.append(kind)
        if kind == WORD:
            words[j] = distinct
    return View(names, kinds, values, words)


def _as_numbers(column):
    kind = column.dtype.kind
    if kind == "M":
        if getattr(column.dtype, "tz", None) is not None:
            column = column.dt.tz_convert("UTC").dt.tz_localize(None)
        times = column.to_numpy().astype("datetime64[ns]")
        numbers = times.astype(np.int64).astype(np.float64)
        return np.where(np.isnat(times), np.nan, numbers), TIME, None
    if kind in "biuf":
        return column.to_numpy(dtype=np.float64, na_value=np.nan), NUMBER, None
    missing = column.isna().to_numpy()
    texts = np.where(missing, "", column.to_numpy(dtype=object)).astype(str)
    distinct, codes = np.unique(texts[~missing], return_inverse=True)
    numbers = np.full(len(texts), np.nan)
    numbers[~missing] = codes
    return numbers, WORD, distinct.tolist()


def row_groups(values):
    """Assign numbers to the distinct rows: equal rows, gaps included, get the same number.

    Parameters
    ----------
    values : ndarray of shape (n, n_columns), float64 or uint8

    Returns
    -------
    ndarray of int, shape (n,)
        In the order of the first row of each group.

    Examples
    --------
    >>> row_groups(np.array([[1.0, np.nan], [2.0, 0.0], [1.0, np.nan], [2.0, -0.0]]))
    array([0, 1, 0, 1])
    """
    if values.shape[1] == 0:
        return np.arange(len(values))
    if values.dtype == np.uint8:
        rows = np.ascontiguousarray(values)
    else:
        rows = np.ascontiguousarray(values + 0.0)  # -0.0 becomes 0.0
        rows[np.isnan(rows)] = np.nan  # one NaN of the many there are
    packed = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).reshape(-1)
    _, first, groups = np.unique(packed, return_index=True, return_inverse=True)
    place = np.empty(len(first), dtype=np.intp)
    place[np.argsort(first)] = np.arange(len(first))
    return place[groups.reshape(-1)]


def as_bytes(X):
    """Return images as rows of bytes; None where their values are none."""
    if not isinstance(X, np.ndarray) or not len(X) or X.dtype.kind not in "fiu":
        return None
    rows = X.reshape(len(X), -1)
    for part in (rows[:1], rows):
        if part.min() < 0 or part.max() > 255 or not np.array_equal(part, np.rint(part)):
            return None
    return rows.astype(np.uint8)


def averages(pixels, most=1024):
    """Return averages over neighboring columns, at most so many, in place of all pixels.

    Examples
    --------
    >>> averages(np.array([[0, 2, 4, 6, 8]], dtype=np.uint8), most=3)
    array([[1., 5., 8.]])
    """
    width = -(-pixels.shape[1] // most)
    if width <= 1:
        return pixels.astype(np.float64)
    starts = np.arange(0, pixels.shape[1], width)
    counts = np.diff(np.append(starts, pixels.shape[1]))
    return np.add.reduceat(pixels, starts, axis=1, dtype=np.uint32) / counts


def joined_groups(*groupings):
    """Return the finest grouping that keeps together what any of several groupings does.

    Parameters
    ----------
    *groupings : array-like of shape (n,) or None
        None groups nothing.

    Returns
    -------
    ndarray of int, shape (n,) or None
        None where no grouping was given.

    Examples
    --------
    >>> joined_groups(["a", "a", "b", "c"], [1, 2, 2, 3])
    array([0, 0, 0, 1], dtype=int32)
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    given = [
        np.unique(np.asarray(grouping), return_inverse=True)[1].reshape(-1)
        for grouping in groupings
        if grouping is not None
    ]
    if not given:
        return None
    n_rows, rows, columns, offset = len(given[0]), [], [], len(given[0])
    for codes in given:  # each group is a node that its rows hang on
        rows.append(np.arange(n_rows))
        columns.append(codes + offset)
        offset += codes.max() + 1
    # Older versions of scipy take no other integers here.
    ends = [np.concatenate(part).astype(np.int32) for part in (rows, columns)]
    edges = (np.ones(n_rows * len(given)), tuple(ends))
    graph = coo_array(edges, shape=(offset, offset))
    return connected_components(graph, directed=False)[1][:n_rows]
