"""Samplers that look at the training set as embedded now: near rows or classes, clusters."""

from __future__ import annotations

from importlib.util import find_spec
from numbers import Integral

import numpy as np
import torch
from numpy.typing import ArrayLike

from metriclearn._sklearn import at_least, one_of
from metriclearn.deep.samplers._base import Sampler
from metriclearn.deep.samplers._class_samplers import ClassBalancedSampler, partners, rows_by_class
from metriclearn.deep.tensors._ranges import check_ranges
from metriclearn.neighbors._faiss import build_search


class HierarchicalSampler(Sampler):
    """Some random classes, each with its nearest classes: hard negatives by construction.

    A batch holds some classes drawn at random, the ``n_nearest`` classes whose mean embedding is
    nearest to each, and K rows of every one of these: l′, m - 1 and t in the paper [1]_.

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

    See Also
    --------
    HardNegativeSampler : Puts single rows together that are near each other.
    metriclearn.deep.losses.HierarchicalTripletLoss : The loss of the same paper.

    References
    ----------
    .. [1] Ge, Huang, Dong and Scott, "Deep Metric Learning with Hierarchical Triplet Loss",
       ECCV 2018. :doi:`10.48550/arXiv.1810.06951`

    Examples
    --------
    >>> import numpy as np, torch
    >>> from metriclearn.deep.samplers import HierarchicalSampler
    >>> codes = np.repeat(np.arange(6), 4)
    >>> sampler = HierarchicalSampler(batch_size=8, samples_per_class=4, n_nearest=1)
    >>> sampler.refresh(torch.from_numpy(codes[:, None]).float(), codes)
    >>> batch = sampler.epoch(codes, np.random.default_rng(0))[0]
    >>> np.abs(np.diff(np.unique(codes[batch]))).tolist()
    [1]
    """

    min_rows = 2
    min_classes = 2
    due = True

    _parameter_constraints: dict = {
        name: [Integral] for name in ("batch_size", "samples_per_class", "n_nearest")
    }

    def __init__(
        self, batch_size: int = 128, samples_per_class: int = 4, n_nearest: int = 3
    ) -> None:
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

    def look(self, embeddings: torch.Tensor, codes: np.ndarray) -> None:
        """Find the nearest classes of each class; see `Sampler.look`."""
        codes = torch.from_numpy(codes).to(embeddings.device)
        n_classes = int(codes.max()) + 1
        sums = torch.zeros(n_classes, embeddings.shape[1], device=embeddings.device)
        means = sums.index_add_(0, codes, embeddings) / torch.bincount(codes)[:, None]
        distances = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")
        distances.fill_diagonal_(torch.inf)
        k = min(self.n_nearest, n_classes - 1)
        self.nearest_ = distances.topk(k, largest=False).indices.cpu()

    def draw(self, codes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        """Return the batches of an epoch; see `Sampler.draw`."""
        nearest = self.nearest_.numpy()
        families = np.column_stack([np.arange(len(nearest)), nearest])
        n_anchors = max(1, self.batch_size // (self.samples_per_class * families.shape[1]))
        by_class = rows_by_class(codes)
        n_batches = max(1, round(len(codes) / self.batch_size))
        batches = []
        for _ in range(n_batches):
            anchors = rng.choice(len(families), min(n_anchors, len(families)), replace=False)
            classes = np.unique(families[anchors])
            rows = [_some(by_class[c], self.samples_per_class, rng) for c in classes]
            batches.append(np.concatenate(rows))
        return batches


class HardNegativeSampler(Sampler):
    """Rows with the nearest rows of other classes in the whole training set.

    Every ``every`` epochs the training set is embedded and the ``n_candidates`` nearest rows of
    other classes are found for each row. A batch is made of anchors: each with another row of its
    class, one of its candidates, and another row of the candidate's class.

    See [1]_ and [2]_.

    Parameters
    ----------
    batch_size : int, default=128
        Most rows in a batch, at least 4.
    n_candidates : int, default=10
        At least 1.
    every : int, default=1
        Epochs between searches, at least 1.
    index : str, default="auto"
        "flat" forms all distances; "ivf", "hnsw" or another index string of faiss finds most
        candidates in a fraction of the time, the more of them the more structure the embedding
        has. "auto" is "ivf" for more than 50,000 rows on a CPU, where faiss is installed.
    kind : {"hard", "semi_hard"}, default="hard"
        Any of the candidates, or one that is farther from the anchor than the other row of the
        anchor's class, the nearest of these; the farthest candidate where all are nearer.
    skip_hardest : int, default=0
        Candidates that are left out, the nearest of all, at least 0: where labels are wrong these
        are of the anchor's own class.

    Attributes
    ----------
    candidates_ : tensor of shape (n, n_candidates)
        Row numbers, nearest first.
    embeddings_ : tensor of shape (n, d) or None
        Rows as they were at the search; kept for "semi_hard".
    epochs_ : int
        Epochs drawn.

    See Also
    --------
    HierarchicalSampler : Puts classes together rather than rows.
    metriclearn.deep.miners.SemiHardMiner : Semi-hard within a batch.

    References
    ----------
    .. [1] Schroff, Kalenichenko and Philbin, "FaceNet: A Unified Embedding for Face Recognition
       and Clustering", CVPR 2015. :doi:`10.1109/CVPR.2015.7298682`
    .. [2] Harwood, Kumar B G, Carneiro, Reid and Drummond, "Smart Mining for Deep Metric
       Learning", ICCV 2017. :doi:`10.48550/arXiv.1704.01285`

    Examples
    --------
    >>> import numpy as np, torch
    >>> from metriclearn.deep.samplers import HardNegativeSampler
    >>> codes = np.repeat(np.arange(6), 4)
    >>> sampler = HardNegativeSampler(batch_size=8, n_candidates=4)
    >>> sampler.refresh(torch.from_numpy(codes[:, None]).float(), codes)
    >>> sorted(sampler.candidates_[0].tolist())  # rows of class 0 are nearest to those of class 1
    [4, 5, 6, 7]
    """

    min_rows = 2
    min_classes = 2

    _parameter_constraints: dict = {
        "batch_size": [at_least(4)],
        "n_candidates": [at_least(1)],
        "every": [at_least(1)],
        "index": [str],
        "kind": [one_of("hard", "semi_hard")],
        "skip_hardest": [at_least(0)],
    }

    def __init__(
        self,
        batch_size: int = 128,
        n_candidates: int = 10,
        every: int = 1,
        index: str = "auto",
        kind: str = "hard",
        skip_hardest: int = 0,
    ) -> None:
        self.batch_size = batch_size
        self.n_candidates = n_candidates
        self.every = every
        self.index = index
        self.kind = kind
        self.skip_hardest = skip_hardest
        check_ranges(self)
        self.epochs_ = 0
        self.embeddings_ = None

    @property
    def due(self) -> bool:
        """Whether the candidates are to be found again before the next epoch."""
        return self.epochs_ % self.every == 0

    def look(self, embeddings: torch.Tensor, codes: np.ndarray) -> None:
        """Find the candidates of each row; see `Sampler.look`."""
        wanted = self.n_candidates + self.skip_hardest
        found = nearest_of_other_classes(embeddings, codes, wanted, self.index)
        # One candidate is left where there are no more.
        skipped = min(self.skip_hardest, found.shape[1] - 1)
        self.candidates_ = torch.from_numpy(found[:, skipped:])
        if self.kind == "semi_hard":
            self.embeddings_ = embeddings.detach().cpu()

    def draw(self, codes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        """Return the batches of an epoch; see `Sampler.draw`."""
        self._check_counts(codes)
        self.epochs_ += 1
        per_batch = self.batch_size // 4
        n_batches = max(1, round(len(codes) / self.batch_size))
        anchors = rng.permutation(len(codes))[: n_batches * per_batch]
        positives = partners(anchors, codes, rng)
        negatives = self._negatives(anchors, positives, rng)
        quads = np.column_stack([anchors, positives, negatives, partners(negatives, codes, rng)])
        return [
            np.unique(quads[start : start + per_batch])
            for start in per_batch * np.arange(n_batches)
        ]

    def _negatives(self, anchors, positives, rng):
        candidates = self.candidates_.numpy()[anchors]
        if self.kind == "hard":
            drawn = rng.integers(candidates.shape[1], size=len(anchors))
            return candidates[np.arange(len(anchors)), drawn]
        rows = self.embeddings_
        apart = torch.linalg.vector_norm(rows[anchors] - rows[positives], dim=1)
        away = torch.linalg.vector_norm(rows[anchors][:, None] - rows[candidates], dim=2)
        farther = (away > apart[:, None]).numpy()
        first = np.where(farther.any(1), farther.argmax(1), candidates.shape[1] - 1)
        return candidates[np.arange(len(anchors)), first]

    def _check_counts(self, codes):
        counts = np.bincount(codes)
        if counts.min() < 2:
            raise ValueError(
                f"HardNegativeSampler needs 2 rows of each class, class {counts.argmin()} of the "
                f"{len(counts)} has one; use sampler='unbalanced'"
            )


def _some(rows, n, rng):
    return rng.choice(rows, min(n, len(rows)), replace=False)


class ClusterSampler(ClassBalancedSampler):
    """Batches of one cluster each, class-balanced within it.

    The clusters are those of a loss that divides the training set, `DivideAndConquerLoss`, which
    `DeepEmbedder` tells it before each epoch. Rows whose class has no other row in their cluster
    are left out, and so are clusters of one class. Without clusters it is `ClassBalancedSampler`.

    Parameters
    ----------
    batch_size : int, default=128
        Most rows in a batch; at least 4.
    samples_per_class : int or "auto", default="auto"
        As in `ClassBalancedSampler`.

    Attributes
    ----------
    clusters_ : int64 tensor of shape (n,) or None
        Cluster of each row; None where all rows are drawn together.

    See Also
    --------
    ClassBalancedSampler : Batches of all rows.
    metriclearn.deep.losses.DivideAndConquerLoss : The loss that divides them.

    References
    ----------
    .. [1] Sanakoyeu, Tschernezki, Büchler and Ommer, "Divide and Conquer the Embedding Space for
       Metric Learning", CVPR 2019. :doi:`10.48550/arXiv.1906.05990`

    Examples
    --------
    >>> import numpy as np, torch
    >>> from metriclearn.deep.samplers import ClusterSampler
    >>> sampler = ClusterSampler(batch_size=4)
    >>> sampler.follow(torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    >>> codes = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    >>> sorted(np.sort(batch).tolist() for batch in sampler.epoch(codes, np.random.default_rng(0)))
    [[0, 1, 2, 3], [4, 5, 6, 7]]
    """

    def __init__(self, batch_size: int = 128, samples_per_class: int | str = "auto") -> None:
        super().__init__(batch_size, samples_per_class)
        self.clusters_ = None

    def follow(self, clusters: torch.Tensor | None) -> None:
        """Draw by these clusters, (n,), from now on; by none where they are negative, or None."""
        divided = clusters is not None and bool((clusters >= 0).any())
        self.clusters_ = clusters.detach().cpu().clone() if divided else None

    def epoch(self, codes: ArrayLike, rng: np.random.Generator) -> list[np.ndarray]:
        """Draw the batches of one epoch; see `Sampler.epoch`."""
        if self.clusters_ is None:
            return super().epoch(codes, rng)
        rows, classes = self._labeled(codes)
        clusters = self.clusters_.numpy()[rows]
        batches = []
        for number in np.unique(clusters):
            within = np.flatnonzero(clusters == number)
            paired = np.bincount(classes[within])[classes[within]] > 1
            within = within[paired]
            if len(np.unique(classes[within])) > 1:
                drawn = super().epoch(classes[within], rng)
                batches += [rows[within[batch]] for batch in drawn]
        if not batches:
            return super().epoch(codes, rng)
        return [batches[i] for i in rng.permutation(len(batches))]


# Distances held at a time in a search for neighbors.
DISTANCES_AT_A_TIME = 2**24
# Rows up to which every distance is formed: about ten seconds on one core.
LARGEST_EXACT = 50_000
# Neighbors of the own class that an index is asked for in vain, at most.
MOST_IN_VAIN = 256


def resolve_index(index, n, device):
    """Resolve "auto": exact where that is quick, or where faiss is not installed."""
    if index != "auto":
        return index
    approximate = n > LARGEST_EXACT and device.type == "cpu" and find_spec("faiss") is not None
    return "ivf" if approximate else "flat"


def nearest_of_other_classes(embeddings, codes, k, index="auto"):
    """Find the ``k`` nearest rows of other classes for each row.

    Parameters
    ----------
    embeddings : tensor of shape (n, d)
    codes : ndarray of int, shape (n,)
        Class of each row.
    k : int
        Fewer are found where some class leaves fewer.
    index : {"auto", "flat", "ivf", "hnsw"} or str
        "flat" forms all distances; the others are indexes of faiss, whose clusters are
        seeded.

    Returns
    -------
    ndarray of int, shape (n, k)
        Row numbers, nearest first.
    """
    largest = int(np.bincount(codes).max())
    k = min(k, len(codes) - largest)
    index = resolve_index(index, len(codes), embeddings.device)
    everything = np.arange(len(codes))
    if index == "flat":
        return _exact(embeddings, codes, everything, k)
    search = build_search(embeddings.cpu().numpy(), "euclidean", index)
    _, near = search.search_all(min(len(codes) - 1, k + min(largest - 1, MOST_IN_VAIN)))
    own = codes[near] == codes[:, None]
    # Those of other classes first, in the order they came.
    chosen = np.argsort(own, axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(near, chosen, axis=1)
    short = everything[near.shape[1] - own.sum(axis=1) < k]
    if len(short):
        found[short] = _exact(embeddings, codes, short, k)
    return found


def _exact(embeddings, codes, rows, k):
    """Find them for some rows by all their distances, on the device of the embeddings."""
    codes = torch.from_numpy(codes).to(embeddings.device)
    sq_norms = embeddings.square().sum(dim=1)
    found = []
    step = max(1, DISTANCES_AT_A_TIME // len(codes))
    for part in torch.from_numpy(rows).to(embeddings.device).split(step):
        # The row's own squared norm shifts all its distances, and no order.
        distances = sq_norms - 2 * embeddings[part] @ embeddings.T
        distances.masked_fill_(codes[part][:, None] == codes, torch.inf)
        found.append(distances.topk(k, largest=False).indices.cpu())
    return torch.cat(found).numpy()
