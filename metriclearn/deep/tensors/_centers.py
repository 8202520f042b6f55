"""Several centers for each class: similarities of rows to classes, center by center.

The similarities to all centers, of shape (b, classes · centers), are the largest array of these
losses. They are made in blocks that stay in cache, and what the derivative needs is made there too.
"""

import torch
from torch.autograd import Function

from metriclearn.deep.tensors._pairwise import first_derivative_only, full_precision

#: Similarities to one center of each class worked on at a time.
_BLOCK = 1 << 16


def _blocks(rows, by_center):
    """Yield slices of the classes with the similarities of the rows, of shape (k, b, n)."""
    n_classes = by_center.shape[1]
    width = min(n_classes, max(128, _BLOCK // max(1, len(rows))))
    scratch = rows.new_empty(len(by_center) * len(rows) * width)
    for start in range(0, n_classes, width):
        block = slice(start, min(start + width, n_classes))
        shape = len(by_center), len(rows), block.stop - start
        s = scratch[: shape[0] * shape[1] * shape[2]].view(shape)
        for center, out in zip(by_center, s, strict=True):
            torch.mm(rows, center[block].T, out=out)
        yield block, s


def _gradients(rows, by_center, weights):
    """Gradients in rows and centers from those of the similarities, one center at a time."""
    to_rows = torch.zeros_like(rows)
    to_centers = torch.empty_like(by_center)
    for center, to_center, of_center in zip(by_center, to_centers, weights, strict=True):
        to_rows.addmm_(of_center, center)
        torch.mm(of_center.T, rows, out=to_center)
    return to_rows, to_centers.flatten(0, 1)


class _SoftAssigned(Function):
    @staticmethod
    def forward(ctx, rows, centers, n_centers, gamma):
        by_center = centers.view(n_centers, -1, centers.shape[1])
        result = rows.new_empty(len(rows), by_center.shape[1])
        slopes = rows.new_empty(n_centers, *result.shape)
        with full_precision(rows):
            for block, s in _blocks(rows, by_center):
                p = s.sub(s.amax(0)).mul_(1 / gamma).exp_()
                total = p.sum(0)
                mixed = (p * s).sum(0).div_(total)
                result[:, block] = mixed
                # d S / d s_k = p_k / Σ p · (1 + (s_k - S) / γ)
                s.mul_(1 / gamma).add_(1 - mixed / gamma).mul_(p.div_(total))
                slopes[:, :, block] = s
        ctx.save_for_backward(rows, by_center, slopes)
        return result

    @staticmethod
    @first_derivative_only
    def backward(ctx, gradient):
        rows, by_center, slopes = ctx.saved_tensors
        with full_precision(rows):
            out = torch.empty_like(gradient)
            weights = (torch.mul(slope, gradient, out=out) for slope in slopes)
            return *_gradients(rows, by_center, weights), None, None


class _NearestCenter(Function):
    @staticmethod
    def forward(ctx, rows, centers, n_centers):
        by_center = centers.view(n_centers, -1, centers.shape[1])
        result = rows.new_empty(len(rows), by_center.shape[1])
        nearest = torch.empty_like(result)
        with full_precision(rows):
            for block, s in _blocks(rows, by_center):
                # max(0) with its indices takes many times as long.
                best, at = s[0], torch.zeros_like(s[0])
                nearer = torch.empty_like(best)
                for k, other in enumerate(s[1:], 1):
                    torch.maximum(at, torch.gt(other, best, out=nearer).mul_(k), out=at)
                    torch.maximum(best, other, out=best)
                result[:, block], nearest[:, block] = best, at
        ctx.save_for_backward(rows, by_center, nearest)
        return result

    @staticmethod
    @first_derivative_only
    def backward(ctx, gradient):
        rows, by_center, nearest = ctx.saved_tensors
        with full_precision(rows):
            out = torch.empty_like(gradient)
            centers = range(len(by_center))
            weights = (torch.eq(nearest, k, out=out).mul_(gradient) for k in centers)
            return *_gradients(rows, by_center, weights), None


def soft_assigned(rows, centers, n_centers, gamma):
    """``S_j = Σ_k softmax_k(s_jk / γ) s_jk`` with ``s_jk`` the product of row and center.

    Parameters
    ----------
    rows : tensor of shape (b, d)
    centers : tensor of shape (n_centers · n_classes, d)
        Center k of class c is row ``k · n_classes + c``.
    n_centers : int
    gamma : float

    Returns
    -------
    tensor of shape (b, n_classes)
    """
    return _SoftAssigned.apply(rows, centers.to(rows.dtype), n_centers, gamma)


def nearest_center(rows, centers, n_centers):
    """``S_j = max_k s_jk`` with ``s_jk`` the product of row and center, as `soft_assigned`."""
    return _NearestCenter.apply(rows, centers.to(rows.dtype), n_centers)
