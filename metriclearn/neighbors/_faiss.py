"""Approximate search: an index of faiss names candidates, exact distances rank them."""

import re
import threading
import warnings
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np
from sklearn.utils import check_random_state

from metriclearn._extras import require
from metriclearn._types import is_whole
from metriclearn._validation import as_count
from metriclearn.neighbors._exact import ExactSearch
from metriclearn.neighbors._search._ranker import Frame, Ranker

# Points that faiss's k-means wants for each of its centroids.
_POINTS_PER_CENTROID = 39
_lock = threading.Lock()


def load_faiss():
    """Import faiss, without the warnings of its wrapper."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return require("faiss", "faiss")


@contextmanager
def _one_error(message):
    """Turn an error of faiss into a ``ValueError`` that ends with its reason."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rsplit(": ", 1)[-1]
        raise ValueError(f"{message}: {reason}") from None


@contextmanager
def matrix_products(faiss, n_features):
    """Let faiss use its matrix product for small batches too.

    faiss compares queries × features with a threshold and below it scans row by
    row, 10 times slower a query. The threshold is global to the process: it is put
    back after the call.
    """
    with _lock:
        before = faiss.cvar.distance_compute_blas_threshold
        faiss.cvar.distance_compute_blas_threshold = 8 * n_features
        try:
            yield
        finally:
            faiss.cvar.distance_compute_blas_threshold = before


def factory_string(index, n, d):
    """Turn the name of an index into faiss's own, sized for the data.

    Parameters
    ----------
    index : str
        ``"hnsw"``, ``"ivf"``, ``"ivfpq"``, or already a factory string.
    n, d : int
        Rows and features.

    Returns
    -------
    str
    """
    if index == "hnsw":
        return "HNSW32"
    if index not in ("ivf", "ivfpq"):
        return index
    n_lists = int(np.clip(4 * np.sqrt(n), 1, max(1, n // _POINTS_PER_CENTROID)))
    if index == "ivf":
        return f"IVF{n_lists},Flat"
    # Two features to a 4-bit code: codes that faiss scans in registers and trains fast.
    padding = f"Pad{d + 1}," if d % 2 else ""
    return f"{padding}IVF{n_lists},PQ{(d + 1) // 2}x4fs"


def make_index(factory, d, inner_product):
    """Make an empty faiss index from a factory string."""
    faiss = load_faiss()
    metric = faiss.METRIC_INNER_PRODUCT if inner_product else faiss.METRIC_L2
    with _one_error(
        f"index={factory!r} is not one of auto, flat, hnsw, ivf, ivfpq, nor a faiss factory "
        f"string that fits {d} features"
    ):
        index = faiss.index_factory(d, factory, metric)
    ivf = faiss.try_extract_index_ivf(index)
    if ivf is not None:
        # Small sets train well enough for re-ranking; faiss would print a warning.
        ivf.cp.min_points_per_centroid = 1
        ivf.nprobe = max(8, ivf.nlist // 32)
        pq = getattr(faiss.downcast_index(ivf), "pq", None)
        if pq is not None:
            pq.cp.min_points_per_centroid = 1
    hnsw = faiss.downcast_index(index)
    if hasattr(hnsw, "hnsw"):
        hnsw.hnsw.efConstruction = 80
        hnsw.hnsw.efSearch = 48
    return index


def set_search_params(index, search_params):
    """Set the effort of a search, in faiss's words (``"nprobe=32"``)."""
    with _one_error(
        f"search_params={search_params!r} does not fit the index (write 'nprobe=32' for ivf or "
        f"'efSearch=128' for hnsw)"
    ):
        load_faiss().ParameterSpace().set_index_parameters(index, search_params)


def train(index, rows, factory):
    """Train an index that was made from a factory string."""
    with _one_error(f"index={factory!r} cannot be trained on {len(rows)} rows"):
        index.train(rows)


class FaissSearch:
    """Search of an index of faiss, ranked by exact distances; otherwise as :class:`ExactSearch`.

    More rows than asked for are fetched and ranked; a query for which the index finds too
    few is answered exactly.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    metric : {"euclidean", "cosine", "inner_product"}
    factory : str
        faiss factory string.
    search_params : str or None
    """

    def __init__(self, X, metric, factory, search_params=None):
        self._ranker = Ranker(X, metric)
        self._frame = Frame(self._ranker)
        self._exact = None
        index = make_index(factory, X.shape[1], self._frame.inner_product)
        if search_params is not None:
            set_search_params(index, search_params)
        base = np.empty(X.shape, np.float32)
        start = 0
        for rows in self._ranker.blocks():
            base[start : start + len(rows)] = self._frame.base(rows)
            start += len(rows)
        train(index, base, factory)
        index.add(base)
        self._index = index
        # Of compressed rows many must be fetched to hold the nearest; of others those that
        # rounding to float32 may have put behind.
        compressed = not re.fullmatch(r"HNSW\d+|(IVF\d+,)?Flat", factory)
        self._fetch = (20, 100) if compressed else (1, 6)

    @property
    def X(self):
        """The base."""
        return self._ranker.X

    def __getstate__(self):
        return {
            "ranker": self._ranker,
            "frame": self._frame,
            "fetch": self._fetch,
            "index": load_faiss().serialize_index(self._index),
        }

    def __setstate__(self, state):
        self._ranker, self._frame = state["ranker"], state["frame"]
        self._fetch = state["fetch"]
        self._index = load_faiss().deserialize_index(state["index"])
        self._exact = None

    def _exact_search(self):
        if self._exact is None:
            self._exact = ExactSearch(self.X, self._ranker.metric)
        return self._exact

    def search(self, Q, k, *, exclude=None):
        """Find ``k`` near rows of the base for each query; see :meth:`ExactSearch.search`."""
        Q = self._ranker.check_queries(Q)
        self._ranker.check_k(k, exclude is not None)
        factor, extra = self._fetch
        fetch = min(len(self.X), factor * k + extra)
        queries = self._frame.queries(Q).astype(np.float32)
        with matrix_products(load_faiss(), Q.shape[1]):
            _, candidates = self._index.search(queries, fetch)
        distances, indices = self._ranker.rank(Q, candidates, k, exclude)
        short = np.isinf(distances[:, -1])
        if short.any():
            skip = None if exclude is None else exclude[short]
            found = self._exact_search().search(Q[short], k, exclude=skip)
            distances[short], indices[short] = found
        return distances, indices

    def search_all(self, k):
        """Find ``k`` near other rows for each row; see :meth:`ExactSearch.search_all`."""
        return self.search(self.X, k, exclude=np.arange(len(self.X)))

    def radius(self, Q, radius):
        """Find all rows within a distance, exactly; see :meth:`ExactSearch.radius`."""
        return self._exact_search().radius(Q, radius)


# The least effort of a search, by the name of the parameter that sets it.
_LEAST_EFFORT = {"nprobe": 2, "efSearch": 16}


class CoarseIndex:
    """Compressed rows, by number, in the order in which they are added.

    Parameters
    ----------
    index : faiss.Index
        Trained.
    center : ndarray of shape (d,), float32
        Taken from all rows, so that no digits go to a common offset.
    built : int
        Rows for which the index was sized.
    """

    def __init__(self, index, center, built):
        self.index = index
        self.center = center
        self.built = built
        self.inner_product = index.metric_type == load_faiss().METRIC_INNER_PRODUCT

    @classmethod
    def train(cls, factory, sample, inner_product, built):
        """Make an empty one from a faiss factory string; ``sample`` is overwritten."""
        center = sample.mean(axis=0)
        sample -= center  # in place: the sample is what building takes most memory for
        index = make_index(factory, sample.shape[1], inner_product)
        train(index, sample, factory)
        return cls(index, center, built)

    def add(self, rows):
        """Add rows after the last one."""
        self.index.add(rows - self.center)

    def candidates(self, queries, n_candidates):
        """Return rows that are likely near, shape (n_queries, n_candidates); -1 for none."""
        # Inner products with rows less their center rank as before; the query is not to change.
        framed = queries if self.inner_product else queries - self.center
        with matrix_products(load_faiss(), queries.shape[1]):
            return self.index.search(framed.astype(np.float32), n_candidates)[1]

    def set_effort(self, search_params):
        """Set the effort of a search, in faiss's words (``"nprobe=32"``)."""
        set_search_params(self.index, search_params)

    def efforts(self):
        """Yield efforts in faiss's words, each twice the one before; none if it has none."""
        faiss = load_faiss()
        ivf = faiss.try_extract_index_ivf(self.index)
        if ivf is not None:
            parameter, most = "nprobe", ivf.nlist
        elif hasattr(faiss.downcast_index(self.index), "hnsw"):
            parameter, most = "efSearch", 4096
        else:
            return
        effort = _LEAST_EFFORT[parameter]
        while effort < most:
            yield f"{parameter}={effort}"
            effort *= 2
        yield f"{parameter}={most}"


class RecallSample:
    """Rows of a gallery with their exact neighbors, each without itself."""

    def __init__(self, gallery, k, n_queries, random_state):
        most = len(gallery) - 1
        if not is_whole(k) or not 1 <= k <= most:
            raise ValueError(f"k={k!r} must be from 1 to {most}, the number of other rows")
        self.gallery, self.k = gallery, k
        random_state = check_random_state(random_state)
        n_queries = min(as_count(n_queries, "n_queries"), len(gallery))
        self.rows = random_state.choice(gallery.catalog.rows, n_queries, replace=False)
        gallery.vectors.verify(self.rows)
        self.queries = gallery.vectors.array()[self.rows].astype(np.float64)
        self.exact = gallery.by_brute_force(self.queries, k, exclude=self.rows)[1]

    def recall(self, rerank):
        """Return the share of the exact neighbors that the search finds."""
        as_count(rerank, "rerank")
        _, found = self.gallery.nearest(self.queries, self.k + 1, rerank)
        hits = [
            len(np.intersect1d(mine[mine != row][: self.k], their))
            for row, mine, their in zip(self.rows, found, self.exact, strict=True)
        ]
        return float(np.mean(hits) / self.k)

    def tune(self, recall, rerank):
        """Set the least effort that reaches a recall, or the most there is.

        Returns
        -------
        float
            The recall reached.
        """
        gallery = self.gallery
        reached = self.recall(rerank)
        for effort in [] if gallery.coarse is None else gallery.coarse.efforts():
            gallery.coarse.set_effort(effort)
            gallery.search_params = effort
            reached = self.recall(rerank)
            if reached >= recall:
                break
        return reached


def warn_if_short(reached, recall, rerank):
    """Warn where less recall was reached than was asked for."""
    if reached < recall:
        warnings.warn(
            f"recall {reached:.3f} was reached, less than {recall}; raise rerank (it was "
            f"{rerank}) or take a less compressed index",
            UserWarning,
            stacklevel=3,
        )


# Rows up to which "auto" is exact, for every search there is.
LARGEST_EXACT = 1_000_000


def resolve_index(index, n, beyond="ivf"):
    """Turn ``"auto"`` into a choice for n rows: exact where that is quick, or all there is."""
    if index != "auto":
        return index
    return beyond if n > LARGEST_EXACT and find_spec("faiss") is not None else "flat"


def build_search(X, metric, index="auto", search_params=None):
    """Build the search that ``index`` names, an ExactSearch or a FaissSearch of ``X``."""
    index = resolve_index(index, len(X))
    if index == "flat":
        if search_params is not None:
            raise ValueError(
                f"search_params={search_params!r} was given, but index='flat' is exact and has "
                f"none; use index='hnsw' or 'ivf'"
            )
        return ExactSearch(X, metric)
    return FaissSearch(X, metric, factory_string(index, *X.shape), search_params)
