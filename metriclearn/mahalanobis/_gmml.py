"""GMML: geometric mean metric learning."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, sparse

from metriclearn._linalg import components_from_matrix
from metriclearn._pairs import laplacian
from metriclearn._sklearn import NOT_NEGATIVE, SHARE, at_least, fit_context
from metriclearn._types import Seed
from metriclearn._validation import (
    check_labels,
    check_n_components,
    is_labeled,
    labeled_rows,
    weighted_rows,
)
from metriclearn.constraints import Pairs, pairs_from_labels
from metriclearn.mahalanobis._base import MahalanobisTransformer
from metriclearn.mahalanobis._prior import PRIOR_OPTIONS, is_given, prior_of
from metriclearn.mahalanobis._scatter._moments import moments
from metriclearn.mahalanobis._scatter._span import Span
from metriclearn.mahalanobis._scatter._stream import Stream

# Smallest ridge, in mean eigenvalues: it decides where the data say nothing.
_RIDGE = 1e-9


class GMML(MahalanobisTransformer):
    """Geometric mean metric learning [1]_.

    ::

        min_{M ≻ 0}  (1 - t) δ²(M, S⁻¹) + t δ²(M, D),    δ(A, B) = ‖log(A^-½ B A^-½)‖_F
        M = S⁻¹ #_t D = S^-½ (S^½ D S^½)^t S^-½

    with ``S`` and ``D`` the mean scatters ``(xᵢ - xⱼ)(xᵢ - xⱼ)ᵀ`` of the
    similar and of the dissimilar pairs: distances of similar pairs are made
    small under ``M``, those of dissimilar pairs small under ``M⁻¹``. At
    ``t = ½`` it also minimizes ``tr(MS) + tr(M⁻¹D)``. A closed form: nothing
    iterates.

    Parameters
    ----------
    n_components : int, default=None
        Largest eigenvalues of ``M`` kept; all by default.
    t : float in [0, 1], default=0.5
        From ``S⁻¹`` (0) to ``D`` (1) along the geodesic.
    prior : {"identity", "covariance", "random"} or array-like of shape \
            (n_features, n_features), default="identity"
        Matrix ``M0`` that the regularization draws to; positive definite.
    regularization : float, default=0.01
        ``λ ≥ 0``: ``S`` becomes ``S + λ s M0⁻¹`` and ``D`` becomes ``D + λ r M0``,
        where ``s`` and ``r`` give the added term λ times the trace of the
        matrix it is added to, so that units do not matter.
    n_pairs : int, default=None
        Pairs of each kind drawn when fitting from labels; by default every pair
        of rows is used, through the scatters of the classes, and none is drawn.
    random_state : int, RandomState instance or None, default=None
        For drawing pairs and a random prior.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Rows by falling eigenvalue of ``M``.
    objective_ : float
        The minimum reached, with the regularized ``S`` and ``D``.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    RCA : The scatter of similar pairs only, likewise in closed form.
    MMC : Similar and dissimilar pairs by iterations.
    ITML : Pairs near a prior, by iterations.

    Notes
    -----
    The paper sums over the pairs where we take means, which scales ``M`` only,
    and adds λ M0 as it is. From labels each row also makes a similar pair with
    itself, of distance zero, which scales ``M`` too. With ``regularization=0`` a ridge of 1e-9 mean
    eigenvalues remains, so that singular scatters have a finite answer.

    References
    ----------
    .. [1] Zadeh, P. H., Hosseini, R. & Sra, S. "Geometric mean metric learning", ICML, 2016.
       https://proceedings.mlr.press/v48/zadeh16.html

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import GMML
    >>> X, y = load_iris(return_X_y=True)
    >>> GMML().fit(X, y).get_mahalanobis_matrix().shape
    (4, 4)
    """

    _parameter_constraints: dict = {
        "n_components": [at_least(1), None],
        "t": [SHARE],
        "prior": PRIOR_OPTIONS,
        "regularization": [NOT_NEGATIVE],
        "n_pairs": [at_least(1), None],
        "random_state": ["random_state"],
    }
    _constraint_kinds = (Pairs,)
    _of_drawing = ("n_pairs",)
    _fits_sparse = True

    def __init__(
        self,
        n_components: int | None = None,
        *,
        t: float = 0.5,
        prior: str | ArrayLike = "identity",
        regularization: float = 0.01,
        n_pairs: int | None = None,
        random_state: Seed = None,
    ) -> None:
        self.n_components = n_components
        self.t = t
        self.prior = prior
        self.regularization = regularization
        self.n_pairs = n_pairs
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | sparse.spmatrix,
        y: ArrayLike | None = None,
        constraints: Pairs | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn the metric from labels or from pairs.

        Parameters
        ----------
        X : array-like or sparse of shape (n, n_features)
            Or a dask array, whose blocks are read one by one.
        y : array-like of shape (n,), default=None
            Class labels.
        constraints : Pairs, default=None
            Instead of ``y``.
        sample_weight : array-like of shape (n,), default=None
            ``w ≥ 0``, with ``y``: a pair of rows weighs the product of theirs, so
            that a row of weight two counts as two rows. Pairs have weights of
            their own.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If similar or dissimilar pairs are missing, the prior is singular, or
            sample_weight is given with constraints.
        """
        X, y = self._validate_fit(X, y, constraints)
        if constraints is not None and sample_weight is not None:
            raise ValueError(
                "sample_weight goes with y; with constraints give each pair its weight, "
                "Pairs(indices, similar, weights)"
            )
        self.__dict__.pop("_stream", None)
        n_components, weights = check_n_components(self.n_components, X.shape[1]), None
        if constraints is None:
            weights, X, y = labeled_rows(sample_weight, X, y)
            _, codes = check_labels(y, sample_weight=weights)
            if self.n_pairs is not None:
                constraints = self._draw(codes, weights)
        span = Span(X, weights=weights, reduce=not is_given(self.prior))
        prior = prior_of(self.prior, span, self.random_state)
        if constraints is not None:
            similar, dissimilar = _pair_scatters(X, span, constraints)
        elif span.reduced:
            similar, dissimilar = _class_scatters(span.rows(), 1.0, codes, weights)
        else:
            similar, dissimilar = _class_scatters(X, span.unit, codes, weights)
        return self._finish(similar, dissimilar, prior, span, n_components, X)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike | sparse.spmatrix, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add labeled rows; after all of them the metric is that of ``fit`` to all at once.

        Parameters
        ----------
        X : array-like or sparse of shape (n, n_features)
            A part of a memory-mapped array is never copied.
        y : array-like of shape (n,)
            Class labels. A scatter of n_features × n_features is kept of each class.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If all rows so far are of one class, ``n_pairs`` is given, or the prior is the
            covariance, which is only known once all rows have been seen.
        """
        X, y = self._validate_fit(X, y, reset=not hasattr(self, "_stream"))
        n_components = check_n_components(self.n_components, X.shape[1])
        if self.n_pairs is not None:
            raise ValueError(
                f"n_pairs={self.n_pairs} draws from all rows, which partial_fit does not see; "
                f"leave it None"
            )
        if isinstance(self.prior, str) and self.prior == "covariance":
            raise ValueError("prior='covariance' needs all rows; use fit, or prior='identity'")
        weights, X, y = weighted_rows(sample_weight, X, y)
        stream = Stream.of(self, each=True)
        stream.add(X, y, weights, counted=is_labeled(y))
        self._stream, found = stream, stream.moments
        if found is None or len(found.totals) < 2:
            raise ValueError("partial_fit: y has one class only so far; give rows of two or more")
        span = Span.of_features(X.shape[1], found.unit)
        prior = prior_of(self.prior, span, self.random_state)
        sizes = found.totals
        similar = np.tensordot(sizes, found.scatter, axes=1)
        scatters = _of_all_pairs(similar, found.total(), sizes)
        return self._finish(*scatters, prior, span, n_components, X)  # type: ignore[call-arg]

    def _draw(self, codes, weights):
        pairs = pairs_from_labels(codes, n_pairs=self.n_pairs, random_state=self.random_state)
        if weights is None:
            return pairs
        return Pairs(pairs.indices, pairs.similar, weights[pairs.indices].prod(axis=1))

    def _finish(self, similar, dissimilar, prior, span, n_components, X):
        similar, dissimilar = _regularize(
            similar, dissimilar, prior.factor, self.regularization, self._n_ridged(span)
        )
        M, self.objective_ = _geometric_mean(similar, dissimilar, self.t, span.unit)
        # Scatters in the unit u of the span are S/u² and D/u², their mean u^(2-4t) times as large.
        components = components_from_matrix(M, n_components) * span.unit ** (2 * self.t)
        return self._set_components(span.leave(components), like=X)

    def _n_ridged(self, span):
        """Over how many directions the prior spreads: all features, but for that of the rows."""
        of_rows = isinstance(self.prior, str) and self.prior == "covariance"
        return span.width if of_rows else span.n_features


def _class_scatters(X, unit, codes, weights):
    """Mean scatters of all pairs of one class, and of all pairs of two."""
    w = np.ones(len(codes)) if weights is None else weights
    sizes = np.bincount(codes, w)
    # Σ_{i<j} wᵢwⱼ(xᵢ - xⱼ)(xᵢ - xⱼ)ᵀ of rows of weight m is m times their centered scatter.
    similar = moments(X, codes, w * sizes[codes], unit=unit).within()
    return _of_all_pairs(similar, moments(X, weights=weights, unit=unit).scatter, sizes)


def _of_all_pairs(similar, total, sizes):
    """Means from the sum over classes of size times scatter, and the scatter of all rows."""
    dissimilar = sizes.sum() * total - similar
    n_similar = np.sum(sizes**2) / 2
    return similar / n_similar, dissimilar / (sizes.sum() ** 2 / 2 - n_similar)


def _pair_scatters(X, span, pairs):
    """Mean scatters of the similar and of the dissimilar pairs, of the rows they name."""
    for kind, chosen in (("similar", pairs.similar), ("dissimilar", ~pairs.similar)):
        if not chosen.any():
            raise ValueError(f"constraints: GMML needs pairs of both kinds, got no {kind} one")
    weights = np.ones(len(pairs)) if pairs.weights is None else pairs.weights
    if sparse.issparse(X):
        rows = X.astype(np.float64) / span.unit
    scatters = []
    for chosen in (pairs.similar, ~pairs.similar):
        first, second = pairs.indices[chosen].T
        total = max(weights[chosen].sum(), np.finfo(float).tiny)
        shares = weights[chosen] / total
        if sparse.issparse(X):
            scatters.append(
                (rows.T @ laplacian(shares, first, second, X.shape[0]) @ rows).toarray()
            )
        else:
            scatters.append(span.pair_scatter(shares, first, second))
    return scatters


def _regularize(similar, dissimilar, prior_factor, regularization, n_features):
    """Add the ridges, each a share of the trace, over ``n_features`` directions of equal part."""
    width = len(similar)
    if len(prior_factor) < width:
        raise ValueError(
            f"prior has rank {len(prior_factor)} of {width}, GMML needs a positive definite "
            f"one; use prior='identity'"
        )
    prior = prior_factor.T @ prior_factor
    inverse = linalg.pinvh(prior)
    part = width / n_features

    def add(scatter, matrix):
        size = np.trace(scatter) if np.trace(scatter) > 0 else 1.0
        ridge = (
            regularization * part * matrix / np.trace(matrix) + _RIDGE * np.eye(width) / n_features
        )
        return scatter + size * ridge

    return add(similar, inverse), add(dissimilar, prior)


def _geometric_mean(S, D, t, unit=1.0):
    """``S⁻¹ #_t D``, and the weighted squared distance of its ends in units of the features."""
    values, vectors = linalg.eigh(S)
    values = np.maximum(values, _RIDGE**2 * values[-1])
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse_root = (vectors / np.sqrt(values)) @ vectors.T
    middle, axes = linalg.eigh(root @ D @ root)
    middle = np.maximum(middle, np.finfo(float).tiny)
    half = (axes * middle ** (t / 2)).T @ inverse_root
    logs = np.log(middle) + 4 * np.log(unit)
    return half.T @ half, float(t * (1 - t) * np.sum(logs**2))
