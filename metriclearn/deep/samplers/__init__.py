"""Batch samplers: class codes to the row numbers of each batch of an epoch.

A sampler is an object with ``epoch(codes, rng)``: it gets the class code of
each training row and a :class:`numpy.random.Generator`, and returns a list of
index arrays, one for each batch. It keeps no state between epochs, so a run is
continued from the generator's state alone. ``min_rows`` is the fewest rows a
class may have.
"""

from numbers import Integral

import numpy as np

from metriclearn.deep.samplers._mining_samplers import HardNegativeSampler, HierarchicalSampler
from metriclearn.deep.tensors._ranges import check_ranges, one_of

__all__ = [
    "SAMPLERS",
    "ClassBalancedSampler",
    "HardNegativeSampler",
    "HierarchicalSampler",
    "RandomSampler",
    "UnbalancedSampler",
]


class ClassBalancedSampler:
    """P classes × K rows in each batch, every class as often as every other.

    Classes come in random order, none again before all have come; the rows of
    a class likewise. A class with fewer than K rows gives all it has: no row
    is twice in a batch, where it would be a positive at distance zero.

    Parameters
    ----------
    batch_size : int, default=128
        Most rows in a batch, ``P·K``; at least 4.
    samples_per_class : int or "auto", default="auto"
        K, at least 2; P is ``batch_size // K`` or the number of classes,
        whichever is less. "auto" takes 4, or more where the classes are too
        few to fill the batch with 4 rows each.

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
    _parameter_constraints: dict = {
        "batch_size": [Integral],
        "samples_per_class": [Integral, one_of("auto")],
    }

    def __init__(self, batch_size=128, samples_per_class="auto"):
        check_ranges(self, batch_size=batch_size, samples_per_class=samples_per_class)
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
        self.batch_size = batch_size
        self.samples_per_class = samples_per_class

    def epoch(self, codes, rng):
        """Draw the batches of one epoch.

        Parameters
        ----------
        codes : ndarray of int, shape (n,)
            Class of each row, 0 to n_classes - 1, each present.
        rng : numpy.random.Generator

        Returns
        -------
        list of ndarray of intp
            About ``n / batch_size`` arrays of distinct row numbers.
        """
        n_classes = int(codes.max()) + 1
        K = self.samples_per_class
        if K == "auto":
            K = max(min(4, self.batch_size // 2), self.batch_size // n_classes)
        P = min(self.batch_size // K, n_classes)
        n_batches = max(1, round(len(codes) / (P * K)))
        visits = _cycle(np.arange(n_classes), n_batches * P, P, rng).reshape(n_batches, P)
        groups = _class_groups(codes, K, np.bincount(visits.ravel(), minlength=n_classes), rng)
        return [np.concatenate([next(groups[c]) for c in classes]) for classes in visits]


def _cycle(items, length, window, rng):
    """Random passes over ``items``, no item twice within a window aligned at its multiples."""
    drawn = np.empty(0, dtype=items.dtype)
    while len(drawn) < length:
        order = rng.permutation(items)
        begun = drawn[len(drawn) - len(drawn) % window :]
        # Items that the unfinished window already holds go to the end of this pass.
        repeats = np.isin(order, begun)
        drawn = np.concatenate([drawn, order[~repeats], order[repeats]])
    return drawn[:length]


def _class_groups(codes, K, visits, rng):
    """For each class, an iterator over groups of K distinct rows, enough for its visits."""
    by_class = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    groups = []
    for rows, n_visits in zip(np.split(by_class, np.cumsum(counts)[:-1]), visits, strict=True):
        size = min(K, len(rows))
        groups.append(iter(_cycle(rows, n_visits * size, size, rng).reshape(n_visits, size)))
    return groups


class UnbalancedSampler:
    """Every row once in an epoch, rows of one class in groups of up to K.

    Classes come as often as they have rows. A class of one row is welcome: it
    is a negative of the others, and its own proxy's positive.

    Parameters
    ----------
    batch_size : int, default=128
        Rows in a batch, at least 2.
    samples_per_class : int or "auto", default="auto"
        K, at least 1; "auto" takes 4.
    """

    min_rows = 1
    _parameter_constraints: dict = {
        "batch_size": [Integral],
        "samples_per_class": [Integral, one_of("auto")],
    }

    def __init__(self, batch_size=128, samples_per_class="auto"):
        check_ranges(self, batch_size=batch_size, samples_per_class=samples_per_class)
        if batch_size < 2:
            raise ValueError(f"batch_size={batch_size} cannot hold one pair; give at least 2")
        if samples_per_class != "auto" and samples_per_class < 1:
            raise ValueError(f"samples_per_class={samples_per_class} must be at least 1")
        self.batch_size = batch_size
        self.samples_per_class = samples_per_class

    def epoch(self, codes, rng):
        """Draw the batches of one epoch; see :meth:`ClassBalancedSampler.epoch`."""
        K = 4 if self.samples_per_class == "auto" else self.samples_per_class
        shuffled = rng.permutation(len(codes))
        by_class = shuffled[np.argsort(codes[shuffled], kind="stable")]
        counts = np.bincount(codes)
        within = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
        group = np.cumsum(within % K == 0) - 1
        place = rng.permutation(group[-1] + 1)
        return _batches(by_class[np.argsort(place[group], kind="stable")], self.batch_size)


class RandomSampler:
    """Every row once in an epoch, in random order.

    Parameters
    ----------
    batch_size : int, default=128
        Rows in a batch, at least 2.
    """

    min_rows = 1
    _parameter_constraints: dict = {"batch_size": [Integral]}

    def __init__(self, batch_size=128):
        check_ranges(self, batch_size=batch_size)
        if batch_size < 2:
            raise ValueError(f"batch_size={batch_size} cannot hold one pair; give at least 2")
        self.batch_size = batch_size

    def epoch(self, codes, rng):
        """Draw the batches of one epoch; see :meth:`ClassBalancedSampler.epoch`."""
        return _batches(rng.permutation(len(codes)), self.batch_size)


def _batches(order, batch_size):
    """Cut into batches; a last batch of one row, which holds no pair, joins the one before."""
    n_batches = max(1, -(-len(order) // batch_size))
    if len(order) % batch_size == 1 and n_batches > 1:
        n_batches -= 1
    cuts = batch_size * np.arange(1, n_batches)
    return np.split(order, cuts)


SAMPLERS = {
    "class_balanced": ClassBalancedSampler,
    "unbalanced": UnbalancedSampler,
    "random": RandomSampler,
    "hierarchical": HierarchicalSampler,
    "hard_negatives": HardNegativeSampler,
}
