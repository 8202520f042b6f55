"""Negatives drawn by a histogram over their distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from metriclearn._sklearn import between
from metriclearn.deep.miners._base import Miner, draw_triplets
from metriclearn.deep.tensors._pairwise import compare
from metriclearn.deep.tensors._ranges import check_ranges
from metriclearn.deep.tensors._selections import MinedPairs, MinedTriplets

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Reference


class DistanceHistogramMiner(Miner):
    """Negatives drawn with the chances that a histogram gives their distances.

    The range from ``low`` to ``high`` is cut into U bins of one width. For each positive pair of an
    anchor a negative at distance r is drawn with probability::

        ∝ p_u,    u the bin of r;    0 outside of the range

    on rows of length one; where no negative has a chance, among all evenly. One bin alone is
    negatives of one hardness; 1 / q(r) of `DistanceWeightedMiner` is the choice of its paper; PADS
    [1]_ changes the p_u as training goes.

    Parameters
    ----------
    probabilities : sequence of float, default=None
        p_1, …, p_U, at least 0, not all 0; up to a factor. By default 30 bins of the same.
    low : float, default=0.1
        Euclidean distance, in [0, 2).
    high : float, default=1.4
        Euclidean distance, in (low, 2].
    generator : torch.Generator, default=None
        Source of randomness; torch's own by default.

    See Also
    --------
    DistanceWeightedMiner : Evenly over the distances, by their density on the sphere.
    UniformHistogramMiner : Pairs evenly over the distances there are.

    Notes
    -----
    The policy that PADS learns for the p_u is left out: on characters of unseen alphabets it did
    not do better than chances that stay as they are (benchmarks/RESULTS.md). A callback may set
    ``probabilities`` between epochs.

    Time O(b² (d + k)) for b rows of d dimensions with k positives each.

    References
    ----------
    .. [1] Roth, Milbich and Ommer, "PADS: Policy-Adapted Sampling for Visual Similarity Learning",
       CVPR 2020. :doi:`10.48550/arXiv.2001.11452`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import DistanceHistogramMiner
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    >>> miner = DistanceHistogramMiner([1, 0], low=0.5, high=1.5)  # negatives from 0.5 to 1 apart
    >>> anchor, positive, negative = miner(x, torch.tensor([0, 0, 1, 1]))
    >>> torch.stack([anchor, positive, negative], 1)[[0, 3]].tolist()
    [[0, 1, 2], [3, 2, 1]]
    """

    yields = "triplets"

    _parameter_constraints: dict = {
        "probabilities": ["array-like", None],
        "low": [between(0, 2, "left")],
        "high": [between(0, 2, "right")],
    }

    def __init__(
        self,
        probabilities: Sequence[float] | None = None,
        low: float = 0.1,
        high: float = 1.4,
        generator: torch.Generator | None = None,
    ) -> None:
        self.probabilities = probabilities
        self.low = low
        self.high = high
        self.generator = generator
        check_ranges(self)
        if high <= low:
            raise ValueError(f"high must be greater than low={low}, got {high}")
        self._chances()

    def _chances(self):
        if self.probabilities is None:
            return torch.ones(30)
        chances = torch.as_tensor(self.probabilities, dtype=torch.float32)
        if chances.ndim != 1 or not (chances >= 0).all() or not 0 < chances.sum() < torch.inf:
            raise ValueError(
                f"probabilities must be one for each bin, at least 0 and not all 0, got "
                f"{self.probabilities}"
            )
        return chances

    def select(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> MinedPairs | MinedTriplets:
        """Select from ``embeddings`` (b, d) with ``labels`` (b,)."""
        s, positive, negative = compare(embeddings.detach(), labels, "cosine", reference)

        def weigh():
            return self.weights((2 - 2 * s).clamp_(min=0).sqrt_(), negative)

        return draw_triplets(positive, negative, weigh, self.generator)

    def weights(self, distance: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
        """Chances of each negative, up to a factor for each anchor.

        Parameters
        ----------
        distance, negative : tensors of shape (b, n)

        Returns
        -------
        tensor of shape (b, n)
        """
        chances = self._chances().to(distance)
        place = (distance - self.low) / (self.high - self.low)
        bins = (place * len(chances)).long().clamp_(0, len(chances) - 1)
        weights = chances[bins] * negative * ((place >= 0) & (place <= 1))
        return torch.where(weights.any(1, keepdim=True), weights, negative)
