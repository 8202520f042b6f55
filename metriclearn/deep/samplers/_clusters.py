"""Batches of one cluster of the training set each."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike

from metriclearn.deep.samplers._class_samplers import ClassBalancedSampler


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
