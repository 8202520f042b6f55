"""A cascade: each group of dimensions learns from the hard pairs of the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from torch import nn

from metriclearn.deep.losses._grouped import GroupedLoss
from metriclearn.deep.losses._wrappers import Composite
from metriclearn.deep.miners._pair_miners import HDCMiner
from metriclearn.deep.tensors._pairwise import sq_distances
from metriclearn.deep.tensors._ranges import check_ranges, group_sizes
from metriclearn.deep.tensors._selections import PairMasks, masks

if TYPE_CHECKING:
    import torch


class CascadedLoss(Composite):
    """Hard-aware deeply cascaded embedding (HDC): each group learns the hard pairs of the last.

    The embedding is cut into groups z_1, …, z_K, each of length one. With P_1 all pairs of the
    batch, and P_(k+1) the hardest of P_k, a share h_k of its similar and of its dissimilar pairs::

        Σ_k loss_k(z_k) over the pairs in P_k

    Hard are similar pairs that are far, and dissimilar ones that are near, in z_k. See [1]_.

    Parameters
    ----------
    loss : Module or sequence of Modules
        On pairs. Copied for each group, what it learns included; or one for each group.
    fractions : sequence of float, default=(0.5, 0.4)
        h_1, …, h_(K-1), in (0, 1]: by default half of all pairs are for the second group, a fifth
        for the third.
    groups : sequence of int, default=None
        Sizes of the K groups; by default all the same, or but for one dimension.
    group_weights : sequence of float, default=None
        Lengths of the groups in the embedding, positive; scaled, and all the same by default.
    embedding_dim : int, default=None
        Width of the embeddings, if known; else by ``build``.

    Attributes
    ----------
    losses : ModuleList
        One for each group.

    See Also
    --------
    GroupedLoss : All pairs for each group.
    BoostedLoss : Weights of pairs rather than a choice.
    metriclearn.deep.modules.MultiLevel : Groups at growing depths, as in the paper.
    metriclearn.deep.miners.HDCMiner : The hard pairs of one embedding.

    Notes
    -----
    *Needs* labels, and a loss that works on pairs.

    *Relations*: where all fractions are 1 it is K times `GroupedLoss`. The paper has it with
    `ContrastiveLoss` on three depths, ``DeepEmbedder("multi_level", "cascaded",
    loss_params={"loss": "contrastive"})``.

    Time O(K b² + b² d), memory O(b²) for b rows of d dimensions.

    References
    ----------
    .. [1] Yuan, Yang and Zhang, "Hard-Aware Deeply Cascaded Embedding", ICCV 2017.
       :doi:`10.48550/arXiv.1611.05720`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import CascadedLoss, ContrastiveLoss
    >>> loss = CascadedLoss(ContrastiveLoss(), fractions=(0.5,), embedding_dim=4)
    >>> x = torch.tensor([[1.0, 0, 1, 0], [0.8, 0.6, 1, 0], [0, 1, 0, 1], [-0.6, 0.8, 0, 1]])
    >>> bool(torch.isfinite(loss(x, torch.tensor([0, 0, 1, 1]))))
    True
    """

    _parameter_constraints: dict = {
        "fractions": ["array-like"],
        "groups": ["array-like", None],
        "group_weights": ["array-like", None],
    }

    #: A reference's rows would have to be cut as well.
    takes_reference = False

    def __init__(
        self,
        loss: nn.Module | Sequence[nn.Module],
        fractions: Sequence[float] = (0.5, 0.4),
        groups: Sequence[int] | None = None,
        group_weights: Sequence[float] | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.fractions = fractions
        self.groups = groups
        self.group_weights = group_weights
        self.embedding_dim = embedding_dim
        check_ranges(self)
        if not all(0 < fraction <= 1 for fraction in fractions):
            raise ValueError(f"fractions must be in (0, 1], got {fractions}")
        n_groups = len(fractions) + 1
        if groups is not None and len(groups) != n_groups:
            raise ValueError(
                f"groups must be {n_groups} sizes, one more than fractions, got {groups}"
            )
        self.grouped = GroupedLoss(loss, n_groups if groups is None else groups, group_weights)
        for part in self.losses:
            if "pairs" not in part.accepts:
                raise ValueError(f"loss must be one on pairs, {type(part).__name__} is not")
        if embedding_dim is not None:
            self._settle(embedding_dim)

    def _settle(self, embedding_dim):
        """Settle the sizes of groups: where none are given, alike but for one dimension."""
        n = len(self.fractions) + 1
        if self.groups is None and embedding_dim >= n:
            self.grouped.groups = [(embedding_dim + i) // n for i in range(n)]
        self.grouped.group_sizes = tuple(group_sizes(self.grouped.groups, embedding_dim))

    @property
    def losses(self) -> nn.ModuleList:
        """The losses of the groups."""
        return self.grouped.losses

    @property
    def loss(self) -> list[Any]:
        """The losses of the groups, as they were given or copied."""
        return self.parts()

    @property
    def group_sizes(self) -> tuple[int, ...] | None:
        """Sizes of the groups, known once it is built."""
        return self.grouped.group_sizes

    @property
    def group_lengths(self) -> tuple[float, ...] | None:
        """Lengths of the groups."""
        return self.grouped.group_lengths

    def parts(self) -> list[Any]:
        """Return the losses of the groups."""
        return list(self.losses)

    def build(self, n_classes: int | None, embedding_dim: int, **known: Any) -> Self:
        """Create what the losses learn, and return self."""
        self.n_classes, self.embedding_dim = n_classes, embedding_dim
        self._settle(embedding_dim)
        self.grouped.build(n_classes, embedding_dim, **known)
        return self

    def refresh(
        self, embeddings: torch.Tensor, labels: torch.Tensor, features: torch.Tensor | None = None
    ) -> None:
        """Show each loss its group of the training set."""
        self.grouped.refresh(embeddings, labels, features)

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Sum over the groups of ``embeddings`` (b, d) with ``labels`` (b,)."""
        groups = list(self.grouped.split(embeddings))
        kept = PairMasks(*masks(labels, dtype=groups[0].dtype))
        value = self.losses[0](groups[0], labels, kept, None, indices, features)
        steps = zip(self.fractions, groups, self.losses[1:], groups[1:], strict=False)
        for fraction, before, loss, z in steps:
            d = sq_distances(before.detach())
            kept = HDCMiner(fraction).choose(d, *(mask.clone() for mask in kept))
            value = value + loss(z, labels, kept, None, indices, features)
        return value
