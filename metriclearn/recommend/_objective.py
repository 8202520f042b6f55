"""The loss of collaborative metric learning, its gradients, and steps within the unit ball."""

import numpy as np
from scipy import sparse

# Their distances to all items are in memory.
USERS_AT_ONCE = 256
_FOLD_IN_STEPS = 30


def impostor_weights(n_impostors, n_negatives, n_items):
    """Weigh pairs by how far down an item stands, as it shows among sampled ones.

    ::

        w = log(1 + ⌊J · M / U⌋)

    for M impostors among U sampled negatives of J items: an estimate of the item's rank.

    Parameters
    ----------
    n_impostors : ndarray of int
    n_negatives, n_items : int

    Returns
    -------
    ndarray of float
    """
    return np.log1p(n_items * n_impostors // n_negatives)


def collaborative_loss(users, items, negatives, margin, n_items):
    """Compute the loss of pairs and its gradients.

    Parameters
    ----------
    users, items : ndarray of shape (b, d)
        Vectors of a user and of an item that it chose.
    negatives : ndarray of shape (b, U, d)
        Vectors of items that it did not choose.
    margin : float
    n_items : int
        Of all items, for the weights.

    Returns
    -------
    losses : ndarray of shape (b,)
    toward_users, toward_items, toward_nearest : ndarray of shape (b, d)
        Gradients; the last is of the nearest negative alone.
    nearest : ndarray of shape (b,)
        Its place among the negatives.
    """
    apart = np.sum((users - items) ** 2, axis=1)
    away = np.sum((users[:, None] - negatives) ** 2, axis=2)
    impostors = np.sum(margin + apart[:, None] - away > 0, axis=1)
    weights = impostor_weights(impostors, negatives.shape[1], n_items)
    nearest = away.argmin(axis=1)
    rows = np.arange(len(users))
    excess = margin + apart - away[rows, nearest]
    active = (2 * weights * (excess > 0))[:, None]
    closest = negatives[rows, nearest]
    gradients = active * (closest - items), active * (items - users), active * (users - closest)
    return weights * np.maximum(excess, 0), *gradients, nearest


def covariance_penalty(vectors):
    """Compute how correlated the dimensions of vectors are, and the gradient of that.

    ::

        (‖C‖²_F − ‖diag C‖²) / n,   C the covariance of n vectors

    Parameters
    ----------
    vectors : ndarray of shape (n, d)

    Returns
    -------
    float, ndarray of shape (n, d)
    """
    n = len(vectors)
    centered = vectors - vectors.mean(axis=0)
    covariance = centered.T @ centered / n
    np.fill_diagonal(covariance, 0)
    return float(np.sum(covariance**2)) / n, 4 * centered @ covariance / n**2


class AdaGrad:
    """Steps of AdaGrad on some rows of an array, which then are pulled back into the unit ball.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        Changed in place.
    learning_rate : float

    References
    ----------
    .. [1] J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning
       and stochastic optimization", JMLR 12, 2011.
    """

    def __init__(self, vectors, learning_rate):
        self.vectors = vectors
        self.learning_rate = learning_rate
        self.sums = np.full_like(vectors, 0.1)

    def step(self, rows, gradients):
        """Take a step; rows may repeat, their gradients then add up."""
        distinct, places = np.unique(rows, return_inverse=True)
        total = np.zeros((len(distinct), gradients.shape[1]))
        np.add.at(total, places.reshape(-1), gradients)
        self.sums[distinct] += total**2
        moved = self.vectors[distinct] - self.learning_rate * total / np.sqrt(self.sums[distinct])
        self.vectors[distinct] = into_ball(moved)


def product_by_rows(rows, matrix):
    """Multiply such that no row's last bits depend on the rows beside it.

    A single product of two matrices may sum in another order for another number of rows.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
    matrix : ndarray of shape (d, m)

    Returns
    -------
    ndarray of shape (n, m)
    """
    return np.matmul(rows[:, None, :], matrix)[:, 0]


def squared_distances(users, items):
    """Compute the squared distances of users, of shape (n, d), and items, of shape (m, d)."""
    products = product_by_rows(users, items.T)
    squares = np.sum(users**2, axis=1)[:, None] + np.sum(items**2, axis=1)
    return np.maximum(squares - 2 * products, 0)


def into_ball(vectors):
    """Shorten vectors that are longer than 1.

    Examples
    --------
    >>> into_ball(np.array([[3.0, 4.0], [0.3, 0.4]])).tolist()
    [[0.6, 0.8], [0.3, 0.4]]
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1)


def fold_in(matrix, items, margin, n_negatives, learning_rate):
    """Place users with the items where they are.

    Parameters
    ----------
    matrix : csr_array of shape (n_users, n_items)
    items : ndarray of shape (n_items, d)
    margin : float
    n_negatives : int
    learning_rate : float

    Returns
    -------
    ndarray of shape (n_users, d)
        The center, for a user that chose nothing.
    """
    n_items = len(items)
    chosen = (matrix > 0).astype(np.float64)
    counts = np.asarray(chosen.sum(axis=1)).reshape(-1)
    seen = chosen.toarray() > 0
    users = into_ball((chosen @ items) / np.maximum(counts, 1)[:, None])
    steps = AdaGrad(users, learning_rate)
    active = np.flatnonzero((counts > 0) & (counts < n_items))
    for _ in range(_FOLD_IN_STEPS):
        if not len(active):
            break
        distances = squared_distances(users[active], items)
        away = np.where(seen[active], np.inf, distances)
        # Where the nearest of U drawn items would stand, were all of them drawn.
        place = ((n_items - counts[active]) // (n_negatives + 1)).astype(int)
        order = np.argsort(away, axis=1, kind="stable")
        rival = order[np.arange(len(active)), place]
        limit = away[np.arange(len(active)), rival]
        violated = seen[active] & (margin + distances > limit[:, None])
        numbers = violated.sum(axis=1, keepdims=True)
        pull = numbers * items[rival] - product_by_rows(violated.astype(np.float64), items)
        steps.step(active, 2 * pull / counts[active][:, None])
    users[counts == 0] = 0
    return users


def ranks_of(users, items, matrix, rows, chosen):
    """Rank of an item among those that its user did not choose, 1 for the nearest.

    Parameters
    ----------
    users, items : ndarray of shape (n_users, d), (n_items, d)
        Vectors.
    matrix : sparse array of shape (n_users, n_items)
        What each user chose, but for the items to rank.
    rows, chosen : ndarray of int, shape (n,)
        Users, and for each the item to rank.

    Returns
    -------
    ndarray of int, shape (n,)
    """
    ranks = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), USERS_AT_ONCE):
        part = slice(start, start + USERS_AT_ONCE)
        distances = squared_distances(users[rows[part]], items)
        each = np.arange(len(distances))
        own = distances[each, chosen[part]]
        distances[matrix[rows[part]].toarray() > 0] = np.inf
        distances[each, chosen[part]] = np.inf
        ranks[part] = 1 + np.sum(distances <= own[:, None], axis=1)
    return ranks


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
        self._starts = np.cumsum(self.counts) - self.counts

    def __len__(self):
        return len(self.users)

    def matrix(self, which=slice(None)):
        """Return 1 where a user chose an item, as a csr_array; of all pairs, or of some."""
        pairs = self.users[which], self.items[which]
        ones = np.ones(len(pairs[0]))
        return sparse.csr_array((ones, pairs), shape=(self.n_users, self.n_items))

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
        # Of users that chose nearly everything, for whom it would take many rounds.
        stuck = self.has(repeated, drawn) & (self.counts[repeated] < self.n_items)
        of = repeated[stuck]
        drawn[stuck] = self.unchosen(of, rng.randint(self.n_items - self.counts[of]))
        return drawn

    def unchosen(self, users, ranks):
        """Return, for each user, the item at a rank, from 0, among those that it did not choose."""
        # As many items that it did not choose are before its k-th choice as the item's number less
        # k; sorted within a user, these are sorted over all users once users are far apart.
        before = self.items - (np.arange(len(self)) - self._starts[self.users])
        width = self.n_items + 1
        chosen = np.searchsorted(self.users * width + before, users * width + ranks, side="right")
        return ranks + chosen - self._starts[users]

    def hold_out(self, rng):
        """Hold out one item of each user that has at least three.

        Returns
        -------
        rest : csr_array of shape (n_users, n_items)
        users, items : ndarray
            What was held out.
        """
        users = np.flatnonzero(self.counts >= 3)
        places = self._starts[users] + (rng.random_sample(len(users)) * self.counts[users]).astype(
            int
        )
        left = np.ones(len(self), bool)
        left[places] = False
        return self.matrix(left), users, self.items[places]


def as_row_numbers(numbers, name, n):
    """Return row numbers, from 0 to n - 1, as an array of shape (m,)."""
    numbers = np.asarray(numbers)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise ValueError(
            f"{name} must be integers of shape (n,), got {numbers.dtype} of shape {numbers.shape}"
        )
    wrong = numbers[(numbers < 0) | (numbers >= n)]
    if wrong.size:
        raise ValueError(f"{name} has {wrong[0]}, but they are numbered from 0 to {n - 1}")
    return numbers.astype(np.intp)


def checked_interactions(matrix):
    """Return the interactions of a matrix that there is something to learn from."""
    interactions = Interactions(matrix)
    if not len(interactions):
        raise ValueError("X: no user chose anything; it must have numbers above 0")
    if len(interactions) == interactions.n_users * interactions.n_items:
        raise ValueError("X: every user chose every item; there is nothing to tell them apart")
    return interactions
