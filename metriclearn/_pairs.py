"""Functions of pairs: squared distances, and the chain rule back to the metric.

Every Mahalanobis objective is a function of squared distances
``d²_ij = (x_i - x_j)ᵀ M (x_i - x_j)`` of the pairs it lists. With
``w = ∂objective/∂d²`` the gradients are shared by all of them::

    ∂/∂M = Σ w_ij (x_i - x_j)(x_i - x_j)ᵀ = Xᵀ (D - W) X        (a graph Laplacian)
    ∂/∂L = 2 L · (the same)                                      (for M = LᵀL)
"""

import numpy as np
from scipy import sparse

from metriclearn._arrays import moved_to, namespace, on_host, rows_of, squared_norms, to_numpy

# Two buffers of this size stay in a core's cache. Fresh arrays of all pairs would
# cost ten times the arithmetic: the system hands out and clears their pages every time.
_BLOCK_BYTES = 2**19
_TENSOR_BLOCK = 2**24  # numbers at a time, where memory is not the host's


def paired_sq_distances(Z, first, second):
    """Compute the squared Euclidean distances of listed pairs, in blocks of bounded memory.

    Parameters
    ----------
    Z : ndarray or tensor of shape (n, r)
        Points, already in the space where the distance is Euclidean.
    first, second : ndarray of shape (n_pairs,)
        Row indices into ``Z``.

    Returns
    -------
    ndarray of shape (n_pairs,)
        On the host, also for tensors.
    """
    if not on_host(Z):
        return np.concatenate(
            [
                to_numpy(squared_norms(rows_of(Z, first[block]) - rows_of(Z, second[block])))
                for block in _tensor_blocks(len(first), Z.shape[1])
            ]
        )
    n_pairs, r = len(first), Z.shape[1]
    step = min(n_pairs, max(1, _BLOCK_BYTES // max(1, r * Z.itemsize)))
    d2 = np.empty(n_pairs, dtype=Z.dtype)
    buffers = np.empty((2, step, r), dtype=Z.dtype)
    for start in range(0, n_pairs, step or 1):
        block = slice(start, min(start + step, n_pairs))
        A, B = buffers[:, : block.stop - start]
        # mode="raise" would write to a copy first; the indices are known to be valid.
        np.take(Z, first[block], axis=0, out=A, mode="clip")
        np.take(Z, second[block], axis=0, out=B, mode="clip")
        A -= B
        np.einsum("ij,ij->i", A, A, out=d2[block])
    return d2


def blocks_of_pairs(n_pairs, n_features):
    """Return the slices of pairs whose differences stay in a core's cache."""
    step = max(1, _BLOCK_BYTES // (8 * max(1, n_features)))
    return [slice(start, min(start + step, n_pairs)) for start in range(0, n_pairs, step)]


def _tensor_blocks(n_pairs, n_features):
    step = max(1, _TENSOR_BLOCK // max(1, n_features))
    return [slice(start, start + step) for start in range(0, max(n_pairs, 1), step)]


def pair_moment(A, B, weights, first, second):
    """Compute ``Σ w (a_i - a_j)(b_i - b_j)ᵀ`` of listed pairs of rows of two tensors.

    Parameters
    ----------
    A : tensor of shape (n, r)
    B : tensor of shape (n, d)
        In the dtype of ``A``.
    weights, first, second : ndarray of shape (n_pairs,)

    Returns
    -------
    ndarray of shape (r, d)
        On the host.
    """
    total = namespace(A).zeros_like(A[:1, :].T @ B[:1, :])
    for block in _tensor_blocks(len(first), max(A.shape[1], B.shape[1])):
        i, j, w = first[block], second[block], moved_to(A, weights[block])
        of_A = w[:, None] * (rows_of(A, i) - rows_of(A, j))
        total = total + of_A.T @ (rows_of(B, i) - rows_of(B, j))
    return to_numpy(total)


def laplacian(weights, first, second, n):
    """Compute the graph Laplacian ``D - W`` of weighted pairs.

    Parameters
    ----------
    weights : ndarray of shape (n_pairs,)
        One weight for each pair; of any sign. Pairs may repeat.
    first, second : ndarray of shape (n_pairs,)
        Row indices.
    n : int
        Number of rows.

    Returns
    -------
    scipy.sparse.csr_array of shape (n, n)
        Symmetric, such that ``Xᵀ (D - W) X = Σ w (x_i - x_j)(x_i - x_j)ᵀ``.
    """
    W = sparse.csr_array((weights, (first, second)), shape=(n, n))
    W = W + W.T
    degree = np.asarray(W.sum(axis=1)).ravel()
    return sparse.csr_array(sparse.dia_array(sparse.diags(degree)) - W)


def laplacian_product(weights, first, second, X):
    """Compute ``(D - W) X``, its sparse matrix never added up."""
    n = len(X)
    W = sparse.csr_array((weights, (first, second)), shape=(n, n))
    degree = np.bincount(first, weights, n) + np.bincount(second, weights, n)
    product = degree[:, None] * X
    product -= W @ X
    product -= W.T @ X
    return product


def pair_scatter(X, weights, first, second):
    """Compute the weighted scatter ``Σ w (x_i - x_j)(x_i - x_j)ᵀ`` of listed pairs.

    Parameters
    ----------
    X : ndarray or tensor of shape (n, d)
    weights : ndarray of shape (n_pairs,)
    first, second : ndarray of shape (n_pairs,)

    Returns
    -------
    ndarray of shape (d, d)
        Symmetric; the gradient with respect to ``M`` of an objective whose
        derivatives by squared distance are ``weights``. On the host.
    """
    if on_host(X):
        scatter = X.T @ laplacian_product(weights, first, second, X)
    else:
        scatter = pair_moment(X, X, weights, first, second)
    return (scatter + scatter.T) / 2


def pairwise_sq_distances(A, B):
    """Compute all squared Euclidean distances between the rows of two arrays.

    Both are shifted by the mean of ``B`` first: distances do not see a shift,
    the expanded square ``|a|² + |b|² - 2ab`` loses digits to it.

    Parameters
    ----------
    A : ndarray or tensor of shape (n, r)
    B : ndarray or tensor of shape (m, r)

    Returns
    -------
    ndarray or tensor of shape (n, m)
        Not below zero.
    """
    xp, same = namespace(B), A is B
    center = xp.mean(B, axis=0)
    A = A - center
    B = A if same else B - center
    d2 = A @ B.T
    d2 *= -2
    norms_A, norms_B = squared_norms(A), squared_norms(B)
    if same and on_host(d2):
        # Symmetric to the bit: a + b is b + a, while (c + a) + b may differ from (c + b) + a.
        step = max(1, _BLOCK_BYTES // max(1, d2.itemsize * len(d2)))
        for start in range(0, len(d2), step):
            block = slice(start, start + step)
            d2[block] += norms_A[block, None] + norms_B
    else:
        d2 += norms_A[:, None]
        d2 += norms_B
    return np.maximum(d2, 0, out=d2) if on_host(d2) else xp.clip(d2, min=0)
