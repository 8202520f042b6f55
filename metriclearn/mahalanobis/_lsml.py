"""LSML: metric learning from relative comparisons by least squared residuals."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, at_least, fit_context
from metriclearn._types import Seed
from metriclearn._validation import check_labels, check_n_components, labeled_rows
from metriclearn.constraints._draw import ENOUGH, quadruplets_from_labels
from metriclearn.constraints._kinds import Quadruplets
from metriclearn.mahalanobis._base import MahalanobisTransformer
from metriclearn.mahalanobis._prior import PRIOR_OPTIONS, is_given, prior_of
from metriclearn.mahalanobis._scatter._span import Span
from metriclearn.mahalanobis._solvers._logdet import PairDifferences, learn_near_prior


class LSML(MahalanobisTransformer):
    """Least squared residual metric learning [1]_.

    ::

        min_{M ≻ 0}  tr(M M0⁻¹) - log det(M) + 1/s² Σ_q w_q max(0, d_M(i, j) - d_M(k, l))²

    over quadruplets ``q = (i, j, k, l)`` that say ``d(i, j) < d(k, l)``, with
    ``Σ w = 1``. ``s`` is the unit in which distances count, by default their root mean square
    under the prior, so that the units of the data do not matter. Convex: each squared
    residual is, in the two squared distances, a sum minus twice a geometric mean.

    Parameters
    ----------
    n_components : int, default=None
        Largest eigenvalues of ``M`` kept; all by default.
    prior : {"identity", "covariance", "random"} or array-like of shape \
            (n_features, n_features), default="identity"
        ``M0``; where it is singular ``M`` has its range.
    unit : float, default=None
        ``s``, above 0; 1.0 is the published loss.
    n_quadruplets : int, default=None
        Drawn when fitting from labels, 20,000 by default (or as many as there are pairs of
        one kind), so that the order of the rows changes distances by less than 2 %.
    max_iter : int, default=100
        Newton iterations.
    tol : float, default=1e-6
        Largest duality gap, relative to the loss plus the number of features.
    random_state : int, RandomState instance or None, default=None
        For drawing quadruplets and a random prior.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Rows by falling eigenvalue of ``M``.
    objective_ : float
        ``tr(M M0⁻¹) - log det(M M0⁻¹) - n_features`` plus the loss: the formula
        up to a constant, zero at the prior where no quadruplet is violated.
    duality_gap_ : float
        By how much at most ``objective_`` exceeds the minimum.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    ITML : The same divergence, for pairs.
    SCML : Relative constraints by triplets, with a sparse combination of directions.

    Notes
    -----
    The paper has ``s = 1``. metric-learn has that loss, but its gradient leaves out the
    weights: with one quadruplet the two agree, with more it comes to rest above the minimum.
    Its eigenvalues are kept above 1e-8, ours above 0.

    References
    ----------
    .. [1] Liu, E. Y., Guo, Z., Zhang, X., Jojic, V. & Wang, W. "Metric learning from relative
       comparisons by minimizing squared residual", ICDM, 2012. :doi:`10.1109/ICDM.2012.38`

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import LSML
    >>> X, y = load_iris(return_X_y=True)
    >>> lsml = LSML(random_state=0).fit(X, y)
    >>> bool(lsml.duality_gap_ < 1e-3)
    True
    """

    _parameter_constraints: dict = {
        "n_components": [at_least(1), None],
        "prior": PRIOR_OPTIONS,
        "unit": [POSITIVE, None],
        "n_quadruplets": [at_least(1), None],
        "max_iter": [at_least(1)],
        "tol": [NOT_NEGATIVE],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _constraint_kinds = (Quadruplets,)
    _of_drawing = ("n_quadruplets",)

    def __init__(
        self,
        n_components: int | None = None,
        *,
        prior: str | ArrayLike = "identity",
        unit: float | None = None,
        n_quadruplets: int | None = None,
        max_iter: int = 100,
        tol: float = 1e-6,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.prior = prior
        self.unit = unit
        self.n_quadruplets = n_quadruplets
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, constraints: Quadruplets | None = None
    ) -> Self:
        """Learn the metric from labels or from quadruplets.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,), default=None
            Class labels.
        constraints : Quadruplets, default=None
            Instead of ``y``; weights are scaled to sum to 1.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the prior is no positive semidefinite matrix over the features.
        """
        X, y = self._validate_fit(X, y, constraints)
        n_components = check_n_components(self.n_components, X.shape[1])
        random_state = check_random_state(self.random_state)
        if constraints is None:
            _, X, y = labeled_rows(None, X, y)
        span = Span(X, reduce=not is_given(self.prior))
        prior = prior_of(self.prior, span, random_state)
        if constraints is None:
            _, codes = check_labels(y)
            constraints = quadruplets_from_labels(
                codes, n_quadruplets=self.n_quadruplets or ENOUGH, random_state=random_state
            )
        unit = None if self.unit is None else self.unit / prior.scale
        loss, differences = _residuals(span, prior, constraints, unit)
        components = learn_near_prior(self, loss, differences, prior, n_components)
        return self._set_components(span.leave(components), like=X)


def _residuals(span, prior, quadruplets, unit):
    i, j, k, l = quadruplets.indices.T
    weights = np.ones(len(i)) if quadruplets.weights is None else quadruplets.weights
    loss = ResidualLoss(weights / max(weights.sum(), np.finfo(float).tiny))
    first, second = np.concatenate([i, k]), np.concatenate([j, l])
    scales = np.ones(len(first))
    differences = PairDifferences.of_span(span, first, second, prior.factor, scales)
    if unit is None:
        [q] = differences.squares(np.ones((1, differences.shape[1])))
        unit = np.sqrt(np.mean(q)) or 1.0
    scales /= unit
    return loss, differences


class ResidualLoss:
    """``Σ w max(0, √a - √b)²`` of the squared distances ``q = [a, b]``."""

    def __init__(self, weights):
        self.weights = weights

    def _split(self, q):
        """Weights of the violated quadruplets, and distances that may be divided by."""
        a, b = q.reshape(2, -1)
        active = np.where(a > b, self.weights, 0)
        # b = 0 only where its two rows are equal: its slope then moves nothing.
        return active, np.where(a > b, a, 1), np.where((a > b) & (b > 0), b, 0)

    def value_and_slope(self, q):
        """Compute the loss and its derivatives by ``q``."""
        active, a, b = self._split(q)
        value = active @ (np.sqrt(a) - np.sqrt(b)) ** 2
        ratio = np.sqrt(b / a)
        by_b = np.divide(ratio - 1, ratio, out=np.zeros_like(ratio), where=ratio > 0)
        return value, np.concatenate([active * (1 - ratio), active * by_b])

    def curvature(self, q):
        """Return the second derivatives, as a function of a change of ``q``."""
        active, a, b = self._split(q)
        weight = active * np.sqrt(a * b) / 2
        b = np.where(b > 0, b, 1)

        def apply(change):
            by_a, by_b = change.reshape(2, -1)
            relative = weight * (by_a / a - by_b / b)
            return np.concatenate([relative / a, -relative / b])

        return apply
