"""ITML: information-theoretic metric learning."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, at_least, fit_context
from metriclearn._types import Seed
from metriclearn._validation import check_labels, check_n_components, labeled_rows
from metriclearn.constraints._draw import ENOUGH, pairs_from_labels
from metriclearn.constraints._kinds import Pairs
from metriclearn.mahalanobis._base import MahalanobisTransformer
from metriclearn.mahalanobis._prior import (
    PRIOR_OPTIONS,
    check_bounds,
    is_given,
    percentiles,
    prior_of,
)
from metriclearn.mahalanobis._scatter._span import Span
from metriclearn.mahalanobis._solvers._logdet import PairDifferences, learn_near_prior

_N_BOUND_PAIRS = 20_000


class ITML(MahalanobisTransformer):
    """Information-theoretic metric learning [1]_.

    ::

        min_{M ≻ 0, ξ > 0}  D(M, M0) + γ Σ_p D(ξ_p, b_p),   D(A, B) = tr(AB⁻¹) - log det(AB⁻¹) - n
        subject to          d²_M ≤ ξ_p (similar, b_p = u),   d²_M ≥ ξ_p (dissimilar, b_p = l)

    Squared distances of similar pairs are drawn below the bound ``u``, of
    dissimilar ones above ``l``, while the metric stays near its prior ``M0``
    in LogDet divergence.

    Parameters
    ----------
    gamma : float, default=0.1
        Weight of the slack, above 0: the larger, the harder the bounds. The
        paper chooses it by cross-validation.
    bounds : tuple (u, l) of float, default=None
        Bounds on *squared* distances, ``0 < u ≤ l``. By default the 5th and 95th
        percentile of squared distances under the prior, of up to 20,000
        pairs of rows, as in the paper.
    n_components : int, default=None
        Largest eigenvalues of ``M`` kept; all by default.
    prior : {"identity", "covariance", "random"} or array-like of shape \
            (n_features, n_features), default="identity"
        ``M0``; where it is singular ``M`` has its range.
    n_pairs : int, default=None
        Pairs of each kind drawn when fitting from labels, 20,000 by default (or all there
        are), so that the order of the rows changes distances by less than 2 %. The paper
        draws 20 times the square of the number of classes, of which another draw changes
        them by 3 to 17 %; the time of a fit is proportional to the number.
    max_iter : int, default=100
        Newton iterations.
    tol : float, default=1e-6
        Largest duality gap, relative to the objective plus the number of
        features.
    random_state : int, RandomState instance or None, default=None
        For drawing pairs, the bounds and a random prior.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Rows by falling eigenvalue of ``M``.
    bounds_ : tuple of float
        ``(u, l)``.
    objective_ : float
        Value reached, of the formula above.
    duality_gap_ : float
        By how much at most ``objective_`` exceeds the minimum.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    LSML : The same divergence, for relative constraints.
    SDML : Pairs, with a sparse matrix.
    MMC : Pairs, without a prior.

    Notes
    -----
    The paper projects on one constraint after the other. Without the slack,
    each at its best value, what remains is smooth and convex in ``M`` alone::

        D(M, M0) + γ Σ_similar h(d²/u)₊ + γ Σ_dissimilar h(d²/l)₋,   h(r) = r - log r - 1

    (``₊`` where r > 1, ``₋`` where r < 1), and Newton's method reaches the same
    minimum in a dozen steps, with a certificate.

    With the same pairs and bounds metric-learn approaches the same ``M``. Its
    default bounds are percentiles of distances that it then compares with
    squared distances; the paper's, and ours, are of squared distances. Its
    stopping rule, on the change of the multipliers, is often never met.

    Dissimilar pairs of equal rows cannot be drawn apart and are left out.

    References
    ----------
    .. [1] Davis, J. V., Kulis, B., Jain, P., Sra, S. & Dhillon, I. S. "Information-theoretic metric
       learning", ICML, 2007. :doi:`10.1145/1273496.1273523`

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import ITML
    >>> X, y = load_iris(return_X_y=True)
    >>> itml = ITML(random_state=0).fit(X, y)
    >>> bool(itml.duality_gap_ < 1e-3)
    True
    """

    _parameter_constraints: dict = {
        "gamma": [POSITIVE],
        "bounds": [tuple, list, None],
        "n_components": [at_least(1), None],
        "prior": PRIOR_OPTIONS,
        "n_pairs": [at_least(1), None],
        "max_iter": [at_least(1)],
        "tol": [NOT_NEGATIVE],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _constraint_kinds = (Pairs,)
    _of_drawing = ("n_pairs",)

    def __init__(
        self,
        gamma: float = 0.1,
        *,
        bounds: tuple[float, float] | None = None,
        n_components: int | None = None,
        prior: str | ArrayLike = "identity",
        n_pairs: int | None = None,
        max_iter: int = 100,
        tol: float = 1e-6,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.gamma = gamma
        self.bounds = bounds
        self.n_components = n_components
        self.prior = prior
        self.n_pairs = n_pairs
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, constraints: Pairs | None = None
    ) -> Self:
        """Learn the metric from labels or from pairs.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,), default=None
            Class labels.
        constraints : Pairs, default=None
            Instead of ``y``; weights multiply ``gamma``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the bounds are not ``0 < u ≤ l``, or the prior is no positive
            semidefinite matrix over the features.
        """
        X, y = self._validate_fit(X, y, constraints)
        n_components = check_n_components(self.n_components, X.shape[1])
        check_bounds(self.bounds)
        random_state = check_random_state(self.random_state)
        if constraints is None:
            _, X, y = labeled_rows(None, X, y)
        span = Span(X, reduce=not is_given(self.prior))
        prior = prior_of(self.prior, span, random_state)
        if constraints is None:
            constraints = pairs_from_labels(
                check_labels(y)[1], n_pairs=self.n_pairs or ENOUGH, random_state=random_state
            )
        # All in coordinates where the prior is the identity times a number.
        n = X.shape[0]
        if n * (n - 1) // 2 <= _N_BOUND_PAIRS:
            first, second = np.triu_indices(n, k=1)
        else:
            first, second = random_state.randint(n, size=(2, _N_BOUND_PAIRS))
        if self.bounds is None:
            bounds = percentiles(span.sq_distances(first, second, prior.factor))
            self.bounds_ = tuple(bound * prior.scale * prior.scale for bound in bounds)
        else:
            self.bounds_ = self.bounds
            bounds = tuple(float(bound) / prior.scale / prior.scale for bound in self.bounds)
        loss, differences = _bounded_pairs(span, prior, constraints, bounds, self.gamma)
        components = learn_near_prior(
            self,
            loss,
            differences,
            prior,
            n_components,
            remedy="raise max_iter or tol, or lower gamma",
        )
        return self._set_components(span.leave(components), like=X)


def _bounded_pairs(span, prior, pairs, bounds, gamma):
    """Differences in units of their bounds, and the loss of their squared lengths."""
    bound = np.where(pairs.similar, *bounds)
    weights = gamma * (np.ones(len(pairs)) if pairs.weights is None else pairs.weights)
    differences = PairDifferences.of_span(
        span, *pairs.indices.T, prior.factor, scales=1 / np.sqrt(bound)
    )
    [q] = differences.squares(np.ones((1, differences.shape[1])))
    apart = (q > 0) & (weights > 0)
    return BoundLoss(pairs.similar[apart], weights[apart]), differences.part(apart)


class BoundLoss:
    """``Σ w h(q)``, ``h(q) = q - log q - 1`` where a bound of 1 is broken, 0 elsewhere."""

    def __init__(self, similar, weights):
        self.similar = similar
        self.weights = weights

    def _active(self, q):
        return self.weights * np.where(self.similar, q > 1, q < 1)

    def value_and_slope(self, q):
        """Compute the loss and its derivatives by ``q``."""
        active = self._active(q)
        q = np.where(active > 0, q, 1.0)
        with np.errstate(divide="ignore"):
            value = active @ (q - np.log(q) - 1)
            return value, active * (1 - 1 / q)

    def curvature(self, q):
        """Return the second derivatives, as a function of a change of ``q``."""
        second = self._active(q) / q**2
        return lambda change: second * change
