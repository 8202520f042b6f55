"""Losses on two views of a row, with labels of none or of some."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE
from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.losses._batch_softmax import NTXentLoss
from metriclearn.deep.losses._memory import CrossBatchMemory
from metriclearn.deep.losses._wrappers import Composite
from metriclearn.deep.tensors._pairwise import (
    attached_zero,
    full_precision,
    products,
    ranks_in_class,
    unit_rows,
    widen,
)
from metriclearn.deep.tensors._ranges import check_ranges


class TwoViewLoss(Composite):
    """A loss on two views of each row, stacked: a row's positive is its other view.

    ::

        loss([z; z'], [0, …, b - 1, 0, …, b - 1])

    Parameters
    ----------
    loss : Module, default=None
        One that works on labels, but needs no classes known at the start; None is ``NTXentLoss()``.

    See Also
    --------
    NTXentLoss : The usual choice.
    VICRegLoss : Without negatives.
    SemiSupervisedLoss : Labels of some rows besides.

    Notes
    -----
    *Needs* no labels: two augmented views of each row, those of the second view behind those of the
    first, as ``DeepEmbedder(loss="two_views").fit(X)`` makes them.

    *Relations*: with `NTXentLoss` this is SimCLR's loss [1]_; with `VICRegLoss` there are no
    negatives at all. `InstanceLoss` remembers a vector of each row in place of a second view. With
    a `CrossBatchMemory` rows are numbered by their place in the training set (``indices``), and
    what the memory holds of other rows are further negatives.

    Time O(that of the loss on 2b rows); memory likewise.

    References
    ----------
    .. [1] Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for Contrastive Learning of
       Visual Representations", ICML 2020. :doi:`10.48550/arXiv.2002.05709`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import NTXentLoss, TwoViewLoss
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> views = torch.cat([x, x.flip(1) * 0.1 + x])
    >>> loss = TwoViewLoss(NTXentLoss(temperature=0.5))
    >>> round(loss(views, None).item(), 3)
    0.29
    """

    #: The two views are all that is compared.
    takes_reference = False
    needs_labels = False
    needs_views = True

    def __init__(self, loss: nn.Module | None = None) -> None:
        super().__init__()
        self.loss = as_metric_loss(NTXentLoss() if loss is None else loss)
        if self.loss.needs_classes:
            raise ValueError(
                f"loss must tell the rows of a batch apart, and {type(self.loss).__name__} learns "
                f"classes known at the start; take one on pairs or triplets, or InstanceLoss"
            )

    def parts(self) -> list[Any]:
        """Return the loss."""
        return [self.loss]

    @property
    def needs_indices(self) -> bool:
        """Whether the loss does, or remembers rows, which batches number anew."""
        return self._remembers() or super().needs_indices

    def _remembers(self):
        return any(isinstance(part, CrossBatchMemory) for part in self.modules())

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d), b even; ``labels`` (b,) are not used."""
        n = _count_pairs(embeddings)
        instances = torch.arange(n, device=embeddings.device).repeat(2)
        if self._remembers():
            if indices is None:
                raise ValueError("indices of the training rows are needed by a memory of views")
            instances = indices
        return self.loss(embeddings, instances, None, None, indices, features)


class VICRegLoss(MetricLoss):
    """VICReg: two views alike, every dimension in use, no two dimensions alike.

    The rows of a class are taken two by two in their order in the batch, as view z and view z';
    for n pairs in d dimensions, with Cov the covariance of a view over the batch::

        λ / (n d) Σ ‖z_i - z'_i‖²
        + μ / d Σ_k [½ max(0, 1 - sd(z_k)) + ½ max(0, 1 - sd(z'_k))],    sd = √(variance + ε)
        + ν / d Σ_{k ≠ l} [Cov(z)²_kl + Cov(z')²_kl]

    See [1]_.

    Parameters
    ----------
    invariance, variance : float, default=25
        λ and μ, at least 0.
    covariance : float, default=1
        ν, at least 0.
    epsilon : float, default=1e-4
        ε, > 0.

    See Also
    --------
    TwoViewLoss : Makes the labels of two views.
    AlignmentLoss : The first term by itself.

    Notes
    -----
    *Needs* two views of each row (`TwoViewLoss`), or labels, of which two rows of a class serve as
    views; embeddings of any length, which `DeepEmbedder` leaves as they are.

    *Relations*: like `AlignmentLoss` and `UniformityLoss` together, but without a comparison of
    different rows; often better than `NTXentLoss` where batches are small.

    Time O(b d²), memory O(b d + d²) for b rows of d dimensions.

    References
    ----------
    .. [1] Bardes, Ponce and LeCun, "VICReg: Variance-Invariance-Covariance Regularization for
       Self-Supervised Learning", ICLR 2022. :doi:`10.48550/arXiv.2105.04906`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import VICRegLoss
    >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> views = torch.cat([2 * x, 2 * x])
    >>> loss = VICRegLoss()
    >>> round(loss(views, torch.arange(4).repeat(2)).item(), 3)  # alike, spread, uncorrelated
    0.0
    """

    any_length = True

    _parameter_constraints: dict = {
        "invariance": [NOT_NEGATIVE],
        "variance": [NOT_NEGATIVE],
        "covariance": [NOT_NEGATIVE],
        "epsilon": [POSITIVE],
    }

    def __init__(
        self,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        epsilon: float = 1e-4,
    ) -> None:
        super().__init__()
        self.invariance = invariance
        self.variance = variance
        self.covariance = covariance
        self.epsilon = epsilon
        check_ranges(self)

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Value on ``embeddings`` (b, d) with ``labels`` (b,)."""
        order, rank, last = ranks_in_class(labels)
        at = ((rank % 2 == 0) & ~last).nonzero(as_tuple=True)[0]
        self._active = len(at)
        if len(at) < 2:  # of one pair there is no variance
            return attached_zero(embeddings)
        x = widen(embeddings)
        views = x.index_select(0, order[at]), x.index_select(0, order[at + 1])
        value = self.invariance * (views[0] - views[1]).square().mean()
        for view in views:
            value = value + self.variance / 2 * self._unused(view)
            value = value + self.covariance * self._redundant(view)
        return value

    def _unused(self, view):
        deviation = (view.var(0) + self.epsilon).sqrt()
        return (1 - deviation).relu().mean()

    def _redundant(self, view):
        centered = view - view.mean(0)
        with full_precision(view):
            covariance = centered.T @ centered / (len(view) - 1)
        off = covariance - torch.diag(covariance.diagonal())
        return off.square().sum() / view.shape[1]


class InstanceLoss(MetricLoss):
    """Instance loss: each row of the training set is a class of its own.

    With ``w_j`` a learned vector of training row j and cosines s, mean over the rows i of the batch
    of::

        -log( exp(γ s(x_i, w_i)) / Σ_j exp(γ s(x_i, w_j)) )

    See [1]_.

    Parameters
    ----------
    scale : float, default=4
        γ, > 0. A small one compares each row with all others to the end of the training; a large
        one is content when every row is told apart, near ones too, and learns rows by heart.
    n_samples, embedding_dim : int, default=None
        Where both are given the vectors are created at once, else by ``build``.

    Attributes
    ----------
    instances : Parameter of shape (n_samples, embedding_dim)

    See Also
    --------
    NormalizedSoftmaxLoss : The same on classes.
    TwoViewLoss : Compares views within the batch.

    Notes
    -----
    *Needs* no labels: the place of each row in the training set (``indices``), which `DeepEmbedder`
    tells it.

    *Relations*: `NormalizedSoftmaxLoss` with rows in place of classes; with augmentation it learns
    what stays the same in a row. The paper trains by it at first, then by its sum with a ranking
    loss: ``loss="weighted_sum", loss_params={"losses": ["triplet", "instance"]}``. A library of
    losses has under this name the softmax of the batch's own similarities, whose targets are not
    instances.

    Time O(b n d), memory O(b n) for b rows of n in d dimensions.

    References
    ----------
    .. [1] Zheng, Zheng, Garrett, Yang, Xu and Shen, "Dual-Path Convolutional Image-Text Embeddings
       with Instance Loss", ACM TOMM 2020. :doi:`10.1145/3383184`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import InstanceLoss
    >>> loss = InstanceLoss(scale=4.0, n_samples=3, embedding_dim=3)
    >>> loss.instances.data = torch.eye(3)
    >>> round(loss(torch.eye(3)[:2], None, indices=torch.tensor([0, 1])).item(), 3)
    0.036
    """

    needs_labels = False
    needs_indices = True

    _parameter_constraints: dict = {"scale": [POSITIVE]}

    def __init__(
        self, scale: float = 4.0, n_samples: int | None = None, embedding_dim: int | None = None
    ) -> None:
        super().__init__()
        self.scale = scale
        self.n_samples = n_samples
        self.embedding_dim = embedding_dim
        check_ranges(self)
        self.register_parameter("instances", None)
        if None not in (n_samples, embedding_dim):
            self.build(None, embedding_dim, n_samples)

    def build(
        self, n_classes: int | None, embedding_dim: int, n_samples: int | None = None, **known: Any
    ) -> Self:
        """Create a vector for each training row, and return self."""
        if n_samples is None or n_samples < 1:
            raise ValueError(f"n_samples must be at least 1 to build InstanceLoss, got {n_samples}")
        self.n_samples, self.embedding_dim = n_samples, embedding_dim
        self.instances = nn.Parameter(torch.empty(n_samples, embedding_dim))
        nn.init.kaiming_normal_(self.instances, mode="fan_out")
        return self

    def compute(
        self, embeddings: torch.Tensor, labels: torch.Tensor, indices: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Mean over the rows of ``embeddings`` (b, d); ``labels`` (b,) are not used."""
        if self.instances is None:
            raise RuntimeError(
                "InstanceLoss has no vectors yet: give n_samples and embedding_dim, or call build"
            )
        if indices is None:
            raise ValueError("indices of the training rows are needed by InstanceLoss")
        logits = products(unit_rows(embeddings) * self.scale, unit_rows(self.instances))
        return cross_entropy(logits, indices)


class SemiSupervisedLoss(Composite):
    """A loss on the rows that have a label, plus a loss on two views of every row.

    ::

        loss(z of the labeled rows, y) + weight · views([z; z'])

    with z and z' the two views of a row. -1 is the label of a row without one.

    Parameters
    ----------
    loss : Module
        The loss on labels; it sees the first view.
    views : Module, default=None
        The loss on two views; None is ``TwoViewLoss()``, which compares by `NTXentLoss`.
    weight : float, default=1
        At least 0; with 0 no second view is made, and what is left is ``loss``.

    See Also
    --------
    TwoViewLoss : No labels at all.

    Notes
    -----
    *Needs* what its two losses need; labels, of which any may be -1.

    *Relations*: a loss on labels with instance discrimination [1]_ as regularizer, as the
    semi-supervised forms of self-supervised losses [2]_. With ``weight=0`` the loss on labels.

    Time O(that of the loss on b rows and of the other on 2b); memory likewise.

    References
    ----------
    .. [1] Wu, Xiong, Yu and Lin, "Unsupervised Feature Learning via Non-Parametric Instance
       Discrimination", CVPR 2018. :doi:`10.1109/CVPR.2018.00393`
    .. [2] Zhai, Oliver, Kolesnikov and Beyer, "S4L: Self-Supervised Semi-Supervised Learning",
       ICCV 2019. :doi:`10.1109/ICCV.2019.00156`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import SemiSupervisedLoss, SupConLoss
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> loss = SemiSupervisedLoss(SupConLoss(temperature=0.5), weight=0.5)
    >>> round(loss(torch.cat([x, x]), torch.tensor([0, 0, -1]).repeat(2)).item(), 3)
    0.091
    """

    keeps_unlabeled = True

    _parameter_constraints: dict = {"weight": [NOT_NEGATIVE]}

    def __init__(
        self, loss: nn.Module, views: nn.Module | None = None, weight: float = 1.0
    ) -> None:
        super().__init__()
        self.loss = as_metric_loss(loss)
        self.views = TwoViewLoss() if views is None else as_metric_loss(views)
        self.weight = weight
        check_ranges(self)
        if not self.views.needs_views:
            raise ValueError(
                f"views must be a loss on two views, got {type(self.views).__name__}; wrap it: "
                f"TwoViewLoss({type(self.views).__name__}())"
            )

    @property
    def needs_views(self) -> bool:
        """Whether two views of each row are to be given."""
        return self.weight > 0

    def parts(self) -> list[Any]:
        """Return the loss on labels and the loss on views."""
        return [self.loss, self.views]

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (2b, d), ``labels`` (2b,); (b, d) and (b,) with weight 0."""
        if not self.needs_views:
            return self.loss(embeddings, labels, None, None, indices, features)
        n = _count_pairs(embeddings)
        first = [part if part is None else part[:n] for part in (indices, features)]
        value = self.loss(embeddings[:n], labels[:n], None, None, *first)
        return value + self.weight * self.views(embeddings, labels, None, None, indices, features)


def _count_pairs(embeddings):
    """Return the number of rows of which there are two views; raise where one has no second."""
    n, odd = divmod(len(embeddings), 2)
    if odd:
        raise ValueError(
            f"embeddings must be the first views and, behind them, the second views of as many "
            f"rows, got {len(embeddings)} rows"
        )
    return n
