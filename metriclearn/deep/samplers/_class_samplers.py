"""Samplers that look at labels only: classes, or amounts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from numbers import Integral

import numpy as np
from scipy.spatial import cKDTree

from metriclearn._label_parts import columns_of_parts, value_of_each_part
from metriclearn._sklearn import POSITIVE, at_least, one_of
from metriclearn.deep.samplers._base import Sampler
from metriclearn.deep.tensors._ranges import check_ranges


class ClassBalancedSampler(Sampler):
    """Batches of classes with up to K rows each, every class as often as every other.

    Classes come in random order, none again before all have come; the rows of a class likewise. A
    class with fewer than K rows gives all it has (no row is twice in a batch, where it would be a
    positive at distance zero), and further classes fill the batch.

    Parameters
    ----------
    batch_size : int, default=128
        Most rows in a batch; at least 4.
    samples_per_class : int or "auto", default="auto"
        K, at least 2. "auto" takes 4, or more where the classes are too few to fill the batch with
        4 rows each.

    See Also
    --------
    UnbalancedSampler : Every row once; classes of a single row are welcome.
    HierarchicalSampler : Puts classes together that are near each other.

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.deep.samplers import ClassBalancedSampler
    >>> codes = np.repeat(np.arange(10), 20)
    >>> batches = ClassBalancedSampler(batch_size=12, samples_per_class=4).epoch(
    ...     codes, np.random.default_rng(0)
    ... )
    >>> len(batches), np.bincount(codes[batches[0]], minlength=10).max()
    (17, np.int64(4))
    """

    min_rows = 2
    min_classes = 2

    _parameter_constraints: dict = {
        "batch_size": [Integral],
        "samples_per_class": [Integral, one_of("auto")],
    }

    def __init__(self, batch_size: int = 128, samples_per_class: int | str = "auto") -> None:
        self.batch_size = batch_size
        self.samples_per_class = samples_per_class
        check_ranges(self)
        if samples_per_class != "auto" and samples_per_class < 2:
            raise ValueError(
                f"samples_per_class={samples_per_class} leaves no pair of one class in a batch; "
                f"give at least 2, or 'auto'"
            )
        least = 4 if samples_per_class == "auto" else 2 * samples_per_class
        if batch_size < least:
            raise ValueError(
                f"batch_size={batch_size} cannot hold 2 classes of samples_per_class="
                f"{samples_per_class} rows; raise batch_size or lower samples_per_class"
            )

    def draw(self, codes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        """Return the batches of an epoch; see `Sampler.draw`."""
        by_class = rows_by_class(codes)
        K = self.samples_per_class
        if K == "auto":
            K = max(min(4, self.batch_size // 2), self.batch_size // len(by_class))
        groups = [_groups(rows, min(K, len(rows)), rng) for rows in by_class]
        sizes = np.minimum(K, np.bincount(codes)).tolist()
        waiting = deque()
        batches, n_left = [], len(codes)
        while True:
            classes = _next_classes(waiting, sizes, self.batch_size, rng)
            n_rows = sum(sizes[c] for c in classes)
            if batches and n_left <= n_rows / 2:
                return batches
            batches.append(np.concatenate([next(groups[c]) for c in classes]))
            n_left -= n_rows


def rows_by_class(codes):
    """Return the row numbers of each class, a list of arrays."""
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])


def _next_classes(waiting, sizes, room, rng):
    """Take classes off the queue, none twice, until the next does not fit; refill it as needed."""
    chosen, again = {}, []
    while len(chosen) < len(sizes):
        if not waiting:
            waiting.extend(rng.permutation(len(sizes)).tolist())
        if waiting[0] in chosen:
            again.append(waiting.popleft())
            continue
        if sizes[waiting[0]] > room:
            break
        room -= sizes[waiting[0]]
        chosen[waiting.popleft()] = True
    waiting.extendleft(reversed(again))
    return list(chosen)


def _groups(rows, size, rng):
    """Yield groups of distinct rows without end, no row again before all have come."""
    left = rows[:0]
    while True:
        if len(left) < size:
            order = rng.permutation(rows)
            # Those that the unfinished group already holds go to the end of this pass.
            repeats = np.isin(order, left)
            left = np.concatenate([left, order[~repeats], order[repeats]])
        yield left[:size]
        left = left[size:]


class UnbalancedSampler(Sampler):
    """Every row once in an epoch, rows of one class in groups of up to K.

    Classes come as often as they have rows. A class of one row is welcome: it
    is a negative of the others, and its own proxy's positive.

    Parameters
    ----------
    batch_size : int, default=128
        Rows in a batch, at least 2.
    samples_per_class : int or "auto", default="auto"
        K, at least 1; "auto" takes 4.

    See Also
    --------
    ClassBalancedSampler : Every class as often as every other.
    RandomSampler : Every row once, whatever its class.

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.deep.samplers import UnbalancedSampler
    >>> codes = np.array([0, 0, 0, 1, 1, 2])
    >>> batches = UnbalancedSampler(batch_size=4).epoch(codes, np.random.default_rng(0))
    >>> np.sort(np.concatenate(batches)).tolist()
    [0, 1, 2, 3, 4, 5]
    """

    _parameter_constraints: dict = {
        "batch_size": [Integral],
        "samples_per_class": [Integral, one_of("auto")],
    }

    def __init__(self, batch_size: int = 128, samples_per_class: int | str = "auto") -> None:
        self.batch_size = batch_size
        self.samples_per_class = samples_per_class
        check_ranges(self)
        _check_pair(batch_size)
        if samples_per_class != "auto" and samples_per_class < 1:
            raise ValueError(f"samples_per_class={samples_per_class} must be at least 1")

    def draw(self, codes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        """Return the batches of an epoch; see `Sampler.draw`."""
        K = 4 if self.samples_per_class == "auto" else self.samples_per_class
        shuffled = rng.permutation(len(codes))
        by_class = shuffled[np.argsort(codes[shuffled], kind="stable")]
        counts = np.bincount(codes)
        within = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
        group = np.cumsum(within % K == 0) - 1
        place = rng.permutation(group[-1] + 1)
        return cut_into_batches(by_class[np.argsort(place[group], kind="stable")], self.batch_size)


class RandomSampler(Sampler):
    """Every row once in an epoch, in random order.

    Parameters
    ----------
    batch_size : int, default=128
        Rows in a batch, at least 2.

    See Also
    --------
    UnbalancedSampler : Every row once, rows of a class together.
    NearLabelSampler : Rows with others of nearly their label, where labels are amounts.

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.deep.samplers import RandomSampler
    >>> batches = RandomSampler(batch_size=4).epoch(np.zeros(6, int), np.random.default_rng(0))
    >>> [len(batch) for batch in batches]
    [4, 2]
    """

    _parameter_constraints: dict = {"batch_size": [Integral]}

    def __init__(self, batch_size: int = 128) -> None:
        super().__init__(batch_size)
        _check_pair(batch_size)

    def draw(self, codes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        """Return the batches of an epoch; see `Sampler.draw`."""
        return cut_into_batches(rng.permutation(len(codes)), self.batch_size)


def _check_pair(batch_size):
    if batch_size < 2:
        raise ValueError(f"batch_size={batch_size} cannot hold one pair; give at least 2")


def cut_into_batches(order, batch_size):
    """Cut into batches; a last batch of one row, which holds no pair, joins the one before."""
    n_batches = max(1, -(-len(order) // batch_size))
    if len(order) % batch_size == 1 and n_batches > 1:
        n_batches -= 1
    cuts = batch_size * np.arange(1, n_batches)
    return np.split(order, cuts)


class FixedTripletSampler(Sampler):
    """The same triplets in every epoch: anchor, positive and negative drawn once.

    A batch holds the rows of some of the triplets. For runs that are to be compared on one set of
    triplets, and for studies of how many are enough.

    Parameters
    ----------
    batch_size : int, default=128
        Most rows in a batch, at least 3.
    n_triplets : int, default=1000
        Triplets drawn at the first epoch, at least 1.

    Attributes
    ----------
    triplets_ : ndarray of shape (n_triplets, 3)
        Row numbers of anchor, positive and negative; drawn again where rows or classes are others,
        or another number of triplets is asked for.

    See Also
    --------
    metriclearn.deep.miners.RandomMiner : Triplets drawn again in each batch.

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.deep.samplers import FixedTripletSampler
    >>> sampler = FixedTripletSampler(batch_size=6, n_triplets=4)
    >>> rng, codes = np.random.default_rng(0), np.repeat([0, 1, 2], 4)
    >>> for _ in range(2):
    ...     batches = sampler.epoch(codes, rng)
    >>> len(batches), sampler.triplets_.shape
    (2, (4, 3))
    """

    min_rows = 2
    min_classes = 2

    _parameter_constraints: dict = {"batch_size": [at_least(3)], "n_triplets": [at_least(1)]}

    def __init__(self, batch_size: int = 128, n_triplets: int = 1000) -> None:
        self.batch_size = batch_size
        self.n_triplets = n_triplets
        check_ranges(self)
        self.triplets_ = None

    def draw(self, codes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        """Return the batches of an epoch; see `Sampler.draw`."""
        if not self._still_holds(codes):
            self.triplets_ = self._drawn(codes, rng)
        order = self.triplets_[rng.permutation(self.n_triplets)]
        per_batch = self.batch_size // 3
        return [
            np.unique(order[start : start + per_batch])
            for start in range(0, self.n_triplets, per_batch)
        ]

    def _still_holds(self, codes):
        """Whether there are as many triplets as asked for, all of them triplets of these codes."""
        drawn = self.triplets_
        if drawn is None or len(drawn) != self.n_triplets or drawn.max() >= len(codes):
            return False
        anchor, positive, negative = codes[drawn].T
        return bool((anchor == positive).all() and (anchor != negative).all())

    def _drawn(self, codes, rng):
        counts = np.bincount(codes)
        able = np.flatnonzero(counts[codes] > 1)
        if not len(able):
            raise ValueError("FixedTripletSampler needs a class of two rows, every class has one")
        anchors = rng.choice(able, self.n_triplets)
        by_class = np.argsort(codes, kind="stable")
        ends = np.cumsum(counts)[codes[anchors]]
        # The rows of other classes, in the order of the classes, are those around the own one.
        others = rng.integers(len(codes) - counts[codes[anchors]])
        starts = ends - counts[codes[anchors]]
        others += np.where(others >= starts, counts[codes[anchors]], 0)
        return np.column_stack([anchors, partners(anchors, codes, rng), by_class[others]])


def partners(rows, codes, rng):
    """Return another row of its class for each of the rows."""
    by_class = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    start = np.cumsum(counts) - counts
    place = np.empty(len(codes), dtype=np.intp)
    place[by_class] = np.arange(len(codes))
    own, size = codes[rows], counts[codes[rows]]
    # A step of 1 to size - 1 around the class never ends where it began.
    step = 1 + rng.integers(size - 1)
    return by_class[start[own] + (place[rows] - start[own] + step) % size]


class NearLabelSampler(Sampler):
    """Rows with others of nearly the same label, where labels are amounts.

    A batch is made of anchors drawn at random, each with a row whose label is near. At random two
    rows of a large training set are hardly ever near, and a batch has no positives.

    See [1]_.

    Parameters
    ----------
    batch_size : int, default=128
        Most rows in a batch, at least 4.
    n_nearest : int, default=5
        The other row is one of those with the nearest labels, at least 1.
    near : float or sequence of float, default=None
        Euclidean distance of labels, > 0, in their units: the other row is any within it instead.
        An anchor without one comes alone.
    parts : sequence of sequences of int, default=None
        Columns of the parts of labels that have several, as for `LabelDistanceTripletLoss`; with
        ``near``, which may have a value for each. The other row is near in every part.

    See Also
    --------
    metriclearn.deep.losses.LabelDistanceTripletLoss : A loss on near and far labels.
    metriclearn.deep.losses.LogRatioLoss : A loss on ratios of label distances.

    References
    ----------
    .. [1] Arandjelović, Gronat, Torii, Pajdla and Sivic, "NetVLAD: CNN Architecture for Weakly
       Supervised Place Recognition", CVPR 2016. :doi:`10.1109/CVPR.2016.572`

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.deep.samplers import NearLabelSampler
    >>> ages = np.arange(100.0)
    >>> batches = NearLabelSampler(batch_size=10, n_nearest=2).epoch(ages, np.random.default_rng(0))
    >>> len(batches), len(batches[0])
    (10, 10)
    """

    continuous_labels = True

    _parameter_constraints: dict = {
        "batch_size": [at_least(4)],
        "n_nearest": [at_least(1)],
        "near": [POSITIVE, tuple, list, None],
        "parts": [tuple, list, None],
    }

    def __init__(
        self,
        batch_size: int = 128,
        n_nearest: int = 5,
        near: float | Sequence[float] | None = None,
        parts: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.batch_size = batch_size
        self.n_nearest = n_nearest
        self.near = near
        self.parts = parts
        check_ranges(self, {} if near is None else {"n_nearest": "without near"})
        value_of_each_part(near, parts, "near", POSITIVE, missing=False)
        if parts is not None:
            columns_of_parts(parts)
            if near is None:
                raise ValueError("near must be given with parts: one distance, or one for each")

    def draw(self, codes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        """Return the batches of an epoch; see `Sampler.draw`."""
        labels = np.asarray(codes, dtype=np.float64).reshape(len(codes), -1)
        per_batch = self.batch_size // 2
        n_batches = max(1, round(len(labels) / self.batch_size))
        anchors = np.concatenate(
            [rng.permutation(len(labels)) for _ in range(-(-n_batches * per_batch // len(labels)))]
        )[: n_batches * per_batch]
        choose = self._within if self.near else self._nearest
        others = choose(labels, anchors, rng)
        pairs = np.column_stack([anchors, others])
        return [
            np.unique(pairs[start : start + per_batch]) for start in range(0, len(pairs), per_batch)
        ]

    def _nearest(self, labels, anchors, rng):
        tree = cKDTree(labels)
        k = min(self.n_nearest, len(tree.data) - 1)
        if not k:
            return anchors
        _, found = tree.query(tree.data[anchors], k + 1)
        # Itself is not always the first: others may have the same label.
        own = found == anchors[:, None]
        own[~own.any(1), -1] = True
        found = found[~own].reshape(len(anchors), k)
        return found[np.arange(len(anchors)), rng.integers(k, size=len(anchors))]

    def _within(self, labels, anchors, rng):
        found = self._near_rows(labels, anchors)
        chosen = anchors.copy()
        for place, (anchor, rows) in enumerate(zip(anchors, found, strict=True)):
            others = [row for row in rows if row != anchor]
            if others:
                chosen[place] = others[rng.integers(len(others))]
        return chosen

    def _near_rows(self, labels, anchors):
        """Return the rows near each anchor, itself among them."""
        if self.parts is None:
            return cKDTree(labels).query_ball_point(labels[anchors], self.near)
        parts = columns_of_parts(self.parts, labels.shape[1])
        near = value_of_each_part(self.near, self.parts, "near", POSITIVE)
        units = np.empty(labels.shape[1])
        for columns, bound in zip(parts, near, strict=True):
            units[columns] = bound
        # The cube around the anchor first; rounded labels may be a little outside.
        scaled = labels / units
        found = cKDTree(scaled).query_ball_point(scaled[anchors], 1 + 1e-6, p=np.inf)
        return [
            [row for row in rows if _near_in_all(labels[row] - labels[anchor], parts, near)]
            for anchor, rows in zip(anchors, found, strict=True)
        ]


def _near_in_all(apart, parts, near):
    return all(
        np.linalg.norm(apart[part]) <= bound for part, bound in zip(parts, near, strict=True)
    )
