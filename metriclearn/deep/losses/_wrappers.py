"""Losses made of other losses, and what these share: mined, summed, with a penalty on proxies."""

import inspect

import torch
from torch import nn

from metriclearn.deep.tensors._masked_sums import masked_max
from metriclearn.deep.tensors._pairwise import dot_products, unit_rows
from metriclearn.deep.tensors._ranges import NOT_NEGATIVE, check_ranges, one_of
from metriclearn.deep.tensors._tuples import PairRule, check_composition


class Composite(nn.Module):
    """What the wrappers share: their sizes and needs are those of their parts.

    A subclass has ``_parts()``, the losses it is made of.
    """

    accepts = ()

    @property
    def needs_indices(self):
        """Whether a part needs to know which training row each embedding is of."""
        return any(getattr(part, "needs_indices", False) for part in self._parts())

    @property
    def continuous_labels(self):
        """Whether a part works on continuous labels."""
        return any(getattr(part, "continuous_labels", False) for part in self._parts())

    @property
    def any_length(self):
        """Whether all parts are meant for embeddings of any length."""
        return all(getattr(part, "any_length", False) for part in self._parts())

    def build(self, n_classes, embedding_dim, n_samples=None):
        """Create what the parts learn, and return self."""
        for part in self._parts():
            if getattr(part, "needs_indices", False):
                part.build(n_classes, embedding_dim, n_samples)
            elif hasattr(part, "build"):
                part.build(n_classes, embedding_dim)
        return self

    def refresh(self, embeddings, labels):
        """Show the parts the whole training set, embedded as (n, d), with labels (n,)."""
        for part in self._parts():
            if hasattr(part, "refresh"):
                part.refresh(embeddings, labels)


def evaluate(loss, embeddings, labels, selection=None, reference=None, indices=None):
    """Call a loss with what it takes of all this."""
    given = {"selection": selection, "reference": reference}
    given = {name: value for name, value in given.items() if value is not None}
    if getattr(loss, "needs_indices", False):
        given["indices"] = indices
    return loss(embeddings, labels, **given)


def takes_reference(loss):
    if isinstance(loss, Composite):
        return all(takes_reference(part) for part in loss._parts())
    return "reference" in inspect.signature(loss.forward).parameters


class MinedLoss(Composite):
    """A loss on what a miner selects: ``loss(x, y, selection=miner(x, y))``.

    Parameters
    ----------
    loss : Module
        Its ``accepts`` has to name what the miner yields.
    miner : callable
        ``miner(embeddings, labels)`` to `Pairs` or `Triplets`.

    Raises
    ------
    ValueError
        Where the two do not fit.

    Notes
    -----
    Where a miner can say what it selects without listing it (a window on the loss's own distance,
    masks of pairs) nothing is listed; where it looks at the comparisons that the loss makes, they
    are made once. Time O(b² d), memory O(b²) for b rows of d dimensions; where a miner lists
    triplets, memory O(b² + t) for t of them.

    Examples
    --------
    >>> from metriclearn.deep.losses import MinedLoss, TripletLoss
    >>> from metriclearn.deep.miners import MultiSimilarityMiner, SemiHardMiner
    >>> loss = MinedLoss(TripletLoss(margin=0.1), SemiHardMiner())
    >>> loss = MinedLoss(TripletLoss(), MultiSimilarityMiner())
    Traceback (most recent call last):
    ...
    ValueError: TripletLoss does not work with MultiSimilarityMiner, which yields pairs: ...
    """

    def __init__(self, loss, miner):
        super().__init__()
        check_composition(loss, miner)
        self.loss = loss
        self.miner = miner

    def _parts(self):
        return [self.loss]

    def forward(self, embeddings, labels, reference=None, indices=None):
        """Value of the loss on the miner's selection of ``embeddings`` (b, d), ``labels`` (b,)."""
        selection = self._select(embeddings, labels, reference)
        return evaluate(self.loss, embeddings, labels, selection, reference, indices)

    def _select(self, embeddings, labels, reference):
        if hasattr(self.miner, "window"):
            window = self.miner.window(self.loss)
            if hasattr(self.loss, "takes_window") and self.loss.takes_window(window):
                return window
            return self.miner.listed(window, embeddings, labels, reference)
        if hasattr(self.miner, "choose"):
            if getattr(self.loss, "kind", None) in self.miner.kinds:
                return PairRule(self.miner.choose)
            return self.miner.masks(embeddings, labels, reference)
        # A miner of one's own need not know of references.
        given = () if reference is None else (reference,)
        return self.miner(embeddings, labels, *given)


class WeightedSum(Composite):
    """Weighted sum of losses on the same batch, ``Σ_k w_k loss_k(x, y)``.

    Parameters
    ----------
    losses : sequence of Modules
    weights : sequence of float, default=None
        One for each loss; all 1 by default.

    Notes
    -----
    Time O(sum of the losses' own); each makes its own comparisons.

    Examples
    --------
    >>> from metriclearn.deep.losses import AngularLoss, NPairLoss, WeightedSum
    >>> loss = WeightedSum([NPairLoss(), AngularLoss()], [1, 2])
    """

    def __init__(self, losses, weights=None):
        super().__init__()
        self.losses = nn.ModuleList(losses)
        self.weights = weights
        if weights is not None and len(weights) != len(self.losses):
            raise ValueError(
                f"weights must be one for each of the {len(self.losses)} losses, got {len(weights)}"
            )

    def _parts(self):
        return list(self.losses)

    def forward(self, embeddings, labels, reference=None, indices=None):
        """Sum on ``embeddings`` (b, d) with ``labels`` (b,)."""
        weights = [1.0] * len(self.losses) if self.weights is None else self.weights
        return sum(
            weight * evaluate(loss, embeddings, labels, None, reference, indices)
            for loss, weight in zip(self.losses, weights, strict=True)
        )


class ProxyRegularizer(Composite):
    """A loss with proxies, plus a penalty on them.

    ::

        loss + weight · penalty

        "separation"  mean over proxies of the largest cosine to a proxy of another class
        "norm"        mean squared length of the proxies
        "zero_mean"   squared length of the mean of the proxies, of length one

    "separation" is the exclusive regulariser of Zhao, Xu and Cheng, "RegularFace", 2019. The term
    that merges the centers of a class is part of `SoftTripleLoss`.

    Parameters
    ----------
    loss : Module
        One that has ``proxies``.
    weight : float, default=1
        At least 0.
    kind : {"separation", "norm", "zero_mean"}, default="separation"

    Notes
    -----
    Time O(P² d), memory O(P²) for P proxies ("separation"), else O(P d).

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import ArcFaceLoss, ProxyRegularizer
    >>> loss = ProxyRegularizer(ArcFaceLoss(n_classes=2, embedding_dim=2), weight=0.5)
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> bool(torch.isfinite(loss(x, torch.tensor([0, 0, 1, 1]))))
    True
    """

    _parameter_constraints: dict = {
        "weight": [NOT_NEGATIVE],
        "kind": [one_of("separation", "norm", "zero_mean")],
    }

    def __init__(self, loss, weight=1.0, kind="separation"):
        super().__init__()
        if not hasattr(loss, "proxies"):
            raise ValueError(f"loss must be one with proxies, got {type(loss).__name__}")
        self.loss = loss
        self.weight = weight
        self.kind = kind
        check_ranges(self)

    def _parts(self):
        return [self.loss]

    def forward(self, embeddings, labels):
        """Value on ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        return self.loss(embeddings, labels) + self.weight * self._penalty()

    def _penalty(self):
        proxies = self.loss.proxies
        if self.kind == "norm":
            return proxies.square().sum(1).mean()
        unit = unit_rows(proxies)
        if self.kind == "zero_mean":
            return unit.mean(0).square().sum()
        if self.loss.n_classes < 2:
            return proxies.sum() * 0
        classes = torch.arange(len(proxies), device=proxies.device) % self.loss.n_classes
        other = (classes[:, None] != classes[None, :]).to(unit.dtype)
        return masked_max(dot_products(unit), other).values.mean()
