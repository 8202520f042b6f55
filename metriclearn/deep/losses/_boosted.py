"""Binomial deviance, and its online boosting over groups of dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

from torch import nn
from torch.nn.functional import softplus

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.losses._characteristics import AdversarialSeparation
from metriclearn.deep.tensors._masked_sums import mean_over
from metriclearn.deep.tensors._pairwise import attached_zero, compare, unit_rows, widen
from metriclearn.deep.tensors._ranges import COSINE, check_ranges, group_sizes

if TYPE_CHECKING:
    import torch

    from metriclearn.deep.tensors._selections import Reference, Selection


class BinomialDevianceLoss(MetricLoss):
    """Binomial deviance of the cosines of pairs.

    With ``s`` the cosine, mean over similar pairs plus mean over dissimilar pairs of::

        similar:     log(1 + exp(-β (s - τ)))
        dissimilar:  log(1 + exp( β (s - τ) c))

    See [1]_.

    Parameters
    ----------
    scale : float, default=2
        β, > 0.
    threshold : float, default=0.5
        τ, a cosine in [-1, 1].
    cost : float, default=25
        c, > 0: how much steeper dissimilar pairs are.

    See Also
    --------
    BoostedLoss : Groups of dimensions that learn from each other's errors.
    ContrastiveLoss : Hinges in place of logarithms.

    Notes
    -----
    *Needs* labels or pairs.

    *Relations*: like `ContrastiveLoss` on cosines, but every pair keeps pulling, less and less.
    `MultiSimilarityLoss` takes the logarithm of sums over an anchor's pairs instead.

    Time O(b² d), memory O(b²) for b rows of d dimensions.

    References
    ----------
    .. [1] Yi, Lei and Li, "Deep Metric Learning for Practical Person Re-Identification",
       ICPR 2014. :doi:`10.48550/arXiv.1407.4979`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import BinomialDevianceLoss
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> round(BinomialDevianceLoss()(x, torch.tensor([0, 0])).item(), 4)  # log(1 + e)
    1.3133
    """

    accepts = ("pairs", "triplets")
    takes_reference = True
    kind = "cosine"

    _parameter_constraints: dict = {
        "scale": [POSITIVE],
        "threshold": [COSINE],
        "cost": [POSITIVE],
    }

    def __init__(self, scale: float = 2.0, threshold: float = 0.5, cost: float = 25.0) -> None:
        super().__init__()
        self.scale = scale
        self.threshold = threshold
        self.cost = cost
        check_ranges(self)

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
        reference: Reference | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d) with ``labels`` (b,)."""
        s, positive, negative = compare(embeddings, labels, self.kind, reference, selection)
        self._active = positive.sum() + negative.sum()
        pull, push = _deviance(self, s)
        return _mean_of_each(pull * positive, positive) + _mean_of_each(push * negative, negative)


def _deviance(loss, s):
    """Terms of similar and of dissimilar pairs of cosine ``s``, for the parameters of a loss."""
    x = loss.scale * (s - loss.threshold)
    # Linear only where double precision shows no difference.
    return softplus(-x, threshold=40), softplus(loss.cost * x, threshold=40)


def _slopes(loss, s):
    """Absolute derivatives of the two terms of `_deviance`."""
    x = loss.scale * (s - loss.threshold)
    return loss.scale * (-x).sigmoid(), loss.scale * loss.cost * (loss.cost * x).sigmoid()


def _mean_of_each(terms, mask):
    """Mean over the pairs in a mask of terms that are zero outside."""
    return mean_over(terms.sum(), mask.sum())


class BoostedLoss(MetricLoss):
    """Boosted independent embeddings (BIER [1]_): each group learns what those before it got wrong.

    The embedding is cut into groups m = 1, …, M, each of length one, s_m their cosines of a pair.
    With ℓ the binomial deviance and η_m = 2 / (m + 1)::

        Σ_m mean over pairs of w_m ℓ(s_m),   w_1 = 1,   w_m = |ℓ'(S_{m-1})|
        S_m = (1 - η_m) S_{m-1} + η_m s_m,   S_0 = 0

    w_m without gradient; similar and dissimilar pairs are averaged apart. The final S_M is
    Σ_m α_m s_m with α_m = 2m / (M (M + 1)), which is the cosine of the whole embedding: the head
    scales group m to the length √α_m.

    With ``activation``, what one group sees of the features h before the head, another is not to
    see, the first paper's term::

        activation Σ_{i < j} mean over rows, k in i and l in j of (f_k f_l)²,   f_k = w_kᵀ h / ‖w_k‖

    with w_k the rows of the last layer, which alone it has a gradient in. With ``diversity``, a
    predictor for each two groups keeps them apart by gradient reversal (A-BIER [2]_)::

        - diversity Σ_{i < j} mean((z_i ∘ g_ij(z_j))²)

    to be minimized by the g_ij, maximized in this term by the embedding.

    Parameters
    ----------
    groups : int or sequence of int, default=3
        M, for sizes that grow like 1, 2, …, M; or the sizes.
    scale : float, default=2
        β of the `BinomialDevianceLoss`, > 0.
    threshold : float, default=0.5
        τ, a cosine in [-1, 1].
    cost : float, default=25
        c, > 0.
    diversity : float, default=0
        At least 0; 1e-3 in the paper.
    activation : float, default=0
        At least 0.
    embedding_dim : int, default=None
        Width of the embeddings, if known; else by ``build``.

    See Also
    --------
    GroupedLoss : Groups that do not see each other.
    BinomialDevianceLoss : One group.

    Notes
    -----
    *Needs* labels; with ``activation`` a head with a linear layer, and what this makes of features.

    *Relations*: with one group it is `BinomialDevianceLoss`.

    Where the papers hold rows of the last layer, and the outputs of predictors, near length one by
    penalties, they have length one here.

    Time O(b² d), memory O(M b²) for b rows of d dimensions.

    References
    ----------
    .. [1] Opitz, Waltner, Possegger and Bischof, "BIER - Boosting Independent Embeddings Robustly",
       ICCV 2017. :doi:`10.1109/ICCV.2017.555`
    .. [2] Opitz, Waltner, Possegger and Bischof, "Deep Metric Learning with BIER: Boosting
       Independent Embeddings Robustly", TPAMI 2020. :doi:`10.1109/TPAMI.2018.2848925`

    Examples
    --------
    >>> from metriclearn.deep.losses import BoostedLoss
    >>> loss = BoostedLoss(embedding_dim=12)
    >>> loss.group_sizes
    (2, 4, 6)
    >>> [round(w**2, 3) for w in loss.group_lengths]
    [0.167, 0.333, 0.5]
    """

    training_only = ("separations",)

    _parameter_constraints: dict = {
        "groups": [Integral, "array-like"],
        "scale": [POSITIVE],
        "threshold": [COSINE],
        "cost": [POSITIVE],
        "diversity": [NOT_NEGATIVE],
        "activation": [NOT_NEGATIVE],
    }

    def __init__(
        self,
        groups: int | Sequence[int] = 3,
        scale: float = 2.0,
        threshold: float = 0.5,
        cost: float = 25.0,
        diversity: float = 0.0,
        activation: float = 0.0,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.groups = groups
        self.scale = scale
        self.threshold = threshold
        self.cost = cost
        self.diversity = diversity
        self.activation = activation
        check_ranges(self)
        self.needs_features = self.needs_activations = activation > 0
        if (groups if isinstance(groups, Integral) else len(groups)) < 1:
            raise ValueError(f"groups must be at least 1, or sizes, got {groups}")
        self.separations = nn.ModuleDict()
        if embedding_dim is not None:
            self.build(None, embedding_dim)

    def build(self, n_classes: int | None, embedding_dim: int, **known: Any) -> Self:
        """Settle the groups, create the predictors that keep them apart, and return self."""
        self.n_classes, self.embedding_dim = n_classes, embedding_dim
        self.group_sizes = tuple(self._sizes(embedding_dim))
        n = len(self.group_sizes)
        if n == 1 and (self.diversity or self.activation):
            raise ValueError(
                f"diversity={self.diversity} and activation={self.activation} keep groups apart, "
                f"but groups={self.groups} is one"
            )
        self.group_lengths = tuple(math.sqrt(2 * m / (n * (n + 1))) for m in range(1, n + 1))
        if self.diversity:
            self.separations = nn.ModuleDict(
                {
                    f"{i}-{j}": AdversarialSeparation(self.group_sizes[i], self.group_sizes[j])
                    for i in range(n)
                    for j in range(i + 1, n)
                }
            )
        return self

    def _sizes(self, embedding_dim):
        if not isinstance(self.groups, Integral):
            return group_sizes(self.groups, embedding_dim)
        n = self.groups
        if embedding_dim < n:
            raise ValueError(
                f"groups must be at most the {embedding_dim} dimensions of the embeddings, got {n}"
            )
        # As many dimensions each as it has weight, at least one; the last takes the rest.
        sizes = [max(1, embedding_dim * 2 * m // (n * (n + 1))) for m in range(1, n)]
        return [*sizes, embedding_dim - sum(sizes)]

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d), ``labels`` (b,) and ``features`` (b, d), activations."""
        x = widen(embeddings)
        sizes = self._sizes(x.shape[1])
        groups = [unit_rows(z) for z in x.split(sizes, dim=1)]
        value, sums = attached_zero(x), 0.0
        for m, z in enumerate(groups, 1):
            s, positive, negative = compare(z, labels, "cosine")
            pull, push = _deviance(self, s)
            pull_weight, push_weight = _slopes(self, sums) if m > 1 else (1.0, 1.0)
            value = value + _mean_of_each(pull_weight * pull * positive, positive)
            value = value + _mean_of_each(push_weight * push * negative, negative)
            rate = 2 / (m + 1)
            sums = (1 - rate) * sums + rate * s.detach()
        self._active = positive.sum() + negative.sum()
        for name, separation in self.separations.items():
            i, j = map(int, name.split("-"))
            value = value + self.diversity * separation(groups[i], groups[j])
        if self.activation:
            value = value + self.activation * _seen_by_two(features, sizes)
        return value


def _seen_by_two(activations, sizes):
    """Sum over two groups of the mean squared product of an activation of each."""
    if activations is None:
        raise ValueError(
            "features are needed by BoostedLoss with activation: what the last layer makes of them"
        )
    if activations.shape[1] != sum(sizes):
        raise ValueError(
            f"features must have the {sum(sizes)} dimensions of the embeddings, as activations of "
            f"the last layer, got {activations.shape[1]}"
        )
    powers = [f.square().mean(dim=1) for f in widen(activations).split(sizes, dim=1)]
    pairs = [(one * other).mean() for k, one in enumerate(powers) for other in powers[:k]]
    return sum(pairs)
