"""Proxy repulsion: proxies that keep each other away."""

from __future__ import annotations

import torch

from metriclearn._sklearn import BELOW_ONE, POSITIVE, one_of
from metriclearn.deep.losses._proxy import class_log_sums
from metriclearn.deep.losses._proxy_base import ProxyLoss
from metriclearn.deep.tensors._masked_sums import FAR, lowest_exponent, mean_over
from metriclearn.deep.tensors._pairwise import full_precision, products, unit_rows, with_gradient

#: Exponents below which a sum of exponentials is in the range of float32 as it is.
_NO_SHIFT = 60.0


class ProxyRepulsionLoss(ProxyLoss):
    """Proxy-Anchor's attraction, with the proxies repelling each other in place of the rows.

    W are the proxies and W⁺ those of classes in the batch X, all vectors of length one::

        1/|W⁺| Σ_{w ∈ W⁺} log(1 + Σ_{x ∈ X_w⁺} exp(-α (wᵀx - λ)))
        + 1/|W| Σ_{w ∈ W} log(1 + Σ_{w⁻ ≠ w} exp(α (r(w, w⁻) + λ)))

        "proxies"  r(w, w⁻) = wᵀ w⁻
        "batch"    r(w, w⁻) = Σ_{x ∈ X} (wᵀ x)(xᵀ w⁻)

    The variants are L1 and L2 of the thesis [1]_. In the second, proxies repel
    each other as the batch sees them. Rows are only attracted, up to about λ: the defaults attract
    further than Proxy-Anchor's 0.1, at which clusters stay loose.

    See [1]_.

    Parameters
    ----------
    margin : float, default=0.5
        λ, in [0, 1).
    alpha : float, default=16
        Scale of the cosines, > 0.
    variant : {"proxies", "batch"}, default="proxies"
    n_classes, embedding_dim : int, default=None
        Where both are given the proxies are created at once, else by ``build``.

    Attributes
    ----------
    proxies : Parameter of shape (n_classes, embedding_dim)

    See Also
    --------
    ProxyAnchorLoss : Rows push.
    ProxyRegularizer : Separation added to another loss.

    Notes
    -----
    *Needs* labels of classes that are known at the start.

    *Relations*: the attraction of `ProxyAnchorLoss`; the proxies keep apart by themselves, where
    there the rows push them.

    Time O(b C d + C² d) ("batch": O(b C d + C² b)), memory O(C (b + d)) for b rows, C classes,
    d dimensions.

    References
    ----------
    .. [1] Psomas, "Metric Learning: A Deep Dive", postgraduate thesis, National and Kapodistrian
       University of Athens, 2020.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import ProxyRepulsionLoss
    >>> loss = ProxyRepulsionLoss(n_classes=2, embedding_dim=2)
    >>> loss.proxies.data = torch.tensor([[1.0, 0.3], [-0.3, 1.0]])
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    8.002
    11.0
    """

    _parameter_constraints: dict = {
        "margin": [BELOW_ONE],
        "alpha": [POSITIVE],
        "variant": [one_of("proxies", "batch")],
    }

    def __init__(
        self,
        margin: float = 0.5,
        alpha: float = 16.0,
        variant: str = "proxies",
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__(n_classes, embedding_dim)
        self.margin = margin
        self.alpha = alpha
        self.variant = variant
        self._build_if_sized()

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Value on ``embeddings`` (b, d) with ``labels`` (b,) from 0 to n_classes - 1."""
        self._check(embeddings, labels)
        rows, proxies = unit_rows(embeddings), unit_rows(self.proxies)
        pull, present = class_log_sums(
            (rows * proxies[labels]).sum(1), labels, self.n_classes, self.margin, self.alpha
        )
        seen = proxies if self.variant == "proxies" else products(proxies, rows)
        push = repulsion(seen, self.margin, self.alpha)
        return mean_over(pull, present) + push / self.n_classes


def repulsion(vectors, margin, alpha):
    """``Σ_i log(1 + Σ_{j ≠ i} exp(α (v_iᵀ v_j + λ)))``, a block at a time.

    Parameters
    ----------
    vectors : tensor of shape (c, d)
    margin, alpha : float
        λ and α.

    Returns
    -------
    scalar tensor
    """
    with torch.no_grad(), full_precision(vectors):
        largest = alpha * (vectors.square().sum(1).max() + margin)
        sums = _symmetric_sums if largest < _NO_SHIFT else _shifted_sums
        total, gradient = sums(vectors, margin, alpha)
    return with_gradient(vectors, total, gradient)


def _symmetric_sums(vectors, margin, alpha):
    """Value and gradient of `repulsion`, each product formed for the upper half only.

    Twice, since the sums of all rows are in the gradient of each: two thirds of the products of
    `_shifted_sums`. Needs exponents that no shift is needed for.
    """
    size = 512 if vectors.device.type == "cpu" else 8192  # in cache, or few launches
    blocks = [slice(start, start + size) for start in range(0, len(vectors), size)]
    upper = [(i, j) for i in blocks for j in blocks if i.start <= j.start]
    shift = vectors.new_full((1, 1), alpha * margin)

    def terms(i, j):
        block = torch.addmm(shift, vectors[i], vectors[j].T, alpha=alpha).exp_()
        return block.fill_diagonal_(0) if i == j else block

    mass = vectors.new_ones(len(vectors))
    for i, j in upper:
        block = terms(i, j)
        mass[i] += block.sum(1)
        if i != j:
            mass[j] += block.sum(0)
    weights = alpha / mass
    gradient = torch.zeros_like(vectors)
    for i, j in upper:
        block = terms(i, j).mul_(weights[i][:, None] + weights[j])
        gradient[i].addmm_(block, vectors[j])
        if i != j:
            gradient[j].addmm_(block.T, vectors[i])
    return mass.log().sum(), gradient


def _shifted_sums(vectors, margin, alpha):
    """Value and gradient of `repulsion`, whatever the size of the exponents."""
    total = vectors.new_zeros(())
    gradient = torch.zeros_like(vectors)
    for start in range(0, len(vectors), 512):
        block = vectors[start : start + 512]
        terms = (block @ vectors.T).add_(margin).mul_(alpha)
        terms[:, start : start + 512].fill_diagonal_(-FAR)
        top = terms.amax(1, keepdim=True).clamp_(min=0)
        terms.sub_(top).clamp_(min=lowest_exponent(terms.dtype)).exp_()
        mass = terms.sum(1, keepdim=True).add_(torch.exp(-top))
        total += (mass.log() + top).sum()
        terms.mul_(alpha / mass)
        gradient[start : start + 512].addmm_(terms, vectors)
        gradient.addmm_(terms.T, block)
    return total, gradient
