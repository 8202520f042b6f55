"""Soft assignment of rows to the centres of each class, with its derivative made on the way."""

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from metriclearn.deep._pairwise import full_precision

#: Entries of the similarity matrix worked on at a time: a few megabytes, to stay in cache.
_BLOCK = 1 << 18


class _SoftAssigned(Function):
    @staticmethod
    def forward(ctx, rows, centers, n_centers, gamma):
        n_classes = len(centers) // n_centers
        width = max(1, _BLOCK // max(1, len(rows)))
        result = rows.new_empty(len(rows), n_classes)
        slopes = rows.new_empty(n_centers, len(rows), n_classes)
        with full_precision(rows):
            for start in range(0, n_classes, width):
                block = slice(start, min(start + width, n_classes))
                n = block.stop - start
                own = centers.view(n_centers, n_classes, -1)[:, block].reshape(n_centers * n, -1)
                s = (rows @ own.T).view(len(rows), n_centers, n).transpose(0, 1)
                p = ((s - s.amax(0)) / gamma).exp_()
                p /= p.sum(0)
                mixed = (p * s).sum(0)
                result[:, block] = mixed
                # d S / d s_k = p_k (1 + (s_k - S) / γ)
                slopes[:, :, block] = p * (1 + (s - mixed) / gamma)
        ctx.save_for_backward(rows, centers, slopes)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        rows, centers, slopes = ctx.saved_tensors
        by_center = centers.view(len(slopes), -1, centers.shape[1])
        to_rows = torch.zeros_like(rows)
        to_centers = torch.empty_like(by_center)
        with full_precision(rows):
            for k, slope in enumerate(slopes):
                weights = slope * gradient
                to_rows.addmm_(weights, by_center[k])
                torch.mm(weights.T, rows, out=to_centers[k])
        return to_rows, to_centers.view_as(centers), None, None


def soft_assigned(rows, centers, n_centers, gamma):
    """``S_j = Σ_k softmax_k(s_jk / γ) s_jk`` with ``s_jk`` the product of row and centre.

    Parameters
    ----------
    rows : tensor of shape (b, d)
    centers : tensor of shape (n_centers · n_classes, d)
        Centre k of class c is row ``k · n_classes + c``.
    n_centers : int
    gamma : float

    Returns
    -------
    tensor of shape (b, n_classes)
    """
    return _SoftAssigned.apply(rows, centers.to(rows.dtype), n_centers, gamma)
