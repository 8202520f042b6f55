"""MLKR: a metric for regression by the mean of soft neighbors."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from metriclearn._arrays import moved_to, on_host, rows_of, with_dtype_of
from metriclearn._sklearn import fit_context
from metriclearn._threads import in_block_threads
from metriclearn._types import Seed
from metriclearn._validation import weighted_rows
from metriclearn.mahalanobis._base import MahalanobisTransformer
from metriclearn.mahalanobis._scatter._span import Span
from metriclearn.mahalanobis._soft_neighbors._soft_fit import (
    SOFT_NEIGHBOR_CONSTRAINTS,
    learn_components,
    starting_components,
)
from metriclearn.mahalanobis._soft_neighbors._targets import Values


def mlkr_terms(y):
    """Return the parts of the rows in ``Σ_i (y_i - ŷ_i)²``, and their derivatives.

    ``∂(y_i - ŷ_i)²/∂d²_ij = 2 (y_i - ŷ_i) p_ij (y_j - ŷ_i)``.
    """

    def row_terms(rows, predicted, log_normalizers):
        residual = with_dtype_of(predicted, y[rows]) - predicted
        return residual**2, 2 * residual, -2 * residual * predicted

    return row_terms


class MLKR(MahalanobisTransformer):
    """Metric learning for kernel regression [1]_.

    ::

        min_L  Σ_i (y_i - ŷ_i)²,   ŷ_i = Σ_{j≠i} k_ij y_j / Σ_{j≠i} k_ij,
        k_ij = exp(-‖L x_i - L x_j‖²)

    the squared error of a regression by neighbors weighted with a Gaussian
    kernel, each row left out in turn. The sums are taken over blocks of rows,
    in memory that does not grow with n².

    Not convex: ``init`` matters. The scale of the features sets the width of
    the kernel at the start, so standardize them.

    Parameters
    ----------
    n_components : int, default=None
        Dimension of the learned space; ``n_features`` by default.
    init : {"auto", "pca", "identity", "random"} or array, default="auto"
        Where the search starts: an array of shape (n_components, n_features),
        or ``"auto"`` for PCA where ``n_components`` is below ``n_features``,
        else the identity.
    max_iter : int, default=100
        Most iterations; in batches, most passes over the rows.
    tol : float, default=1e-5
        Relative decrease of the objective, or largest entry of its gradient,
        at which the search ends; targets count in units of their standard
        deviation. Not used in batches.
    batch_size : "auto", int or None, default="auto"
        None searches with L-BFGS over all rows, in time that grows with n². A
        number draws batches of that many rows and steps with Adam, each row
        predicted from its batch: time grows with n; 1,000 to 4,000 rows are a good
        choice. ``"auto"`` is None up to 10,000 rows and 2048 beyond, with at most as
        many passes as draw 500,000 rows in all, but two at least.
    learning_rate : float, default=0.01
        Only used in batches: first step of the entries of ``L``, in units of the
        length of its rows; it falls to zero over the passes.
    max_memory : float, default=512
        Bound in MB on the working memory beyond a few copies of ``X``.
    warm_start : bool, default=False
        Start from the ``components_`` of the previous ``fit``.
    random_state : int, RandomState instance or None, default=None
        For ``init="random"``, a randomized PCA, and the batches.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The linear map ``L``, in the dtype of ``X``.
    objective_ : float
        ``Σ_i (y_i - ŷ_i)²``, in the squared unit of ``y``; in batches,
        as found within the batches of the last pass.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    NCA : The same soft neighbors for classes.
    metriclearn.neighbors.FaissKNeighborsRegressor : A regressor for the learned space.

    References
    ----------
    .. [1] Weinberger, K. Q. & Tesauro, G. "Metric learning for kernel regression", AISTATS, 2007.
       https://proceedings.mlr.press/v2/weinberger07a.html

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn import MLKR
    >>> X = np.random.RandomState(0).randn(80, 3)
    >>> y = np.sin(2 * X[:, 0])
    >>> mlkr = MLKR().fit(X, y)
    >>> bool(mlkr.objective_ < 0.05 * np.sum((y - y.mean()) ** 2))
    True
    """

    _parameter_constraints: dict = SOFT_NEIGHBOR_CONSTRAINTS
    _target_is_class = False

    def __init__(
        self,
        n_components: int | None = None,
        *,
        init: str | np.ndarray = "auto",
        max_iter: int = 100,
        tol: float = 1e-5,
        batch_size: str | int | None = "auto",
        learning_rate: float = 0.01,
        max_memory: float = 512,
        warm_start: bool = False,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_memory = max_memory
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @in_block_threads
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the components from rows with a number each.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Or a tensor, with array API dispatch.
        y : array-like of shape (n,)
            The number to predict.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows, not negative; all one by default. A row of weight 2
            counts as two equal rows, each a neighbor of the other; one of weight 0 as
            none.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If ``X`` or ``y`` holds NaN or infinity; ``y`` is not numeric or all
            one value; or ``n_components`` or ``init`` does not fit the features.
        """
        X, y = self._validate_fit(X, y)
        weights, rows, y = weighted_rows(sample_weight, np.arange(len(y)), y)
        y = _check_targets(y)
        random_state = check_random_state(self.random_state)
        span = Span(X if len(rows) == X.shape[0] else rows_of(X, rows), weights=weights)
        Z, size = span.standard_rows(weights=weights)
        Z = with_dtype_of(X, Z)
        y = y - np.average(y, weights=weights)
        spread = np.sqrt(np.average(y**2, weights=weights))
        y /= spread
        # Numbers that are compared with predictions are to be where those are.
        y_there = y if on_host(X) else moved_to(X, y)
        L, scale = starting_components(self, Z, None, weights, random_state, span, size)
        L, value, self.n_iter_ = learn_components(
            self,
            Z * scale,
            L,
            lambda rows: (Values(y[rows]), mlkr_terms(rows_of(y_there, rows))),
            weights,
            random_state,
        )
        self.objective_ = value * float(spread) ** 2
        return self._set_components(span.leave(L * (scale * size)), like=X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags


def _check_targets(y):
    try:
        y = np.asarray(y, dtype=np.float64)
    except ValueError:
        raise ValueError(
            f"y must hold numbers for MLKR, got {y.dtype} such as {y.tolist()[0]!r}; for class "
            f"labels use NCA or LMNN"
        ) from None
    if np.ptp(y) == 0:
        raise ValueError(
            f"y has one value only ({y[0]:g}): a metric is learned from rows whose targets differ"
        )
    return y
