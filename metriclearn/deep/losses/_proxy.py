"""Losses on learned proxies: Proxy-NCA and its successors, Proxy-Anchor."""

from __future__ import annotations

import math

import torch
from torch import nn

from metriclearn._sklearn import BELOW_ONE, NOT_NEGATIVE, POSITIVE, at_least, one_of
from metriclearn.deep.losses._proxy_base import ProxyLoss, column_log1p_sum, softmax_losses
from metriclearn.deep.tensors._centers import soft_assigned
from metriclearn.deep.tensors._masked_sums import mean_over
from metriclearn.deep.tensors._pairwise import full_precision, products, unit_rows, widen


class ProxyNCALoss(ProxyLoss):
    """Proxy-NCA, as its paper has it: the own proxy is not in the denominator.

    With ``d`` the Euclidean distance of row and proxy, brought to length s or as they come::

        "squared"  mean_i  -log( exp(-d²(x_i, p_y)) / Σ_{j ≠ y} exp(-d²(x_i, p_j)) ), length s
        "plain"    mean_i  -log( exp(-d(x_i, p_y)) / Σ_j exp(-d(x_i, p_j)) ), any length

    Movshovitz-Attias, Toshev, Leung, Ioffe and Singh, "No Fuss Distance Metric Learning using
    Proxies", 2017 [1]_. What libraries call Proxy-NCA often keeps the own proxy in the denominator;
    that is `ProxyNCAPlusPlusLoss`. The value can be negative.

    Parameters
    ----------
    scale : float, default=3
        s, > 0, of "squared".
    form : {"squared", "plain"}, default="squared"
        "plain" is how lectures often write it: distances that are not squared, of vectors that are
        not normalized, the own proxy in the sum.
    n_classes, embedding_dim : int, default=None
        Where both are given the proxies are created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_classes, embedding_dim)

    See Also
    --------
    ProxyNCAPlusPlusLoss : Its successor.
    ProxyAnchorLoss : Proxies as anchors.

    Notes
    -----
    *Needs* labels of classes that are known at the start.

    *Relations*: `ProxyNCAPlusPlusLoss` keeps the own proxy in the sum, has a temperature and is
    often better.

    Time O(b C d), memory O(b C) for b rows, C classes, d dimensions. With a single class there is
    nothing to tell apart and the value is 0.

    References
    ----------
    .. [1] Movshovitz-Attias, Toshev, Leung, Ioffe and Singh, "No Fuss Distance Metric Learning
       using Proxies", ICCV 2017. :doi:`10.48550/arXiv.1703.07464`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import ProxyNCALoss
    >>> loss = ProxyNCALoss(n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.tensor([[1.0, 0.3], [-0.3, 1.0]])
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    -17.068
    -5.689
    """

    _parameter_constraints: dict = {"scale": [POSITIVE], "form": [one_of("squared", "plain")]}

    def __init__(
        self,
        scale: float = 3.0,
        form: str = "squared",
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.scale = scale
        self.form = form
        self._build_if_sized()

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the rows of ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        if self.form == "plain":
            return softmax_losses(-self._distances(embeddings), labels).mean()
        cosine = self._cosines(embeddings)
        if self.n_classes == 1:
            return cosine.sum() * 0
        # At length s, -d² is 2 s² cos - 2 s², whose constant cancels.
        return softmax_losses(cosine, labels, 2 * self.scale**2, own_in_sum=False).mean()

    @property
    def any_length(self) -> bool:
        """Whether vectors are taken as they come."""
        return self.form == "plain"

    def _distances(self, embeddings):
        x, p = widen(embeddings), self.proxies
        p = p.to(x.dtype)
        square = x.square().sum(1)[:, None] + p.square().sum(1) - 2 * products(x, p)
        # What is left of equal vectors after rounding is noise: distance 0, slope 0.
        apart = square > 16 * torch.finfo(square.dtype).eps * (1 + square.detach().abs())
        return torch.where(apart, square, 1.0).sqrt() * apart


class ProxyNCAPlusPlusLoss(ProxyLoss):
    """Proxy-NCA++: the probability of the own proxy, at a low temperature.

    With ``d²`` the squared Euclidean distance of row and proxy, both of length one::

        mean_i  -log( exp(-d²(x_i, p_y) / T) / Σ_j exp(-d²(x_i, p_j) / T) )

    Teh, DeVries and Taylor, "ProxyNCA++: Revisiting and Revitalizing Proxy Neighborhood Component
    Analysis", 2020 [1]_; their other parts (max pooling, layer norm, fast proxies, two rows a
    class) are settings of the embedder.

    Parameters
    ----------
    temperature : float, default=1/9
        T, > 0.
    n_classes, embedding_dim : int, default=None
        Where both are given the proxies are created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_classes, embedding_dim)

    See Also
    --------
    ProxyNCALoss : The first form.
    ProxyAnchorLoss : Proxies as anchors.

    Notes
    -----
    *Needs* labels of classes that are known at the start.

    *Relations*: `ProxyNCALoss` as a probability at a low temperature, which makes it a
    `NormalizedSoftmaxLoss`; `ProxyAnchorLoss` also looks at how rows of a batch compare.

    Time O(b C d), memory O(b C) for b rows, C classes, d dimensions.

    References
    ----------
    .. [1] Teh, DeVries and Taylor, "ProxyNCA++: Revisiting and Revitalizing Proxy Neighborhood
       Component Analysis", ECCV 2020. :doi:`10.48550/arXiv.2004.01113`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import ProxyNCAPlusPlusLoss
    >>> loss = ProxyNCAPlusPlusLoss(n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.tensor([[1.0, 0.3], [-0.3, 1.0]])
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    5.689
    """

    _parameter_constraints: dict = {"temperature": [POSITIVE]}

    def __init__(
        self,
        temperature: float = 1 / 9,
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.temperature = temperature
        self._build_if_sized()

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the rows of ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        # At length one, -d² is 2 cos - 2, whose constant cancels.
        return self._plain_softmax(embeddings, labels, 2 / self.temperature)


class SoftTripleLoss(ProxyLoss):
    """SoftTriple: several centers for each class, softly assigned.

    With ``s_jk`` the cosine of row and center k of class j::

        S_j = Σ_k softmax_k(s_jk / γ) s_jk
        mean_i -log( exp(λ (S_y - δ)) / (exp(λ (S_y - δ)) + Σ_{j ≠ y} exp(λ S_j)) )
        + τ / (C K (K - 1)) Σ_j Σ_{t < u} ‖w_jt - w_ju‖

    Qian, Shang, Sun, Hu, Li and Jin, "SoftTriple Loss: Deep Metric Learning Without Triplet
    Sampling", 2019 [1]_. The last term, between centers of length one, lets centers merge that a
    class does not need; libraries often have it apart or not at all.

    Parameters
    ----------
    margin : float, default=0.01
        δ, at least 0.
    scale : float, default=20
        λ, > 0.
    gamma : float, default=0.1
        γ, > 0: entropy of the assignment to centers.
    tau : float, default=0.2
        τ, at least 0: weight of the merging term.
    n_centers : int, default=10
        K, at least 1.
    n_classes, embedding_dim : int, default=None
        Where both are given the proxies are created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_centers · n_classes, embedding_dim)
        Center k of class c is row ``k · n_classes + c``.

    See Also
    --------
    SubCenterArcFaceLoss : The nearest center.
    NormalizedSoftmaxLoss : One center.

    Notes
    -----
    *Needs* labels of classes that are known at the start.

    *Relations*: `NormalizedSoftmaxLoss` with several centers for a class, merged where fewer do.

    Time O(b C K d + C K² d), memory O(b C K) for b rows, C classes, d dimensions.

    References
    ----------
    .. [1] Qian, Shang, Sun, Hu, Li and Jin, "SoftTriple Loss: Deep Metric Learning Without Triplet
       Sampling", ICCV 2019. :doi:`10.48550/arXiv.1909.05235`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import SoftTripleLoss
    >>> loss = SoftTripleLoss(n_centers=1, n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.tensor([[1.0, 0.3], [-0.3, 1.0]])
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    6.422
    """

    _parameter_constraints: dict = {
        "margin": [NOT_NEGATIVE],
        "scale": [POSITIVE],
        "gamma": [POSITIVE],
        "tau": [NOT_NEGATIVE],
        "n_centers": [at_least(1)],
    }

    def __init__(
        self,
        margin: float = 0.01,
        scale: float = 20.0,
        gamma: float = 0.1,
        tau: float = 0.2,
        n_centers: int = 10,
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.margin = margin
        self.scale = scale
        self.gamma = gamma
        self.tau = tau
        self.n_centers = n_centers
        self._build_if_sized()

    def _initialize(self):
        nn.init.kaiming_uniform_(self.proxies, a=math.sqrt(5))

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Value on ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        centers = unit_rows(self.proxies)
        s = soft_assigned(unit_rows(embeddings), centers, self.n_centers, self.gamma)
        value = softmax_losses(s, labels, self.scale, lambda own: own - self.margin).mean()
        if self.tau and self.n_centers > 1:
            value = value + self.tau * self._spread(centers)
        return value

    @torch.no_grad()
    def count_centers(self, within: float = 0.1) -> torch.Tensor:
        """Count the centers that are left of each class where near ones have merged.

        Parameters
        ----------
        within : float, default=0.1
            Centers of length one no farther apart are one, and so are those that a chain of such
            centers links.

        Returns
        -------
        int64 tensor of shape (n_classes,)
            From 1 to ``n_centers``.
        """
        by_class = unit_rows(self.proxies).view(self.n_centers, self.n_classes, -1).transpose(0, 1)
        linked = torch.cdist(by_class, by_class) <= within
        for _ in range(self.n_centers.bit_length()):  # each time over chains of twice the length
            linked = (linked.float() @ linked.float()) > 0
        # The first center of each chain stands for it.
        first = linked.float().argmax(dim=2) == torch.arange(self.n_centers, device=linked.device)
        return first.sum(dim=1)

    def _spread(self, centers):
        k, c = self.n_centers, self.n_classes
        by_class = centers.view(k, c, -1)
        # Twice each unordered pair, hence the 2.
        with full_precision(centers):
            square = 2 - 2 * torch.einsum("tcd,ucd->ctu", by_class, by_class)
        apart = square > 16 * torch.finfo(square.dtype).eps
        return (torch.where(apart, square, 1.0).sqrt() * apart).sum() / (2 * c * k * (k - 1))


class ProxyAnchorLoss(ProxyLoss):
    """Proxy-Anchor loss: each proxy is an anchor for the whole batch.

    With ``s`` the cosine of row and proxy, P the proxies, P⁺ those of classes in the batch::

        1/|P⁺| Σ_{p ∈ P⁺} log(1 + Σ_{x ∈ X_p⁺} exp(-α (s(x, p) - δ)))
        + 1/|P| Σ_{p ∈ P} log(1 + Σ_{x ∈ X_p⁻} exp( α (s(x, p) + δ)))

    Kim, Kim, Cho and Kwak, "Proxy Anchor Loss for Deep Metric Learning", 2020 [1]_; their code and
    the usual libraries agree.

    Parameters
    ----------
    margin : float, default=0.1
        δ, in [0, 1).
    alpha : float, default=32
        Scale of the cosines, > 0.
    n_classes, embedding_dim : int, default=None
        Where both are given the proxies are created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_classes, embedding_dim)

    See Also
    --------
    ProxyNCAPlusPlusLoss : Rows as anchors.
    ProxyRepulsionLoss : Proxies that repel each other.
    MultiSimilarityLoss : Without proxies.

    Notes
    -----
    *Needs* labels of classes that are known at the start.

    *Relations*: like `MultiSimilarityLoss` with proxies as anchors; a good first choice where
    classes are known, also with one or two rows of each.

    Time O(b C d), memory O(b C) for b rows, C classes, d dimensions.

    References
    ----------
    .. [1] Kim, Kim, Cho and Kwak, "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020.
       :doi:`10.48550/arXiv.2003.13911`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import ProxyAnchorLoss
    >>> loss = ProxyAnchorLoss(n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.eye(2)
    >>> at_home, astray = torch.tensor([0, 1]), torch.tensor([1, 0])
    >>> bool(loss(torch.eye(2), at_home) < loss(torch.eye(2), astray))
    True
    """

    _parameter_constraints: dict = {
        "margin": [BELOW_ONE],
        "alpha": [POSITIVE],
    }

    def __init__(
        self,
        margin: float = 0.1,
        alpha: float = 32.0,
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.margin = margin
        self.alpha = alpha
        self._build_if_sized()

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Value on ``embeddings`` (b, d) with ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        rows, proxies = unit_rows(embeddings), unit_rows(self.proxies)
        pull, present = class_log_sums(
            (rows * proxies[labels]).sum(1), labels, self.n_classes, self.margin, self.alpha
        )
        push = column_log1p_sum(products(rows, proxies), labels, self.margin, self.alpha)
        return mean_over(pull, present) + push.sum() / self.n_classes


def class_log_sums(own, labels, n_classes, margin, alpha):
    """``Σ_c log(1 + Σ_{i of class c} exp(-α (s_i - δ)))`` and the number of classes present.

    Parameters
    ----------
    own : tensor of shape (b,)
        Cosine of each row with the proxy of its class.
    labels : int64 tensor of shape (b,)
    """
    terms = -alpha * (own - margin)
    zeros = own.new_zeros(n_classes)
    top = zeros.scatter_reduce(0, labels, terms.detach(), "amax")
    sums = zeros.index_add(0, labels, torch.exp(terms - top[labels]))
    present = zeros.index_fill(0, labels, 1)
    return ((torch.log(torch.exp(-top) + sums) + top) * present).sum(), present.sum()
