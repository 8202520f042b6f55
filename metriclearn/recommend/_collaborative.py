"""Collaborative metric learning: users near the items that they chose (Hsieh et al., 2017)."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.linear_model import Ridge
from sklearn.utils import (
    check_array,
    check_consistent_length,
    check_random_state,
    gen_batches,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from metriclearn._progress import progress
from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, HasMethods, at_least, fit_context, one_of
from metriclearn._types import Seed
from metriclearn._unused import warn_unused
from metriclearn._validation import as_count, check_numeric
from metriclearn.recommend._objective import (
    USERS_AT_ONCE,
    AdaGrad,
    Interactions,
    as_row_numbers,
    checked_interactions,
    collaborative_loss,
    covariance_penalty,
    fold_in,
    into_ball,
    ranks_of,
    squared_distances,
)


class CollaborativeMetric(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learn vectors of users and items, in one unit ball, so that chosen items are near.

    For each user i and item j that it chose, U items that it did not choose are drawn, and ::

        Σ w_ij [m + ‖u_i − v_j‖² − min_k ‖u_i − v_k‖²]₊,   w_ij = log(1 + ⌊J · M / U⌋)

    is minimized by AdaGrad, where M of the U drawn items violate the margin m and J is the
    number of all items: the farther down an item stands, the more it weighs. After every step
    vectors longer than 1 are shortened to 1. Because it is a metric, recommending is a search
    for nearest neighbors, and items near one item are similar to it.

    Parameters
    ----------
    n_components : int, default=64
        Dimension of the space.
    margin : float, default=1.5
        m, in squared distance.
    n_negatives : int, default=20
        U. With few items, of which a user would choose many, one or two: the nearest of many
        drawn ones is then an item that it would choose, too.
    max_epochs : int, default=20
        Passes over all pairs.
    batch_size : int or "auto", default="auto"
        Pairs in a step; "auto" is a fiftieth of all, from 32 to 2,048.
    learning_rate : float, default=0.1
        Of AdaGrad.
    covariance : float, default=0.0
        Weight of a penalty on correlated dimensions.
    item_weight : float, default=1.0
        Only used with ``item_features``: weight of ``‖f(x_j) − v_j‖²`` for each pair, which
        ties an item to what its features say.
    item_model : regressor, default=None
        f; of several outputs. None is a ridge regression. It is fitted once an epoch.
    early_stopping : bool, default=False
        Whether to hold out an item of each user, find the epoch at which most of them are among
        the 50 first, and then fit all pairs for so many epochs.
    patience : int, default=3
        Epochs without a better one that end the search. Only used with ``early_stopping``.
    random_state : int, RandomState instance or None, default=None
        Of all that is drawn.
    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    user_embeddings_ : ndarray of shape (n_users, n_components)
    item_embeddings_ : ndarray of shape (n_items, n_components)
    item_model_ : regressor
        With ``item_features``.
    loss_curve_ : list of float
        Mean loss of a pair in each epoch.
    n_epochs_ : int
    n_features_in_ : int
        Number of items.

    See Also
    --------
    hit_rate, ndcg : How good recommendations are.
    metriclearn.neighbors.RetrievalIndex : Serves the item vectors.

    Notes
    -----
    Vectors of new users are found with the items as they are (:meth:`transform`): from the mean
    of their items, by steps on the loss above, in which the nearest of U drawn items is
    replaced by the item at that rank among all, so that nothing is random.

    Popular items are near many users, and a few of them near most: look at
    `metriclearn.metrics.hubness` of the item vectors before trusting a list.

    References
    ----------
    .. [1] C.-K. Hsieh, L. Yang, Y. Cui, T.-Y. Lin, S. Belongie and D. Estrin, "Collaborative
       metric learning", WWW 2017. :doi:`10.1145/3038912.3052639`

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.recommend import CollaborativeMetric
    >>> rng = np.random.default_rng(0)
    >>> taste = np.repeat([0, 1], 20)  # of 40 users, for the first or last 15 of 30 items
    >>> X = rng.random((40, 30)) < np.where(taste[:, None] == np.repeat([0, 1], 15), 0.4, 0.02)
    >>> model = CollaborativeMetric(4, n_negatives=2, random_state=0).fit(X)
    >>> items = model.recommend(X, k=3)
    >>> bool((items[:20] < 15).mean() > 0.7), bool((items[20:] >= 15).mean() > 0.7)
    (True, True)
    """

    _parameter_constraints = {
        "n_components": [at_least(1)],
        "margin": [POSITIVE],
        "n_negatives": [at_least(1)],
        "max_epochs": [at_least(1)],
        "batch_size": [at_least(1), one_of("auto")],
        "learning_rate": [POSITIVE],
        "covariance": [NOT_NEGATIVE],
        "item_weight": [NOT_NEGATIVE],
        "item_model": [HasMethods(["fit", "predict"]), None],
        "early_stopping": ["boolean"],
        "patience": [at_least(1)],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components: int = 64,
        *,
        margin: float = 1.5,
        n_negatives: int = 20,
        max_epochs: int = 20,
        batch_size: int | str = "auto",
        learning_rate: float = 0.1,
        covariance: float = 0.0,
        item_weight: float = 1.0,
        item_model: Any = None,
        early_stopping: bool = False,
        patience: int = 3,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.margin = margin
        self.n_negatives = n_negatives
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.covariance = covariance
        self.item_weight = item_weight
        self.item_model = item_model
        self.early_stopping = early_stopping
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | sparse.spmatrix,
        y: object = None,
        *,
        item_features: ArrayLike | sparse.spmatrix | None = None,
    ) -> Self:
        """Learn the vectors.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_users, n_items)
            Above 0 where a user chose an item; how much does not matter.
        y : ignored
        item_features : array-like or sparse matrix of shape (n_items, n_item_features), \
default=None
            What is known of the items: with it, items that nobody chose yet can be placed.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X has negative numbers, or no user chose anything, or every user everything.
        """
        interactions = checked_interactions(self._validated(X, reset=True))
        features = self._checked_features(item_features, interactions.n_items)
        if not self.early_stopping:
            warn_unused(self, {"patience": "with early_stopping"})
        if features is None:
            warn_unused(self, dict.fromkeys(("item_weight", "item_model"), "with item_features"))
            if hasattr(self, "item_model_"):
                del self.item_model_  # of a fit before this one
        rng = check_random_state(self.random_state)
        n_epochs = self.max_epochs
        if self.early_stopping:
            n_epochs = self._best_n_epochs(interactions, features, rng)
        for _ in self._epochs(interactions, features, rng, n_epochs):
            pass
        self.n_epochs_ = n_epochs
        return self

    def transform(self, X: ArrayLike | sparse.spmatrix) -> np.ndarray:
        """Compute the vectors of users, known or new, from the items that they chose.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_users, n_items)

        Returns
        -------
        ndarray of shape (n_users, n_components)
            The center, for a user that chose nothing.
        """
        check_is_fitted(self)
        matrix = self._validated(X, reset=False)
        names = "margin", "n_negatives", "learning_rate"
        options = {name: getattr(self, name) for name in names}
        blocks = [
            fold_in(matrix[block], self.item_embeddings_, **options)
            for block in gen_batches(matrix.shape[0], USERS_AT_ONCE)
        ]
        return np.concatenate(blocks)

    def recommend(
        self,
        X: ArrayLike | sparse.spmatrix | None = None,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        return_distance: bool = False,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Find the items nearest to users.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_users, n_items), default=None
            What users chose; they are placed by :meth:`transform`. None is the users of the
            fit, where they were placed then.
        k : int, default=10
        exclude_seen : bool, default=True
            Whether items that a user chose are left out.
        return_distance : bool, default=False

        Returns
        -------
        distances : ndarray of shape (n_users, k)
            Euclidean; with ``return_distance`` only. Infinite where a user has fewer than
            ``k`` items left.
        items : ndarray of shape (n_users, k)
            Numbers of columns, nearest first; -1 where there is none.

        Raises
        ------
        ValueError
            If ``k`` is not from 1 to the number of items.
        """
        check_is_fitted(self)
        n_items = len(self.item_embeddings_)
        if as_count(k, "k") > n_items:
            raise ValueError(f"k must be from 1 to {n_items}, the number of items, got {k!r}")
        seen = self._seen if X is None else self._validated(X, reset=False)
        users = self.user_embeddings_ if X is None else self.transform(X)
        found = [
            self._nearest(users[block], seen[block] if exclude_seen else None, k)
            for block in gen_batches(len(users), USERS_AT_ONCE)
        ]
        distances, items = (np.concatenate(part) for part in zip(*found, strict=True))
        return (distances, items) if return_distance else items

    def rank_items(
        self, users: ArrayLike, items: ArrayLike, X: ArrayLike | sparse.spmatrix | None = None
    ) -> np.ndarray:
        """Compute at which place an item stands among all that a user did not choose.

        Parameters
        ----------
        users, items : array-like of int, shape (n,)
            Rows and columns of X.
        X : array-like or sparse matrix of shape (n_users, n_items), default=None
            See :meth:`recommend`.

        Returns
        -------
        ndarray of int, shape (n,)
            From 1; ties count as before, so that equal vectors do not flatter.

        Raises
        ------
        ValueError
            If ``users`` or ``items`` are no such rows and columns, or of different lengths.
        """
        check_is_fitted(self)
        matrix = self._seen if X is None else self._validated(X, reset=False)
        users = as_row_numbers(users, "users", matrix.shape[0])
        items = as_row_numbers(items, "items", matrix.shape[1])
        check_consistent_length(users, items)
        vectors = self.user_embeddings_ if X is None else self.transform(X)
        return ranks_of(vectors, self.item_embeddings_, matrix, users, items)

    def embed_items(self, item_features: ArrayLike | sparse.spmatrix) -> np.ndarray:
        """Place items by their features, also such as nobody chose yet.

        Parameters
        ----------
        item_features : array-like or sparse matrix of shape (n, n_item_features)

        Returns
        -------
        ndarray of shape (n, n_components)

        Raises
        ------
        ValueError
            If the fit had no ``item_features``.
        """
        check_is_fitted(self)
        if not hasattr(self, "item_model_"):
            raise ValueError("embed_items needs a fit with item_features")
        features = self._checked_features(item_features)
        width = getattr(self.item_model_, "n_features_in_", features.shape[1])
        if features.shape[1] != width:
            found = features.shape[1]
            raise ValueError(f"item_features has {found} columns, but the fit had {width}")
        predicted = self.item_model_.predict(features)
        return into_ball(np.asarray(predicted).reshape(len(predicted), -1))

    @property
    def _n_features_out(self):
        return self.item_embeddings_.shape[1]

    def _validated(self, X, reset):
        check_numeric(X)
        X = validate_data(self, X, reset=reset, accept_sparse="csr", dtype=np.float64)
        matrix = sparse.csr_array(X, copy=sparse.issparse(X))  # the next lines work in place
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        if matrix.nnz and matrix.data.min() < 0:
            raise ValueError("Negative values in data passed to X: choices are above 0")
        return matrix

    def _checked_features(self, item_features, n_items=None):
        if item_features is None:
            return None
        check_numeric(item_features, "item_features")
        options = {"accept_sparse": "csr", "dtype": np.float64, "input_name": "item_features"}
        features = check_array(item_features, **options)
        if n_items is not None and features.shape[0] != n_items:
            found = features.shape[0]
            raise ValueError(f"item_features has {found} rows, but X has {n_items} items")
        return features

    def _epochs(self, interactions, features, rng, n_epochs):
        """Train from the start; yield after each epoch."""
        r = self.n_components
        scale = 1 / np.sqrt(r)
        self.user_embeddings_ = into_ball(scale * rng.randn(interactions.n_users, r))
        self.item_embeddings_ = into_ball(scale * rng.randn(interactions.n_items, r))
        self._seen = interactions.matrix()
        self.loss_curve_ = []
        of_users = AdaGrad(self.user_embeddings_, self.learning_rate)
        of_items = AdaGrad(self.item_embeddings_, self.learning_rate)
        with progress(self.verbose, type(self).__name__, n_epochs) as advance:
            for _ in range(n_epochs):
                targets = None
                if features is not None:
                    model = Ridge() if self.item_model is None else clone(self.item_model)
                    self.item_model_ = model.fit(features, self.item_embeddings_)
                    targets = self.embed_items(features)
                loss = self._epoch(interactions, targets, of_users, of_items, rng)
                self.loss_curve_.append(loss)
                advance(f"loss {loss:.3g}")
                yield

    def _epoch(self, interactions, targets, of_users, of_items, rng):
        total, order = 0.0, rng.permutation(len(interactions))
        size = self.batch_size
        if size == "auto":
            size = min(max(len(order) // 50, 32), 2048)
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            users, items = interactions.users[batch], interactions.items[batch]
            drawn = interactions.draw_negatives(users, self.n_negatives, rng)
            losses, of_user, of_item, of_nearest, nearest = collaborative_loss(
                self.user_embeddings_[users],
                self.item_embeddings_[items],
                self.item_embeddings_[drawn],
                self.margin,
                interactions.n_items,
            )
            total += losses.sum()
            closest = drawn[np.arange(len(batch)), nearest]
            if targets is not None:
                apart = self.item_embeddings_[items] - targets[items]
                of_item = of_item + 2 * self.item_weight * apart
            rows = np.concatenate([items, closest])
            gradients = np.concatenate([of_item, of_nearest])
            if self.covariance:
                touched = np.unique(rows)
                slope = covariance_penalty(self.item_embeddings_[touched])[1]
                rows = np.concatenate([rows, touched])
                gradients = np.concatenate([gradients, self.covariance * len(batch) * slope])
            of_users.step(users, of_user)
            of_items.step(rows, gradients)
        return total / len(order)

    def _best_n_epochs(self, interactions, features, rng):
        rest, users, items = interactions.hold_out(rng)
        if not len(users):
            raise ValueError("early_stopping: no user has three items, one of which to hold out")
        best, best_share, since = self.max_epochs, -1.0, 0
        held = Interactions(rest)
        for epoch, _ in enumerate(self._epochs(held, features, rng, self.max_epochs), start=1):
            ranks = ranks_of(self.user_embeddings_, self.item_embeddings_, rest, users, items)
            share = np.mean(ranks <= 50)
            since += 1
            if share > best_share:
                best, best_share, since = epoch, share, 0
            if since == self.patience:
                break
        return best

    def _nearest(self, users, left_out, k):
        distances = squared_distances(users, self.item_embeddings_)
        if left_out is not None:
            distances[left_out.toarray() > 0] = np.inf
        items = np.argsort(distances, axis=1, kind="stable")[:, :k]
        found = np.sqrt(np.take_along_axis(distances, items, axis=1))
        return found, np.where(np.isinf(found), -1, items)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.non_deterministic = self.random_state is None
        return tags
