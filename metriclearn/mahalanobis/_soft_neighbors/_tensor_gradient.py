"""Soft nearest neighbors of tensors: the objectives of NCA and MLKR where the rows are.

The same sums as in ``_soft_neighbors``, in the array API's standard functions. A
block holds all neighbors of some rows: twice the arithmetic of the upper triangle,
and no more than a handful of large operations for a device to run.
"""

from metriclearn._arrays import device, moved_to, namespace, squared_norms
from metriclearn.mahalanobis._soft_neighbors._gradient import own_log_weights

_BLOCKS_AT_A_TIME = 8


def tensor_soft_neighbor_gradient(Z, targets, row_terms, *, weights=None, max_memory=512):
    """Value and gradient as of :func:`soft_neighbor_gradient`, for a tensor.

    Parameters
    ----------
    Z : tensor of shape (n, r)
    targets : SameClass or Values
    row_terms : callable
        As for :func:`soft_neighbor_gradient`.
    weights : ndarray of shape (n,), default=None
    max_memory : float, default=512
        Bound in MB on the blocks.

    Returns
    -------
    value : float
    gradient : tensor of shape (n, r)
    """
    xp, n = namespace(Z), Z.shape[0]
    Z = Z - xp.mean(Z, axis=0)
    # Not counted: -|z_i|² of the row itself, which probabilities do not see.
    of_column = -squared_norms(Z)
    own = xp.full_like(of_column, -xp.inf)
    if weights is not None:
        of_row = moved_to(Z, weights)
        of_column = of_column + xp.log(of_row)
        own = squared_norms(Z) + moved_to(Z, own_log_weights(weights))
    numbers = xp.arange(n, device=device(Z))
    targets_of = targets.beside(Z)
    value, degrees, HZ = 0.0, xp.zeros_like(of_column), xp.zeros_like(Z)
    step = max(1, int(max_memory * 2**20 / (8 * _BLOCKS_AT_A_TIME * n)))
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        scores = 2 * (Z[rows, :] @ Z.T) + of_column
        diagonal = numbers[rows][:, None] == numbers
        scores = xp.where(diagonal, own[rows][:, None], scores)
        largest = xp.max(scores, axis=1, keepdims=True)
        P = xp.exp(scores - largest)
        sums = xp.sum(P, axis=1, keepdims=True)
        P = P / sums
        log_normalizers = (xp.log(sums) + largest)[:, 0] - squared_norms(Z[rows, :])
        t = xp.astype(targets_of(rows), Z.dtype, copy=False)
        terms = row_terms(rows, xp.sum(P * t, axis=1), log_normalizers)
        if weights is not None:
            terms = [of_row[rows] * term for term in terms]
        values, alpha, beta = terms
        value += float(xp.sum(values, dtype=xp.float64))
        W = P * (alpha[:, None] * t + beta[:, None])
        HZ[rows, :] += W @ Z
        HZ += W.T @ Z[rows, :]
        degrees[rows] += xp.sum(W, axis=1)
        degrees += xp.sum(W, axis=0)
    return value, 2 * (degrees[:, None] * Z - HZ)
