"""SCML: sparse compositional metric learning."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans
from sklearn.utils import check_random_state

from metriclearn._linalg import components_from_matrix
from metriclearn._pairs import pairwise_sq_distances
from metriclearn._progress import progress
from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, at_least, fit_context, one_of
from metriclearn._types import Seed
from metriclearn._unused import warn_unused
from metriclearn._validation import check_labels, check_n_components, labeled_rows
from metriclearn.constraints import Triplets, triplets_from_labels
from metriclearn.mahalanobis._base import MahalanobisTransformer, warn_not_converged
from metriclearn.mahalanobis._scatter._span import (
    Span,
    centered_scatter,
    discriminant_directions,
    feature_scales,
    on_a_grid,
    shrink,
)
from metriclearn.mahalanobis._scatter._stream import in_own_order
from metriclearn.mahalanobis._scml._basis_weights import TripletMargins, compose

# Rows of each class around a region's center, for local discriminants at several scales.
_REGION_ROWS = (10, 20, 50, 200)
# Share of the diagonal in the scatter of so few rows.
_REGION_SHRINKAGE = 0.01


class SCML(MahalanobisTransformer):
    """Sparse compositional metric learning [1]_, one global metric.

    ::

        min_{w ≥ 0}  1/T Σ_triplets max(0, 1 + d²(a, p) - d²(a, n)) + β Σ_k w_k
        M = Σ_k w_k b_k b_kᵀ

    The bases ``b_k`` are Fisher discriminants of many small regions of the
    data; their weights come from triplets, and most are zero.

    Parameters
    ----------
    beta : float, default=1e-3
        Weight of the sum of the weights, above 0.
    basis : {"auto", "lda", "differences"} or array-like of shape \
            (n_basis, n_features), default="auto"
        ``"lda"``: local discriminants, from labels only; ``"differences"``:
        directions that tell negatives from positives in random groups of
        triplets; ``"auto"``: the first from labels, the second from triplets;
        or the directions themselves.
    n_basis : int, default=400
        Number of bases generated.
    n_components : int, default=None
        Largest eigenvalues of ``M`` kept; all by default.
    n_positives, n_negatives : int, default=3 and 10
        Nearest rows of the same and of other classes that make the triplets of
        each row when fitting from labels.
    n_triplets : int, default=50_000
        Of these triplets a random part of at most this size is used.
    max_iter : int, default=1000
        Interior-point iterations.
    tol : float, default=1e-4
        Largest duality gap, relative to the objective.
    random_state : int, RandomState instance or None, default=None
        For the bases, and which triplets are used.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Rows by falling eigenvalue of ``M``.
    bases_ : ndarray of shape (n_basis, n_features)
        Of length 1 where each feature has a standard deviation of 1, so that
        units do not matter.
    weights_ : ndarray of shape (n_basis,)
        ``M = bases_.T @ diag(weights_) @ bases_``.
    objective_ : float
        Value reached, of the formula above.
    duality_gap_ : float
        By how much at most ``objective_`` exceeds the minimum over the bases.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    LSML : Relative constraints near a prior.
    MahalanobisLearner : Triplets with other losses and regularizers.

    Notes
    -----
    The paper and metric-learn descend stochastically, for a fixed number of
    steps; we solve the same problem, a linear program, to the gap asked for.
    The bases come from clusters of the rows: another ``random_state`` changes distances by 3
    to 5 %. They are drawn from rows sorted by their distance from the mean, so that the order
    of the rows changes nothing. Bases and regions belong to features of their own scale, so
    that fits to more features than rows carry matrices of n_features × n_features.

    Memory is what the triplets near or beyond the margin need times the bases
    in use, not triplets times bases.

    References
    ----------
    .. [1] Shi, Y., Bellet, A. & Sha, F. "Sparse compositional metric learning", AAAI, 2014.
       :doi:`10.1609/aaai.v28i1.8968`

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import SCML
    >>> X, y = load_iris(return_X_y=True)
    >>> scml = SCML(n_basis=40, random_state=0).fit(X, y)
    >>> bool(scml.duality_gap_ <= 1e-4 * scml.objective_)
    True
    """

    _parameter_constraints: dict = {
        "beta": [POSITIVE],
        "basis": [one_of("auto", "lda", "differences"), "array-like"],
        "n_basis": [at_least(1)],
        "n_components": [at_least(1), None],
        "n_positives": [at_least(1)],
        "n_negatives": [at_least(1)],
        "n_triplets": [at_least(1)],
        "max_iter": [at_least(1)],
        "tol": [NOT_NEGATIVE],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _constraint_kinds = (Triplets,)
    _of_drawing = ("n_positives", "n_negatives", "n_triplets")

    def __init__(
        self,
        beta: float = 1e-3,
        *,
        basis: str | ArrayLike = "auto",
        n_basis: int = 400,
        n_components: int | None = None,
        n_positives: int = 3,
        n_negatives: int = 10,
        n_triplets: int = 50_000,
        max_iter: int = 1000,
        tol: float = 1e-4,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.beta = beta
        self.basis = basis
        self.n_basis = n_basis
        self.n_components = n_components
        self.n_positives = n_positives
        self.n_negatives = n_negatives
        self.n_triplets = n_triplets
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, constraints: Triplets | None = None
    ) -> Self:
        """Learn the metric from labels or from triplets.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,), default=None
            Class labels.
        constraints : Triplets, default=None
            Instead of ``y``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the basis does not fit the features, or is to come from labels
            where there are none.
        """
        X, y = self._validate_fit(X, y, constraints)
        n_components = check_n_components(self.n_components, X.shape[1])
        basis = _check_basis(self.basis, X.shape[1], constraints)
        random_state = check_random_state(self.random_state)
        codes = None
        if constraints is None:
            _, X, y = labeled_rows(None, X, y)
            _, codes = check_labels(y)
            X, codes = in_own_order(X, codes)
        span = Span(X, reduce=False)
        rows, units = span.rows(), feature_scales(span.scatter() / X.shape[0])
        rows = on_a_grid(rows / units)
        if constraints is None:
            constraints = triplets_from_labels(
                codes,
                rows,
                n_positives=self.n_positives,
                n_negatives=self.n_negatives,
                n_triplets=self.n_triplets,
                random_state=random_state,
            )
        if isinstance(basis, str):
            basis = (
                _local_discriminants(rows, codes, self.n_basis, random_state)
                if basis == "lda"
                else _difference_directions(rows, constraints, self.n_basis, random_state)
            )
        else:
            warn_unused(self, {"n_basis": "where the basis is not given"})
            basis = _unit_rows(basis * (units * span.unit))

        margins = TripletMargins(rows, *_shares(constraints))
        with progress(self.verbose, "SCML") as advance:
            weights, self.objective_, self.duality_gap_, self.n_iter_ = compose(
                margins, basis, self.beta, max_iter=self.max_iter, tol=self.tol, advance=advance
            )
        self.n_iter_ = max(1, self.n_iter_)
        if self.duality_gap_ > self.tol * self.objective_:
            warn_not_converged("SCML", self.max_iter, "raise max_iter, tol or beta")
        self.bases_, self.weights_ = span.leave(basis / units), weights
        M = ((basis / units).T * weights) @ (basis / units)
        components = components_from_matrix(M, n_components)
        return self._set_components(span.leave(components), like=X)


def _check_basis(basis, n_features, constraints):
    """Resolve ``"auto"``, and check the shape of a given basis."""
    if isinstance(basis, str):
        if basis == "lda" and constraints is not None:
            raise ValueError("basis='lda' needs labels; use 'differences' with constraints")
        if basis == "auto":
            return "lda" if constraints is None else "differences"
        return basis
    basis = np.asarray(basis, dtype=np.float64)
    if basis.ndim != 2 or basis.shape[1] != n_features:
        raise ValueError(
            f"basis must be of shape (n_basis, n_features={n_features}), got {basis.shape}"
        )
    if not np.all(np.isfinite(basis)) or not np.all(np.any(basis != 0, axis=1)):
        raise ValueError("basis must hold finite directions, got NaN, infinity or a row of zeros")
    return basis


def _shares(triplets):
    """Triplets of any weight, and their parts of the whole."""
    weights = np.ones(len(triplets)) if triplets.weights is None else triplets.weights
    counts = weights > 0
    if not counts.any():
        raise ValueError("constraints: the weights of all triplets are zero")
    return triplets.indices[counts], weights[counts] / weights.sum()


def _unit_rows(directions):
    lengths = np.linalg.norm(directions, axis=1)
    return directions[lengths > 0] / lengths[lengths > 0, None]


def _local_discriminants(X, codes, n_basis, random_state):
    """Fisher directions around the centers of clusters, at several scales."""
    counts = np.bincount(codes)
    n_directions = min(len(counts) - 1, X.shape[1])
    sizes = sorted({min(size, counts.max()) for size in _REGION_ROWS})
    n_regions = min(-(-n_basis // (n_directions * len(sizes))), len(np.unique(X, axis=0)))
    search = KMeans(n_regions, n_init=1, max_iter=20, random_state=random_state).fit(X)
    d2 = pairwise_sq_distances(X, search.cluster_centers_)
    members = [np.flatnonzero(codes == k) for k in range(len(counts))]
    found = []
    for region in range(n_regions):
        ranked = [rows[np.argsort(d2[rows, region], kind="stable")] for rows in members]
        for size in sizes:
            near = [X[rows[:size]] for rows in ranked]
            within = sum(centered_scatter(rows) for rows in near)
            total = centered_scatter(np.concatenate(near))
            directions, _ = discriminant_directions(
                shrink(within, _REGION_SHRINKAGE), total, n_directions
            )
            found.append(_unit_rows(directions))
    found = np.concatenate(found)
    return found[:n_basis] if len(found) else np.eye(X.shape[1])


def _difference_directions(X, triplets, n_basis, random_state):
    """Eigenvectors, with eigenvalues above zero, of negative minus positive scatters."""
    anchor, positive, negative = triplets.indices.T
    d, found, n_found = X.shape[1], [], 0
    for _ in range(max(10, 4 * n_basis // d)):
        chosen = random_state.randint(len(anchor), size=max(d, 10))
        near = X[anchor[chosen]] - X[positive[chosen]]
        far = X[anchor[chosen]] - X[negative[chosen]]
        values, vectors = np.linalg.eigh(far.T @ far - near.T @ near)
        useful = values > 1e-10 * np.abs(values).max()
        found.append(vectors.T[useful])
        n_found += useful.sum()
        if n_found >= n_basis:
            break
    found = np.concatenate(found)[:n_basis]
    return found if len(found) else np.eye(d)
