"""Scores of queries and the rows that a search found for them."""

import numpy as np
from sklearn.utils import check_consistent_length


class Reranker:
    """Score queries against rows of a gallery by a network on pairs.

    Parameters
    ----------
    network : PairNetwork
        Fitted.
    gallery : array-like of shape (n_gallery, ...)
    ids : array-like of shape (n_gallery,) or None
        None is 0, 1, ...
    """

    def __init__(self, network, gallery, ids):
        self.network = network
        self.gallery = np.asarray(gallery)
        self.ids = np.arange(len(self.gallery)) if ids is None else np.asarray(ids)
        check_consistent_length(self.gallery, self.ids)
        self.order = np.argsort(self.ids, kind="stable")

    def __call__(self, queries, ids):
        """Return the scores of queries (n_queries, ...) against rows by ids (n_queries, k)."""
        queries = np.asarray(queries)
        ordered = self.ids[self.order]
        at = np.searchsorted(ordered, ids).clip(max=len(ordered) - 1)
        unknown = ordered[at] != ids
        if unknown.any():
            raise ValueError(
                f"ids: {np.asarray(ids)[unknown][0]!r} was found, but is not in the gallery of the "
                f"reranker; give it all rows of the index, with their ids"
            )
        rows = np.concatenate([queries, self.gallery])
        pairs = np.stack(
            [
                np.broadcast_to(np.arange(len(queries))[:, None], at.shape),
                len(queries) + self.order[at],
            ],
            axis=-1,
        )
        scores = self.network._scores_of(rows, pairs.reshape(-1, 2))
        return scores.reshape(at.shape)
