"""Samplers that look at the training set as it is embedded now.

The net calls ``refresh(embeddings, codes)`` before an epoch in which the sampler is
``due``. What ends in an underscore is the state, which a checkpoint keeps.
"""

from numbers import Integral

import numpy as np
import torch

from metriclearn.deep.samplers._hard_negatives import nearest_of_other_classes
from metriclearn.deep.tensors._ranges import at_least, check_ranges


class HierarchicalSampler:
    """Some random classes, each with its nearest classes: hard negatives by construction.

    A batch holds ``n_anchors`` classes drawn at random, the ``n_nearest`` classes whose mean
    embedding is nearest to each, and K rows of every one of these. Ge, Huang, Dong and Scott,
    "Deep Metric Learning with Hierarchical Triplet Loss", 2018 (l′, m - 1 and t there).

    Parameters
    ----------
    batch_size : int, default=128
        Most rows in a batch; says how many anchor classes there are.
    samples_per_class : int, default=4
        K, at least 2.
    n_nearest : int, default=3
        At least 1.

    Attributes
    ----------
    nearest_ : tensor of shape (n_classes, n_nearest)
        Nearest classes of each class; fewer columns where there are fewer classes.
    """

    min_rows = 2
    due = True

    _parameter_constraints: dict = {
        name: [Integral] for name in ("batch_size", "samples_per_class", "n_nearest")
    }

    def __init__(self, batch_size=128, samples_per_class=4, n_nearest=3):
        self.batch_size = batch_size
        self.samples_per_class = samples_per_class
        self.n_nearest = n_nearest
        check_ranges(self)
        if samples_per_class < 2:
            raise ValueError(
                f"samples_per_class={samples_per_class} leaves no pair of one class in a batch; "
                f"give at least 2"
            )
        if n_nearest < 1:
            raise ValueError(f"n_nearest={n_nearest} must be at least 1")
        if batch_size < samples_per_class * (1 + n_nearest):
            raise ValueError(
                f"batch_size={batch_size} cannot hold samples_per_class={samples_per_class} rows "
                f"of a class and its n_nearest={n_nearest} nearest; raise or lower accordingly"
            )

    def refresh(self, embeddings, codes):
        """Find the nearest classes of each class.

        Parameters
        ----------
        embeddings : tensor of shape (n, d)
        codes : ndarray of int, shape (n,)
        """
        codes = torch.from_numpy(codes).to(embeddings.device)
        n_classes = int(codes.max()) + 1
        sums = torch.zeros(n_classes, embeddings.shape[1], device=embeddings.device)
        means = sums.index_add_(0, codes, embeddings) / torch.bincount(codes)[:, None]
        distances = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")
        distances.fill_diagonal_(torch.inf)
        k = min(self.n_nearest, n_classes - 1)
        self.nearest_ = distances.topk(k, largest=False).indices.cpu()

    def epoch(self, codes, rng):
        """Draw the batches of one epoch; see :meth:`ClassBalancedSampler.epoch`."""
        nearest = self.nearest_.numpy()
        families = np.column_stack([np.arange(len(nearest)), nearest])
        n_anchors = max(1, self.batch_size // (self.samples_per_class * families.shape[1]))
        by_class = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
        n_batches = max(1, round(len(codes) / self.batch_size))
        batches = []
        for _ in range(n_batches):
            anchors = rng.choice(len(families), min(n_anchors, len(families)), replace=False)
            classes = np.unique(families[anchors])
            rows = [_some(by_class[c], self.samples_per_class, rng) for c in classes]
            batches.append(np.concatenate(rows))
        return batches


class HardNegativeSampler:
    """Rows with the nearest rows of other classes in the whole training set.

    Every ``every`` epochs the training set is embedded and the ``n_candidates`` nearest rows of
    other classes are found for each row. A batch is made of anchors: each with another row of its
    class, one of its candidates, and another row of the candidate's class.

    Parameters
    ----------
    batch_size : int, default=128
        Most rows in a batch, at least 4.
    n_candidates : int, default=10
        At least 1.
    every : int, default=1
        Epochs between searches, at least 1.
    index : str, default="auto"
        "exact" forms all distances; "ivf", "hnsw" or another index string of faiss finds most
        candidates in a fraction of the time, the more of them the more structure the embedding
        has. "auto" is "ivf" for more than 50,000 rows on a CPU, where faiss is installed.

    Attributes
    ----------
    candidates_ : tensor of shape (n, n_candidates)
        Row numbers, nearest first.
    epochs_ : int
        Epochs drawn.
    """

    min_rows = 2
    _parameter_constraints: dict = {
        "batch_size": [at_least(4)],
        "n_candidates": [at_least(1)],
        "every": [at_least(1)],
        "index": [str],
    }

    def __init__(self, batch_size=128, n_candidates=10, every=1, index="auto"):
        self.batch_size = batch_size
        self.n_candidates = n_candidates
        self.every = every
        self.index = index
        check_ranges(self)
        self.epochs_ = 0

    @property
    def due(self):
        """Whether the candidates are to be found anew before the next epoch."""
        return self.epochs_ % self.every == 0

    def refresh(self, embeddings, codes):
        """Find the candidates of each row; see :meth:`HierarchicalSampler.refresh`."""
        found = nearest_of_other_classes(embeddings, codes, self.n_candidates, self.index)
        self.candidates_ = torch.from_numpy(found)

    def epoch(self, codes, rng):
        """Draw the batches of one epoch; see :meth:`ClassBalancedSampler.epoch`."""
        self.epochs_ += 1
        candidates = self.candidates_.numpy()
        anchors = rng.permutation(len(codes))
        negatives = candidates[anchors, rng.integers(candidates.shape[1], size=len(anchors))]
        quads = np.column_stack(
            [anchors, _partners(anchors, codes, rng), negatives, _partners(negatives, codes, rng)]
        )
        per_batch = self.batch_size // 4
        n_batches = max(1, round(len(codes) / self.batch_size))
        return [
            np.unique(quads[start : start + per_batch])
            for start in per_batch * np.arange(n_batches)
        ]


def _partners(rows, codes, rng):
    """Of each row another of its class."""
    by_class = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    start = np.cumsum(counts) - counts
    place = np.empty(len(codes), dtype=np.intp)
    place[by_class] = np.arange(len(codes))
    own, size = codes[rows], counts[codes[rows]]
    # A step of 1 to size - 1 around the class never ends where it began.
    step = 1 + rng.integers(size - 1)
    return by_class[start[own] + (place[rows] - start[own] + step) % size]


def _some(rows, n, rng):
    return rng.choice(rows, min(n, len(rows)), replace=False)
