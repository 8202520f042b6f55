"""What the losses with proxies share: sizes and checks, and the softmax over classes."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import nn
from torch.autograd import Function
from torch.nn.functional import cross_entropy

from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.tensors._batches import check_codes
from metriclearn.deep.tensors._masked_sums import FAR, lowest_exponent
from metriclearn.deep.tensors._pairwise import first_derivative_only, products, unit_rows
from metriclearn.deep.tensors._ranges import check_ranges


def check_has_proxies(loss):
    """Raise a ``ValueError`` for a loss without proxies."""
    if not isinstance(loss, ProxyLoss):
        raise ValueError(f"loss must be one with proxies, got {type(loss).__name__}")


class ProxyLoss(MetricLoss):
    """Base of the losses with proxies: sizes, initial values, and the checks of both.

    A subclass with several proxies for each class sets ``n_centers``; proxy k of class c is then
    row ``k · n_classes + c``.
    """

    needs_classes = True
    #: Proxies of each class.
    n_centers = 1

    def __init__(self, n_classes: int | None = None, embedding_dim: int | None = None) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.embedding_dim = embedding_dim
        self.register_parameter("proxies", None)

    def build(self, n_classes: int | None, embedding_dim: int, **known: Any) -> Self:
        """Create the proxies, of shape (n_centers · n_classes, embedding_dim), and return self."""
        for name, given in (("n_classes", n_classes), ("embedding_dim", embedding_dim)):
            if given < 1:
                raise ValueError(f"{name} must be at least 1, got {given}")
        self.n_classes = int(n_classes)
        self.embedding_dim = int(embedding_dim)
        n_proxies = self.n_classes * self.n_centers
        self.proxies = nn.Parameter(torch.empty(n_proxies, self.embedding_dim))
        self._initialize()
        return self

    def _build_if_sized(self):
        """Check the arguments and make the proxies if possible, at the end of a constructor."""
        check_ranges(self)
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
        check_codes(name, labels, self.n_classes)

    def _cosines(self, embeddings):
        return products(unit_rows(embeddings), unit_rows(self.proxies))

    def _plain_softmax(self, embeddings, labels, scale):
        """Cross-entropy of the cosines times a scale."""
        # The rows are fewer numbers to scale than the cosines.
        logits = products(unit_rows(embeddings) * scale, unit_rows(self.proxies))
        return cross_entropy(logits, labels)


class _SoftmaxLosses(Function):
    @staticmethod
    def forward(ctx, logits, labels, scale, with_margin, own_in_sum):
        at = labels[:, None]
        own = logits.gather(1, at)
        slope = None
        if with_margin is not None:
            with torch.enable_grad():  # the margin is on b entries only
                before = own.detach().requires_grad_()
                after = with_margin(before)
                (slope,) = torch.autograd.grad(after.sum(), before)
            own = after.detach()
        of_rows = isinstance(scale, torch.Tensor)
        factor = scale[:, None] if of_rows else scale
        terms = logits * factor
        own_term = own * factor
        terms.scatter_(1, at, own_term if own_in_sum else torch.full_like(own_term, -FAR))
        top = terms.amax(1, keepdim=True).clamp_(min=-FAR / 2)
        expected = terms.clone() if of_rows else None
        terms.sub_(top).clamp_(min=lowest_exponent(terms.dtype)).exp_()
        total = terms.sum(1, keepdim=True).clamp_(min=torch.finfo(terms.dtype).tiny)
        if of_rows:  # derivative in the scale: mean logit less own logit
            expected = expected.mul_(terms).sum(1, keepdim=True).div_(total)
            expected = ((expected - own_term) / factor).squeeze(1)
        ctx.scale = None if of_rows else scale
        ctx.own_in_sum = own_in_sum
        ctx.save_for_backward(terms, total, at, slope, expected, scale if of_rows else None)
        return (total.log().add_(top) - own_term).squeeze(1)

    @staticmethod
    @first_derivative_only
    def backward(ctx, gradient):
        terms, total, at, slope, expected, row_scale = ctx.saved_tensors
        scale = ctx.scale if row_scale is None else row_scale
        factor = (gradient * scale)[:, None]
        result = terms * (factor / total)
        own = result.gather(1, at) - factor if ctx.own_in_sum else -factor
        if slope is not None:
            own = own * slope
        result.scatter_(1, at, own)
        return result, None, None if expected is None else gradient * expected, None, None


def softmax_losses(logits, labels, scale=1.0, with_margin=None, own_in_sum=True):
    """``-log(exp(s t) / (exp(s t) + Σ_{j ≠ y} exp(s z_j)))`` of each row, with ``t`` from ``z_y``.

    Parameters
    ----------
    logits : tensor of shape (b, c)
        z.
    labels : int64 tensor of shape (b,)
        y.
    scale : float or tensor of shape (b,)
        s, > 0.
    with_margin : callable, default=None
        Makes ``t`` of the own logits, a tensor of shape (b, 1); ``t = z_y`` by default.
    own_in_sum : bool, default=True
        False leaves ``exp(s t)`` out of the denominator.

    Returns
    -------
    tensor of shape (b,)
    """
    return _SoftmaxLosses.apply(logits, labels, scale, with_margin, own_in_sum)


class _ColumnLog1pSum(Function):
    @staticmethod
    def forward(ctx, cosine, labels, margin, alpha):
        at = labels[:, None]
        terms = (cosine + margin).mul_(alpha).scatter_(1, at, -FAR)
        top = terms.amax(0).clamp_(min=0)
        terms.sub_(top).clamp_(min=lowest_exponent(terms.dtype)).exp_()
        total = terms.sum(0).add_(torch.exp(-top))
        ctx.alpha = alpha
        ctx.save_for_backward(terms, total)
        return total.log().add_(top)

    @staticmethod
    @first_derivative_only
    def backward(ctx, gradient):
        terms, total = ctx.saved_tensors
        return terms * (gradient * ctx.alpha / total), None, None, None


def column_log1p_sum(cosine, labels, margin, alpha):
    """``log(1 + Σ_i exp(α (s_ij + δ)))`` of each class j over the rows i of other classes.

    Parameters
    ----------
    cosine : tensor of shape (b, c)
    labels : int64 tensor of shape (b,)
    margin, alpha : float
        δ and α.

    Returns
    -------
    tensor of shape (c,)
    """
    return _ColumnLog1pSum.apply(cosine, labels, margin, alpha)
