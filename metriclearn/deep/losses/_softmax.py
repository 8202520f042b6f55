"""Softmax losses over classes: a linear classifier, on cosines, with a margin on the cosine."""

from __future__ import annotations

import math

import torch
from torch import nn

from metriclearn._sklearn import BELOW_ONE, POSITIVE
from metriclearn.deep.losses._proxy_base import ProxyLoss, softmax_losses
from metriclearn.deep.tensors._pairwise import products, widen


class SoftmaxLoss(ProxyLoss):
    """Softmax cross-entropy of a linear classifier on the embeddings.

    ::

        mean_i  -log( exp(w_yᵀ x_i + b_y) / Σ_j exp(w_jᵀ x_i + b_j) )

    The baseline of the whole family (Zhai and Wu, 2019 [1]_, show how strong it is). Neither rows
    nor weights are normalized here.

    Parameters
    ----------
    scale : float, default=1
        Multiplies the logits, > 0; larger where the embeddings have length one.
    label_smoothing : float, default=0
        Share of the target that all classes have alike, in [0, 1): what is averaged is
        ``(1 - ε)`` times the above plus ``ε`` times its mean over the classes in place of y [2]_.
    neck : bool, default=False
        Classify the batch-normalized embedding, without bias. Other losses in a sum still compare
        the embedding itself, of which distance is asked and not direction alone [3]_.
    n_classes, embedding_dim : int, default=None
        Where both are given the classifier is created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_classes, embedding_dim)
    bias : Parameter of shape (n_classes,)
        None behind a neck.

    See Also
    --------
    NormalizedSoftmaxLoss : On cosines.

    Notes
    -----
    *Needs* labels of classes that are known at the start.

    *Relations*: plain classification; `NormalizedSoftmaxLoss` is often better for retrieval, as it
    leaves lengths out.

    Time O(b C d), memory O(b C) for b rows, C classes, d dimensions.

    References
    ----------
    .. [1] Zhai and Wu, "Classification is a Strong Baseline for Deep Metric Learning", BMVC 2019.
       :doi:`10.48550/arXiv.1811.12649`
    .. [2] Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the Inception Architecture for
       Computer Vision", CVPR 2016. :doi:`10.1109/CVPR.2016.308`
    .. [3] Luo, Gu, Liao, Lai and Jiang, "Bag of Tricks and a Strong Baseline for Deep Person
       Re-identification", CVPRW 2019. :doi:`10.1109/CVPRW.2019.00190`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import SoftmaxLoss
    >>> loss = SoftmaxLoss(n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.tensor([[1.0, 0.3], [-0.3, 1.0]])
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.327
    0.657
    """

    _parameter_constraints: dict = {
        "scale": [POSITIVE],
        "label_smoothing": [BELOW_ONE],
        "neck": ["boolean"],
    }

    def __init__(
        self,
        scale: float = 1.0,
        label_smoothing: float = 0.0,
        neck: bool = False,
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.scale = scale
        self.label_smoothing = label_smoothing
        self.neck = neck
        self.register_parameter("bias", None)
        self._build_if_sized()

    def _initialize(self):
        bound = 1 / math.sqrt(self.embedding_dim)
        nn.init.uniform_(self.proxies, -bound, bound)
        if not self.neck:
            self.bias = nn.Parameter(torch.zeros(self.n_classes))
            return
        # Its scale is that of the weights, and a shift would be a bias.
        self.batch_norm = nn.BatchNorm1d(self.embedding_dim, affine=False)

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the rows of ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        x = widen(embeddings)
        if self.neck:
            logits = products(self._normalized(x), self.proxies)
        else:
            logits = products(x, self.proxies) + self.bias.to(x.dtype)
        losses = softmax_losses(logits, labels, self.scale)
        if self.label_smoothing:
            ahead = logits.gather(1, labels[:, None])[:, 0] - logits.mean(1)
            losses = losses + self.label_smoothing * self.scale * ahead
        return losses.mean()

    def _normalized(self, x):
        neck = self.batch_norm
        x = x.to(neck.running_mean.dtype)
        if len(x) > 1:
            return neck(x)
        # One row has no deviation.
        return nn.functional.batch_norm(x, neck.running_mean, neck.running_var)


class CosineSoftmaxLoss(ProxyLoss):
    """Base of the softmax losses on cosines: a scale, and a margin on the own class.

    A subclass says by ``_with_margin(cosine)`` what its own class's cosine becomes (None leaves
    it), and by ``_scale()`` the scale.
    """

    _with_margin = None

    def _scale(self):
        return self.scale

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the rows of ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        if self._with_margin is None:
            return self._plain_softmax(embeddings, labels, self._scale())
        cosine = self._cosines(embeddings)
        return softmax_losses(cosine, labels, self._scale(), self._with_margin).mean()


class NormalizedSoftmaxLoss(CosineSoftmaxLoss):
    """Normalized softmax: cross-entropy of the cosines over a temperature.

    ::

        mean_i  -log( exp(cos θ_y / τ) / Σ_j exp(cos θ_j / τ) )

    Zhai and Wu, "Classification is a Strong Baseline for Deep Metric Learning", 2019 [1]_. Wang et
    al., "NormFace", 2017, is the same with a learned scale.

    Parameters
    ----------
    temperature : float, default=0.05
        τ, > 0.
    n_classes, embedding_dim : int, default=None
        Where both are given the proxies are created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_classes, embedding_dim)

    See Also
    --------
    CosFaceLoss : With a margin on the cosine.
    ArcFaceLoss : With a margin on the angle.

    Notes
    -----
    *Needs* labels of classes that are known at the start.

    *Relations*: `SoftmaxLoss` on cosines; `CosFaceLoss` and `ArcFaceLoss` add a margin,
    `ProxyNCAPlusPlusLoss` is the same with another scale.

    Time O(b C d), memory O(b C) for b rows, C classes, d dimensions.

    References
    ----------
    .. [1] Zhai and Wu, "Classification is a Strong Baseline for Deep Metric Learning", BMVC 2019.
       :doi:`10.48550/arXiv.1811.12649`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import NormalizedSoftmaxLoss
    >>> loss = NormalizedSoftmaxLoss(n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.tensor([[1.0, 0.3], [-0.3, 1.0]])
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    6.322
    """

    _parameter_constraints: dict = {"temperature": [POSITIVE]}

    def __init__(
        self,
        temperature: float = 0.05,
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.temperature = temperature
        self._build_if_sized()

    def _scale(self):
        return 1 / self.temperature


class CosFaceLoss(CosineSoftmaxLoss):
    """CosFace: additive cosine margin softmax.

    ::

        mean_i  -log( exp(s (cos θ_y - m)) / (exp(s (cos θ_y - m)) + Σ_{j ≠ y} exp(s cos θ_j)) )

    Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", 2018 [1]_ (also
    AM-softmax, Wang, Cheng, Liu and Liu, 2018).

    Parameters
    ----------
    margin : float, default=0.35
        m, in [0, 1).
    scale : float, default=64
        s, > 0.
    n_classes, embedding_dim : int, default=None
        Where both are given the proxies are created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_classes, embedding_dim)

    See Also
    --------
    ArcFaceLoss : The margin on the angle.
    NormalizedSoftmaxLoss : Without a margin.

    Notes
    -----
    *Needs* labels of classes that are known at the start.

    *Relations*: like `ArcFaceLoss` with the margin on the cosine; `NormalizedSoftmaxLoss` is that
    without a margin.

    Time O(b C d), memory O(b C) for b rows, C classes, d dimensions.

    References
    ----------
    .. [1] Wang, Wang, Zhou, Ji, Gong, Zhou, Li and Liu, "CosFace: Large Margin Cosine Loss for
       Deep Face Recognition", CVPR 2018. :doi:`10.48550/arXiv.1801.09414`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import CosFaceLoss
    >>> loss = CosFaceLoss(n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.tensor([[1.0, 0.3], [-0.3, 1.0]])
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    31.429
    """

    _parameter_constraints: dict = {
        "margin": [BELOW_ONE],
        "scale": [POSITIVE],
    }

    def __init__(
        self,
        margin: float = 0.35,
        scale: float = 64.0,
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.margin = margin
        self.scale = scale
        self._build_if_sized()

    def _with_margin(self, cosine):
        return cosine - self.margin


class P2SGradLoss(ProxyLoss):
    """P2SGrad: squared error of the cosines, 1 for the own class and 0 for the others.

    With ``s_ij`` the cosine of row i and the proxy of class j::

        mean_i Σ_j (s_ij - [j = y_i])²

    Its gradient in a cosine is its distance from the target, whatever the others are, where that of
    a softmax is a probability: there is no scale to choose. A library takes the mean over the
    classes, too.

    See [1]_.

    Parameters
    ----------
    n_classes, embedding_dim : int, default=None
        Where both are given the proxies are created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_classes, embedding_dim)

    See Also
    --------
    NormalizedSoftmaxLoss : Softmax of the cosines.

    Notes
    -----
    *Needs* labels of classes that are known at the start.

    *Relations*: like `NormalizedSoftmaxLoss` without its scale; `CosFaceLoss` and `ArcFaceLoss`
    push the own class further ahead, which often generalizes better.

    Time O(b C d), memory O(b C) for b rows, C classes, d dimensions.

    References
    ----------
    .. [1] Zhang, Zhao, Yan, Gao, Qiao, Wang and Li, "P2SGrad: Refined Gradients for Optimizing
       Deep Face Models", CVPR 2019. :doi:`10.48550/arXiv.1905.02479`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import P2SGradLoss
    >>> loss = P2SGradLoss(n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.eye(2)
    >>> loss(torch.eye(2), torch.tensor([0, 1])).item()
    0.0
    """

    def __init__(self, n_classes: int | None = None, embedding_dim: int | None = None) -> None:
        super().__init__(n_classes, embedding_dim)
        self._build_if_sized()

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the rows of ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        cosine = self._cosines(embeddings)
        own = cosine.gather(1, labels[:, None])
        # (s - 1)² = s² - 2 s + 1 of the own class
        return (cosine.square().sum(1) - 2 * own.squeeze(1) + 1).mean()
