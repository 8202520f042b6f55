"""What the losses with proxies share: sizes and checks, and the softmax over classes."""

import torch
from torch import nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from metriclearn.deep._pairwise import FAR, lowest_exponent, products, unit_rows


class ProxyLoss(nn.Module):
    """Base of the losses with proxies: sizes, initial values, and the checks of both.

    A subclass with several proxies for each class has an attribute ``n_centers``; proxy k of class
    c is then row ``k · n_classes + c``.
    """

    accepts = ()

    def __init__(self, n_classes=None, embedding_dim=None):
        super().__init__()
        self.n_classes = n_classes
        self.embedding_dim = embedding_dim
        self.register_parameter("proxies", None)

    def build(self, n_classes, embedding_dim):
        """Create the proxies, of shape (n_centers · n_classes, embedding_dim), and return self."""
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


class _RowLogSumExp(Function):
    @staticmethod
    def forward(ctx, logits, labels, target, scale):
        at = labels[:, None]
        terms = logits * scale
        terms.scatter_(1, at, -FAR if target is None else (target * scale)[:, None])
        top = terms.amax(1, keepdim=True).clamp_(min=-FAR / 2)
        terms.sub_(top).clamp_(min=lowest_exponent(terms.dtype)).exp_()
        total = terms.sum(1, keepdim=True).clamp_(min=torch.finfo(terms.dtype).tiny)
        ctx.scale = scale
        ctx.save_for_backward(terms, total, at)
        return total.log().add_(top).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        terms, total, at = ctx.saved_tensors
        share = terms * (gradient[:, None] * ctx.scale / total)
        target = share.gather(1, at).squeeze(1) if ctx.needs_input_grad[2] else None
        return share.scatter_(1, at, 0), None, target, None


def row_logsumexp(logits, labels, target=None, scale=1.0):
    """``log Σ exp(scale z_j)`` of each row, the own class's logit replaced by ``target``.

    Parameters
    ----------
    logits : tensor of shape (b, c)
    labels : int64 tensor of shape (b,)
    target : tensor of shape (b,), default=None
        What stands for ``logits[i, labels[i]]``; None leaves the own class out (a row with no
        other class then gives about -5e29, without gradient).
    scale : float

    Returns
    -------
    tensor of shape (b,)
    """
    return _RowLogSumExp.apply(logits, labels, target, scale)


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
    @once_differentiable
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
