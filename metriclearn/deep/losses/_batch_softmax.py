"""Softmax over the rows of a batch: N-pair, InfoNCE / NT-Xent, SupCon, soft nearest neighbor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy, softplus

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, one_of
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.tensors._masked_sums import FAR, masked_logsumexp, two_logsumexps
from metriclearn.deep.tensors._pairwise import (
    attached_zero,
    compare,
    products,
    ranks_in_class,
    widen,
)
from metriclearn.deep.tensors._ranges import check_ranges
from metriclearn.deep.tensors._row_sums import cosine_sums

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Reference, Selection


class NPairLoss(MetricLoss):
    """Multi-class N-pair loss.

    The rows of each class are taken two by two in their order in the batch, ``(x, x⁺)``; the i-th
    pairs of all classes form a round of N pairs, and::

        mean over rounds and pairs of  log(1 + Σ_{j ≠ i} exp(x_iᵀ x_j⁺ - x_iᵀ x_i⁺))
        + λ mean over the rows used of ‖x‖²

    or, with ``pairs="all"``, over the rows i with a positive, P_i and N_i their positives and
    negatives::

        mean_i  log(1 + Σ_{p ∈ P_i} Σ_{n ∈ N_i} exp(x_iᵀ x_n - x_iᵀ x_p))  + λ mean_i ‖x_i‖²

    Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", 2016 [1]_: inner
    products, not cosines, kept small by λ. With two or three rows of each class there is one round,
    the paper's batch; libraries stop there and often normalize and drop the penalty.

    Parameters
    ----------
    l2_weight : float, default=0.002
        λ, at least 0.
    pairs : {"rounds", "all"}, default="rounds"
        One positive of each row, or all.

    See Also
    --------
    NTXentLoss : Cosines and a temperature.

    Notes
    -----
    *Needs* labels, two rows of a class in a batch.

    *Relations*: like `NTXentLoss` on inner products, with a penalty in place of a temperature;
    with cosines rather take that.

    Time O(b² d), memory O(b²) for b rows of d dimensions, of which a pair uses half. Its value
    depends on the order of the rows within a class. `DeepEmbedder` does not normalize embeddings
    for it.

    References
    ----------
    .. [1] Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", NIPS 2016.
       https://papers.nips.cc/paper/6200

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import NPairLoss
    >>> loss = NPairLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.411
    0.739
    """

    any_length = True

    _parameter_constraints: dict = {
        "l2_weight": [NOT_NEGATIVE],
        "pairs": [one_of("rounds", "all")],
    }

    def __init__(self, l2_weight: float = 0.002, pairs: str = "rounds") -> None:
        super().__init__()
        self.l2_weight = l2_weight
        self.pairs = pairs
        check_ranges(self)

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over pairs of ``embeddings`` (b, d) with ``labels`` (b,)."""
        if self.pairs == "all":
            return self._over_all(embeddings, labels)
        order, rank, last = ranks_in_class(labels)
        at = ((rank % 2 == 0) & ~last).nonzero(as_tuple=True)[0]
        if not len(at):
            self._active = 0
            return attached_zero(embeddings)
        used = widen(embeddings).index_select(0, order[torch.cat([at, at + 1])])
        anchors, others = used.chunk(2)
        rounds = rank[at]
        apart = rounds[:, None] != rounds
        logits = products(anchors, others) - apart.to(used.dtype) * FAR
        value = cross_entropy(logits, torch.arange(len(at), device=labels.device))
        self._active = len(at)
        return value + self.l2_weight * used.square().sum() / len(used)

    def _over_all(self, embeddings, labels):
        s, positive, negative = compare(embeddings, labels, "dot")
        pull, push = two_logsumexps(s, positive, negative, (-1.0, 1.0))
        anchors = positive.amax(1)
        terms = softplus(pull + push) * anchors
        squares = widen(embeddings).square().sum(1) * anchors
        value = self._mean(terms.sum() + self.l2_weight * squares.sum(), anchors.sum())
        self._active = terms.detach().count_nonzero()
        return value


class NTXentLoss(MetricLoss):
    """InfoNCE / NT-Xent: pick each positive out among all negatives.

    With ``s`` the cosine, over the ordered positive pairs (a, p)::

        mean  -log( exp(s_ap / τ) / (exp(s_ap / τ) + Σ_{n} exp(s_an / τ)) )

    van den Oord, Li and Vinyals, "Contrastive Predictive Coding", 2018 [1]_; Chen, Kornblith,
    Norouzi and Hinton, "SimCLR", 2020 [2]_ (one positive of each row). With several positives the
    others are left out of the denominator, as in most libraries; `SupConLoss` keeps them in.

    Explicit negatives: with ``selection`` only the listed pairs count, so a miner of hard negatives
    gives InfoNCE with explicit hard negatives; rows that are only negatives come as ``reference``.

    Parameters
    ----------
    temperature : float, default=0.1
        τ, > 0.

    See Also
    --------
    SupConLoss : All positives together.
    TwoViewLoss : Without labels.
    CrossBatchMemory : More negatives than a batch holds.

    Notes
    -----
    *Needs* labels or pairs, some rows of each class in a batch; two views of a row do.

    *Relations*: `SupConLoss` keeps the other positives in the denominator and is often better with
    many rows of a class; `NPairLoss` is the same on inner products.

    Time O(b² d), memory O(b²) for b rows of d dimensions, O(b) where all pairs of more than 2,048
    rows are compared; libraries that pair every positive pair with every negative need b⁴. Also
    named `InfoNCELoss`.

    References
    ----------
    .. [1] van den Oord, Li and Vinyals, "Representation Learning with Contrastive Predictive
       Coding", 2018. :doi:`10.48550/arXiv.1807.03748`
    .. [2] Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for Contrastive Learning of
       Visual Representations", ICML 2020. :doi:`10.48550/arXiv.2002.05709`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import NTXentLoss
    >>> loss = NTXentLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.064
    8.064
    """

    accepts = ("pairs", "triplets")
    takes_reference = True
    kind = "cosine"

    _parameter_constraints: dict = {"temperature": [POSITIVE]}

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature
        check_ranges(self)

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
        reference: Reference | None = None,
    ) -> torch.Tensor:
        """Mean over positive pairs of ``embeddings`` (b, d) with ``labels`` (b,)."""
        value, self._active = cosine_sums(self._sums, embeddings, labels, reference, selection)
        return value

    def _sums(self, batch):
        others = masked_logsumexp(batch.values, batch.negative, 1 / self.temperature)
        a, p = batch.positive_pairs()
        terms = softplus(others[a] - batch.values[a, p] / self.temperature)
        return terms.sum(), len(a), terms.detach().count_nonzero()


InfoNCELoss = NTXentLoss


class SupConLoss(MetricLoss):
    """Supervised contrastive loss, its L_out.

    With ``s`` the cosine, over the anchors i that have a positive, P_i their positives::

        mean_i  -1/|P_i| Σ_{p ∈ P_i} log( exp(s_ip / τ) / Σ_{k ≠ i} exp(s_ik / τ) )

    Khosla et al., "Supervised Contrastive Learning", 2020 [1]_.

    Parameters
    ----------
    temperature : float, default=0.1
        τ, > 0.

    See Also
    --------
    NTXentLoss : Each positive by itself.
    SoftNearestNeighborLoss : Some positive.

    Notes
    -----
    *Needs* labels or pairs, some rows of each class in a batch.

    *Relations*: like `NTXentLoss` but a row is drawn to all its positives at once;
    `SoftNearestNeighborLoss` is content with one of them.

    Time O(b² d), memory O(b²) for b rows of d dimensions, O(b) where all pairs of more than 2,048
    rows are compared.

    References
    ----------
    .. [1] Khosla, Teterwak, Wang, Sarna, Tian, Isola, Maschinot, Liu and Krishnan, "Supervised
       Contrastive Learning", NeurIPS 2020. :doi:`10.48550/arXiv.2004.11362`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import SupConLoss
    >>> loss = SupConLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.064
    8.064
    """

    accepts = ("pairs", "triplets")
    takes_reference = True
    kind = "cosine"

    _parameter_constraints: dict = {"temperature": [POSITIVE]}

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature
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
        everyone = masked_logsumexp(s, positive + negative, 1 / self.temperature)
        counts = positive.sum(1)
        own = (s * positive).sum(1) / (counts.clamp(min=1) * self.temperature)
        anchors = (counts > 0).to(s.dtype)
        # A positive alone in the denominator has nothing to gain.
        active = anchors * torch.maximum((counts > 1).to(s.dtype), negative.amax(1))
        return ((everyone - own) * anchors).sum(), anchors.sum(), active.sum()


class SoftNearestNeighborLoss(MetricLoss):
    """Soft nearest neighbor loss: neighborhood components analysis on a batch.

    With ``d²`` the squared Euclidean distance, over the anchors i that have a positive::

        mean_i  -log( Σ_{p} exp(-d²_ip / T) / Σ_{k ≠ i} exp(-d²_ik / T) )

    Salakhutdinov and Hinton, 2007; Frosst, Papernot and Hinton, "Analyzing and Improving
    Representations with the Soft Nearest Neighbor Loss", 2019 [1]_. Goldberger et al.,
    2004 [2]_ (NCA) maximize the mean of the probability itself, not of its logarithm.

    Parameters
    ----------
    temperature : float, default=1
        T, > 0, in units of the squared distance.

    See Also
    --------
    SupConLoss : All positives.
    metriclearn.NCA : The linear learner.

    Notes
    -----
    *Needs* labels or pairs, some rows of each class in a batch.

    *Relations*: `metriclearn.NCA` on a batch; unlike `SupConLoss` a class may have several
    clusters.

    Time O(b² d), memory O(b²) for b rows of d dimensions. `DeepEmbedder` does not normalize
    embeddings for it: between rows of length one T would have to be far smaller.

    References
    ----------
    .. [1] Frosst, Papernot and Hinton, "Analyzing and Improving Representations with the Soft
       Nearest Neighbor Loss", ICML 2019. :doi:`10.48550/arXiv.1902.01889`
    .. [2] Goldberger, Roweis, Hinton and Salakhutdinov, "Neighbourhood Components Analysis", NIPS
       2004.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import SoftNearestNeighborLoss
    >>> loss = SoftNearestNeighborLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.43
    2.03
    """

    accepts = ("pairs", "triplets")
    takes_reference = True
    kind = "sq_distance"
    any_length = True

    _parameter_constraints: dict = {"temperature": [POSITIVE]}

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        check_ranges(self)

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
        reference: Reference | None = None,
    ) -> torch.Tensor:
        """Mean over anchors of ``embeddings`` (b, d) with ``labels`` (b,)."""
        d, positive, negative = compare(embeddings, labels, self.kind, reference, selection)
        own, rest = two_logsumexps(d, positive, negative, (-1 / self.temperature,) * 2)
        anchors = positive.amax(1)
        terms = softplus(rest - own) * anchors
        return self._mean(terms.sum(), anchors.sum(), terms.detach().count_nonzero())
