"""How many of the exact neighbors a coarse search finds, and what effort that takes."""

import warnings
from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state


class RecallSample:
    """Rows of a gallery with their exact neighbors, each without itself.

    Parameters
    ----------
    gallery : Gallery
    k, n_queries : int
    random_state : int, RandomState instance or None
    """

    def __init__(self, gallery, k, n_queries, random_state):
        most = len(gallery) - 1
        if not isinstance(k, Integral) or not 1 <= k <= most:
            raise ValueError(f"k={k!r} must be from 1 to {most}, a row finds the others")
        self.gallery, self.k = gallery, k
        random_state = check_random_state(random_state)
        n_queries = min(n_queries, len(gallery))
        self.rows = random_state.choice(gallery.catalog.rows, n_queries, replace=False)
        gallery.vectors.verify(self.rows)
        self.queries = gallery.vectors.array()[self.rows].astype(np.float64)
        self.exact = gallery.by_brute_force(self.queries, k, exclude=self.rows)[1]

    def recall(self, rerank):
        """Return the share of the exact neighbors that the search finds."""
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
