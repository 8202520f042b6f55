"""MCML: collapse each class to a point, as a convex problem in ``M``."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from metriclearn._arrays import squared_norms
from metriclearn._linalg import fix_signs
from metriclearn._progress import progress
from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, at_least, fit_context
from metriclearn._threads import in_block_threads
from metriclearn._validation import check_labels, labeled_rows
from metriclearn.mahalanobis._base import (
    MahalanobisTransformer,
    warn_not_converged,
    warn_of_long_fit,
)
from metriclearn.mahalanobis._scatter._span import Span
from metriclearn.mahalanobis._soft_neighbors._gradient import soft_neighbor_gradient
from metriclearn.mahalanobis._soft_neighbors._targets import NoTargets
from metriclearn.mahalanobis._solvers._lbfgs import minimize_to_certificate
from metriclearn.mahalanobis._solvers._sampled import minimize_with_sample

# Many rows are learned from by steps on a sample: every tenth row, but not too few of them.
_MANY_ROWS, _SAMPLE_STEP, _SAMPLE_PER_FEATURE, _FEWEST_SAMPLES = 1000, 10, 20, 4
_PAIRS_A_SECOND = 1.4e9  # times what each costs: its features, and some 50 more
_LARGEST_SINGLE_SQ_NORM = 1e4  # beyond it float32 distances lose what matters
_SINGLE_RESOLVES = 1e-3  # gaps below it are rounding there
_LEAST_TOL = 1e-5  # that steps on a sample are good for
_ITERATIONS_PER_CERTIFICATE = 5
# Where classes separate the objective tends to zero, and no share of it is small.
_SMALLEST_OBJECTIVE = 1e-3


class MCML(MahalanobisTransformer):
    """Maximally collapsing metric learning [1]_.

    ::

        min_M  Σ_i KL(p⁰_i ‖ p_i)   subject to  M ⪰ 0,
        p_ij = exp(-d²_ij) / Σ_{k≠i} exp(-d²_ik),   d²_ij = (x_i - x_j)ᵀ M (x_i - x_j)

    with ``p⁰_ij`` equal for all other rows of the class of ``i`` and zero for
    the rest: all rows of a class as near as one point, all others far. Convex
    in ``M``, solved to its optimum; the solution does not depend on the units
    of the features. Memory does not grow with n².

    Where a direction tells all classes apart without error the optimum lies at
    infinity, with objective zero; the search then ends at a large, finite ``M``.

    Parameters
    ----------
    max_iter : int, default=1000
        Most iterations: of L-BFGS on a square factor of ``M``; or, of many rows, steps of
        one evaluation of all of them each, found on a tenth of the rows.
    tol : float, default=1e-4
        Relative duality gap at which the solution is accepted.
    max_memory : float, default=512
        Bound in MB on the working memory beyond a few copies of ``X``.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        ``L`` with ``M = LᵀL``, in the dtype of ``X``; as many rows as directions
        in which the data vary.
    objective_ : float
        The sum of Kullback-Leibler divergences, in nats.
    duality_gap_ : float
        Upper bound on how far ``objective_`` is from the best possible, as a
        share of it (or of a thousandth of the objective of ``M = 0``, if that is
        more). From the dual problem: the largest entropy of distributions
        ``q_i`` whose second moments ``Σ q_ij (x_i - x_j)(x_i - x_j)ᵀ`` do not
        exceed those of ``p⁰``.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    NCA : The same probabilities, with a low-dimensional space and no convexity.
    LMNN : Only asks for a margin to near neighbors of other classes.

    References
    ----------
    .. [1] Globerson, A. & Roweis, S. "Metric learning by collapsing classes", NIPS 18, 2005.
       https://papers.nips.cc/paper/2947

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import MCML
    >>> X, y = load_iris(return_X_y=True)
    >>> mcml = MCML().fit(X, y)
    >>> mcml.duality_gap_ < 1e-4
    True
    """

    _parameter_constraints: dict = {
        "max_iter": [at_least(1)],
        "tol": [NOT_NEGATIVE],
        "max_memory": [POSITIVE],
        "verbose": ["verbose"],
    }

    def __init__(
        self, *, max_iter: int = 1000, tol: float = 1e-4, max_memory: float = 512, verbose: int = 0
    ) -> None:
        self.max_iter = max_iter
        self.tol = tol
        self.max_memory = max_memory
        self.verbose = verbose

    @in_block_threads
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the metric from labeled rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,)
            Class labels.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows, not negative; all one by default. A row of weight 2
            counts as two equal rows, one of weight 0 as none.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If ``X`` holds NaN or infinity; or ``y`` has one class or a class of
            one row.

        Warns
        -----
        UserWarning
            Before a fit of more than a minute or so.
        """
        X, y = self._validate_fit(X, y)
        weights, X, y = labeled_rows(sample_weight, X, y)
        _, codes = check_labels(y, sample_weight=weights)
        span = Span(X, weights=weights)
        rows = span.rows()
        warn_of_long_fit("MCML", len(rows) ** 2 * (span.width + 50) / _PAIRS_A_SECOND, len(rows))
        basis = _whitening(rows, weights)
        problem = CollapseProblem(rows @ basis, codes, self.max_memory, weights)
        d = basis.shape[1]
        start = np.eye(d) / np.sqrt(d)
        self.n_iter_, converged = 0, False
        of_sample = problem.on_sample()
        if of_sample is not None and self.tol >= _LEAST_TOL:
            with progress(self.verbose, "MCML, steps on a sample") as advance:
                L, self.n_iter_, converged = minimize_with_sample(
                    lambda L: problem.evaluate(L, self.tol),
                    of_sample,
                    start,
                    max_iter=self.max_iter,
                    tol=self.tol,
                    advance=advance,
                )
        # From the start: where classes separate steps on a sample end too far out to go on from.
        if not converged and self.n_iter_ < self.max_iter:
            L, n_iter = minimize_to_certificate(
                problem.loss,
                start,
                lambda L: problem.certify(L)[1],
                interval=_ITERATIONS_PER_CERTIFICATE,
                max_iter=self.max_iter - self.n_iter_,
                tol=self.tol,
                description="MCML",
                verbose=self.verbose,
            )
            self.n_iter_ += n_iter
        self.objective_, self.duality_gap_ = problem.certify(L)
        if self.duality_gap_ > self.tol:
            warn_not_converged(
                "MCML",
                self.max_iter,
                f"the relative duality gap is {self.duality_gap_:.1e}; raise max_iter or tol",
            )
        left, singular, _ = linalg.svd(L.T, full_matrices=False)
        components = fix_signs(span.leave((basis @ (left * singular)).T))
        return self._set_components(components, like=X)


class CollapseProblem:
    """The objective of MCML, its derivative by ``M``, and a bound from its dual.

    With ``S⁰ = Σ p⁰_ij (x_i - x_j)(x_i - x_j)ᵀ``, up to a constant::

        f(M) = ⟨S⁰, M⟩ + Σ_i log Σ_{k≠i} exp(-d²_ik),   f'(M) = S⁰ - Σ p_ij (x_i - x_j)(x_i - x_j)ᵀ

    Any distributions ``q`` with ``S⁰ - Σ q_ij (x_i - x_j)(x_i - x_j)ᵀ ⪰ 0`` bound
    it from below by their entropy. ``p`` itself misses that only by the negative
    eigenvalues of ``f'``; a mixture with a fixed ``q̂`` that has slack in all
    directions (the soft neighbors of each row in its own class) does not.

    Parameters
    ----------
    X : ndarray of shape (n, d), float64
    codes : ndarray of shape (n,)
        Class numbers.
    max_memory : float, default=512
    weights : ndarray of shape (n,), default=None
        Of the rows, above zero: the factors of their divergences, and of what they
        are chosen with.
    """

    def __init__(self, X, codes, max_memory=512, weights=None):
        self.X, self.weights, self.max_memory = X, weights, max_memory
        self._last, self._is_near = (None, None, None), False
        w = np.ones(len(X)) if weights is None else weights
        # Of each row, the weight of all others, and of those of its class.
        others = w.sum() - np.minimum(w, 1)
        of_its_class = np.bincount(codes, w)[codes] - np.minimum(w, 1)
        self._constant = w @ np.log(of_its_class)
        self.objective_at_zero = w @ np.log(others) - self._constant
        classes = [np.flatnonzero(codes == c) for c in range(codes.max() + 1)]
        self.target = sum(_spread(X[c], w[c], w[c] / of_its_class[c]) for c in classes)
        self._slack, self._slack_entropy = self._inner_point(classes)

    def _inner_point(self, classes):
        """Slack and entropy of the soft neighbors within classes, in units of ``S⁰``."""
        d = self.X.shape[1]
        n = len(self.X) if self.weights is None else self.weights.sum()
        values, vectors = linalg.eigh(self.target / n)
        scale = np.sqrt(d) * np.maximum(values, 1e-10 * values[-1])
        L = vectors.T / np.sqrt(scale)[:, None]
        slack, entropy = self.target.copy(), 0.0
        for rows in classes:
            weights = None if self.weights is None else self.weights[rows]
            value, slope = _log_normalizers(self.X[rows], L, weights, self.max_memory)
            slack += slope
            entropy += value - np.sum(slope * (L.T @ L))
        return slack, entropy

    def value_and_slope(self, L):
        """Compute ``Σ KL(p⁰ ‖ p)`` and its derivative by ``M``, at ``M = LᵀL``."""
        # The certificate asks again where the search has just been.
        if not np.array_equal(L, self._last[0]):
            self._last = L.copy(), *self._of(self.X, L)
        return self._last[1:]

    def _of(self, X, L):
        value, slope = _log_normalizers(X, L, self.weights, self.max_memory)
        value += np.sum((L @ self.target) * L) - self._constant
        return value, slope + self.target

    def on_sample(self):
        """Return ``Σ_i log Σ_k exp(-d²_ik)`` over a sample of the rows, times what it lacks of all.

        Returns
        -------
        callable or None
            ``of_sample(L) -> (value, derivative by M)``; None where there are too few rows for a
            sample to pay.
        """
        n, d = self.X.shape
        n_sampled = max(n // _SAMPLE_STEP, _SAMPLE_PER_FEATURE * d)
        if n < max(_MANY_ROWS, _FEWEST_SAMPLES * n_sampled):
            return None
        # Which rows they are decides the way to the optimum, not the optimum.
        rows = np.sort(np.random.RandomState(0).choice(n, n_sampled, replace=False))
        X, weights, factor = self.X[rows], None, n / len(rows)
        if self.weights is not None:
            weights = self.weights[rows]
            factor = self.weights.sum() / weights.sum()

        def of_sample(L):
            value, slope = _log_normalizers(X, L, weights, self.max_memory)
            return factor * value, factor * slope

        return of_sample

    def evaluate(self, L, tol):
        """Compute objective, derivative by ``M`` and gap, in float32 until that nears ``tol``."""
        single = self.X.astype(np.float32)
        largest = squared_norms(single @ L.T.astype(np.float32)).max()
        if not self._is_near and largest < _LARGEST_SINGLE_SQ_NORM:
            value, slope = self._of(single, L)
            gap = self._gap(L, value, slope)
            if gap > max(tol, _SINGLE_RESOLVES):
                return value, slope, gap
            self._is_near = True
        return *self.value_and_slope(L), self.certify(L)[1]

    def loss(self, L):
        """Return the objective and its gradient by ``L``."""
        value, slope = self.value_and_slope(L)
        return value, 2 * L @ slope

    def certify(self, L):
        """Compute the objective at ``M = LᵀL`` and its relative duality gap."""
        value, slope = self.value_and_slope(L)
        return float(value), self._gap(L, value, slope)

    def _gap(self, L, value, slope):
        complementarity = np.sum((L @ slope) * L)
        entropy = value - complementarity
        try:
            ratio = max(0.0, -linalg.eigh(slope, self._slack, eigvals_only=True)[0])
        except linalg.LinAlgError:  # no slack in some direction: classes are points there
            ratio = np.inf
        share = 1 / (1 + 1 / ratio) if ratio > 0 else 0.0
        bound = (1 - share) * entropy + share * (self._slack_entropy - self._constant)
        scale = max(value, _SMALLEST_OBJECTIVE * self.objective_at_zero)
        # Divergences are not negative: that is a bound as well.
        return float((value - max(bound, 0)) / scale)


def _log_normalizers(X, L, weights, max_memory):
    """``Σ w log Σ w exp(-d²)`` and its derivative by ``M``, in the dtype of ``X``."""
    if len(X) == 1:  # of weight above 1: equal rows at one place
        return float(weights @ np.log(weights - 1)), np.zeros((X.shape[1],) * 2)
    value, gradient = soft_neighbor_gradient(
        X @ L.T.astype(X.dtype),
        NoTargets(),
        lambda rows, moments, log_z: (log_z, np.zeros_like(log_z), -np.ones_like(log_z)),
        weights=weights,
        X=X,
        max_memory=max_memory,
    )
    slope = X.T.astype(np.float64) @ gradient / 2
    return value, (slope + slope.T) / 2


def _spread(X, weights, by_others):
    """``Σ_ij a_i w_j (x_i - x_j)(x_i - x_j)ᵀ`` for weights ``w`` and ``a``, these ``by_others``."""
    X = X - np.average(X, axis=0, weights=weights)  # then the terms with Σ w x are zero
    return X.T @ ((by_others * weights.sum() + weights * by_others.sum())[:, None] * X)


def _whitening(X, weights):
    """Directions in which the data vary, each with unit variance, as columns."""
    X = X - np.average(X, axis=0, weights=weights)
    scale = np.sqrt(np.average(X**2, axis=0, weights=weights))
    X /= np.where(scale > 0, scale, 1)
    w = np.full(len(X), 1 / len(X)) if weights is None else weights / weights.sum()
    values, vectors = linalg.eigh(X.T @ (w[:, None] * X))
    if values[-1] <= 0:
        raise ValueError("X has one row only, many times: no metric can be learned from it")
    keep = values > 1e-10 * values[-1]
    return vectors[:, keep] / np.sqrt(values[keep]) / np.where(scale > 0, scale, 1)[:, None]
