"""Constraints drawn from class labels, reproducibly."""

from numbers import Integral

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_array, check_random_state

from metriclearn.constraints._kinds import Chunks, Pairs, Quadruplets, Triplets


def _check_y(y):
    y = np.asarray(y)
    if y.ndim != 1 or not len(y):
        raise ValueError(f"y must hold one label for each row, got shape {y.shape}")
    if y.dtype.kind == "f" and not np.all(np.isfinite(y)):
        raise ValueError("y contains NaN or infinity; each row needs a label")
    return y


def _check_counts(**counts):
    """Refuse what is no number of things to draw; None leaves it open."""
    for name, count in counts.items():
        if count is not None and not (isinstance(count, Integral) and count >= 1):
            raise ValueError(f"{name} must be an integer of at least 1, got {count!r}")


class _Members:
    """Rows grouped by class, for drawing many of a class, or of all others, at once."""

    def __init__(self, y):
        classes, codes, counts = np.unique(_check_y(y), return_inverse=True, return_counts=True)
        self.codes, self.counts, self.n_classes = codes.reshape(-1), counts, len(classes)
        self.by_class = np.argsort(self.codes, kind="stable")
        self.start = np.cumsum(counts) - counts
        self.position = np.empty(len(self.codes), dtype=np.intp)
        self.position[self.by_class] = np.arange(len(self.codes))

    def draw(self, rows, same, random_state):
        """Another row of the class of each of ``rows``, or a row of any other class."""
        begin, count = self.start[self.codes[rows]], self.counts[self.codes[rows]]
        n = len(self.codes)
        if same:
            offset = (random_state.random_sample(rows.shape) * (count - 1)).astype(np.intp)
            drawn = begin + offset
            drawn += drawn >= self.position[rows]
        else:
            drawn = (random_state.random_sample(rows.shape) * (n - count)).astype(np.intp)
            drawn += np.where(drawn >= begin, count, 0)
        return self.by_class[drawn]


def pairs_from_labels(y, *, n_pairs=None, random_state=None):
    """Draw similar and dissimilar pairs, as many of each, reproducibly.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class labels.
    n_pairs : int, default=None
        Number of pairs of each kind, at most; by default 20 times the square
        of the number of classes, as in Davis et al. (2007). Fewer are returned
        where fewer distinct ones exist or repeats were drawn.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    Pairs
        Distinct pairs of distinct rows.

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
    _check_counts(n_pairs=n_pairs)
    random_state = check_random_state(random_state)
    members = _Members(y)
    codes, counts, n = members.codes, members.counts, len(members.codes)
    n_pairs = 20 * members.n_classes**2 if n_pairs is None else n_pairs

    n_similar = int(np.sum(counts * (counts - 1) // 2))
    n_dissimilar = n * (n - 1) // 2 - n_similar
    if max(n_similar, n_dissimilar) <= 4 * n_pairs:
        first, second = np.triu_indices(n, k=1)
        same = codes[first] == codes[second]
        similar = _sample_rows(np.flatnonzero(same), n_pairs, random_state)
        dissimilar = _sample_rows(np.flatnonzero(~same), n_pairs, random_state)
        chosen = np.concatenate([similar, dissimilar])
        return Pairs(np.column_stack([first[chosen], second[chosen]]), same[chosen])

    def draw(same):
        i = random_state.randint(n, size=3 * n_pairs)
        size = counts[codes[i]] if same else n - counts[codes[i]]
        i = i[size > same]
        pairs = np.sort(np.column_stack([i, members.draw(i, same, random_state)]), axis=1)
        _, keep = np.unique(pairs, axis=0, return_index=True)
        return pairs[np.sort(keep)[:n_pairs]]

    similar, dissimilar = draw(True), draw(False)
    return Pairs(
        np.concatenate([similar, dissimilar]),
        np.arange(len(similar) + len(dissimilar)) < len(similar),
    )


def _sample_rows(rows, n, random_state):
    return np.sort(random_state.permutation(rows)[:n])


def triplets_from_labels(
    y, X=None, *, n_positives=3, n_negatives=10, n_triplets=None, random_state=None
):
    """Triplets of a row, a row of its class and a row of another class.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class labels.
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

    Returns
    -------
    Triplets
        Distinct. Rows that are alone in their class are no anchors.

    Raises
    ------
    ValueError
        If no triplet exists: one class only, or no class with two rows.

    Examples
    --------
    >>> from metriclearn.constraints import triplets_from_labels
    >>> triplets_from_labels([0, 0, 1], X=[[0.0], [1.0], [5.0]]).indices
    array([[0, 1, 2],
           [1, 0, 2]])
    """
    _check_counts(n_positives=n_positives, n_negatives=n_negatives, n_triplets=n_triplets)
    random_state = check_random_state(random_state)
    members = _Members(y)
    anchors = np.flatnonzero(members.counts[members.codes] > 1)
    if members.n_classes < 2 or len(anchors) == 0:
        raise ValueError("y: triplets need two classes or more, and a class of two rows or more")
    if X is None:
        positives = members.draw(np.tile(anchors, (n_positives, 1)).T, True, random_state)
        negatives = members.draw(np.tile(anchors, (n_negatives, 1)).T, False, random_state)
        indices = np.unique(_combine(anchors, positives, negatives), axis=0)
    else:
        X = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        if len(X) != len(members.codes):
            raise ValueError(f"X has {len(X)} rows for {len(members.codes)} labels in y")
        indices = _nearest_triplets(X, members, n_positives, n_negatives)
    if n_triplets is not None and n_triplets < len(indices):
        indices = indices[_sample_rows(np.arange(len(indices)), n_triplets, random_state)]
    return Triplets(indices)


def _combine(anchors, positives, negatives):
    a, p, q = np.broadcast_arrays(
        anchors[:, None, None], positives[:, :, None], negatives[:, None, :]
    )
    return np.column_stack([a.ravel(), p.ravel(), q.ravel()])


def _nearest_triplets(X, members, n_positives, n_negatives):
    blocks = []
    for k in range(members.n_classes):
        inside = members.codes == k
        own, others = np.flatnonzero(inside), np.flatnonzero(~inside)
        if len(own) < 2:
            continue
        p = min(n_positives, len(own) - 1)
        q = min(n_negatives, len(others))
        search = NearestNeighbors(n_neighbors=p).fit(X[own])
        positives = own[search.kneighbors(return_distance=False)]  # of the rows but themselves
        search = NearestNeighbors(n_neighbors=q).fit(X[others])
        negatives = others[search.kneighbors(X[own], return_distance=False)]
        blocks.append(_combine(own, positives, negatives))
    indices = np.concatenate(blocks)
    return indices[np.argsort(indices[:, 0], kind="stable")]


def quadruplets_from_labels(y, *, n_quadruplets=None, random_state=None):
    """Quadruplets of two rows of one class and two rows of different classes.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class labels.
    n_quadruplets : int, default=None
        At most; by default 20 times the square of the number of classes.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    Quadruplets
        ``(i, j, k, l)``: ``i, j`` of one class, ``k, l`` of two. Distinct; the
        similar pairs repeat where there are fewer of them than dissimilar ones.

    Raises
    ------
    ValueError
        If there is no pair of one class, or none of two.

    Examples
    --------
    >>> from metriclearn.constraints import quadruplets_from_labels
    >>> quadruplets_from_labels([0, 0, 1], random_state=0).indices
    array([[0, 1, 0, 2],
           [0, 1, 1, 2]])
    """
    _check_counts(n_quadruplets=n_quadruplets)
    random_state = check_random_state(random_state)
    pairs = pairs_from_labels(y, n_pairs=n_quadruplets, random_state=random_state)
    similar, dissimilar = pairs.indices[pairs.similar], pairs.indices[~pairs.similar]
    if len(similar) == 0 or len(dissimilar) == 0:
        raise ValueError("y: quadruplets need two classes or more, and a class of two rows or more")
    n = max(len(similar), len(dissimilar))
    similar = random_state.permutation(similar)[np.arange(n) % len(similar)]
    return Quadruplets(np.column_stack([similar, dissimilar[np.arange(n) % len(dissimilar)]]))


def chunks_from_labels(y, *, n_chunks=None, chunk_size=2, random_state=None):
    """Chunks of rows of one class, no row in two of them.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class labels.
    n_chunks : int, default=None
        Chunks drawn, at most as many as fit; by default each class is one
        chunk.
    chunk_size : int, default=2
        Rows of a drawn chunk.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    Chunks

    Raises
    ------
    ValueError
        If no class has ``chunk_size`` rows.

    Examples
    --------
    >>> from metriclearn.constraints import chunks_from_labels
    >>> chunks_from_labels(["a", "b", "b", "a"]).labels
    array([0, 1, 1, 0])
    """
    _check_counts(n_chunks=n_chunks, chunk_size=chunk_size)
    codes = np.unique(_check_y(y), return_inverse=True)[1].reshape(-1)
    if n_chunks is None:
        return Chunks(codes)
    random_state = check_random_state(random_state)
    pool = []
    for k in range(codes.max() + 1):
        rows = random_state.permutation(np.flatnonzero(codes == k))
        whole = len(rows) - len(rows) % chunk_size
        pool.append(rows[:whole].reshape(-1, chunk_size))
    pool = np.concatenate(pool)
    if len(pool) == 0:
        raise ValueError(f"chunk_size={chunk_size}: no class has that many rows; lower it")
    chosen = pool[_sample_rows(np.arange(len(pool)), n_chunks, random_state)]
    labels = np.full(len(codes), -1)
    labels[chosen] = np.arange(len(chosen))[:, None]
    return Chunks(labels)
