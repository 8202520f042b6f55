"""Exact nearest neighbours by brute force: fast to find, exact to rank."""

import numpy as np

from metriclearn.neighbors._screen import Screen

METRICS = ("euclidean", "cosine", "inner_product")
_BLOCK_BYTES = 32 * 2**20


class ExactSearch:
    """The exact ``k`` nearest rows of a base, ranked by exact distances.

    Base and queries are centred, so that a common offset costs no digits; one
    matrix product in float32 rules out all rows but a few (its rounding error is
    bounded, so nothing near is lost); the distances of those few are computed
    anew in float64 from the differences of the rows as they were given. Where
    float32 cannot rule out enough, float64 screens again. Equal distances rank
    by row number.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64
        The base; kept by reference.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        ``"cosine"`` is one minus the cosine, ``"inner_product"`` is minus the inner
        product, so that smaller is nearer in all three.

    Raises
    ------
    ValueError
        For another metric, or a row of zeros under ``"cosine"``.

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.neighbors import ExactSearch
    >>> X = np.array([[0.0], [1.0], [3.0], [3.0]])
    >>> distances, indices = ExactSearch(X).search(np.array([[2.5]]), k=3)
    >>> distances, indices
    (array([[0.5, 0.5, 1.5]]), array([[2, 3, 1]]))
    """

    def __init__(self, X, metric="euclidean"):
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {METRICS}, got {metric!r}")
        self.X = X
        self.metric = metric
        self._norms = row_norms(X, "X") if metric == "cosine" else None
        # In an order without meaning: sorted classes would make early limits loose.
        self._order = np.random.RandomState(0).permutation(len(X))
        self._centre = self._exact_rows(slice(None)).mean(axis=0)
        self._screens = {}
        base = self._base()
        largest = np.sqrt(np.einsum("ij,ij->i", base, base).max())
        self._scale = largest if largest > 0 else 1.0
        self._screens["f"] = self._screen(base / self._scale, np.float32)

    def __getstate__(self):
        # Everything else follows from these, and is as large.
        return {"X": self.X, "metric": self.metric}

    def __setstate__(self, state):
        self.__init__(state["X"], state["metric"])

    def _base(self):
        return self._exact_rows(self._order) - self._centre

    def _screen(self, base, dtype):
        return Screen(base, self.metric == "inner_product", dtype)

    def _fine_screen(self):
        if "d" not in self._screens:
            self._screens["d"] = self._screen(self._base() / self._scale, np.float64)
        return self._screens["d"]

    def _exact_rows(self, rows):
        X = self.X[rows].astype(np.float64, copy=False)
        return X if self._norms is None else X / self._norms[rows][..., None]

    def _check(self, Q):
        if Q.ndim != 2 or Q.shape[1] != self.X.shape[1]:
            raise ValueError(
                f"queries must be of shape (n, {self.X.shape[1]}) like the base, got {Q.shape}"
            )
        Q = Q.astype(np.float64, copy=False)
        if self.metric == "cosine":
            Q = Q / row_norms(Q, "queries")[:, None]
        return Q

    def _screened(self, Q):
        """Queries as the screen wants them."""
        if self.metric != "inner_product":
            return (Q - self._centre) / self._scale
        # The order of inner products does not depend on the length of the query.
        norms = np.linalg.norm(Q, axis=1, keepdims=True)
        return Q / np.where(norms > 0, norms, 1)

    def search(self, Q, k, *, exclude=None):
        """Find the ``k`` nearest rows of the base for each query.

        Parameters
        ----------
        Q : ndarray of shape (n_queries, d)
        k : int
            From 1 to the number of base rows (one fewer with ``exclude``).
        exclude : ndarray of int, shape (n_queries,), default=None
            For each query a base row that is not to be found (the query itself),
            -1 for none.

        Returns
        -------
        distances : ndarray of shape (n_queries, k), float64
            Ascending.
        indices : ndarray of shape (n_queries, k), intp

        Raises
        ------
        ValueError
            If ``k`` is larger than the base or the width differs.
        """
        Q = self._check(Q)
        available = len(self.X) - (exclude is not None)
        if not 1 <= k <= available:
            raise ValueError(
                f"k={k} neighbours were asked for, but the base has {available} rows to find; "
                f"k must be from 1 to {available}"
            )
        wanted = k + (exclude is not None)
        distances = np.empty((len(Q), k))
        indices = np.empty((len(Q), k), dtype=np.intp)
        for block, columns in self._blocks(Q, lambda screen, q: screen.nearest(q, wanted), wanted):
            skip = None if exclude is None else exclude[block]
            for part in _parts(columns, self.X.shape[1]):
                rows = slice(block.start + part.start, block.start + part.stop)
                distances[rows], indices[rows] = self._rank(
                    Q[rows], columns[part], k, None if skip is None else skip[part]
                )
        return distances, indices

    def radius(self, Q, radius):
        """Find all rows of the base within a distance of each query.

        Parameters
        ----------
        Q : ndarray of shape (n_queries, d)
        radius : float
            Largest distance, itself included.

        Returns
        -------
        list of (distances, indices)
            One for each query, by rising distance.
        """
        if self.metric == "inner_product":
            raise ValueError("a radius needs a metric with distances from 0; use 'euclidean'")
        Q = self._check(Q)
        squared = (2 * radius if self.metric == "cosine" else radius**2) / self._scale**2
        # The exact distance is rounded too: a few units so that the edge is not lost.
        squared *= 1 + 1e-12
        found = []
        for block, columns in self._blocks(Q, lambda screen, q: screen.within(q, squared), 1):
            for part in _parts(columns, self.X.shape[1]):
                rows = slice(block.start + part.start, block.start + part.stop)
                distances, indices = self._rank(Q[rows], columns[part], columns.shape[1], None)
                counts = (distances <= radius).sum(axis=1)
                found += [
                    (d[:count].copy(), i[:count].copy())
                    for d, i, count in zip(distances, indices, counts, strict=True)
                ]
        return found

    def _blocks(self, Q, candidates, k):
        """Yield slices of queries with their candidates, as base rows, -1 for none."""
        coarse = self._screens["f"]
        step = coarse.block_rows(k)
        for start in range(0, len(Q), step):
            block = slice(start, min(start + step, len(Q)))
            queries = self._screened(Q[block])
            # Far queries overflow float32, and its error hides all differences of the base.
            far = np.abs(queries).max(initial=0) > 1e12
            columns = None if far else candidates(coarse, queries)
            if far or (columns >= 0).sum() > len(queries) * (4 * k + 64):
                columns = candidates(self._fine_screen(), queries)
            yield block, np.where(columns >= 0, self._order[columns], -1)

    def _rank(self, Q, columns, k, exclude):
        rows = self._exact_rows(columns)
        if self.metric == "inner_product":
            distances = -np.einsum("ij,ikj->ik", Q, rows)
        else:
            rows -= Q[:, None]
            distances = np.einsum("ikj,ikj->ik", rows, rows)
            distances = distances / 2 if self.metric == "cosine" else np.sqrt(distances)
        distances[columns < 0] = np.inf
        if exclude is not None:
            distances[columns == exclude[:, None]] = np.inf
        order = np.lexsort((columns, distances), axis=1)[:, :k]
        return (
            np.take_along_axis(distances, order, axis=1),
            np.take_along_axis(columns, order, axis=1),
        )


def _parts(columns, n_features):
    """Slices of the queries whose gathered candidates fit a block of memory."""
    step = max(1, _BLOCK_BYTES // max(1, 8 * columns.shape[1] * n_features))
    return (slice(s, min(s + step, len(columns))) for s in range(0, len(columns), step))


def row_norms(X, name):
    """Length of each row, refusing rows of zeros, which have no direction.

    Raises
    ------
    ValueError
        Naming the first row of zeros.
    """
    X = X.astype(np.float64, copy=False)
    norms = np.sqrt(np.einsum("ij,ij->i", X, X))
    if not np.all(norms > 0):
        row = int(np.flatnonzero(norms == 0)[0])
        raise ValueError(
            f"{name}: row {row} is all zeros, its cosine with anything is undefined; drop such "
            f"rows or use metric='euclidean'"
        )
    return norms
