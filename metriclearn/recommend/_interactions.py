"""Which user chose which item, in one order, and items that a user did not choose."""

import numpy as np
from scipy import sparse


class Interactions:
    """The pairs of a user × item matrix.

    Parameters
    ----------
    matrix : csr_matrix of shape (n_users, n_items)
        Above 0 where a user chose an item.
    """

    def __init__(self, matrix):
        self.n_users, self.n_items = matrix.shape
        pairs = sparse.coo_array(matrix)
        chosen = pairs.data > 0
        order = np.lexsort((pairs.col[chosen], pairs.row[chosen]))
        self.users = pairs.row[chosen][order].astype(np.int64)
        self.items = pairs.col[chosen][order].astype(np.int64)
        self._keys = self.users * self.n_items + self.items
        self.counts = np.bincount(self.users, minlength=self.n_users)

    def __len__(self):
        return len(self.users)

    def has(self, users, items):
        """Whether each user chose each item."""
        keys = users * self.n_items + items
        places = np.searchsorted(self._keys, keys)
        found = np.minimum(places, max(len(self._keys) - 1, 0))
        return self._keys[found] == keys if len(self._keys) else np.zeros(keys.shape, bool)

    def draw_negatives(self, users, n_negatives, rng):
        """Draw items that users did not choose; a user that chose all gets some of its own.

        Parameters
        ----------
        users : ndarray of shape (b,)
        n_negatives : int
        rng : numpy.random.RandomState

        Returns
        -------
        ndarray of shape (b, n_negatives)
        """
        drawn = rng.randint(self.n_items, size=(len(users), n_negatives))
        repeated = np.broadcast_to(users[:, None], drawn.shape)
        for _ in range(20):
            taken = self.has(repeated, drawn)
            if not taken.any():
                break
            drawn[taken] = rng.randint(self.n_items, size=int(taken.sum()))
        return drawn

    def hold_out(self, rng):
        """Hold out one item of each user that has at least three.

        Returns
        -------
        rest : csr_array of shape (n_users, n_items)
        users, items : ndarray
            What was held out.
        """
        starts = np.concatenate([[0], np.cumsum(self.counts)])[:-1]
        users = np.flatnonzero(self.counts >= 3)
        places = starts[users] + (rng.random_sample(len(users)) * self.counts[users]).astype(int)
        left = np.ones(len(self), bool)
        left[places] = False
        pairs = self.users[left], self.items[left]
        shape = self.n_users, self.n_items
        rest = sparse.csr_array((np.ones(left.sum()), pairs), shape=shape)
        return rest, users, self.items[places]
