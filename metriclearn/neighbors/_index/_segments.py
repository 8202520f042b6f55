"""Exact search of rows that come and go, without building everything again."""

from dataclasses import dataclass

import numpy as np

from metriclearn.neighbors._exact import ExactSearch

# Segments up to this many rows are joined: building one costs less than searching one more.
_SMALL = 1024
# Rows asked for beyond the wanted ones where some were removed since the segment was built.
_MARGIN = 16


@dataclass
class Segment:
    """Consecutive rows with a search of their own.

    Parameters
    ----------
    first, stop : int
    rows : ndarray of int
        Those of them that were there when the search was built.
    search : ExactSearch or None
        None where there are no rows.
    n_alive : int
        How many of the rows are there still.
    """

    first: int
    stop: int
    rows: np.ndarray
    search: ExactSearch | None
    n_alive: int

    def nearest(self, queries, k, alive):
        """Find the ``k`` nearest rows that are there still; ``k`` at most ``n_alive``."""
        n = len(self.rows)
        if self.n_alive == n:
            distances, found = self.search.search(queries, k)
            return distances, self.rows[found]
        distances = np.empty((len(queries), k))
        rows = np.empty((len(queries), k), dtype=np.intp)
        open_queries, asked = np.arange(len(queries)), k + min(_MARGIN, n - self.n_alive)
        while len(open_queries):
            near, found = self.search.search(queries[open_queries], asked)
            found = self.rows[found]
            there = alive[found]
            enough = there.sum(axis=1) >= k
            order = np.argsort(~there, axis=1, kind="stable")[enough, :k]
            done = open_queries[enough]
            distances[done] = np.take_along_axis(near[enough], order, axis=1)
            rows[done] = np.take_along_axis(found[enough], order, axis=1)
            open_queries, asked = open_queries[~enough], min(2 * asked, n)
        return distances, rows


class SegmentedSearch:
    """Segments of rows, each at least twice as large as the next.

    A row that is added joins the last segments, as small ones do; a row that is removed is
    passed over until half of its segment is gone.

    Parameters
    ----------
    metric : {"euclidean", "inner_product"}
    """

    def __init__(self, metric):
        self.metric = metric
        self.segments = []

    def update(self, array, alive):
        """Bring the segments up to date.

        Parameters
        ----------
        array : ndarray of shape (n, d)
            All rows; those that were there before are the same.
        alive : ndarray of bool, shape (n,)
        """
        kept = []
        for segment in self.segments:
            n_alive = int(np.count_nonzero(alive[segment.first : segment.stop]))
            if 2 * n_alive < len(segment.rows):
                segment = self._build(array, alive, segment.first, segment.stop)
            segment.n_alive = n_alive
            kept.append(segment)
        first, n = kept[-1].stop if kept else 0, len(array)
        if first < n:
            while kept and kept[-1].stop - kept[-1].first <= max(_SMALL, 2 * (n - first)):
                first = kept.pop().first
            kept.append(self._build(array, alive, first, n))
        for segment in kept:
            # An array that has grown may lie elsewhere, and the old one is to be given back.
            if segment.search is not None and _is_whole(segment):
                segment.search.moved(_pick(array, segment))
        self.segments = kept

    def _build(self, array, alive, first, stop):
        rows = first + np.flatnonzero(alive[first:stop])
        segment = Segment(first, stop, rows, None, len(rows))
        if len(rows):
            segment.search = ExactSearch(_pick(array, segment), self.metric)
        return segment

    def search(self, queries, k, alive):
        """Find the ``k`` nearest rows that are there; at most as many as there are."""
        found = [
            segment.nearest(queries, min(k, segment.n_alive), alive)
            for segment in self.segments
            if segment.n_alive
        ]
        if len(found) == 1:
            return found[0]
        distances, rows = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
        order = np.lexsort((rows, distances), axis=1)[:, :k]
        return np.take_along_axis(distances, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _pick(array, segment):
    """Rows of a segment, without a copy where they are consecutive."""
    return array[segment.first : segment.stop] if _is_whole(segment) else array[segment.rows]


def _is_whole(segment):
    return len(segment.rows) == segment.stop - segment.first
