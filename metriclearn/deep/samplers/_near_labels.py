"""A sampler for labels that are amounts."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from metriclearn.deep.samplers._base import Sampler
from metriclearn.deep.tensors._ranges import POSITIVE, at_least, check_ranges


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
    near : float, default=None
        Euclidean distance of labels, > 0, in their units: the other row is any within it instead.
        An anchor without one comes alone.

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
        "near": [POSITIVE, None],
    }

    def __init__(
        self, batch_size: int = 128, n_nearest: int = 5, near: float | None = None
    ) -> None:
        self.batch_size = batch_size
        self.n_nearest = n_nearest
        self.near = near
        check_ranges(self)

    def draw(self, codes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        """Return the batches of an epoch; see `Sampler.draw`."""
        labels = np.asarray(codes, dtype=np.float64).reshape(len(codes), -1)
        tree = cKDTree(labels)
        per_batch = self.batch_size // 2
        n_batches = max(1, round(len(labels) / self.batch_size))
        anchors = np.concatenate(
            [rng.permutation(len(labels)) for _ in range(-(-n_batches * per_batch // len(labels)))]
        )[: n_batches * per_batch]
        choose = self._within if self.near else self._nearest
        others = choose(tree, anchors, rng)
        pairs = np.column_stack([anchors, others])
        return [
            np.unique(pairs[start : start + per_batch]) for start in range(0, len(pairs), per_batch)
        ]

    def _nearest(self, tree, anchors, rng):
        k = min(self.n_nearest, len(tree.data) - 1)
        if not k:
            return anchors
        _, found = tree.query(tree.data[anchors], k + 1)
        # Itself is not always the first: others may have the same label.
        own = found == anchors[:, None]
        own[~own.any(1), -1] = True
        found = found[~own].reshape(len(anchors), k)
        return found[np.arange(len(anchors)), rng.integers(k, size=len(anchors))]

    def _within(self, tree, anchors, rng):
        found = tree.query_ball_point(tree.data[anchors], self.near)
        chosen = anchors.copy()
        for place, (anchor, rows) in enumerate(zip(anchors, found, strict=True)):
            others = [row for row in rows if row != anchor]
            if others:
                chosen[place] = others[rng.integers(len(others))]
        return chosen
