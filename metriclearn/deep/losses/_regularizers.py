"""Terms to add to a loss with `WeightedSum`: center loss, alignment, uniformity, norms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import torch

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, SHARE
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.tensors._batches import check_codes
from metriclearn.deep.tensors._masked_sums import masked_logsumexp
from metriclearn.deep.tensors._pairwise import compare, sq_distances, widen
from metriclearn.deep.tensors._ranges import check_ranges

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Reference, Selection


class CenterLoss(MetricLoss):
    """Center loss: pull each row to the running center of its class.

    ::

        1/(2b) Σ_i ‖x_i - c_{y_i}‖²

    Wen, Zhang, Li and Qiao, "A Discriminative Feature Learning Approach for Deep Face
    Recognition", 2016 [1]_ (there the sum, not the mean), added to a softmax loss with a small
    weight. As there, the centers are not trained by the optimizer: in training mode each batch
    moves them, ``c_j -= α Σ_{i of class j} (c_j - x_i) / (1 + n_j)``, after its value is taken.

    Parameters
    ----------
    alpha : float, default=0.5
        α, rate of the centers, in [0, 1].
    n_classes, embedding_dim : int, default=None
        Where both are given the centers are created at once, else by ``build``.

    Attributes
    ----------
    centers : buffer of shape (n_classes, embedding_dim)
        Zero at first.

    See Also
    --------
    AlignmentLoss : Pairs of the batch.
    SoftmaxLoss : The loss it is added to in the paper.

    Notes
    -----
    *Needs* labels of classes that are known at the start.

    *Relations*: `AlignmentLoss` to a running mean rather than to the rows of the batch.

    Time and memory O(b d) for b rows of d dimensions. By itself it is least where all rows
    coincide.

    References
    ----------
    .. [1] Wen, Zhang, Li and Qiao, "A Discriminative Feature Learning Approach for Deep Face
       Recognition", ECCV 2016. :doi:`10.1007/978-3-319-46478-7_31`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import CenterLoss
    >>> loss = CenterLoss(n_classes=2, embedding_dim=2)
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.5
    0.35
    """

    needs_classes = True

    _parameter_constraints: dict = {"alpha": [SHARE]}

    def __init__(
        self, alpha: float = 0.5, n_classes: int | None = None, embedding_dim: int | None = None
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.n_classes = n_classes
        self.embedding_dim = embedding_dim
        check_ranges(self)
        self.register_buffer("centers", None)
        if n_classes is not None and embedding_dim is not None:
            self.build(n_classes, embedding_dim)

    def build(self, n_classes: int | None, embedding_dim: int, **known: Any) -> Self:
        """Create the centers and return self."""
        self.n_classes, self.embedding_dim = n_classes, embedding_dim
        self.centers = torch.zeros(n_classes, embedding_dim)
        return self

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the rows of ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        if self.centers is None:
            raise RuntimeError(
                "CenterLoss has no centers yet: give n_classes and embedding_dim, or call "
                "build(n_classes, embedding_dim)"
            )
        check_codes("CenterLoss", labels, self.n_classes)
        x = widen(embeddings)
        away = x - self.centers[labels].to(x.dtype)
        if self.training:
            self._move(away.detach(), labels)
        return away.square().sum(1).mean() / 2

    @torch.no_grad()
    def _move(self, away, labels):
        away = away.to(self.centers.dtype)
        step = torch.zeros_like(self.centers).index_add_(0, labels, away)
        counts = torch.bincount(labels, minlength=len(self.centers)).to(step.dtype)
        self.centers += self.alpha * step / (1 + counts[:, None])


class AlignmentLoss(MetricLoss):
    """Alignment: mean distance of positive pairs, ``mean ‖x_i - x_j‖^α``.

    Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere", 2020 [1]_; together with `UniformityLoss`.

    Parameters
    ----------
    alpha : float, default=2
        > 0.

    See Also
    --------
    UniformityLoss : The other half.
    VICRegLoss : Both in one.

    Notes
    -----
    *Needs* labels or pairs.

    *Relations*: half of a contrastive loss; by itself least where all rows coincide.

    Time O(b² d), memory O(b²) for b rows of d dimensions.

    References
    ----------
    .. [1] Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and
       Uniformity on the Hypersphere", ICML 2020. :doi:`10.48550/arXiv.2005.10242`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import AlignmentLoss
    >>> loss = AlignmentLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.4
    2.0
    """

    accepts = ("pairs", "triplets")
    takes_reference = True

    _parameter_constraints: dict = {"alpha": [POSITIVE]}

    def __init__(self, alpha: float = 2.0) -> None:
        super().__init__()
        self.alpha = alpha
        check_ranges(self)

    @property
    def kind(self) -> str | None:
        """What pairs are compared by."""
        return "sq_distance" if self.alpha == 2 else "distance"

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
        reference: Reference | None = None,
    ) -> torch.Tensor:
        """Mean over positive pairs of ``embeddings`` (b, d) with ``labels`` (b,)."""
        batch = compare(embeddings, labels, self.kind, reference, selection)
        i, j = batch.positive_pairs()
        apart = batch.values[i, j]
        if self.alpha != 2:
            # A power below one has no derivative at zero.
            some = apart > 0
            apart = torch.where(some, apart, 1.0) ** self.alpha * some
        return self._mean(apart.sum(), len(i))


class UniformityLoss(MetricLoss):
    """Uniformity: ``log mean_{i ≠ j} exp(-t ‖x_i - x_j‖²)``, whatever the labels.

    Wang and Isola, 2020 [1]_, on rows of length one; least where rows spread evenly on the sphere.
    Negative by nature.

    Parameters
    ----------
    t : float, default=2
        > 0.

    See Also
    --------
    AlignmentLoss : The other half.

    Notes
    -----
    *Needs* no labels.

    *Relations*: the half of a contrastive loss that spreads rows.

    Time O(b² d), memory O(b²) for b rows of d dimensions.

    References
    ----------
    .. [1] Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and
       Uniformity on the Hypersphere", ICML 2020. :doi:`10.48550/arXiv.2005.10242`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import UniformityLoss
    >>> loss = UniformityLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    -1.662
    -1.662
    """

    needs_labels = False

    _parameter_constraints: dict = {"t": [POSITIVE]}

    def __init__(self, t: float = 2.0) -> None:
        super().__init__()
        self.t = t
        check_ranges(self)

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Value on ``embeddings`` (b, d); ``labels`` (b,) are not used."""
        d = sq_distances(embeddings)
        n = len(d)
        if n < 2:
            return d.sum()
        others = 1 - torch.eye(n, dtype=d.dtype, device=d.device)
        rows = masked_logsumexp(d, others, -self.t)
        return rows.logsumexp(0) - math.log(n * (n - 1))


class EmbeddingNormLoss(MetricLoss):
    """Penalty on the length of the embeddings: ``mean (‖x_i‖ - r)²``.

    With ``r = 0`` the penalty of N-pair losses; with ``r = 1`` a soft way to the unit sphere. It
    does nothing where the embeddings are normalized already.

    Parameters
    ----------
    radius : float, default=0
        r, at least 0.

    See Also
    --------
    NPairLoss : Has one of its own.

    Notes
    -----
    *Needs* no labels; embeddings that are not normalized.

    *Relations*: the penalty of `NPairLoss` by itself.

    Time and memory O(b d) for b rows of d dimensions.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import EmbeddingNormLoss
    >>> loss = EmbeddingNormLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    1.0
    1.0
    """

    needs_labels = False

    _parameter_constraints: dict = {"radius": [NOT_NEGATIVE]}

    def __init__(self, radius: float = 0.0) -> None:
        super().__init__()
        self.radius = radius
        check_ranges(self)

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the rows of ``embeddings`` (b, d); ``labels`` (b,) are not used."""
        square = widen(embeddings).square().sum(1)
        some = square > 0
        length = torch.where(some, square, 1.0).sqrt() * some
        return (length - self.radius).square().mean()
