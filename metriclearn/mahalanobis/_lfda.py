"""LFDA: local Fisher discriminant analysis."""

from __future__ import annotations

from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from sklearn.utils import gen_batches

from metriclearn._linalg import fix_signs
from metriclearn._pairs import pairwise_sq_distances
from metriclearn._sklearn import SHARE, at_least, fit_context, one_of
from metriclearn._threads import in_block_threads, map_blocks, n_block_threads
from metriclearn._validation import check_labels, check_n_components, labeled_rows
from metriclearn.mahalanobis._base import MahalanobisTransformer, warn_of_long_fit
from metriclearn.mahalanobis._scatter._span import Span, centered_scatter, discriminant_directions
from metriclearn.neighbors._exact import ExactSearch

_BLOCK_BYTES = 32 * 2**20
_ROWS = 1024  # most whose affinities to all others of a class are computed at a time
_TILE_ROWS, _TILE_COLUMNS = 256, 1024  # of float32 affinities that stay in a core's cache
_LOWEST = -75  # exponents below: affinities that add nothing, and would soon be denormal numbers
_LARGEST_ROUNDING = 0.01  # of an exponent that need not be told from zero
_SMALL_CLASS = 32  # classes of up to this many rows are computed together, by size
_PAIRS_A_SECOND = 3.5e10  # times what each costs: its features, and some 50 more
_MANY_ROWS = 2000  # of a class: with more, float32 is worth its conversion


class LFDA(MahalanobisTransformer):
    """Local Fisher discriminant analysis [1]_.

    ::

        S_lb v = λ S_lw v,   S_lw = ½ Σ_ij A_ij/n_c (xᵢ - xⱼ)(xᵢ - xⱼ)ᵀ        (i, j of class c)
        S_lb = ½ Σ_ij W_ij (xᵢ - xⱼ)(xᵢ - xⱼ)ᵀ,  W_ij = A_ij (1/n - 1/n_c) or 1/n (two classes)

    with the affinity ``A_ij = exp(-|xᵢ - xⱼ|²/(σᵢσⱼ))``, ``σᵢ`` the distance of
    ``xᵢ`` to its k-th neighbor in its class. Only near rows of a class are
    drawn together, so a class may keep several clusters, and more than
    ``n_classes - 1`` directions are of use.

    Parameters
    ----------
    n_components : int, default=None
        Rows of ``components_``; all ``n_features`` by default.
    n_neighbors : int, default=7
        The k of the local scales, lowered in a class with fewer other rows.
    embedding : {"weighted", "plain", "orthonormalized"}, default="weighted"
        Directions times ``√λ``; as they are, with ``vᵀ S_lw v = 1``; or an
        orthonormal basis of their span.
    shrinkage : float in [0, 1], default=0
        Weight of the diagonal of ``S_lw`` against ``S_lw`` itself.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Rows by falling ``λ``.
    ratios_ : ndarray of shape (n_components,)
        ``λ``, the local ratio of between- to within-class scatter.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    sklearn.discriminant_analysis.LinearDiscriminantAnalysis : The case of classes of one cluster.
    RCA : Needs chunks of rows only, not classes.
    LMNN : Iterative; looks at the neighbors of each row.

    Notes
    -----
    metric-learn's local scales are not those of the paper: it partitions the
    distances along one axis and reads the k-th entry of the other, so that the
    ``σ`` of a class are distances to one of its rows; it lowers k for all
    classes that come after a small one; it gives two equal rows the affinity 0
    instead of 1; and on singular data its components are complex or
    arbitrary. With the same local scales the two agree. Here directions in
    which the data do not vary get zero rows.

    Memory is bounded by a block of the affinity, never n × n; time is
    O(Σ n_c² n_features).

    References
    ----------
    .. [1] Sugiyama, M. "Dimensionality reduction of multimodal labeled data by local Fisher
       discriminant analysis", JMLR 8, 2007. https://jmlr.org/papers/v8/sugiyama07b.html

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import LFDA
    >>> X, y = load_iris(return_X_y=True)
    >>> LFDA(n_components=2).fit(X, y).transform(X).shape
    (150, 2)
    """

    _parameter_constraints: dict = {
        "n_components": [at_least(1), None],
        "n_neighbors": [at_least(1)],
        "embedding": [one_of("weighted", "plain", "orthonormalized")],
        "shrinkage": [SHARE],
    }

    def __init__(
        self,
        n_components: int | None = None,
        *,
        n_neighbors: int = 7,
        embedding: str = "weighted",
        shrinkage: float = 0.0,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.embedding = embedding
        self.shrinkage = shrinkage

    @in_block_threads
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the metric from labels.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,)
            Class labels.
        sample_weight : array-like of shape (n,), default=None
            ``w ≥ 0``; a row of weight two counts as two rows, in the sums, in
            ``n`` and ``n_c``, and among the neighbors.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is one class only, or a class has one row; rows of weight zero
            do not count.

        Warns
        -----
        UserWarning
            Before a fit of more than a minute or so.
        """
        X, y = self._validate_fit(X, y)
        weights, X, y = labeled_rows(sample_weight, X, y)
        _, codes = check_labels(y, sample_weight=weights)
        check_n_components(self.n_components, X.shape[1])

        span = Span(X, weights=weights)
        n_pairs = np.sum(np.bincount(codes).astype(float) ** 2)
        warn_of_long_fit("LFDA", n_pairs * (span.width + 50) / _PAIRS_A_SECOND, len(codes))
        within, between = local_scatters(span.rows(), codes, self.n_neighbors, weights)
        if self.shrinkage:
            diagonal = span.narrowed(span.sum_of_squares(within))
            within = (1 - self.shrinkage) * within + self.shrinkage * diagonal
        components, ratios = discriminant_directions(
            within, within + between, self.n_components or span.width
        )
        self.ratios_ = np.maximum(ratios - 1, 0)
        if self.embedding == "weighted":
            components *= np.sqrt(self.ratios_)[:, None]
        elif self.embedding == "orthonormalized":
            found = ratios > 0
            basis = linalg.qr(components[found].T, mode="economic")[0].T
            components[found] = fix_signs(basis) * span.unit  # of length one over the features
        return self._set_components(span.leave(components), like=X)


def local_scatters(X, codes, n_neighbors, weights=None):
    """Compute the local within- and between-class scatter of Sugiyama (2007).

    Parameters
    ----------
    X : ndarray of shape (n, d)
    codes : ndarray of int, shape (n,)
        Class numbers, 0 to ``n_classes - 1``.
    n_neighbors : int
    weights : ndarray of shape (n,), default=None
        Above zero; one by default.

    Returns
    -------
    within, between : ndarray of shape (d, d)
    """
    weights = np.ones(len(X)) if weights is None else weights
    order = np.argsort(codes, kind="stable")
    X, weights, sizes = X[order], weights[order], np.bincount(codes)
    starts, total = np.cumsum(sizes) - sizes, weights.sum()
    within, between = 0.0, centered_scatter(X, weights)
    parts = []
    for size in np.unique(sizes[sizes <= _SMALL_CLASS]):
        classes = starts[sizes == size]
        step = max(1, _BLOCK_BYTES // (8 * size * max(size, X.shape[1])))
        for first in range(0, len(classes), step):
            b = classes[first : first + step, None] + np.arange(size)
            parts.append(_of_small_classes(X[b], weights[b], n_neighbors, total))
    large = np.flatnonzero(sizes > _SMALL_CLASS)
    blocks = [slice(starts[c], starts[c] + sizes[c]) for c in large]
    # Few classes leave the threads to the blocks of each.
    each = map_blocks if len(blocks) >= n_block_threads() else map
    of_large = each(lambda b: _of_class(X[b], weights[b], n_neighbors, total), blocks)
    # ½Σ A(1/n - 1/n_c)… of a class, beside the ½Σ 1/n… that the total scatter holds.
    for of_within, of_between in chain(parts, of_large):
        within, between = within + of_within, between - of_between
    return within, between


def _of_class(X, weights, n_neighbors, total):
    """Return what one class adds to the scatter within, and takes from the one between."""
    mass = weights.sum()
    local = _local_scatter(X, n_neighbors, weights) / mass
    share = mass / total
    return local, share * centered_scatter(X, weights) + (1 - share) * local


def _of_small_classes(X, weights, n_neighbors, total):
    """Return the same, summed over classes of one size: X of shape (n_classes, size, d)."""
    n_classes, size, d = X.shape
    mass = weights.sum(axis=1)
    X = X - np.einsum("ci,cid->cd", weights / mass[:, None], X)[:, None]
    squared = np.einsum("cid,cid->ci", X, X)
    d2 = squared[:, :, None] + squared[:, None] - 2 * (X @ X.transpose(0, 2, 1))
    d2 = np.maximum(d2, 0)
    d2[:, np.arange(size), np.arange(size)] = 0
    of_row = np.repeat(weights, size, axis=0)
    scale = np.sqrt(_neighbor_distances(d2.reshape(-1, size), n_neighbors, of_row))
    scale = scale.reshape(n_classes, size)
    affinity = _affinity(d2, scale[:, :, None] * scale[:, None])
    affinity *= weights[:, None] * weights[:, :, None] / mass[:, None, None]
    weighed = affinity.sum(axis=2)[:, :, None] * X - affinity @ X
    share = (mass / total)[:, None, None]
    taken = share * weights[:, :, None] * X + (1 - share) * weighed
    rows = X.reshape(-1, d)
    return rows.T @ weighed.reshape(-1, d), rows.T @ taken.reshape(-1, d)


def _local_scatter(X, n_neighbors, weights):
    """``½ Σ_ij wᵢwⱼA_ij (xᵢ - xⱼ)(xᵢ - xⱼ)ᵀ`` of the rows of one class, in blocks of rows."""
    X = X - np.average(X, axis=0, weights=weights)
    alike = np.all(weights == 1)
    if len(X) >= _MANY_ROWS and alike:
        scale = ExactSearch(X).search_all(n_neighbors)[0][:, -1]
        if scale.min() > 0:
            return _scatter_of_many(X, scale)
    # Large enough for threads not to spend their time on taking turns.
    step = int(np.clip(_BLOCK_BYTES // (8 * len(X)), 1, _ROWS))
    blocks = list(gen_batches(len(X), step))

    def distances():
        return (_distances_to_all(X, block) for block in blocks)

    kept = [*distances()] if 8 * len(X) ** 2 <= _BLOCK_BYTES else None
    parts = [_neighbor_distances(d2, n_neighbors, weights) for d2 in kept or distances()]
    scale, scatter = np.sqrt(np.concatenate(parts)), 0.0
    for block, d2 in zip(blocks, kept or distances(), strict=True):
        affinity = _affinity(d2, np.multiply.outer(scale[block], scale))
        if not alike:
            affinity *= weights
            affinity *= weights[block, None]
        degree = affinity.sum(axis=1)
        scatter = scatter + X[block].T @ (degree[:, None] * X[block] - affinity @ X)
    return (scatter + scatter.T) / 2


def _affinity(d2, widths):
    """``exp(-d²/(σᵢσⱼ))``; equal rows have affinity 1, also where the scale is 0, else 0 there."""
    flat = widths == 0
    if flat.any():
        d2[flat & (d2 > 0)] = np.inf
        widths[flat] = 1
    d2 /= widths
    np.negative(d2, out=d2)
    return np.exp(d2, out=d2)


def _scatter_of_many(X, scale):
    """``½ Σ_ij A_ij (xᵢ - xⱼ)(xᵢ - xⱼ)ᵀ``, each pair once, in float32 but for the sums."""
    squared, ones = np.einsum("ij,ij->i", X, X), np.ones(len(X))
    # A product of these two is -d²/(σᵢσⱼ).
    left = (np.column_stack([2 * X, -squared, -ones]) / scale[:, None]).astype(np.float32)
    right = (np.column_stack([X, ones, squared]) / scale[:, None]).astype(np.float32)
    rows = np.column_stack([X, ones]).astype(np.float32)
    n = len(X)
    # What rounding makes of it above zero, for rows at one place.
    rounding = 4 * left.shape[1] * np.finfo(np.float32).eps * squared.max() / scale.min() ** 2

    def of_block(start):
        stop = min(start + _TILE_ROWS, n)
        tile = np.empty((stop - start) * _TILE_COLUMNS, np.float32)
        products, of_columns = 0.0, np.empty(n - start, np.float32)
        for first in range(start, n, _TILE_COLUMNS):
            last = min(first + _TILE_COLUMNS, n)
            A = tile[: (stop - start) * (last - first)].reshape(stop - start, -1)
            np.matmul(left[start:stop], right[first:last].T, out=A)
            if rounding > _LARGEST_ROUNDING:
                np.minimum(A, 0, out=A)
            np.maximum(A, _LOWEST, out=A)
            np.exp(A, out=A)
            if first == start:
                A[np.tri(*A.shape, dtype=bool)] = 0
            products = products + A @ rows[first:last]
            np.matmul(
                np.ones(stop - start, np.float32), A, out=of_columns[first - start : last - start]
            )
        return start, stop, products, of_columns

    scatter, degrees = 0.0, np.zeros(n)
    for start, stop, products, of_columns in map_blocks(of_block, range(0, n, _TILE_ROWS)):
        scatter = scatter - X[start:stop].T @ products[:, :-1]
        degrees[start:stop] += products[:, -1]
        degrees[start:] += of_columns
    return scatter + scatter.T + X.T @ (degrees[:, None] * X)


def _neighbor_distances(d2, n_neighbors, weights):
    """How far rows of a weight of ``n_neighbors`` are, beside the row itself; or the farthest."""
    if np.all(weights == 1):
        k = min(n_neighbors, weights.shape[-1] - 1)
        return np.partition(d2, k, axis=1)[:, k]
    order = np.argsort(d2, axis=1)
    passed = np.cumsum(np.take_along_axis(np.broadcast_to(weights, d2.shape), order, 1), axis=1)
    # A sum of weights may fall short of its target by rounding.
    target = (1 - 1e-9) * np.minimum(n_neighbors + 1, passed[:, -1:])
    last = np.argmax(passed >= target, axis=1)
    rows = np.arange(len(d2))
    return d2[rows, order[rows, last]]


def _distances_to_all(X, block):
    d2 = pairwise_sq_distances(X[block], X)
    d2[np.arange(len(d2)), np.arange(len(X))[block]] = 0
    return d2
