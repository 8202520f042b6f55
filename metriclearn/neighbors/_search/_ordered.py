"""The order of values along a ranking, with exact distances only where they decide it.

A measure of retrieval needs to know whether the answer at each rank is right, not which
row it is. Float32 scores with a bounded error order nearly all rows; what is left are
runs of neighboring ranks whose order the bound leaves open. Where all rows of such a
run have the same value, their order does not matter.
"""

import numpy as np

# Features multiplied at once, at most: sums of few terms have a tight error bound, and the
# partial sums are added in an order that is ours.
_FEATURES = 100
_WIDTH = 8192
_BLOCK_ENTRIES = 2**22
_SPARE = 32
_UNDERFLOW = 1e-36


class OrderedScores:
    """Float32 scores of queries against all rows of a base, with a bound of their error.

    Parameters
    ----------
    base : iterable of ndarray of shape (m, d), float64
        Centered and scaled rows, in blocks.
    n, d : int
        Number of rows and of features.
    inner_product : bool
        Whether scores are ``-q·b`` instead of ``|b|² - 2 q·b``.
    """

    def __init__(self, base, n, d, inner_product):
        n_parts = -(-d // _FEATURES)
        # See Screen: a sum of m terms is off by at most m units in the last place, and so
        # is one of partial sums; 16 more for the rounding of what goes in and comes out.
        self.step = -(-d // n_parts)  # parts of one size: a small one costs as much to add
        gamma = (self.step + n_parts + 16) * float(np.finfo(np.float32).eps) / 2
        self.n = n
        self.query_factor = gamma * (0.5 if inner_product else 1)
        self.table = np.empty((d, n), np.float32)
        self.low = np.empty(n, np.float32)
        self.width = np.empty(n, np.float32)
        start = 0
        for rows in base:
            block = slice(start, start + len(rows))
            squares = np.einsum("ij,ij->i", rows, rows)
            slack = gamma * (0.5 if inner_product else 2) * squares + _UNDERFLOW
            self.table[:, block] = (rows * (-1 if inner_product else -2)).T
            self.low[block] = -slack if inner_product else squares - slack
            self.width[block] = 2 * slack
            start = block.stop

    def block_rows(self):
        """Return the number of queries to score at once, in bounded memory."""
        return int(np.clip(_BLOCK_ENTRIES // self.n, 16, 512))

    def __call__(self, queries):
        """Compute lower bounds of the scores, and what a query adds to their width.

        Parameters
        ----------
        queries : ndarray of shape (n_queries, d), float64
            Centered and scaled like the base.

        Returns
        -------
        low : ndarray of shape (n_queries, n), float32
        width : ndarray of shape (n_queries, 1), float32
            The score of row ``b`` is in ``[low, low + width + self.width[b]]``.
        """
        slack = self.query_factor * np.einsum("ij,ij->i", queries, queries) + _UNDERFLOW
        queries = queries.astype(np.float32)
        low = np.empty((len(queries), self.n), np.float32)
        partial = np.empty((len(queries), min(_WIDTH, self.n)), np.float32)
        parts = [slice(i, i + self.step) for i in range(0, queries.shape[1], self.step)]
        for start in range(0, self.n, _WIDTH):
            columns = slice(start, start + _WIDTH)
            total = low[:, columns]
            total[:] = self.low[columns]
            product = partial[:, : total.shape[1]]
            for part in parts:
                np.matmul(queries[:, part], self.table[part, columns], out=product)
                total += product
        return low, (2 * slack[:, None]).astype(np.float32)


def ordered_values(scores, queries, k, values, distances, exclude):
    """Order values by distance, as far as they decide the order.

    Parameters
    ----------
    scores : OrderedScores
    queries : ndarray of shape (n_queries, d), float64
        Centered and scaled like the base.
    k : int
        Ranks wanted, at most the number of rows that can be found.
    values : callable
        ``values(query, columns)`` gives the values of shape (n, m) of base rows for
        queries; both are numbers, of shapes (n,) and (n, m).
    distances : callable
        ``distances(query, columns)`` gives exact distances and, to order equal ones, row
        numbers, for arrays of one length.
    exclude : ndarray of int, shape (n_queries,), or None
        Column that is not to be found; -1 for none.

    Returns
    -------
    ndarray of shape (n_queries, k)
        The values at ranks 1 to ``k``.
    """
    low, query_width = scores(queries)
    if exclude is not None:
        some = np.flatnonzero(exclude >= 0)
        low[some, exclude[some]] = np.inf
    open_rows, depth = np.arange(len(low)), k + _SPARE
    found = None
    while len(open_rows):
        depth = min(depth, scores.n)
        part = low if len(open_rows) == len(low) else low[open_rows]
        columns, sorted_low = _smallest(part, depth)
        high = scores.width[columns]
        high += sorted_low
        high += query_width[open_rows]
        np.maximum.accumulate(high, axis=1, out=high)
        # Rank i + 1 is apart from all before: the order across this place is known.
        apart = sorted_low[:, 1:] > high[:, :-1]
        done = apart[:, k - 1 :].any(axis=1) | (depth == scores.n)
        if not done.all():
            open_now, columns, apart = open_rows[done], columns[done], apart[done]
        else:
            open_now = open_rows
        ordered = _settled(open_now, columns, apart, k, values, distances)
        if found is None:
            found = np.empty((len(low), k), ordered.dtype)
        found[open_now] = ordered
        open_rows, depth = open_rows[~done], 4 * depth
    return found


def _smallest(low, depth):
    """Return the columns of the smallest entries of each row, and these, in rising order."""
    n_rows, n = low.shape
    if depth < n:
        columns = np.argpartition(low, depth - 1, axis=1)[:, :depth]
    else:
        columns = np.broadcast_to(np.arange(n), low.shape)
    entries = low.ravel().take(columns + np.arange(0, n_rows * n, n)[:, None])
    order = np.argsort(entries, axis=1)
    order += np.arange(0, n_rows * depth, depth)[:, None]
    return columns.ravel().take(order), entries.ravel().take(order)


def _settled(query, columns, apart, k, values, distances):
    """Settle the order within runs of ranks that are not apart but differ in value."""
    found = values(query, columns)
    differ = found[:, 1:] != found[:, :-1]
    differ &= ~apart
    if differ.any():
        first = np.ones(columns.shape, bool)
        first[:, 1:] = apart
        run = np.cumsum(first.ravel(), dtype=np.intp) - 1
        mixed = np.zeros(run[-1] + 1, bool)
        mixed[run.reshape(columns.shape)[:, 1:][differ]] = True
        # Runs that begin past rank k are of no interest.
        mixed[run.reshape(columns.shape)[:, k:][first[:, k:]]] = False
        places = np.flatnonzero(mixed[run])
        exact, rows = distances(query[places // columns.shape[1]], columns.ravel()[places])
        order = np.lexsort((rows, exact, run[places]))
        flat = found.reshape(-1)
        flat[places] = flat[places[order]]
        found = flat.reshape(columns.shape)
    return found[:, :k]
