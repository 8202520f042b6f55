"""Losses on all pairs of an anchor at once: multi-similarity, circle, lifted, ranked list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import softplus

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, SHARE, one_of
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.tensors._masked_sums import (
    lowest_exponent,
    masked_logsumexp,
    masked_max,
    two_logsumexps,
)
from metriclearn.deep.tensors._pairwise import compare
from metriclearn.deep.tensors._ranges import COSINE, check_ranges
from metriclearn.deep.tensors._row_sums import cosine_sums

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Reference, Selection


class MultiSimilarityLoss(MetricLoss):
    """Multi-similarity loss.

    With ``s`` the cosine, over the b anchors i of the batch::

        1/b Σ_i [ 1/α log(1 + Σ_{p} exp(-α (s_ip - λ))) + 1/β log(1 + Σ_{n} exp(β (s_in - λ))) ]

    Wang, Han, Huang, Dong and Scott, "Multi-Similarity Loss with General Pair Weighting", 2019
    [1]_. The paper writes λ = 1 and β = 50, its code λ = 0.5 and β = 40; libraries take β = 50 with
    λ = 0.5, as here. The paper's pair mining is `MultiSimilarityMiner`.

    Parameters
    ----------
    alpha : float, default=2
        Weight of similar pairs, > 0.
    beta : float, default=50
        Weight of dissimilar pairs, > 0.
    threshold : float, default=0.5
        λ, a cosine in [-1, 1].

    See Also
    --------
    CircleLoss : Each similarity at its own pace.
    metriclearn.deep.miners.MultiSimilarityMiner : The miner of the same paper.

    Notes
    -----
    *Needs* labels or pairs, some rows of each class in a batch.

    *Relations*: like `LiftedStructureLoss` with both sums soft and scaled; a good first choice
    from pairs, often better with `MultiSimilarityMiner`.

    Time O(b² d), memory O(b²) for b rows of d dimensions, O(b) where all pairs of more than 2,048
    rows are compared.

    References
    ----------
    .. [1] Wang, Han, Huang, Dong and Scott, "Multi-Similarity Loss with General Pair Weighting for
       Deep Metric Learning", CVPR 2019. :doi:`10.48550/arXiv.1904.06627`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import MultiSimilarityLoss
    >>> loss = MultiSimilarityLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.269
    0.957
    """

    accepts = ("pairs", "triplets")
    takes_reference = True
    kind = "cosine"

    _parameter_constraints: dict = {
        "alpha": [POSITIVE],
        "beta": [POSITIVE],
        "threshold": [COSINE],
    }

    def __init__(self, alpha: float = 2.0, beta: float = 50.0, threshold: float = 0.5) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta = beta
        self.threshold = threshold
        check_ranges(self)

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
        reference: Reference | None = None,
    ) -> torch.Tensor:
        """Mean over anchors of ``embeddings`` (b, d) with ``labels`` (b,)."""
        value, self._active = cosine_sums(self._sums, embeddings, labels, reference, selection)
        return value

    def _sums(self, batch):
        s, positive, negative = batch
        scales = (-self.alpha, self.beta)
        pull, push = two_logsumexps(s - self.threshold, positive, negative, scales, plus_one=True)
        total = (pull / self.alpha + push / self.beta).sum()
        return total, len(s), (positive + negative).count_nonzero()


class CircleLoss(MetricLoss):
    """Circle loss for class labels.

    With ``s`` the cosine, over the anchors that have both a positive and a negative::

        mean_i log(1 + Σ_n exp( γ [s_in + m]₊ (s_in - m))
                     · Σ_p exp(-γ [1 + m - s_ip]₊ (s_ip - 1 + m)))

    where the factors in brackets are weights: no gradient flows through them.

    Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization", 2020 [1]_, eq.
    6. A widely used implementation takes one log-sum-exp over the whole batch instead of one for
    each anchor.

    Parameters
    ----------
    margin : float, default=0.4
        m, in (0, 1); the paper's 0.4 for retrieval, 0.25 for faces.
    scale : float, default=80
        γ, > 0; the paper's 80 for retrieval, 256 for faces.

    See Also
    --------
    MultiSimilarityLoss : Fixed scales.

    Notes
    -----
    *Needs* labels or pairs, some rows of each class in a batch.

    *Relations*: like `MultiSimilarityLoss` but the farther a similarity is from its optimum, the
    harder it is pulled.

    Time O(b² d), memory O(b²) for b rows of d dimensions.

    References
    ----------
    .. [1] Sun, Cheng, Zhang, Zhang, Zheng, Wang and Wei, "Circle Loss: A Unified Perspective of
       Pair Similarity Optimization", CVPR 2020. :doi:`10.48550/arXiv.2002.10857`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import CircleLoss
    >>> loss = CircleLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    3.201
    105.6
    """

    accepts = ("pairs", "triplets")
    takes_reference = True
    kind = "cosine"

    _parameter_constraints: dict = {
        "margin": [SHARE],
        "scale": [POSITIVE],
    }

    def __init__(self, margin: float = 0.4, scale: float = 80.0) -> None:
        super().__init__()
        self.margin = margin
        self.scale = scale
        check_ranges(self)

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
        reference: Reference | None = None,
    ) -> torch.Tensor:
        """Mean over anchors of ``embeddings`` (b, d) with ``labels`` (b,)."""
        s, positive, negative = compare(embeddings, labels, self.kind, reference, selection)
        m = self.margin
        with torch.no_grad():  # -[1 + m - s]₊ for positives, [s + m]₊ for negatives
            weights = (1 + m - s).clamp_(min=0).mul_(positive).neg_()
            weights.addcmul_(negative, (s + m).clamp_(min=0))
            targets = torch.add(positive * (1 - m), negative, alpha=m)
        terms = (s - targets) * weights
        pull, push = two_logsumexps(terms, positive, negative, (self.scale, self.scale))
        both = (positive.amax(1) * negative.amax(1)).detach()
        return self._mean((softplus(pull + push) * both).sum(), both.sum())


class LiftedStructureLoss(MetricLoss):
    """Lifted structured loss, in its three published forms.

    With ``D`` the Euclidean distance, P the unordered positive pairs, N_i the negatives of i::

        1/(2|P|) Σ_{(i,j) ∈ P} max(0, J_ij)²
        "smooth"    J_ij = D_ij + log(Σ_{k ∈ N_i} exp(m - D_ik) + Σ_{l ∈ N_j} exp(m - D_jl))
        "original"  J_ij = D_ij + max(max_{k ∈ N_i} m - D_ik, max_{l ∈ N_j} m - D_jl)

        "generalized": mean over anchors i with a positive and a negative of
            max(0, log Σ_{p} exp(D_ip) + log Σ_{n} exp(m - D_in))
        "cosine": the same of cosines,
            max(0, log Σ_{p} exp(m - s_ip) + log Σ_{n} exp(s_in))

    Song, Xiang, Jegelka and Savarese, "Deep Metric Learning via Lifted Structured Feature
    Embedding", 2016 [1]_, state "original" and train "smooth", the default; "generalized" is
    Hermans, Beyer and Leibe, 2017 [2]_.

    Parameters
    ----------
    margin : float, default=1
        m, > 0, a distance.
    form : {"smooth", "original", "generalized", "cosine"}, default="smooth"

    See Also
    --------
    MultiSimilarityLoss : Its successor.
    NTXentLoss : Negatives of the anchor alone.

    Notes
    -----
    *Needs* labels or pairs, some rows of each class in a batch.

    *Relations*: like `NTXentLoss` on distances, with the negatives of both rows of a pair;
    `MultiSimilarityLoss` is often better on the sphere.

    With a reference P has the pairs of an anchor of the batch and any other row, so that two rows
    of the batch are paired twice, each once as the anchor; the negatives of a row of the reference
    are those of the batch.

    Time O(b² d), memory O(b²) for b rows of d dimensions; libraries that pair every positive pair
    with every negative need b⁴. Meant for embeddings of any length, and `DeepEmbedder` does not
    normalize them for it: between rows of length one, at most 2 apart, the sums over all
    negatives outweigh every difference of distances.

    References
    ----------
    .. [1] Song, Xiang, Jegelka and Savarese, "Deep Metric Learning via Lifted Structured Feature
       Embedding", CVPR 2016. :doi:`10.48550/arXiv.1511.06452`
    .. [2] Hermans, Beyer and Leibe, "In Defense of the Triplet Loss for Person Re-Identification",
       2017. :doi:`10.48550/arXiv.1703.07737`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import LiftedStructureLoss
    >>> loss = LiftedStructureLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    1.433
    4.228
    """

    accepts = ("pairs", "triplets")
    takes_reference = True

    _parameter_constraints: dict = {
        "margin": [POSITIVE],
        "form": [one_of("smooth", "original", "generalized", "cosine")],
    }

    def __init__(self, margin: float = 1.0, form: str = "smooth") -> None:
        super().__init__()
        self.margin = margin
        self.form = form
        check_ranges(self)

    @property
    def kind(self) -> str | None:
        """What rows are compared by."""
        return "cosine" if self.form == "cosine" else "distance"

    @property
    def any_length(self) -> bool:
        """Whether the form is meant for embeddings of any length."""
        return self.form != "cosine"

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
        reference: Reference | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d) with ``labels`` (b,)."""
        batch = compare(embeddings, labels, self.kind, reference, selection)
        d, positive, negative = batch
        if self.form in ("generalized", "cosine"):
            signs = (1.0, -1.0) if self.form == "generalized" else (-1.0, 1.0)
            pull, push = two_logsumexps(d, positive, negative, signs)
            both = positive.amax(1) * negative.amax(1)
            terms = (pull + push + self.margin).relu() * both
            return self._mean(terms.sum(), both.sum(), terms.detach().count_nonzero())
        i, j = batch.positive_pairs()
        push = self._nearest(d, negative)
        other = push
        if reference is not None:  # its rows are no anchors: their negatives are the batch's rows
            n = len(d)
            other = torch.cat([push, self._nearest(d[:, n:].T, negative[:, n:].T)])
        join = torch.logaddexp if self.form == "smooth" else torch.maximum
        terms = (d[i, j] + self.margin + join(push[i], other[j])).relu()
        total = terms.square().sum() / 2
        return self._mean(total, len(i), terms.detach().count_nonzero())

    def _nearest(self, d, negative):
        if self.form == "smooth":
            return masked_logsumexp(d, negative, -1.0)
        return masked_max(-d, negative).values


class RankedListLoss(MetricLoss):
    """Ranked list loss.

    With ``d`` the Euclidean distance, over the b anchors i, on its non-trivial examples only::

        positives  P_i = {p : d_ip > α - m},   weights w ∝ exp(T_p (d_ip - (α - m)))
        negatives  N_i = {n : d_in < α},       weights w ∝ exp(T_n (α - d_in))

        1/b Σ_i [ (1 - λ) Σ_{P_i} w (d_ip - (α - m)) + λ Σ_{N_i} w (α - d_in) ]

    each set of weights summing to one; no gradient flows through them.

    Wang, Hua, Kodirov, Hu, Garnier and Robertson, "Ranked List Loss for Deep Metric Learning",
    2019 [1]_, on rows of length one. ``positive_temperature=0`` is the paper's simpler variant.
    Libraries differ in letting the gradient through the weights.

    Parameters
    ----------
    margin : float, default=0.4
        m, in (0, alpha).
    alpha : float, default=1.2
        Distance at which negatives are kept, in (0, 2).
    temperature : float, default=10
        T_n, at least 0; the paper's name for an inverse temperature.
    positive_temperature : float, default=0
        T_p, at least 0.
    balance : float, default=0.5
        λ, in [0, 1].

    See Also
    --------
    ContrastiveLoss : All violations alike.

    Notes
    -----
    *Needs* labels or pairs, some rows of each class in a batch.

    *Relations*: like `ContrastiveLoss` with a ball for positives rather than a point, and the
    hardest negatives weighed most.

    Time O(b² d), memory O(b²) for b rows of d dimensions.

    References
    ----------
    .. [1] Wang, Hua, Kodirov, Hu, Garnier and Robertson, "Ranked List Loss for Deep Metric
       Learning", CVPR 2019. :doi:`10.48550/arXiv.1903.03238`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import RankedListLoss
    >>> loss = RankedListLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.076
    0.586
    """

    accepts = ("pairs", "triplets")
    takes_reference = True
    kind = "distance"

    _parameter_constraints: dict = {
        "margin": [POSITIVE],
        "alpha": [POSITIVE],
        "temperature": [NOT_NEGATIVE],
        "positive_temperature": [NOT_NEGATIVE],
        "balance": [SHARE],
    }

    def __init__(
        self,
        margin: float = 0.4,
        alpha: float = 1.2,
        temperature: float = 10.0,
        positive_temperature: float = 0.0,
        balance: float = 0.5,
    ) -> None:
        super().__init__()
        self.margin = margin
        self.alpha = alpha
        self.temperature = temperature
        self.positive_temperature = positive_temperature
        self.balance = balance
        check_ranges(self)
        if margin >= alpha:
            raise ValueError(f"margin must be less than alpha={alpha}, got {margin}")

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
        reference: Reference | None = None,
    ) -> torch.Tensor:
        """Mean over anchors of ``embeddings`` (b, d) with ``labels`` (b,)."""
        d, positive, negative = compare(embeddings, labels, self.kind, reference, selection)
        pull, pulled = self._weighted(
            (d - (self.alpha - self.margin)).relu(), positive, self.positive_temperature
        )
        push, pushed = self._weighted((self.alpha - d).relu(), negative, self.temperature)
        total = ((1 - self.balance) * pull + self.balance * push).sum()
        return self._mean(total, len(d), pulled + pushed)

    def _weighted(self, violation, mask, temperature):
        """Return the weighted violations of each row, and how many there are in all."""
        with torch.no_grad():
            active = torch.gt(violation, 0, out=torch.empty_like(violation)).mul_(mask)
            top = violation.amax(1, keepdim=True)
            weights = (violation - top).mul_(temperature)
            weights.clamp_(min=lowest_exponent(weights.dtype)).exp_().mul_(active)
            weights /= weights.sum(1, keepdim=True).clamp_(min=torch.finfo(weights.dtype).tiny)
        return (violation * weights).sum(1), active.count_nonzero()
