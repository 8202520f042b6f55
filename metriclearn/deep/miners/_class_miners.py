"""Triplets of other classes than a positive and a negative have: all three, or one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from metriclearn.deep.miners._base import Miner
from metriclearn.deep.tensors._ranges import at_least, check_ranges
from metriclearn.deep.tensors._selections import MinedPairs, MinedTriplets

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Reference


class ThreeClassMiner(Miner):
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
        columns = _columns(labels, reference)
        apart = labels[:, None] != columns

        def also(p):
            return columns != columns[p][:, None]

        return _drawn(apart, also, self.n_triplets, self.generator)


class WithinClassMiner(Miner):
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
        columns = _columns(labels, reference)
        others = labels[:, None] == columns
        others[:, : len(labels)].fill_diagonal_(False)

        def also(p):
            return torch.arange(len(columns), device=p.device) != p[:, None]

        return _drawn(others, also, self.n_triplets, self.generator)


def _columns(labels, reference):
    return labels if reference is None else torch.cat([labels, reference.labels])


def _drawn(allowed, also, n_triplets, generator):
    """Draw two columns of a mask for each row: the second where ``also(first)`` allows it, too."""
    a = allowed.any(1).nonzero(as_tuple=True)[0].repeat_interleave(n_triplets)
    if not len(a):
        return MinedTriplets(a, a, a)
    p = torch.multinomial(allowed[a].float(), 1, generator=generator)[:, 0]
    left = allowed[a] & also(p)
    kept = left.any(1)
    a, p, left = a[kept], p[kept], left[kept]
    if not len(a):
        return MinedTriplets(a, a, a)
    return MinedTriplets(a, p, torch.multinomial(left.float(), 1, generator=generator)[:, 0])
