"""Certified screening: which rows can be among the nearest, from one matrix product.

A product in low precision is fast and wrong in the last digits. Its error is
bounded, so it can rule rows out: a row whose distance is at least `low` is not
among the k nearest when k others are at most `high` away. What is left, a few
rows beyond k, is for exact arithmetic to rank.
"""

from itertools import pairwise

import numpy as np

from metriclearn.neighbors._ragged import Ragged

# Scores at once, queries at once, and base rows at once at least: a tile that stays in
# the cache of a processor, and is large enough for a fast matrix product.
_TILE = 2**19
_ROWS = 512
_WIDTH = 1024
# Where rows are queries and base at once, tiles are square.
_SQUARE = 1024
# Products below the smallest normal float32 lose all relative precision.
_UNDERFLOW = 1e-36


class Screen:
    """Lower bounds of distances to a base, at one floating point precision.

    The score of base row ``b`` for query ``q``, both already centred and scaled so
    that ``max |b| = 1``, is ``|b|² - 2 q·b`` (Euclidean, without the constant
    ``|q|²``) or ``-q·b`` (inner product). A dot product of ``d`` terms is off by at
    most ``γ Σ|terms|`` with ``γ ≈ d u``, in any order of summation (Higham, 2002), and
    ``2|q||b| ≤ |q|² + |b|²`` splits the bound into a part of the base row, which is
    folded into the table, and a part of the query.

    A row of the table is ``(-2b, |b|² - slack, 1)``; against ``(q, 1, 0)`` it gives the
    score, and against ``(b', 1, |b'|² - slack')``, where another base row is the query,
    a score that is the same both ways.

    Parameters
    ----------
    base : iterable of ndarray of shape (m, d), float64
        Centred and scaled rows, in blocks.
    n, d : int
        Rows in all and features.
    inner_product : bool
    dtype : float32 or float64
    """

    def __init__(self, base, n, d, inner_product, dtype):
        gamma = (d + 16) * float(np.finfo(dtype).eps) / 2
        self.query_factor = gamma * (0.5 if inner_product else 1)
        self.slack = np.empty(n)
        self.table = np.ones((n, d + 2), dtype)
        start = 0
        for rows in base:
            block = slice(start, start + len(rows))
            squares = np.einsum("ij,ij->i", rows, rows)
            slack = gamma * (0.5 if inner_product else 2) * squares + _UNDERFLOW
            self.slack[block] = slack
            self.table[block, :d] = rows
            self.table[block, :d] *= -1 if inner_product else -2
            self.table[block, d] = -slack if inner_product else squares - slack
            start = block.stop

    def block_rows(self, k):
        """Number of queries to screen at once, so that a tile stays in the cache."""
        return int(np.clip(_TILE // max(_WIDTH, 4 * k), 16, _ROWS))

    def _width(self, n_queries, k):
        return max(_WIDTH, 4 * k, _TILE // n_queries)

    def nearest(self, queries, k):
        """Base rows that can be among the ``k`` nearest of each query.

        Parameters
        ----------
        queries : ndarray of shape (n, d), float64
            At most ``block_rows(k)`` rows, centred and scaled like the base.
        k : int
            At most the number of base rows.

        Returns
        -------
        ndarray of shape (n, m), m >= k, dtype intp
            Rows of the base, -1 for none.
        """
        slack = self._query_slack(queries)
        found = Ragged(len(queries))
        limit, room = None, 0
        for start, scores in self._tiles(queries, self._width(len(queries), k)):
            if limit is None:
                few = scores[:, : max(_WIDTH, 4 * k)]
                limit = self._kth_limit(few, np.arange(few.shape[1]), slack, k)
            query, column, score = _entries(scores, scores <= limit[:, None])
            found.add(query, column + start, score)
            # Early limits are loose: tighten them before what they let in piles up.
            if found.count > room and start:
                limit = self._kth_limit(*found.padded(), slack, k)
                found.keep(limit)
                room = 2 * found.count + 64 * k * len(queries)
        return self._still_near(found, slack, k)

    def nearest_of_all(self, k):
        """Base rows that can be among the ``k`` nearest of each base row, itself among them.

        Every pair's product is formed once and serves both its rows. Euclidean only.

        Parameters
        ----------
        k : int
            At most the number of base rows.

        Yields
        ------
        block : slice
            Base rows that are the queries.
        candidates : ndarray of shape (block.stop - block.start, m), m >= k, dtype intp
            As of :meth:`nearest`.
        """
        n_blocks = max(1, len(self.table) // max(_SQUARE, 4 * k))
        edges = np.linspace(0, len(self.table), n_blocks + 1).astype(np.intp)
        blocks = [slice(*pair) for pair in pairwise(edges)]
        found = [Ragged(block.stop - block.start) for block in blocks]
        slack = [self.slack[block] for block in blocks]
        limit = [None] * n_blocks
        room = [4 * k * len(part) for part in slack]
        for i, j in _each_pair_once(n_blocks):
            scores = self._as_queries(blocks[i]) @ self.table[blocks[j]].T
            if i == j:
                everyone = np.arange(blocks[i].start, blocks[i].stop)
                limit[i] = self._kth_limit(scores, everyone, slack[i], k)
            near = scores <= limit[i][:, None]
            near |= scores <= limit[j]
            row, column, score = _entries(scores, near)
            sides = [(i, row, column + blocks[j].start), (j, column, row + blocks[i].start)]
            for b, query, base_row in sides if i != j else sides[:1]:
                near = score <= limit[b][query]
                found[b].add(query[near], base_row[near], score[near])
                # Limits tighten before what they let in piles up.
                if found[b].count > room[b]:
                    limit[b] = self._kth_limit(*found[b].padded(), slack[b], k)
                    found[b].keep(limit[b])
                    room[b] = found[b].count + 3 * k * len(slack[b])
        for b, block in enumerate(blocks):
            yield block, self._still_near(found[b], slack[b], k)

    def within(self, queries, squared_radius):
        """Base rows that can be within a radius of each query (Euclidean only).

        Returns
        -------
        ndarray of shape (n, m), dtype intp
            Rows of the base, -1 for none; ``m`` may be 0.
        """
        squares = np.einsum("ij,ij->i", queries, queries)
        limit = _up(squared_radius - squares + self._query_slack(queries), self.table.dtype)
        found = Ragged(len(queries))
        for start, scores in self._tiles(queries, self._width(len(queries), 1)):
            query, column, score = _entries(scores, scores <= limit[:, None])
            found.add(query, column + start, score)
        return found.padded()[1]

    def _tiles(self, queries, width):
        table = np.ones((len(queries), self.table.shape[1]), self.table.dtype)
        table[:, :-2] = queries
        table[:, -1] = 0
        for start in range(0, len(self.table), width):
            yield start, table @ self.table[start : start + width].T

    def _as_queries(self, block):
        queries = -0.5 * self.table[block]
        queries[:, -2] = 1
        queries[:, -1] = self.table[block, -2]
        return queries

    def _query_slack(self, queries):
        return self.query_factor * np.einsum("ij,ij->i", queries, queries) + _UNDERFLOW

    def _kth_limit(self, low, columns, query_slack, k):
        nearest = np.argpartition(low, k - 1, axis=1)[:, :k]
        low = np.take_along_axis(low, nearest, axis=1)
        columns = np.take_along_axis(
            np.broadcast_to(columns, (len(low), columns.shape[-1])), nearest, axis=1
        )
        high = (low + 2 * self.slack[columns]).max(axis=1)
        return _up(high + 2 * query_slack, self.table.dtype)

    def _still_near(self, found, query_slack, k):
        low, columns = found.padded()
        limit = self._kth_limit(low, columns, query_slack, k)
        columns[low > limit[:, None]] = -1
        widest = int((columns >= 0).sum(axis=1).max())
        order = np.argsort(columns < 0, axis=1, kind="stable")[:, :widest]
        return np.take_along_axis(columns, order, axis=1)


def _each_pair_once(n):
    """Pairs ``i <= j``, or ``j`` past the end and round: equally many early ones for each."""
    for offset in range(n // 2 + 1):
        for i in range(n // 2 if 2 * offset == n else n):
            yield i, (i + offset) % n


def _entries(scores, mask):
    """Row, column and score where the mask is true."""
    flat = np.flatnonzero(mask.reshape(-1))
    row, column = np.divmod(flat, scores.shape[1])
    return row, column, scores.reshape(-1)[flat]


def _up(values, dtype):
    """Round to ``dtype``, never down."""
    return np.nextafter(values.astype(dtype), dtype.type(np.inf))
