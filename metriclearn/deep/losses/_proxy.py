"""Losses that learn one or more proxies for each class, or a linear classifier."""

import math

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from metriclearn.deep._pairwise import mean_over, products, unit_rows


class ProxyLoss(nn.Module):
    """Base of the losses with proxies: sizes, initial values, and the checks of both.

    A subclass may say how many proxies a class has by setting ``n_centers``.
    """

    accepts = ()

    def __init__(self, n_classes=None, embedding_dim=None):
        super().__init__()
        self.n_classes = n_classes
        self.embedding_dim = embedding_dim
        self.register_parameter("proxies", None)

    def build(self, n_classes, embedding_dim):
        """Create the proxies, of shape (n_classes · n_centers, embedding_dim), and return self."""
        for name, given in (("n_classes", n_classes), ("embedding_dim", embedding_dim)):
            if given < 1:
                raise ValueError(f"{name} must be at least 1, got {given}")
        self.n_classes = int(n_classes)
        self.embedding_dim = int(embedding_dim)
        n_proxies = self.n_classes * getattr(self, "n_centers", 1)
        self.proxies = nn.Parameter(torch.empty(n_proxies, self.embedding_dim))
        self._initialize()
        return self

    def _build_if_sized(self):
        if self.n_classes is not None and self.embedding_dim is not None:
            self.build(self.n_classes, self.embedding_dim)

    def _initialize(self):
        nn.init.kaiming_normal_(self.proxies, mode="fan_out")

    def _check(self, embeddings, labels):
        name = type(self).__name__
        if self.proxies is None:
            raise RuntimeError(
                f"{name} has no proxies yet: give n_classes and embedding_dim, or call "
                "build(n_classes, embedding_dim)"
            )
        if embeddings.shape[1] != self.embedding_dim:
            raise ValueError(
                f"{name} was built for embeddings of {self.embedding_dim} dimensions, "
                f"got {embeddings.shape[1]}"
            )
        # On an accelerator the comparison would make every step wait for the device.
        if labels.device.type == "cpu" and len(labels):
            low, high = labels.aminmax()
            if low < 0 or high >= self.n_classes:
                raise ValueError(
                    f"{name} was built for labels from 0 to {self.n_classes - 1}, "
                    f"got {int(low if low < 0 else high)}"
                )

    def _cosines(self, embeddings):
        return products(unit_rows(embeddings), unit_rows(self.proxies))


class ProxyAnchorLoss(ProxyLoss):
    """Proxy-Anchor loss: each proxy is an anchor for the whole batch.

    With ``s`` the cosine of row and proxy, P the proxies, P⁺ those of classes in the batch::

        1/|P⁺| Σ_{p ∈ P⁺} log(1 + Σ_{x ∈ X_p⁺} exp(-α (s(x, p) - δ)))
        + 1/|P| Σ_{p ∈ P} log(1 + Σ_{x ∈ X_p⁻} exp( α (s(x, p) + δ)))

    Kim, Kim, Cho and Kwak, "Proxy Anchor Loss for Deep Metric Learning", 2020; their code and
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

    Notes
    -----
    Time O(b C d), memory O(b C) for b rows, C classes, d dimensions.

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

    def __init__(self, margin=0.1, alpha=32.0, n_classes=None, embedding_dim=None):
        super().__init__(n_classes, embedding_dim)
        self.margin = margin
        self.alpha = alpha
        self._build_if_sized()

    def forward(self, embeddings, labels):
        """Value on ``embeddings`` (b, d) with ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        s = self._cosines(embeddings)
        own = torch.zeros_like(s).scatter_(1, labels[:, None], 1)
        # |s| <= 1 bounds the exponents, so one shift serves every column.
        shift = self.alpha * (1 + self.margin)
        pull = (torch.exp(-self.alpha * (s - self.margin) - shift) * own).sum(0)
        push = (torch.exp(self.alpha * (s + self.margin) - shift) * (1 - own)).sum(0)
        floor = math.exp(-shift)
        present = own.any(0).sum()
        pull = torch.log(floor + pull) + shift
        push = torch.log(floor + push) + shift
        return mean_over(pull.sum(), present) + push.sum() / self.n_classes


class ArcFaceLoss(ProxyLoss):
    """ArcFace: additive angular margin softmax.

    With θ_j the angle of a row to the proxy of class j, y its own class::

        -log( exp(s cos(θ_y + m)) / (exp(s cos(θ_y + m)) + Σ_{j ≠ y} exp(s cos θ_j)) )

    Deng, Guo, Xue and Zafeiriou, "ArcFace", 2019. Where θ_y + m > π the cosine would rise again;
    as in the authors' code it goes on as ``cos θ_y - m sin m`` there.

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

    Notes
    -----
    Time O(b C d), memory O(b C) for b rows, C classes, d dimensions; the margin itself touches b
    entries only.
    """

    def __init__(self, margin=0.5, scale=64.0, n_classes=None, embedding_dim=None):
        super().__init__(n_classes, embedding_dim)
        self.margin = margin
        self.scale = scale
        self._build_if_sized()

    def forward(self, embeddings, labels):
        """Value on ``embeddings`` (b, d) with ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        s = self._cosines(embeddings)
        target = s.gather(1, labels[:, None])
        with_margin = add_angle(target, self.margin)
        logits = s.scatter(1, labels[:, None], with_margin)
        return cross_entropy(logits * self.scale, labels)


def sine(cosine):
    """``sqrt(1 - cosine²)`` with gradient 0 where it would be infinite."""
    square = 1 - cosine.square()
    safe = square > torch.finfo(cosine.dtype).eps
    return torch.where(safe, square, 1.0).sqrt() * safe


def add_angle(cosine, margin):
    """``cos(θ + m)`` from ``cos θ``, continued by ``cos θ - m sin m`` where ``θ + m > π``."""
    moved = cosine * math.cos(margin) - sine(cosine) * math.sin(margin)
    return torch.where(cosine > -math.cos(margin), moved, cosine - margin * math.sin(margin))
