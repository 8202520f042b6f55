"""Triplets of other classes than a positive and a negative have: all three, or one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from metriclearn._sklearn import at_least
from metriclearn.deep.miners._base import Miner
from metriclearn.deep.tensors._ranges import check_ranges
from metriclearn.deep.tensors._selections import MinedPairs, MinedTriplets

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Reference


class _DrawnTriplets(Miner):
    """Base of miners that draw two rows for each anchor, the second as the first allows it."""

    yields = "triplets"

    _parameter_constraints: dict = {"n_triplets": [at_least(1)]}

    def __init__(self, n_triplets: int = 1, generator: torch.Generator | None = None) -> None:
        self.n_triplets = n_triplets
        self.generator = generator
        check_ranges(self)

    def select(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> MinedPairs | MinedTriplets:
        """Select from ``embeddings`` (b, d) with ``labels`` (b,)."""
        columns = labels if reference is None else torch.cat([labels, reference.labels])
        allowed = self._second(labels, columns)
        a = allowed.any(1).nonzero(as_tuple=True)[0].repeat_interleave(self.n_triplets)
        if not len(a):
            return MinedTriplets(a, a, a)
        p = torch.multinomial(allowed[a].float(), 1, generator=self.generator)[:, 0]
        left = allowed[a] & self._third(columns, p)
        kept = left.any(1)
        a, p, left = a[kept], p[kept], left[kept]
        if not len(a):
            return MinedTriplets(a, a, a)
        n = torch.multinomial(left.float(), 1, generator=self.generator)[:, 0]
        return MinedTriplets(a, p, n)

    def _second(self, labels: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError(f"{type(self).__name__} has to define _second")

    def _third(self, columns: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError(f"{type(self).__name__} has to define _third")


class ThreeClassMiner(_DrawnTriplets):
    """Triplets of rows of three different classes, drawn at random.

    What is learned from them cannot be of a class: it is what classes share [1]_.

    Parameters
    ----------
    n_triplets : int, default=1
        Triplets drawn for each anchor, with replacement.
    generator : torch.Generator, default=None
        Source of randomness; torch's own by default.

    See Also
    --------
    WithinClassMiner : Triplets of one class.
    metriclearn.deep.losses.DiverseAggregationLoss : Uses both beside the usual triplets.

    References
    ----------
    .. [1] Milbich, Roth, Bharadhwaj, Sinha, Bengio, Ommer and Cohen, "DiVA: Diverse Visual Feature
       Aggregation for Deep Metric Learning", ECCV 2020. :doi:`10.48550/arXiv.2004.13458`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import ThreeClassMiner
    >>> labels = torch.tensor([0, 0, 1, 2])
    >>> triplets = torch.stack(ThreeClassMiner()(torch.eye(4), labels), 1)
    >>> [len({*labels[rows].tolist()}) for rows in triplets]
    [3, 3, 3, 3]
    """

    def _second(self, labels, columns):
        return labels[:, None] != columns

    def _third(self, columns, p):
        return columns != columns[p][:, None]


class WithinClassMiner(_DrawnTriplets):
    """Triplets of three rows of one class, drawn at random.

    What is learned from them is what rows of a class differ in [1]_. Classes of less than three
    rows have none.

    Parameters
    ----------
    n_triplets : int, default=1
        Triplets drawn for each anchor, with replacement.
    generator : torch.Generator, default=None
        Source of randomness; torch's own by default.

    See Also
    --------
    ThreeClassMiner : Triplets of three classes.
    metriclearn.deep.losses.DiverseAggregationLoss : Uses both beside the usual triplets.

    References
    ----------
    .. [1] Milbich, Roth, Bharadhwaj, Sinha, Bengio, Ommer and Cohen, "DiVA: Diverse Visual Feature
       Aggregation for Deep Metric Learning", ECCV 2020. :doi:`10.48550/arXiv.2004.13458`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.miners import WithinClassMiner
    >>> triplets = torch.stack(WithinClassMiner()(torch.eye(4), torch.tensor([0, 0, 0, 1])), 1)
    >>> [sorted(rows) for rows in triplets.tolist()]
    [[0, 1, 2], [0, 1, 2], [0, 1, 2]]
    """

    def _second(self, labels, columns):
        others = labels[:, None] == columns
        others[:, : len(labels)].fill_diagonal_(False)
        return others

    def _third(self, columns, p):
        return torch.arange(len(columns), device=p.device) != p[:, None]
