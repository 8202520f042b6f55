"""What a loss looks at: its derivative by each similarity."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._memory import CrossBatchMemory

if TYPE_CHECKING:
    from metriclearn.deep.losses._base import MetricLoss

# Length of the part of each row that no other row has; similarities change by its square.
_APART = 1e-5
# Part of the gradient that may be left unexplained by rounding.
_ROUNDING = 1e-5


def pair_weights(
    loss: nn.Module | MetricLoss, embeddings: ArrayLike, labels: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the similarities of a batch, and the weight that a loss gives to each pair.

    ::

        S_ij = x_iᵀ x_j,     w_ij = ∂L / ∂S_ij

    of rows of length one, S_ij and S_ji being one number: below zero the loss draws the pair
    together, above it pushes it apart, and at zero it does not look. That is the view of losses as
    weightings of pairs [1]_, which holds for any loss that compares the rows of a batch by their
    products, cosines or distances.

    Parameters
    ----------
    loss : Module
        Without proxies or other rows that it compares the batch with; a copy is called.
    embeddings : array-like of shape (b, d)
        Scaled to length one.
    labels : array-like of shape (b,)
        Classes of the rows; numbers or strings.

    Returns
    -------
    similarities, weights : ndarray of shape (b, b)
        Weights are zero on the diagonal.

    Raises
    ------
    ValueError
        If the loss compares the batch with vectors of its own, or sees more of two rows than their
        similarity.

    See Also
    --------
    metriclearn.plots.PairWeightsDisplay : Draws the one against the other.

    Notes
    -----
    Row i gets a coordinate of its own, of length 1e-5, which changes similarities by nothing that
    counts. The derivative by the coordinate that row j alone has is then that length times w_ij,
    whatever the loss does with the rows.

    References
    ----------
    .. [1] Wang, Han, Huang, Dong and Scott, "Multi-Similarity Loss with General Pair Weighting for
       Deep Metric Learning", CVPR 2019. :doi:`10.1109/CVPR.2019.00516`

    Examples
    --------
    >>> from metriclearn.deep.losses import ContrastiveLoss, pair_weights
    >>> rows, labels = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], [0, 0, 1]
    >>> S, w = pair_weights(ContrastiveLoss(0.5, form="cosine"), rows, labels)
    >>> bool(w[0, 1] < 0 < w[1, 2]), bool(w[0, 2] == 0)  # alike; too near; far enough
    (True, True)
    """
    loss = as_metric_loss(loss)
    name = type(loss).__name__
    own = any(isinstance(part, CrossBatchMemory) for part in loss.modules())
    if loss.needs_classes or loss.embedding_dim is not None or loss.needs_features or own:
        raise ValueError(
            f"loss: {name} compares rows with vectors of its own, or sees more than embeddings; "
            f"give a loss on the pairs or triplets of a batch"
        )
    rows = torch.tensor(np.asarray(embeddings, dtype=np.float64))
    codes = _codes(labels)
    if rows.ndim != 2 or len(rows) < 2 or codes.shape != rows.shape[:1]:
        raise ValueError(
            f"embeddings must be of shape (b, d) with b of 2 or more, and labels of shape (b,), "
            f"got {tuple(rows.shape)} and {tuple(codes.shape)}"
        )
    zero = (~rows.any(dim=1)).nonzero()[:, 0].tolist()
    if zero:
        raise ValueError(f"embeddings: row {zero[0]} is all zeros, and has no similarity")
    rows = nn.functional.normalize(rows, dim=1)
    lifted = torch.cat([rows, _APART * torch.eye(len(rows), dtype=rows.dtype)], dim=1)
    lifted.requires_grad_()
    loss = copy.deepcopy(loss)  # to look at it is not to train it
    (derivative,) = torch.autograd.grad(loss(lifted, codes), lifted)
    weights = derivative[:, rows.shape[1] :] / _APART
    weights.fill_diagonal_(0)
    # Of a function of similarities, the derivative by row i is Σ_j w_ij x_j, but for its length.
    found, told = _across(derivative[:, : rows.shape[1]], rows), _across(weights @ rows, rows)
    if (found - told).abs().max() > _ROUNDING * found.abs().max().clamp(min=_ROUNDING):
        raise ValueError(
            f"loss: {name} sees more of two rows than their similarity, such as single dimensions "
            f"or groups of them; give a loss on products, cosines or distances"
        )
    return (rows @ rows.T).numpy(), weights.numpy()


def _codes(labels):
    """Return labels as a tensor: integers and amounts as they are, names as numbers."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iuf":
        labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    return torch.tensor(labels)


def _across(vectors, rows):
    """Part of vectors that is orthogonal to rows of length one."""
    return vectors - (vectors * rows).sum(dim=1, keepdim=True) * rows
