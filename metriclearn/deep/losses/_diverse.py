"""Four groups of dimensions that learn what classes are, share, vary in, and single rows."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from metriclearn._sklearn import BELOW_ONE, NOT_NEGATIVE, POSITIVE
from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._characteristics import AdversarialSeparation
from metriclearn.deep.losses._wrappers import Composite, as_meant
from metriclearn.deep.miners._class_miners import ThreeClassMiner, WithinClassMiner
from metriclearn.deep.miners._triplet_miners import DistanceWeightedMiner
from metriclearn.deep.tensors._pairwise import products, unit_rows, widen
from metriclearn.deep.tensors._ranges import check_ranges, group_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator


class DiverseAggregationLoss(Composite):
    """Diverse visual feature aggregation (DiVA): four groups of dimensions, four tasks.

    ::

        L(z_1) + weight (L(z_2) + L(z_3) + I(z_4))
            - separation d₁² Σ_(a = 2, 3, 4) mean((z_1 ∘ g_a(z_a))²)

    z_1, …, z_4 are groups of d₁ dimensions, each of length one. L is a loss on triplets: of z_1 on
    those of a positive and a distance-weighted negative (what tells classes apart), of z_2 on rows
    of three classes (what classes share), of z_3 on rows of one class (what varies in it). I tells
    single rows apart: with m_j a running mean, brought to length one, of what training row j was
    embedded to, cosines s, weights w as those that `DistanceWeightedMiner` draws by, and w_ii = 1::

        I = mean over rows i of -log( exp(s(z_i, m_i) / τ) / Σ_j exp(w_ij s(z_i, m_j) / τ) )

    The predictors g_a keep z_1 apart from the others by gradient reversal. See [1]_.

    Parameters
    ----------
    loss : Module
        One on triplets, `MarginLoss` in the paper. Copied for the first three groups.
    weight : float, default=0.3
        At least 0.
    separation : float, default=0.1
        At least 0. With d₁ dimensions of a group it is of the scale of a loss; the 1500 of the
        paper's code, without d₁², are 0.09 in its 128 dimensions.
    temperature : float, default=0.1
        τ, > 0.
    momentum : float, default=0.9
        Of the running means, in [0, 1).
    embedding_dim, n_samples : int, default=None
        Sizes, if known; else by ``build``.

    Attributes
    ----------
    losses : ModuleList
        Of the first three groups.
    keys : tensor of shape (n_samples, embedding_dim / 4)
        The m_j; zero for rows that were in no batch, which take no part.

    See Also
    --------
    SharedCharacteristicsLoss : What classes share is learned, and left out.
    GroupedLoss : The same task for each group.

    Notes
    -----
    *Needs* labels; the place of each row in the training set; a multiple of four dimensions;
    three rows of a class in a batch, without which z_3 learns nothing.

    *Relations*: where the paper compares with a queue of what a running mean of the network made
    of rows, the mean is here of what the network made of them.

    Time O(b² d + b n d), memory O(b n + n d) for b rows of n in d dimensions.

    References
    ----------
    .. [1] Milbich, Roth, Bharadhwaj, Sinha, Bengio, Ommer and Cohen, "DiVA: Diverse Visual Feature
       Aggregation for Deep Metric Learning", ECCV 2020. :doi:`10.48550/arXiv.2004.13458`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import DiverseAggregationLoss, MarginLoss
    >>> loss = DiverseAggregationLoss(MarginLoss(), embedding_dim=8, n_samples=6)
    >>> labels = torch.tensor([0, 0, 0, 1, 1, 2])
    >>> bool(torch.isfinite(loss(torch.randn(6, 8), labels, indices=torch.arange(6))))
    True
    """

    needs_indices = True
    #: A reference's rows would have to be cut as well.
    takes_reference = False
    group_sizes: tuple | None = None
    group_lengths = (0.5, 0.5, 0.5, 0.5)
    training_only = ("keys", "separators")

    _parameter_constraints: dict = {
        "weight": [NOT_NEGATIVE],
        "separation": [NOT_NEGATIVE],
        "temperature": [POSITIVE],
        "momentum": [BELOW_ONE],
    }

    def __init__(
        self,
        loss: nn.Module,
        weight: float = 0.3,
        separation: float = 0.1,
        temperature: float = 0.1,
        momentum: float = 0.9,
        embedding_dim: int | None = None,
        n_samples: int | None = None,
    ) -> None:
        super().__init__()
        first = as_metric_loss(loss)
        if "triplets" not in first.accepts:
            raise ValueError(f"loss must be one on triplets, {type(first).__name__} is not")
        self.losses = nn.ModuleList([first, *(copy.deepcopy(first) for _ in range(2))])
        self.weight = weight
        self.separation = separation
        self.temperature = temperature
        self.momentum = momentum
        self.embedding_dim = embedding_dim
        self.n_samples = n_samples
        check_ranges(self)
        self.miners = (DistanceWeightedMiner(), ThreeClassMiner(), WithinClassMiner())
        self.separators = nn.ModuleList()
        self.register_buffer("keys", None)
        if None not in (embedding_dim, n_samples):
            self._create()

    @property
    def loss(self) -> Any:
        """The loss of the first group, as it was given."""
        return self.losses[0]

    def parts(self) -> list[Any]:
        """Return the losses of the first three groups."""
        return list(self.losses)

    def _create(self):
        if self.embedding_dim % 4:
            raise ValueError(
                f"DiverseAggregationLoss needs a multiple of 4 dimensions, got {self.embedding_dim}"
            )
        self.group_sizes = tuple(group_sizes(4, self.embedding_dim))
        size = self.embedding_dim // 4
        self.keys = torch.zeros(self.n_samples, size)
        if self.separation:
            self.separators = nn.ModuleList(AdversarialSeparation(size, size) for _ in range(3))

    def build(
        self, n_classes: int | None, embedding_dim: int, n_samples: int | None = None, **known: Any
    ) -> Self:
        """Create keys, predictors and what the losses learn, and return self."""
        if n_samples is None:
            raise ValueError("n_samples is needed by DiverseAggregationLoss")
        self.n_classes, self.embedding_dim, self.n_samples = n_classes, embedding_dim, n_samples
        self._create()
        self._build_parts(n_classes, [embedding_dim // 4] * 3, n_samples=n_samples, **known)
        return self

    def refresh(
        self, embeddings: torch.Tensor, labels: torch.Tensor, features: torch.Tensor | None = None
    ) -> None:
        """Show each loss its group of the training set."""
        self._refresh_parts(self._groups(embeddings)[:3], labels, features)

    def _groups(self, embeddings):
        return [as_meant(self.losses[0], z) for z in widen(embeddings).chunk(4, dim=1)]

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d) with ``labels`` (b,)."""
        if self.keys is None:
            raise RuntimeError(
                "DiverseAggregationLoss has no keys yet: give embedding_dim and n_samples, or call "
                "build"
            )
        if indices is None:
            raise ValueError("indices of the training rows are needed by DiverseAggregationLoss")
        groups = self._groups(embeddings)
        own, *others = self._of_triplets(groups, labels, indices, features)
        value = own + self.weight * (sum(others) + self._of_rows(unit_rows(groups[3]), indices))
        unit = [unit_rows(z) for z in groups]
        for separator, z in zip(self.separators, unit[1:], strict=False):
            value = value + self.separation * separator.scaled(unit[0], z)
        return value

    def _of_triplets(self, groups, labels, indices, features) -> Iterator[torch.Tensor]:
        """Yield the losses of the first three groups on their triplets."""
        for loss, miner, z in zip(self.losses, self.miners, groups, strict=False):
            yield loss(z, labels, miner(z, labels), None, indices, features)

    def _of_rows(self, z, indices):
        """Tell single rows apart."""
        keys = self.keys.clone().to(z.dtype)
        fresh = ~keys[indices].any(1)
        keys[indices[fresh]] = z.detach()[fresh]
        s = products(z, unit_rows(keys))
        own = torch.zeros_like(s)
        own[torch.arange(len(z)), indices] = 1
        seen = keys.any(1).to(s.dtype)
        weights = self.miners[0].weights(s.detach(), seen * (1 - own), z.shape[1])
        logits = (s * (weights + own) / self.temperature).masked_fill(seen == 0, -torch.inf)
        if self.training:
            with torch.no_grad():
                mean = self.momentum * keys[indices] + (1 - self.momentum) * z
                self.keys = self.keys.index_copy(0, indices, unit_rows(mean).to(self.keys.dtype))
        return cross_entropy(logits, indices)
