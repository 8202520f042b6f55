"""Batches of rows with and without labels."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike

from metriclearn._sklearn import between, one_of
from metriclearn.deep.samplers._class_samplers import ClassBalancedSampler
from metriclearn.deep.tensors._batches import UNLABELED


class SemiSupervisedSampler(ClassBalancedSampler):
    """Batches of labeled rows, balanced over the classes, and of unlabeled ones.

    An epoch ends when all labeled and all unlabeled rows have come; the fewer of the two come again
    and again until then. Where no row is unlabeled these are the batches of
    `ClassBalancedSampler`.

    Parameters
    ----------
    batch_size : int, default=128
        Most rows in a batch.
    samples_per_class : int or "auto", default="auto"
        Rows of each class, as of `ClassBalancedSampler`.
    share : float, default=0.5
        Share of unlabeled rows in a batch, in (0, 1).

    See Also
    --------
    ClassBalancedSampler : Labeled rows only.
    metriclearn.deep.losses.SemiSupervisedLoss : Learns from both.

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.deep.samplers import SemiSupervisedSampler
    >>> codes = np.repeat([0, 1, -1], [10, 10, 80])
    >>> batches = SemiSupervisedSampler(batch_size=16).epoch(codes, np.random.default_rng(0))
    >>> len(batches), int(np.sum(codes[batches[0]] < 0))
    (10, 8)
    """

    min_rows = 1  # a label for a class is what there often is
    draws_unlabeled = True

    _parameter_constraints: dict = {
        "batch_size": [Integral],
        "samples_per_class": [Integral, one_of("auto")],
        "share": [between(0, 1, "neither")],
    }

    def __init__(
        self, batch_size: int = 128, samples_per_class: int | str = "auto", share: float = 0.5
    ) -> None:
        self.share = share
        super().__init__(batch_size, samples_per_class)

    def epoch(self, codes: ArrayLike, rng: np.random.Generator) -> list[np.ndarray]:
        """Draw the batches of one epoch; see `Sampler.epoch`."""
        codes = np.asarray(codes)
        unlabeled = np.flatnonzero(codes == UNLABELED)
        if not len(unlabeled):
            return super().epoch(codes, rng)
        n = min(max(1, round(self.share * self.batch_size)), len(unlabeled))
        least = 4 if self.samples_per_class == "auto" else 2 * self.samples_per_class
        if self.batch_size - n < least:
            raise ValueError(
                f"SemiSupervisedSampler needs room for 2 classes, but batch_size="
                f"{self.batch_size} with share={self.share} leaves {self.batch_size - n} labeled "
                f"rows in a batch; raise batch_size or lower share"
            )
        balanced = ClassBalancedSampler(self.batch_size - n, self.samples_per_class)
        labeled = balanced.epoch(codes, rng)
        n_batches = max(len(labeled), -(-len(unlabeled) // n))
        while len(labeled) < n_batches:
            labeled += balanced.epoch(codes, rng)
        others = _repeated(unlabeled, n * n_batches, rng)
        return [
            np.concatenate([batch, np.unique(part)])
            for batch, part in zip(labeled[:n_batches], np.split(others, n_batches), strict=True)
        ]


def _repeated(rows, length, rng):
    """Return rows in random order, all before any comes again, up to a length."""
    passes = [rng.permutation(rows) for _ in range(-(-length // len(rows)))]
    return np.concatenate(passes)[:length]
