"""Certified screening: which rows can be among the nearest, from one matrix product.

A product in low precision is fast and wrong in the last digits. Its error is
bounded, so it can rule rows out: a row whose distance is at least `low` is not
among the k nearest when k others are at most `high` away. What is left, a few
rows beyond k, is for exact arithmetic to rank.
"""

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

# Scores at once, queries at once, and base rows at once at least: a tile that stays in
# the cache of a processor, and is large enough for a fast matrix product.
_TILE = 2**19
_ROWS = 512
_WIDTH = 1024
# Where rows are queries and base at once, tiles are square.
_SQUARE = 1024
# Numbers of the table copied at once, where single rows of it are wanted.
_GATHER = 2**20
# Products below the smallest normal float32 lose all relative precision.
_UNDERFLOW = 1e-36


class Prepared(NamedTuple):
    """Queries as they are multiplied with the table, and their part of the rounding error."""

    table: np.ndarray
    slack: np.ndarray


class Screen:
    """Lower bounds of distances to a base, at one floating point precision.

    The score of base row ``b`` for query ``q``, both already centered and scaled so
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
        Centered and scaled rows, in blocks.
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
        self._largest_slack = self.slack.max()

    def block_rows(self, k):
        """Return the number of queries to screen at once, so that a tile stays in the cache."""
        return int(np.clip(_TILE // max(_WIDTH, 4 * k), 16, _ROWS))

    def _width(self, n_queries, k):
        return max(_WIDTH, 4 * k, _TILE // n_queries)

    def nearest(self, queries, k, upper=None, most=None):
        """Return the base rows that can be among the ``k`` nearest of each query.

        Parameters
        ----------
        queries : ndarray of shape (n, d), float64
            At most ``block_rows(k)`` rows, centered and scaled like the base.
        k : int
            At most the number of base rows.
        upper : callable, default=None
            ``upper(low, rows)`` gives upper bounds of the scores of base rows, both
            of shape (n, k), from lower bounds; by default those of rounding.
        most : float, default=None
            Rows a query may have on average; more are given up. By default a few more
            than ``k`` in float32, any number in float64.

        Returns
        -------
        ndarray of shape (n, m), m >= k, dtype intp, or None
            Rows of the base, -1 for none. None where given up.
        """
        queries = self.prepare(queries)
        most = most or self._most(k)
        if upper is None and len(queries.table) == 1 and len(self.table) <= _TILE:
            return self._nearest_of_one(queries, k, most)
        upper = upper or partial(self._rounded_up, queries)
        found = Ragged(len(queries.table))
        limit, room = None, 0
        for start, scores in self._tiles(queries, self._width(len(queries.table), k)):
            if limit is None:
                few = scores[:, : max(_WIDTH, 4 * k)]
                limit = self._limit(few, np.arange(few.shape[1]), k, upper)
            query, column, score = _entries(scores, scores <= limit[:, None])
            found.add(query, column + start, score)
            # Early limits are loose: tighten them before what they let in piles up.
            if found.count > room and start:
                limit = self._limit(*found.padded(), k, upper)
                found.keep(limit)
                if found.count > most * found.n_queries:
                    return None
                room = 2 * found.count + 64 * k * found.n_queries
        return self._still_near(found, k, upper, most)

    def _nearest_of_one(self, query, k, most):
        """Return what :meth:`nearest` does, of one query, in as few calls as can be."""
        scores = self.table @ query.table[0]
        highest = np.partition(scores, k - 1)[k - 1]
        limit = np.float64(highest) + 2 * (self._largest_slack + query.slack[0])
        rows = np.flatnonzero(scores <= _up(limit, self.table.dtype))
        return rows[None] if len(rows) <= most else None

    def nearest_of_all(self, k):
        """Return the base rows that can be among the ``k`` nearest of each base row, itself too.

        Every pair's product is formed once and serves both its rows. Euclidean only.

        Parameters
        ----------
        k : int
            At most the number of base rows.

        Returns
        -------
        list of (slice, ndarray of shape (n_block, m) or None)
            Base rows that are the queries, and what :meth:`nearest` gives for them.
        """
        n_blocks = max(1, len(self.table) // max(_SQUARE, 4 * k))
        edges = np.linspace(0, len(self.table), n_blocks + 1).astype(np.intp)
        blocks = [slice(*pair) for pair in pairwise(edges)]
        upper = [partial(self._rounded_up, self.prepare_own(block)) for block in blocks]
        found = [Ragged(block.stop - block.start) for block in blocks]
        most = self._most(k)
        limit = [None] * n_blocks
        room = [4 * k * part.n_queries for part in found]
        # Filled again and again: fresh memory would cost a good part of the product.
        largest = int(np.diff(edges).max()) ** 2
        product, mask, other_mask = (
            np.empty(largest, kind) for kind in (self.table.dtype, bool, bool)
        )
        for i, j in _each_pair_once(n_blocks):
            shape = found[i].n_queries, found[j].n_queries
            scores, near, of_others = (
                memory[: shape[0] * shape[1]].reshape(shape)
                for memory in (product, mask, other_mask)
            )
            np.matmul(self.prepare_own(blocks[i]).table, self.table[blocks[j]].T, out=scores)
            if i == j:
                everyone = np.arange(blocks[i].start, blocks[i].stop)
                limit[i] = self._limit(scores, everyone, k, upper[i])
            np.less_equal(scores, limit[i][:, None], out=near)
            near |= np.less_equal(scores, limit[j], out=of_others)
            row, column, score = _entries(scores, near)
            sides = [(i, row, column + blocks[j].start), (j, column, row + blocks[i].start)]
            for b, query, base_row in sides if i != j else sides[:1]:
                near = score <= limit[b][query]
                found[b].add(query[near], base_row[near], score[near])
                # Limits tighten before what they let in piles up.
                if found[b].count > room[b]:
                    limit[b] = self._limit(*found[b].padded(), k, upper[b])
                    found[b].keep(limit[b])
                    if found[b].count > most * found[b].n_queries:
                        # Given up: nothing more is let in, and what is there is dropped.
                        limit[b] = np.full_like(limit[b], -np.inf)
                        found[b].keep(limit[b])
                    room[b] = found[b].count + 3 * k * found[b].n_queries
        return [
            (block, self._still_near(found[b], k, upper[b], most) if found[b].count else None)
            for b, block in enumerate(blocks)
        ]

    def nearest_among(self, queries, candidates, k):
        """Return what is left of candidates by these scores; see :meth:`nearest`.

        Parameters
        ----------
        queries : Prepared
        candidates : ndarray of int, shape (n_queries, m)
            At least ``k`` for each query; -1 for none.
        """
        query, place = np.nonzero(candidates >= 0)
        rows = candidates[query, place]
        found = Ragged(len(candidates))
        found.add(query, rows, self._scores(queries, query, rows))
        return self._still_near(found, k, partial(self._rounded_up, queries), self._most(k))

    def within(self, queries, squared_radius):
        """Return the base rows that can be within a radius of each query (Euclidean only).

        Returns
        -------
        ndarray of shape (n, m), dtype intp, or None
            Rows of the base, -1 for none; ``m`` may be 0. None as of :meth:`nearest`.
        """
        squares = np.einsum("ij,ij->i", queries, queries)
        queries = self.prepare(queries)
        limit = _up(squared_radius - squares + queries.slack, self.table.dtype)
        found = Ragged(len(squares))
        for start, scores in self._tiles(queries, self._width(len(squares), 1)):
            query, column, score = _entries(scores, scores <= limit[:, None])
            found.add(query, column + start, score)
        return None if found.count > self._most(1) * len(squares) else found.padded()[1]

    def prepare(self, queries):
        """Bring queries to the form that is multiplied with the table."""
        table = np.ones((len(queries), self.table.shape[1]), self.table.dtype)
        table[:, :-2] = queries
        table[:, -1] = 0
        squares = np.einsum("ij,ij->i", queries, queries)
        return Prepared(table, self.query_factor * squares + _UNDERFLOW)

    def prepare_own(self, block):
        """Return the base rows as queries; their scores are squared distances (Euclidean only)."""
        table = -0.5 * self.table[block]
        table[:, -2] = 1
        table[:, -1] = self.table[block, -2]
        return Prepared(table, self.slack[block])

    def upper(self, queries, rows):
        """Compute upper bounds of scores, for each query of its own rows of the base.

        Parameters
        ----------
        queries : Prepared
        rows : ndarray of int, shape (n_queries, k)

        Returns
        -------
        ndarray of shape (n_queries, k)
        """
        query = np.repeat(np.arange(len(rows)), rows.shape[1])
        low = self._scores(queries, query, rows.reshape(-1)).reshape(rows.shape)
        return self._rounded_up(queries, low, rows)

    def _scores(self, queries, query, rows):
        """Scores of pairs, one by one."""
        scores = np.empty(len(rows), self.table.dtype)
        step = max(1, _GATHER // self.table.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            scores[part] = np.einsum("ij,ij->i", self.table[rows[part]], queries.table[query[part]])
        return scores

    def _most(self, k):
        return np.inf if self.table.dtype == np.float64 else 4 * k + 64

    def _rounded_up(self, queries, low, rows):
        return low + 2 * self.slack[rows] + 2 * queries.slack[:, None]

    def _tiles(self, queries, width):
        for start in range(0, len(self.table), width):
            yield start, queries.table @ self.table[start : start + width].T

    def _limit(self, low, rows, k, upper):
        """Return what at least ``k`` rows are below, for each query."""
        nearest = np.argpartition(low, k - 1, axis=1)[:, :k]
        low = np.take_along_axis(low, nearest, axis=1)
        rows = np.broadcast_to(rows, (len(low), rows.shape[-1]))
        rows = np.take_along_axis(rows, nearest, axis=1)
        return _up(upper(low, rows).max(axis=1), self.table.dtype)

    def _still_near(self, found, k, upper, most):
        low, rows = found.padded()
        limit = self._limit(low, rows, k, upper)
        rows[low > limit[:, None]] = -1
        counts = (rows >= 0).sum(axis=1)
        if counts.mean() > most:
            return None
        order = np.argsort(rows < 0, axis=1, kind="stable")[:, : counts.max()]
        return np.take_along_axis(rows, order, axis=1)


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


class Ragged:
    """Ragged list of (query, base row, score), growing part by part.

    Parameters
    ----------
    n_queries : int
        At most 65,536.
    """

    def __init__(self, n_queries):
        self.n_queries = n_queries
        self.count = 0
        self._parts = []

    def add(self, query, base_row, score):
        """Append entries; three arrays of one length."""
        # 16 bits make the stable sort by query a radix sort.
        self._parts.append((query.astype(np.uint16), base_row, score))
        self.count += len(query)

    def keep(self, limit):
        """Drop what is beyond its query's limit; ``limit`` of shape (n_queries,)."""
        query, base_row, score = self._merged()
        kept = score <= limit[query]
        self._parts = [(query[kept], base_row[kept], score[kept])]
        self.count = int(kept.sum())

    def padded(self):
        """Return scores and base rows as matrices, a row for each query, padded with inf and -1."""
        query, base_row, score = self._merged()
        counts = np.bincount(query, minlength=self.n_queries)
        place = np.arange(len(query)) - (np.cumsum(counts) - counts)[query]
        scores = np.full((self.n_queries, counts.max(initial=0)), np.inf, score.dtype)
        rows = np.full(scores.shape, -1, dtype=np.intp)
        scores[query, place] = score
        rows[query, place] = base_row
        return scores, rows

    def _merged(self):
        query, base_row, score = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        order = np.argsort(query, kind="stable")
        return query[order], base_row[order], score[order]
