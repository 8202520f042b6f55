"""Certified screening: which rows can be among the nearest, from one matrix product.

A product in low precision is fast and wrong in the last digits. Its error is
bounded, so it can rule rows out: a row whose distance is at least `low` is not
among the k nearest when k others are at most `high` away. What is left, a few
rows beyond k, is for exact arithmetic to rank.
"""

import numpy as np

# Scores at once, queries at once, and base rows at once at least: a tile that stays in
# the cache of a processor, and is large enough for a fast matrix product.
_TILE = 2**19
_ROWS = 512
_WIDTH = 1024
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
        self.table = np.empty((n, d + 1), dtype)
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
        found = _Found(len(queries))
        limit, room = None, 0
        for start, scores in self._tiles(queries, self._width(len(queries), k)):
            if limit is None:
                few = scores[:, : max(_WIDTH, 4 * k)]
                limit = self._kth_limit(few, np.arange(few.shape[1]), slack, k)
            found.add(scores, start, limit)
            # Early limits are loose: tighten them before what they let in piles up.
            if found.count > room and start:
                low, columns = found.padded()
                limit = self._kth_limit(low, columns, slack, k)
                found.keep(limit)
                room = 2 * found.count + 64 * k * len(queries)
        low, columns = found.padded()
        limit = self._kth_limit(low, columns, slack, k)
        columns[low > limit[:, None]] = -1
        widest = int((columns >= 0).sum(axis=1).max())
        order = np.argsort(columns < 0, axis=1, kind="stable")[:, :widest]
        return np.take_along_axis(columns, order, axis=1)

    def within(self, queries, squared_radius):
        """Base rows that can be within a radius of each query (Euclidean only).

        Returns
        -------
        ndarray of shape (n, m), dtype intp
            Rows of the base, -1 for none; ``m`` may be 0.
        """
        squares = np.einsum("ij,ij->i", queries, queries)
        limit = _up(squared_radius - squares + self._query_slack(queries), self.table.dtype)
        found = _Found(len(queries))
        for start, scores in self._tiles(queries, self._width(len(queries), 1)):
            found.add(scores, start, limit)
        return found.padded()[1]

    def _tiles(self, queries, width):
        table = np.ones((len(queries), self.table.shape[1]), self.table.dtype)
        table[:, :-1] = queries
        for start in range(0, len(self.table), width):
            yield start, table @ self.table[start : start + width].T

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


def _up(values, dtype):
    """Round to ``dtype``, never down."""
    return np.nextafter(values.astype(dtype), dtype.type(np.inf))


class _Found:
    """Ragged list of (query, base row, score), growing tile by tile."""

    def __init__(self, n_queries):
        self.n_queries = n_queries
        self.count = 0
        self._parts = []

    def add(self, scores, start, limit):
        flat = np.flatnonzero((scores <= limit[:, None]).reshape(-1))
        row, column = np.divmod(flat, scores.shape[1])
        # 16 bits make the stable sort by row a radix sort.
        self._parts.append((row.astype(np.uint16), column + start, scores.reshape(-1)[flat]))
        self.count += len(flat)

    def _merged(self):
        row, column, score = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        order = np.argsort(row, kind="stable")
        return row[order], column[order], score[order]

    def keep(self, limit):
        row, column, score = self._merged()
        kept = score <= limit[row]
        self._parts = [(row[kept], column[kept], score[kept])]
        self.count = int(kept.sum())

    def padded(self):
        """Scores and base rows as matrices, a row for each query, padded with inf and -1."""
        row, column, score = self._merged()
        counts = np.bincount(row, minlength=self.n_queries)
        place = np.arange(len(row)) - (np.cumsum(counts) - counts)[row]
        scores = np.full((self.n_queries, counts.max(initial=0)), np.inf, score.dtype)
        columns = np.full(scores.shape, -1, dtype=np.intp)
        scores[row, place] = score
        columns[row, place] = column
        return scores, columns
