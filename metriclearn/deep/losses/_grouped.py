"""A loss on each group of dimensions by itself: an ensemble on one network."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

from torch import nn

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE
from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._wrappers import Composite, as_meant
from metriclearn.deep.tensors._pairwise import widen
from metriclearn.deep.tensors._ranges import check_ranges, group_sizes, unit_weights

if TYPE_CHECKING:
    import torch


class GroupedLoss(Composite):
    """An ensemble on one network: each group of dimensions is an embedding with its own loss.

    ::

        1/K Σ_k loss_k(z_k),      z_k the k-th group of dimensions, of length one

    The embedding is the concatenation of the w_k z_k with Σ w_k² = 1, so that cosines are weighted
    means of those of the groups, and Euclidean distance stays the metric.

    With ``divergence`` the groups of a row are kept apart by the margin m, as in the
    attention-based ensemble (ABE [1]_)::

        + divergence Σ_{j < k} mean over rows of max(0, m - ‖z_j - z_k‖²)

    Parameters
    ----------
    loss : Module or sequence of Modules
        Copied for each group, what it learns included; or one for each group.
    groups : int or sequence of int, default=4
        K, which divides the number of dimensions, or the size of each group.
    group_weights : sequence of float, default=None
        w_k, positive; scaled, and all the same by default.
    divergence : float, default=0
        At least 0; more than 0 for groups of one size only. The paper's 1 is a weight next to the
        sum of the losses: 1/K here.
    divergence_margin : float, default=1
        m, > 0.
    embedding_dim : int, default=None
        Width of the embeddings, if known; else by ``build``.

    Attributes
    ----------
    losses : ModuleList
        One for each group.

    See Also
    --------
    BoostedLoss : Groups of which each learns what those before it got wrong.
    CascadedLoss : Groups of which each learns the hard pairs of the one before it.
    DivideAndConquerLoss : Groups of which each learns a part of the training set.
    metriclearn.deep.modules.AttentionEnsemble : The network of ABE.
    Matryoshka : Nested groups rather than disjoint ones.

    Notes
    -----
    *Needs* what the loss needs; embeddings whose groups are of length one, which `DeepEmbedder`
    sees to. A loss that is meant for embeddings of any length gets the groups as they are.

    *Relations*: the plain ensemble of embeddings on a shared network; with
    ``DeepEmbedder("attention", "grouped")`` and ``divergence`` it is ABE. On a short
    budget one larger embedding is often better than an ensemble of the same cost.

    Time O(sum of the losses' own), each on d/K dimensions; and O(K b d) for the divergence.

    References
    ----------
    .. [1] Kim, Goyal, Chawla, Lee and Kwon, "Attention-based Ensemble for Deep Metric Learning",
       ECCV 2018. :doi:`10.48550/arXiv.1804.00382`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import GroupedLoss, SupConLoss
    >>> loss = GroupedLoss(SupConLoss(), groups=2, embedding_dim=4)
    >>> x = torch.tensor([[1.0, 0, 1, 0], [0.8, 0.6, 1, 0], [0, 1, 0, 1], [-0.6, 0.8, 0, 1]])
    >>> labels = torch.tensor([0, 0, 1, 1])
    >>> halves = SupConLoss()(x[:, :2], labels), SupConLoss()(x[:, 2:], labels)
    >>> bool(torch.isclose(loss(x, labels), sum(halves) / 2))
    True
    """

    _parameter_constraints: dict = {
        "groups": [Integral, "array-like"],
        "group_weights": ["array-like", None],
        "divergence": [NOT_NEGATIVE],
        "divergence_margin": [POSITIVE],
    }

    #: A reference's rows would have to be cut as well.
    takes_reference = False
    group_sizes = group_lengths = None

    def __init__(
        self,
        loss: nn.Module | Sequence[nn.Module],
        groups: int | Sequence[int] = 4,
        group_weights: Sequence[float] | None = None,
        divergence: float = 0.0,
        divergence_margin: float = 1.0,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.groups = groups
        self.group_weights = group_weights
        self.divergence = divergence
        self.divergence_margin = divergence_margin
        check_ranges(self, None if divergence else {"divergence_margin": "with divergence"})
        n_groups = groups if isinstance(groups, Integral) else len(groups)
        if n_groups < 1:
            raise ValueError(f"groups must be at least 1, or sizes, got {groups}")
        if isinstance(loss, list | tuple):
            losses = [as_metric_loss(part) for part in loss]
            if len(losses) != n_groups:
                raise ValueError(
                    f"loss must be one, or one for each of {n_groups} groups, got {len(losses)}"
                )
        else:
            losses = [copy.deepcopy(as_metric_loss(loss)) for _ in range(n_groups)]
        self.losses = nn.ModuleList(losses)
        self.group_lengths = tuple(unit_weights(group_weights, n_groups))
        self.embedding_dim = embedding_dim
        if embedding_dim is not None:
            self.group_sizes = tuple(group_sizes(groups, embedding_dim))

    @property
    def loss(self) -> list[Any]:
        """The losses of the groups, as they were given or copied."""
        return list(self.losses)

    def parts(self) -> list[Any]:
        """Return the losses of the groups."""
        return list(self.losses)

    def build(self, n_classes: int | None, embedding_dim: int, **known: Any) -> Self:
        """Create what the losses learn, and return self."""
        self.n_classes, self.embedding_dim = n_classes, embedding_dim
        self.group_sizes = tuple(group_sizes(self.groups, embedding_dim))
        self._build_parts(n_classes, self.group_sizes, **known)
        return self

    def refresh(
        self, embeddings: torch.Tensor, labels: torch.Tensor, features: torch.Tensor | None = None
    ) -> None:
        """Show each loss its group of the training set."""
        self._refresh_parts(self.split(embeddings), labels, features)

    def split(self, embeddings: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the groups of embeddings (b, d), as the loss of each is meant to see them."""
        x = widen(embeddings)
        sizes = group_sizes(self.groups, x.shape[1])
        for loss, group in zip(self.losses, x.split(sizes, dim=1), strict=True):
            yield as_meant(loss, group)

    def _overlap(self, groups):
        """Sum over pairs of groups of how much nearer than the margin they are, mean over rows."""
        sizes = [z.shape[1] for z in groups]
        if len({*sizes}) > 1:
            raise ValueError(f"divergence is between groups of one size, groups are of {sizes}")
        pairs = itertools.combinations(groups, 2)
        gaps = [self.divergence_margin - (a - b).square().sum(1) for a, b in pairs]
        return sum(gap.relu().mean() for gap in gaps)

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Mean over the groups of ``embeddings`` (b, d) with ``labels`` (b,)."""
        groups = list(self.split(embeddings))
        values = [
            loss(z, labels, None, None, indices, features)
            for loss, z in zip(self.losses, groups, strict=True)
        ]
        value = sum(values) / len(values)
        return value + self.divergence * self._overlap(groups) if self.divergence else value
