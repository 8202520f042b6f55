"""Rows that are no independent draws: copies, and blocks of repeated measurements."""

import numpy as np

from metriclearn._text import counted, option
from metriclearn.compare._inspect._finding import make_finding
from metriclearn.compare._inspect._view import row_groups

# Rows are near-copies where they differ by this part of a standard deviation in every column.
NEAR = 1e-6
# Neighbors are looked for from so many rows.
MAX_QUERIES = 400
MAX_CELLS = 10_000_000  # of the distances to all rows, where 100 queries are fewer


# Labels of hidden groups agree, beyond chance, so often before the largest jump of the distances,
# and not so often among so many rows behind it; those of honest classes agree there, too.
BEYOND, NEAR_BY, FAR_OFF = 5, 0.85, 0.45


def find_equal_rows(values):
    """Assign numbers to the rows so that copies, and copies but for rounding, have the same number.

    Parameters
    ----------
    values : ndarray of shape (n, n_columns)
        With NaN for gaps.

    Returns
    -------
    groups : ndarray of int, shape (n,)
    n_near : int
        Rows that are copies but for rounding.
    """
    groups = row_groups(values)
    _, first = np.unique(groups, return_index=True)
    distinct = values[first]
    joined = near_copies(distinct)
    return joined[groups], len(first) - len(np.unique(joined))


def near_copies(values):
    """Group distinct rows that differ by less than ``NEAR`` in every column.

    A random direction brings such rows next to each other.
    """
    n_rows = len(values)
    parent = np.arange(n_rows)
    filled = np.where(np.isnan(values), 0.0, values)
    scale = filled.std(axis=0)
    used = scale > 0
    if n_rows < 2 or not used.any():
        return parent
    scaled = (filled[:, used] - filled[:, used].mean(axis=0)) / scale[used]
    scaled = np.hstack([scaled, np.isnan(values[:, used])]) if np.isnan(values).any() else scaled
    direction = np.random.RandomState(0).randn(scaled.shape[1])
    projected = scaled @ direction
    order = np.argsort(projected, kind="stable")
    ahead = projected[order]
    reach = NEAR * np.abs(direction).sum()
    for step in range(1, min(n_rows, 6)):
        close = np.flatnonzero(ahead[step:] - ahead[:-step] <= reach)
        if len(close) == 0:
            break
        one, other = order[close], order[close + step]
        for start in range(0, len(close), 4096):
            a, b = one[start : start + 4096], other[start : start + 4096]
            near = np.abs(scaled[a] - scaled[b]).max(axis=1) <= NEAR
            for i, j in zip(a[near], b[near], strict=True):
                _join(parent, i, j)
    return np.array([_root(parent, i) for i in range(n_rows)])


def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _join(parent, i, j):
    i, j = _root(parent, i), _root(parent, j)
    parent[max(i, j)] = min(i, j)


def check_duplicates(groups, n_near, codes=None):
    """Say how many rows are equal to an earlier one; None where none is.

    Parameters
    ----------
    groups : ndarray of int, shape (n,)
    n_near : int
    codes : ndarray of int, shape (n,), default=None
        Classes.

    Returns
    -------
    Finding or None
    """
    _, first, places, counts = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    n_copies = len(groups) - len(first)
    if n_copies == 0:
        return None
    later = np.ones(len(groups), dtype=bool)
    later[first] = False
    verb = "is" if n_copies == 1 else "are"
    text = (
        f"{counted(n_copies, 'row')} of {len(groups):,} {verb} equal to an earlier row "
        f"({len(first):,} distinct rows"
    )
    if n_near:
        text += f"; {n_near:,} differ from it by rounding"
    text += ")"
    if codes is not None:
        places = places.reshape(-1)
        low = np.full(len(first), np.iinfo(np.intp).max)
        high = np.full(len(first), -1)
        np.minimum.at(low, places, codes)
        np.maximum.at(high, places, codes)
        mixed = (counts > 1) & (low != high)
        n_same, n_mixed = int(((counts > 1) & ~mixed).sum()), int(mixed.sum())
        if n_mixed == 0:
            text += "; equal rows have equal labels"
        else:
            text += f"; labels agree in {n_same:,} groups of equal rows and differ in {n_mixed:,}"
    return make_finding(
        "duplicates",
        f"{text}.",
        "Equal rows stay on one side of every split.",
        rows=np.flatnonzero(later),
    )


def check_repeats(values, codes, places):
    """Find blocks of rows that look like repeated measurements of one thing.

    Parameters
    ----------
    values : ndarray of shape (n, n_columns)
        The distinct rows alone.
    places : ndarray of int, shape (n,)
        Where each row stands among all.

    Returns
    -------
    Finding or None
    """
    values = values[:, ~np.isnan(values).any(axis=0)]
    scale = values.std(axis=0) if values.shape[1] else np.empty(0)
    values = values[:, scale > 0]
    counts = np.bincount(codes)
    if len(values) < 40 or values.shape[1] < 3 or counts[counts > 0].max() < 8:
        return None
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    finding = _blocks_in_order(scaled, codes, places)
    return finding or _tight_groups(scaled, codes, places)


def _blocks_in_order(scaled, codes, places):
    """Blocks in the order of the rows: small steps within, large steps between."""
    order = np.argsort(codes, kind="stable")
    rows, sorted_codes = scaled[order], codes[order]
    same = sorted_codes[1:] == sorted_codes[:-1]
    steps = _lengths(rows[1:] - rows[:-1])
    typical = _typical_distance(rows, sorted_codes)
    if typical == 0 or not same.any():
        return None
    cut = ~same | (steps > 0.65 * typical)
    blocks = np.concatenate([[0], np.cumsum(cut)])
    n_blocks, n_classes = blocks[-1] + 1, len(np.unique(codes))
    between = steps[cut & same]
    within = steps[~cut]
    if len(between) == 0 or len(within) == 0 or n_blocks < 3 * n_classes:
        return None
    if np.median(between) < 0.75 * typical or np.median(within) > 0.55 * typical:
        return None
    inside, by_chance = _nearest_in_block(rows, blocks)
    if inside < 0.75 or by_chance > 0.5 * inside:
        return None
    sizes = np.bincount(blocks)
    class_of_block = sorted_codes[np.unique(blocks, return_index=True)[1]]
    n_in_class = np.bincount(class_of_block[sizes > 1], minlength=sorted_codes[-1] + 1)
    if np.median(n_in_class[np.bincount(sorted_codes) > 0]) < 2:
        return None  # one series for most classes: what is repeated is the class
    return _repeats(
        int((sizes > 1).sum()),
        int(np.median(sizes[sizes > 1])),
        places[np.sort(order[~_starts(cut)])],
    )


def _starts(cut):
    """Mark the first row of each block."""
    return np.concatenate([[True], cut])


def _typical_distance(rows, codes):
    """Median distance of two random rows of one class."""
    counts = np.bincount(codes)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rng = np.random.RandomState(0)
    here = rng.permutation(len(rows))[:4000]
    there = starts[codes[here]] + (rng.uniform(size=len(here)) * counts[codes[here]]).astype(int)
    return float(np.median(_lengths(rows[here] - rows[there])[here != there]))


def _nearest_in_block(rows, blocks):
    """How often the nearest row is of the same block, and how often it would be by chance."""
    queries = _queries(len(rows))
    squared = _squared_distances(rows, queries)
    nearest = squared.argmin(axis=1)
    sizes = np.bincount(blocks)
    inside = float(np.mean(blocks[nearest] == blocks[queries]))
    return inside, float(np.mean((sizes[blocks[queries]] - 1) / (len(rows) - 1)))


def _queries(n_rows):
    most = min(MAX_QUERIES, max(100, MAX_CELLS // n_rows))
    return np.random.RandomState(0).permutation(n_rows)[:most]


def _squared_distances(rows, queries):
    norms = np.einsum("ij,ij->i", rows, rows)
    squared = norms[queries, None] + norms - 2 * rows[queries] @ rows.T
    squared[np.arange(len(queries)), queries] = np.inf
    return np.maximum(squared, 0)


def _lengths(differences):
    return np.sqrt(np.einsum("ij,ij->i", differences, differences))


def _tight_groups(scaled, codes, places):
    """Return groups in any order: a few rows very near, and then nothing for a long way."""
    n_rows = len(scaled)
    queries = _queries(n_rows)
    squared = _squared_distances(scaled, queries)
    depth = min(n_rows - 1, 25 + BEYOND)
    nearest = np.argpartition(squared, depth - 1, axis=1)[:, :depth]
    near = np.take_along_axis(squared, nearest, axis=1)
    by_distance = np.argsort(near, axis=1)
    nearest = np.take_along_axis(nearest, by_distance, axis=1)
    near = np.sqrt(np.take_along_axis(near, by_distance, axis=1))
    jumps = (near[:, 1:] / np.maximum(near[:, :-1], 1e-12))[:, :24]
    place = jumps.argmax(axis=1)  # so many neighbors, and one, are before the jump
    agree = codes[nearest] == codes[queries, None]
    before = np.arange(depth) <= place[:, None]
    sizes = place + 2
    n_in_class = np.bincount(codes)[codes[queries]]
    small = sizes < 0.6 * n_in_class
    clear = (jumps.max(axis=1) > 2) & (agree | ~before).all(axis=1) & small
    if clear.mean() < 0.75:
        # Less clear by distance, but the label is that of the next rows and of no others.
        clear = n_in_class >= 3 * sizes + 2 * BEYOND
        if clear.sum() < 40:
            return None
        behind = ~before & (np.arange(depth) <= place[:, None] + BEYOND)
        chance = np.mean(n_in_class[clear] / n_rows)
        near_by, far_off = (
            (agree[clear][part[clear]].mean() - chance) / (1 - chance) for part in (before, behind)
        )
        if near_by < NEAR_BY or far_off > FAR_OFF:
            return None
    size = int(np.median(sizes[clear]))
    return _repeats(round(n_rows / size), size, places[np.sort(queries[clear])], in_order=False)


def _repeats(n_groups, size, rows, in_order=True):
    where = "blocks of neighboring rows" if in_order else "groups of rows"
    return make_finding(
        "repeated_measurements",
        f"The rows look like repeated measurements: about {n_groups:,} {where} of one class, of "
        f"{size:,} rows or so each, far nearer to each other than to the rest, as of one thing "
        "that was seen again and again.",
        f"Rows of one thing may be in training and test; {option('groups', 'COL')} keeps them "
        "together, once a column says what was seen: the object, the person, the session.",
        rows=rows,
    )
