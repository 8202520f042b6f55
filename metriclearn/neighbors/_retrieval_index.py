"""A gallery to search: vectors with ids and payload, that grows and shrinks."""

import os
import warnings
from numbers import Integral

import numpy as np
from sklearn.utils import check_array, check_random_state

from metriclearn.neighbors._catalog import Catalog
from metriclearn.neighbors._coarse import CoarseIndex
from metriclearn.neighbors._exact import ExactSearch
from metriclearn.neighbors._faiss import factory_string
from metriclearn.neighbors._ranker import METRICS, Ranker, row_norms
from metriclearn.neighbors._saved import read_saved, write_parquet, write_saved
from metriclearn.neighbors._vectors import Vectors

_CHUNK = 65_536
_LARGEST_EXACT = 200_000
_TRAINING_ROWS = 160_000
# Candidates at once, of all queries together.
_CANDIDATES = 2**20
# Candidates that rounding to float32 may have put behind the k nearest.
_MARGIN = 8
# An index whose lists were sized for so many times fewer rows is built anew.
_GROWTH = 4


class RetrievalIndex:
    """Search a gallery of any size by a learned metric: coarse first, then exactly.

    A compressed index in memory finds candidates; their distances are computed
    anew from the vectors, which may lie in a file. Rows of new classes are added
    without training anything: the learner embeds them, the index files them.

    Parameters
    ----------
    learner : estimator with ``transform``, default=None
        Fitted; embeds what is added and what is asked. None takes vectors as they are.
    index : {"auto", "flat", "hnsw", "ivf", "ivfpq"} or str, default="auto"
        ``"flat"`` is exact; ``"auto"`` is exact up to 200,000 rows and ``"ivfpq"``
        beyond; any other string goes to faiss's ``index_factory``.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
    path : str or path-like, default=None
        Folder for the vectors, made if need be: added in chunks, they never have to
        fit in memory. One index writes to a folder at a time. None keeps them in
        memory.

    Attributes
    ----------
    recall_ : float
        Recall of the ``k`` nearest against exact search, as last measured.
    search_params_ : str
        Effort of the coarse search as ``tune`` left it, e.g. ``"nprobe=64"``.

    Notes
    -----
    Vectors are kept in float32. Coarse indexes are trained at the first search, and
    built anew once the gallery has grown to four times that size.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import Covariance
    >>> from metriclearn.neighbors import RetrievalIndex
    >>> X, y = load_iris(return_X_y=True)
    >>> index = RetrievalIndex(Covariance().fit(X))
    >>> index.add(X[:100], payload={"species": y[:100]})
    >>> index.add(X[100:], payload={"species": y[100:]})  # a new class, nothing trained
    >>> distances, ids = index.search(X[[0, 120]], k=3)
    >>> index.payload(ids)["species"]
    array([[0, 0, 0], [2, 2, 2]])
    """

    def __init__(self, learner=None, *, index="auto", metric="euclidean", path=None):
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {METRICS}, got {metric!r}")
        if learner is not None and not hasattr(learner, "transform"):
            raise TypeError(f"learner must have transform, got {type(learner).__name__}")
        self.learner = learner
        self.index = index
        self.metric = metric
        self.path = None if path is None else os.fspath(path)
        self._vectors = None
        self._catalog = Catalog()
        self._forget()

    def _forget(self):
        """Drop the search structure; the next search builds it."""
        self._coarse = self._exact = None

    def __len__(self):
        return len(self._catalog)

    def __repr__(self):
        recall = f", recall_={self.recall_:.3f}" if hasattr(self, "recall_") else ""
        return f"<RetrievalIndex of {len(self)} rows, index={self.index!r}{recall}>"

    @property
    def ids(self):
        """Ids of the rows, in the order they were added."""
        return self._catalog.ids[self._catalog.alive]

    # --- growing and shrinking ---

    def _embed(self, X):
        if self.learner is not None:
            X = self.learner.transform(X)
        vectors = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        if self._vectors is not None and vectors.shape[1] != self._vectors.d:
            raise ValueError(
                f"X has {vectors.shape[1]} dimensions after embedding, but the index holds vectors "
                f"of {self._vectors.d}; it was made with another learner"
            )
        if self.metric == "cosine":
            vectors = vectors / row_norms(vectors, "X")[:, None]
        return vectors

    def add(self, X, ids=None, payload=None):
        """Add rows to the gallery.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            What the learner embeds, or vectors where there is none.
        ids : array-like of int or str, shape (n,), default=None
            Distinct, and not in the index; the next whole numbers by default.
        payload : dict of str to array-like of shape (n,), or DataFrame, default=None
            Anything to be had back with what is found: numbers or strings. The same
            columns at each call.

        Raises
        ------
        ValueError
            For NaN, another width, ids given twice, other columns. The index is then
            as it was before the call.
        """
        vectors = self._embed(X)
        ids, payload = self._catalog.checked(ids, payload, len(vectors))
        if self._vectors is None:
            self._vectors = Vectors(vectors.shape[1], self._vectors_file())
        self._vectors.append(vectors)
        self._catalog.append(ids, payload)
        if self._coarse is not None and self._vectors.n < _GROWTH * self._coarse.built:
            self._file_rows(self._vectors.n - len(vectors))
        else:
            self._forget()

    def _vectors_file(self):
        if self.path is None:
            return None
        file = os.path.join(self.path, "vectors.f32")
        if os.path.exists(file):
            raise ValueError(
                f"path: {self.path} holds vectors of another index; open it with "
                f"RetrievalIndex.load, or name another folder"
            )
        os.makedirs(self.path, exist_ok=True)
        return file

    def remove(self, ids):
        """Take rows out of the gallery.

        Parameters
        ----------
        ids : array-like of int or str

        Raises
        ------
        ValueError
            If one is not in the index, which then is as it was.
        """
        self._catalog.alive[self._catalog.find(np.unique(np.atleast_1d(ids)))] = False
        self._exact = None
        if self._coarse is not None and len(self) < self._coarse.built / 2:
            self._forget()

    def payload(self, ids):
        """Payload of rows by their ids.

        Parameters
        ----------
        ids : array-like of int or str, any shape

        Returns
        -------
        dict of str to ndarray
            A column each, of the shape of ``ids``.
        """
        rows = self._catalog.find(ids)
        return {name: column[rows] for name, column in self._catalog.payload.items()}

    # --- searching ---

    def _kind(self):
        if self.index != "auto":
            return self.index
        return "flat" if len(self) <= _LARGEST_EXACT else "ivfpq"

    @property
    def _distance(self):
        """How vectors are compared; those of ``"cosine"`` are of length one."""
        return "inner_product" if self.metric == "inner_product" else "euclidean"

    def _build(self):
        """Make the search structure where there is none."""
        if self._kind() == "flat":
            if self._exact is None:
                self._coarse = None
                self._exact_rows = self._catalog.rows
                rows = self._vectors.array()
                rows = rows if self._catalog.alive.all() else rows[self._exact_rows]
                self._exact = ExactSearch(rows, self._distance)
        elif self._coarse is None:
            n, d = self._vectors.n, self._vectors.d
            factory = factory_string(self._kind(), n, d)
            inner_product = self._distance == "inner_product"
            self._coarse = CoarseIndex.train(factory, self._training_rows(), inner_product, n)
            if getattr(self, "search_params_", None):
                self._coarse.set_effort(self.search_params_)
            self._file_rows(0)

    def _training_rows(self):
        rows = self._catalog.rows
        n_training = min(len(rows), _TRAINING_ROWS)
        chosen = np.zeros(self._vectors.n, dtype=bool)
        chosen[np.random.RandomState(0).choice(rows, n_training, replace=False)] = True
        blocks = self._vectors.blocks(_CHUNK)
        return np.concatenate([rows[chosen[first : first + _CHUNK]] for first, rows in blocks])

    def _file_rows(self, start):
        for _, rows in self._vectors.blocks(_CHUNK, start):
            self._coarse.add(rows)

    def search(self, X, k=10, *, rerank=1000):
        """Find the ``k`` nearest rows for each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
        k : int, default=10
            At most the number of rows in the index.
        rerank : int, default=1000
            Candidates of the coarse search whose distances are computed exactly; more
            is slower and finds more.

        Returns
        -------
        distances : ndarray of shape (n_queries, k)
            Ascending; minus the inner product for ``metric="inner_product"``.
        ids : ndarray of shape (n_queries, k)
        """
        self._check_k(k)
        if not isinstance(rerank, Integral) or rerank < 1:
            raise ValueError(f"rerank={rerank!r} must be a whole number of at least 1")
        queries = self._embed(X).astype(np.float64)
        distances, rows = self._nearest(queries, k, rerank)
        return distances, self._catalog.ids[rows]

    def _check_k(self, k):
        if not isinstance(k, Integral) or not 1 <= k <= len(self):
            raise ValueError(f"k={k!r} must be from 1 to {len(self)}, the rows of the index")

    def _nearest(self, queries, k, rerank):
        self._build()
        if self._exact is not None:
            distances, rows = self._exact.search(queries, k)
            return self._outward(distances), self._exact_rows[rows]
        ranker = Ranker(self._vectors.array(), self._distance)
        fetch = min(self._vectors.n, max(k, rerank))
        distances = np.empty((len(queries), k))
        rows = np.empty((len(queries), k), dtype=np.intp)
        step = max(16, _CANDIDATES // fetch)
        for start in range(0, len(queries), step):
            block = slice(start, start + step)
            found = self._coarse.candidates(queries[block], fetch)
            found[(found >= 0) & ~self._catalog.alive[found]] = -1
            found = ranker.shorten(queries[block], found, k + _MARGIN)
            distances[block], rows[block] = ranker.rank(queries[block], found, k)
            self._vectors.release()
        short = np.flatnonzero(np.isinf(distances[:, -1]))
        if len(short):
            distances[short], rows[short] = self._by_brute_force(queries[short], k)
        return self._outward(distances), rows

    def _outward(self, distances):
        return distances**2 / 2 if self.metric == "cosine" else distances

    def _by_brute_force(self, queries, k, exclude=None):
        """Exact search, chunk by chunk of the vectors, in bounded memory."""
        ranker = Ranker(self._vectors.array(), self._distance)
        best = np.empty((len(queries), 0), dtype=np.intp)
        distances = None
        for start, block in self._vectors.blocks(_CHUNK):
            kept = np.flatnonzero(self._catalog.alive[start : start + _CHUNK])
            if not len(kept):
                continue
            rows = start + kept
            search = ExactSearch(block[kept], ranker.metric)
            found = rows[search.search(queries, min(len(rows), k + 1))[1]]
            both = np.concatenate([best, found], axis=1)
            distances, best = ranker.rank(queries, both, min(both.shape[1], k + 1), exclude)
            self._vectors.release()
        return distances[:, :k], best[:, :k]

    # --- how good the coarse search is ---

    def measure_recall(self, k=10, *, n_queries=200, rerank=1000, random_state=0):
        """Measure how many of the ``k`` exact neighbors the search finds.

        Parameters
        ----------
        k : int, default=10
        n_queries : int, default=200
            Rows of the index, drawn at random, each searched without itself.
        rerank : int, default=1000
            As in ``search``.
        random_state : int, RandomState instance or None, default=0

        Returns
        -------
        float
            Also kept as ``recall_``.
        """
        return self._measure(self._sample(k, n_queries, random_state), k, rerank)

    def _sample(self, k, n_queries, random_state):
        if not 1 <= k < len(self):
            raise ValueError(f"k={k!r} must be from 1 to {len(self) - 1}, a row finds the others")
        n_queries = min(n_queries, len(self))
        rows = check_random_state(random_state).choice(self._catalog.rows, n_queries, replace=False)
        queries = self._vectors.array()[rows].astype(np.float64)
        return rows, queries, self._by_brute_force(queries, k, exclude=rows)[1]

    def _measure(self, sample, k, rerank):
        rows, queries, exact = sample
        _, found = self._nearest(queries, min(k + 1, len(self)), rerank)
        hits = [
            len(np.intersect1d(mine[mine != row][:k], their))
            for row, mine, their in zip(rows, found, exact, strict=True)
        ]
        self.recall_ = float(np.mean(hits) / k)
        return self.recall_

    def tune(self, recall=0.95, *, k=10, n_queries=200, rerank=1000, random_state=0):
        """Set the effort of the coarse search to the least that reaches a recall.

        Parameters
        ----------
        recall : float, default=0.95
            Of the ``k`` exact neighbors, from 0 to 1.
        k, n_queries, rerank, random_state
            As of ``measure_recall``.

        Returns
        -------
        float
            The recall reached. A warning says where it is less than was asked.
        """
        if not 0 < recall <= 1:
            raise ValueError(f"recall must be from 0 to 1, got {recall!r}")
        sample = self._sample(k, n_queries, random_state)
        self._build()
        reached = self._measure(sample, k, rerank)
        if self._coarse is None:
            return reached
        for effort in self._coarse.efforts():
            self._coarse.set_effort(effort)
            self.search_params_ = effort
            reached = self._measure(sample, k, rerank)
            if reached >= recall:
                break
        if reached < recall:
            warnings.warn(
                f"recall {reached:.3f} was reached, less than {recall}; raise rerank (it was "
                f"{rerank}) or take a less compressed index",
                UserWarning,
                stacklevel=2,
            )
        return reached

    # --- on disk ---

    def save(self, path):
        """Write the index to a folder, vectors, ids, payload and coarse index; not the learner.

        Parameters
        ----------
        path : str or path-like
            Folder; made if need be. An index that was saved there is replaced.
        """
        if self._vectors is None:
            raise ValueError("the index is empty; add rows before saving it")
        if not self._catalog.alive.all():
            self._compact()
        self._build()
        write_saved(
            os.fspath(path),
            self._vectors.array(),
            self._catalog,
            self._coarse,
            {
                "index": self.index,
                "metric": self.metric,
                "search_params": getattr(self, "search_params_", None),
            },
        )

    def _compact(self):
        """Drop removed rows for good."""
        kept = Vectors(self._vectors.d, None if self.path is None else self._vectors.file + ".new")
        for start, block in self._vectors.blocks(_CHUNK):
            kept.append(block[self._catalog.alive[start : start + _CHUNK]])
        if self.path is not None:
            os.replace(kept.file, self._vectors.file)
            kept = Vectors(kept.d, self._vectors.file, kept.n)
        self._vectors = kept
        self._catalog = self._catalog.remaining()
        self._forget()

    @classmethod
    def load(cls, path, learner=None):
        """Open a saved index; its vectors are mapped, not read.

        Parameters
        ----------
        path : str or path-like
            Folder that ``save`` wrote. Nothing in it is unpickled. Rows added later are
            written to it, and are part of it after the next ``save`` to it.
        learner : estimator with ``transform``, default=None
            The one that the index was made with; it is not saved.

        Returns
        -------
        RetrievalIndex

        Raises
        ------
        ValueError
            If the folder is not such an index, or a file of it is cut short or changed.
        """
        saved = read_saved(os.fspath(path))
        index = cls(learner, index=saved["index"], metric=saved["metric"], path=path)
        file = os.path.join(index.path, "vectors.f32")
        index._vectors = Vectors(saved["d"], file, saved["n"])
        index._catalog = Catalog(saved["ids"], saved["payload"])
        if saved["coarse"] is not None:
            index._coarse = CoarseIndex(saved["coarse"], saved["center"], saved["built"])
        if saved["search_params"] is not None:
            index.search_params_ = saved["search_params"]
        return index

    def to_parquet(self, path):
        """Write ids, vectors and payload as a Parquet file, for a vector database.

        Parameters
        ----------
        path : str or path-like
            Columns ``id``, ``vector`` (fixed-size list of float32) and those of the
            payload.
        """
        if self._vectors is None:
            raise ValueError("the index is empty; add rows before writing it")
        write_parquet(os.fspath(path), self._vectors.array(), self._catalog)
