"""Softmax losses with a margin on the angle: ArcFace, sub-center ArcFace, SphereFace."""

from __future__ import annotations

import math

import torch

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, at_least
from metriclearn.deep.losses._proxy_base import ProxyLoss, softmax_losses
from metriclearn.deep.losses._softmax import CosineSoftmaxLoss
from metriclearn.deep.tensors._centers import nearest_center
from metriclearn.deep.tensors._masked_sums import cosine_of_sum
from metriclearn.deep.tensors._pairwise import products, unit_rows, widen
from metriclearn.deep.tensors._ranges import RIGHT_ANGLE


def add_angle(cosine, margin):
    """``cos(θ + m)`` from ``cos θ``, continued by ``cos θ - m sin m`` where ``θ + m > π``."""
    moved = cosine_of_sum(cosine, margin)
    return torch.where(cosine > -math.cos(margin), moved, cosine - margin * math.sin(margin))


class ArcFaceLoss(CosineSoftmaxLoss):
    """ArcFace: additive angular margin softmax.

    With θ_j the angle of a row to the proxy of class j, y its own class::

        mean_i  -log( exp(s cos(θ_y + m)) / (exp(s cos(θ_y + m)) + Σ_{j ≠ y} exp(s cos θ_j)) )

    Deng, Guo, Xue and Zafeiriou, "ArcFace", 2019 [1]_. Where θ_y + m > π the cosine would rise
    again; as in the authors' code it goes on as ``cos θ_y - m sin m`` there.

    Parameters
    ----------
    margin : float, default=0.5
        m in radians, in [0, π/2]. Some libraries take degrees (0.5 is 28.6°).
    scale : float, default=64
        s, > 0.
    n_classes, embedding_dim : int, default=None
        Where both are given the proxies are created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_classes, embedding_dim)

    See Also
    --------
    CosFaceLoss : The margin on the cosine.
    SubCenterArcFaceLoss : Several centers for a class.
    SphereFaceLoss : The angle multiplied.

    Notes
    -----
    *Needs* labels of classes that are known at the start.

    *Relations*: like `CosFaceLoss` with the margin on the angle; at the scale of 64 meant for long
    training on much data.

    Time O(b C d), memory O(b C) for b rows, C classes, d dimensions; the margin itself touches b
    entries only.

    References
    ----------
    .. [1] Deng, Guo, Xue and Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face
       Recognition", CVPR 2019. :doi:`10.48550/arXiv.1801.07698`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import ArcFaceLoss
    >>> loss = ArcFaceLoss(n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.tensor([[1.0, 0.3], [-0.3, 1.0]])
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    36.015
    """

    _parameter_constraints: dict = {
        "margin": [RIGHT_ANGLE],
        "scale": [POSITIVE],
    }

    def __init__(
        self,
        margin: float = 0.5,
        scale: float = 64.0,
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.margin = margin
        self.scale = scale
        self._build_if_sized()

    def _with_margin(self, cosine):
        return add_angle(cosine, self.margin)


class SubCenterArcFaceLoss(ProxyLoss):
    """Sub-center ArcFace: K proxies for each class, a row belongs to the nearest.

    ArcFace with ``cos θ_j = max_k cos θ_jk`` over the K proxies of class j.

    Deng, Guo, Liu, Gong and Zafeiriou, "Sub-center ArcFace: Boosting Face Recognition by
    Large-Scale Noisy Web Faces", 2020 [1]_.

    Parameters
    ----------
    margin : float, default=0.5
        m in radians, in [0, π/2].
    scale : float, default=64
        s, > 0.
    n_centers : int, default=3
        K, at least 1.
    n_classes, embedding_dim : int, default=None
        Where both are given the proxies are created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_centers · n_classes, embedding_dim)
        Proxy k of class c is row ``k · n_classes + c``.

    See Also
    --------
    ArcFaceLoss : One center for a class.
    SoftTripleLoss : Centers softly assigned.

    Notes
    -----
    *Needs* labels of classes that are known at the start.

    *Relations*: `ArcFaceLoss` where labels are partly wrong: outliers settle on a center of their
    own; `SoftTripleLoss` mixes the centers rather than choosing one.

    Time O(b C K d), memory O(b C K) for b rows, C classes, d dimensions.

    References
    ----------
    .. [1] Deng, Guo, Liu, Gong and Zafeiriou, "Sub-center ArcFace: Boosting Face Recognition by
       Large-Scale Noisy Web Faces", ECCV 2020. :doi:`10.1007/978-3-030-58621-8_43`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import SubCenterArcFaceLoss
    >>> loss = SubCenterArcFaceLoss(n_centers=1, n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.tensor([[1.0, 0.3], [-0.3, 1.0]])
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    36.015
    """

    _parameter_constraints: dict = {
        "margin": [RIGHT_ANGLE],
        "scale": [POSITIVE],
        "n_centers": [at_least(1)],
    }

    def __init__(
        self,
        margin: float = 0.5,
        scale: float = 64.0,
        n_centers: int = 3,
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.margin = margin
        self.scale = scale
        self.n_centers = n_centers
        self._build_if_sized()

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the rows of ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        rows, centers = unit_rows(embeddings), unit_rows(self.proxies)
        cosine = nearest_center(rows, centers, self.n_centers)
        return softmax_losses(cosine, labels, self.scale, self._with_margin).mean()

    def _with_margin(self, cosine):
        return add_angle(cosine, self.margin)

    @torch.no_grad()
    def angles_to_dominant(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Angle in degrees of each row to its class's dominant proxy.

        The dominant proxy of a class is the one nearest to most of its rows. The paper drops rows
        beyond 75° as wrongly labeled before training again with one proxy.

        Parameters
        ----------
        embeddings : tensor of shape (n, embedding_dim)
        labels : tensor of shape (n,)

        Returns
        -------
        tensor of shape (n,)
        """
        self._check(embeddings, labels)
        cosine = self._cosines(embeddings).view(-1, self.n_centers, self.n_classes)
        own = cosine[torch.arange(len(labels), device=labels.device), :, labels]
        votes = torch.zeros(self.n_classes, self.n_centers, device=labels.device)
        votes.index_put_((labels, own.argmax(1)), votes.new_ones(()), accumulate=True)
        dominant = votes.argmax(1)[labels]
        return own.gather(1, dominant[:, None]).squeeze(1).clamp(-1, 1).acos().rad2deg()


class LargeMarginSoftmaxLoss(ProxyLoss):
    """Large-margin softmax: the angle to the own class counts m times, lengths count as they are.

    ::

        mean_i  -log( exp(z_y) / (exp(z_y) + Σ_{j ≠ y} exp(s ‖w_j‖ ‖x_i‖ cos θ_j)) )
        z_y = s ‖w_y‖ ‖x_i‖ (λ cos θ_y + (-1)^k cos(m θ_y) - 2k) / (1 + λ),   k = ⌊m θ_y / π⌋

    λ falls with the training batches seen, as in the authors' training::

        λ = max(lambda_min, lambda_max / (1 + decay · step))

    See [1]_.

    Parameters
    ----------
    margin : int, default=4
        m, at least 1.
    scale : float, default=1
        s, > 0.
    lambda_max : float, default=1000
        At least 0.
    lambda_min : float, default=5
        At least 0.
    lambda_decay : float, default=0.12
        At least 0.
    n_classes, embedding_dim : int, default=None
        Where both are given the classifier is created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_classes, embedding_dim)
    step : buffer of shape ()
        Training batches seen.

    See Also
    --------
    SphereFaceLoss : Proxies of length one.
    SoftmaxLoss : Without a margin.

    Notes
    -----
    *Needs* labels of classes that are known at the start; embeddings of any length, which
    `DeepEmbedder` leaves as they are.

    *Relations*: `SphereFaceLoss` is the same with the lengths of the proxies taken out;
    `ArcFaceLoss` adds to the angle rather than multiplying it and is easier to train.

    Time O(b C d), memory O(b C) for b rows, C classes, d dimensions.

    References
    ----------
    .. [1] Liu, Wen, Yu and Yang, "Large-Margin Softmax Loss for Convolutional Neural Networks",
       ICML 2016. :doi:`10.48550/arXiv.1612.02295`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import LargeMarginSoftmaxLoss
    >>> loss = LargeMarginSoftmaxLoss(n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.tensor([[1.0, 0.3], [-0.3, 1.0]])
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.327
    0.658
    """

    any_length = True

    _parameter_constraints: dict = {
        "margin": [at_least(1)],
        "scale": [POSITIVE],
        "lambda_max": [NOT_NEGATIVE],
        "lambda_min": [NOT_NEGATIVE],
        "lambda_decay": [NOT_NEGATIVE],
    }

    def __init__(
        self,
        margin: int = 4,
        scale: float = 1.0,
        lambda_max: float = 1000.0,
        lambda_min: float = 5.0,
        lambda_decay: float = 0.12,
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.margin = margin
        self.scale = scale
        self.lambda_max = lambda_max
        self.lambda_min = lambda_min
        self.lambda_decay = lambda_decay
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self._build_if_sized()

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the rows of ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        if self.training:
            self.step += 1
        x = widen(embeddings)
        lengths = _lengths(x) * _lengths(self.proxies)[labels].to(x.dtype)
        own = (unit_rows(x) * unit_rows(self.proxies)[labels]).sum(1)
        blend = annealed(self, own)
        moved = (blend * own + multiple_angle(own, int(self.margin))) / (1 + blend)
        logits = products(x, self.proxies).scatter(1, labels[:, None], (lengths * moved)[:, None])
        return softmax_losses(logits, labels, self.scale).mean()


def _lengths(x):
    """Return the length of each row, with slope 0 where it is 0."""
    square = x.square().sum(1)
    some = square > 0
    return torch.where(some, square, 1.0).sqrt() * some


def annealed(loss, like):
    """Return λ of a loss that anneals its margin, of the dtype of ``like``."""
    blend = loss.lambda_max / (1 + loss.lambda_decay * loss.step.to(like.dtype))
    return blend.clamp(min=loss.lambda_min)


class SphereFaceLoss(ProxyLoss):
    """SphereFace / A-softmax: multiplicative angular margin softmax.

    ::

        mean_i  -log( exp(s ψ) / (exp(s ψ) + Σ_{j ≠ y} exp(s cos θ_j)) )
        ψ = (λ cos θ_y + (-1)^k cos(m θ_y) - 2k) / (1 + λ),      k = ⌊m θ_y / π⌋

    Liu, Wen, Yu, Li, Raj and Song, "SphereFace: Deep Hypersphere Embedding for Face Recognition",
    2017 [1]_. There ``s`` is the length of the row (``scale=None``); a fixed scale is the form for
    rows of length one. As in the authors' training λ falls from ``lambda_max`` towards
    ``lambda_min``, ``λ = max(lambda_min, lambda_max / (1 + decay · step))``, counted in training
    mode; libraries often leave it out, which is ``lambda_max=0, lambda_min=0``.

    Parameters
    ----------
    margin : int, default=4
        m, at least 1.
    scale : float, default=30
        s, > 0, or None for the length of each row.
    lambda_max : float, default=1000
        At least 0.
    lambda_min : float, default=5
        At least 0.
    lambda_decay : float, default=0.12
        At least 0; 0 keeps λ at ``lambda_max``.
    n_classes, embedding_dim : int, default=None
        Where both are given the proxies are created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_classes, embedding_dim)
    step : buffer of shape ()
        Training batches seen.

    See Also
    --------
    ArcFaceLoss : The angle plus a margin.
    LargeMarginSoftmaxLoss : With the lengths of the proxies.

    Notes
    -----
    *Needs* labels of classes that are known at the start.

    *Relations*: the first of the margin losses; `ArcFaceLoss` is easier to train.

    Time O(b C d), memory O(b C) for b rows, C classes, d dimensions.

    References
    ----------
    .. [1] Liu, Wen, Yu, Li, Raj and Song, "SphereFace: Deep Hypersphere Embedding for Face
       Recognition", CVPR 2017. :doi:`10.48550/arXiv.1704.08063`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import SphereFaceLoss
    >>> loss = SphereFaceLoss(n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.tensor([[1.0, 0.3], [-0.3, 1.0]])
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    9.531
    """

    _parameter_constraints: dict = {
        "margin": [at_least(1)],
        "scale": [POSITIVE, None],
        "lambda_max": [NOT_NEGATIVE],
        "lambda_min": [NOT_NEGATIVE],
        "lambda_decay": [NOT_NEGATIVE],
    }

    def __init__(
        self,
        margin: int = 4,
        scale: float = 30.0,
        lambda_max: float = 1000.0,
        lambda_min: float = 5.0,
        lambda_decay: float = 0.12,
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.margin = margin
        self.scale = scale
        self.lambda_max = lambda_max
        self.lambda_min = lambda_min
        self.lambda_decay = lambda_decay
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self._build_if_sized()

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the rows of ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        if self.training:
            self.step += 1
        cosine = self._cosines(embeddings)
        scale = self.scale
        if scale is None:
            square = widen(embeddings).square().sum(1)
            scale = square.clamp(min=torch.finfo(square.dtype).tiny).sqrt()
        return softmax_losses(cosine, labels, scale, self._with_margin).mean()

    def _with_margin(self, cosine):
        blend = annealed(self, cosine)
        return (blend * cosine + multiple_angle(cosine, int(self.margin))) / (1 + blend)


def multiple_angle(cosine, m):
    """``(-1)^k cos(m θ) - 2k`` with ``k = ⌊m θ / π⌋``: falls from 1 to 1 - 2m as θ goes to π."""
    before, now = torch.ones_like(cosine), cosine
    for _ in range(m - 1):  # Chebyshev's recurrence for cos(m θ)
        before, now = now, 2 * cosine * now - before
    with torch.no_grad():
        k = (torch.acos(cosine.clamp(-1, 1)) * (m / math.pi)).floor().clamp(max=m - 1)
        sign = 1 - 2 * (k % 2)
    return sign * now - 2 * k
