"""Exact distances of a few candidates, and their order."""

import numpy as np

from metriclearn._validation import as_count, check_unmasked

METRICS = ("euclidean", "cosine", "inner_product")
_BLOCK_BYTES = 32 * 2**20
_PAIR_BYTES = 2**18


class Ranker:
    """Ranks candidate rows of a base by distances computed in float64.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64
        The base, kept by reference; may be memory-mapped.
    metric : {"euclidean", "cosine", "inner_product"}
    """

    def __init__(self, X, metric):
        check_metric_name(metric)
        self.X = X
        self.metric = metric
        self._norms = row_norms(X, "X") if metric == "cosine" else None

    def rows(self, rows):
        """Return the rows of the base in float64, of length one under ``"cosine"``."""
        X = self.X[rows].astype(np.float64, copy=False)
        return X if self._norms is None else X / self._norms[rows][..., None]

    def blocks(self, order=None):
        """Yield all rows in float64, in blocks of bounded memory, in an order if one is given."""
        n, d = self.X.shape
        step = max(1, _BLOCK_BYTES // (8 * d))
        for start in range(0, n, step):
            block = slice(start, start + step)
            yield self.rows(block if order is None else order[block])

    def check_queries(self, Q):
        """Return the queries in float64, of length one under ``"cosine"``."""
        Q = check_rows(Q, "queries", least=0)
        if Q.ndim != 2 or Q.shape[1] != self.X.shape[1]:
            raise ValueError(
                f"queries must be of shape (n, {self.X.shape[1]}) like the base, got {Q.shape}"
            )
        Q = Q.astype(np.float64, copy=False)
        return Q / row_norms(Q, "queries")[:, None] if self.metric == "cosine" else Q

    def shorten(self, Q, candidates, m):
        """Keep the ``m`` nearest of many candidates, by distances in the dtype of the base.

        Parameters
        ----------
        Q : ndarray of shape (n_queries, d)
            From ``check_queries``.
        candidates : ndarray of int, shape (n_queries, many)
            -1 for none.
        m : int

        Returns
        -------
        ndarray of int, shape (n_queries, m)
            In no order.
        """
        if candidates.shape[1] <= m:
            return candidates
        kept = np.empty((len(Q), m), dtype=candidates.dtype)
        Q = Q.astype(self.X.dtype, copy=False)
        for row, (query, found) in enumerate(zip(Q, candidates, strict=True)):
            rows = self.X[found]
            if self.metric == "inner_product":
                near = -(rows @ query)
            else:
                rows -= query
                near = np.einsum("ij,ij->i", rows, rows)
            near[found < 0] = np.inf
            kept[row] = found[np.argpartition(near, m - 1)[:m]]
        return kept

    def rank(self, Q, candidates, k, exclude=None):
        """Order candidates by distance, equal ones by row number.

        Parameters
        ----------
        Q : ndarray of shape (n_queries, d)
            From ``check_queries``.
        candidates : ndarray of int, shape (n_queries, m)
            Rows of the base, each at most once; -1 for none.
        k : int
            How many to keep, at most ``m``.
        exclude : ndarray of int, shape (n_queries,), default=None
            A row not to be found.

        Returns
        -------
        distances : ndarray of shape (n_queries, k)
            Infinite where there was no candidate.
        indices : ndarray of shape (n_queries, k)
        """
        distances = np.empty((len(Q), k))
        indices = np.empty((len(Q), k), dtype=np.intp)
        step = max(1, _BLOCK_BYTES // max(1, 8 * candidates.shape[1] * self.X.shape[1]))
        for start in range(0, len(Q), step):
            part = slice(start, start + step)
            found = candidates[part]
            exact = self._distances(Q[part], found)
            exact[found < 0] = np.inf
            if exclude is not None:
                exact[found == exclude[part, None]] = np.inf
            rising = np.all(exact[:, 1:] > exact[:, :-1], axis=1)
            if len(found) == 1 and not rising[0]:  # in a fraction of the time of what follows
                order = np.lexsort((found[0], exact[0]))
                found, exact = found[:, order], exact[:, order]
            elif not rising.all():
                mixed = ~rising
                order = np.lexsort((found[mixed], exact[mixed]), axis=1)
                found, exact[mixed] = found.copy(), np.take_along_axis(exact[mixed], order, axis=1)
                found[mixed] = np.take_along_axis(found[mixed], order, axis=1)
            distances[part], indices[part] = exact[:, :k], found[:, :k]
        if k and np.isinf(distances[:, -1]).any():
            beyond = np.isinf(distances) & (indices >= 0)
            if exclude is not None:
                beyond &= indices != exclude[:, None]
            if beyond.any():
                raise ValueError(
                    "X: squared distances between these rows are beyond the largest float64, of "
                    "values of some 1e154; divide all rows by one number, 1e100 say"
                )
        return distances, indices

    def _distances(self, Q, candidates):
        rows = self.rows(candidates)
        if self.metric == "inner_product":
            return -np.einsum("ij,ikj->ik", Q, rows)
        rows -= Q[:, None]
        squares = np.einsum("ikj,ikj->ik", rows, rows)
        return squares / 2 if self.metric == "cosine" else np.sqrt(squares)

    def paired(self, Q, query, rows):
        """Compute the distances of queries to rows of the base, pair by pair.

        Parameters
        ----------
        Q : ndarray of shape (n_queries, d)
            From ``check_queries``.
        query, rows : ndarray of int, shape (n,)

        Returns
        -------
        ndarray of shape (n,)
        """
        distances = np.empty(len(rows))
        # Few at once, so that they stay in the cache of a processor.
        step = max(1, _PAIR_BYTES // (8 * self.X.shape[1]))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            distances[part] = self._distances(Q[query[part]], rows[part, None])[:, 0]
        return distances

    def check_k(self, k, excluding):
        """Raise a ``ValueError`` for more neighbors than there are rows to find."""
        available = len(self.X) - excluding
        if as_count(k, "k") > available:
            raise ValueError(
                f"k={k} neighbors were asked for, but the base has {available} rows to find; "
                f"k must be from 1 to {available}"
            )


def check_metric_name(metric):
    """Raise a ``ValueError`` for a metric that no search knows."""
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {METRICS}, got {metric!r}")


class Frame:
    """The shift and scale that make low precision harmless.

    A common offset costs digits in ``|a|² + |b|² - 2ab``; distances and the order of
    inner products do not see it. Centered rows are scaled to a longest one of
    length 1; the order of inner products does not depend on the query's length.
    """

    def __init__(self, ranker):
        self.inner_product = ranker.metric == "inner_product"
        self.center = sum(rows.sum(axis=0) for rows in ranker.blocks()) / len(ranker.X)
        largest = 0.0
        for rows in ranker.blocks():
            rows = rows - self.center
            largest = max(largest, float(np.einsum("ij,ij->i", rows, rows).max()))
        self.one_place = largest == 0
        self.scale = 1.0 if self.one_place else np.sqrt(largest)

    def base(self, rows):
        """Return the rows of the base in this frame."""
        return (rows - self.center) / self.scale

    def queries(self, Q):
        """Return the queries in this frame."""
        if not self.inner_product:
            return (Q - self.center) / self.scale
        # By the largest entry first, so that no square overflows or vanishes.
        largest = np.abs(Q).max(axis=1, keepdims=True)
        Q = Q / np.where(largest > 0, largest, 1)
        norms = np.linalg.norm(Q, axis=1, keepdims=True)
        return Q / np.where(norms > 0, norms, 1)


def check_rows(X, name, *, least=1):
    """Check that an array holds rows of finite numbers.

    Parameters
    ----------
    X : array-like
    name : str
        What the error calls it.
    least : int, default=1
        Fewest rows.

    Returns
    -------
    ndarray
        ``X`` itself where it is one.
    """
    check_unmasked(X, name)
    X = np.asanyarray(X)
    if X.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold numbers, got dtype {X.dtype}")
    if X.ndim != 2 or len(X) < least or X.shape[1] == 0:
        raise ValueError(
            f"{name} must be of shape (n, d) with at least one row and column, got {X.shape}"
        )
    # The sum is finite only if all entries are; it may overflow though they are.
    with np.errstate(over="ignore", invalid="ignore"):
        finite = X.dtype.kind != "f" or np.isfinite(X.sum()) or np.isfinite(X).all()
    if not finite:
        row = int(np.flatnonzero(~np.isfinite(X).all(axis=1))[0])
        raise ValueError(f"{name}: row {row} contains NaN or infinity; drop or fill such rows")
    return X


def is_checked(X, d):
    """Whether ``X`` is an array of finite rows of ``d`` floats, by a check that costs little."""
    if type(X) is not np.ndarray or X.dtype.char not in "fd" or X.ndim != 2:
        return False
    if X.shape[1] != d or not len(X):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()))


def row_norms(X, name):
    """Compute the length of each row; raise for rows of zeros, which have no direction."""
    X = X.astype(np.float64, copy=False)
    norms = np.sqrt(np.einsum("ij,ij->i", X, X))
    if not np.all(norms > 0):
        row = int(np.flatnonzero(norms == 0)[0])
        raise ValueError(
            f"{name}: row {row} is all zeros, its cosine with anything is undefined; drop such "
            f"rows or use metric='euclidean'"
        )
    return norms
