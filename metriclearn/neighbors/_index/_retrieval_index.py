"""A searchable gallery of vectors with ids and payload, which grows and shrinks."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from metriclearn._threads import ReadWriteLock
from metriclearn._types import FilePath, Seed
from metriclearn.neighbors._faiss import RecallSample, warn_if_short
from metriclearn.neighbors._index._arguments import (
    Condition,
    Payload,
    check_question,
    check_settings,
    embedded,
)
from metriclearn.neighbors._index._catalog import Catalog
from metriclearn.neighbors._index._gallery import Gallery
from metriclearn.neighbors._index._parquet import read_metric, read_parquet, write_parquet
from metriclearn.neighbors._index._reranking import Rerank, in_order
from metriclearn.neighbors._index._saved import SavedFolder, read_saved


class RetrievalIndex:
    """A gallery of any size, searched by a learned metric: coarse first, then exactly.

    A compressed index in memory finds candidates; their distances are computed from the vectors,
    which may lie in a file. Rows of new classes are added, and nothing is trained.

    Parameters
    ----------
    learner : estimator with ``transform``, default=None
        Fitted; embeds what is added and what is asked. None takes vectors as they are.
    index : {"auto", "flat", "hnsw", "ivf", "ivfpq"} or str, default="auto"
        ``"flat"`` is exact; ``"auto"`` is exact up to a million rows and ``"ivfpq"``
        beyond; any other string goes to faiss's ``index_factory``.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        ``"cosine"`` is one minus the cosine; ``"inner_product"`` is minus the inner
        product, so that smaller is nearer.
    path : str or path-like, default=None
        Folder for the vectors, made if need be: added in chunks, they never have to
        fit in memory (``index="flat"`` keeps a copy there, the others their codes). One
        index at a time writes to a folder. None keeps them in memory.

    Attributes
    ----------
    recall_ : float
        Recall of the ``k`` nearest against exact search, as last measured.
    search_params_ : str
        Effort of the coarse search as ``tune`` left it, e.g. ``"nprobe=64"``.

    See Also
    --------
    FaissNearestNeighbors : The same search as a scikit-learn estimator.
    ExactSearch : The exact search inside.

    Notes
    -----
    Vectors are kept in float32, those of the Euclidean metric less a common offset where
    float64 rows have one that float32 could not hold beside their differences. Coarse
    indexes are trained at the first search, and again once the gallery has grown to four
    times that size.

    Any number of threads may search while others add and remove: a search sees the rows before or
    after a change, never in between. What is saved is whole at any time: see :meth:`save`.

    References
    ----------
    .. [1] M. Douze et al., "The Faiss library", 2024. :doi:`10.48550/arXiv.2401.08281`
    .. [2] H. Jégou, M. Douze and C. Schmid, "Product quantization for nearest neighbor
       search", IEEE TPAMI 33(1), 2011. :doi:`10.1109/TPAMI.2010.57`

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
    >>> index.search(X[[0]], k=3, where={"species": 2})[1].shape
    (1, 3)
    """

    def __init__(
        self,
        learner: BaseEstimator | None = None,
        *,
        index: str = "auto",
        metric: str = "euclidean",
        path: FilePath | None = None,
    ) -> None:
        check_settings(learner, index, metric)
        self.learner = learner
        self.index = index
        self.metric = metric
        self.path = None if path is None else os.fspath(path)
        self._folder = None if path is None else SavedFolder(path)
        self._gallery = None
        self._lock = ReadWriteLock()

    def __len__(self):
        return 0 if self._gallery is None else len(self._gallery)

    def __repr__(self):
        recall = f", recall_={self.recall_:.3f}" if hasattr(self, "recall_") else ""
        return f"<RetrievalIndex of {len(self)} rows, index={self.index!r}{recall}>"

    @property
    def ids(self) -> np.ndarray:
        """Ids of the rows, in the order they were added."""
        with self._lock.reading():
            return self._catalog.ids[self._catalog.alive]

    @property
    def _catalog(self):
        return Catalog() if self._gallery is None else self._gallery.catalog

    def _embed(self, X):
        d = None if self._gallery is None else self._gallery.vectors.d
        return embedded(X, self.learner, self.metric, d)

    def add(
        self,
        X: ArrayLike,
        ids: ArrayLike | str | None = None,
        payload: Payload | None = None,
    ) -> None:
        """Add rows to the gallery.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            What the learner embeds, or vectors where there is none.
        ids : array-like of int or str, shape (n,), default=None
            Distinct, and not in the index; the next whole numbers by default.
        payload : dict of str to array-like of shape (n,), or DataFrame, default=None
            Anything to be had back with what is found: numbers, strings or dates, None
            where there is none. The same columns at each call.

        Raises
        ------
        ValueError
            For NaN, another width, values beyond float32, ids given twice, other columns.
            The index is then as it was before the call.
        OSError
            If the disk is full; likewise.
        """
        self._add(X, ids, payload)

    def upsert(self, X: ArrayLike, ids: ArrayLike, payload: Payload | None = None) -> None:
        """Add rows, in place of those that have the same ids.

        Parameters
        ----------
        X, ids, payload
            See :meth:`add`.

        Raises
        ------
        ValueError, OSError
            As :meth:`add`.
        """
        if ids is None:
            raise ValueError("ids is None; upsert needs to know which rows to replace")
        self._add(X, ids, payload, replace=True)

    def _add(self, X, ids, payload, replace=False):
        vectors = self._embed(X)
        with self._lock.writing():
            ids, columns, replaced = self._catalog.checked(ids, payload, len(vectors), replace)
            folder, gallery = self._folder, self._gallery
            with nullcontext() if folder is None else folder.filling(new=gallery is None):
                gallery = gallery or Gallery.of(self.index, self.metric, vectors, folder)
                gallery.append(gallery.vectors.stored(vectors), ids, columns, replaced)
            self._gallery = gallery

    def remove(self, ids: ArrayLike | str | None = None, *, where: Condition | None = None) -> None:
        """Take rows out of the gallery.

        Parameters
        ----------
        ids : array-like of int or str, default=None
        where : dict or callable, default=None
            A condition on the payload, as of :meth:`search`, in place of ids.

        Raises
        ------
        ValueError
            If an id is not in the index, which then is as it was.
        """
        if (ids is None) == (where is None):
            raise ValueError("remove needs either ids or where")
        with self._lock.writing():
            if where is not None:
                rows = np.flatnonzero(self._catalog.where(where))
            else:
                rows = np.unique(self._catalog.find(np.atleast_1d(ids)))
            if self._gallery is not None:
                self._gallery.remove(rows)

    def payload(self, ids: ArrayLike) -> dict[str, np.ndarray]:
        """Return the payload of rows by their ids.

        Parameters
        ----------
        ids : array-like of int or str, any shape

        Returns
        -------
        dict of str to ndarray
            A column each, of the shape of ``ids``; of dtype object where some are None.
        """
        with self._lock.reading():
            return self._catalog.payload(self._catalog.find(ids))

    @contextmanager
    def _searching(self):
        """Hold the index as it is, with its search structure up to date."""
        while True:
            with self._lock.reading():
                gallery = self._there()
                if gallery.built:
                    yield gallery
                    return
            with self._lock.writing():
                self._gallery.build()

    def _there(self):
        if self._gallery is None:
            raise ValueError("the index is empty; add rows first")
        return self._gallery

    def search(
        self,
        X: ArrayLike,
        k: int = 10,
        *,
        where: Condition | None = None,
        max_distance: float | None = None,
        rerank: Rerank = 1000,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the ``k`` nearest rows for each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
        k : int, default=10
            Where the index, or what ``where`` leaves of it, has fewer rows, all of them
            are found.
        where : dict or callable, default=None
            Search only rows whose payload meets a condition: ``{"species": 2}``,
            ``{"species": [0, 2], "sex": "f"}`` (one of the values, in every column), or a
            function of the payload of all rows, a dict of columns, that returns a true or
            false value for each.
        max_distance : float, default=None
            Rows farther than this are nobody: the distance is inf and the id is -1 (the
            largest number for unsigned ids, ``""`` for strings) in their place.
        rerank : int or callable, default=1000
            Candidates of the coarse search whose distances are computed exactly (an exact index
            takes all rows); more is slower and finds more. A function of ``X`` and the ids of the
            ``k`` nearest orders these by scores, the highest first: `PairNetwork.reranker`.

        Returns
        -------
        distances : ndarray of shape (n_queries, min(k, n_rows)), float64
            Ascending unless reranked; minus the inner product for ``metric="inner_product"``.
        ids : ndarray of shape (n_queries, min(k, n_rows))
        """
        rerank, scorer = check_question(k, rerank, max_distance)
        embeddings = self._embed(X)
        with self._searching() as gallery:
            allowed = None if where is None else gallery.catalog.where(where)
            queries = gallery.vectors.queries(embeddings)
            distances, rows = gallery.nearest(queries, k, rerank, allowed)
            ids = gallery.catalog.ids[rows]
        distances = distances**2 / 2 if self.metric == "cosine" else distances
        return in_order(distances, ids, scorer, X, max_distance)

    def measure_recall(
        self, k: int = 10, *, n_queries: int = 200, rerank: int = 1000, random_state: Seed = 0
    ) -> float:
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
        with self._searching() as gallery:
            self.recall_ = RecallSample(gallery, k, n_queries, random_state).recall(rerank)
            return self.recall_

    def tune(
        self,
        recall: float = 0.95,
        *,
        k: int = 10,
        n_queries: int = 200,
        rerank: int = 1000,
        random_state: Seed = 0,
    ) -> float:
        """Set the effort of the coarse search to the least that reaches a recall.

        Parameters
        ----------
        recall : float, default=0.95
            Of the ``k`` exact neighbors, above 0 and at most 1.
        k, n_queries, rerank, random_state
            See ``measure_recall``.

        Returns
        -------
        float
            The recall reached. A warning says where it is less than was asked.
        """
        if not (isinstance(recall, int | float | np.number) and 0 < recall <= 1):
            raise ValueError(f"recall must be above 0 and at most 1, got {recall!r}")
        with self._lock.writing():
            gallery = self._there()
            gallery.build()
            sample = RecallSample(gallery, k, n_queries, random_state)
            self.recall_ = sample.tune(recall, rerank)
            if gallery.search_params is not None:
                self.search_params_ = gallery.search_params
        if gallery.coarse is not None:
            warn_if_short(self.recall_, recall, rerank)
        return self.recall_

    def save(self, path: FilePath) -> None:
        """Write the index to a folder: vectors, ids, payload and coarse index; not the learner.

        Parameters
        ----------
        path : str or path-like
            Folder; made if need be. An index that was saved there is replaced as a whole:
            whenever the process is killed, the folder holds the old index or the new one.
            Whoever has it open goes on reading what was opened.

        Raises
        ------
        ValueError
            If the index never had a row, if another index is writing to the folder, or has
            written to it since this one was loaded from it.
        OSError
            If the disk is full; the index that was saved there is as it was.
        """
        with self._lock.writing():
            gallery = self._there()
            settings = {"index": self.index, "metric": self.metric}
            settings["search_params"] = getattr(self, "search_params_", None)
            if self._folder is not None and self._folder.is_at(path):
                self._gallery = self._folder.save(gallery, settings, own=True)
            else:
                SavedFolder(path).save(gallery, settings, own=False)

    @classmethod
    def load(
        cls, path: FilePath, learner: BaseEstimator | None = None, *, verify: bool = False
    ) -> RetrievalIndex:
        """Open a saved index; its vectors are mapped, not read.

        Parameters
        ----------
        path : str or path-like
            Folder that ``save`` wrote. Nothing in it is unpickled. Rows added later are
            written to it, and are part of it after the next ``save`` to it.
        learner : estimator with ``transform``, default=None
            The one that the index was made with; it is not saved.
        verify : bool, default=False
            Whether to verify the checksums of all vectors now. By default each block of
            them is verified when it is first read, everything else now.

        Returns
        -------
        RetrievalIndex

        Raises
        ------
        ValueError
            If the folder is not such an index, or a file of it is cut short or changed.
        """
        folder = SavedFolder(path)
        index = cls(learner, path=path)
        saved, vectors = read_saved(folder.path)
        index.index, index.metric = saved["index"], saved["metric"]
        folder.seen = saved["identity"]
        index._folder = folder
        if saved["search_params"] is not None:
            index.search_params_ = saved["search_params"]
        index._gallery = Gallery.from_saved(saved, vectors)
        if verify:
            vectors.verify()
        return index

    def to_parquet(self, path: FilePath) -> None:
        """Write ids, vectors and payload as a Parquet file, for a vector database.

        Parameters
        ----------
        path : str or path-like
            Columns ``id``, ``vector`` (fixed-size list of float32) and those of the
            payload; the metric stands in the metadata of the schema, under
            ``metriclearn``.
        """
        with self._lock.reading():
            gallery = self._there()
            write_parquet(os.fspath(path), gallery.vectors, gallery.catalog, self.metric)

    @classmethod
    def from_parquet(
        cls,
        file: FilePath,
        learner: BaseEstimator | None = None,
        *,
        index: str = "auto",
        metric: str | None = None,
        path: FilePath | None = None,
    ) -> RetrievalIndex:
        """Make an index of a Parquet file with columns ``id`` and ``vector``.

        Parameters
        ----------
        file : str or path-like
            Its other columns become the payload.
        learner : estimator with ``transform``, default=None
            For what is asked and added later; the vectors are taken as they are.
        index, path
            See the class.
        metric : {"euclidean", "cosine", "inner_product"}, default=None
            As :meth:`to_parquet` wrote it by default; Euclidean where nothing is written.

        Returns
        -------
        RetrievalIndex
        """
        metric = metric or read_metric(os.fspath(file)) or "euclidean"
        made = cls(None, index=index, metric=metric, path=path)
        for ids, vectors, payload in read_parquet(os.fspath(file)):
            made.add(vectors, ids, payload)
        made.learner = learner
        return made
