"""The coarse half of a search: an index of faiss that names candidates."""

import numpy as np

from metriclearn.neighbors._faiss import (
    load_faiss,
    make_index,
    matrix_products,
    set_search_params,
)

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
        """Make an empty one from a faiss factory string; ``sample`` is overwritten.

        Raises
        ------
        ValueError
            If faiss does not know the string or cannot train on so few rows.
        """
        center = sample.mean(axis=0)
        sample -= center  # in place: the sample is what building takes most memory for
        index = make_index(factory, sample.shape[1], inner_product)
        try:
            index.train(sample)
        except RuntimeError as error:
            reason = str(error).splitlines()[0].rsplit(": ", 1)[-1]
            raise ValueError(
                f"index={factory!r} cannot be trained on {len(sample)} rows: {reason}"
            ) from None
        return cls(index, center, built)

    def add(self, rows):
        """File rows behind the last."""
        self.index.add(rows - self.center)

    def candidates(self, queries, n_candidates):
        """Rows taken for near, shape (n_queries, n_candidates); -1 for none."""
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
