"""POLA: pseudo-metric online learning."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets

from metriclearn._arrays import unit_of
from metriclearn._linalg import components_from_matrix
from metriclearn._pairs import paired_sq_distances
from metriclearn._progress import progress
from metriclearn._sklearn import at_least, fit_context
from metriclearn._types import Seed
from metriclearn._validation import check_labels, check_n_components, labeled_rows
from metriclearn.constraints import Pairs, pairs_from_labels
from metriclearn.mahalanobis._base import MahalanobisTransformer
from metriclearn.mahalanobis._scatter._span import Span
from metriclearn.mahalanobis._scatter._stream import in_own_order

_N_PAIRS = 2000  # of each kind, drawn from labels


class POLA(MahalanobisTransformer):
    """Pseudo-metric online learning algorithm [1]_.

    ::

        ℓ = max(0, 1 + y (d²_M(xᵢ, xⱼ) - b)),   y = 1 (similar) or -1 (dissimilar)
        α = ℓ / (|v|⁴ + 1),   v = xᵢ - xⱼ
        M ← Π_PSD(M - y α v vᵀ),   b ← max(1, b + y α)

    Each pair in turn: the nearest ``(M, b)`` that would have given the pair its
    margin, then the nearest that is a metric. At most one eigenvalue can have
    fallen below zero, and it alone is removed. Starts at ``M = 0, b = 1``.

    Parameters
    ----------
    n_components : int, default=None
        Largest eigenvalues of ``M`` kept in ``components_``; all by default.
    average : bool, default=True
        Whether the result is the mean over all steps, which noise disturbs
        less, or the last step, as in the paper.
    n_epochs : int, default=2
        Passes of ``fit`` over its pairs, each in a new random order.
    n_pairs : int, default=None
        Pairs of each kind drawn from labels, of all rows by ``fit`` and of the
        rows at hand by ``partial_fit``; 2,000 by default, or all there are.
    random_state : int, RandomState instance or None, default=None
        For drawing and ordering pairs.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Rows by falling eigenvalue of ``M``.
    threshold_ : float
        ``b``: pairs with a squared distance below it are taken for similar.
    objective_ : float
        Mean of ``ℓ²`` over the last pass or call, each pair judged before it
        was learned from.
    n_iter_ : int
        Passes over pairs: of ``fit``, or calls of ``partial_fit``.
    n_pairs_seen_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    MahalanobisLearner : The same hinge on pairs in batches, with regularizers.
    ITML : Pairs as bounds on distances.

    Notes
    -----
    The step weighs ``|v|⁴`` against 1, so that it depends on the units of the
    data. Differences are therefore divided by their root mean square over the
    pairs of the first call, which fixes the unit for all calls after it.

    An online method has a bound on its total loss, and no minimum to converge
    to: one pass over enough pairs is a complete run. What it learns depends on the order of
    the pairs: by default another draw changes distances by some 5 %, and five times as many
    pairs by half of that. ``fit`` draws from rows sorted by their distance from the mean, so
    that one ``random_state`` gives one result whatever the order of the rows.

    References
    ----------
    .. [1] Shalev-Shwartz, S., Singer, Y. & Ng, A. Y. "Online and batch learning of pseudo-metrics",
       ICML, 2004. :doi:`10.1145/1015330.1015376`

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import POLA
    >>> from metriclearn.constraints import Pairs
    >>> X, y = load_iris(return_X_y=True)
    >>> pola = POLA(random_state=0)
    >>> for batch in ([0, 50], [1, 2], [60, 120]):
    ...     pairs = Pairs([batch], similar=[y[batch[0]] == y[batch[1]]])
    ...     pola = pola.partial_fit(X, constraints=pairs)
    >>> pola.n_pairs_seen_
    3
    """

    _parameter_constraints: dict = {
        "n_components": [at_least(1), None],
        "average": ["boolean"],
        "n_epochs": [at_least(1)],
        "n_pairs": [at_least(1), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _constraint_kinds = (Pairs,)
    _of_drawing = ("n_pairs",)

    def __init__(
        self,
        n_components: int | None = None,
        *,
        average: bool = True,
        n_epochs: int = 2,
        n_pairs: int | None = None,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.average = average
        self.n_epochs = n_epochs
        self.n_pairs = n_pairs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, constraints: Pairs | None = None
    ) -> Self:
        """Learn the metric from the start, from labels or from pairs.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,), default=None
            Class labels.
        constraints : Pairs, default=None
            Instead of ``y``. A step is shortened by the weight of its pair
            relative to the largest weight.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If no pair is dissimilar.
        """
        X, y = self._validate_fit(X, y, constraints)
        check_n_components(self.n_components, X.shape[1])
        random_state = check_random_state(self.random_state)
        if constraints is None:
            _, X, y = labeled_rows(None, X, y)
            _, codes = check_labels(y)
            X, codes = in_own_order(X, codes)
            constraints = pairs_from_labels(
                codes, n_pairs=self.n_pairs or _N_PAIRS, random_state=random_state
            )
        if constraints.similar.all():
            raise ValueError(
                "constraints: all pairs are similar, which a metric that is zero everywhere "
                "satisfies; add dissimilar pairs"
            )
        span = Span(X)
        named, constraints = constraints.on_named_rows()
        rows = span.rows(named)
        size = self._start(rows, constraints)
        self._unit = size * span.unit
        self._directions = span.leave(span.unit * np.eye(span.width)) if span.reduced else None
        del span  # it keeps a copy of X
        with progress(self.verbose, "POLA", self.n_epochs) as advance:
            for _ in range(self.n_epochs):
                self._learn(rows / size, constraints, random_state.permutation(len(constraints)))
                advance(f"mean squared loss {self.objective_:.3g}")
        return self._finish(X)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike | None = None, constraints: Pairs | None = None
    ) -> Self:
        """Learn from more pairs, in their order.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            The rows that the pairs name, or that pairs are drawn from.
        y : array-like of shape (n,), default=None
            Class labels of these rows.
        constraints : Pairs, default=None
            Instead of ``y``.

        Returns
        -------
        self
        """
        first_call = not hasattr(self, "threshold_")
        X, y = self._validate_fit(X, y, constraints, reset=first_call)
        if constraints is None:
            constraints = self._pairs_in_order(y)
        named, constraints = constraints.on_named_rows()
        X = X[named]
        if first_call:
            check_n_components(self.n_components, X.shape[1])
            unit = unit_of(X)
            self._unit = unit * self._start(X.astype(np.float64) / unit, constraints)
            self._directions = None
        elif self._directions is not None:  # later rows may vary in directions of their own
            V, self._directions = self._directions, None
            self._matrix, self._matrix_sum = V.T @ self._matrix @ V, V.T @ self._matrix_sum @ V
        self._learn(X.astype(np.float64) / self._unit, constraints, np.arange(len(constraints)))
        return self._finish(X)

    def _pairs_in_order(self, y):
        check_classification_targets(y)
        random_state = check_random_state(self.random_state)
        pairs = pairs_from_labels(y, n_pairs=self.n_pairs or _N_PAIRS, random_state=random_state)
        order = random_state.permutation(len(pairs))
        return Pairs(pairs.indices[order], pairs.similar[order])

    def _start(self, X, pairs):
        """Begin at zero; returns the root mean square of the differences of the pairs."""
        size = np.sqrt(np.mean(paired_sq_distances(X, *pairs.indices.T)))
        self._matrix, self._bound = np.zeros((X.shape[1], X.shape[1])), 1.0
        self._matrix_sum, self._bound_sum = np.zeros_like(self._matrix), 0.0
        self.n_pairs_seen_ = self.n_iter_ = 0
        return float(size) if size > 0 else 1.0

    def _learn(self, X, pairs, order):
        weights = np.ones(len(pairs)) if pairs.weights is None else pairs.weights
        lengths = weights / max(weights.max(), np.finfo(float).tiny)
        M, b, total = self._matrix, self._bound, 0.0
        for p in order:
            i, j = pairs.indices[p]
            M, b, loss = pola_step(M, b, X[i] - X[j], pairs.similar[p], lengths[p])
            total += loss**2
            self._matrix_sum += M
            self._bound_sum += b
        self._matrix, self._bound = M, b
        self.n_pairs_seen_ += len(order)
        self.n_iter_ += 1
        self.objective_ = total / len(order)

    def _finish(self, X):
        M, b = self._matrix, self._bound
        if self.average:
            M, b = self._matrix_sum / self.n_pairs_seen_, self._bound_sum / self.n_pairs_seen_
        self.threshold_ = float(b)
        components = components_from_matrix(M, self.n_components) / self._unit
        if self._directions is not None:
            components = components @ self._directions
        return self._set_components(components, like=X)


def pola_step(M, b, v, similar, length=1.0):
    """Learn from one pair.

    Parameters
    ----------
    M : ndarray of shape (d, d)
        Positive semidefinite.
    b : float
        At least 1.
    v : ndarray of shape (d,)
        Difference of the two rows.
    similar : bool
    length : float, default=1.0
        Part of the step that is taken.

    Returns
    -------
    M : ndarray of shape (d, d)
    b : float
    loss : float
        Before the step.
    """
    sign = 1.0 if similar else -1.0
    loss = max(0.0, 1 + sign * (v @ M @ v - b))
    if loss == 0:
        return M, b, loss
    step = sign * length * loss / ((v @ v) ** 2 + 1)
    M = M - step * np.outer(v, v)
    if similar:
        # By interlacing, taking one rank from a PSD matrix leaves one eigenvalue below zero.
        value, vector = linalg.eigh(M, subset_by_index=[0, 0])
        M = M - min(value[0], 0.0) * (vector @ vector.T)
    return M, max(1.0, b + step), loss
