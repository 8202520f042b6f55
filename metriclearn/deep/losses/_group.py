"""Group loss: the class probabilities of a batch, made consistent with its similarities."""

from __future__ import annotations

import torch

from metriclearn._sklearn import BELOW_ONE, NOT_NEGATIVE, POSITIVE, at_least
from metriclearn.deep.losses._proxy_base import ProxyLoss
from metriclearn.deep.tensors._pairwise import (
    dot_products,
    full_precision,
    products,
    ranks_in_class,
    unit_rows,
    widen,
)


class GroupLoss(ProxyLoss):
    """Group loss.

    A linear classifier gives each row a distribution over classes, X⁰; some rows of each class
    (anchors) get their label instead. Similar rows then bring their distributions together, T
    times, and the loss is the cross-entropy of the others::

        W_ij = max(0, correlation of the components of x_i and x_j),  W_ii = 0
        X^{t+1}_iλ = X^t_iλ (W X^t)_iλ / Σ_μ X^t_iμ (W X^t)_iμ
        mean over rows that are no anchors of  -log X^T_{i y_i}

    Elezi, Vascon, Torcinovich, Pelillo and Leal-Taixé, "The Group Loss for Deep Metric Learning",
    2020 [1]_. They draw the anchors of each batch; here they are the first rows of each class,
    since batches come shuffled, and the value depends on the order of the rows within a class.

    Parameters
    ----------
    n_iter : int, default=3
        T, at least 0.
    n_anchors : int, default=1
        Anchors of each class, at least 0; a class of the batch always keeps a row that is none.
    temperature : float, default=1.0
        Of the classifier's softmax, > 0.
    n_classes, embedding_dim : int, default=None
        Where both are given the classifier is created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_classes, embedding_dim)
        The classifier.

    See Also
    --------
    ManifoldLoss : Random walks over a similar graph.
    SoftmaxLoss : Rows by themselves.

    Notes
    -----
    *Needs* labels of classes that are known at the start, some rows of each class in a batch.

    *Relations*: a softmax that also looks at how rows of the batch resemble each other; best begun
    from a network that was trained by `SoftmaxLoss`, as in the paper.

    Time O(b C d + b² (d + C)), memory O(b C + b²) for b rows, C classes, d dimensions.

    References
    ----------
    .. [1] Elezi, Vascon, Torcinovich, Pelillo and Leal-Taixé, "The Group Loss for Deep Metric
       Learning", ECCV 2020. :doi:`10.48550/arXiv.1912.00385`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import GroupLoss
    >>> loss = GroupLoss(n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.tensor([[1.0, 0.3], [-0.3, 1.0]])
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    4.08
    """

    _parameter_constraints: dict = {
        "n_iter": [at_least(0)],
        "n_anchors": [at_least(0)],
        "temperature": [POSITIVE],
    }

    def __init__(
        self,
        n_iter: int = 3,
        n_anchors: int = 1,
        temperature: float = 1.0,
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.n_iter = n_iter
        self.n_anchors = n_anchors
        self.temperature = temperature
        self._build_if_sized()

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over rows of ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        x = widen(embeddings)
        tiny = torch.finfo(x.dtype).tiny
        similarity = dot_products(unit_rows(x - x.mean(1, keepdim=True))).relu()
        similarity = similarity * (1 - torch.eye(len(x), dtype=x.dtype, device=x.device))
        p = torch.softmax(products(x, self.proxies) / self.temperature, 1)
        anchors = self._anchors(labels)[:, None]
        known = torch.zeros_like(p).scatter_(1, labels[:, None], 1)
        p = torch.where(anchors, known, p)
        for _ in range(self.n_iter):
            moved = p * products(similarity, p.T)
            mass = moved.sum(1, keepdim=True)
            # A row without a similar one keeps what it has.
            p = torch.where(mass > tiny, moved / mass.clamp(min=tiny), p)
        own = p.gather(1, labels[:, None]).squeeze(1)
        free = (~anchors.squeeze(1)).to(x.dtype)
        losses = -own.clamp(min=torch.finfo(x.dtype).eps).log() * free
        return self._mean(losses.sum(), free.sum())

    def _anchors(self, labels):
        order, rank, last = ranks_in_class(labels)
        anchors = torch.empty_like(last)
        anchors[order] = (rank < self.n_anchors) & ~last
        return anchors


class ManifoldLoss(ProxyLoss):
    """Manifold similarity: random walks over the rows and the proxies of the classes.

    The nodes are the b rows of the batch and the C proxies; with cosines s, D the diagonal matrix
    of the row sums of S, and ``f_ij`` the entry of F at row i and the proxy of class j::

        S_ij = exp(2 max(0, s_ij)), S_ii = 0,    F = (1 - α) (I - α D^-½ S D^-½)^-1
        mean_i log(1 + Σ_{j ≠ y, a_ij ≥ 0} exp(a_ij)),   a_ij = f_ij - f_iy + m
        + λ mean_i log(1 + Σ_{j ≠ y, c_ij ≥ 0} exp(c_ij)),   c_ij = k_ij - k_iy + m

    with ``k_ij`` the cosine of the rows of F that belong to row i and to proxy j.

    The paper gives a proxy to each of some random groups of classes, for one member of an
    ensemble; here each class has one.

    See [1]_.

    Parameters
    ----------
    margin : float, default=5e-4
        m, at least 0.
    alpha : float, default=0.8
        α, in [0, 1): the share of a step that goes on to neighbors.
    context_weight : float, default=1
        λ, at least 0.
    n_classes, embedding_dim : int, default=None
        Where both are given the proxies are created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_classes, embedding_dim)

    See Also
    --------
    GroupLoss : Labels spread over the batch.
    ProxyAnchorLoss : Cosines with the proxies.

    Notes
    -----
    *Needs* labels of classes that are known at the start, some hundreds at most.

    *Relations*: like `ProxyAnchorLoss` but on similarity along the data rather than straight
    through; `GroupLoss` spreads labels over a similar graph.

    Time O((b + C)³), memory O((b + C)²) for b rows and C classes.

    References
    ----------
    .. [1] Aziere and Todorovic, "Ensemble Deep Manifold Similarity Learning Using Hard Proxies",
       CVPR 2019. :doi:`10.1109/CVPR.2019.00747`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import ManifoldLoss
    >>> loss = ManifoldLoss(n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.tensor([[1.0, 0.3], [-0.3, 1.0]])
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    0.739
    """

    _parameter_constraints: dict = {
        "margin": [NOT_NEGATIVE],
        "alpha": [BELOW_ONE],
        "context_weight": [NOT_NEGATIVE],
    }

    def __init__(
        self,
        margin: float = 5e-4,
        alpha: float = 0.8,
        context_weight: float = 1.0,
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.margin = margin
        self.alpha = alpha
        self.context_weight = context_weight
        self._build_if_sized()

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the rows of ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        n = len(embeddings)
        x = unit_rows(embeddings)
        nodes = torch.cat([x, unit_rows(self.proxies).to(x.dtype)])
        with full_precision(x):
            similar = torch.exp(2 * (nodes @ nodes.T).relu())
            similar = similar - torch.diag(similar.diagonal())
            inverse = similar.sum(1).clamp(min=torch.finfo(x.dtype).tiny).rsqrt()
            walk = similar * inverse[:, None] * inverse
            eye = torch.eye(len(nodes), dtype=x.dtype, device=x.device)
            reach = (1 - self.alpha) * torch.linalg.inv(eye - self.alpha * walk)
            value = self._violations(reach[:n, n:], labels)
            if self.context_weight:
                profiles = unit_rows(reach)
                context = self._violations(profiles[:n] @ profiles[n:].T, labels)
                value = value + self.context_weight * context
        return value

    def _violations(self, affinity, labels):
        """Return the mean soft sum of the classes that are nearer than the own one, or nearly."""
        at = labels[:, None]
        beyond = affinity - affinity.gather(1, at) + self.margin
        wrong = (beyond >= 0).to(affinity.dtype).scatter(1, at, 0)
        return torch.log1p((beyond.clamp(min=0).exp() * wrong).sum(1)).mean()
