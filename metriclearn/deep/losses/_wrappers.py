"""Losses made of other losses, and what these share: mined, summed, with a penalty on proxies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from metriclearn._sklearn import NOT_NEGATIVE, one_of
from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.losses._proxy_base import check_has_proxies
from metriclearn.deep.miners._base import as_miner, check_miner
from metriclearn.deep.tensors._masked_sums import masked_max
from metriclearn.deep.tensors._pairwise import dot_products, unit_rows
from metriclearn.deep.tensors._ranges import check_ranges

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Reference


class Composite(MetricLoss):
    """Base of the losses made of losses: their needs are those of their parts.

    A subclass overrides `parts`.
    """

    def parts(self) -> list[Any]:
        """Return the losses it is made of, a list."""
        raise NotImplementedError(f"{type(self).__name__} has to define parts")

    @property
    def takes_reference(self) -> bool:
        """Whether all parts can compare with a reference."""
        return all(part.takes_reference for part in self.parts())

    @property
    def any_length(self) -> bool:
        """Whether all parts are meant for embeddings of any length."""
        return all(part.any_length for part in self.parts())

    @property
    def continuous_labels(self) -> bool:
        """Whether a part works on amounts."""
        return any(part.continuous_labels for part in self.parts())

    @property
    def needs_labels(self) -> bool:
        """Whether a part looks at labels."""
        return any(part.needs_labels for part in self.parts())

    @property
    def needs_classes(self) -> bool:
        """Whether a part has to know the classes."""
        return any(part.needs_classes for part in self.parts())

    @property
    def needs_indices(self) -> bool:
        """Whether a part needs to know which training row each embedding is of."""
        return any(part.needs_indices for part in self.parts())

    @property
    def needs_features(self) -> bool:
        """Whether a part needs the features before the head."""
        return any(part.needs_features for part in self.parts())

    @property
    def needs_maps(self) -> bool:
        """Whether a part needs them as the backbone gives them."""
        return any(part.needs_maps for part in self.parts())

    @property
    def needs_activations(self) -> bool:
        """Whether a part needs what the last layer makes of them."""
        return any(part.needs_activations for part in self.parts())

    @property
    def needs_views(self) -> bool:
        """Whether a part compares two views of each row."""
        return any(part.needs_views for part in self.parts())

    @property
    def keeps_unlabeled(self) -> bool:
        """Whether rows without a label take part in a part."""
        return any(part.keeps_unlabeled for part in self.parts())

    @property
    def group_sizes(self) -> tuple[int, ...] | None:
        """Groups of dimensions of the first part that has some."""
        return next((part.group_sizes for part in self.parts() if part.group_sizes), None)

    @property
    def group_lengths(self) -> tuple[float, ...] | None:
        """Lengths of these groups."""
        return next((part.group_lengths for part in self.parts() if part.group_sizes), None)

    @property
    def clusters(self) -> torch.Tensor | None:
        """Clusters of the training set by the first part that divides it."""
        return next((part.clusters for part in self.parts() if part.clusters is not None), None)

    @property
    def refreshes(self) -> bool:
        """Whether a part wants to see the training set before each epoch."""
        return any(part.refreshes for part in self.parts())

    @property
    def active_(self) -> torch.Tensor | int | None:
        """Tuples that had a part in the last value, those of all parts together."""
        if not self._active:
            return self._active
        counts = [part.active_ for part in self.parts()]
        return sum(count for count in counts if count is not None)

    def build(
        self,
        n_classes: int | None,
        embedding_dim: int,
        n_samples: int | None = None,
        feature_dim: int | None = None,
        labels: torch.Tensor | None = None,
    ) -> Self:
        """Create what the parts learn, and return self; see `MetricLoss.build`."""
        widths = [embedding_dim] * len(self.parts())
        known = {"n_samples": n_samples, "feature_dim": feature_dim, "labels": labels}
        self._build_parts(n_classes, widths, **known)
        return self

    def _build_parts(self, n_classes, widths, **known):
        """Build each part for what it is shown, of these numbers of dimensions."""
        for part, width in zip(self.parts(), widths, strict=True):
            part.build(n_classes, width, **known)

    def refresh(
        self, embeddings: torch.Tensor, labels: torch.Tensor, features: torch.Tensor | None = None
    ) -> None:
        """Show the parts the whole training set; see `MetricLoss.refresh`."""
        self._refresh_parts([embeddings] * len(self.parts()), labels, features)

    def _refresh_parts(self, shown, labels, features):
        """Show each part that wants to see it its own of these embeddings of the training set."""
        for part, embeddings in zip(self.parts(), shown, strict=True):
            if part.refreshes:
                part.refresh(embeddings, labels, features)


def as_meant(loss, embeddings):
    """Scale rows to length one, unless the loss is meant for embeddings of any length."""
    return embeddings if loss.any_length else unit_rows(embeddings)


class MinedLoss(Composite):
    """A loss on what a miner selects: ``loss(x, y, selection=miner(x, y))``.

    Parameters
    ----------
    loss : Module
        A `MetricLoss` or any module on (embeddings, labels); it has to accept what the miner
        yields.
    miner : callable
        A `Miner` or what `as_miner` takes, the miners of pytorch-metric-learning among it.

    Raises
    ------
    ValueError
        Where the two do not fit.

    See Also
    --------
    metriclearn.deep.miners.Miner : What a miner is.

    Notes
    -----
    *Needs* what the loss and the miner need.

    *Relations*: `DeepEmbedder(loss=..., miner=...)` makes one of these.

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

    def __init__(self, loss: nn.Module, miner: Callable[..., Any]) -> None:
        super().__init__()
        self.loss = as_metric_loss(loss)
        self.miner = as_miner(miner)
        check_miner(self.loss, self.miner)

    def parts(self) -> list[Any]:
        """Return the loss."""
        return [self.loss]

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        reference: Reference | None = None,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Value of the loss on the miner's selection of ``embeddings`` (b, d), ``labels`` (b,)."""
        selection = self.miner.selection_for(self.loss, embeddings, labels, reference)
        return self.loss(embeddings, labels, selection, reference, indices, features)


class WeightedSum(Composite):
    """Weighted sum of losses on the same batch, ``Σ_k w_k loss_k(x, y)``.

    Parameters
    ----------
    losses : sequence of Modules
        Each a `MetricLoss` or any module on (embeddings, labels). By name, as
        ``DeepEmbedder(loss="weighted_sum", loss_params={"losses": ["triplet", "center"]})``, a
        name or a pair of a name and a dict of its parameters, a ``"miner"`` of its own and
        ``"miner_params"`` among them.
    weights : sequence of float, default=None
        One for each loss; all 1 by default.

    See Also
    --------
    Matryoshka : Nested dimensions.

    Notes
    -----
    *Needs* what its losses need.

    *Relations*: `Matryoshka` sums one loss over prefixes of the embedding.

    Time O(sum of the losses' own); each makes its own comparisons.

    Examples
    --------
    >>> from metriclearn.deep.losses import AngularLoss, NPairLoss, WeightedSum
    >>> loss = WeightedSum([NPairLoss(), AngularLoss()], [1, 2])
    """

    def __init__(self, losses: Sequence[nn.Module], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.losses = nn.ModuleList(as_metric_loss(loss) for loss in losses)
        self.weights = weights
        if not len(self.losses):
            raise ValueError("losses must hold at least one loss, got none")
        if weights is not None and not all(
            isinstance(w, Real) and math.isfinite(w) for w in weights
        ):
            raise ValueError(f"weights must be finite numbers, one for each loss, got {weights!r}")
        if weights is not None and len(weights) != len(self.losses):
            raise ValueError(
                f"weights must be one for each of the {len(self.losses)} losses, got {len(weights)}"
            )

    def parts(self) -> list[Any]:
        """Return the losses."""
        return list(self.losses)

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        reference: Reference | None = None,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Sum on ``embeddings`` (b, d) with ``labels`` (b,)."""
        weights = [1.0] * len(self.losses) if self.weights is None else self.weights
        return sum(
            weight * loss(embeddings, labels, None, reference, indices, features)
            for loss, weight in zip(self.losses, weights, strict=True)
        )


class ProxyRegularizer(Composite):
    """A loss with proxies, plus a penalty on them.

    ::

        loss + weight · penalty

        "separation"  mean over proxies of the largest cosine to a proxy of another class
        "norm"        mean squared length of the proxies
        "zero_mean"   squared length of the mean of the proxies, of length one

    "separation" is the exclusive regularizer of Zhao, Xu and Cheng, "RegularFace", 2019 [1]_. The
    term that merges the centers of a class is part of `SoftTripleLoss`.

    Parameters
    ----------
    loss : Module
        One that has ``proxies``.
    weight : float, default=1
        At least 0.
    kind : {"separation", "norm", "zero_mean"}, default="separation"

    See Also
    --------
    ProxyRepulsionLoss : Proxies that repel each other.

    Notes
    -----
    *Needs* what the loss needs; a loss with proxies.

    *Relations*: `ProxyRepulsionLoss` has a separation of its own.

    Time O(P² d), memory O(P²) for P proxies ("separation"), else O(P d).

    References
    ----------
    .. [1] Zhao, Xu and Cheng, "RegularFace: Deep Face Recognition via Exclusive Regularization",
       CVPR 2019. :doi:`10.1109/CVPR.2019.00123`

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

    def __init__(self, loss: nn.Module, weight: float = 1.0, kind: str = "separation") -> None:
        super().__init__()
        check_has_proxies(loss)
        self.loss = loss
        self.weight = weight
        self.kind = kind
        check_ranges(self)

    def parts(self) -> list[Any]:
        """Return the loss."""
        return [self.loss]

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        reference: Reference | None = None,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        value = self.loss(embeddings, labels, None, reference, indices, features)
        return value + self.weight * self._penalty()

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
