"""A gallery to search: vectors with ids and payload, that grows and shrinks."""

import os
import warnings
from numbers import Integral

import numpy as np
from sklearn.utils import check_array, check_random_state

from metriclearn.neighbors._exact import ExactSearch
from metriclearn.neighbors._faiss import (
    factory_string,
    load_faiss,
    make_index,
    matrix_products,
    set_search_params,
)
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
_EFFORTS = {"nprobe": 2, "efSearch": 16}


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
        self._ids = np.empty(0, dtype=np.int64)
        self._alive = np.empty(0, dtype=bool)
        self._payload = {}
        self._forget()

    def _forget(self):
        """Drop the search structure; the next search builds it."""
        self._coarse = self._exact = None
        self._built = 0

    def __len__(self):
        return int(self._alive.sum())

    def __repr__(self):
        recall = f", recall_={self.recall_:.3f}" if hasattr(self, "recall_") else ""
        return f"<RetrievalIndex of {len(self)} rows, index={self.index!r}{recall}>"

    @property
    def ids(self):
        """Ids of the rows, in the order they were added."""
        return self._ids[self._alive]

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
        ids = self._new_ids(ids, len(vectors))
        payload = self._new_payload(payload, len(vectors))
        if self._vectors is None:
            self._vectors = Vectors(vectors.shape[1], self._vectors_file())
        self._vectors.append(vectors)
        self._ids = ids if not len(self._ids) else np.concatenate([self._ids, ids])
        self._alive = np.concatenate([self._alive, np.ones(len(ids), dtype=bool)])
        self._payload = {
            name: np.concatenate([self._payload[name], column]) if self._payload else column
            for name, column in payload.items()
        }
        if self._coarse is not None and len(self._ids) < _GROWTH * self._built:
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

    def _new_ids(self, ids, n):
        if ids is None:
            if len(self._ids) and not np.issubdtype(self._ids.dtype, np.integer):
                raise ValueError("ids is missing: the index holds ids that are strings")
            start = int(self._ids.max()) + 1 if len(self._ids) else 0
            return np.arange(start, start + n)
        ids = np.asarray(ids)
        if ids.shape != (n,):
            raise ValueError(f"ids must be of shape ({n},), one for each row, got {ids.shape}")
        if ids.dtype.kind not in "iuU":
            raise ValueError(f"ids must be whole numbers or strings, got dtype {ids.dtype}")
        if ids.dtype.kind in "iu":
            ids = ids.astype(np.int64)
        if len(self._ids) and (ids.dtype.kind == "U") != (self._ids.dtype.kind == "U"):
            raise ValueError("ids must be all numbers or all strings, as those in the index are")
        distinct, counts = np.unique(ids, return_counts=True)
        if counts.max(initial=1) > 1:
            raise ValueError(f"ids: {distinct[counts > 1][0]} is given twice")
        known = np.isin(ids, self._ids[self._alive])
        if known.any():
            raise ValueError(
                f"ids: {ids[known][0]} is in the index already; remove it first to replace it"
            )
        return ids

    def _new_payload(self, payload, n):
        payload = {} if payload is None else {str(name): payload[name] for name in payload}
        if len(self._ids) and set(payload) != set(self._payload):
            raise ValueError(
                f"payload has the columns {sorted(payload)}, but the index has "
                f"{sorted(self._payload)}; give the same at each call"
            )
        columns = {}
        for name, column in payload.items():
            column = np.asarray(column)
            if column.dtype == object:
                column = column.astype(str)
            if column.shape != (n,) or column.dtype.kind not in "biufUM":
                raise ValueError(
                    f"payload: column {name!r} must hold {n} numbers or strings, got "
                    f"{column.dtype} of shape {column.shape}"
                )
            columns[name] = column
        return columns

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
        self._alive[self._rows(np.unique(np.atleast_1d(ids)))] = False
        self._exact = None
        if len(self) < self._built / 2:
            self._forget()

    def _rows(self, ids):
        """Row numbers of ids that are in the index; shape of ``ids``."""
        ids = np.asarray(ids)
        alive = np.flatnonzero(self._alive)
        order = alive[np.argsort(self._ids[alive], kind="stable")]
        place = np.searchsorted(self._ids[order], ids.ravel())
        rows = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(0, int)
        unknown = np.ones(ids.size, bool) if not len(order) else self._ids[rows] != ids.ravel()
        if unknown.any():
            raise ValueError(f"ids: {ids.ravel()[unknown][0]} is not in the index")
        return rows.reshape(ids.shape)

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
        rows = self._rows(ids)
        return {name: column[rows] for name, column in self._payload.items()}

    # --- searching ---

    def _kind(self):
        if self.index != "auto":
            return self.index
        return "flat" if len(self) <= _LARGEST_EXACT else "ivfpq"

    def _inner_product(self):
        return self.metric == "inner_product"

    def _build(self):
        """Make the search structure where there is none."""
        if self._kind() == "flat":
            if self._exact is None:
                self._coarse = None
                self._exact_rows = np.flatnonzero(self._alive)
                rows = self._vectors.array()
                rows = rows if self._alive.all() else rows[self._exact_rows]
                self._exact = ExactSearch(
                    rows, "inner_product" if self._inner_product() else "euclidean"
                )
            return
        if self._coarse is not None:
            return
        vectors, n_training = self._vectors, min(len(self), _TRAINING_ROWS)
        chosen = np.zeros(vectors.n, dtype=bool)
        alive = np.flatnonzero(self._alive)
        chosen[np.random.RandomState(0).choice(alive, n_training, replace=False)] = True
        sample = np.concatenate(
            [rows[chosen[first : first + _CHUNK]] for first, rows in vectors.blocks(_CHUNK)]
        )
        self._centre = sample.mean(axis=0)
        sample -= self._centre  # in place: the sample is what building takes most memory for
        factory = factory_string(self._kind(), vectors.n, vectors.d)
        coarse = make_index(factory, vectors.d, self._inner_product())
        try:
            coarse.train(sample)
        except RuntimeError as error:
            reason = str(error).splitlines()[0].rsplit(": ", 1)[-1]
            raise ValueError(
                f"index={self.index!r} cannot be trained on {n_training} rows: {reason}"
            ) from None
        if getattr(self, "search_params_", None):
            set_search_params(coarse, self.search_params_)
        self._coarse, self._built = coarse, vectors.n
        self._file_rows(0)

    def _framed(self, vectors):
        """Rows for the coarse index: centred, so that no digits go to a common offset."""
        return vectors - self._centre

    def _file_rows(self, start):
        for _, rows in self._vectors.blocks(_CHUNK, start):
            self._coarse.add(self._framed(rows))

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
        return distances, self._ids[rows]

    def _check_k(self, k):
        if not isinstance(k, Integral) or not 1 <= k <= len(self):
            raise ValueError(f"k={k!r} must be from 1 to {len(self)}, the rows of the index")

    def _nearest(self, queries, k, rerank):
        self._build()
        if self._exact is not None:
            distances, rows = self._exact.search(queries, k)
            return self._outward(distances), self._exact_rows[rows]
        ranker = self._ranker(self._vectors.array())
        fetch = min(len(self._ids), max(k, rerank))
        distances = np.empty((len(queries), k))
        rows = np.empty((len(queries), k), dtype=np.intp)
        step = max(16, _CANDIDATES // fetch)
        for start in range(0, len(queries), step):
            block = slice(start, start + step)
            found = self._candidates(queries[block], fetch)
            found = ranker.shorten(queries[block], found, k + _MARGIN)
            distances[block], rows[block] = ranker.rank(queries[block], found, k)
            self._vectors.release()
        short = np.flatnonzero(np.isinf(distances[:, -1]))
        if len(short):
            distances[short], rows[short] = self._by_brute_force(queries[short], k)
        return self._outward(distances), rows

    def _candidates(self, queries, fetch):
        """Rows that the coarse index takes for near, -1 for none and for removed ones."""
        framed = queries if self._inner_product() else queries - self._centre
        with matrix_products(load_faiss(), queries.shape[1]):
            _, found = self._coarse.search(framed.astype(np.float32), fetch)
        found[(found >= 0) & ~self._alive[found]] = -1
        return found

    def _ranker(self, vectors):
        return Ranker(vectors, "inner_product" if self._inner_product() else "euclidean")

    def _outward(self, distances):
        return distances**2 / 2 if self.metric == "cosine" else distances

    def _by_brute_force(self, queries, k, exclude=None):
        """Exact search, chunk by chunk of the vectors, in bounded memory."""
        vectors = self._vectors.array()
        ranker = self._ranker(vectors)
        best = np.empty((len(queries), 0), dtype=np.intp)
        distances = None
        for start, block in self._vectors.blocks(_CHUNK):
            kept = np.flatnonzero(self._alive[start : start + _CHUNK])
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
        """Measure how many of the ``k`` exact neighbours the search finds.

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
        alive = np.flatnonzero(self._alive)
        n_queries = min(n_queries, len(alive))
        rows = check_random_state(random_state).choice(alive, n_queries, replace=False)
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
            Of the ``k`` exact neighbours, from 0 to 1.
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
        parameter, most = self._effort()
        if parameter is not None:
            effort = _EFFORTS[parameter]
            while True:
                self.search_params_ = f"{parameter}={min(effort, most)}"
                set_search_params(self._coarse, self.search_params_)
                reached = self._measure(sample, k, rerank)
                if reached >= recall or effort >= most:
                    break
                effort *= 2
        if reached < recall:
            warnings.warn(
                f"recall {reached:.3f} was reached, less than {recall}; raise rerank (it was "
                f"{rerank}) or take a less compressed index",
                UserWarning,
                stacklevel=2,
            )
        return reached

    def _effort(self):
        """Name of the parameter that trades time for recall, and its largest value."""
        faiss = load_faiss()
        ivf = faiss.try_extract_index_ivf(self._coarse)
        if ivf is not None:
            return "nprobe", ivf.nlist
        if hasattr(faiss.downcast_index(self._coarse), "hnsw"):
            return "efSearch", 4096
        return None, None

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
        if not self._alive.all():
            self._compact()
        self._build()
        write_saved(
            os.fspath(path),
            self._vectors.array(),
            self._ids,
            self._payload,
            {"index": self.index, "metric": self.metric},
            {
                "coarse": self._coarse,
                "centre": getattr(self, "_centre", None),
                "built": self._built,
                "search_params": getattr(self, "search_params_", None),
            },
        )

    def _compact(self):
        """Drop removed rows for good."""
        rows = np.flatnonzero(self._alive)
        kept = Vectors(self._vectors.d, None if self.path is None else self._vectors.file + ".new")
        for start, block in self._vectors.blocks(_CHUNK):
            kept.append(block[self._alive[start : start + _CHUNK]])
        if self.path is not None:
            os.replace(kept.file, self._vectors.file)
            kept = Vectors(kept.d, self._vectors.file, kept.n)
        self._vectors = kept
        self._ids = self._ids[rows]
        self._payload = {name: column[rows] for name, column in self._payload.items()}
        self._alive = np.ones(len(rows), dtype=bool)
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
        index._ids, index._payload = saved["ids"], saved["payload"]
        index._alive = np.ones(saved["n"], dtype=bool)
        if saved["coarse"] is not None:
            index._coarse, index._centre = saved["coarse"], saved["centre"]
            index._built = saved["built"]
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
        rows = np.flatnonzero(self._alive)
        write_parquet(os.fspath(path), self._vectors.array(), rows, self._ids, self._payload)
