"""Constraints drawn from class labels, reproducibly."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array, check_random_state
from sklearn.utils.random import sample_without_replacement

from metriclearn._types import Seed
from metriclearn._unused import warn_ignored
from metriclearn._validation import as_count, check_label_kinds, check_numeric, encode, is_labeled
from metriclearn.constraints._kinds import Chunks, Pairs, Quadruplets, Triplets
from metriclearn.constraints._nearest import nearest_by_class

#: With this many constraints (pairs of each kind) another draw hardly changes what is learned.
ENOUGH = 20_000
_PAIRS_PER_ROW = 10


def _check_y(y):
    check_label_kinds(y)
    try:
        y = np.asarray(y)
    except ValueError:  # rows of different lengths
        raise ValueError(
            "y must hold one label for each row, got rows of different lengths"
        ) from None
    if y.ndim != 1 or not len(y):
        raise ValueError(f"y must hold one label for each row, got shape {y.shape}")
    if y.dtype.kind not in "biufUSOM":
        raise ValueError(f"y must hold class labels, got dtype {y.dtype}")
    if y.dtype.kind == "f" and not np.all(np.isfinite(y)):
        raise ValueError("y contains NaN or infinity; each row needs a label")
    return y


class _Members:
    """Rows grouped by class, for drawing many of a class, or of all others, at once.

    Rows of label -1, whose class is not known, are left out: numbers here count the rows that
    are left, which ``rows`` holds.
    """

    def __init__(self, y):
        y = _check_y(y)
        self.rows = np.flatnonzero(is_labeled(y))
        if not len(self.rows):
            raise ValueError("y holds -1 only, which marks rows whose class is not known")
        classes, self.codes, self.counts = encode(y[self.rows])
        self.n_classes = len(classes)
        self.by_class = np.argsort(self.codes, kind="stable")
        self.start = np.cumsum(self.counts) - self.counts
        self.position = np.empty(len(self.codes), dtype=np.intp)
        self.position[self.by_class] = np.arange(len(self.codes))

    def available(self, anchors, same):
        """Count the other rows of its class, or the rows of other classes, of each anchor."""
        counts = self.counts[self.codes[anchors]]
        return counts - 1 if same else len(self.codes) - counts

    def at(self, anchors, offsets, same):
        """Return rows by number among those of :meth:`available`."""
        begin, count = self.start[self.codes[anchors]], self.counts[self.codes[anchors]]
        if same:
            places = begin + offsets
            places = places + (places >= self.position[anchors])
        else:
            places = offsets + np.where(offsets >= begin, count, 0)
        return self.by_class[places]

    def draw(self, anchors, same, random_state):
        """Draw another row of the class of each anchor, or a row of any other class."""
        share = random_state.random_sample(anchors.shape)
        offsets = (share * self.available(anchors, same)).astype(np.intp)
        return self.at(anchors, offsets, same)

    def similar_pairs(self):
        """Return all pairs of two rows of one class."""
        n = len(self.codes)
        ends = (self.start + self.counts)[self.codes[self.by_class]]
        later = ends - np.arange(n) - 1
        first = np.repeat(np.arange(n), later)
        second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(later) - later, later)
        return np.sort(self.by_class[np.column_stack([first, second])], axis=1)


def pairs_from_labels(
    y: ArrayLike,
    *,
    n_pairs: int | None = None,
    random_state: Seed = None,
) -> Pairs:
    """Draw similar and dissimilar pairs, as many of each, reproducibly.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class labels; rows of label -1 among integers are in no pair.
    n_pairs : int, default=None
        Number of pairs of each kind, at most; by default 20 times the square of the number of
        classes, as in Davis et al. (2007), but no more than ten times the number of rows.
        Fewer are returned where fewer distinct ones exist or repeats were drawn.
    random_state : int, RandomState instance or None, default=None
        Seed of the drawing.

    Returns
    -------
    Pairs
        Distinct pairs of distinct rows.

    See Also
    --------
    Pairs : What is returned.
    triplets_from_labels : Triplets instead.

    Notes
    -----
    Learners that draw their constraints take no ``sample_weight``: a row repeated would
    change the draw. Where rows have weights ``w``, draw first and give each pair the
    product of its rows' weights:
    ``Pairs(drawn.indices, drawn.similar, w[drawn.indices].prod(axis=1))``.

    Examples
    --------
    >>> from metriclearn.constraints import pairs_from_labels
    >>> pairs = pairs_from_labels([0, 0, 1, 1], n_pairs=10, random_state=0)
    >>> int(pairs.similar.sum()), len(pairs)
    (2, 6)
    """
    if n_pairs is not None:
        n_pairs = as_count(n_pairs, "n_pairs")
    random_state = check_random_state(random_state)
    members = _Members(y)
    n, counts = len(members.codes), members.counts
    if n_pairs is None:
        n_pairs = min(20 * members.n_classes**2, _PAIRS_PER_ROW * n)
    n_similar = int(np.sum(counts * (counts - 1) // 2))
    n_dissimilar = n * (n - 1) // 2 - n_similar

    if max(n_similar, n_dissimilar) <= 4 * n_pairs:
        every = np.column_stack(np.triu_indices(n, k=1))
        same = members.codes[every[:, 0]] == members.codes[every[:, 1]]
        similar = every[_sample_rows(np.flatnonzero(same), n_pairs, random_state)]
        dissimilar = every[_sample_rows(np.flatnonzero(~same), n_pairs, random_state)]
    else:
        if n_similar <= n_pairs:
            similar = members.similar_pairs()
        else:
            similar = _draw_pairs(members, n_pairs, True, random_state)
        dissimilar = _draw_pairs(members, n_pairs, False, random_state)
    return Pairs(
        members.rows[np.concatenate([similar, dissimilar])],
        np.arange(len(similar) + len(dissimilar)) < len(similar),
    )


def _draw_pairs(members, n_pairs, same, random_state):
    """Draw distinct pairs, at most ``n_pairs``."""
    n = len(members.codes)
    i = random_state.randint(n, size=3 * n_pairs)
    i = i[members.available(i, same) > 0]
    pairs = np.sort(np.column_stack([i, members.draw(i, same, random_state)]), axis=1)
    _, keep = np.unique(pairs[:, 0] * n + pairs[:, 1], return_index=True)
    return pairs[np.sort(keep)[:n_pairs]]


def _sample_rows(rows, n, random_state):
    return np.sort(random_state.permutation(rows)[:n])


def triplets_from_labels(
    y: ArrayLike,
    X: ArrayLike | None = None,
    *,
    n_positives: int = 3,
    n_negatives: int = 10,
    n_triplets: int | None = None,
    random_state: Seed = None,
) -> Triplets:
    """Draw triplets of a row, a row of its class and a row of another class.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class labels; rows of label -1 among integers are in no triplet.
    X : array-like of shape (n, n_features), default=None
        Where given, the positives of a row are its nearest rows of the same
        class, the negatives its nearest rows of other classes (Euclidean
        distance), and each positive meets each negative. Else both are drawn
        at random; repeats are dropped.
    n_positives, n_negatives : int, default=3 and 10
        Of each row, at most.
    n_triplets : int, default=None
        Number of triplets kept, drawn at random; all by default.
    random_state : int, RandomState instance or None, default=None
        Seed of the drawing.

    Returns
    -------
    Triplets
        Distinct. Rows that are alone in their class are no anchors.

    Raises
    ------
    ValueError
        If no triplet exists: one class only, or no class with two rows.

    See Also
    --------
    Triplets : What is returned.
    pairs_from_labels : Pairs instead.

    Examples
    --------
    >>> from metriclearn.constraints import triplets_from_labels
    >>> triplets_from_labels([0, 0, 1], X=[[0.0], [1.0], [5.0]]).indices
    array([[0, 1, 2],
           [1, 0, 2]])
    """
    n_positives = as_count(n_positives, "n_positives")
    n_negatives = as_count(n_negatives, "n_negatives")
    n_triplets = None if n_triplets is None else as_count(n_triplets, "n_triplets")
    random_state = check_random_state(random_state)
    members = _Members(y)
    anchors = np.flatnonzero(members.counts[members.codes] > 1)
    if members.n_classes < 2 or len(anchors) == 0:
        raise ValueError("y: triplets need two classes or more, and a class of two rows or more")
    if X is None:
        positives = _draw_others(members, anchors, n_positives, True, random_state)
        negatives = _draw_others(members, anchors, n_negatives, False, random_state)
    else:
        check_numeric(X)
        X = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        if len(X) != np.size(y):
            raise ValueError(f"X has {len(X)} rows for {np.size(y)} labels in y")
        if n_triplets is not None:
            # Neighbors of enough rows to choose among, not of all.
            enough = -(-4 * n_triplets // (n_positives * n_negatives))
            anchors = anchors[_sample_rows(np.arange(len(anchors)), enough, random_state)]
        positives, negatives = nearest_by_class(
            X[members.rows], members.codes, anchors, n_positives, n_negatives
        )
    indices = _combine(anchors, positives, negatives, n_triplets, random_state)
    return Triplets(members.rows[indices])


def _draw_others(members, anchors, wanted, same, random_state):
    """Draw distinct rows for each anchor, all there are where these are few; -1 for none."""
    available = members.available(anchors, same)
    width = int(min(wanted, available.max()))
    share = random_state.random_sample((len(anchors), width))
    offsets = np.sort((share * available[:, None]).astype(np.intp), axis=1)
    fresh = np.ones(offsets.shape, dtype=bool)
    fresh[:, 1:] = np.diff(offsets, axis=1) > 0
    few = available <= wanted
    offsets[few] = np.arange(width)
    fresh[few] = np.arange(width) < available[few, None]
    offsets[~fresh] = 0
    drawn = members.at(np.repeat(anchors[:, None], width, axis=1), offsets, same)
    return np.where(fresh, drawn, -1)


def _combine(anchors, positives, negatives, n_triplets, random_state):
    """Let each positive of an anchor meet each negative, or draw some of these triplets."""
    positives, n_positives = _packed(positives)
    negatives, n_negatives = _packed(negatives)
    counts = n_positives * n_negatives
    ends = np.cumsum(counts)
    if n_triplets is None or n_triplets >= ends[-1]:
        numbers = np.arange(ends[-1])
    else:
        numbers = np.sort(
            sample_without_replacement(ends[-1], n_triplets, random_state=random_state)
        )
    which = np.searchsorted(ends, numbers, side="right")
    p, q = np.divmod(numbers - (ends - counts)[which], n_negatives[which])
    return np.column_stack([anchors[which], positives[which, p], negatives[which, q]])


def _packed(rows):
    """Move what is there to the front of each row, and count it."""
    missing = rows < 0
    order = np.argsort(missing, axis=1, kind="stable")
    return np.take_along_axis(rows, order, axis=1), np.sum(~missing, axis=1)


def quadruplets_from_labels(
    y: ArrayLike,
    *,
    n_quadruplets: int | None = None,
    random_state: Seed = None,
) -> Quadruplets:
    """Draw quadruplets of two rows of one class and two rows of different classes.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class labels; rows of label -1 among integers are in no quadruplet.
    n_quadruplets : int, default=None
        At most; by default as many as :func:`pairs_from_labels` draws pairs of each kind.
    random_state : int, RandomState instance or None, default=None
        Seed of the drawing.

    Returns
    -------
    Quadruplets
        ``(i, j, k, l)``: ``i, j`` of one class, ``k, l`` of two. Distinct; the
        similar pairs repeat where there are fewer of them than dissimilar ones.

    Raises
    ------
    ValueError
        If there is no pair of one class, or none of two.

    See Also
    --------
    Quadruplets : What is returned.
    triplets_from_labels : Triplets instead.

    Examples
    --------
    >>> from metriclearn.constraints import quadruplets_from_labels
    >>> quadruplets_from_labels([0, 0, 1], random_state=0).indices
    array([[0, 1, 0, 2],
           [0, 1, 1, 2]])
    """
    if n_quadruplets is not None:
        n_quadruplets = as_count(n_quadruplets, "n_quadruplets")
    random_state = check_random_state(random_state)
    pairs = pairs_from_labels(y, n_pairs=n_quadruplets, random_state=random_state)
    similar, dissimilar = pairs.indices[pairs.similar], pairs.indices[~pairs.similar]
    if len(similar) == 0 or len(dissimilar) == 0:
        raise ValueError("y: quadruplets need two classes or more, and a class of two rows or more")
    n = max(len(similar), len(dissimilar))
    similar = random_state.permutation(similar)[np.arange(n) % len(similar)]
    return Quadruplets(np.column_stack([similar, dissimilar[np.arange(n) % len(dissimilar)]]))


def chunks_from_labels(
    y: ArrayLike,
    *,
    n_chunks: int | None = None,
    chunk_size: int = 2,
    random_state: Seed = None,
) -> Chunks:
    """Draw chunks of rows of one class, no row in two of them.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class labels; rows of label -1 among integers are in no chunk.
    n_chunks : int, default=None
        Chunks drawn, at most as many as fit; by default each class is one
        chunk.
    chunk_size : int, default=2
        Rows of a drawn chunk; only with ``n_chunks``.
    random_state : int, RandomState instance or None, default=None
        Seed of the drawing.

    Returns
    -------
    Chunks
        Disjoint groups of rows of one class.

    Raises
    ------
    ValueError
        If no class has ``chunk_size`` rows.

    See Also
    --------
    Chunks : What is returned.
    pairs_from_labels : Pairs instead.

    Examples
    --------
    >>> from metriclearn.constraints import chunks_from_labels
    >>> chunks_from_labels(["a", "b", "b", "a"]).labels
    array([0, 1, 1, 0])
    """
    n_chunks = None if n_chunks is None else as_count(n_chunks, "n_chunks")
    chunk_size = as_count(chunk_size, "chunk_size")
    members = _Members(y)
    labels = np.full(np.size(y), -1)
    if n_chunks is None:
        warn_ignored(chunks_from_labels, {"chunk_size": chunk_size}, "with n_chunks")
        labels[members.rows] = members.codes
        return Chunks(labels)
    random_state = check_random_state(random_state)
    shuffled = random_state.permutation(len(members.codes))
    order = shuffled[np.argsort(members.codes[shuffled], kind="stable")]
    # Whole chunks only, of rows of one class that follow each other.
    codes = members.codes[order]
    within = np.arange(len(order)) - members.start[codes]
    whole = order[within < members.counts[codes] // chunk_size * chunk_size]
    pool = whole.reshape(-1, chunk_size)
    if len(pool) == 0:
        raise ValueError(f"chunk_size={chunk_size}: no class has that many rows; lower it")
    chosen = pool[_sample_rows(np.arange(len(pool)), n_chunks, random_state)]
    labels[members.rows[chosen]] = np.arange(len(chosen))[:, None]
    return Chunks(labels)
