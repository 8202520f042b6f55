"""MLKR: a metric for regression by the mean of soft neighbours."""

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import check_random_state

from metriclearn.mahalanobis._base import MahalanobisTransformer
from metriclearn.mahalanobis._soft_fit import (
    SOFT_NEIGHBOR_CONSTRAINTS,
    learn_components,
    starting_components,
)
from metriclearn.mahalanobis._soft_neighbors import Values


def mlkr_terms(y):
    """Parts of the rows in ``Σ_i (y_i - ŷ_i)²``, and their derivatives.

    ``∂(y_i - ŷ_i)²/∂d²_ij = 2 (y_i - ŷ_i) p_ij (y_j - ŷ_i)``.
    """

    def row_terms(rows, predicted, log_normalizers):
        residual = y[rows].astype(predicted.dtype, copy=False) - predicted
        return residual**2, 2 * residual, -2 * residual * predicted

    return row_terms


class MLKR(MahalanobisTransformer):
    """Metric learning for kernel regression (Weinberger, Tesauro, 2007).

    ::

        min_L  Σ_i (y_i - ŷ_i)²,   ŷ_i = Σ_{j≠i} k_ij y_j / Σ_{j≠i} k_ij,
        k_ij = exp(-‖L x_i - L x_j‖²)

    the squared error of a regression by neighbours weighted with a Gaussian
    kernel, each row left out in turn. The sums are taken over blocks of rows,
    in memory that does not grow with n².

    Not convex: ``init`` matters. The scale of the features sets the width of
    the kernel at the start, so standardise them.

    Parameters
    ----------
    n_components : int, default=None
        Dimension of the learned space; ``n_features`` by default.
    init : {"auto", "pca", "identity", "random"} or array, default="auto"
        Where the search starts: an array of shape (n_components, n_features),
        or ``"auto"`` for PCA where ``n_components`` is below ``n_features``,
        else the identity.
    max_iter : int, default=100
        Most iterations; with ``batch_size``, passes over the rows.
    tol : float, default=1e-5
        Relative decrease of the objective, or largest entry of its gradient,
        at which the search ends; targets count in units of their standard
        deviation. Not used with ``batch_size``.
    batch_size : int, default=None
        None searches with L-BFGS over all rows, in time that grows with n². A
        number draws batches of that many rows and steps with Adam, each row
        predicted from its batch: time grows with n.
    learning_rate : float, default=0.01
        With ``batch_size``: first step of the entries of ``L``, in units of the
        length of its rows; it falls to zero over the passes.
    max_memory : float, default=512
        Bound in MB on the working memory beyond a few copies of ``X``.
    warm_start : bool, default=False
        Start from the ``components_`` of the previous ``fit``.
    random_state : int, RandomState instance or None, default=None
        For ``init="random"``, a randomised PCA, and the batches.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The linear map ``L``, in the dtype of ``X``.
    objective_ : float
        ``Σ_i (y_i - ŷ_i)²``, in the squared unit of ``y``; with ``batch_size``,
        as found within the batches of the last pass.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

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

    def __init__(
        self,
        n_components=None,
        *,
        init="auto",
        max_iter=100,
        tol=1e-5,
        batch_size=None,
        learning_rate=0.01,
        max_memory=512,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
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

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Learn the components from rows with a number each.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,)
            The number to predict.

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
        y = _check_targets(y)
        random_state = check_random_state(self.random_state)
        X = X - X.mean(axis=0)
        spread = y.std()
        y = (y - y.mean()) / spread
        L, scale = starting_components(self, X, None, random_state)
        L, value, self.n_iter_ = learn_components(
            self,
            X * X.dtype.type(scale),
            L,
            lambda rows: (Values(y[rows]), mlkr_terms(y[rows])),
            random_state,
        )
        self.objective_ = value * float(spread) ** 2
        return self._set_components(L * L.dtype.type(scale))


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
