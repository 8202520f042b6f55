"""Sums, log-sum-exps and extremes over the entries of a matrix that a mask leaves in."""

import math

import torch
from torch.autograd import Function

from metriclearn.deep.tensors._pairwise import first_derivative_only, row_blocks

#: Added where a comparison is left out of a minimum or a log-sum-exp. Finite, so that
#: nothing becomes inf - inf; far beyond any distance or similarity.
FAR = 1e30


def lowest_exponent(dtype):
    """Least argument at which exp is fast: below, results are subnormal, some 30 times slower.

    What is that far under the largest term of a sum is nothing beside it.
    """
    return math.log(torch.finfo(dtype).tiny) + 1


class _MaskedLogSumExp(Function):
    @staticmethod
    def forward(ctx, x, mask, scale, plus_one):
        all_terms = torch.empty_like(x)
        tops, totals = x.new_empty(len(x), 1), x.new_empty(len(x), 1)
        for rows in row_blocks(x):
            terms, top = all_terms[rows], tops[rows]
            torch.sub(mask[rows], 1, out=terms).mul_(FAR).add_(x[rows], alpha=scale)
            torch.amax(terms, 1, keepdim=True, out=top).clamp_(min=0 if plus_one else -FAR / 2)
            terms.sub_(top).clamp_(min=lowest_exponent(x.dtype)).exp_().mul_(mask[rows])
            torch.sum(terms, 1, keepdim=True, out=totals[rows])
        if plus_one:
            totals += torch.exp(-tops)
        totals.clamp_(min=torch.finfo(x.dtype).tiny)
        ctx.scale = scale
        ctx.save_for_backward(all_terms, totals)
        return totals.log().add_(tops).squeeze(1)

    @staticmethod
    @first_derivative_only
    def backward(ctx, gradient):
        terms, total = ctx.saved_tensors
        return terms * (gradient[:, None] * ctx.scale / total), None, None, None


def masked_logsumexp(x, mask, scale=1.0, plus_one=False):
    """``log Σ exp(scale x)`` of each row over the entries where ``mask`` is 1.

    Parameters
    ----------
    x, mask : tensors of shape (b, n)
    scale : float
    plus_one : bool
        ``log(1 + Σ …)``.

    Returns
    -------
    tensor of shape (b,)
        For a row without entries about -5e29 (0 with ``plus_one``), without gradient.
    """
    return _MaskedLogSumExp.apply(x, mask, scale, plus_one)


class _TwoLogSumExps(Function):
    @staticmethod
    def forward(ctx, x, positive, negative, scales, plus_one):
        # One array holds the terms of both sums: an entry is in one of them at most.
        all_terms = torch.empty_like(x)
        tops, totals = x.new_empty(2, len(x), 1), x.new_empty(2, len(x), 1)
        for rows in row_blocks(x):
            terms, both = all_terms[rows], (positive[rows], negative[rows])
            torch.mul(both[0], scales[0], out=terms).add_(both[1], alpha=scales[1]).mul_(x[rows])
            scratch = torch.empty_like(terms)
            for mask, top in zip(both, tops[:, rows], strict=True):
                torch.sub(mask, 1, out=scratch).mul_(FAR).add_(terms)
                torch.amax(scratch, 1, keepdim=True, out=top)
                top.clamp_(min=0 if plus_one else -FAR / 2)
            torch.mul(both[0], tops[0, rows], out=scratch).addcmul_(both[1], tops[1, rows])
            terms.sub_(scratch).clamp_(min=lowest_exponent(x.dtype)).exp_()
            for mask, total in zip(both, totals[:, rows], strict=True):
                torch.sum(torch.mul(terms, mask, out=scratch), 1, keepdim=True, out=total)
        if plus_one:
            totals += torch.exp(-tops)
        totals.clamp_(min=torch.finfo(x.dtype).tiny)
        ctx.scales = scales
        ctx.save_for_backward(all_terms, positive, negative, *totals)
        return tuple(totals.log().add_(tops).squeeze(2))

    @staticmethod
    @first_derivative_only
    def backward(ctx, *gradients):
        terms, positive, negative, *totals = ctx.saved_tensors
        pull, push = (
            gradient[:, None] * scale / total
            for gradient, scale, total in zip(gradients, ctx.scales, totals, strict=True)
        )
        result = torch.empty_like(terms)
        for rows in row_blocks(terms):
            block = torch.mul(positive[rows], pull[rows], out=result[rows])
            block.addcmul_(negative[rows], push[rows]).mul_(terms[rows])
        return result, None, None, None, None


def two_logsumexps(x, positive, negative, scales=(1.0, 1.0), plus_one=False):
    """`masked_logsumexp` over the positives and, with another scale, over the negatives.

    Parameters
    ----------
    x, positive, negative : tensors of shape (b, n)
        The masks have no entry in common.
    scales : (float, float)
    plus_one : bool

    Returns
    -------
    positives, negatives : tensors of shape (b,)
    """
    return _TwoLogSumExps.apply(x, positive, negative, scales, plus_one)


def masked_min(x, mask):
    """Find the smallest entry of each row, and its index, where ``mask`` is 1; else about 1e30."""
    return (1 - mask).mul_(FAR).add_(x).min(1)


def masked_max(x, mask):
    """Find the largest entry of each row, and its index, where ``mask`` is 1; else about -1e30."""
    return (mask - 1).mul_(FAR).add_(x).max(1)


def mean_over(total, count):
    """``total / count``, and ``total`` (which is then zero) where nothing was counted."""
    if isinstance(count, torch.Tensor):
        return total / count.clamp(min=1).to(total.dtype)
    return total / max(count, 1)


def cosine_of_sum(cosine, angle):
    """``cos(θ + angle)`` from ``cos θ``, with gradient 0 where that of the sine is infinite."""
    square = 1 - cosine.square()
    safe = square > torch.finfo(cosine.dtype).eps
    sine = torch.where(safe, square, 1.0).sqrt() * safe
    return cosine * math.cos(angle) - sine * math.sin(angle)
