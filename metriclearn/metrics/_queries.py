"""Queries, the gallery they search, copies in it, and what is relevant to them."""

import warnings
from itertools import pairwise

import numpy as np
from scipy import sparse

from metriclearn.metrics._checks import check_one_space, check_rows, fit_for_products
from metriclearn.metrics._relevance import as_relevance
from metriclearn.neighbors._exact import ExactSearch
from metriclearn.neighbors._search._ranker import row_norms

_CHUNK_ENTRIES = 2**22
# From as many answers on, and from such a share of the gallery, values are ordered at once.
_MANY = 8
_SHARE = 1 / 64


class Queries:
    """Queries, their gallery and what is relevant, checked and ready to be searched.

    Parameters
    ----------
    embeddings, labels, gallery, gallery_labels, queries_in_gallery, ignore, metric, relevance
        See :func:`metriclearn.metrics.retrieve`.
    depth : int or None
        Answers that will be asked for, if known.

    Attributes
    ----------
    n_relevant : ndarray of int, shape (n_queries,)
        Rows that each query can find and that are relevant to it.
    depth : int
        Number of rows that every query can find.
    most : int
        Number of rows that a query for which nothing is ignored can find.
    """

    def __init__(
        self,
        embeddings,
        labels,
        *,
        gallery,
        gallery_labels,
        queries_in_gallery,
        ignore,
        metric,
        relevance,
        depth,
    ):
        self.embeddings = check_rows(embeddings, "embeddings")
        if metric == "cosine":
            row_norms(self.embeddings, "embeddings")
        self.self_search = gallery is None
        if self.self_search:
            _check_no_gallery(gallery_labels, queries_in_gallery)
        gallery = self.embeddings if self.self_search else check_rows(gallery, "gallery")
        check_one_space(self.embeddings, gallery)
        self.embeddings, gallery, self.unit = fit_for_products(metric, self.embeddings, gallery)
        n, self.n_gallery = len(self.embeddings), len(gallery)
        # The row of the gallery that each query is, -1 for none; None where it is so for all.
        self.own = (
            np.arange(n)
            if self.self_search
            else _own_rows(queries_in_gallery, self.embeddings, gallery)
        )
        self.relevance = as_relevance(
            relevance, labels, gallery_labels, n, self.n_gallery, self.self_search, self.own
        )
        self.ignored = None if ignore is None else self._ignored(ignore)
        self.n_relevant = self.relevance.n_relevant
        if self.ignored is not None:
            self.n_relevant = self.n_relevant - self._n_ignored_relevant()
        self.most = self.n_gallery - (self.own is not None)
        self.depth = self.most - self._n_ignored()
        self._check_depth(depth)
        self.search = ExactSearch(gallery, metric)
        if metric == "cosine":
            gallery = gallery / row_norms(gallery, "gallery")[:, None]
        self.copies = Copies(gallery)
        self._warn_of_left_out()

    def _check_depth(self, depth):
        if self.depth < 1:
            raise ValueError(
                f"the gallery has {self.n_gallery} rows, and a query finds none of them beside "
                f"itself and those that ignore leaves out"
            )
        if depth is not None and not 1 <= depth <= self.depth:
            raise ValueError(
                f"k={depth} is not between 1 and {self.depth}, the number of gallery rows that a "
                f"query can find"
            )

    def _warn_of_left_out(self):
        n_left_out = int((self.n_relevant == 0).sum())
        if 0 < n_left_out < len(self.embeddings):
            warnings.warn(
                f"{n_left_out} of {len(self.embeddings)} queries have no right answer in the "
                f"gallery ({self.relevance.why_none}) and are left out of the mean; drop them to "
                f"silence this",
                UserWarning,
                stacklevel=4,
            )

    def _ignored(self, ignore):
        shape = (len(self.embeddings), self.n_gallery)
        try:
            matrix = sparse.csr_array(ignore) if sparse.issparse(ignore) else np.asarray(ignore)
            found = f"{matrix.dtype} of shape {matrix.shape}"
        except ValueError:
            matrix, found = None, "rows of different lengths"
        if matrix is None or matrix.shape != shape or matrix.dtype.kind not in "biuf":
            raise ValueError(
                f"ignore must be a matrix of booleans, sparse or not, of shape {shape} (queries, "
                f"gallery), such as query_cameras[:, None] == gallery_cameras, got {found}"
            )
        query, row = matrix.nonzero()
        if self.own is not None:
            others = self.own[query] != row
            query, row = query[others], row[others]
        return sparse.csr_array((np.ones(len(query), dtype=bool), (query, row)), shape=shape)

    def _n_ignored(self):
        return 0 if self.ignored is None else int(np.diff(self.ignored.indptr).max(initial=0))

    def _n_ignored_relevant(self):
        query, row = self.ignored.nonzero()
        relevant = self.relevance.gains(query, row[:, None])[:, 0] > 0
        return np.bincount(query[relevant], minlength=len(self.embeddings))

    def _skipped(self, queries):
        return None if self.own is None else self.own[queries]

    def gains(self, k):
        """Yield row numbers of queries, chunk by chunk, with the gains of their first ``k``."""
        n, deep = len(self.embeddings), self._deep(k)
        many = deep >= _MANY and deep >= _SHARE * self.n_gallery
        if not many or self.copies.any:
            for queries, _, indices in self.found(k):
                yield queries, self.gains_of(queries, indices)
            return
        for queries in _chunks(n, deep):

            def values(query, rows, queries=queries):
                gains = self.relevance.gains(queries[query], rows)
                if self.ignored is None:
                    return gains
                return np.where(_entries(self.ignored, queries[query], rows), -1, gains)

            gains = self.search.values_in_order(
                self.embeddings[queries], deep, values, exclude=self._skipped(queries)
            )
            if self.ignored is not None:
                gains = np.maximum(_first(gains >= 0, k, gains)[0], 0)
            yield queries, gains

    def gains_of(self, queries, indices):
        """Return the gain of each row that was found; 0 where a query had fewer to find."""
        gains = self.relevance.gains(queries, indices)
        if self.ignored is None:
            return gains
        return np.where(_entries(self.ignored, queries, indices), 0, gains)

    def _deep(self, k):
        """Return how many rows are searched for to find ``k`` that are not ignored."""
        return min(k + self._n_ignored(), self.most)

    def found(self, k):
        """Yield row numbers of queries, chunk by chunk, with what they find.

        Yields
        ------
        queries : ndarray of shape (n,)
        distances, indices : ndarray of shape (n, k)
        """
        n, deep = len(self.embeddings), self._deep(k)
        if self.self_search and n * deep <= _CHUNK_ENTRIES:
            distances, indices = self.search.search_all(deep)
            for queries in _chunks(n, deep):
                yield queries, *self._kept(queries, k, distances[queries], indices[queries])
            return
        yield from self.find(np.arange(n), k)

    def find(self, some, k):
        """Yield as :meth:`found` does, for some of the queries.

        Of more than `depth` answers the last of a query may be rows that it ignores.
        """
        deep = self._deep(k)
        for part in _chunks(len(some), deep):
            queries = some[part]
            found = self.search.search(
                self.embeddings[queries], deep, exclude=self._skipped(queries)
            )
            yield queries, *self._kept(queries, k, *found)

    def ideal(self, queries, k):
        """Return the gains of the best possible ``k`` answers of some of the queries."""
        return self.relevance.ideal(queries, k, self.n_relevant, self.own, self.ignored)

    def _kept(self, queries, k, distances, indices):
        if self.copies.any:
            self.copies.shuffle(indices, queries, self.n_relevant, self.own)
        if self.ignored is None:
            return distances, indices
        return _first(~_entries(self.ignored, queries, indices), k, distances, indices)

    def max_relevant(self):
        """Return the largest number of relevant rows that a query has, at least 1."""
        return max(1, int(self.n_relevant.max()))


def _check_no_gallery(gallery_labels, queries_in_gallery):
    """Raise for arguments that only go with a gallery."""
    if gallery_labels is not None:
        raise ValueError("gallery_labels was given without gallery")
    if queries_in_gallery is not None:
        raise ValueError(
            "queries_in_gallery was given without gallery; without one, the embeddings are "
            "queries and gallery, and no query finds itself"
        )


def _own_rows(queries_in_gallery, embeddings, gallery):
    """Return the gallery row that each query is, -1 for none, or None if no query is one."""
    n, n_gallery = len(embeddings), len(gallery)
    if queries_in_gallery is None:
        same = n <= n_gallery and n > 1 and np.array_equal(embeddings, gallery[:n])
        if same and np.any(gallery != gallery[0]):
            warnings.warn(
                "every query is a row of the gallery and finds itself first; leave gallery out, "
                "or pass queries_in_gallery=True so that no query finds itself (False if the "
                "rows are others that happen to be equal)",
                UserWarning,
                stacklevel=5,
            )
        return None
    if isinstance(queries_in_gallery, bool | np.bool_):
        if not queries_in_gallery:
            return None
        if n > n_gallery or not np.array_equal(embeddings, gallery[:n]):
            raise ValueError(
                "queries_in_gallery=True says that query i is row i of the gallery, but their "
                "embeddings differ; give the row of each query, -1 for none"
            )
        return np.arange(n)
    own = np.asarray(queries_in_gallery)
    if own.shape != (n,) or own.dtype.kind not in "iu":
        raise ValueError(
            f"queries_in_gallery must be True, False or the gallery row of each of the {n} "
            f"queries, -1 for none, got {own.dtype} of shape {own.shape}"
        )
    if own.size and not (own.min() >= -1 and own.max() < n_gallery):
        raise ValueError(
            f"queries_in_gallery must hold rows of the gallery, from 0 to {n_gallery - 1}, or -1 "
            f"for none; got {own.min()} to {own.max()}"
        )
    return own.astype(np.intp)


def _chunks(n, k):
    step = int(np.clip(_CHUNK_ENTRIES // k, 16, 4096))
    for start in range(0, n, step):
        yield np.arange(start, min(start + step, n))


def _entries(matrix, queries, rows):
    """Entries of a sparse matrix, as an array of the shape of ``rows``."""
    entries = matrix[np.broadcast_to(queries[:, None], rows.shape), rows]
    return np.asarray(entries.todense() if sparse.issparse(entries) else entries)


def _first(kept, k, *arrays):
    """Keep of each row the first ``k`` entries where ``kept`` is true."""
    order = np.argsort(~kept, axis=1, kind="stable")[:, :k]
    return tuple(np.take_along_axis(array, order, axis=1) for array in arrays)


# Fewer copies of a point are duplicates in the data; their order does little.
_FEW = 8
_ROWS = 4096


class Copies:
    """Groups of many equal rows of a gallery.

    Equal distances rank by row number. Where an embedding has collapsed, so that more
    copies of a point tie than there are right answers, that order is the order of the
    classes in the file: a constant embedding of sorted classes would have a larger
    MAP@R than chance. Such copies rank by chance instead, with a fixed seed.

    Parameters
    ----------
    gallery : ndarray of shape (n, d)
    """

    def __init__(self, gallery):
        starts = range(0, len(gallery), _ROWS)
        codes = np.concatenate([_row_hashes(gallery[i : i + _ROWS]) for i in starts])
        _, codes, counts = np.unique(codes, return_inverse=True, return_counts=True)
        large = np.flatnonzero(counts > _FEW)
        self.any = len(large) > 0
        if self.any:
            number = np.full(len(counts), -1)
            number[large] = np.arange(len(large))
            self._group = number[codes.reshape(-1)]
            order = np.argsort(self._group, kind="stable")
            starts = np.searchsorted(self._group[order], np.arange(len(large) + 1))
            self._members = [order[a:b] for a, b in pairwise(starts)]
            for members in self._members:  # equal hashes are no proof
                others = members[(gallery[members] != gallery[members[0]]).any(axis=1)]
                self._group[others] = -1
            self._members = [members[self._group[members] >= 0] for members in self._members]

    def shuffle(self, indices, queries, n_relevant, own):
        """Replace found copies, in place, by ones drawn at random from all of their group.

        Parameters
        ----------
        indices : ndarray of int, shape (n, k)
            Gallery rows found.
        queries : ndarray of int, shape (n,)
            Row numbers of the queries.
        n_relevant : ndarray of int
            Right answers of every query; smaller groups of copies are left in order.
        own : ndarray of int or None
            The gallery row that every query is.
        """
        found = self._group[indices]
        for row in np.flatnonzero((found >= 0).any(axis=1)):
            query = queries[row]
            for group in np.unique(found[row][found[row] >= 0]):
                members = self._members[group]
                if own is not None:
                    members = members[members != own[query]]
                if len(members) > max(_FEW, n_relevant[query]):
                    places = np.flatnonzero(found[row] == group)
                    drawn = np.random.default_rng([query, group]).permutation(members)
                    indices[row, places] = drawn[: len(places)]


def _row_hashes(X):
    """Return an integer for each row, the same for equal rows."""
    X = np.ascontiguousarray(X) + X.dtype.type(0)  # -0.0 becomes 0.0
    bits = X.view(np.uint64 if X.dtype == np.float64 else np.uint32)
    factors = np.random.default_rng(0).integers(2**63, size=X.shape[1], dtype=np.uint64) | 1
    hashes = np.zeros(len(X), dtype=np.uint64)
    half = np.uint64(4 * X.dtype.itemsize)
    for column, factor in zip(bits.T.astype(np.uint64, copy=False), factors, strict=True):
        # The low bits of round numbers are 0, and a product carries nothing downwards.
        mixed = (column ^ (column >> half)) * factor
        hashes += mixed ^ (mixed >> np.uint64(29))
    return hashes
