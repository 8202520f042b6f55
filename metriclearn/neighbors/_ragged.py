"""Candidates of many queries, a different number for each."""

import numpy as np


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
        """Scores and base rows as matrices, a row for each query, padded with inf and -1."""
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
