"""LinearStudent: the linear metric nearest to any other."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_consistent_length, get_tags
from sklearn.utils.validation import check_is_fitted

from metriclearn._arrays import unit_of
from metriclearn._linalg import fix_signs
from metriclearn._sklearn import HasMethods, at_least, fit_context
from metriclearn.mahalanobis._base import MahalanobisTransformer, warn_not_converged
from metriclearn.mahalanobis._kernel import KernelMetric

# Directions that hold less of the rows than this part of the widest.
_RANK_TOL = 1e-10
# Relative change, or residual, at which a search ends.
_TOL = 1e-13


class LinearStudent(MahalanobisTransformer):
    """The Mahalanobis metric nearest to that of a teacher, a network say.

    ::

        min  Σ_ij ( (x_i - x_j)ᵀ M (x_i - x_j) - ‖t(x_i) - t(x_j)‖² )²      over M ⪰ 0

    over all pairs of rows, t the teacher's ``transform``. A linear teacher is found again; of any
    other the student says how much of it is linear (`fidelity_`, `share_of_gain`), in a matrix that
    can be read. It is distillation [1]_ of distances.

    Parameters
    ----------
    teacher : transformer, default=None
        Cloned and fitted, or ``sklearn.frozen.FrozenEstimator(teacher)`` of one that was fitted;
        ``KernelMetric()`` by default.
    n_components : int, default=None
        Keep the directions along which the rows are spread the most; all by default.
    max_iter : int, default=2000
        Most iterations of the search over positive semidefinite matrices, which is only needed
        where the least-squares solution is none.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
    teacher_ : transformer
    fidelity_ : float
        R² of the student's squared distances for the teacher's over all pairs of rows of ``fit``:
        1 where the teacher is linear.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    metriclearn.deep.DeepEmbedder : A teacher.
    KernelMetric : A linear metric in the space of a kernel.

    Notes
    -----
    With Xc = U S Vᵀ the centered rows, M = V S⁻¹ N S⁻¹ Vᵀ and g_i = u_iᵀ N u_i, the objective is
    quadratic in N, with gradient ``4 (Uᵀ diag(n g + tr N - T) U + 2 N - 2 C)``, T the row sums of
    the teacher's squared distances and C = UᵀZZᵀU: no matrix of pairs is made. It is solved by
    conjugate gradients, and, where a solution is not positive semidefinite, by accelerated
    projections. Time O(n r²) an iteration for rank r.

    References
    ----------
    .. [1] G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural network", 2015.
       :doi:`10.48550/arXiv.1503.02531`

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import NCA
    >>> from metriclearn.mahalanobis import LinearStudent
    >>> X, y = load_iris(return_X_y=True)
    >>> student = LinearStudent(NCA()).fit(X, y)
    >>> round(student.fidelity_, 6)  # a linear teacher
    1.0
    """

    _parameter_constraints: dict = {
        "teacher": [HasMethods(["fit", "transform"]), None],
        "n_components": [at_least(1), None],
        "max_iter": [at_least(1)],
    }

    def __init__(
        self,
        teacher: BaseEstimator | None = None,
        n_components: int | None = None,
        *,
        max_iter: int = 2000,
    ) -> None:
        self.teacher = teacher
        self.n_components = n_components
        self.max_iter = max_iter

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Fit the teacher, and the metric nearest to that of the teacher.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,), default=None
            Target of the teacher; not needed by a frozen one.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the teacher does not give one finite row for each row.
        """
        target = y
        X, y = self._validate_fit(X, y)
        if y is None and target is not None:  # the teacher need not ask for it
            check_consistent_length(X, target)
            y = target
        if self.n_components is not None and self.n_components > X.shape[1]:
            raise ValueError(
                f"n_components={self.n_components} is more than the {X.shape[1]} features of X"
            )
        self.teacher_ = clone(self._teacher()).fit(X, y)
        Z = np.asarray(self.teacher_.transform(X), dtype=np.float64)
        if Z.ndim != 2 or len(Z) != len(X) or not np.isfinite(Z).all():
            raise ValueError(
                f"teacher must give a finite row for each of the {len(X)} rows of X, got shape "
                f"{Z.shape}"
            )
        unit, scale = unit_of(X), unit_of(Z)
        U, S, Vt = _spread(X / np.float64(unit))
        problem = _Distances(U, (Z - Z.mean(axis=0)) / scale)
        N, self.n_iter_ = problem.solve(self.max_iter)
        if self.n_iter_ == self.max_iter:
            warn_not_converged("LinearStudent", self.max_iter, "raise max_iter")
        values, vectors = linalg.eigh(N)
        kept = values > _RANK_TOL * max(values.max(initial=0.0), 0.0)
        order = np.flatnonzero(kept)[::-1][: self.n_components]
        roots = np.sqrt(values[order])
        self.fidelity_ = problem.fidelity((vectors[:, order] * values[order]) @ vectors[:, order].T)
        L = fix_signs((roots[:, None] * vectors[:, order].T / S) @ Vt)
        if not len(L):
            L = np.zeros((1, X.shape[1]))
        return self._set_components(L * (scale / unit), like=X)

    def share_of_gain(self, X: ArrayLike, y: ArrayLike) -> dict[str, float]:
        """Return how much of what the teacher gains over Euclid is left, by Recall@1.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Rows that were not fitted on, for an honest answer.
        y : array-like of shape (n,)
            Their classes.

        Returns
        -------
        dict of str to float
            Recall@1 of the rows themselves ("euclid"), of "student" and "teacher", and "share",
            ``(student - euclid) / (teacher - euclid)``: NaN where the teacher gains nothing.
        """
        from metriclearn.metrics import recall_at_k

        check_is_fitted(self)
        X = self._check_rows(X)
        rows = {"euclid": X, "student": self._embed(X), "teacher": self.teacher_.transform(X)}
        found = {name: float(recall_at_k(Z, y, k=1)) for name, Z in rows.items()}
        gain = found["teacher"] - found["euclid"]
        kept = found["student"] - found["euclid"]
        return {**found, "share": kept / gain if gain > 0 else float("nan")}

    def _teacher(self):
        return KernelMetric() if self.teacher is None else self.teacher

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        teacher = self._teacher()
        frozen = isinstance(teacher, FrozenEstimator)
        tags.target_tags.required = not frozen and get_tags(teacher).target_tags.required
        return tags


def _spread(X):
    """Thin decomposition U S Vᵀ of the centered rows, without directions that hold nothing."""
    X = X.astype(np.float64, copy=False)
    U, S, Vt = linalg.svd(X - X.mean(axis=0), full_matrices=False)
    kept = _RANK_TOL * S[0] < S
    return U[:, kept], S[kept], Vt[kept]


class _Distances:
    """Least squares between squared distances of rows and of a teacher's rows.

    Parameters
    ----------
    U : ndarray of shape (n, r)
        Orthonormal columns of mean zero.
    Z : ndarray of shape (n, k)
        The teacher's rows, of mean zero.
    """

    def __init__(self, U, Z):
        self.U, self.n = U, len(U)
        norms = np.einsum("ij,ij->i", Z, Z)
        projected = U.T @ Z
        sums = self.n * norms + norms.sum()
        self.target = (U.T * sums) @ U + 2 * projected @ projected.T
        # Of all ordered pairs: Σ t², and its part around the mean of those of two rows.
        n = self.n
        gram = Z.T @ Z if Z.shape[1] <= n else Z @ Z.T
        self.squares = 2 * n * norms @ norms + 2 * norms.sum() ** 2 + 4 * np.sum(gram**2)
        self.spread = self.squares - (2 * n * norms.sum()) ** 2 / (n * (n - 1))

    def apply(self, N):
        """Return a quarter of the gradient's linear part."""
        g = np.einsum("ij,ij->i", self.U @ N, self.U)
        made = (self.U.T * (self.n * g)) @ self.U + 2 * N
        made[np.diag_indices_from(made)] += np.trace(N)
        return made

    def fidelity(self, N):
        """Compute R² of the squared distances of N."""
        residual = self.squares + 2 * np.sum(N * self.apply(N)) - 4 * np.sum(N * self.target)
        return float(1 - residual / self.spread) if self.spread > 0 else float(residual <= 0)

    def solve(self, max_iter):
        """Return the best positive semidefinite N, and the iterations that it took."""
        N, n_iter = self._conjugate_gradients()
        lowest = linalg.eigvalsh(N)[0] if N.size else 0.0
        if lowest >= -1e-12 * np.abs(N).max(initial=0.0):
            return N, min(n_iter, max_iter - 1)
        return self._projections(_positive(N), max_iter)

    def _conjugate_gradients(self):
        N = np.zeros_like(self.target)
        residual = self.target.copy()
        direction, size = residual.copy(), np.sum(residual**2)
        enough = _TOL**2 * size
        for step in range(10 * len(N) ** 2 + 10):
            if size <= enough:
                return N, step
            made = self.apply(direction)
            rate = size / np.sum(direction * made)
            N += rate * direction
            residual -= rate * made
            size, before = np.sum(residual**2), size
            direction = residual + size / before * direction
        return N, 10 * len(N) ** 2 + 10

    def _projections(self, N, max_iter):
        """Accelerated projected gradients, begun again whenever the momentum leads uphill."""
        rate = 1 / self._largest()
        ahead, momentum = N, 1.0
        for step in range(max_iter):
            slope = self.apply(ahead) - self.target
            after = _positive(ahead - rate * slope)
            if np.abs(after - N).max() <= _TOL * np.abs(after).max(initial=0.0):
                return after, step
            if np.sum((ahead - after) * (after - N)) > 0:
                momentum, ahead = 1.0, N
                continue
            grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = after + (momentum - 1) / grown * (after - N)
            N, momentum = after, grown
        return N, max_iter

    def _largest(self):
        """Bound the largest eigenvalue of the linear part from above."""
        leverages = np.einsum("ij,ij->i", self.U, self.U)
        return self.n * leverages.max() + len(self.target) + 2


def _positive(N):
    """Return the nearest positive semidefinite matrix."""
    values, vectors = linalg.eigh((N + N.T) / 2)
    return (vectors * values.clip(min=0)) @ vectors.T
