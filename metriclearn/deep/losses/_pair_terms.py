"""Terms on pairs to add to a loss with `WeightedSum`: spread of similarities, one threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metriclearn._sklearn import NOT_NEGATIVE
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.tensors._masked_sums import mean_over
from metriclearn.deep.tensors._pairwise import compare
from metriclearn.deep.tensors._ranges import COSINE, check_ranges

if TYPE_CHECKING:
    import torch

    from metriclearn.deep.tensors._selections import Reference, Selection


class IntraPairVarianceLoss(MetricLoss):
    """Intra-pair variance: similar pairs about equally similar, and dissimilar ones likewise.

    With ``s`` the cosine, P the similar and N the dissimilar pairs, ``s̄`` the mean over each::

        mean over (i, j) ∈ P  max(0, (1 - ε₊) s̄_P - s_ij)²
        + mean over (i, j) ∈ N  max(0, s_ij - (1 + ε₋) s̄_N)²

    The means are part of the function: gradient flows through them.

    See [1]_.

    Parameters
    ----------
    positive_epsilon, epsilon : float, default=0.01
        ε₊ and ε₋, at least 0: shares of the mean by which a pair may fall short.

    See Also
    --------
    TupletMarginLoss : The loss it was published with.
    WeightedSum : To add it to a loss.

    Notes
    -----
    *Needs* labels or pairs, several of each kind in a batch.

    *Relations*: the second term of the paper of `TupletMarginLoss`, which is the loss to add it to:
    ``loss="weighted_sum", loss_params={"losses": ["tuplet_margin", "intra_pair_variance"]}``. By
    itself nothing in it moves the two means apart, and it is 0 where all rows coincide.
    `ThresholdConsistentMarginLoss` aims at given similarities rather than at their mean.

    Time O(b² d), memory O(b²) for b rows of d dimensions.

    References
    ----------
    .. [1] Yu and Tao, "Deep Metric Learning with Tuplet Margin Loss", ICCV 2019.
       :doi:`10.1109/ICCV.2019.00659`


    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import IntraPairVarianceLoss
    >>> loss = IntraPairVarianceLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> round(loss(x, torch.tensor([0, 0, 1, 1])).item(), 3)
    0.09
    """

    accepts = ("pairs", "triplets")
    takes_reference = True
    kind = "cosine"

    _parameter_constraints: dict = {
        "positive_epsilon": [NOT_NEGATIVE],
        "epsilon": [NOT_NEGATIVE],
    }

    def __init__(self, positive_epsilon: float = 0.01, epsilon: float = 0.01) -> None:
        super().__init__()
        self.positive_epsilon = positive_epsilon
        self.epsilon = epsilon
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
        counts = positive.sum(), negative.sum()
        similar = mean_over((s * positive).sum(), counts[0])
        dissimilar = mean_over((s * negative).sum(), counts[1])
        pull = ((1 - self.positive_epsilon) * similar - s).relu() * positive
        push = (s - (1 + self.epsilon) * dissimilar).relu() * negative
        self._active = pull.count_nonzero() + push.count_nonzero()
        return mean_over(pull.square().sum(), counts[0]) + mean_over(push.square().sum(), counts[1])


class ThresholdConsistentMarginLoss(MetricLoss):
    """Threshold-consistent margin: hard pairs of all classes are moved to the same similarities.

    With ``s`` the cosine, over the pairs on the wrong side of each margin::

        λ₊ mean over similar pairs with s < m₊ of  (m₊ - s)
        + λ₋ mean over dissimilar pairs with s > m₋ of  (s - m₋)

    See [1]_.

    Parameters
    ----------
    positive_margin : float, default=0.9
        m₊, a cosine in [-1, 1].
    margin : float, default=0.5
        m₋, a cosine in [-1, 1].
    positive_weight, weight : float, default=1
        λ₊ and λ₋, at least 0.

    See Also
    --------
    ContrastiveLoss : Pairs against one margin.
    metriclearn.verification.PairClassifier : Chooses the threshold.

    Notes
    -----
    *Needs* labels or pairs.

    *Relations*: `ContrastiveLoss` with ``form="absolute"`` on cosines, with a margin for similar
    pairs, too. Meant to be added to a loss for retrieval, so that one threshold serves all classes
    in verification.

    Time O(b² d), memory O(b²) for b rows of d dimensions.

    References
    ----------
    .. [1] Zhang, Xu, Tang, Fang, Wu, Tighe and Xing, "Threshold-Consistent Margin Loss for
       Open-World Deep Metric Learning", ICLR 2024. :doi:`10.48550/arXiv.2307.04047`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import ThresholdConsistentMarginLoss
    >>> loss = ThresholdConsistentMarginLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.2
    1.133
    """

    accepts = ("pairs", "triplets")
    takes_reference = True
    kind = "cosine"

    _parameter_constraints: dict = {
        "positive_margin": [COSINE],
        "margin": [COSINE],
        "positive_weight": [NOT_NEGATIVE],
        "weight": [NOT_NEGATIVE],
    }

    def __init__(
        self,
        positive_margin: float = 0.9,
        margin: float = 0.5,
        positive_weight: float = 1.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.positive_margin = positive_margin
        self.margin = margin
        self.positive_weight = positive_weight
        self.weight = weight
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
        pull = (self.positive_margin - s).relu() * positive
        push = (s - self.margin).relu() * negative
        counts = [(terms > 0).count_nonzero() for terms in (pull, push)]
        value = self.positive_weight * mean_over(pull.sum(), counts[0])
        return value + self._mean(self.weight * push.sum(), counts[1], sum(counts))
