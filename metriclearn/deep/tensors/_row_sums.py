"""Sums over the rows of a batch against all of it, in the memory of a block of rows."""

import torch
from torch.autograd import Function

from metriclearn.deep.tensors._masked_sums import mean_over
from metriclearn.deep.tensors._pairwise import (
    Comparisons,
    compare,
    first_derivative_only,
    products,
    unit_rows,
)

#: Rows from which on a batch is worked on in blocks: the matrices of fewer fit anywhere.
LARGE = 2049
BLOCK = 128


def cosine_sums(sums, embeddings, labels, reference=None, selection=None):
    """Return a mean over the rows of a batch, of what each makes of its cosines to all of it.

    Parameters
    ----------
    sums : callable
        ``sums(comparisons)`` gets what `compare` makes, of some of the rows, and returns their sum,
        a number to divide it by, and how many tuples are active.
    embeddings, labels, reference, selection
        As `compare` takes them.

    Returns
    -------
    value, active : scalar tensors
    """
    within = reference is None and (selection is None or selection.whole)
    derived = embeddings.requires_grad and torch.is_grad_enabled()
    if len(embeddings) < LARGE or not (within and derived):
        total, count, active = sums(compare(embeddings, labels, "cosine", reference, selection))
    else:
        total, count, active = _Blocks.apply(unit_rows(embeddings), labels, sums)
    return mean_over(total, torch.as_tensor(count, device=total.device)), active


class _Blocks(Function):
    """The sums block by block, each derived before the next one begins."""

    @staticmethod
    def forward(ctx, x, labels, sums):
        gradient = torch.zeros_like(x)
        whole = []
        for begin in range(0, len(x), BLOCK):
            rows = slice(begin, begin + BLOCK)
            same = (labels[rows, None] == labels).to(x.dtype)
            negative = 1 - same
            same[:, begin:].fill_diagonal_(0)
            with torch.enable_grad():
                own, everyone = x[rows].detach().requires_grad_(), x.detach().requires_grad_()
                values = products(own, everyone)
                total, *counts = sums(Comparisons(values, same, negative))
            if total.requires_grad:
                of_own, of_everyone = torch.autograd.grad(total, (own, everyone))
                gradient[rows] += of_own
                gradient += of_everyone
            whole.append((total.detach(), *counts))
        ctx.save_for_backward(gradient)
        total, count, active = (torch.as_tensor(sum(part)) for part in zip(*whole, strict=True))
        ctx.mark_non_differentiable(count, active)
        return total, count, active

    @staticmethod
    @first_derivative_only
    def backward(ctx, upstream, *_):
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None
