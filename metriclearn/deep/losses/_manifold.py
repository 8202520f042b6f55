"""Manifold loss: similarity along a graph of rows and proxies."""

from __future__ import annotations

import torch

from metriclearn.deep.losses._proxy_base import ProxyLoss
from metriclearn.deep.tensors._pairwise import full_precision, unit_rows
from metriclearn.deep.tensors._ranges import BELOW_ONE, NOT_NEGATIVE


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
