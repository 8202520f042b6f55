"""RCA: relevant component analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from metriclearn._sklearn import SHARE, at_least, fit_context
from metriclearn._types import Seed
from metriclearn._unused import warn_unused
from metriclearn._validation import (
    check_labels,
    check_n_components,
    encode,
    labeled_rows,
    weighted_rows,
)
from metriclearn.constraints import Chunks, chunks_from_labels
from metriclearn.mahalanobis._base import MahalanobisTransformer
from metriclearn.mahalanobis._scatter._moments import moments
from metriclearn.mahalanobis._scatter._span import Span, discriminant_directions
from metriclearn.mahalanobis._scatter._stream import Stream

if TYPE_CHECKING:
    from scipy import sparse


class RCA(MahalanobisTransformer):
    """Relevant component analysis [1]_ [2]_.

    ::

        M = C⁻¹,   C = 1/p Σ_chunks Σ_{i ∈ chunk} wᵢ (xᵢ - m_chunk)(xᵢ - m_chunk)ᵀ,   p = Σ wᵢ

    Whitens what varies inside chunks, groups of rows known to be of one class:
    variation there is irrelevant. With ``n_components`` the data are first
    projected on the directions of largest total to within-chunk scatter
    (constrained Fisher discriminants), as in the paper.

    Parameters
    ----------
    n_components : int, default=None
        Rows of ``components_``; all ``n_features`` by default.
    n_chunks : int, default=None
        Chunks drawn when fitting from labels; by default each class is one
        chunk, which uses all that labels say.
    chunk_size : int, default=2
        Rows of each drawn chunk, 2 or more. Only used with ``n_chunks``.
    shrinkage : float in [0, 1], default=0
        Weight of the diagonal of ``C`` against ``C`` itself.
    random_state : int, RandomState instance or None, default=None
        For drawing chunks.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Rows by falling ratio of total to within-chunk variance.
    ratios_ : ndarray of shape (n_components,)
        These ratios; the rows of ``components_`` are scaled to a within-chunk
        variance of 1.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    LFDA : Uses between-class scatter, too, and classes of several clusters.
    Covariance : Whitens all rows; needs no labels.
    metriclearn.constraints.Chunks : Groups of rows known to be of one class.

    Notes
    -----
    With an invertible ``C`` and all components, ``M`` is metric-learn's. Where
    ``C`` is singular metric-learn returns NaN or infinity; here directions in
    which the data do not vary get no weight, and directions that vary between
    chunks but not inside any get the largest finite one. With fewer
    components the total scatter is that of all rows, as in the paper, and not
    only of the rows in chunks.

    References
    ----------
    .. [1] Shental, N., Hertz, T., Weinshall, D. & Pavel, M. "Adjustment learning and relevant
       component analysis", ECCV, 2002. :doi:`10.1007/3-540-47979-1_52`
    .. [2] Bar-Hillel, A., Hertz, T., Shental, N. & Weinshall, D. "Learning a Mahalanobis metric
       from equivalence constraints", JMLR 6, 2005. https://jmlr.org/papers/v6/bar-hillel05a.html

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import RCA
    >>> X, y = load_iris(return_X_y=True)
    >>> RCA(n_components=2).fit(X, y).transform(X).shape
    (150, 2)
    """

    _parameter_constraints: dict = {
        "n_components": [at_least(1), None],
        "n_chunks": [at_least(1), None],
        "chunk_size": [at_least(2)],
        "shrinkage": [SHARE],
        "random_state": ["random_state"],
    }
    _constraint_kinds = (Chunks,)
    _of_drawing = ("n_chunks", "chunk_size")
    _fits_sparse = True

    def __init__(
        self,
        n_components: int | None = None,
        *,
        n_chunks: int | None = None,
        chunk_size: int = 2,
        shrinkage: float = 0.0,
        random_state: Seed = None,
    ) -> None:
        self.n_components = n_components
        self.n_chunks = n_chunks
        self.chunk_size = chunk_size
        self.shrinkage = shrinkage
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | sparse.spmatrix,
        y: ArrayLike | None = None,
        constraints: Chunks | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn the metric from labels or from chunks.

        Parameters
        ----------
        X : array-like or sparse of shape (n, n_features)
            Or a dask array, whose blocks are read one by one.
        y : array-like of shape (n,), default=None
            Class labels.
        constraints : Chunks, default=None
            Instead of ``y``.
        sample_weight : array-like of shape (n,), default=None
            ``w ≥ 0``; a row of weight two counts as two rows.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If no chunk has two rows, or a class has one only; rows of weight zero
            do not count.
        """
        X, y = self._validate_fit(X, y, constraints)
        check_n_components(self.n_components, X.shape[1])
        chunks = None if constraints is None else constraints.labels
        if chunks is None:
            if self.n_chunks is None:
                warn_unused(self, {"chunk_size": "with n_chunks"})
            weights, X, y = labeled_rows(sample_weight, X, y)
            check_labels(y, sample_weight=weights)
            sizes = {"n_chunks": self.n_chunks, "chunk_size": self.chunk_size}
            drawn = {} if self.n_chunks is None else sizes
            chunks = chunks_from_labels(y, **drawn, random_state=self.random_state).labels
        else:
            weights, X, chunks = weighted_rows(sample_weight, X, chunks)
        self.__dict__.pop("_stream", None)
        span = Span(X, weights=weights)
        rows, unit = (span.rows(), 1.0) if span.reduced else (X, span.unit)
        found = _scatters(rows, chunks, weights, unit)
        return self._finish(*found, span, X)  # type: ignore[call-arg]

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike | sparse.spmatrix,
        y: ArrayLike | None = None,
        constraints: Chunks | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Add rows; after all of them the metric is that of ``fit`` to all at once.

        Parameters
        ----------
        X : array-like or sparse of shape (n, n_features)
            A part of a memory-mapped array is never copied.
        y : array-like of shape (n,), default=None
            Class labels: each class is one chunk, through all calls.
        constraints : Chunks, default=None
            Instead of ``y``: a chunk number is the same chunk in all calls.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As ``fit``; with ``n_chunks``, which draws from all rows; or where no chunk has two rows
            so far.
        """
        X, y = self._validate_fit(X, y, constraints, reset=not hasattr(self, "_stream"))
        check_n_components(self.n_components, X.shape[1])
        if constraints is None and self.n_chunks is not None:
            raise ValueError(
                f"n_chunks={self.n_chunks} draws chunks of all rows, which partial_fit does not "
                f"see; leave it None or give Chunks"
            )
        if constraints is None:
            weights, X, labels = labeled_rows(sample_weight, X, y)
        else:
            weights, X, labels = weighted_rows(sample_weight, X, constraints.labels)
        stream, others = self._stream if hasattr(self, "_stream") else (Stream.of(self), Stream())
        inside = labels >= 0 if constraints is not None else np.ones(len(labels), dtype=bool)
        stream.add(X, labels, weights, counted=inside)
        others.add(X, None, weights, counted=~inside)
        self._stream = stream, others
        if stream.moments is None or stream.moments.totals.max() < 2:
            raise ValueError("partial_fit: no chunk has two rows so far; give more rows at a time")
        found = stream.moments
        every = found.as_one_group()
        if others.moments is not None:
            every = every.merged(others.moments)
            found = found.with_unit(every.unit)
        within = found.within() / found.totals.sum()
        span = Span.of_features(X.shape[1], every.unit)
        return self._finish(within, every.scatter / every.totals.sum(), span, X)

    def _finish(self, within, total, span, X):
        if self.shrinkage:
            diagonal = span.narrowed(span.sum_of_squares(within))
            within = (1 - self.shrinkage) * within + self.shrinkage * diagonal
        # Adding `within` leaves the directions as they are and makes it the smaller of the two.
        components, ratios = discriminant_directions(
            within, total + within, self.n_components or len(within)
        )
        self.ratios_ = np.maximum(ratios - 1, 0)
        return self._set_components(span.leave(components), like=X)


def _scatters(X, chunks, weights, unit):
    """Mean scatter within chunks, and of all rows."""
    inside = chunks >= 0
    numbers, codes, counts = encode(chunks[inside])
    if weights is not None:
        counts = np.maximum(counts, np.bincount(codes, weights[inside]))
    if counts.max(initial=0) < 2:
        raise ValueError(
            f"constraints: each of the {len(numbers)} chunks has one row; at least one chunk "
            f"needs two"
        )
    of_rows = np.full(len(chunks), -1)
    of_rows[inside] = codes
    found = moments(X, of_rows, weights, n_groups=len(numbers), unit=unit)
    every = found.as_one_group()
    if not inside.all():
        every = every.merged(moments(X, np.where(inside, -1, 0), weights, unit=unit))
    return found.within() / found.totals.sum(), every.scatter / every.totals.sum()
