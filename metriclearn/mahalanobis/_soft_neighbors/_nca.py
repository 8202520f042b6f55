"""NCA: the expected accuracy of a soft nearest-neighbor classifier, left one out."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from metriclearn._arrays import namespace, rows_of, with_dtype_of
from metriclearn._sklearn import fit_context
from metriclearn._threads import in_block_threads
from metriclearn._types import Seed
from metriclearn._validation import check_labels, labeled_rows
from metriclearn.mahalanobis._base import MahalanobisTransformer
from metriclearn.mahalanobis._scatter._span import Span
from metriclearn.mahalanobis._soft_neighbors._soft_fit import (
    SOFT_NEIGHBOR_CONSTRAINTS,
    learn_components,
    starting_components,
)
from metriclearn.mahalanobis._soft_neighbors._targets import SameClass


def nca_terms(rows, p, log_normalizers):
    """Return the parts of the rows in ``-Σ_i p_i``, and their derivatives.

    ``p_i`` is the probability that the soft neighbor of row ``i`` is of its
    class; ``∂(-p_i)/∂d²_ij = p_ij (1[y_i = y_j] - p_i)``.
    """
    return -p, namespace(p).ones_like(p), -p


class NCA(MahalanobisTransformer):
    """Neighborhood components analysis [1]_.

    ::

        max_L  Σ_i p_i,   p_i = Σ_{j: y_j = y_i} p_ij,
        p_ij = exp(-‖L x_i - L x_j‖²) / Σ_{k≠i} exp(-‖L x_i - L x_k‖²)

    the number of rows that are expected to be classified rightly by one
    neighbor drawn with probability ``p_ij``, each row left out in turn. The
    objective, its gradient and the stopping rule are those of
    :class:`sklearn.neighbors.NeighborhoodComponentsAnalysis`; the sums are
    taken over blocks of rows, in memory that does not grow with n².

    Not convex: ``init`` matters. The scale of the features sets how soft the
    neighbors are at the start, so standardize them.

    Parameters
    ----------
    n_components : int, default=None
        Dimension of the learned space; ``n_features`` by default.
    init : {"auto", "pca", "lda", "identity", "random"} or array, default="auto"
        Where the search starts: an array of shape (n_components, n_features),
        or ``"auto"`` for LDA where ``n_components`` is below the number of
        classes, else PCA where it is below ``n_features``, else the identity.
    max_iter : int, default=50
        Most iterations; in batches, most passes over the rows.
    tol : float, default=1e-5
        Relative decrease of the objective, or largest entry of its gradient,
        at which the search ends. Not used in batches.
    batch_size : "auto", int or None, default="auto"
        None searches with L-BFGS over all rows, in time that grows with n². A
        number draws batches of that many rows and steps with Adam, each row
        choosing among its batch: time grows with n. Batches should hold many rows of
        each class; 1,000 to 4,000 rows are a good choice. ``"auto"`` is None up to
        10,000 rows and 2048 beyond, with at most as many passes as draw 500,000
        rows in all, but two at least.
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
        ``Σ_i p_i``, between 0 and the number of rows; with ``batch_size``, as
        found within the batches of the last pass.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    MLKR : The same soft neighbors for a target that is a number.
    LMNN : A margin in place of soft neighbors.
    MCML : The same probabilities with a convex objective.

    References
    ----------
    .. [1] Goldberger, J., Roweis, S., Hinton, G. & Salakhutdinov, R. "Neighbourhood components
       analysis", NIPS 17, 2004. https://papers.nips.cc/paper/2566

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import NCA
    >>> X, y = load_iris(return_X_y=True)
    >>> nca = NCA(n_components=2, random_state=0).fit(X, y)
    >>> nca.transform(X).shape
    (150, 2)
    >>> nca.objective_ > 140
    True
    """

    _parameter_constraints: dict = SOFT_NEIGHBOR_CONSTRAINTS

    def __init__(
        self,
        n_components: int | None = None,
        *,
        init: str | np.ndarray = "auto",
        max_iter: int = 50,
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
        """Learn the components from labeled rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            float32 or float64; or a tensor, with array API dispatch. Many rows are
            searched in float32, whatever their dtype.
        y : array-like of shape (n,)
            Class labels.
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
            If ``X`` holds NaN or infinity; ``y`` has one class or a class of one
            row; or ``n_components`` or ``init`` does not fit the features.
        """
        X, y = self._validate_fit(X, y)
        weights, rows, y = labeled_rows(sample_weight, np.arange(len(y)), y)
        _, codes = check_labels(y, sample_weight=weights)
        random_state = check_random_state(self.random_state)
        order = np.argsort(codes, kind="stable")
        span = Span(X if len(rows) == X.shape[0] else rows_of(X, rows), weights=weights)
        weights = None if weights is None else weights[order]
        Z, size = span.standard_rows(order, weights)
        Z, codes = with_dtype_of(X, Z), codes[order]
        L, scale = starting_components(self, Z, codes, weights, random_state, span, size)
        L, value, self.n_iter_ = learn_components(
            self,
            Z * scale,
            L,
            lambda rows: (SameClass(codes[rows]), nca_terms),
            weights,
            random_state,
        )
        self.objective_ = -value
        return self._set_components(span.leave(L * (scale * size)), like=X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags
