"""The rows of an index and the structure that searches them, for one thread at a time."""

import numpy as np

from metriclearn.neighbors._exact import ExactSearch
from metriclearn.neighbors._faiss import CoarseIndex, factory_string, resolve_index
from metriclearn.neighbors._index._catalog import Catalog
from metriclearn.neighbors._index._segments import SegmentedSearch
from metriclearn.neighbors._index._vectors import Vectors, offset_of
from metriclearn.neighbors._search._ranker import Ranker

CHUNK = 65_536
_TRAINING_ROWS = 160_000
# Candidates at once, of all queries together.
_CANDIDATES = 2**20
# Candidates that rounding to float32 may have put behind the k nearest.
_MARGIN = 8
# An index is built again once there are this many times the rows its lists were sized for.
_GROWTH = 4
# A condition that leaves fewer than this many times the candidates is searched exactly.
_FEW = 20


class Gallery:
    """Vectors with ids and payload, and their search: segments, or a coarse index.

    Parameters
    ----------
    index : str
        See :class:`RetrievalIndex`.
    metric : {"euclidean", "cosine", "inner_product"}
        Vectors of ``"cosine"`` are of length one, and compared as those of ``"euclidean"``.
    vectors : Vectors
    catalog : Catalog
    coarse : CoarseIndex, default=None
    search_params : str, default=None
        Effort of a coarse index that is built.
    """

    def __init__(self, index, metric, vectors, catalog, *, coarse=None, search_params=None):
        self.index = index
        self.metric = "inner_product" if metric == "inner_product" else "euclidean"
        self.vectors, self.catalog = vectors, catalog
        self.coarse, self.search_params = coarse, search_params
        self.segments = None
        self.built = coarse is not None

    @classmethod
    def of(cls, index, metric, vectors, folder):
        """Make an empty gallery for such vectors, with a file in a folder if there is one."""
        offset = offset_of(vectors) if metric == "euclidean" else None
        file = None if folder is None else folder.vectors_file()
        # Checked before there is a file.
        Vectors(vectors.shape[1], offset=offset).stored(vectors)
        return cls(index, metric, Vectors(vectors.shape[1], file, offset=offset), Catalog())

    @classmethod
    def from_saved(cls, saved, vectors):
        """Make a gallery of what :func:`read_saved` returned."""
        coarse = None
        if saved["coarse"] is not None:
            coarse = CoarseIndex(saved["coarse"], saved["center"], saved["built"])
        catalog = Catalog(saved["ids"], saved["columns"])
        effort = saved["search_params"]
        return cls(
            saved["index"], saved["metric"], vectors, catalog, coarse=coarse, search_params=effort
        )

    def __len__(self):
        return len(self.catalog)

    def append(self, rows, ids, columns, replaced=()):
        """Add rows, as ``vectors.stored`` and ``catalog.checked`` gave them."""
        self.vectors.append(rows)
        self.catalog.append(ids, columns)
        self.remove(replaced)
        if self.coarse is not None and self.vectors.n < _GROWTH * self.coarse.built:
            self.coarse.add(rows)
        else:
            self.coarse, self.built = None, False

    def remove(self, rows):
        """Take rows out."""
        if len(rows):
            self.catalog.remove(rows)
            if self.coarse is None or len(self) < self.coarse.built / 2:
                self.coarse, self.built = None, False

    def build(self, *, coarse_only=False):
        """Bring the search structure up to date; the exact one not for saving."""
        if self.built:
            return
        if resolve_index(self.index, len(self), "ivfpq") == "flat":
            if coarse_only:
                return
            self.vectors.verify()
            self.segments = self.segments or SegmentedSearch(self.metric)
            self.segments.update(self.vectors.array(), self.catalog.alive)
        elif len(self):
            self.segments = None
            n, d = self.vectors.n, self.vectors.d
            factory = factory_string(resolve_index(self.index, n, "ivfpq"), n, d)
            inner_product = self.metric == "inner_product"
            self.coarse = CoarseIndex.train(factory, self._training_rows(), inner_product, n)
            if self.search_params:
                self.coarse.set_effort(self.search_params)
            for _, rows in self.vectors.blocks(CHUNK):
                self.coarse.add(rows)
        self.built = True

    def _training_rows(self):
        rows = self.catalog.rows
        n_training = min(len(rows), _TRAINING_ROWS)
        chosen = np.zeros(self.vectors.n, dtype=bool)
        chosen[np.random.RandomState(0).choice(rows, n_training, replace=False)] = True
        blocks = self.vectors.blocks(CHUNK)
        return np.concatenate([rows[chosen[first : first + CHUNK]] for first, rows in blocks])

    def nearest(self, queries, k, rerank, allowed=None):
        """Find the ``k`` nearest rows, or as many as there are.

        Parameters
        ----------
        queries : ndarray of shape (n_queries, d), float64
        k, rerank : int
        allowed : ndarray of bool, shape (n,), default=None
            Rows to be found; those that are there by default.

        Returns
        -------
        distances : ndarray of shape (n_queries, m)
        rows : ndarray of int, shape (n_queries, m)
        """
        there = self.catalog.alive if allowed is None else allowed
        n_there = len(self) if allowed is None else int(np.count_nonzero(allowed))
        k = min(k, n_there)
        if k == 0 or len(queries) == 0:
            shape = len(queries), k
            return np.empty(shape), np.empty(shape, dtype=np.intp)
        if self.coarse is None and allowed is None:
            return self.segments.search(queries, k, there)
        if self.coarse is None or (allowed is not None and n_there < _FEW * rerank):
            return self.by_brute_force(queries, k, allowed=there)
        return self._by_candidates(queries, k, rerank, there)

    def _by_candidates(self, queries, k, rerank, there):
        ranker = Ranker(self.vectors.array(), self.metric)
        fetch = min(self.vectors.n, max(k, rerank))
        distances = np.empty((len(queries), k))
        rows = np.empty((len(queries), k), dtype=np.intp)
        step = max(16, _CANDIDATES // fetch)
        for start in range(0, len(queries), step):
            block = slice(start, start + step)
            found = self.coarse.candidates(queries[block], fetch)
            found[(found >= 0) & ~there[found]] = -1
            self.vectors.verify(found)
            found = ranker.shorten(queries[block], found, k + _MARGIN)
            distances[block], rows[block] = ranker.rank(queries[block], found, k)
            self.vectors.release()
        short = np.flatnonzero(np.isinf(distances[:, -1]))
        if len(short):
            distances[short], rows[short] = self.by_brute_force(queries[short], k, allowed=there)
        return distances, rows

    def by_brute_force(self, queries, k, *, exclude=None, allowed=None):
        """Search exactly, chunk by chunk of the vectors, in bounded memory."""
        ranker = Ranker(self.vectors.array(), self.metric)
        there = self.catalog.alive if allowed is None else allowed
        best = np.empty((len(queries), 0), dtype=np.intp)
        distances = None
        for start, block in self.vectors.blocks(CHUNK):
            kept = np.flatnonzero(there[start : start + CHUNK])
            if not len(kept):
                continue
            rows = start + kept
            search = ExactSearch(block[kept], self.metric)
            found = rows[search.search(queries, min(len(rows), k + 1))[1]]
            both = np.concatenate([best, found], axis=1)
            distances, best = ranker.rank(queries, both, min(both.shape[1], k + 1), exclude)
            self.vectors.release()
        return distances[:, :k], best[:, :k]

    def compacted(self, file):
        """Return a gallery of the rows that are there, written to another file.

        Parameters
        ----------
        file : str or None
            None for in memory.
        """
        kept = Vectors(self.vectors.d, file, offset=self.vectors.offset)
        for start, block in self.vectors.blocks(CHUNK):
            there = self.catalog.alive[start : start + CHUNK]
            kept.append(block if there.all() else np.ascontiguousarray(block[there]))
        whole = self.catalog.whole
        catalog = self.catalog if whole else self.catalog.remaining()
        coarse = self.coarse if whole else None
        arguments = {"coarse": coarse, "search_params": self.search_params}
        return Gallery(self.index, self.metric, kept, catalog, **arguments)
