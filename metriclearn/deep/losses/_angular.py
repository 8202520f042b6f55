"""Losses on angles and on four rows: angular, tuplet margin, quadruplet."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import softplus

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, between
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.tensors._masked_sums import (
    FAR,
    cosine_of_sum,
    lowest_exponent,
    masked_logsumexp,
    mean_over,
)
from metriclearn.deep.tensors._pairwise import compare, widen, with_gradient
from metriclearn.deep.tensors._ranges import check_ranges
from metriclearn.deep.tensors._selections import MinedQuadruplets
from metriclearn.deep.tensors._triplet_sums import pack_positives, quadruplet_sum, triplet_sum

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Reference, Selection


class AngularLoss(MetricLoss):
    """Angular loss: bound the angle at the negative of the triangle (a, p, n).

    On rows of length one, with ``t = tan² α``, mean over the positive pairs (a, p)::

        log(1 + Σ_n exp(4 t (x_a + x_p)ᵀ x_n - 2 (1 + t) x_aᵀ x_p))

    Wang, Zhou, Wen, Liu and Lin, "Deep Metric Learning with Angular Loss", 2017 [1]_, eq. 8 with
    all rows normalized as the paper asks; a library that leaves the negatives as they come lets
    their length decide. The paper's joint objective is ``WeightedSum([NPairLoss(), AngularLoss()],
    [1, 2])``.

    Parameters
    ----------
    alpha : float, default=45
        Degrees, in (0, 90); the paper uses 36 to 55.

    See Also
    --------
    NPairLoss : The loss to add it to.
    metriclearn.deep.miners.AngularMiner : Triplets by the same angle.

    Notes
    -----
    *Needs* labels, two rows of a class in a batch.

    *Relations*: like `NPairLoss` with a bound that does not change with scale; the paper adds the
    two.

    Time O(b² (d + k)), memory O(b²) for b rows with k positives each. Against a reference the
    positives are those of the batch.

    References
    ----------
    .. [1] Wang, Zhou, Wen, Liu and Lin, "Deep Metric Learning with Angular Loss", ICCV 2017.
       :doi:`10.48550/arXiv.1708.01682`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import AngularLoss
    >>> loss = AngularLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.374
    5.612
    """

    takes_reference = True

    _parameter_constraints: dict = {"alpha": [between(0, 90, "neither")]}

    def __init__(self, alpha: float = 45.0) -> None:
        super().__init__()
        self.alpha = alpha
        check_ranges(self)

    def compute(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> torch.Tensor:
        """Mean over positive pairs of ``embeddings`` (b, d) with ``labels`` (b,)."""
        batch = compare(embeddings, labels, "cosine", reference)
        s, _, negative = batch
        # Products with a reference's rows as anchors are not known: positives are of the batch.
        # The terms are symmetric in a and p: each pair is taken once, from its lower row.
        pairs = batch.positive_pairs()
        lower = (pairs[0] < pairs[1]) & (pairs[1] < len(s))
        rows, columns = pairs[0][lower], pairs[1][lower]
        t = math.tan(math.radians(self.alpha)) ** 2
        with torch.no_grad():
            packed, slot = pack_positives(s, (rows, columns))
            weights = torch.zeros_like(s)
            pulls = torch.zeros_like(packed)
            total = s.new_zeros(())
            for k in range(packed.shape[1]):
                at = (slot == k).nonzero(as_tuple=True)[0]
                a, p = rows[at], columns[at]
                own = packed[a, k][:, None]
                terms = (s[a] + s[p]).mul_(4 * t).sub_(own * (2 * (1 + t)))
                terms.add_((negative[a] - 1) * FAR)
                top = terms.amax(1, keepdim=True).clamp_(min=0)
                terms.sub_(top).clamp_(min=lowest_exponent(s.dtype)).exp_().mul_(negative[a])
                mass = terms.sum(1, keepdim=True)
                both = mass + torch.exp(-top)
                total += (both.log() + top).sum()
                terms.mul_(4 * t / both)
                weights.index_add_(0, a, terms)
                weights.index_add_(0, p, terms)
                pulls[a, k] = (-2 * (1 + t) * mass / both)[:, 0]
            weights[rows, columns] += pulls[rows, slot]
        value = with_gradient(s, total, weights)
        return self._mean(value, len(rows), (negative.amax(1)[rows]).sum())


class TupletMarginLoss(MetricLoss):
    """Tuplet margin loss.

    With θ the angle between two rows, mean over the ordered positive pairs (a, p)::

        log(1 + Σ_n exp(s (cos θ_an - cos(θ_ap - β))))

    Yu and Tao, "Deep Metric Learning with Tuplet Margin Loss", 2019 [1]_, without their penalty on
    the variance within pairs. The slack β > 0 spares positives that are close already.

    Parameters
    ----------
    margin : float, default=5.73
        β in degrees, at least 0; 5.73 is 0.1 radians.
    scale : float, default=64
        s, > 0.

    See Also
    --------
    NTXentLoss : Without slack.
    IntraPairVarianceLoss : The term of the same paper.

    Notes
    -----
    *Needs* labels or pairs, some rows of each class in a batch.

    *Relations*: like `NTXentLoss` with slack for positives that are close already;
    `IntraPairVarianceLoss` is its second term.

    Time O(b² d), memory O(b²) for b rows of d dimensions; libraries that pair every positive pair
    with every negative need b⁴.

    References
    ----------
    .. [1] Yu and Tao, "Deep Metric Learning with Tuplet Margin Loss", ICCV 2019.
       :doi:`10.1109/ICCV.2019.00659`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import TupletMarginLoss
    >>> loss = TupletMarginLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    44.81
    """

    accepts = ("pairs", "triplets")
    takes_reference = True
    kind = "cosine"

    _parameter_constraints: dict = {
        "margin": [between(0, 180, "left")],
        "scale": [POSITIVE],
    }

    def __init__(self, margin: float = 5.73, scale: float = 64.0) -> None:
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
        """Mean over positive pairs of ``embeddings`` (b, d) with ``labels`` (b,)."""
        batch = compare(embeddings, labels, self.kind, reference, selection)
        others = masked_logsumexp(batch.values, batch.negative, self.scale)
        a, p = batch.positive_pairs()
        own = cosine_of_sum(batch.values[a, p], -math.radians(self.margin))
        terms = softplus(others[a] - self.scale * own)
        return self._mean(terms.sum(), len(a), terms.detach().count_nonzero())


class QuadrupletLoss(MetricLoss):
    """Quadruplet loss.

    With ``d²`` the squared Euclidean distance; i, j of one class, k of another, and (l, k) of two
    different classes, neither that of i::

        mean over active  max(0, d²_ij - d²_ik + m₁)
        + mean over active max(0, d²_ij - d²_lk + m₂)

    Chen, Chen, Zhang and Huang, "Beyond Triplet Loss: A Deep Quadruplet Network for Person
    Re-identification", 2017 [1]_. The first term is a triplet loss, the second pushes pairs apart
    that have nothing to do with the anchor; all quadruplets of the batch count, where other codes
    draw a few. Of listed quadruplets, ``d_ij < d_kl``, those whose two pairs share a row are
    the first term, and the others the second.

    Parameters
    ----------
    margin : float, default=1.0
        m₁, at least 0, in units of the squared distance.
    second_margin : float, default=0.5
        m₂, at least 0, smaller than m₁ in the paper.

    See Also
    --------
    TripletLoss : Its first term.
    metriclearn.LSML : A linear metric from quadruplets.

    Notes
    -----
    *Needs* labels, two rows of a class in a batch; or judgments that one pair is nearer than
    another, `DeepEmbedder.fit(X, constraints=Quadruplets(...))`.

    *Relations*: `TripletLoss` and a term for pairs that share no row with the anchor; often better
    where one threshold has to serve all classes.

    Time O(b² (d + k + log b)), memory O(b²) for b rows with k positives each: the sum is linear in
    the distances given the active quadruplets, which are counted by sorting the positive pairs.

    References
    ----------
    .. [1] Chen, Chen, Zhang and Huang, "Beyond Triplet Loss: A Deep Quadruplet Network for Person
       Re-Identification", CVPR 2017. :doi:`10.48550/arXiv.1704.01719`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import QuadrupletLoss
    >>> loss = QuadrupletLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.6
    2.467
    """

    accepts = ("quadruplets",)

    _parameter_constraints: dict = {
        "margin": [NOT_NEGATIVE],
        "second_margin": [NOT_NEGATIVE],
    }

    def __init__(self, margin: float = 1.0, second_margin: float = 0.5) -> None:
        super().__init__()
        self.margin = margin
        self.second_margin = second_margin
        check_ranges(self)

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d) with ``labels`` (b,), or on listed quadruplets."""
        if isinstance(selection, MinedQuadruplets):
            return self._of_listed(widen(embeddings), *selection)
        batch = compare(embeddings, labels, "sq_distance")
        d, _, negative = batch
        pairs = batch.positive_pairs()
        first, active, _ = triplet_sum(d, pairs, negative, self.margin)
        second, both = quadruplet_sum(d, pairs, negative, labels, self.second_margin)
        self._active = active + both
        return mean_over(first, active) + mean_over(second, both)

    def _of_listed(self, x, i, j, k, l):
        gaps = (x[i] - x[j]).square().sum(1) - (x[k] - x[l]).square().sum(1)
        chained = (i == k) | (i == l) | (j == k) | (j == l)
        first = (gaps + self.margin).relu() * chained
        second = (gaps + self.second_margin).relu() * ~chained
        return self._mean_of_active(first, second)
