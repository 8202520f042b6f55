"""Target neighbours and impostors, found in blocks: nothing n × n is ever kept.

Rows are expected sorted by class, so that the classes are slices and every
unordered pair of rows of two classes is looked at once.
"""

import itertools

import numpy as np

_BLOCK_BYTES = 2**20  # a block of distances that stays in a core's cache


def target_neighbors(X, starts, n_neighbors):
    """Nearest rows of the same class.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows sorted by class.
    starts : ndarray of shape (n_classes + 1,)
        Where each class begins, and ``n``.
    n_neighbors : int
        Wanted for each row. A class with exactly that many rows has one fewer.

    Returns
    -------
    ndarray of shape (n, n_neighbors), dtype int32
        Row numbers in no particular order; -1 where a class has no more rows.
    """
    targets = np.full((len(X), n_neighbors), -1, dtype=np.int32)
    for start, stop in itertools.pairwise(starts):
        rows = X[start:stop] - X[start:stop].mean(axis=0)
        squared = np.einsum("ij,ij->i", rows, rows)
        k = min(n_neighbors, stop - start - 1)
        step = max(1, 4 * _BLOCK_BYTES // (rows.itemsize * len(rows)))
        for begin in range(0, len(rows), step):
            block = rows[begin : begin + step]
            d2 = block @ rows.T
            d2 *= -2
            d2 += squared
            d2[np.arange(len(block)), np.arange(begin, begin + len(block))] = np.inf
            nearest = np.argpartition(d2, k - 1, axis=1)[:, :k]
            targets[start + begin : start + begin + len(block), :k] = start + nearest
    return targets


def pairs_within(Z, radii, starts, most=np.inf):
    """Pairs of rows of two classes closer than the larger of their radii.

    One matrix product of ``[z, |z|², 1]`` and ``[-2z, 1, |z|²]`` gives a block
    of squared distances.

    Parameters
    ----------
    Z : ndarray of shape (n, r)
        Rows sorted by class. Distances are computed in its dtype.
    radii : ndarray of shape (n,)
        Squared radii, in the dtype of ``Z``.
    starts : ndarray of shape (n_classes + 1,)
    most : int, default=inf
        Pairs after which a part is yielded and let go; by default all come in one.

    Yields
    ------
    indptr : ndarray of shape (n + 1,), dtype int32 or int64
    columns : ndarray of shape (n_pairs,), dtype int32
        Pairs of this part as rows of a compressed sparse matrix; the class of
        the column is the later one. At least one part comes, if empty.
    d2 : ndarray of shape (n_pairs,)
        Their squared distances.
    """
    n, r = Z.shape
    classes = np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts))
    squared = np.einsum("ij,ij->i", Z, Z)
    left = np.column_stack([Z, squared, np.ones_like(squared)])
    right = np.empty((r + 2, n), dtype=Z.dtype)
    np.multiply(Z.T, -2, out=right[:r])
    right[r], right[r + 1] = 1, squared

    blocks = list(_row_blocks(starts, n, Z.itemsize))
    # Filled again and again: fresh memory would cost as much as the product.
    largest = max(((stop - begin) * (n - first) for begin, stop, first in blocks), default=0)
    product, near, near_column = (np.empty(largest, kind) for kind in (Z.dtype, bool, bool))
    n_found, rows, columns, distances = 0, [], [], []
    for begin, stop, first in blocks:
        width = n - first
        d2, within, within_column = (
            memory[: (stop - begin) * width].reshape(-1, width)
            for memory in (product, near, near_column)
        )
        np.matmul(left[begin:stop], right[:, first:], out=d2)
        np.less(d2, radii[begin:stop, None], out=within)
        np.less(d2, radii[first:], out=within_column)
        within |= within_column
        if classes[begin] != classes[stop - 1]:
            within &= classes[begin:stop, None] < classes[first:]
        flat = np.flatnonzero(within)
        row, column = np.divmod(flat.astype(np.int32), np.int32(width))
        rows.append(row + np.int32(begin))
        columns.append(column + np.int32(first))
        distances.append(d2.ravel()[flat])
        n_found += len(rows[-1])
        if n_found >= most:
            yield _compressed(n, rows, columns, distances)
            n_found, rows, columns, distances = 0, [], [], []
    empty = np.empty(0, dtype=np.int32)
    rows, columns = [empty, *rows], [empty, *columns]
    yield _compressed(n, rows, columns, [np.empty(0, dtype=Z.dtype), *distances])


def _compressed(n, rows, columns, distances):
    counts = np.bincount(np.concatenate(rows), minlength=n)
    indptr = np.zeros(n + 1, dtype=np.int32 if counts.sum() < 2**31 else np.int64)
    np.cumsum(counts, out=indptr[1:])
    return indptr, np.concatenate(columns), np.concatenate(distances)


def _row_blocks(starts, n, itemsize):
    """Row ranges, each with the first column that can be of a later class.

    A block stays inside one class where the class is large; small classes share one.
    """
    smallest = 32
    n_classes = len(starts) - 1
    c = 0
    while c < n_classes - 1:
        first = int(starts[c + 1])
        step = max(smallest, _BLOCK_BYTES // (itemsize * (n - first)))
        last = c + 1
        while last < n_classes - 1 and starts[last + 1] - starts[c] <= smallest:
            last += 1
        for begin in range(int(starts[c]), int(starts[last]), step):
            yield begin, min(begin + step, int(starts[last])), first
        c = last
