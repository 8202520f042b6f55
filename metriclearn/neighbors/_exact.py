"""Exact nearest neighbors by brute force: fast to find, exact to rank."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from metriclearn._threads import map_blocks, n_block_threads
from metriclearn.neighbors._search._ordered import OrderedScores, ordered_values
from metriclearn.neighbors._search._ranker import Frame, Ranker, check_rows
from metriclearn.neighbors._search._reduced import MOST_FEATURES, ReducedScreen, TreeScreen
from metriclearn.neighbors._search._screen import Screen

# Beyond this, relative to the base, a query's rounding error hides all differences of
# the base, and squares of it leave the range of float32.
_FAR = 1e12
# Queries so many that a reduced screen, which takes time to make, can pay.
_MANY = 512
# Answers in all up to which the candidates of every row are kept at once.
_AT_ONCE = 2**22
# Queries asked of a tree at once.
_TREE_QUERIES = 2**14


class ExactSearch:
    """The exact ``k`` nearest rows of a base, ranked by exact distances.

    Base and queries are centered, so that a common offset costs no digits; one
    matrix product in float32 rules out all rows but a few (its rounding error is
    bounded, so nothing near is lost); the distances of those few are computed
    in float64 from the differences of the rows as they were given. Where
    float32 cannot rule out enough, float64 screens again. Where a few directions
    hold most of the spread, and enough is asked for, they rule out rows first; of up to six
    features a kd-tree does.
    Equal distances rank by row number. Many queries are shared out over as many threads as
    BLAS may use, with the same result to the last bit.

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
        For another metric, no rows, NaN or infinity, what is no number, or a row of zeros
        under ``"cosine"``.

    See Also
    --------
    FaissNearestNeighbors : As a scikit-learn estimator, approximate on request.
    RetrievalIndex : With ids and payload; grows and shrinks.

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.neighbors import ExactSearch
    >>> X = np.array([[0.0], [1.0], [3.0], [3.0]])
    >>> distances, indices = ExactSearch(X).search(np.array([[2.5]]), k=3)
    >>> distances, indices
    (array([[0.5, 0.5, 1.5]]), array([[2, 3, 1]]))
    """

    def __init__(self, X: np.ndarray, metric: str = "euclidean") -> None:
        self._ranker = Ranker(check_rows(X, "X"), metric)
        self._frame = Frame(self._ranker)
        # In an order without meaning: sorted classes would make early limits loose.
        self._order = np.random.RandomState(0).permutation(len(X))
        self._screens = {}
        self._tree = None
        self._ordered = None
        # A reduced screen, None until enough was asked to pay for it, False if it does not.
        self._reduced = None
        self._n_asked = 0
        self._lock = threading.Lock()

    @property
    def X(self) -> np.ndarray:
        """The base."""
        return self._ranker.X

    @property
    def metric(self) -> str:
        """The metric."""
        return self._ranker.metric

    def moved(self, X: ArrayLike) -> None:
        """Take the base from another place in memory; its values are the same."""
        self._ranker.X = X

    def __getstate__(self):
        # Everything else follows from these, and is as large.
        return {"X": self.X, "metric": self.metric}

    def __setstate__(self, state):
        self.__init__(state["X"], state["metric"])

    def _base(self, rows):
        """Rows of the base, centered and scaled, in the order of the screens."""
        return self._frame.base(self._ranker.rows(self._order[rows]))

    def _reduced_screen(self, n_queries, k):
        """Return the reduced screen, where enough is asked for it to pay, and it does; or None."""
        self._n_asked += n_queries
        n, d = self.X.shape
        enough = min(self._n_asked, n / 4) >= max(_MANY, d)
        if self._reduced is None and enough and not self._frame.inner_product:
            whole = self._screen(np.float32)
            self._reduced = ReducedScreen.where_it_pays(self._base, whole, k) or False
        return self._reduced if self._reduced and self._reduced.pays(k) else None

    def _screen(self, dtype):
        with self._lock:
            if dtype not in self._screens:
                base = map(self._frame.base, self._ranker.blocks(self._order))
                self._screens[dtype] = Screen(base, *self.X.shape, self._frame.inner_product, dtype)
        return self._screens[dtype]

    def search(
        self, Q: np.ndarray, k: int, *, exclude: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
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
            If ``k`` is larger than the base, the width differs, or a query holds NaN or
            infinity.
        """
        Q = self._ranker.check_queries(Q)
        self._ranker.check_k(k, exclude is not None)
        wanted = k + (exclude is not None)
        if self._frame.one_place:
            # All rows tie (an embedding that has collapsed): the first ones win.
            candidates = np.tile(np.arange(wanted), (len(Q), 1))
            return self._ranker.rank(Q, candidates, k, exclude)
        if self._uses_tree():
            distances = np.empty((len(Q), k))
            indices = np.empty((len(Q), k), dtype=np.intp)
            left = self._by_tree(Q, k, exclude, distances, indices)
            if len(left):
                again = None if exclude is None else exclude[left]
                found = self._by_screens(Q[left], k, again)
                distances[left], indices[left] = found
            return distances, indices
        return self._by_screens(Q, k, exclude)

    def _by_screens(self, Q, k, exclude):
        wanted = k + (exclude is not None)
        reduced = self._reduced_screen(len(Q), wanted)
        ask = partial(self._nearest, k=wanted, reduced=reduced)
        if len(Q) == 1:  # where overhead would show
            return self._ranker.rank(Q, self._candidates(Q, ask), k, exclude)
        distances = np.empty((len(Q), k))
        indices = np.empty((len(Q), k), dtype=np.intp)

        def rank(block):
            candidates = self._candidates(Q[block], ask)
            skip = None if exclude is None else exclude[block]
            return block, self._ranker.rank(Q[block], candidates, k, skip)

        for block, found in _shared_out(rank, self._blocks(len(Q), wanted)):
            distances[block], indices[block] = found
        return distances, indices

    def _uses_tree(self):
        return self.X.shape[1] <= MOST_FEATURES and not self._frame.inner_product

    def _by_tree(self, Q, k, exclude, distances, indices):
        """Fill in what a tree finds for certain; return the queries that it leaves open."""
        if self._tree is None:
            rows = self._ranker.rows(slice(None))
            self._tree = TreeScreen(rows, self._frame.base(rows))
        left = []
        for start in range(0, len(Q), _TREE_QUERIES):
            rows = np.arange(start, min(start + _TREE_QUERIES, len(Q)))
            queries = self._frame.queries(Q[rows])
            near = np.abs(queries).max(axis=1) < _FAR
            left.append(rows[~near])
            rows, queries = rows[near], queries[near]
            wanted = k + (exclude is not None)
            for m in self._tree.rounds(wanted):
                if not len(rows):
                    break
                candidates, reach = self._tree.nearest(queries, m, wanted)
                skip = None if exclude is None else exclude[rows]
                found, found_rows = self._ranker.rank(Q[rows], candidates, k, skip)
                farthest = found[:, -1] * (1 + 1e-12)
                farthest = np.sqrt(2 * farthest) if self.metric == "cosine" else farthest
                sure = farthest < reach * self._frame.scale
                distances[rows[sure]], indices[rows[sure]] = found[sure], found_rows[sure]
                rows, queries = rows[~sure], queries[~sure]
            left.append(rows)
        return np.concatenate(left) if left else np.empty(0, dtype=np.intp)

    def search_all(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the ``k`` nearest other rows of the base for each of its rows.

        The same as ``search(X, k, exclude=arange(n))`` in about half the time: each
        pair's product is formed once and serves both its rows. (Not so under
        ``"inner_product"``, and for so many answers that their candidates would fill
        the memory.)

        Parameters
        ----------
        k : int
            From 1 to one fewer than there are base rows.

        Returns
        -------
        distances : ndarray of shape (n, k), float64
            Ascending.
        indices : ndarray of shape (n, k), intp

        Raises
        ------
        ValueError
            If ``k`` is not less than the number of base rows.
        """
        n = len(self.X)
        self._ranker.check_k(k, True)
        few = self._uses_tree() or n * (k + 1) > _AT_ONCE
        if self._frame.one_place or self._frame.inner_product or few:
            return self.search(self.X, k, exclude=np.arange(n))
        distances = np.empty((n, k))
        indices = np.empty((n, k), dtype=np.intp)
        for block, candidates in self._screen(np.float32).nearest_of_all(k + 1):
            rows = self._order[block]
            if candidates is None:
                found = self.search(self.X[rows], k, exclude=rows)
            else:
                candidates = np.where(candidates >= 0, self._order[candidates], -1)
                found = self._ranker.rank(self._ranker.rows(rows), candidates, k, rows)
            distances[rows], indices[rows] = found
        return distances, indices

    def values_in_order(
        self,
        Q: np.ndarray,
        k: int,
        values: Callable[..., Any],
        *,
        exclude: np.ndarray | None = None,
    ) -> np.ndarray:
        """Rank values of base rows by distance: what :meth:`search` finds, not which row.

        The same as ``values(queries, search(Q, k)[1])``, and several times faster for
        large ``k``: distances are computed only where rows with different values are too
        near to each other to be ordered in float32.

        Parameters
        ----------
        Q : ndarray of shape (n_queries, d)
        k : int
            From 1 to the number of base rows (one fewer with ``exclude``).
        values : callable
            ``values(queries, rows)`` gives the values of rows of the base for queries: row
            numbers of ``Q``, shape (n,), and of the base, shape (n, m), to shape (n, m).
        exclude : ndarray of int, shape (n_queries,), default=None
            For each query a base row that is not to be found, -1 for none.

        Returns
        -------
        ndarray of shape (n_queries, k)

        Raises
        ------
        ValueError
            If ``k`` is larger than the base or the width differs.
        """
        Q = self._ranker.check_queries(Q)
        self._ranker.check_k(k, exclude is not None)
        everyone = np.arange(len(Q))
        framed = self._frame.queries(Q)
        if self._frame.one_place or np.abs(framed).max(initial=0) >= _FAR:
            return values(everyone, self.search(Q, k, exclude=exclude)[1])
        if self._ordered is None:
            base = map(self._frame.base, self._ranker.blocks())
            self._ordered = OrderedScores(base, *self.X.shape, self._frame.inner_product)  # type: ignore[call-arg]

        def order(block):
            def values_of(query, rows):
                return values(query + block.start, rows)

            def distances(query, rows):
                return self._ranker.paired(Q, query + block.start, rows), rows

            skip = None if exclude is None else exclude[block]
            return ordered_values(self._ordered, framed[block], k, values_of, distances, skip)

        # All threads together take the memory that one would.
        step = max(16, self._ordered.block_rows() // n_block_threads())  # type: ignore[attr-defined]
        blocks = [slice(start, start + step) for start in range(0, len(Q), step)]
        return np.concatenate(list(_shared_out(order, blocks)))

    def radius(self, Q: np.ndarray, radius: float) -> list[Any]:
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

        Raises
        ------
        ValueError
            With ``metric="inner_product"``, which has no distance from 0.
        """
        if self.metric == "inner_product":
            raise ValueError("a radius needs a metric with distances from 0; use 'euclidean'")
        Q = self._ranker.check_queries(Q)
        squared = (2 * radius if self.metric == "cosine" else radius**2) / self._frame.scale**2
        # The exact distance is rounded too: a few units so that the edge is not lost.
        squared *= 1 + 1e-12
        ask = partial(self._within, squared_radius=squared)

        def rank(block):
            candidates = self._candidates(Q[block], ask)
            distances, indices = self._ranker.rank(Q[block], candidates, candidates.shape[1])
            counts = (distances <= radius).sum(axis=1)
            return [
                (d[:count].copy(), i[:count].copy())
                for d, i, count in zip(distances, indices, counts, strict=True)
            ]

        return [found for part in _shared_out(rank, self._blocks(len(Q), 1)) for found in part]

    def _blocks(self, n_queries, k):
        step = self._screen(np.float32).block_rows(k)
        return [slice(s, min(s + step, n_queries)) for s in range(0, n_queries, step)]

    def _candidates(self, Q, ask):
        """Return candidates for each query, as base rows, -1 for none."""
        queries = self._frame.queries(Q)
        candidates = next(found for found in ask(queries) if found is not None)
        return np.where(candidates >= 0, self._order[candidates], -1)

    def _nearest(self, queries, k, reduced):
        """Yield candidates of each screen, or None where it gave up."""
        if np.abs(queries).max(initial=0) < _FAR:
            if reduced and self._reduced:
                yield reduced.nearest(queries, k)
                # It gave up: the sample that promised a gain was not typical.
                self._reduced = False
            yield self._screen(np.float32).nearest(queries, k)
        yield self._screen(np.float64).nearest(queries, k)

    def _within(self, queries, squared_radius):
        if np.abs(queries).max(initial=0) < _FAR:
            yield self._screen(np.float32).within(queries, squared_radius)
        yield self._screen(np.float64).within(queries, squared_radius)


def _shared_out(function, blocks):
    """Apply a function to blocks of queries, on threads where there are several."""
    return map_blocks(function, blocks) if len(blocks) > 1 else map(function, blocks)
